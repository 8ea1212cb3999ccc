//! What is sealed and handed out: tickets, codes and tokens. Nothing opens but what we have sealed, as we have sealed it.

use http::{HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    input::{first_line, values},
    world::{SECRET, World},
};
use crate::{
    clock::Timestamp,
    doors::facade::Call,
    login::{state::State, ticket},
    session::{Purpose, token},
};

const PURPOSES: [Purpose; 15] = [
    Purpose::PendingLogin,
    Purpose::LongTarget,
    Purpose::Ticket,
    Purpose::WebView,
    Purpose::ClientCode,
    Purpose::ClientToken,
    Purpose::ClientRefresh,
    Purpose::ScanCode,
    Purpose::ScanCookie,
    Purpose::ScanTarget,
    Purpose::StoredSession,
    Purpose::StoredUser,
    Purpose::StoredAppData,
    Purpose::StoredOutcome,
    Purpose::StoreMark,
];
const STATE: &str = "abcdefghijklmnopqrstuvwxyz012345";
const CONTEXT: &str = "https://h5.example.com";
const APP: &str = "appid=wx00000000000000bb";

/// The first line is a token as somebody sends it. What follows are changes of good ones: a place, and what to make of
/// the byte there.
pub fn tokens(data: &[u8]) {
    let (line, edits) = first_line(data);
    if let Ok(value) = HeaderValue::from_bytes(line) {
        named(&value);
    }
    if let Ok(text) = std::str::from_utf8(line) {
        given(text);
    }
    edited(edits);
}

/// A session token names a session in its one spelling.
fn named(value: &HeaderValue) {
    let mut headers = http::HeaderMap::new();
    headers.append(token::HEADER, value.clone());
    if let Some(id) = token::named_in(&headers) {
        assert_eq!(id.expose().as_bytes(), value.as_bytes(), "c26");
    }
    headers.append(token::HEADER, value.clone());
    assert_eq!(token::named_in(&headers), None, "c26: two name nobody");
}

/// What somebody has made up opens nothing, wherever it is sent.
fn given(text: &str) {
    let world = World::get();
    let state = State::parse(STATE).expect("it is a state");
    for purpose in PURPOSES {
        assert!(world.keys.open(purpose, CONTEXT, text).is_err(), "c40: {purpose:?}");
    }
    assert!(ticket::open(world.gate(), &state, text).is_none(), "c40");

    let text = utf8_percent_encode(text, NON_ALPHANUMERIC);
    for (address, status) in [
        (format!("/_wx/mini-program/enter?ticket={text}"), Some(StatusCode::BAD_REQUEST)),
        (format!("/_wx/accept?ticket={text}&state={STATE}"), None),
        (format!("/_wx/scan?c={text}"), None),
        (format!("/_wx/scan/wait?t={text}"), Some(StatusCode::BAD_REQUEST)),
        (format!("/_wx/scan/done?t={text}"), Some(StatusCode::BAD_REQUEST)),
    ] {
        let Some(head) = asked(&address) else { continue };
        let answer = world.own_answer(head);
        assert!(status.is_none_or(|status| answer.status() == status), "{address}");
        assert!(!answer.status().is_redirection() && !answer.status().is_server_error());
        assert!(values(answer.headers(), &header::SET_COOKIE).is_empty(), "{address}");
    }
    let app = world.site().facade.as_ref().expect("it is configured");
    for (call, address) in [
        (
            Call::AccessToken,
            format!(
                "/sns/oauth2/access_token?{APP}&secret={SECRET}&grant_type=authorization_code&code={text}"
            ),
        ),
        (
            Call::RefreshToken,
            format!(
                "/sns/oauth2/refresh_token?{APP}&grant_type=refresh_token&refresh_token={text}"
            ),
        ),
        (Call::Userinfo, format!("/sns/userinfo?access_token={text}&openid=o-somebody")),
        (Call::Auth, format!("/sns/auth?access_token={text}&openid=o-somebody")),
    ] {
        let Some(head) = asked(&address) else { continue };
        let answer = world.wait(app.answer(call, &head));
        let body = world.whole(answer);
        let told: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
        assert!(told["errcode"].as_i64().is_some_and(|code| code != 0), "{address}: {told}");
    }
}

fn asked(address: &str) -> Option<http::request::Parts> {
    let agent = "Mozilla/5.0 MicroMessenger/8.0.31 miniProgram/wx00000000000000aa";
    let request = http::Request::get(address)
        .header(header::HOST, "h5.example.com")
        .header(header::USER_AGENT, agent);
    // An address that is too long is not taken.
    Some(request.body(()).ok()?.into_parts().0)
}

/// A good one opens for its own purpose, and one that was changed for none.
fn edited(edits: &[u8]) {
    let world = World::get();
    let state = State::parse(STATE).expect("it is a state");
    for purpose in PURPOSES {
        let good = world.keys.seal(purpose, CONTEXT, b"0123456789abcdef01234567/");
        assert!(world.keys.open(purpose, CONTEXT, &good).is_ok());
        let Some(changed) = change(&good, edits) else { continue };
        assert!(world.keys.open(purpose, CONTEXT, &changed).is_err(), "c09: {purpose:?}");
    }
    let (gate, ends_at) = (world.gate(), Timestamp::from_unix(1_700_000_060));
    let good = ticket::seal(gate.keys(), gate.public_url(), &state, world.session, ends_at);
    let opened = ticket::open(gate, &state, &good);
    assert!(opened.is_some_and(|(id, ..)| id == world.session));
    if let Some(changed) = change(&good, edits) {
        assert!(ticket::open(gate, &state, &changed).is_none(), "c09");
    }
    let mut headers = http::HeaderMap::new();
    let good = world.session.expose();
    if let Some(changed) = change(&good, edits)
        && let Ok(changed) = HeaderValue::from_str(&changed)
    {
        headers.insert(HeaderName::from_static("x-wechat-session"), changed);
        assert_ne!(token::named_in(&headers), Some(world.session), "c26");
    }
}

/// The text with those changes, or none where that is the text itself, or is no text.
fn change(good: &str, edits: &[u8]) -> Option<String> {
    let mut bytes = good.as_bytes().to_vec();
    for edit in edits.chunks_exact(2) {
        let at = usize::from(edit[0]) % (bytes.len() + 1);
        match edit[1] {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, b'A'),
            other if at < bytes.len() => bytes[at] = other,
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok().filter(|changed| changed != good)
}
