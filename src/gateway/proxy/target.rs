//! Which targets of requests are taken: those with one meaning only.

use http::{
    HeaderValue, Method, Uri, Version,
    header::HOST,
    request::Parts,
    uri::{Authority, PathAndQuery},
};

/// A target that the HTTP parser takes and we do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadTarget {
    #[error("no host, more than one, or one that is not text")]
    Host,
    #[error("the target names another host than the `Host` header")]
    OtherAuthority,
    #[error("a tunnel or a target without a path")]
    NoPath,
}

/// Takes targets with one meaning only: one host, and a path of it. An absolute target, as HTTP/2 has it always, is
/// brought into the usual form, with a `Host` header.
pub(crate) fn check_target(head: &mut Parts) -> Result<(), BadTarget> {
    if head.method == Method::CONNECT {
        return Err(BadTarget::NoPath);
    }
    if head.version == Version::HTTP_2
        && !head.headers.contains_key(HOST)
        && let Some(authority) = head.uri.authority()
    {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| BadTarget::Host)?;
        head.headers.insert(HOST, host);
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(BadTarget::Host) };
    let host = host.to_str().map_err(|_| BadTarget::Host)?;
    let is_odd = |c: char| !c.is_ascii_alphanumeric() && !"-._~:[]".contains(c);
    if host.is_empty() || host.contains(is_odd) || host.parse::<Authority>().is_err() {
        return Err(BadTarget::Host);
    }
    if let Some(authority) = head.uri.authority() {
        if !authority.as_str().eq_ignore_ascii_case(host) {
            return Err(BadTarget::OtherAuthority);
        }
        let target = head.uri.path_and_query().cloned();
        head.uri = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
    }
    if let Some(query) = head.uri.path_and_query().map(PathAndQuery::as_str)
        && query.starts_with('?')
    {
        // The path is `/` without being written, and apps want to see it.
        let target = PathAndQuery::try_from(format!("/{query}"));
        head.uri = Uri::from(target.map_err(|_| BadTarget::NoPath)?);
    }
    if head.uri.path().starts_with('/') { Ok(()) } else { Err(BadTarget::NoPath) }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(check("GET", "http://h5.example.com?b", own).unwrap(), "/?b");
        assert_eq!(check("GET", "http://h5.example.com", own).unwrap(), "/");
        assert_eq!(check("GET", "/a", &[]), Err(BadTarget::Host));
        assert_eq!(check("GET", "/a", &["a", "b"]), Err(BadTarget::Host));
        assert_eq!(check("GET", "/a", &["a", "a"]), Err(BadTarget::Host));
        assert_eq!(check("GET", "/a", &[""]), Err(BadTarget::Host));
        for odd in ["a@b", "a/b", "a b", "a,b", "a\\b", "a?b", "a#b", "a%62", "[::1", "a\"b"] {
            assert_eq!(check("GET", "/a", &[odd]), Err(BadTarget::Host), "{odd}");
        }
        for good in ["a", "a:8080", "127.0.0.1", "[::1]:80", "a_b.example.", "xn--fiq228c.cn"] {
            assert_eq!(check("GET", "/a", &[good]).unwrap(), "/a", "{good}");
        }
        assert_eq!(check("GET", "http://evil.example/a", own), Err(BadTarget::OtherAuthority));
        assert_eq!(check("OPTIONS", "*", own), Err(BadTarget::NoPath));
        assert_eq!(check("CONNECT", "h5.example.com:443", own), Err(BadTarget::NoPath));
    }

    #[test]
    fn http2_says_the_host_in_another_place() {
        let check = |uri: &str, hosts: &[&str]| {
            let mut request = http::Request::builder().version(Version::HTTP_2).uri(uri);
            for host in hosts {
                request = request.header("host", *host);
            }
            let mut head = request.body(()).unwrap().into_parts().0;
            check_target(&mut head)?;
            let host = head.headers[HOST].to_str().unwrap().to_owned();
            let target = head.uri.path_and_query().unwrap().to_string();
            assert_eq!(target, head.uri.to_string(), "in the usual form");
            Ok((target, host))
        };
        let own = |uri: &str| Ok((uri.to_owned(), "h5.example.com".to_owned()));
        assert_eq!(check("https://h5.example.com/a?b", &[]), own("/a?b"));
        assert_eq!(check("http://h5.example.com/", &["h5.example.com"]), own("/"));
        assert_eq!(check("https://h5.example.com?b", &[]), own("/?b"));
        assert_eq!(check("/a", &["h5.example.com"]), own("/a"));
        assert_eq!(
            check("https://h5.example.com/", &["evil.example"]),
            Err(BadTarget::OtherAuthority)
        );
        assert_eq!(check("https://a/", &["a", "a"]), Err(BadTarget::Host));
        assert_eq!(check("https://user@h5.example.com/", &[]), Err(BadTarget::Host));
        assert_eq!(check("/a", &[]), Err(BadTarget::Host));
    }
}
