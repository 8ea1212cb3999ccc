//! What is kept in the store: a token or a ticket, when it is due, and how the last try went.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Held, error::KeeperError};
use crate::{
    clock::Timestamp,
    secret::{JsapiTicket, ServerToken},
};

/// WeChat leaves the old token good for this long after the new one.
const OVERLAP: Duration = Duration::from_secs(5 * 60);
/// The pause after the first failure. It doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a failure is remembered after its pause.
const REMEMBERED: Duration = Duration::from_secs(10 * 60);
/// A token that is reported dead sooner than this was ended by somebody.
const SHORT_LIFE: Duration = Duration::from_secs(60);
/// So many of them in a row are replaced at once.
const MOST_SHORT_LIVES: u32 = 5;

/// A secret that is kept: a token or a ticket.
pub(super) trait Secret: Clone + std::fmt::Debug + Send + Sync + 'static {
    fn new(text: String) -> Self;
    fn expose(&self) -> &str;
}

impl Secret for ServerToken {
    fn new(text: String) -> Self {
        Self::new(text)
    }

    fn expose(&self) -> &str {
        self.expose()
    }
}

impl Secret for JsapiTicket {
    fn new(text: String) -> Self {
        Self::new(text)
    }

    fn expose(&self) -> &str {
        self.expose()
    }
}

/// What is known, by the one who has the lease and so by all.
#[derive(Clone, Debug)]
pub(super) struct Record<T> {
    /// Each change has a higher one, so that a copy that is newer than the store's tells of a store that forgot.
    version: u64,
    held: Option<Held<T>>,
    fetched_at: Timestamp,
    renew_at: Timestamp,
    short_lives: u32,
    failed: Option<Failed>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Failed {
    tries: u32,
    next_at: u64,
    why: Box<str>,
}

/// A record as it is written down.
#[derive(Serialize, Deserialize)]
struct Row<S> {
    version: u64,
    held: Option<(S, u64)>,
    fetched_at: u64,
    renew_at: u64,
    short_lives: u32,
    failed: Option<Failed>,
}

impl<T: Secret> Record<T> {
    /// With what was fetched at `now`. `replaces` a token that was reported dead.
    pub(super) fn fetched(
        old: Option<&Self>,
        token: T,
        expires_in: Duration,
        replaces: bool,
        now: Timestamp,
    ) -> Self {
        let known = old.and_then(|old| old.held.as_ref());
        let known = known.filter(|known| known.token.expose() == token.expose());
        // A token that comes again is not believed to live longer than it was.
        let ends_at = now + expires_in;
        let ends_at = known.map_or(ends_at, |known| ends_at.min(known.ends_at.max(now)));
        let left = ends_at.since(now);
        let short_lives = match old {
            Some(old) if replaces && now.since(old.fetched_at) < SHORT_LIFE => old.short_lives + 1,
            _ => 0,
        };
        Self {
            version: old.map_or(0, |old| old.version) + 1,
            held: Some(Held { token, ends_at }),
            fetched_at: now,
            renew_at: ends_at - OVERLAP.min(left / 4),
            short_lives,
            failed: None,
        }
    }

    /// With a failure at `now`, and the pause after it.
    pub(super) fn failed(
        old: Option<&Self>,
        error: &KeeperError,
        now: Timestamp,
    ) -> (Self, Duration) {
        let before = old.and_then(|old| old.failed.as_ref()).map_or(0, |failed| failed.tries);
        let pause = FIRST_PAUSE.saturating_mul(1 << before.min(10)).min(LONGEST_PAUSE);
        let pause = error.retry_after().map_or(pause, |asked| asked.max(pause));
        let failed = Failed {
            tries: before.saturating_add(1),
            next_at: (now + pause).unix(),
            why: error.to_string().into(),
        };
        let none = || Self {
            version: 0,
            held: None,
            // Whatever anybody has is newer than nothing.
            fetched_at: Timestamp::from_unix(0),
            renew_at: now,
            short_lives: 0,
            failed: None,
        };
        let old = old.cloned().unwrap_or_else(none);
        (Self { version: old.version + 1, failed: Some(failed), ..old }, pause)
    }

    /// The token, while it is good.
    pub(super) fn good(&self, now: Timestamp) -> Option<&Held<T>> {
        self.held.as_ref().filter(|held| now < held.ends_at)
    }

    /// The token, as long as it is known.
    pub(super) fn held(&self) -> Option<&Held<T>> {
        self.held.as_ref()
    }

    /// Whether this is what a store should have, which has forgotten it: nothing there goes back otherwise. What was fetched
    /// later is right whatever its version, since the one who fetched it may have found nothing.
    pub(super) fn outdates(&self, stored: Option<&Self>, now: Timestamp) -> bool {
        self.good(now).is_some()
            && stored.is_none_or(|stored| {
                self.version > stored.version && self.fetched_at >= stored.fetched_at
            })
    }

    /// Whether it is to be renewed now.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now >= self.renew_at && self.resting(now).is_none()
    }

    /// Why nobody is to try at the moment.
    pub(super) fn resting(&self, now: Timestamp) -> Option<KeeperError> {
        let failed = self.failed.as_ref()?;
        let left = Timestamp::from_unix(failed.next_at).since(now);
        (!left.is_zero()).then(|| KeeperError::Resting { why: failed.why.clone(), left })
    }

    /// Whether its tokens are ended by somebody as fast as they are fetched.
    pub(super) fn is_contested(&self, now: Timestamp) -> bool {
        self.short_lives >= MOST_SHORT_LIVES && now.since(self.fetched_at) < SHORT_LIFE
    }

