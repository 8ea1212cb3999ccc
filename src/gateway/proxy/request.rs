//! What an upstream is told of a request: which headers go on, and what is said in them.

use std::fmt;

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
};
use http_body::Body;

use super::{
    cookies,
    hop_by_hop::{is_of_one_connection, named_by_connection, tokens},
};
use crate::gateway::client_address::ClientAddress;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What an upstream is told of a request beside what the client has said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarding<'a> {
    pub(crate) client: &'a ClientAddress,
    /// What browsers speak: `https` or `http`.
    pub(crate) scheme: &'a str,
    /// Whether header names with an underscore go on.
    pub(crate) underscores: bool,
    /// What the upstream is called, where it shall not see what browsers call us.
    pub(crate) host: Option<&'a HeaderValue>,
    pub(crate) request_id: &'a HeaderValue,
    /// Who has sent it. Nothing that a client says can touch this.
    pub(crate) identity: &'a dyn Identity,
}

/// Who has sent a request.
pub(crate) trait Identity: fmt::Debug + Sync {
    /// Says it, header by header, in values that are fit for one, and under names that nobody else may use: those of which a
    /// client's are left out in every spelling, whoever is signed in.
    fn tell(&self, line: &mut dyn FnMut(&HeaderName, &[u8]));
}

/// How long the body of a request is, which is for us to say and not for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is none, and nothing is said of it.
    NoBody,
    Of(u64),
    /// It is sent in chunks.
    Unknown,
}

impl Length {
    pub(super) fn of(head: &Parts, body: &impl Body) -> Self {
        match body.size_hint().exact() {
            // A form without fields: some servers want to be told.
            _ if body.is_end_stream() && head.headers.contains_key(CONTENT_LENGTH) => Self::Of(0),
            _ if body.is_end_stream() => Self::NoBody,
            Some(length) => Self::Of(length),
            None => Self::Unknown,
        }
    }
}

/// Where the headers of a request are written.
pub(crate) trait Lines {
    fn line(&mut self, name: &HeaderName, value: &[u8]);

    /// A value that is there already, and need not be made.
    fn known(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.line(name, value.as_bytes());
    }
}

impl Lines for HeaderMap {
    fn line(&mut self, name: &HeaderName, value: &[u8]) {
        let value = HeaderValue::from_bytes(value);
        self.append(name, value.expect("parts of header values make a header value"));
    }

    fn known(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.append(name, value.clone());
    }
}

/// Writes the headers of a request as an upstream gets them: without what was meant for us or would lie, and with what we
/// know.
pub(crate) fn tell(
    head: &Parts,
    length: Length,
    forwarding: &Forwarding<'_>,
    lines: &mut impl Lines,
) {
    let headers = &head.headers;
    let host = headers.get(HOST);
    if let Some(host) = forwarding.host.or(host) {
        lines.known(&HOST, host);
    }
    let named = named_by_connection(headers);
    tell_what_was_said(headers, &named, forwarding, lines);
    if !named.iter().any(|named| COOKIE == **named) {
        cookies::tell_theirs(headers, lines);
    }
    if is_websocket(head) {
        lines.line(&CONNECTION, b"upgrade");
        lines.line(&UPGRADE, b"websocket");
    } else if accepts_trailers(headers) {
        lines.line(&TE, b"trailers");
        lines.line(&CONNECTION, b"te");
    }
    match length {
        Length::NoBody => {}
        Length::Of(length) => lines.line(&CONTENT_LENGTH, length.to_string().as_bytes()),
        Length::Unknown => lines.line(&TRANSFER_ENCODING, b"chunked"),
    }
    let chain = &forwarding.client.chain;
    lines.known(&FORWARDED_FOR, chain);
    lines.line(&REAL_IP, forwarding.client.first_of_chain());
    lines.line(&FORWARDED_PROTO, forwarding.scheme.as_bytes());
    if let Some(host) = host {
        lines.known(&FORWARDED_HOST, host);
    }
    lines.known(&REQUEST_ID, forwarding.request_id);
    forwarding.identity.tell(&mut |name, value| {
        debug_assert!(is_lie(name), "a client may say {name} too");
        lines.line(name, value);
    });
}

