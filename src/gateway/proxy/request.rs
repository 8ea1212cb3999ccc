//! What becomes of a request on its way to the upstream: which targets are taken, and which headers go on.

use std::net::SocketAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
    uri::PathAndQuery,
};

use super::cookies;
use crate::{login::WechatUser, origin::Origin};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A target that the HTTP parser takes and we do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::gateway) enum BadTarget {
    #[error("no host, more than one, or one that is not text")]
    Host,
    #[error("the target names another host than the `Host` header")]
    OtherAuthority,
    #[error("a tunnel or a target without a path")]
    NoPath,
}

/// Takes targets with one meaning only: one host, and a path of it. An absolute target is brought into the usual form.
pub(in crate::gateway) fn check_target(head: &mut Parts) -> Result<(), BadTarget> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(BadTarget::Host) };
    let host = host.to_str().map_err(|_| BadTarget::Host)?;
    if host.is_empty() || host.contains(['/', '@', '\\', ',', ' ']) {
        return Err(BadTarget::Host);
    }
    if head.method == Method::CONNECT {
        return Err(BadTarget::NoPath);
    }
    if let Some(authority) = head.uri.authority() {
        if !authority.as_str().eq_ignore_ascii_case(host) {
            return Err(BadTarget::OtherAuthority);
        }
        let target = head.uri.path_and_query().cloned();
        head.uri = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    if head.uri.path().starts_with('/') { Ok(()) } else { Err(BadTarget::NoPath) }
}

/// Takes out of a request what was meant for us, or would lie to the upstream, and puts in what we know.
pub(in crate::gateway) fn prepare_request(
    head: &mut Parts,
    user: Option<&WechatUser>,
    peer: SocketAddr,
    public_url: &Origin,
) {
    // Each side of us has an HTTP version of its own.
    head.version = Version::HTTP_11;
    let headers = &mut head.headers;
    let socket = is_websocket(headers);
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    let trailers = accepts_trailers(headers);
    cut_hop_by_hop(headers);
    cut_what_lies(headers);
    cookies::cut_ours(headers);
    // The client has been told to go on already, by reading its body.
    headers.remove(EXPECT);
    // Without it trailers stay here: some apps take them for headers, and nobody would have looked at them.
    headers.remove(TRAILER);
    if chunked {
        // Said again, since a body is not expected with every method.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if socket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    } else if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    if let Ok(client) = HeaderValue::try_from(peer.ip().to_canonical().to_string()) {
        headers.insert(FORWARDED_FOR, client);
    }
    if let Ok(scheme) = HeaderValue::from_str(public_url.scheme()) {
        headers.insert(FORWARDED_PROTO, scheme);
    }
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
    // Last, so that nothing that a client has said can touch them.
    headers.extend(user.into_iter().flat_map(WechatUser::headers));
}

/// Whether the client asks for a WebSocket. No other upgrade is passed on: `h2c` would get past every rule here.
pub(in crate::gateway) fn is_websocket(headers: &HeaderMap) -> bool {
    let upgrade =
        headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    upgrade && tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"))
}

/// Takes out what concerns one connection only: the known headers, and those that `Connection` names.
pub(super) fn cut_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        // Both at once would let two servers disagree on where the message ends.
        headers.remove(CONTENT_LENGTH);
    }
    let named: Vec<HeaderName> = tokens(headers, &CONNECTION)
        .filter_map(|token| HeaderName::try_from(token).ok())
        // These belong to the message, whatever a client says of them.
        .filter(|name| !matches!(*name, HOST | CONTENT_LENGTH))
        .collect();
    for name in &named {
        headers.remove(name);
    }
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        headers.remove(name);
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim).filter(|token| !token.is_empty())
}

/// Takes out headers that say who somebody is or where a request came from: only we say that.
fn cut_what_lies(headers: &mut HeaderMap) {
    let lies: Vec<HeaderName> = headers.keys().filter(|name| is_lie(name)).cloned().collect();
    for name in &lies {
        headers.remove(name);
    }
}

