//! Where a browser goes after a sign-in or a sign-out: an address on our own site, always.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode;

use crate::origin::Origin;

/// A path, query and fragment on our own site, normalised. Anything else that was asked for has become `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReturnTo(Box<str>);

/// Browsers and front proxies take longer addresses, but not everywhere. A fragment that makes it longer is left out.
const LONGEST: usize = 2048;

impl ReturnTo {
    /// The home page.
    pub(crate) fn home() -> Self {
        Self("/".into())
    }

    /// The one validator of targets: for sign-in, sign-out and the way back alike.
    pub(crate) fn parse(target: &str, site: &Origin) -> Self {
        validate(target, site).map_or_else(Self::home, |target| Self(target.into()))
    }

    /// A target that [`ReturnTo::parse`] gave and that came back under our seal.
    pub(crate) fn sealed(target: &str) -> Self {
        Self(target.into())
    }

    /// The page, without the view in it.
    pub(crate) fn without_fragment(&self) -> Self {
        Self(self.0.split('#').next().unwrap_or_default().into())
    }

    /// The target as a reference that stays on the site.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn validate(target: &str, site: &Origin) -> Option<String> {
    if target.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return None;
    }
    let (path, _) = target.split_once(['?', '#']).unwrap_or((target, ""));
    let before_query = target.split('?').next().unwrap_or_default();
    if !is_plain(path) || before_query.contains('\\') {
        return None;
    }
    let url = site.url().join(target).ok()?;
    let own = url.origin() == site.url().origin();
    let anonymous = url.username().is_empty() && url.password().is_none();
    // The path is looked at again in the form in which it is sent.
    if !own || !anonymous || !is_plain(url.path()) || url.path().starts_with("//") {
        return None;
    }
    let whole = &url[url::Position::BeforePath..];
    let page = &url[url::Position::BeforePath..url::Position::AfterQuery];
    [whole, page].into_iter().find(|text| text.len() <= LONGEST).map(str::to_owned)
}

