//! The body of `/sns/userinfo`, the way it looks on the wire.

use serde::Serialize;

use super::answer::json;
use super::grants::Grant;
use super::world::User;

/// The nickname of everybody whose real one WeChat does not give.
const VIRTUAL_NICKNAME: &str = "微信用户";

/// Where bytes go that no JSON writer would write: a private-use character that stands for them.
const MARK: char = '\u{e000}';
const CONTROL_CHARACTERS: &[u8] = b"\x14\x07";
/// A byte that never occurs in UTF-8, and half a surrogate pair.
const BROKEN_UTF8: &[u8] = b"\xff\xed\xa0\xbd";

/// What is wrong with this answer.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // One for each fault.
pub(super) struct Quirks {
    pub(super) control_characters: bool,
    pub(super) broken_utf8: bool,
    pub(super) sex_as_string: bool,
    pub(super) no_unionid: bool,
}

#[derive(Serialize)]
struct Userinfo<'a> {
    openid: &'a str,
    nickname: String,
    sex: Sex,
    language: &'static str,
    city: &'static str,
    province: &'static str,
    country: &'static str,
    headimgurl: String,
    privilege: [&'static str; 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Sex {
    Number(u8),
    Text(&'static str),
}

/// Writes the profile. Gender, language and area have been blank since 2021.
pub(super) fn body(grant: &Grant, user: &User, url: &str, quirks: Quirks) -> Vec<u8> {
    let mut nickname =
        if grant.snapshot { VIRTUAL_NICKNAME.to_owned() } else { user.nickname.clone() };
    if quirks.control_characters || quirks.broken_utf8 {
        nickname.push(MARK);
    }
    let text = json(&Userinfo {
        openid: &grant.openid,
        nickname,
        sex: if quirks.sex_as_string { Sex::Text("1") } else { Sex::Number(0) },
        language: "",
        city: "",
        province: "",
        country: "",
        headimgurl: avatar(grant, user, url),
        privilege: [],
        unionid: grant.unionid.as_deref().filter(|_| !quirks.no_unionid),
    });
    let mut mark = Vec::new();
    if quirks.control_characters {
        mark.extend_from_slice(CONTROL_CHARACTERS);
    }
    if quirks.broken_utf8 {
        mark.extend_from_slice(BROKEN_UTF8);
    }
    on_the_wire(&text, &mark)
}

fn avatar(grant: &Grant, user: &User, url: &str) -> String {
    if grant.snapshot { format!("{url}/_simulator/avatars/_/132") } else { picture(user, url) }
}

/// The picture: the one in the world, or one that the simulator draws. The last part is the size, as in real ones.
pub(super) fn picture(user: &User, url: &str) -> String {
    match &user.avatar {
        Some(avatar) => avatar.clone(),
        None => format!("{url}/_simulator/avatars/{}/132", user.name),
    }
}

/// WeChat escapes slashes, which Rust's JSON writer does not.
fn on_the_wire(text: &[u8], mark: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text).replace('/', "\\/");
    match text.split_once(MARK) {
        Some((before, after)) if !mark.is_empty() => {
            [before.as_bytes(), mark, after.as_bytes()].concat()
        }
        _ => text.into_bytes(),
    }
}