/// What the client has said and may go on, but for its cookies.
fn tell_what_was_said(
    headers: &HeaderMap,
    named: &[String],
    forwarding: &Forwarding<'_>,
    lines: &mut impl Lines,
) {
    for (name, value) in headers {
        // The client has been told to go on already, by reading its body, so nobody has to `Expect` it. Without `Trailer`
        // trailers stay here: some apps take them for headers, and nobody would have looked at them.
        let is_ours_to_say = matches!(*name, HOST | COOKIE | CONTENT_LENGTH | EXPECT | TRAILER);
        let text = name.as_str();
        if is_ours_to_say
            || is_of_one_connection(name)
            // Apps behind CGI, WSGI and PHP read an underscore as if it were a hyphen.
            || (!forwarding.underscores && text.contains('_'))
            || is_lie(name)
            || named.iter().any(|named| named == text)
        {
            continue;
        }
        lines.known(name, value);
    }
}

/// Whether the client asks for a WebSocket. No other upgrade is passed on: `h2c` would get past every rule here. HTTP/1.0 has
/// no upgrades, and somebody who speaks it would not know what follows.
pub(crate) fn is_websocket(head: &Parts) -> bool {
    let headers = &head.headers;
    if head.version != Version::HTTP_11 {
        return false;
    }
    let upgrade =
        headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    upgrade && tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"))
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case("trailers"))
}

/// Whether a header, however it is spelled, says who somebody is or where a request came from.
fn is_lie(name: &HeaderName) -> bool {
    const BEGINNINGS: [&str; 7] = [
        "-wechat-",
        "-forwarded-",
        "-auth-request-",
        "-original-",
        "-rewrite-",
        "-real-ip",
        "-request-id",
    ];
    let name = name.as_str();
    if name == "forwarded" {
        return true;
    }
    let Some(rest) = name.strip_prefix('x') else { return false };
    let begins = |beginning: &&str| {
        rest.get(..beginning.len()).is_some_and(|rest| reads_as(rest, beginning))
    };
    BEGINNINGS.iter().any(begins)
}

/// Whether some server could take one header name for another: some make one character of all that are neither letters
/// nor digits.
fn reads_as(name: &str, other: &str) -> bool {
    let mut pairs = name.bytes().zip(other.bytes());
    name.len() == other.len()
        && pairs.all(|(a, b)| a == b || (!a.is_ascii_alphanumeric() && !b.is_ascii_alphanumeric()))
}

/// Nobody.
#[cfg(any(test, fuzzing))]
impl Identity for () {
    fn tell(&self, _: &mut dyn FnMut(&HeaderName, &[u8])) {}
}

