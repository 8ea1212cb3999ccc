//! What headers say of a page that is not the same for everybody, and what may not be asked of the upstream for it.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What describes the upstream's bytes and not ours, and what would have a shared cache keep the page in spite of
/// its `Cache-Control`.
///
/// `ETag` goes and is not made weak: a condition is never passed on, so that no validator can do any good, while one
/// that two users share could have a cache give the one the other's page.
const UNTRUE: [&str; 12] = [
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "edge-control",
    "etag",
    "last-modified",
    "repr-digest",
    "surrogate-control",
    "unencoded-digest",
    "x-accel-expires",
];

/// Content codings that [`inject`](super::inject) can undo.
const CODINGS: [&str; 4] = ["gzip", "x-gzip", "br", "identity"];

/// Asks for the whole page, now, in a coding that can be undone.
pub(in crate::gateway) fn prepare_request(headers: &mut HeaderMap) {
    for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::RANGE, header::IF_RANGE]
    {
        headers.remove(name);
    }
    let known = |item: &&str| {
        let coding = item.split(';').next().unwrap_or_default().trim();
        CODINGS.iter().any(|known| coding.eq_ignore_ascii_case(known))
    };
    let mut codings = list(headers, &header::ACCEPT_ENCODING);
    codings.retain(|item| known(&item.as_str()));
    // Without the header an upstream may choose what it likes.
    let codings = if codings.is_empty() { "identity".to_owned() } else { codings.join(", ") };
    let codings = HeaderValue::try_from(codings).expect("it is made of a header's parts");
    headers.insert(header::ACCEPT_ENCODING, codings);
}

/// Corrects the head of a page that is made for one user.
pub(super) fn make_personal(headers: &mut HeaderMap) {
    remove_untrue(headers);
    let mut cache = list(headers, &header::CACHE_CONTROL);
    cache.retain(|directive| {
        let name = directive.split('=').next().unwrap_or_default().trim();
        // A `private` that names fields lets a shared cache keep the rest.
        !["public", "s-maxage", "private"].iter().any(|other| name.eq_ignore_ascii_case(other))
    });
    cache.push("private".to_owned());
    let cache = HeaderValue::try_from(cache.join(", ")).expect("it is made of a header's parts");
    headers.insert(header::CACHE_CONTROL, cache);
    let vary = list(headers, &header::VARY);
    if !vary.iter().any(|name| name == "*" || name.eq_ignore_ascii_case("cookie")) {
        headers.append(header::VARY, HeaderValue::from_static("Cookie"));
    }
}

/// Takes out of a head, or of trailers, what is true of the upstream's bytes only.
pub(super) fn remove_untrue(headers: &mut HeaderMap) {
    for name in UNTRUE {
        headers.remove(name);
    }
    // Each network has one of its own beside the one for all.
    let targeted = |name: &&HeaderName| name.as_str().ends_with("cdn-cache-control");
    let targeted: Vec<_> = headers.keys().filter(targeted).cloned().collect();
    for name in targeted {
        headers.remove(name);
    }
}

/// The items of a list over all its lines. A comma within quotes divides nothing; what is no text is left out.
fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let mut items = Vec::new();
    for line in headers.get_all(name) {
        let (mut item, mut quoted, mut escaped) = (String::new(), false, false);
        for c in line.to_str().unwrap_or_default().chars() {
            if c == ',' && !quoted {
                items.push(std::mem::take(&mut item));
                continue;
            }
            quoted ^= c == '"' && !escaped;
            escaped = c == '\\' && quoted && !escaped;
            item.push(c);
        }
        items.push(item);
    }
    items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let parse = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(parse).collect()
    }

    fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
        headers.get_all(name).iter().map(|v| v.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn no_condition_and_no_part_is_asked_for() {
        let mut asked = headers(&[
            ("if-none-match", "\"a\""),
            ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("range", "bytes=0-9"),
            ("if-range", "\"a\""),
            ("if-match", "\"a\""),
            ("accept", "text/html"),
        ]);
        prepare_request(&mut asked);
        let mut left: Vec<_> = asked.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "accept-encoding", "if-match"]);
    }

    #[test]
    fn only_codings_that_can_be_undone_are_asked_for() {
        for (asked, passed) in [
            (&["gzip, deflate, br, zstd"][..], "gzip, br"),
            (&["GZIP;q=0.5, zstd;q=1, identity;q=0"], "GZIP;q=0.5, identity;q=0"),
            (&["deflate", "br ; q=1.0"], "br ; q=1.0"),
            (&["x-gzip"], "x-gzip"),
            (&["*"], "identity"),
            (&["zstd"], "identity"),
            (&[""], "identity"),
            (&[], "identity"),
        ] {
            let lines: Vec<_> = asked.iter().map(|line| ("accept-encoding", *line)).collect();
            let mut asked = headers(&lines);
            prepare_request(&mut asked);
            assert_eq!(all(&asked, "accept-encoding"), [passed], "{lines:?}");
        }
    }

    #[test]
    fn a_page_for_one_user_stays_out_of_shared_caches() {
        for (said, says) in [
            (&[][..], "private"),
            (&["public, max-age=600"], "max-age=600, private"),
            (&["no-store"], "no-store, private"),
            (&["no-cache", "Private, S-MaxAge=9"], "no-cache, private"),
            (&["private=\"set-cookie, x\", max-age=1"], "max-age=1, private"),
            (&["no-cache=\"a, \\\", public\", public"], "no-cache=\"a, \\\", public\", private"),
            // It is meant for others than the site's own gateway, which is told to change the page.
            (&["no-transform"], "no-transform, private"),
        ] {
            let lines: Vec<_> = said.iter().map(|line| ("cache-control", *line)).collect();
            let mut page = headers(&lines);
            make_personal(&mut page);
            assert_eq!(all(&page, "cache-control"), [says], "{lines:?}");
        }
        let mut page = headers(&[
            ("cdn-cache-control", "max-age=600"),
            ("cloudflare-cdn-cache-control", "max-age=600"),
            ("surrogate-control", "max-age=600"),
            ("x-accel-expires", "600"),
            ("expires", "0"),
        ]);
        make_personal(&mut page);
        let mut left: Vec<_> = page.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["cache-control", "expires", "vary"]);
    }

    #[test]
    fn a_page_for_one_user_varies_with_the_cookie() {
        for (said, says) in [
            (&[][..], &["Cookie"][..]),
            (&["Accept-Encoding"], &["Accept-Encoding", "Cookie"]),
            (&["accept-encoding, COOKIE"], &["accept-encoding, COOKIE"]),
            (&["*"], &["*"]),
        ] {
            let lines: Vec<_> = said.iter().map(|line| ("vary", *line)).collect();
            let mut page = headers(&lines);
            make_personal(&mut page);
            assert_eq!(all(&page, "vary"), says, "{lines:?}");
        }
    }

    #[test]
    fn nothing_untrue_of_the_bytes_is_left() {
        let mut page = headers(&[
            ("content-length", "9"),
            ("etag", "\"a\""),
            ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("content-md5", "x"),
            ("digest", "x"),
            ("repr-digest", "x"),
            ("content-digest", "x"),
            ("accept-ranges", "bytes"),
            ("content-type", "text/html"),
            ("content-encoding", "gzip"),
            ("set-cookie", "a=b"),
        ]);
        remove_untrue(&mut page);
        let mut left: Vec<_> = page.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-encoding", "content-type", "set-cookie"]);
    }
}