fn is_lie(name: &HeaderName) -> bool {
    let name = name.as_str();
    if name.contains('_') {
        // Apps behind CGI, WSGI and PHP read it as if it had a hyphen.
        return true;
    }
    if name == "forwarded" {
        return true;
    }
    let Some(rest) = name.strip_prefix('x') else { return false };
    // Some servers make one character of all that are neither letters nor digits.
    let begins = |prefix: &str| {
        rest.len() >= prefix.len()
            && rest.bytes().zip(prefix.bytes()).all(|(byte, wanted)| {
                byte == wanted || (!byte.is_ascii_alphanumeric() && wanted == b'-')
            })
    };
    ["-wechat-", "-forwarded-", "-original-", "-rewrite-", "-real-ip"].into_iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut request = http::Request::builder().uri("/").header("host", "h5.example.com");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        let origin = Origin::parse("https://h5.example.com").unwrap();
        prepare_request(&mut head, None, "192.0.2.7:4711".parse().unwrap(), &origin);
        head.headers
    }

    #[test]
    fn c11_no_spelling_of_an_identity_header_gets_through() {
        for name in [
            "x-wechat-openid",
            "X-WeChat-Openid",
            "x_wechat_openid",
            "X-WeChat_Openid",
            "x.wechat.openid",
            "x-wechat.openid",
            "x!wechat!openid",
            "x~forwarded~user",
            "x-wechat-anything",
            "x-forwarded-user",
            "x_forwarded_user",
            "x.forwarded.user",
        ] {
            let headers = prepared(&[(name, "spoofed"), ("x-harmless", "1")]);
            assert!(!headers.values().any(|value| value == "spoofed"), "{name}");
            assert_eq!(headers["x-harmless"], "1");
        }
    }

    #[test]
    fn c13_where_a_request_came_from_is_said_by_us_alone() {
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-prefix",
            "x-forwarded-port",
            "x-forwarded-uri",
            "x_forwarded_host",
            "x-real-ip",
            "x-original-url",
            "x-original-uri",
            "x-rewrite-url",
        ] {
            let headers = prepared(&[(name, "spoofed")]);
            assert!(!headers.values().any(|value| value == "spoofed"), "{name}");
        }
        let headers = prepared(&[("x-forwarded-for", "10.0.0.1")]);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "h5.example.com");
    }

    #[test]
    fn what_concerns_one_connection_stays_on_it() {
        let headers = prepared(&[
            ("connection", "close, X-Secret"),
            ("connection", "host, content-length, x-forwarded-for"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip"),
            ("upgrade", "h2c"),
            ("content-length", "3"),
            ("authorization", "Bearer app"),
            ("expect", "100-continue"),
            ("trailer", "x-wechat-openid"),
        ]);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "authorization",
            "content-length",
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_message_has_one_length() {
        let headers = prepared(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        assert!(!headers.contains_key("content-length"));
        assert_eq!(headers["transfer-encoding"], "chunked");
    }

    #[test]
    fn websockets_and_trailers_are_asked_for_again() {
        let headers = prepared(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]);
        assert_eq!(
            (&headers["connection"], &headers["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
        for (connection, upgrade) in
            [("upgrade", "h2c"), ("keep-alive", "websocket"), ("upgrade", "websocket, h2c")]
        {
            let headers = prepared(&[("connection", connection), ("upgrade", upgrade)]);
            assert!(!headers.contains_key("upgrade"), "{connection} {upgrade}");
        }
        assert_eq!(prepared(&[("te", "trailers, deflate")])["te"], "trailers");
    }

    #[test]
    fn a_target_names_one_host_and_a_path() {
        let check = |method: &str, uri: &str, hosts: &[&str]| {
            let mut request = http::Request::builder().method(method).uri(uri);
            for host in hosts {
                request = request.header("host", *host);
            }
            let mut head = request.body(()).unwrap().into_parts().0;
            check_target(&mut head).map(|()| head.uri.to_string())
        };
        let own = &["h5.example.com"][..];
        assert_eq!(check("GET", "/a?b", own).unwrap(), "/a?b");
        assert_eq!(check("GET", "http://H5.example.com/a?b", own).unwrap(), "/a?b");
        assert_eq!(check("GET", "/a", &[]), Err(BadTarget::Host));
        assert_eq!(check("GET", "/a", &["a", "b"]), Err(BadTarget::Host));
        assert_eq!(check("GET", "/a", &["a", "a"]), Err(BadTarget::Host));
        assert_eq!(check("GET", "/a", &[""]), Err(BadTarget::Host));
        assert_eq!(check("GET", "/a", &["a@b"]), Err(BadTarget::Host));
        assert_eq!(check("GET", "http://evil.example/a", own), Err(BadTarget::OtherAuthority));
        assert_eq!(check("OPTIONS", "*", own), Err(BadTarget::NoPath));
        assert_eq!(check("CONNECT", "h5.example.com:443", own), Err(BadTarget::NoPath));
    }
}
