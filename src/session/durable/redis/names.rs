//! The names of what we keep in Redis, and of what is told through it.

use super::super::{super::Handle, Ended};

/// What all sessions' keys begin with.
const SESSION: &str = "wxgate:s:";
/// What the keys of all sessions look like.
pub(super) const SESSIONS: &str = "wxgate:s:*";
/// Where ends are told of.
pub(super) const CHANNEL: &str = "wxgate:ended";

/// A hash: `d` is the session, `a` the app's data of it, which so goes with it.
pub(super) fn session(session: Handle) -> String {
    format!("{SESSION}{session}")
}

/// The session that a key is of.
pub(super) fn session_of(key: &[u8]) -> Option<Handle> {
    Handle::parse(std::str::from_utf8(key).ok()?.strip_prefix(SESSION)?)
}

/// A hash: `e` is the epoch, `v` the version, `d` the record.
pub(super) fn user(user: &str) -> String {
    format!("wxgate:u:{user}")
}

/// An epoch.
pub(super) fn account(appid: &str) -> String {
    format!("wxgate:a:{appid}")
}

/// There or not.
pub(super) fn once(once: &str) -> String {
    format!("wxgate:o:{once}")
}

/// What was left.
pub(super) fn outcome(once: &str) -> String {
    format!("wxgate:r:{once}")
}

/// The number of the lease.
pub(super) fn lease(work: &str) -> String {
    format!("wxgate:l:{work}")
}

/// As it is told.
pub(super) fn message(ended: &Ended) -> String {
    match ended {
        Ended::Session(session) => format!("s:{session}"),
        Ended::User(user) => format!("u:{user}"),
        Ended::Account => "a".to_owned(),
    }
}

/// As it was told. What is not understood may be of a later version of ours, so it ends as much as anything can.
pub(super) fn ended(message: &[u8]) -> Ended {
    let text = std::str::from_utf8(message).unwrap_or_default();
    match text.split_once(':') {
        Some(("s", handle)) => Handle::parse(handle).map_or(Ended::Account, Ended::Session),
        Some(("u", user)) => Ended::User(user.to_owned()),
        _ => Ended::Account,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::SessionId;

    #[test]
    fn what_is_told_is_understood() {
        let handle = SessionId::new().handle();
        for told in [Ended::Session(handle), Ended::User("wx:o:1".to_owned()), Ended::Account] {
            assert_eq!(ended(message(&told).as_bytes()), told);
        }
        for other in ["", "s:", "s:x", "x:y", "\u{7f}"] {
            assert_eq!(ended(other.as_bytes()), Ended::Account, "{other}");
        }
        assert_eq!(ended(b"\xff"), Ended::Account);
        assert_eq!(session_of(session(handle).as_bytes()), Some(handle));
        assert_eq!(session_of(b"wxgate:s:x"), None);
    }
}
