//! Our cookies: their names, how they are set and expired, and how they are found in a request and cut out of it.

use std::time::Duration;

use cookie::{Cookie, SameSite};
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, Entry},
};

use super::id::SessionId;

const SESSION: &str = "wxgate";
const LOGIN: &str = "wxgate-login-";
const HOST_PREFIX: &str = "__Host-";

/// How cookies are written for one site: with the `__Host-` prefix and `Secure` on https, without both on the plain
/// http that is allowed for loopback. Always `HttpOnly`, `Path=/` and `SameSite=Lax`: `Strict` would be lost on the
/// way back from WeChat, which is another site.
#[derive(Clone, Copy, Debug)]
pub struct Cookies {
    secure: bool,
}

impl Cookies {
    /// For a site on https (`secure`) or on a loopback address.
    pub const fn new(secure: bool) -> Self {
        Self { secure }
    }

    /// The name of the session cookie.
    pub const fn session_name(self) -> &'static str {
        if self.secure { "__Host-wxgate" } else { SESSION }
    }

    /// What the names of the pending-login cookies begin with.
    pub const fn login_prefix(self) -> &'static str {
        if self.secure { "__Host-wxgate-login-" } else { LOGIN }
    }

    /// A `Set-Cookie` that keeps `value` for `life`.
    pub fn set(self, name: &str, value: &str, life: Duration) -> HeaderValue {
        let life = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((name, value))
            .path("/")
            .secure(self.secure)
            .http_only(true)
            .same_site(SameSite::Lax)
            .max_age(cookie::time::Duration::seconds(life));
        HeaderValue::try_from(cookie.to_string()).expect("names and values of ours are plain ASCII")
    }

    /// A `Set-Cookie` that makes the browser forget the cookie, with the same name, path and flags.
    pub fn expire(self, name: &str) -> HeaderValue {
        self.set(name, "", Duration::ZERO)
    }

    /// The session id that the request's cookie names. Two session cookies name nobody.
    pub fn session_id(self, headers: &HeaderMap) -> Option<SessionId> {
        let mut found = pairs(headers).filter(|(name, _)| *name == self.session_name().as_bytes());
        let (_, value) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        SessionId::parse(std::str::from_utf8(value).ok()?)
    }

    /// The pending-login cookies of the request: what follows the prefix in the name, and the value.
    pub fn logins(self, headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
        pairs(headers).filter_map(move |(name, value)| {
            let suffix = std::str::from_utf8(name).ok()?.strip_prefix(self.login_prefix())?;
            Some((suffix, std::str::from_utf8(value).ok()?))
        })
    }
}

/// Cuts our cookies out of a request and joins what is left into one header, byte for byte.
pub fn cut_ours(headers: &mut HeaderMap) {
    let Entry::Occupied(present) = headers.entry(COOKIE) else { return };
    let is_ours = |pair: &[u8]| is_ours(name_and_value(pair).0);
    let mut lines = present.iter();
    let untouched =
        lines.next().is_some_and(|line| !line.as_bytes().split(is_semicolon).any(is_ours))
            && lines.next().is_none();
    if untouched {
        return;
    }
    let mut left = Vec::new();
    for line in present.iter() {
        for pair in line.as_bytes().split(is_semicolon).filter(|pair| !is_ours(pair)) {
            if pair.trim_ascii().is_empty() {
                continue;
            }
            if !left.is_empty() {
                left.extend_from_slice(b"; ");
            }
            left.extend_from_slice(pair.trim_ascii_start());
        }
    }
    present.remove_entry_mult();
    if !left.is_empty() {
        let line =
            HeaderValue::from_bytes(&left).expect("parts of header values make a header value");
        headers.insert(COOKIE, line);
    }
}

fn is_ours(name: &[u8]) -> bool {
    let bare = name.strip_prefix(HOST_PREFIX.as_bytes()).unwrap_or(name);
    bare == SESSION.as_bytes() || bare.starts_with(LOGIN.as_bytes())
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| line.as_bytes().split(is_semicolon))
        .map(name_and_value)
}

fn name_and_value(pair: &[u8]) -> (&[u8], &[u8]) {
    let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (&pair[..0], pair),
    };
    (name.trim_ascii(), value.trim_ascii())
}

fn is_semicolon(byte: &u8) -> bool {
    *byte == b';'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[&[u8]]) -> HeaderMap {
        let line = |bytes: &&[u8]| (COOKIE, HeaderValue::from_bytes(bytes).unwrap());
        lines.iter().map(line).collect()
    }

    fn left_of(lines: &[&[u8]]) -> Option<Vec<u8>> {
        let mut headers = request(lines);
        cut_ours(&mut headers);
        assert!(headers.get_all(COOKIE).iter().count() <= 1);
        headers.get(COOKIE).map(|line| line.as_bytes().to_vec())
    }

    #[test]
    fn cookies_have_the_prefix_and_the_flags_on_https_and_neither_on_loopback() {
        let life = Duration::from_secs(600);
        assert_eq!(
            Cookies::new(true).set("__Host-wxgate", "v", life),
            "__Host-wxgate=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600"
        );
        assert_eq!(
            Cookies::new(false).set("wxgate", "v", life),
            "wxgate=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=600"
        );
        assert_eq!(
            Cookies::new(true).expire("__Host-wxgate"),
            "__Host-wxgate=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
    }

    #[test]
    fn c26_a_doubled_or_damaged_session_cookie_names_nobody() {
        let id = SessionId::new();
        let text = id.expose();
        let of = |line: String| Cookies::new(false).session_id(&request(&[line.as_bytes()]));
        assert_eq!(of(format!("a=1; wxgate={text};b=2")), Some(id));
        assert_eq!(of(format!("wxgate={text}; wxgate={text}")), None);
        assert_eq!(of(format!("wxgate={text}; wxgate=x")), None);
        assert_eq!(of(format!("wxgate={}", &text[..35])), None);
        assert_eq!(of(format!("wxgate={text}0")), None);
        assert_eq!(of(format!("wxgate=\"{text}\"")), None);
        assert_eq!(of(format!("__Host-wxgate={text}")), None);
        assert_eq!(of(format!("Wxgate={text}")), None);
    }

    #[test]
    fn c21_our_cookies_are_cut_out_in_any_spelling_of_the_header() {
        for ours in
            ["wxgate=x", "__Host-wxgate=x", "wxgate-login-12345678=x", "__Host-wxgate-login-a=x"]
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
    fn c35_any_number_of_cookies_is_read_in_one_pass() {
        let id = SessionId::new();
        let mut line = "a=1;".repeat(100_000);
        line.push_str(&format!("wxgate={}", id.expose()));
        let headers = request(&[line.as_bytes()]);
        assert_eq!(Cookies::new(false).session_id(&headers), Some(id));
        assert_eq!(Cookies::new(false).logins(&headers).count(), 0);
    }
}
