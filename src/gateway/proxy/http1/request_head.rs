//! The head of a request, written as the rules tell it.

use http::{HeaderName, request::Parts};

use super::super::request::{Forwarding, Length, Lines, tell};

/// Text that headers are written to as they go over a connection.
struct Text<'a>(&'a mut Vec<u8>);

impl Lines for Text<'_> {
    fn line(&mut self, name: &HeaderName, value: &[u8]) {
        debug_assert!(!value.contains(&b'\n') && !value.contains(&b'\r'), "{name}");
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }
}

/// Writes the head of a request behind what is there. Neither a method nor a target, a name or a value of a request that
/// was read can hold the end of a line.
pub(crate) fn write_head(
    text: &mut Vec<u8>,
    head: &Parts,
    length: Length,
    forwarding: &Forwarding<'_>,
) {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    for part in [head.method.as_str(), " ", target, " HTTP/1.1\r\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    tell(head, length, forwarding, &mut Text(text));
    text.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::HeaderValue;

    use super::*;
    use crate::gateway::client_address::ClientAddress;

    #[test]
    fn a_head_is_a_line_for_the_target_and_one_for_each_header() {
        let request = http::Request::put("/a%20b?c=d").header("host", "h5.example.com");
        let request = request
            .header("cookie", "a=1; wxgate=x")
            .header("x-a", HeaderValue::from_bytes(b"\xff").unwrap());
        let head = request.body(()).unwrap().into_parts().0;
        let client = ClientAddress::from(IpAddr::from([192, 0, 2, 7]));
        let openid = (HeaderName::from_static("x-wechat-openid"), HeaderValue::from_static("o1"));
        let forwarding = Forwarding {
            client: &client,
            scheme: "https",
            underscores: false,
            host: None,
            request_id: &HeaderValue::from_static("id-1"),
            identity: &[openid],
        };
        let mut text = Vec::new();
        write_head(&mut text, &head, Length::Of(3), &forwarding);
        let expected =
            b"PUT /a%20b?c=d HTTP/1.1\r\nhost: h5.example.com\r\nx-a: \xff\r\ncookie: a=1\r\n\
            content-length: 3\r\nx-forwarded-for: 192.0.2.7\r\nx-real-ip: 192.0.2.7\r\n\
            x-forwarded-proto: https\r\nx-forwarded-host: h5.example.com\r\nx-request-id: id-1\r\n\
            x-wechat-openid: o1\r\n\r\n";
        assert_eq!(text.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}
