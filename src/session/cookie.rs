//! Our cookies: their names, how they are set and expired, and how they are found in a request.

use std::{iter, time::Duration};

use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::id::SessionId;
use crate::wechat::AppId;

const SECURE: &str = "__Host-";
const SESSION: &str = "wxgate";
const LOGIN: &str = "wxgate-login-";

/// Whether a cookie is one of ours, on https or on loopback.
#[cfg(feature = "gateway")]
pub(crate) fn is_ours(name: &[u8]) -> bool {
    let bare = name.strip_prefix(SECURE.as_bytes()).unwrap_or(name);
    let Some(rest) = bare.strip_prefix(SESSION.as_bytes()) else { return false };
    let names_account =
        || std::str::from_utf8(&rest[1..]).is_ok_and(|appid| AppId::parse(appid).is_ok());
    rest.is_empty() || bare.starts_with(LOGIN.as_bytes()) || (rest[0] == b'-' && names_account())
}

/// Whether one part of a `Cookie` header is a cookie of ours.
#[cfg(feature = "gateway")]
pub(crate) fn is_our_pair(pair: &[u8]) -> bool {
    // Most begin with another letter, which is seen at once.
    let may_be = matches!(pair.trim_ascii_start().first(), Some(b'w' | b'_'));
    may_be && is_ours(name_and_value(pair).0)
}

/// The name of a session cookie. A site's other accounts have sessions of their own, under their appid.
pub(crate) fn session_name(secure: bool, other_account: Option<&AppId>) -> String {
    let prefix = if secure { SECURE } else { "" };
    match other_account {
        None => format!("{prefix}{SESSION}"),
        Some(appid) => format!("{prefix}{SESSION}-{appid}"),
    }
}

/// How cookies are written for one site: with the `__Host-` prefix and `Secure` on https, without both on the plain
/// http that is allowed for loopback. Always `HttpOnly`, `Path=/` and `SameSite=Lax`: `Strict` would be lost on the
/// way back from WeChat, which is another site.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cookies<'a> {
    secure: bool,
    session: &'a str,
}

impl<'a> Cookies<'a> {
    /// For a site on https (`secure`) or on a loopback address, with this [`session_name`].
    pub(crate) const fn new(secure: bool, session: &'a str) -> Self {
        Self { secure, session }
    }

    /// The name of the session cookie.
    pub(crate) const fn session_name(self) -> &'a str {
        self.session
    }

    /// What the names of the pending-login cookies begin with.
    pub(crate) const fn login_prefix(self) -> &'static str {
        if self.secure { "__Host-wxgate-login-" } else { LOGIN }
    }

    /// A `Set-Cookie` that keeps `value` for `life`.
    pub(crate) fn set(self, name: &str, value: &str, life: Duration) -> HeaderValue {
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
    pub(crate) fn expire(self, name: &str) -> HeaderValue {
        self.set(name, "", Duration::ZERO)
    }

    /// The session id that the request's cookie names. Two session cookies name nobody.
    pub(crate) fn session_id(self, headers: &HeaderMap) -> Option<SessionId> {
        let wanted = self.session_name().as_bytes();
        let mut found = None;
        for line in headers.get_all(COOKIE) {
            for pair in parts(line.as_bytes()) {
                // Most are seen to be others at their first letter.
                let pair = pair.trim_ascii_start();
                if pair.starts_with(wanted) {
                    let (name, value) = name_and_value(pair);
                    if name == wanted && found.replace(value).is_some() {
                        return None;
                    }
                }
            }
        }
        SessionId::parse(std::str::from_utf8(found?).ok()?)
    }

    /// The pending-login cookies of the request: what follows the prefix in the name, and the value.
    pub(crate) fn logins(
        self,
        headers: &HeaderMap,
    ) -> impl Iterator<Item = (&str, &str)> + use<'_> {
        let prefix = self.login_prefix();
        pairs(headers).filter_map(move |(name, value)| {
            let suffix = std::str::from_utf8(name).ok()?.strip_prefix(prefix)?;
            Some((suffix, std::str::from_utf8(value).ok()?))
        })
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(COOKIE).iter().flat_map(|line| parts(line.as_bytes())).map(name_and_value)
}

