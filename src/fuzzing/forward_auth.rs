//! What front proxies are told: never a yes for somebody without a session, whatever they say of the request.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts};
use http_body::Body;

use super::{
    input::{first_text, headers, values},
    world::World,
};
use crate::{
    gateway::forward_auth::{Dialect, Told, answer},
    login::Login,
    session::cookie,
};

/// The first line is a method and an address of ours, the others are the headers of the front proxy's request.
pub fn forward_auth(data: &[u8]) {
    let Some((line, rest)) = first_text(data) else { return };
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let method: Result<Method, _> = method.parse();
    let (Ok(method), Ok(uri)) = (method, target.parse::<http::Uri>()) else { return };
    let Some(dialect) = Dialect::named_by(uri.path()) else { return };
    let (mut head, ()) = http::Request::new(()).into_parts();
    (head.method, head.uri, head.headers) = (method, uri, headers(rest));

    let told = ask(dialect, &head);
    let status = told.answer.status();
    said_well(dialect, &told);
    if dialect == Dialect::Refusal {
        // It may be a page for the browser, and is no yes.
        assert!(told.visitor.user().is_none() && is_no_yes(told.answer.headers()), "{head:?}");
    } else if status.is_success() {
        let (_, route) = told.place.expect("c17: a yes without a route");
        let original = told.original.as_ref().expect("c17: a yes without a request");
        let login = route.demand().login();
        assert!(login <= Login::Optional, "c17: {} {head:?}", original.uri);
        // Said once more, without routes.
        let path = original.uri.path();
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
        let mut segments = decoded.split('/').filter(|segment| !segment.is_empty());
        let open = match segments.next().map(|it| it.split(';').next().unwrap_or_default()) {
            Some("open" | "exact" | "users") => true,
            Some("private") => {
                segments.next().is_some_and(|it| it.split(';').next() == Some("maybe"))
            }
            _ => false,
        };
        assert!(open, "c17: {path}");
        assert!(told.visitor.user().is_none(), "nobody is signed in");
        says_nobody(told.answer.headers(), &head.headers);
    }
    with_a_session(dialect, head, &told);
}

/// Whether an app would be told of nobody by it.
fn is_no_yes(answer: &HeaderMap) -> bool {
    !answer.contains_key(header::COOKIE)
        && !answer.keys().any(|name| name.as_str().starts_with("x-wechat-"))
}

fn ask(dialect: Dialect, head: &Parts) -> Told<'static> {
    let world = World::get();
    world.wait(answer(&world.sites, dialect, head.clone()))
}

/// What holds for every answer.
fn said_well(dialect: Dialect, told: &Told<'_>) {
    let (status, headers) = (told.answer.status(), told.answer.headers());
    let is = |name, value: &str| headers.get_all(name).iter().any(|known| known == value);
    assert!(is(header::CACHE_CONTROL, "no-store"), "c44");
    assert!(is(header::VARY, "Cookie") && is(header::VARY, "X-WeChat-Session"), "c44");
    if dialect == Dialect::Oracle {
        let known = [StatusCode::OK, StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
        assert!(known.contains(&status), "{status}");
        assert_eq!(told.answer.body().size_hint().exact(), Some(0));
    } else {
        assert!(!status.is_server_error() || dialect == Dialect::Refusal, "{status}");
    }
    for cookie in headers.get_all(header::SET_COOKIE) {
        let sets = cookie.as_bytes();
        assert!(sets.starts_with(b"__Host-wxgate-login-"), "a session out of nothing: {cookie:?}");
    }
}

/// A yes tells the app of nobody, and hands on what is left of the cookies.
fn says_nobody(answer: &HeaderMap, asked: &HeaderMap) {
    for name in answer.keys() {
        let name = name.as_str();
        assert!(!name.starts_with("x-wechat-") && !name.starts_with("x-forwarded-"), "{name}");
    }
    let mut left = values(answer, &header::COOKIE).into_iter();
    let (Some(left), None) = (left.next(), left.next()) else { panic!("one line of cookies") };
    for pair in left.split(|byte| *byte == b';') {
        assert!(!cookie::is_ours(cookie::name_and_value(pair).0), "c21: {left:?}");
    }
    if asked.get_all(header::COOKIE).iter().count() == 0 {
        assert_eq!(left, b"");
    }
}

/// The same question with a session in it is a yes where a sign-in was all that was missing, so that a no above means
/// something.
fn with_a_session(dialect: Dialect, mut head: Parts, told: &Told<'_>) {
    let world = World::get();
    let Some((_, route)) = told.place else { return };
    let named = [header::COOKIE, header::HeaderName::from_static("x-wechat-session")];
    if named.iter().any(|name| head.headers.contains_key(name)) {
        return;
    }
    let session = format!("__Host-wxgate={}", world.session.expose());
    head.headers.insert(header::COOKIE, HeaderValue::try_from(session).expect("an id is ASCII"));
    let again = ask(dialect, &head);
    said_well(dialect, &again);
    let passes = again.answer.status() == StatusCode::OK;
    let is_open = route.demand().login() <= Login::Optional;
    if dialect == Dialect::Refusal {
        assert!(is_no_yes(again.answer.headers()), "it is asked for the answer to a no: {head:?}");
        return;
    }
    assert!(passes || !is_open, "{head:?}");
    // At this path a sign-in is all that is asked for; elsewhere also which people, or which site.
    let is_private = &*route.pattern.to_string() == "/private/**";
    assert!(passes || !is_private, "{head:?}");
    if passes && route.demand().login() != Login::Off {
        let openid = again.answer.headers().get_all("x-wechat-openid").iter();
        assert!(openid.eq([world.openid.as_str()]), "{head:?}");
    }
}
