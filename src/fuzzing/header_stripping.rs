//! What an upstream gets of a request's headers: no word of the client's on who it is, and all else as it came.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::input::{first_line, headers, values};
use crate::{
    gateway::{
        client_address::TrustedProxies,
        proxy::{Forwarding, identify, prepare_request},
    },
    session::cookie,
};

/// What concerns one connection, or is said by us anew.
const NOT_PASSED: [&str; 17] = [
    "connection",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// The first line holds a `_` where names with an underscore go on; the others are headers.
pub fn header_stripping(data: &[u8]) {
    let (switches, rest) = first_line(data);
    let underscores = switches.contains(&b'_');
    let mut sent = headers(rest);
    sent.insert(header::HOST, HeaderValue::from_static("h5.example.com"));

    let (mut head, ()) = http::Request::new(()).into_parts();
    head.headers = sent.clone();
    let client = TrustedProxies::default().client([192, 0, 2, 7].into(), &sent);
    let forwarding = Forwarding {
        client: &client.expect("a stranger's list is not read"),
        scheme: "https",
        underscores,
        rewrite: None,
        host: None,
        request_id: &HeaderValue::from_static("id-of-ours"),
    };
    prepare_request(&mut head, &forwarding);
    let got = head.headers;
    nothing_lies(&got, underscores);
    one_connection(&sent, &got);
    the_rest_is_unchanged(&sent, &got, underscores);
    ours_alone(got);
}

/// As a server reads it that makes one character of all that are neither letters nor digits.
fn plain(name: &HeaderName) -> String {
    let fold = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    name.as_str().chars().map(fold).collect()
}

fn is_lie(name: &HeaderName) -> bool {
    let name = plain(name);
    let lies = [
        "x-wechat-",
        "x-forwarded-",
        "x-auth-request-",
        "x-original-",
        "x-rewrite-",
        "x-real-ip",
        "x-request-id",
    ];
    name == "forwarded" || lies.iter().any(|lie| name.starts_with(lie))
}

fn nothing_lies(got: &HeaderMap, underscores: bool) {
    let ours: [(&str, &[u8]); 5] = [
        ("x-forwarded-for", b"192.0.2.7"),
        ("x-forwarded-host", b"h5.example.com"),
        ("x-forwarded-proto", b"https"),
        ("x-real-ip", b"192.0.2.7"),
        ("x-request-id", b"id-of-ours"),
    ];
    for (name, value) in ours {
        assert_eq!(values(got, &HeaderName::from_static(name)), [value], "c13: {name}");
    }
    for name in got.keys() {
        assert!(!is_lie(name) || ours.iter().any(|(ours, _)| name == ours), "c11: {name}");
        assert!(underscores || !name.as_str().contains('_'), "c11: {name}");
    }
    for line in values(got, &header::COOKIE) {
        for pair in line.split(|byte| *byte == b';') {
            assert!(!cookie::is_ours(cookie::name_and_value(pair).0), "c21: {line:?}");
        }
    }
}

/// What concerns the client's connection stays there, but for the two things that are asked for anew.
fn one_connection(sent: &HeaderMap, got: &HeaderMap) {
    let connection = values(got, &header::CONNECTION);
    let upgrade = values(got, &header::UPGRADE);
    let te = values(got, &header::TE);
    match &*connection {
        [] => assert!(upgrade.is_empty() && te.is_empty()),
        [b"upgrade"] => {
            assert!(te.is_empty() && upgrade == [b"websocket"]);
            assert!(sent.contains_key(header::UPGRADE) && sent.contains_key(header::CONNECTION));
        }
        [b"te"] => assert!(upgrade.is_empty() && te == [b"trailers"] && sent.contains_key("te")),
        other => panic!("{other:?}"),
    }
    for name in [
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "trailer",
        "transfer-encoding",
    ] {
        assert!(!got.contains_key(name), "{name}");
    }
    if sent.contains_key(header::TRANSFER_ENCODING) {
        assert!(!got.contains_key(header::CONTENT_LENGTH), "a message has one length");
    }
    assert_eq!(values(got, &header::HOST), [b"h5.example.com"]);
    for name in named_by_connection(sent) {
        let stays = ["host", "content-length"].contains(&&*name) || NOT_PASSED.contains(&&*name);
        assert!(stays || !got.contains_key(&*name), "{name}");
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    // A line that is no text names nothing.
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn the_rest_is_unchanged(sent: &HeaderMap, got: &HeaderMap, underscores: bool) {
    let named = named_by_connection(sent);
    let goes_on = |name: &HeaderName| {
        let text = name.as_str();
        !(is_lie(name)
            || NOT_PASSED.contains(&text)
            || (text.contains('_') && !underscores)
            || (named.iter().any(|named| named == text) && text != "content-length")
            || (text == "content-length" && sent.contains_key(header::TRANSFER_ENCODING)))
    };
    for name in sent.keys().filter(|name| goes_on(name)) {
        assert_eq!(values(got, name), values(sent, name), "{name}");
    }
    for name in got.keys() {
        let ours = NOT_PASSED.contains(&name.as_str());
        assert!(ours || sent.contains_key(name), "{name} out of nothing");
    }
}

/// What we say of somebody is said once, and in no other spelling.
fn ours_alone(mut got: HeaderMap) {
    let ours = [
        "x-wechat-subject",
        "x-wechat-openid",
        "x-forwarded-user",
        "x-auth-request-user",
        "x-member",
    ];
    let identity =
        ours.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("ours")));
    identify(&mut got, identity.into_iter());
    for name in got.keys() {
        if ours.contains(&&*plain(name)) {
            assert!(ours.contains(&name.as_str()), "c11: {name}");
            assert_eq!(values(&got, name), [b"ours"], "c11: {name}");
        }
    }
}
