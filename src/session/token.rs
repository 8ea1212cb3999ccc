//! The session token: what a client sends in a header that keeps no cookies, as mini-programs do.

use http::{HeaderMap, HeaderName};

use super::id::SessionId;

/// `X-WeChat-Session`. No upstream sees it: whatever a client sends under `X-WeChat-` is cut on the way there.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-wechat-session");

/// The token of a session.
#[cfg(feature = "doors")]
pub(crate) fn of(id: SessionId) -> String {
    id.expose()
}

/// Whether a request speaks for itself by a token. No site can make a browser send one.
pub(crate) fn is_in(headers: &HeaderMap) -> bool {
    headers.contains_key(HEADER)
}

/// The session that a request's token names. Two tokens name nobody.
pub(crate) fn named_in(headers: &HeaderMap) -> Option<SessionId> {
    let mut tokens = headers.get_all(HEADER).iter();
    let token = tokens.next()?.to_str().ok()?;
    if tokens.next().is_some() { None } else { SessionId::parse(token) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(tokens: &[&str]) -> Option<SessionId> {
        let header = |token: &&str| (HEADER, token.parse().unwrap());
        named_in(&tokens.iter().map(header).collect())
    }

    #[test]
    fn c26_a_doubled_or_damaged_token_names_nobody() {
        let id = SessionId::new();
        let text = id.expose();
        assert_eq!(named(&[&text]), Some(id));
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[&text, &text]), None);
        for damaged in [&text[1..], &format!("{text}0"), &format!("Bearer {text}"), ""] {
            assert_eq!(named(&[damaged]), None, "{damaged}");
        }
    }
}