/// No backslash, control character or white space, and no slash that only shows when the path is decoded; looked
/// for in three rounds of decoding. Paths need not be UTF-8.
fn is_plain(path: &str) -> bool {
    let is_odd = |path: &[u8]| {
        let ascii = path.iter().any(|b| *b == b'\\' || b.is_ascii_control() || *b == b' ');
        let text = std::str::from_utf8(path);
        ascii || text.is_ok_and(|text| text.contains(|c: char| c.is_control() || c.is_whitespace()))
    };
    let mut seen = Cow::Borrowed(path.as_bytes());
    for _ in 0..=3 {
        let hidden_slash = seen.windows(3).any(|part| part.eq_ignore_ascii_case(b"%2f"));
        if is_odd(&seen) || hidden_slash {
            return false;
        }
        let decoded: Vec<u8> = percent_decode(&seen).collect();
        if *decoded == *seen {
            return true;
        }
        seen = Cow::Owned(decoded);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> String {
        ReturnTo::parse(text, &Origin::parse("https://h5.example.com").unwrap()).to_string()
    }

    /// What each refused value below looks like when it is harmless.
    #[test]
    fn good_targets_arrive_unchanged() {
        for good in [
            "/",
            "/a",
            "/a/b.html",
            "/a?b=c",
            "/a?b=c%20d&e=%2F%5C%0A",
            "/a?to=https://evil.example/\\x",
            "/a?b=c/d/../e//f",
            "/app/#/orders/1?x=y",
            "/%E8%AE%A2%E5%8D%95/%E8%AF%A6%E6%83%85?%E5%90%8D=1",
            "/a;v=1/b,c/d@e/f:g/(h)!~*'",
            "/a%25b",
            "/?code=1&state=2",
            "/%B6%A9%B5%A5?%B6=1", // GBK
            "/.well-known/x",
            "/%252525252f", // Nobody decodes five times.
        ] {
            assert_eq!(target(good), good);
        }
    }

    #[test]
    fn targets_are_normalised() {
        assert_eq!(target("/订单?名=1"), "/%E8%AE%A2%E5%8D%95?%E5%90%8D=1");
        assert_eq!(target("https://h5.example.com/a?b#c"), "/a?b#c");
        assert_eq!(target("HTTPS://H5.Example.com:443/a"), "/a");
        assert_eq!(target("//h5.example.com/a"), "/a");
        assert_eq!(target("/a/../b/./c"), "/b/c");
        assert_eq!(target("a/b"), "/a/b");
        assert_eq!(target("?a=b"), "/?a=b");
        assert_eq!(target(""), "/");
    }

    #[test]
    fn c01_a_backslash_before_the_query_is_refused() {
        for bad in [
            "/\\evil.example",
            "\\\\evil.example",
            "/a\\b",
            "/%5Cevil.example",
            "/%255c",
            "/a/../\\evil",
            "/a#\\evil.example",
            "/#/\\evil.example?a",
        ] {
            assert_eq!(target(bad), "/", "{bad}");
        }
        for good in ["/a?b=\\c", "/a?b#\\c", "/a#/c?d=\\e"] {
            assert_eq!(target(good), good);
        }
    }

    #[test]
    fn c02_control_characters_and_white_space_are_refused_in_three_rounds_of_decoding() {
        for bad in [
            "/\t/evil.example",
            "/a b",
            "/\n",
            "/%09/evil.example",
            "/%0d%0aX: y",
            "/%20/x",
            "/%2509/x",
            "/%252509/x",
            "/%00",
            "/%c2%a0",
            "/%e3%80%80",
            "/a?b=\n",
            "/a?b= c",
        ] {
            assert_eq!(target(bad), "/", "{bad:?}");
        }
    }

    #[test]
    fn c03_c04_what_is_checked_is_the_normal_form() {
        for bad in [
            "/.//evil.example",
            "/..//evil.example",
            "/a/..//evil.example",
            "//evil.example/..",
            "/./\\evil.example",
            "/%2e//evil.example",
            "/%2f%2fevil.example",
            "/%2fevil.example",
            "/%252f%252fevil.example",
            "/%2525252f%2525252fevil.example",
            "///evil.example",
            "////evil.example",
        ] {
            let target = target(bad);
            assert!(
                !target.starts_with("//") && !target.contains("evil.example/"),
                "{bad} {target}"
            );
            assert!(target == "/" || target == "/evil.example", "{bad} {target}");
        }
    }

    #[test]
    fn c05_c07_no_other_origin_is_a_target() {
        for bad in [
            "https://evil.example/",
            "http://h5.example.com/",
            "https://h5.example.com:8443/",
            "//evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https://h5.example.com.evil.example/",
            "https://evil-h5.example.com/",
            "javascript:alert(1)",
            "data:text/html,x",
            "weixin://dl/chat",
            "https://example.com/",
            "ftp://h5.example.com/",
            "https://h5.example.com%2eevil.example/",
        ] {
            // A scheme without a host is a reference to our own site: `https:evil.example` is a path here.
            let target = target(bad);
            assert!(target == "/" || target == "/evil.example", "{bad} {target}");
        }
    }

    #[test]
    fn c06_a_target_with_userinfo_is_refused() {
        for bad in [
            "https://user@h5.example.com/a",
            "https://user:pass@h5.example.com/a",
            "https://h5.example.com@evil.example/",
        ] {
            assert_eq!(target(bad), "/", "{bad}");
        }
        assert_eq!(target("/@evil.example"), "/@evil.example");
    }

    #[test]
    fn a_target_that_is_too_long_is_refused() {
        let long = format!("/{}", "a".repeat(LONGEST - 1));
        assert_eq!(target(&long), long);
        assert_eq!(target(&format!("{long}a")), "/");
        assert_eq!(target(&format!("{long}#a")), long);
        assert_eq!(target(&format!("{long}a#a")), "/");
        let view = format!("/a?b#{}", "c".repeat(LONGEST - 5));
        assert_eq!(target(&view), view);
        assert_eq!(target(&format!("{view}c")), "/a?b");
        assert_eq!(target(&format!("/a?b#{}", "订".repeat(LONGEST / 9 + 1))), "/a?b");
    }

    #[test]
    fn every_refused_target_leads_home_and_the_result_is_stable() {
        for line in include_str!("../../tests/corpus/redirects.txt").lines() {
            let once = target(line);
            assert!(once.starts_with('/') && !once.starts_with("//"), "{line}: {once}");
            assert_eq!(target(&once), once, "{line}");
        }
    }
}
