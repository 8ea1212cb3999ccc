//! What mini-programs send of their users, and whose pages get a signature.

use std::time::Duration;

use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use serde_json::Value;
use sha1::{Digest, Sha1};
use url::Url;

use super::{input::first_text, world::World};
use crate::{
    clock::Timestamp,
    doors::JsSdk,
    origin::Origin,
    secret::{JsapiTicket, SessionKey},
    session::SessionId,
    wechat::{AppId, Expected, OpenData, OpenId, UserData, hmac_sha256, jssdk},
};

const APPID: &str = "wx00000000000000aa";
const OPENID: &str = "o-somebody";
const NOW: u64 = 1_700_000_000;
const FRESH: Duration = Duration::from_secs(600);

/// The first line is `iv` or the address of a page, the second one `signature`, the rest `rawData` or `encryptedData`.
pub fn mini_program(data: &[u8]) {
    let Some((first, rest)) = first_text(data) else { return };
    let Some((signature, body)) = first_text(rest) else { return };
    pages(first);
    let Ok(body) = std::str::from_utf8(body) else { return };
    forged(first, signature, body);
    genuine(body);
}

/// Made by somebody who does not have the key.
fn forged(iv: &str, signature: &str, body: &str) {
    let key = SessionKey::new(BASE64.encode(SessionId::new().as_u128().to_be_bytes()));
    assert!(UserData::signed(&key, body, signature).is_err(), "{body:?}");
    opened(&key, &OpenData { encrypted_data: body, iv }, None);
    // A key that WeChat never gave is an error, and no panic.
    opened(&SessionKey::new(signature), &OpenData { encrypted_data: body, iv }, None);
    assert_eq!(hmac_sha256(&key, body).len(), 64);
}

/// Made by WeChat: what it says is believed, and no more than that.
fn genuine(body: &str) {
    let bytes = [7; 16];
    let key = SessionKey::new(BASE64.encode(bytes));
    let signature = Sha1::new().chain_update(body).chain_update(key.expose()).finalize();
    let signature: Vec<_> = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let said: Option<Value> = serde_json::from_str(body).ok();
    if let Ok(user) = UserData::signed(&key, body, &signature.concat()) {
        let nickname = said.as_ref().and_then(|said| said["nickName"].as_str());
        // Control characters that JSON forbids are read all the same.
        assert!(said.is_none() || nickname == Some(&user.nickname), "{body:?}");
    }
    let cipher = cbc::Encryptor::<aes::Aes128>::new(&bytes.into(), &bytes.into());
    let sealed = BASE64.encode(cipher.encrypt_padded_vec::<Pkcs7>(body.as_bytes()));
    let iv = BASE64.encode(bytes);
    opened(&key, &OpenData { encrypted_data: &sealed, iv: &iv }, said.as_ref());
    // A line break or a space for a plus, as forms make of it.
    let broken = sealed.replace('+', " ");
    opened(&key, &OpenData { encrypted_data: &broken, iv: &iv }, said.as_ref());
}

/// What opens is for this account and user, and fresh. `said` is what WeChat has said, if it has said anything.
fn opened(key: &SessionKey, data: &OpenData<'_>, said: Option<&Value>) {
    let appid = AppId::parse(APPID).expect("it is an appid");
    let openid = OpenId::parse(OPENID).expect("it is an openid");
    let now = Timestamp::from_unix(NOW);
    let expected = Expected { appid: &appid, openid: &openid, now, max_age: FRESH };
    let (user, phone) = (data.user(key, &expected), data.phone(key, &expected));
    if user.is_err() && phone.is_err() {
        return;
    }
    if let Ok(phone) = &phone {
        assert_eq!(format!("{phone:?}"), "PhoneNumber([redacted])", "w10");
    }
    let Some(said) = said else {
        // Only what is no JSON but for its control characters may have come here.
        assert_eq!(*key.expose(), BASE64.encode([7; 16]), "out of nothing: {user:?}");
        return;
    };
    let mark = &said["watermark"];
    assert_eq!(mark["appid"], APPID);
    let at = mark["timestamp"].as_u64().or_else(|| mark["timestamp"].as_str()?.trim().parse().ok());
    let at = at.expect("it has a moment");
    assert!((NOW - FRESH.as_secs()..=NOW + 300).contains(&at), "{at}");
    if let Ok(user) = user {
        assert!(user.openid.is_none_or(|known| known == openid));
        let is_other =
            said["openId"].as_str().is_some_and(|said| !said.is_empty() && said != OPENID);
        assert!(!is_other, "{said}");
    }
}

/// A page of ours gets a signature, and what stands behind its `#` is not signed.
fn pages(url: &str) {
    let ticket = JsapiTicket::new("ticket");
    let page = url.split('#').next().unwrap_or_default();
    let signature = jssdk::signature(&ticket, "nonce", NOW, url);
    assert_eq!(signature, jssdk::signature(&ticket, "nonce", NOW, page));
    assert_ne!(signature, jssdk::signature(&ticket, "nonce", NOW + 1, url));

    let Ok(page) = Url::parse(url) else { return };
    let other = Origin::parse("https://m.example.com").expect("it is an origin");
    let door = JsSdk::new().and_pages_of([other]);
    let is_own = door.is_own(World::get().gate(), &page);
    let origin = page.origin().ascii_serialization();
    let listed = ["https://h5.example.com", "https://m.example.com"].contains(&&*origin);
    let anonymous = page.username().is_empty() && page.password().is_none();
    assert_eq!(is_own, listed && anonymous, "{url:?}");
    if is_own {
        assert!(page.scheme() == "https" && page.port().is_none(), "{url:?}");
    }
}
