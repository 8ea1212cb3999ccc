//! The `Cookie` header: what it names, what is cut out of it, and that nothing opens that we have not sealed.

use http::{HeaderMap, HeaderValue, header};

use super::{input::first_line, world::World};
use crate::{
    clock::Timestamp,
    gateway::proxy::tell_theirs,
    login::{
        ReturnTo,
        attempt::{Attempts, Start},
        state::State,
    },
    session::{
        KeyRing, Purpose,
        cookie::{Cookies, is_ours, name_and_value, session_name},
    },
    wechat::{AppId, Scope},
};

/// Each line is a line of the header.
pub fn cookies(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let mut rest = data;
    while !rest.is_empty() && headers.len() < 64 {
        let (line, behind) = first_line(rest);
        rest = behind;
        let Ok(line) = HeaderValue::from_bytes(line) else { continue };
        headers.append(header::COOKIE, line);
    }
    cut(&headers);
    let appid = AppId::parse("wx0123456789abcdef").expect("it is an appid");
    for (secure, other) in [(true, None), (false, None), (true, Some(&appid))] {
        let name = session_name(secure, other);
        let cookies = Cookies::new(secure, &name);
        names_one(cookies, &headers);
        nothing_opens(cookies, &headers, &appid);
    }
}

/// All parts of all lines.
fn pairs(headers: &HeaderMap) -> Vec<&[u8]> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()).collect()
}

fn cut(headers: &HeaderMap) {
    let mut left = HeaderMap::new();
    tell_theirs(headers, &mut left);
    let is_ours = |pair: &&[u8]| is_ours(name_and_value(pair).0);
    let (before, after) = (pairs(headers), pairs(&left));
    assert!(!after.iter().any(is_ours), "c21: {after:?}");
    let foreign: Vec<_> = before.iter().copied().filter(|pair| !is_ours(pair)).collect();
    assert_eq!(after, foreign, "c37");
    let lines = headers.get_all(header::COOKIE).iter().count();
    if before.len() == foreign.len() && lines == 1 {
        let sent = headers.get_all(header::COOKIE).iter();
        assert!(left.get_all(header::COOKIE).iter().eq(sent), "c37: nothing was to be cut");
    }
    assert!(left.get_all(header::COOKIE).iter().count() <= 1);
    let mut again = HeaderMap::new();
    tell_theirs(&left, &mut again);
    assert_eq!(again, left);
}

/// One cookie with the session's name, in the one spelling of an id, or nobody.
fn names_one(cookies: Cookies<'_>, headers: &HeaderMap) {
    let name = cookies.session_name().as_bytes();
    let all = pairs(headers);
    let named: Vec<_> =
        all.iter().map(|pair| name_and_value(pair)).filter(|(known, _)| *known == name).collect();
    match (cookies.session_id(headers), &*named) {
        (Some(id), [(_, value)]) => assert_eq!(id.expose().as_bytes(), *value, "c26"),
        (Some(_), other) => panic!("c26: {other:?}"),
        (None, _) => {}
    }
}

/// Whatever is sent as a pending sign-in, it is none; and to begin one costs a bounded answer.
fn nothing_opens(cookies: Cookies<'_>, headers: &HeaderMap, appid: &AppId) {
    let world = World::get();
    let (keys, site): (&KeyRing, _) = (&world.keys, world.gate().public_url());
    let now = Timestamp::from_unix(1_700_000_000);
    let attempts = Attempts { cookies, keys, site, appid, now };
    for (suffix, value) in cookies.logins(headers).take(64) {
        let state = format!("{suffix:0<32}");
        if let Some(state) = State::parse(&state) {
            assert_eq!(attempts.find(headers, &state), None, "c09");
        }
        for purpose in [Purpose::PendingLogin, Purpose::ScanCookie, Purpose::StoredSession] {
            assert!(keys.open(purpose, &format!("{site}:{suffix}"), value).is_err(), "c09");
        }
    }
    let forgets = attempts.forget_all(headers);
    assert!(forgets.len() <= 6, "c35");
    let target = ReturnTo::parse("/orders", site);
    let begun = attempts.begin(headers, Scope::Base, &target, Start::ByItself);
    let Ok(begun) = begun else { panic!("what does not open counts for no row of attempts") };
    assert!(begun.cookies.len() <= 6, "c35");
    for cookie in forgets.iter().chain(&begun.cookies) {
        let text = cookie.to_str().expect("names and values of ours are plain ASCII");
        assert!(text.starts_with(cookies.login_prefix()), "{text}");
        assert!(text.contains("; HttpOnly; SameSite=Lax; ") && text.contains("; Path=/; "));
    }
}
