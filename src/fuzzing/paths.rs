//! Paths: one form or a refusal, and the rule that is found is the one that any server would mean.

use http::{Method, Uri, header, request::Parts};
use percent_encoding::percent_decode;

use super::{input::first_text, world::World};
use crate::{
    gateway::{
        proxy::{check_target, rewrite},
        site::Found,
    },
    login::{PREFIX, PathPattern, canonicalise, pattern::Reading},
};

/// The first line is the target of a request, the second one a pattern of paths.
pub fn paths(data: &[u8]) {
    let Some((target, rest)) = first_text(data) else { return };
    let Some(head) = taken(target) else { return };
    let path = head.uri.path().to_owned();
    check_form(&path);
    // The query is not touched. What a parser takes for a fragment is gone for everybody.
    let whole = target.split('#').next().unwrap_or_default();
    assert_eq!(head.uri.query(), whole.split_once('?').map(|(_, query)| query), "{target:?}");
    let mut again = head.clone();
    canonicalise(&mut again).expect("what is canonical stays good");
    assert_eq!(again.uri, head.uri, "one form");

    find_alike(&head);
    rewritten(&head);
    if let Some((pattern, _)) = first_text(rest) {
        pattern_alike(pattern, &path);
    }
}

/// The request, as it is judged. None where it is refused.
fn taken(target: &str) -> Option<Parts> {
    let uri: Uri = target.parse().ok()?;
    let head = http::Request::builder().uri(uri).header(header::HOST, "h5.example.com");
    let (mut head, ()) = head.body(()).ok()?.into_parts();
    check_target(&mut head).ok()?;
    canonicalise(&mut head).ok()?;
    Some(head)
}

fn check_form(path: &str) {
    assert!(path.starts_with('/') && !path.contains("//"), "{path:?}");
    let decoded = decoded(path);
    // A slash that only shows when the path is decoded would make other segments.
    let slashes = |path: &[u8]| path.split(|byte| *byte == b'/').count();
    assert_eq!(slashes(&decoded), slashes(path.as_bytes()), "{path:?}");
    let odd = |byte: &u8| b"\\?#".contains(byte) || byte.is_ascii_control();
    assert!(!decoded.iter().any(odd), "{path:?}");
    for segment in segments(&decoded) {
        let name = cut(segment);
        assert!(name != b"." && name != b".." && !name.is_empty(), "{path:?}");
    }
}

/// The route that is found is the one that a server would mean which decodes first and looks afterwards.
fn find_alike(head: &Parts) {
    let path = decoded(head.uri.path());
    let route = |route: &crate::gateway::site::Route| route.pattern.to_string();
    let kept = oracle(&path, |segment| segment);
    let cut = oracle(&path, cut);
    let loose = oracle(&path.to_ascii_lowercase(), self::cut);
    let found = match World::get().site().find(head) {
        Ok(Found::Route(found)) => Some(route(found)),
        Ok(Found::Endpoint(_)) => {
            assert!(path.starts_with(PREFIX.as_bytes()), "{}", head.uri);
            return;
        }
        Ok(Found::Nothing) => None,
        Err(_) => {
            assert!(kept != cut || kept != loose, "two readings that are one: {}", head.uri);
            return;
        }
    };
    assert_eq!(found.as_deref(), Some(kept), "{}", head.uri);
    assert_eq!(kept, cut, "two readings: {}", head.uri);
    assert!(kept == loose || asks(kept) >= asks(loose), "another case: {}", head.uri);
}

/// How much a rule asks. What each of two asks that the other does not is more than both.
fn asks(rule: &str) -> u8 {
    match rule {
        "/open/**" | "/private/maybe/**" | "/exact" | "/users/*/avatar" => 0,
        "/profile/**" => 2,
        "/staff/**" => 3,
        _ => 1,
    }
}

/// The rules of the world's site, said once more, without patterns.
fn oracle(path: &[u8], read: impl Fn(&[u8]) -> &[u8]) -> &'static str {
    let path: Vec<&[u8]> = segments(path).map(read).collect();
    match &*path {
        [b"open", ..] => "/open/**",
        [b"private", b"maybe", ..] => "/private/maybe/**",
        [b"private", ..] => "/private/**",
        [b"exact"] => "/exact",
        [b"users", _, b"avatar"] => "/users/*/avatar",
        [b"profile", ..] => "/profile/**",
        [b"staff", ..] => "/staff/**",
        _ => "/**",
    }
}

/// What goes on behind another beginning is the same path, still in the one form.
fn rewritten(head: &Parts) {
    let path = head.uri.path();
    if !PathPattern::prefix("/open").fits(path, Reading::AsWritten) {
        return;
    }
    let mut sent = head.clone();
    rewrite(&mut sent, "/open", "/v2/api");
    assert_eq!(sent.method, Method::GET);
    assert_eq!(sent.uri.query(), head.uri.query());
    check_form(sent.uri.path());
    let rest = path[1..].find('/').map_or("", |at| &path[at + 1..]);
    assert_eq!(sent.uri.path(), format!("/v2/api{rest}"));
}

/// A pattern says of a path what it says of the path once it is decoded.
fn pattern_alike(text: &str, path: &str) {
    let Ok(pattern) = text.parse::<PathPattern>() else { return };
    let written = pattern.to_string();
    if !written.is_empty() {
        let again: PathPattern = written.parse().expect("what was written can be read");
        assert_eq!(again, pattern, "{text:?} {written:?}");
    }
    let (wanted, below) = match text.strip_suffix("/**") {
        Some(wanted) => (wanted, true),
        None => (text, false),
    };
    let wanted: Vec<&[u8]> = segments(wanted.as_bytes()).collect();
    let decoded = decoded(path);
    for (reading, read) in [
        (Reading::AsWritten, (|it| it) as fn(&[u8]) -> &[u8]),
        (Reading::WithoutParameters, cut),
        (Reading::Loose, cut),
    ] {
        let given: Vec<&[u8]> = segments(&decoded).map(read).collect();
        let long_enough =
            if below { given.len() >= wanted.len() } else { given.len() == wanted.len() };
        let same = |(wanted, given): (&&[u8], &&[u8])| {
            let loosely = reading == Reading::Loose && wanted.eq_ignore_ascii_case(given);
            *wanted == b"*" || wanted == given || loosely
        };
        let fits = long_enough && wanted.iter().zip(&given).all(same);
        assert_eq!(pattern.fits(path, reading), fits, "{text:?} {path:?} {reading:?}");
    }
}

fn decoded(path: &str) -> Vec<u8> {
    percent_decode(path.as_bytes()).collect()
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty())
}

/// Without its parameters, as Java servers read it.
fn cut(segment: &[u8]) -> &[u8] {
    segment.split(|byte| *byte == b';').next().unwrap_or_default()
}