/// The parts of a `Cookie` or `Set-Cookie` header.
pub(crate) fn parts(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    iter::from_fn(move || {
        let line = rest?;
        let end = memchr::memchr(b';', line);
        rest = end.map(|end| &line[end + 1..]);
        Some(&line[..end.unwrap_or(line.len())])
    })
}

/// Name and value of one part of a `Cookie` header, without the white space around them.
pub(crate) fn name_and_value(pair: &[u8]) -> (&[u8], &[u8]) {
    let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (&pair[..0], pair),
    };
    (name.trim_ascii(), value.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(lines: &[&[u8]]) -> HeaderMap {
        let line = |bytes: &&[u8]| (COOKIE, HeaderValue::from_bytes(bytes).unwrap());
        lines.iter().map(line).collect()
    }

    #[test]
    fn a_line_is_split_at_its_semicolons_and_nowhere_else() {
        let all = |line: &'static str| parts(line.as_bytes()).collect::<Vec<_>>();
        assert_eq!(all("a=1; b=2;c"), [&b"a=1"[..], b" b=2", b"c"]);
        assert_eq!(all(""), [b""]);
        assert_eq!(all(";,;"), [&b""[..], b",", b""]);
    }

    #[test]
    fn c34_c45_a_cookie_is_host_bound_and_ends_with_the_name_and_the_flags_that_it_had() {
        let life = Duration::from_secs(600);
        assert_eq!(
            Cookies::new(true, "__Host-wxgate").set("__Host-wxgate", "v", life),
            "__Host-wxgate=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=600"
        );
        assert_eq!(
            Cookies::new(false, "wxgate").set("wxgate", "v", life),
            "wxgate=v; HttpOnly; SameSite=Lax; Path=/; Max-Age=600"
        );
        assert_eq!(
            Cookies::new(true, "__Host-wxgate").expire("__Host-wxgate"),
            "__Host-wxgate=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
        );
        for (secure, name) in [(true, "__Host-wxgate-login-abcdefgh"), (false, "wxgate-wx1")] {
            let cookies = Cookies::new(secure, "wxgate");
            let flags = |line: HeaderValue| {
                let line = line.to_str().unwrap().replacen("=v;", "=;", 1);
                line.rsplit_once("; Max-Age=").unwrap().0.to_owned()
            };
            assert_eq!(flags(cookies.expire(name)), flags(cookies.set(name, "v", life)));
        }
    }

    #[test]
    fn c26_a_doubled_or_damaged_session_cookie_names_nobody() {
        let id = SessionId::new();
        let text = id.expose();
        let of =
            |line: String| Cookies::new(false, "wxgate").session_id(&request(&[line.as_bytes()]));
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
    fn each_account_of_a_site_has_a_session_cookie_of_its_own() {
        let appid = AppId::parse("wx0123456789abcdef").unwrap();
        assert_eq!(session_name(true, None), "__Host-wxgate");
        assert_eq!(session_name(false, Some(&appid)), "wxgate-wx0123456789abcdef");
        for ours in ["wxgate", "__Host-wxgate", "wxgate-wx0123456789abcdef", "wxgate-login-a"] {
            assert!(is_ours(ours.as_bytes()), "{ours}");
        }
        for other in ["wxgatex", "wxgate-", "wxgate-wx0123", "wxgate_wx0123456789abcdef", "wx", ""]
        {
            assert!(!is_ours(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn c35_any_number_of_cookies_is_read_in_one_pass() {
        let id = SessionId::new();
        let line = format!("{}wxgate={}", "a=1;".repeat(100_000), id.expose());
        let headers = request(&[line.as_bytes()]);
        assert_eq!(Cookies::new(false, "wxgate").session_id(&headers), Some(id));
        assert_eq!(Cookies::new(false, "wxgate").logins(&headers).count(), 0);
    }
}