    /// How long it is of use.
    pub(super) fn life(&self, now: Timestamp) -> Duration {
        let held = self.held.as_ref().map_or(Duration::ZERO, |held| held.ends_at.since(now));
        let failed = self.failed.as_ref().map_or(Duration::ZERO, |failed| {
            Timestamp::from_unix(failed.next_at).since(now) + REMEMBERED
        });
        held.max(failed)
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let held = self.held.as_ref().map(|held| (held.token.expose(), held.ends_at.unix()));
        let row = Row {
            version: self.version,
            held,
            fetched_at: self.fetched_at.unix(),
            renew_at: self.renew_at.unix(),
            short_lives: self.short_lives,
            failed: self.failed.clone(),
        };
        serde_json::to_vec(&row).expect("numbers and text can be written")
    }

    /// None for what another version of this program has written.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let row: Row<String> = serde_json::from_slice(bytes).ok()?;
        let held = row.held.map(|(token, ends_at)| Held {
            token: T::new(token),
            ends_at: Timestamp::from_unix(ends_at),
        });
        Some(Self {
            version: row.version,
            held,
            fetched_at: Timestamp::from_unix(row.fetched_at),
            renew_at: Timestamp::from_unix(row.renew_at),
            short_lives: row.short_lives,
            failed: row.failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(1_700_000_000 + seconds)
    }

    fn fetched(
        old: Option<&Record<ServerToken>>,
        token: &str,
        life: u64,
        now: u64,
    ) -> Record<ServerToken> {
        Record::fetched(old, ServerToken::new(token), Duration::from_secs(life), false, at(now))
    }

    #[test]
    fn a_token_is_due_five_minutes_before_its_end_and_a_short_one_in_its_last_quarter() {
        let long = fetched(None, "a", 7200, 0);
        assert!(!long.is_due(at(6899)) && long.is_due(at(6900)));
        assert!(long.good(at(7199)).is_some() && long.good(at(7200)).is_none());
        let short = fetched(None, "a", 400, 0);
        assert!(!short.is_due(at(299)) && short.is_due(at(300)));
    }

    #[test]
    fn a_token_that_comes_again_lives_no_longer_than_it_was_to() {
        let first = fetched(None, "a", 7200, 0);
        let again = fetched(Some(&first), "a", 7200, 6900);
        assert_eq!(again.good(at(6900)).unwrap().ends_at, at(7200));
        assert!(again.version > first.version && !again.is_due(at(7124)) && again.is_due(at(7125)));
        let other = fetched(Some(&first), "b", 7200, 6900);
        assert_eq!(other.good(at(6900)).unwrap().ends_at, at(6900 + 7200));
    }

    #[test]
    fn a_store_that_forgot_is_told_unless_somebody_has_fetched_since() {
        let first = fetched(None, "a", 7200, 0);
        let second = fetched(Some(&first), "b", 7200, 6900);
        assert!(second.outdates(None, at(7000)) && second.outdates(Some(&first), at(7000)));
        assert!(!first.outdates(Some(&second), at(7000)));
        assert!(!second.outdates(Some(&second), at(7000)), "it is the same");
        assert!(!second.outdates(None, at(6900 + 7200)), "it has ended");
        let afresh = fetched(None, "c", 7200, 6950);
        assert!(!second.outdates(Some(&afresh), at(7000)), "somebody found nothing, and fetched");
    }

    #[test]
    fn pauses_grow_and_end_with_a_success() {
        let error = KeeperError::Lost;
        let mut record = fetched(None, "a", 7200, 0);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let (failed, pause) = Record::failed(Some(&record), &error, at(6900));
            pauses.push(pause.as_secs());
            record = failed;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(record.good(at(6900)).is_some(), "the old one is still there");
        assert!(record.resting(at(6959)).is_some() && !record.is_due(at(6959)));
        assert!(record.resting(at(6960)).is_none() && record.is_due(at(6960)));
        let renewed = fetched(Some(&record), "b", 7200, 6960);
        assert_eq!(Record::failed(Some(&renewed), &error, at(7000)).1, FIRST_PAUSE);
        let (none, _) = Record::<ServerToken>::failed(None, &error, at(0));
        assert!(none.good(at(0)).is_none() && none.life(at(0)) > REMEMBERED);
    }

    #[test]
    fn tokens_that_die_at_once_are_not_replaced_for_ever() {
        let mut record = fetched(None, "a", 7200, 0);
        for n in 0..MOST_SHORT_LIVES {
            assert!(!record.is_contested(at(0)));
            let token = ServerToken::new(n.to_string());
            record = Record::fetched(Some(&record), token, 2 * HOUR, true, at(0));
        }
        assert!(record.is_contested(at(59)) && !record.is_contested(at(60)));
        let late = Record::fetched(Some(&record), ServerToken::new("b"), 2 * HOUR, true, at(60));
        assert!(!late.is_contested(at(60)));
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else_is() {
        let (record, _) =
            Record::failed(Some(&fetched(None, "a", 7200, 0)), &KeeperError::Waiting, at(5));
        let read = Record::<ServerToken>::read(&record.write()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{record:?}"));
        assert_eq!(read.good(at(5)).unwrap().token.expose(), "a");
        for other in [&b""[..], b"{}", b"null", b"\xff"] {
            assert!(Record::<ServerToken>::read(other).is_none());
        }
    }
}
