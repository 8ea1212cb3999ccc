//! What becomes of a request on its way to the upstream: which headers go on, and what is said in them.

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRAILER, TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
};

use super::{cookies, rewrite::rewrite};
use crate::gateway::client_address::ClientAddress;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What an upstream is told of a request, apart from who has sent it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarding<'a> {
    pub(crate) client: &'a ClientAddress,
    /// What browsers speak: `https` or `http`.
    pub(crate) scheme: &'a str,
    /// Whether header names with an underscore go on.
    pub(crate) underscores: bool,
    /// The prefix that the path was matched by, and what it becomes.
    pub(crate) rewrite: Option<(&'a str, &'a str)>,
    /// What the upstream is called, where it shall not see what browsers call us.
    pub(crate) host: Option<&'a HeaderValue>,
    pub(crate) request_id: &'a HeaderValue,
}

/// Takes out of a request what was meant for us, or would lie to the upstream, and puts in what we know.
pub(crate) fn prepare_request(head: &mut Parts, forwarding: &Forwarding<'_>) {
    if let Some((prefix, replacement)) = forwarding.rewrite {
        rewrite(head, prefix, replacement);
    }
    let socket = is_websocket(head);
    // Each side of us has an HTTP version of its own.
    head.version = Version::HTTP_11;
    let headers = &mut head.headers;
    let trailers = accepts_trailers(headers);
    cut_hop_by_hop(headers);
    cut_what_lies(headers, forwarding.underscores);
    cookies::cut_ours(headers);
    // The client has been told to go on already, by reading its body.
    headers.remove(EXPECT);
    // Without it trailers stay here: some apps take them for headers, and nobody would have looked at them.
    headers.remove(TRAILER);
    if socket {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    } else if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    headers.insert(FORWARDED_FOR, forwarding.client.chain.clone());
    if let Ok(client) = HeaderValue::try_from(forwarding.client.ip.to_string()) {
        headers.insert(REAL_IP, client);
    }
    if let Ok(scheme) = HeaderValue::from_str(forwarding.scheme) {
        headers.insert(FORWARDED_PROTO, scheme);
    }
    if let Some(host) = headers.get(HOST).cloned() {
        headers.insert(FORWARDED_HOST, host);
    }
    if let Some(host) = forwarding.host {
        headers.insert(HOST, host.clone());
    }
    headers.insert(REQUEST_ID, forwarding.request_id.clone());
}

/// Says who somebody is. Comes last, so that nothing that a client has said can touch it.
pub(crate) fn identify(
    headers: &mut HeaderMap,
    identity: impl Iterator<Item = (HeaderName, HeaderValue)>,
) {
    for (name, value) in identity {
        // Those that we know have been cut in every spelling, whoever is signed in. This is for the rest.
        if !is_lie(&name) {
            let spelled = |other: &HeaderName| reads_as(other.as_str(), name.as_str());
            let others: Vec<HeaderName> = headers.keys().filter(|n| spelled(n)).cloned().collect();
            for other in &others {
                headers.remove(other);
            }
        }
        headers.insert(name, value);
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
fn cut_what_lies(headers: &mut HeaderMap, underscores: bool) {
    let lies = |name: &&HeaderName| {
        // Apps behind CGI, WSGI and PHP read an underscore as if it were a hyphen.
        (!underscores && name.as_str().contains('_')) || is_lie(name)
    };
    let lies: Vec<HeaderName> = headers.keys().filter(lies).cloned().collect();
    for name in &lies {
        headers.remove(name);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut request = http::Request::builder().uri("/").header("host", "h5.example.com");
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        change_and_prepare(&mut head, |_| {});
        head.headers
    }

    fn change_and_prepare(head: &mut Parts, change: impl FnOnce(&mut Forwarding<'_>)) {
        let chain = HeaderValue::from_static("192.0.2.7, 10.0.0.1");
        let client = ClientAddress { ip: "192.0.2.7".parse().unwrap(), chain };
        let mut forwarding = Forwarding {
            client: &client,
            scheme: "https",
            underscores: false,
            rewrite: None,
            host: None,
            request_id: &HeaderValue::from_static("id-1"),
        };
        change(&mut forwarding);
        prepare_request(head, &forwarding);
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
                let mut head = head.unwrap().into_parts().0;
                change_and_prepare(&mut head, |forwarding| forwarding.underscores = underscores);
                assert!(!head.headers.values().any(|value| value == "spoofed"), "{name}");
                assert_eq!(head.headers["x-harmless"], "1");
            }
        }
    }

    #[test]
    fn c11_what_we_say_of_somebody_is_said_once() {
        let names = ["x-wechat-openid", "x-member", "authorization"];
        let mut head = http::Request::builder().uri("/").header("host", "h5.example.com");
        for name in names.into_iter().chain(["x_member", "x.member", "x-members"]) {
            head = head.header(name, "client").header(name, "client again");
        }
        let mut head = head.body(()).unwrap().into_parts().0;
        change_and_prepare(&mut head, |forwarding| forwarding.underscores = true);
        let value = HeaderValue::from_static("ours");
        let identity = names.map(|name| (HeaderName::from_static(name), value.clone()));
        identify(&mut head.headers, identity.into_iter());
        for name in names {
            assert!(head.headers.get_all(name).iter().eq([&value]), "{name}");
        }
        assert!(!head.headers.contains_key("x_member") && !head.headers.contains_key("x.member"));
        assert_eq!(head.headers.get_all("x-members").iter().count(), 2);
    }

    #[test]
    fn names_with_an_underscore_go_on_where_the_operator_says_so() {
        for (underscores, count) in [(false, 0), (true, 1)] {
            let head = http::Request::builder().uri("/").header("host", "a").header("api_key", "1");
            let mut head = head.body(()).unwrap().into_parts().0;
            change_and_prepare(&mut head, |forwarding| forwarding.underscores = underscores);
            assert_eq!(head.headers.get_all("api_key").iter().count(), count);
        }
    }

    #[test]
    fn an_upstream_may_be_called_by_its_own_name() {
        static OWN: HeaderValue = HeaderValue::from_static("app:3000");
        let head = http::Request::builder().uri("/api/x?y").header("host", "h5.example.com");
        let mut head = head.body(()).unwrap().into_parts().0;
        change_and_prepare(&mut head, |forwarding| {
            forwarding.host = Some(&OWN);
            forwarding.rewrite = Some(("/api", "/v2"));
        });
        assert_eq!(head.headers["host"], "app:3000");
        assert_eq!(head.headers["x-forwarded-host"], "h5.example.com");
        assert_eq!(head.uri, "/v2/x?y");
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
                let mut head = head.unwrap().into_parts().0;
                change_and_prepare(&mut head, |forwarding| forwarding.underscores = underscores);
                assert!(!head.headers.values().any(|value| value == "spoofed"), "{name}");
                assert_eq!(head.headers["x-origin"], "1");
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
            "content-length",
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
    fn a_message_has_one_length() {
        let headers = prepared(&[("transfer-encoding", "chunked"), ("content-length", "3")]);
        // The body frames itself.
        assert!(!headers.contains_key("content-length"));
        assert!(!headers.contains_key("transfer-encoding"));
        assert_eq!(prepared(&[("content-length", "3")])["content-length"], "3");
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
