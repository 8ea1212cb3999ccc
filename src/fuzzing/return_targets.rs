//! Where browsers are sent: never off our own origin, and codes of apps to listed addresses only.

use percent_encoding::percent_decode;
use url::Url;

use crate::{doors::facade, login::ReturnTo, origin::Origin};

/// The data is a target as somebody has asked for it.
pub fn return_targets(data: &[u8]) {
    let Ok(asked) = std::str::from_utf8(data) else { return };
    for site in ["https://h5.example.com", "http://localhost:8080"] {
        let site = Origin::parse(site).expect("it is an origin");
        let target = ReturnTo::parse(asked, &site);
        check(target.as_str(), &site);
        let again = ReturnTo::parse(target.as_str(), &site);
        assert_eq!(again, target, "what is normal stays as it is");
        let page = target.without_fragment();
        check(page.as_str(), &site);
        assert!(!page.as_str().contains('#') && target.as_str().starts_with(page.as_str()));
    }
    if let Ok(asked) = Url::parse(asked) {
        check_listed(&asked);
    }
}

fn check(target: &str, site: &Origin) {
    assert!(target.starts_with('/'), "{target:?}");
    assert!(target.len() <= 2048, "{target:?}");
    assert!(!target.contains(|c: char| c.is_control() || c.is_whitespace()), "{target:?}");
    assert!(target.is_ascii(), "{target:?}");
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut path = path.as_bytes().to_vec();
    for round in 0..=3 {
        let odd = |byte: &u8| *byte == b'\\' || *byte == b' ' || byte.is_ascii_control();
        assert!(!path.iter().any(odd), "{target:?} after {round} rounds");
        assert!(!path.starts_with(b"//"), "{target:?} after {round} rounds");
        path = percent_decode(&path).collect();
    }
    // On every page of ours and of the app's, whatever a browser makes of it there.
    for page in ["/", "/_wx/callback?code=1", "/a/b/c?d#e"] {
        let page = site.url().join(page).expect("it is a page of ours");
        let there = page.join(target).expect("a target is a reference");
        assert_eq!(there.origin(), site.url().origin(), "{target:?}");
        assert!(there.username().is_empty() && there.password().is_none(), "{target:?}");
    }
}

/// The addresses to which an app's codes may go.
fn check_listed(asked: &Url) {
    for (listed, origin, path) in [
        ("https://old.example.com/app/", "https://old.example.com", "/app"),
        ("https://old.example.com/", "https://old.example.com", ""),
        ("http://127.0.0.1:9000/cb", "http://127.0.0.1:9000", "/cb"),
    ] {
        let listed = Url::parse(listed).expect("it is a URL");
        if !facade::leads_below(asked, &listed) {
            continue;
        }
        let sent = Url::parse(asked.as_str()).expect("it was one");
        assert_eq!(sent.origin().ascii_serialization(), origin, "{asked}");
        assert!(sent.username().is_empty() && sent.password().is_none(), "{asked}");
        let below = sent.path().strip_prefix(path);
        assert!(below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')), "{asked}");
        // However an app's server reads it, it does not climb out of what is listed.
        let decoded: Vec<u8> = percent_decode(sent.path().as_bytes()).collect();
        let climbs = |part: &[u8]| part.split(|byte| *byte == b';').next() == Some(&b".."[..]);
        assert!(!decoded.split(|byte| b"/\\".contains(byte)).any(climbs), "{asked}");
    }
}
