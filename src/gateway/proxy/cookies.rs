//! Cuts our cookies out of what goes to the upstream and what comes from it.

use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, Entry, SET_COOKIE},
};

use super::request::Lines;
use crate::session::cookie;

/// Tells the cookies of a request that are not ours, in one header, byte for byte.
pub(crate) fn tell_theirs(headers: &HeaderMap, lines: &mut impl Lines) {
    let mut present = headers.get_all(COOKIE).iter();
    let (Some(first), rest) = (present.next(), present.next()) else { return };
    if rest.is_none() && !cookie::parts(first.as_bytes()).any(cookie::is_our_pair) {
        lines.known(&COOKIE, first);
        return;
    }
    let mut left = Vec::with_capacity(first.len());
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| cookie::parts(line.as_bytes()));
    for pair in pairs.filter(|pair| !cookie::is_our_pair(pair) && !pair.trim_ascii().is_empty()) {
        if !left.is_empty() {
            left.extend_from_slice(b"; ");
        }
        left.extend_from_slice(pair.trim_ascii_start());
    }
    if !left.is_empty() {
        lines.line(&COOKIE, &left);
    }
}

/// Cuts our cookies out of an answer: an app that could set them could sign people in as somebody else.
pub(super) fn cut_stolen(headers: &mut HeaderMap) {
    let is_ours = |line: &HeaderValue| {
        let mut pair = line.as_bytes();
        // A cookie without a name comes back as its value alone.
        while let [b'=' | b' ' | b'\t', rest @ ..] = pair {
            pair = rest;
        }
        let pair = cookie::parts(pair).next().unwrap_or_default();
        cookie::is_our_pair(pair)
    };
    let Entry::Occupied(present) = headers.entry(SET_COOKIE) else { return };
    if !present.iter().any(is_ours) {
        return;
    }
    let kept: Vec<_> = present.iter().filter(|line| !is_ours(line)).cloned().collect();
    tracing::warn!("the app has tried to set a cookie of ours");
    present.remove_entry_mult();
    for line in kept {
        headers.append(SET_COOKIE, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left_of(lines: &[&[u8]]) -> Option<Vec<u8>> {
        let line = |bytes: &&[u8]| (COOKIE, HeaderValue::from_bytes(bytes).unwrap());
        let sent: HeaderMap = lines.iter().map(line).collect();
        let mut headers = HeaderMap::new();
        tell_theirs(&sent, &mut headers);
        assert!(headers.get_all(COOKIE).iter().count() <= 1);
        headers.get(COOKIE).map(|line| line.as_bytes().to_vec())
    }

    #[test]
    fn c33_an_app_cannot_set_our_cookies() {
        let left = |lines: &[&'static str]| {
            let line = |text: &&'static str| (SET_COOKIE, HeaderValue::from_static(text));
            let mut headers: HeaderMap = lines.iter().map(line).collect();
            cut_stolen(&mut headers);
            headers.get_all(SET_COOKIE).iter().cloned().collect::<Vec<_>>()
        };
        for ours in [
            "wxgate=x; Path=/",
            " wxgate =x",
            "__Host-wxgate=x; Secure",
            "wxgate-login-abc=x",
            "=wxgate=x",
            "= =__Host-wxgate=x",
        ] {
            assert_eq!(left(&["a=1", ours, "b=2; wxgate=x"]), ["a=1", "b=2; wxgate=x"], "{ours}");
        }
        for theirs in ["wxgates=x", "app=wxgate=x", "", "=", "wxgate"] {
            assert_eq!(left(&[theirs]), [theirs]);
        }
    }

    #[test]
    fn c21_our_cookies_are_cut_out_in_any_spelling_of_the_header() {
        for ours in
            ["wxgate=x", "__Host-wxgate=x", "wxgate-login-12345678=x", "__Host-wxgate-login-scan=x"]
        {
            for line in [
                format!("{ours}; a=1; b=2"),
                format!("a=1; {ours}; b=2"),
                format!("a=1;{ours};b=2"),
                format!("a=1; b=2;\t{ours} "),
            ] {
                let left = left_of(&[line.as_bytes()]).unwrap();
                assert_eq!(String::from_utf8_lossy(&left), "a=1; b=2", "{line}");
            }
            assert_eq!(left_of(&[ours.as_bytes()]), None);
            let left = left_of(&[b"a=1", ours.as_bytes(), b"b=2"]).unwrap();
            assert_eq!(String::from_utf8_lossy(&left), "a=1; b=2");
        }
    }

    #[test]
    fn c37_other_cookies_pass_byte_for_byte_and_odd_ones_do_no_harm() {
        for line in [
            &b"a=1; b=\"x y\"; c"[..],
            b"=; ;;",
            b"",
            b"a=\xff\xfe; wxgatex=1; xwxgate=2; wxgate-other=3",
            b"  a=1 ;  b=2  ",
        ] {
            assert_eq!(left_of(&[line]).as_deref(), Some(line));
        }
        assert_eq!(left_of(&[b"a=\xff=; wxgate=x"]).as_deref(), Some(&b"a=\xff="[..]));
        assert_eq!(left_of(&[b";; =;wxgate=x"]).as_deref(), Some(&b"="[..]));
        assert_eq!(left_of(&[]), None);
    }

    #[test]
    fn c37_no_noise_changes_or_loses_a_cookie_of_the_app() {
        const PARTS: [&[u8]; 14] = [
            b"a=1",
            b" b=\"x;",
            b";",
            b";;",
            b"=",
            b" ",
            b"\t",
            b"\xff=\xfe",
            b"wxgate=s; ",
            b"; __Host-wxgate=s",
            b"wxgate-login-12345678=s;",
            b"c",
            b"wxgate",
            b"=wxgate=",
        ];
        let mut random = fastrand::Rng::with_seed(37);
        for _ in 0..20_000 {
            let count = random.usize(0..8);
            let line: Vec<u8> =
                (0..count).flat_map(|_| random.choice(PARTS).unwrap().to_vec()).collect();
            let pairs = |line: &[u8]| -> Vec<Vec<u8>> {
                let trimmed = cookie::parts(line).map(|pair| pair.trim_ascii().to_vec());
                trimmed.filter(|pair| !pair.is_empty()).collect()
            };
            let name =
                |pair: &[u8]| pair.split(|b| *b == b'=').next().unwrap().trim_ascii().to_vec();
            let is_ours = |pair: &[u8]| {
                let name = name(pair);
                let bare = name.strip_prefix(b"__Host-").unwrap_or(&name);
                // A pair without `=` has no name.
                pair.contains(&b'=') && (bare == b"wxgate" || bare.starts_with(b"wxgate-login-"))
            };
            let kept: Vec<_> = pairs(&line).into_iter().filter(|pair| !is_ours(pair)).collect();
            let left = left_of(&[&line]).unwrap_or_default();
            assert_eq!(pairs(&left), kept, "{}", String::from_utf8_lossy(&line));
        }
    }
}
