//! WeChat's answers and messages: an answer or an error, whatever the bytes, and no secret where it could be seen.

use serde_json::{Map, Value};

use crate::{
    secret::{EncodingAesKey, MessageToken, RefreshToken, SessionKey, UserTicket, UserToken},
    wechat::{
        AppId, ErrCode, Grant, MessageKeys, MiniProgramSession, Stamp, WecomUser, wire::Answer,
    },
};

/// The data is the body of an answer, or of a message.
pub fn wechat_json(data: &[u8]) {
    for code in [ErrCode::new as fn(i64) -> ErrCode, ErrCode::wecom] {
        if let Ok(answer) = Answer::read(data, code) {
            readers(&answer);
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        good_json_is_read_as_it_is(text);
    }
    message(data);
}

/// Every reader of an answer.
fn readers(answer: &Answer) {
    if let Ok(grant) = answer.grant() {
        is_safe(grant.openid.as_str());
        let other = Grant {
            access_token: UserToken::new("other"),
            refresh_token: grant.refresh_token.as_ref().map(|_| RefreshToken::new("other")),
            ..grant.clone()
        };
        assert_eq!(format!("{grant:?}"), format!("{other:?}"), "w10");
        assert!(!grant.access_token.expose().is_empty());
    }
    if let Ok(session) = answer.mini_program_session() {
        is_safe(session.openid.as_str());
        let key = SessionKey::new("other");
        let other = MiniProgramSession { session_key: key, ..session.clone() };
        assert_eq!(format!("{session:?}"), format!("{other:?}"), "w10");
    }
    for user in [answer.userinfo(), answer.wecom_detail()].into_iter().flatten() {
        is_safe(user.openid.as_str());
        assert!(user.headimgurl.is_none_or(|url| !url.is_empty()));
    }
    match answer.wecom_user() {
        Ok(WecomUser::Member { userid, user_ticket }) => {
            is_safe(userid.as_str());
            let shown = format!("{user_ticket:?}");
            assert_eq!(
                shown,
                format!("{:?}", user_ticket.map(|_| UserTicket::new("other"))),
                "w10"
            );
        }
        Ok(WecomUser::Outsider { openid, .. }) => is_safe(openid.as_str()),
        Err(_) => {}
    }
    for name in ["expires_in", "errcode", "sex", "subscribe_time", "qr_scene"] {
        answer.number(name);
    }
    answer.numbers("tagid_list");
    answer.expires_in().ok();
    if let Ok(Some(unionid)) = answer.unionid() {
        is_safe(unionid.as_str());
    }
    if let Some(mark) = answer.within("watermark") {
        mark.number("timestamp");
    }
}

/// An identifier goes into headers, addresses and the names of records.
fn is_safe(id: &str) {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@".contains(&byte);
    assert!((1..=128).contains(&id.len()) && id.bytes().all(good), "{id:?}");
}

/// Reading what JSON forbids changes nothing of what it allows.
fn good_json_is_read_as_it_is(text: &str) {
    let Ok(fields) = serde_json::from_str::<Map<String, Value>>(text) else { return };
    let answer = Answer::object(text).expect("w08: good JSON is read");
    for (name, value) in &fields {
        assert_eq!(answer.text(name), value.as_str(), "w08: {text:?}");
        if let Some(number) = value.as_i64() {
            assert_eq!(answer.number(name), Some(number), "w08: {text:?}");
        }
    }
}

fn message(body: &[u8]) {
    let appid = AppId::parse("wx0123456789abcdef").expect("it is an appid");
    let stamp = Stamp { timestamp: "1700000000", nonce: "42" };
    let open = MessageKeys::new(MessageToken::new("spring"));
    if let Ok(message) = open.read(&appid, body, stamp, None) {
        let other = message.field("AppID").filter(|other| *other != appid.as_str());
        assert_eq!(other, None);
        if let Some(event) = message.field("Event") {
            assert_eq!(event, event.trim());
        }
    }
    let key = EncodingAesKey::new("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG");
    let sealed = open.encrypted_with(&key).expect("it is a key");
    let signature = "0000000000000000000000000000000000000000";
    for signature in [None, Some(""), Some(signature)] {
        assert!(sealed.read(&appid, body, stamp, signature).is_err(), "nobody has signed it");
    }
}
