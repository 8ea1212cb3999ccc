//! Who is visiting, and what else the gateway's headers say.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header::COOKIE};
use percent_encoding::percent_decode_str;

/// Who is visiting, from the headers that the gateway sets.
pub(super) struct Visitor {
    pub(super) subject: String,
    /// The name before WeChat told the unionid.
    pub(super) former_subject: String,
    pub(super) appid: String,
    pub(super) openid: String,
    pub(super) unionid: String,
    pub(super) scope: String,
    pub(super) nickname: String,
    pub(super) avatar: String,
    pub(super) phone: String,
}

impl Visitor {
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).map(value_text).unwrap_or_default();
        let subject = text("x-wechat-subject");
        (!subject.is_empty()).then(|| Self {
            subject,
            former_subject: text("x-wechat-former-subject"),
            appid: text("x-wechat-appid"),
            openid: text("x-wechat-openid"),
            unionid: text("x-wechat-unionid"),
            scope: text("x-wechat-scope"),
            nickname: decoded(&text("x-wechat-nickname")),
            avatar: Some(text("x-wechat-avatar")).filter(|url| is_web(url)).unwrap_or_default(),
            phone: text("x-wechat-phone"),
        })
    }

    /// What stands in for a picture: the first letter of the name, or else its first sign.
    pub(super) fn initial(&self) -> Option<String> {
        let mut signs = self.nickname.chars();
        let letter = signs.clone().find(|c| c.is_alphanumeric());
        letter
            .or_else(|| signs.find(|c| !c.is_control() && !c.is_whitespace()))
            .map(|c| c.to_uppercase().to_string())
    }
}

/// One header, as it arrived.
pub(super) struct Received {
    pub(super) name: HeaderName,
    pub(super) value: String,
    /// What a percent-encoded value says, where that differs.
    pub(super) meaning: String,
}

/// Identity, then what a proxy says, then cookies; nothing else is anybody's business here.
pub(super) fn received(headers: &HeaderMap) -> Vec<Received> {
    let rank = |name: &HeaderName| match name.as_str() {
        name if name.starts_with("x-wechat-") => Some(0),
        name if name.starts_with("x-forwarded-") => Some(1),
        "cookie" => Some(2),
        _ => None,
    };
    let mut list: Vec<_> = headers
        .iter()
        .filter_map(|(name, value)| Some((rank(name)?, name, value_text(value))))
        .map(|(rank, name, value)| {
            let meaning = if name == "x-wechat-nickname" { decoded(&value) } else { String::new() };
            let meaning = if meaning == value { String::new() } else { meaning };
            (rank, Received { name: name.clone(), value, meaning })
        })
        .collect();
    list.sort_by(|(a, x), (b, y)| (a, x.name.as_str()).cmp(&(b, y.name.as_str())));
    list.into_iter().map(|(_, header)| header).collect()
}

pub(super) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (String, String)> {
    headers.get_all(COOKIE).iter().flat_map(|value| {
        value_text(value)
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    })
}

fn value_text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_is_a_letter_where_there_is_one() {
        for (nickname, initial) in [
            ("alice", Some("A")),
            ("🌸小美", Some("小")),
            ("🐼", Some("🐼")),
            (" \u{7}", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([
                (HeaderName::from_static("x-wechat-subject"), "s".parse().expect("a value")),
                (
                    HeaderName::from_static("x-wechat-nickname"),
                    percent_encoding::utf8_percent_encode(
                        nickname,
                        percent_encoding::NON_ALPHANUMERIC,
                    )
                    .to_string()
                    .parse()
                    .expect("a value"),
                ),
            ]);
            let user = Visitor::from_headers(&headers).expect("a user");
            assert_eq!(user.initial().as_deref(), initial, "{nickname}");
        }
    }
}
