//! What an upstream gets of a request's headers: no word of the client's on who it is, and all else as it came.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::input::{first_line, headers, values};
use crate::{
    gateway::{
        client_address::ClientAddress,
        proxy::{Forwarding, Length, tell},
    },
    session::cookie,
};

/// What concerns one connection, or is said by us anew.
const NOT_PASSED: [&str; 18] = [
    "connection",
    "content-length",
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
    let client = ClientAddress::from(IpAddr::from([192, 0, 2, 7]));
    let mut forwarding = Forwarding {
        client: &client,
        scheme: "https",
        underscores,
        host: None,
        request_id: &HeaderValue::from_static("id-of-ours"),
        identity: &(),
    };
    let told = |forwarding: &Forwarding<'_>, length: Length| {
        let mut got = HeaderMap::new();
        tell(&head, length, forwarding, &mut got);
        got
    };
    let got = told(&forwarding, Length::NoBody);
    nothing_lies(&got, underscores);
    one_connection(&sent, &got);
    the_rest_is_unchanged(&sent, &got, underscores);
    one_length(&told(&forwarding, Length::Of(3)), &told(&forwarding, Length::Unknown));
    let identity =
        OURS.map(|name| (HeaderName::from_static(name), HeaderValue::from_static("ours")));
    forwarding.identity = &identity;
    ours_alone(&told(&forwarding, Length::NoBody));
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
        "content-length",
        "transfer-encoding",
    ] {
        assert!(!got.contains_key(name), "{name}");
    }
    assert_eq!(values(got, &header::HOST), [b"h5.example.com"]);
    for name in named_by_connection(sent) {
        let stays = NOT_PASSED.contains(&&*name);
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
            || named.iter().any(|named| named == text))
    };
    for name in sent.keys().filter(|name| goes_on(name)) {
        assert_eq!(values(got, name), values(sent, name), "{name}");
    }
    for name in got.keys() {
        let ours = NOT_PASSED.contains(&name.as_str());
        assert!(ours || sent.contains_key(name), "{name} out of nothing");
    }
}

/// What is said of the length is what we have counted, once.
fn one_length(counted: &HeaderMap, streamed: &HeaderMap) {
    assert_eq!(values(counted, &header::CONTENT_LENGTH), [b"3"]);
    assert!(!counted.contains_key(header::TRANSFER_ENCODING));
    assert_eq!(values(streamed, &header::TRANSFER_ENCODING), [b"chunked"]);
    assert!(!streamed.contains_key(header::CONTENT_LENGTH));
}

const OURS: [&str; 4] =
    ["x-wechat-subject", "x-wechat-openid", "x-forwarded-user", "x-auth-request-user"];

/// What we say of somebody is said once, and in no other spelling.
fn ours_alone(got: &HeaderMap) {
    for ours in OURS {
        assert_eq!(values(got, &HeaderName::from_static(ours)), [b"ours"], "c11: {ours}");
    }
    for name in got.keys().filter(|name| OURS.contains(&&*plain(name))) {
        assert!(OURS.contains(&name.as_str()), "c11: {name}");
    }
}
