//! Another beginning for the path of a request, where an app lives under another one than its visitors know.

use http::{Uri, request::Parts, uri::PathAndQuery};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What has no place in a path as it is. A `%` stays: it may be there to encode something.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The path as the client sent it, with a request whose path was rewritten.
#[derive(Clone, Debug)]
pub(super) struct PublicPath(pub(super) Box<str>);

/// Puts `replacement` in the place of `prefix`, which the path begins with. Whole segments are counted, since one may
/// be written in several ways. The rest of a canonical path stays canonical.
pub(crate) fn rewrite(head: &mut Parts, prefix: &str, replacement: &str) {
    let path = head.uri.path();
    let count = prefix.split('/').filter(|segment| !segment.is_empty()).count();
    let rest = after_segments(path, count);
    let mut target = String::with_capacity(replacement.len() + rest.len());
    for segment in replacement.split('/').filter(|segment| !segment.is_empty()) {
        target.push('/');
        target.extend(utf8_percent_encode(segment, ENCODED));
    }
    target.push_str(rest);
    if target.is_empty() {
        target.push('/');
    }
    if let Some(query) = head.uri.query() {
        target.push('?');
        target.push_str(query);
    }
    let public = PublicPath(path.into());
    let target = PathAndQuery::try_from(target);
    head.uri = Uri::from(target.expect("a part of a URI behind encoded text makes a path"));
    head.extensions.insert(public);
}

/// What follows the first `count` segments: nothing, or something that begins with a slash.
fn after_segments(path: &str, count: usize) -> &str {
    let mut slashes = path.match_indices('/').skip(count);
    slashes.next().map_or("", |(at, _)| &path[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(target: &str, prefix: &str, replacement: &str) -> String {
        let mut head = http::Request::builder().uri(target).body(()).unwrap().into_parts().0;
        rewrite(&mut head, prefix, replacement);
        assert_eq!(
            *head.extensions.get::<PublicPath>().unwrap().0,
            *target.split('?').next().unwrap()
        );
        head.uri.to_string()
    }

    #[test]
    fn a_prefix_gives_way_by_whole_segments() {
        for (target, prefix, replacement, to) in [
            ("/api/x", "/api", "/v2", "/v2/x"),
            ("/api/x", "/api/", "/v2/", "/v2/x"),
            ("/api", "/api", "/v2", "/v2"),
            ("/api/", "/api", "/v2", "/v2/"),
            ("/api?a=/api", "/api", "/v2", "/v2?a=/api"),
            ("/api/x?", "/api", "/v2", "/v2/x?"),
            ("/api/x/y.html?a=b", "/api/x", "/", "/y.html?a=b"),
            ("/api", "/api", "/", "/"),
            ("/api/", "/api", "/", "/"),
            ("/x", "/", "/v2", "/v2/x"),
            ("/", "/", "/v2", "/v2/"),
            ("/%61pi/%E8%AE%A2", "/api", "/a/b", "/a/b/%E8%AE%A2"),
            ("/api;v=1/x", "/api", "/v2", "/v2/x"),
            ("/api/x", "/api", "/订单 1", "/%E8%AE%A2%E5%8D%95%201/x"),
            ("/api/x", "/api", "/a%20b", "/a%20b/x"),
        ] {
            assert_eq!(rewritten(target, prefix, replacement), to, "{target}");
        }
    }
}