#[cfg(any(test, fuzzing))]
impl<const N: usize> Identity for [(HeaderName, HeaderValue); N] {
    fn tell(&self, line: &mut dyn FnMut(&HeaderName, &[u8])) {
        for (name, value) in self {
            line(name, value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn prepared(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut request = http::Request::builder().uri("/").header("host", "h5.example.com");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        told(&request.body(()).unwrap().into_parts().0, &forwarding())
    }

    /// What is told of the address 192.0.2.7, behind a proxy, and of nobody.
    fn forwarding() -> Forwarding<'static> {
        static CLIENT: LazyLock<ClientAddress> = LazyLock::new(|| ClientAddress {
            ip: "192.0.2.7".parse().unwrap(),
            chain: HeaderValue::from_static("192.0.2.7, 10.0.0.1"),
        });
        static ID: HeaderValue = HeaderValue::from_static("id-1");
        Forwarding {
            client: &CLIENT,
            scheme: "https",
            underscores: false,
            host: None,
            request_id: &ID,
            identity: &(),
        }
    }

    fn told(head: &Parts, forwarding: &Forwarding<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        tell(head, Length::NoBody, forwarding, &mut headers);
        headers
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
            "x-auth-request-user",
            "X_Auth_Request_Email",
            "x.auth-request.preferred.username",
        ] {
            for underscores in [false, true] {
                let head = http::Request::builder().uri("/").header("host", "h5.example.com");
                let head = head.header(name, "spoofed").header("x-harmless", "1").body(());
                let head = head.unwrap().into_parts().0;
                let headers = told(&head, &Forwarding { underscores, ..forwarding() });
                assert!(!headers.values().any(|value| value == "spoofed"), "{name}");
                assert_eq!(headers["x-harmless"], "1");
            }
        }
    }

    #[test]
    fn c11_what_we_say_of_somebody_is_said_once() {
        let names = ["x-wechat-openid", "x-forwarded-user", "x-auth-request-user"];
        let mut head = http::Request::builder().uri("/").header("host", "h5.example.com");
        for name in names.into_iter().chain(["x_wechat_openid", "x.forwarded.user", "x-user"]) {
            head = head.header(name, "client").header(name, "client again");
        }
        let head = head.body(()).unwrap().into_parts().0;
        let value = HeaderValue::from_static("ours");
        let identity = names.map(|name| (HeaderName::from_static(name), value.clone()));
        let told_by_us = Forwarding { underscores: true, identity: &identity, ..forwarding() };
        let headers = told(&head, &told_by_us);
        for name in names {
            assert!(headers.get_all(name).iter().eq([&value]), "{name}");
        }
        assert!(!headers.contains_key("x_wechat_openid"));
        assert!(!headers.contains_key("x.forwarded.user"));
        assert_eq!(headers.get_all("x-user").iter().count(), 2);
    }

    #[test]
    fn names_with_an_underscore_go_on_where_the_operator_says_so() {
        for (underscores, count) in [(false, 0), (true, 1)] {
            let head = http::Request::builder().uri("/").header("host", "a").header("api_key", "1");
            let head = head.body(()).unwrap().into_parts().0;
            let headers = told(&head, &Forwarding { underscores, ..forwarding() });
            assert_eq!(headers.get_all("api_key").iter().count(), count);
        }
    }

    #[test]
    fn an_upstream_may_be_called_by_its_own_name() {
        static OWN: HeaderValue = HeaderValue::from_static("app:3000");
        let head = http::Request::builder().uri("/api/x?y").header("host", "h5.example.com");
        let head = head.body(()).unwrap().into_parts().0;
        let headers = told(&head, &Forwarding { host: Some(&OWN), ..forwarding() });
        assert_eq!(headers["host"], "app:3000");
        assert_eq!(headers["x-forwarded-host"], "h5.example.com");
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
            "x-forwarded-method",
            "x-forwarded-server",
            "x-forwarded-unheard-of",
            "x_forwarded_host",
            "X_Forwarded-Port",
            "x.forwarded.prefix",
            "x-real-ip",
            "x_real_ip",
            "x-request-id",
            "x_request_id",
            "x-original-url",
            "x-original-uri",
            "x-original-method",
            "x-original-host",
            "x_original_url",
            "x-rewrite-url",
            "x_rewrite_url",
        ] {
            for underscores in [false, true] {
                let head = http::Request::builder().uri("/").header("host", "h5.example.com");
                let head = head.header(name, "spoofed").header("x-origin", "1").body(());
                let head = head.unwrap().into_parts().0;
                let headers = told(&head, &Forwarding { underscores, ..forwarding() });
                assert!(!headers.values().any(|value| value == "spoofed"), "{name}");
                assert_eq!(headers["x-origin"], "1");
            }
        }
        let headers = prepared(&[("x-forwarded-for", "10.0.0.1")]);
        assert_eq!(headers["x-forwarded-for"], "192.0.2.7, 10.0.0.1");
        assert_eq!(headers["x-real-ip"], "192.0.2.7");
        assert_eq!(headers["x-request-id"], "id-1");
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
            "host",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-real-ip",
            "x-request-id",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_message_has_one_length_which_we_have_counted() {
        let said = http::Request::post("/").header("host", "a").header("content-length", "9");
        let said = said.header("transfer-encoding", "gzip, chunked").body(());
        let head = said.unwrap().into_parts().0;
        for (length, says, coding) in [
            (Length::NoBody, None, None),
            (Length::Of(0), Some("0"), None),
            (Length::Of(7), Some("7"), None),
            (Length::Unknown, None, Some("chunked")),
        ] {
            let mut headers = HeaderMap::new();
            tell(&head, length, &forwarding(), &mut headers);
            let only = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap());
            assert!(only(CONTENT_LENGTH).eq(says), "{length:?}");
            assert!(only(TRANSFER_ENCODING).eq(coding), "{length:?}");
        }
    }

    #[test]
    fn the_length_is_the_body_s_own() {
        use http_body_util::{BodyExt, Empty, Full};
        let head = |length: Option<&'static str>| {
            let mut request = http::Request::post("/");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            request.body(()).unwrap().into_parts().0
        };
        let none = Empty::<bytes::Bytes>::new();
        assert_eq!(Length::of(&head(None), &none), Length::NoBody);
        assert_eq!(Length::of(&head(Some("0")), &none), Length::Of(0));
        assert_eq!(Length::of(&head(Some("5")), &none), Length::Of(0));
        assert_eq!(Length::of(&head(Some("5")), &Full::<bytes::Bytes>::from("abc")), Length::Of(3));
        let streamed = http_body_util::StreamBody::new(futures_util::stream::iter([Ok::<_, ()>(
            http_body::Frame::data(bytes::Bytes::from("abc")),
        )]));
        assert_eq!(Length::of(&head(Some("3")), &streamed.boxed_unsync()), Length::Unknown);
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
}
