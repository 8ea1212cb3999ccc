//! The path of a request in one form, so that what is matched is what is served.

use std::borrow::Cow;

use http::{Uri, request::Parts, uri::PathAndQuery};
use percent_encoding::percent_decode;

/// A path that two servers could read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPath {
    /// Not a path at all, as in `OPTIONS *`.
    #[error("the path does not begin with a slash")]
    NoPath,
    /// A `%` without two hexadecimal digits behind it.
    #[error("the path has a broken percent-encoding")]
    BrokenEncoding,
    /// An encoded slash, backslash, `?`, `#` or control character, or a raw backslash.
    #[error("the path has a character that servers read in different ways")]
    Ambiguous,
}

/// Brings the request's path into its canonical form, in place. A path that has it already is left alone.
pub(crate) fn canonicalise(head: &mut Parts) -> Result<(), BadPath> {
    let Cow::Owned(path) = canonical(head.uri.path())? else { return Ok(()) };
    let target = match head.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| BadPath::Ambiguous)?);
    head.uri = Uri::from_parts(parts).map_err(|_| BadPath::Ambiguous)?;
    Ok(())
}

/// Whether a path has its canonical form already.
#[cfg(feature = "axum")]
pub(crate) fn check(path: &str) -> Result<(), BadPath> {
    match canonical(path)? {
        Cow::Borrowed(_) => Ok(()),
        Cow::Owned(_) => Err(BadPath::Ambiguous),
    }
}

/// The path without empty and dot segments. Encoded characters stay as they are.
fn canonical(path: &str) -> Result<Cow<'_, str>, BadPath> {
    let Some(inner) = path.strip_prefix('/') else { return Err(BadPath::NoPath) };
    check_characters(path.as_bytes())?;
    let vanishes = |segment: &str| !segment.is_empty() && without_parameters(segment).is_empty();
    if inner.split('/').any(vanishes) {
        // Without its parameters the segment is empty, and some servers leave it out then.
        return Err(BadPath::Ambiguous);
    }
    let is_plain = |segment: &str| !segment.is_empty() && dots(segment) == Dots::None;
    let (folders, last) = inner.rsplit_once('/').map_or((None, inner), |(f, l)| (Some(f), l));
    let all_plain = folders.is_none_or(|folders| folders.split('/').all(is_plain));
    if all_plain && (last.is_empty() || is_plain(last)) {
        return Ok(Cow::Borrowed(path));
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in inner.split('/') {
        ends_in_folder = segment.is_empty();
        match dots(segment) {
            Dots::None if segment.is_empty() => {}
            Dots::None => kept.push(segment),
            Dots::Here => ends_in_folder = true,
            Dots::Up => {
                kept.pop();
                ends_in_folder = true;
            }
            Dots::Hidden => return Err(BadPath::Ambiguous),
        }
    }
    let end = if ends_in_folder && !kept.is_empty() { "/" } else { "" };
    Ok(Cow::Owned(format!("/{}{end}", kept.join("/"))))
}

fn check_characters(path: &[u8]) -> Result<(), BadPath> {
    for (at, byte) in path.iter().enumerate() {
        match byte {
            b'\\' => return Err(BadPath::Ambiguous),
            b'%' => {
                let decoded =
                    decode_pair(path.get(at + 1..at + 3)).ok_or(BadPath::BrokenEncoding)?;
                if decoded.is_ascii_control() || b"/\\?#".contains(&decoded) {
                    return Err(BadPath::Ambiguous);
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn decode_pair(pair: Option<&[u8]>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low] = pair? else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// What is left of a segment where its parameters are cut off (`;x` in `/private;x`), as Java servers do. A server before
/// them may have decoded their semicolon.
pub(super) fn without_parameters(segment: &str) -> &str {
    let mut places = segment.bytes().enumerate().filter(|(_, byte)| matches!(byte, b';' | b'%'));
    let begins = places.find(|(at, byte)| {
        let pair = segment.as_bytes().get(at + 1..at + 3);
        *byte == b';' || decode_pair(pair) == Some(b';')
    });
    begins.map_or(segment, |(at, _)| &segment[..at])
}

#[derive(PartialEq)]
enum Dots {
    None,
    /// `.`
    Here,
    /// `..`
    Up,
    /// One of both with parameters behind it, which Java servers cut off.
    Hidden,
}

fn dots(segment: &str) -> Dots {
    if !segment.starts_with(['.', '%']) {
        return Dots::None;
    }
    let name = without_parameters(segment);
    let parameters = name.len() < segment.len();
    let is = |dots: &[u8]| percent_decode(name.as_bytes()).eq(dots.iter().copied());
    match (is(b"."), is(b".."), parameters) {
        (false, false, _) => Dots::None,
        (_, _, true) => Dots::Hidden,
        (true, ..) => Dots::Here,
        (_, true, _) => Dots::Up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c18_a_path_has_one_form_or_is_refused() {
        for same in [
            "/",
            "/a",
            "/a/",
            "/a/b.html",
            "/...",
            "/.well-known/x",
            "/%E8%AE%A2/y;x=1",
            "/y%3bx",
            "/a%20b",
            "/%252e",
        ] {
            assert!(matches!(canonical(same), Ok(Cow::Borrowed(form)) if form == same), "{same}");
        }
        for (path, form) in [
            ("//", "/"),
            ("//a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../../b", "/b"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b/", "/b/"),
            ("/%2e/b", "/b"),
            ("/.", "/"),
            ("/..", "/"),
            ("/./..", "/"),
            ("/%2e%2e", "/"),
            ("/a//", "/a/"),
        ] {
            assert_eq!(canonical(path).unwrap(), form, "{path}");
            assert_eq!(canonical(form).unwrap(), form);
        }
        for bad in [
            "*",
            "",
            "a",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/%00",
            "/a%0d%0ab",
            "/a%23b",
            "/a%3fb",
            "/%7f",
            "/a/..;/b",
            "/a/%2e%2e;x/b",
            "/;/b",
            "/;x/b",
            "/a/;x/b",
            "/a/;x",
            "/.;/b",
            "/a/..%3b/b",
            "/%2e%2E%3Bx/b",
            "/%3bx/b",
            "/%",
            "/%2",
            "/%zz",
        ] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn c18_what_was_matched_is_what_is_sent_on() {
        let uri = |uri: &str| {
            let mut head = http::Request::builder().uri(uri).body(()).unwrap().into_parts().0;
            canonicalise(&mut head).map(|()| head.uri.to_string())
        };
        assert_eq!(uri("/public/..//private?a=//b/../c").unwrap(), "/private?a=//b/../c");
        assert_eq!(uri("http://h5.example.com/a//b").unwrap(), "http://h5.example.com/a/b");
        assert_eq!(uri("/a?%2f").unwrap(), "/a?%2f");
        assert!(uri("/a%2f?b").is_err());
    }
}
