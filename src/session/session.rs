//! One browser that signed in.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use super::{
    id::SessionId,
    user::{Epoch, UserSlot},
};
use crate::{clock::Timestamp, wechat::Scope};

/// How long sessions live.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A session that is not used for this long ends. Default 24 hours.
    pub idle: Duration,
    /// A session ends this long after the sign-in, however much it is used. Default 7 days.
    pub absolute: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const HOUR: u64 = 60 * 60;
        Self { idle: Duration::from_secs(24 * HOUR), absolute: Duration::from_secs(7 * 24 * HOUR) }
    }
}

/// What a store needs to know to make a session.
#[derive(Debug)]
pub struct NewSession {
    /// The user, as the store gave it.
    pub user: Arc<UserSlot>,
    /// What the user granted in this sign-in.
    pub scope: Scope,
    /// The moment of the sign-in. The session's whole life counts from here.
    pub signed_in_at: Timestamp,
    /// The moment at which this session begins: that of the sign-in, or a later one where it comes from another
    /// session. Its idle life counts from here.
    pub begins_at: Timestamp,
}

/// One browser that signed in. Nothing of it changes but the time it was last used.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    user: Arc<UserSlot>,
    epoch: Epoch,
    scope: Scope,
    signed_in_at: Timestamp,
    /// How many seconds after the sign-in it was last used. There may be millions of sessions: half the size will do.
    used_after: AtomicU32,
}

impl Session {
    /// A session under a new id, in the user's present epoch.
    pub fn begin(new: NewSession) -> Self {
        Self::restore(SessionId::new(), new.user.epoch(), new)
    }

    /// A session as a store has kept it, last used when it begins.
    pub fn restore(id: SessionId, epoch: Epoch, kept: NewSession) -> Self {
        Self {
            id,
            epoch,
            user: kept.user,
            scope: kept.scope,
            signed_in_at: kept.signed_in_at,
            used_after: AtomicU32::new(seconds(kept.begins_at.since(kept.signed_in_at))),
        }
    }

    /// The id that the browser's cookie holds.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whose session it is.
    pub fn user(&self) -> &Arc<UserSlot> {
        &self.user
    }

    /// The epoch that it was made in.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the user granted in this sign-in.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The moment of the sign-in.
    pub fn signed_in_at(&self) -> Timestamp {
        self.signed_in_at
    }

    /// The moment at which it ends at the latest.
    pub fn ends_at(&self, lifetimes: &Lifetimes) -> Timestamp {
        self.signed_in_at + lifetimes.absolute
    }

    /// Whether it is still good: in its user's epoch, and within both lifetimes.
    pub fn is_alive(&self, now: Timestamp, lifetimes: &Lifetimes) -> bool {
        self.epoch.is_open()
            && self.user.epoch() == self.epoch
            && now.since(self.signed_in_at) < lifetimes.absolute
            && now.since(self.last_used()) < lifetimes.idle
    }

    /// The moment it was last used.
    pub fn last_used(&self) -> Timestamp {
        self.signed_in_at + Duration::from_secs(self.used_after.load(Ordering::Relaxed).into())
    }

    /// Notes a use. False when one was noted within the same second already.
    pub fn touch(&self, now: Timestamp) -> bool {
        let is_news = self.last_used() < now;
        if is_news {
            self.used_after.store(seconds(now.since(self.signed_in_at)), Ordering::Relaxed);
        }
        is_news
    }
}

fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        session::user::{AccountSlot, UserChange, UserKey},
        wechat::{AppId, OpenId},
    };

    const BEGAN: u64 = 1_700_000_000;

    fn session() -> Session {
        let key = UserKey {
            appid: AppId::parse("wx0123456789abcdef").unwrap(),
            openid: OpenId::parse("o6_alice").unwrap(),
        };
        let account = Arc::new(AccountSlot::new(1));
        let user = Arc::new(UserSlot::new(key, account, UserChange::default()));
        let at = Timestamp::from_unix(BEGAN);
        Session::begin(NewSession { user, scope: Scope::Base, signed_in_at: at, begins_at: at })
    }

    #[test]
    fn a_session_is_good_up_to_the_last_second_of_each_life() {
        let session = session();
        let lives = Lifetimes { idle: Duration::from_secs(60), absolute: Duration::from_secs(100) };
        let is_alive = |at| session.is_alive(Timestamp::from_unix(BEGAN + at), &lives);
        assert!(is_alive(0) && is_alive(59) && !is_alive(60), "idle");
        session.touch(Timestamp::from_unix(BEGAN + 59));
        assert!(is_alive(60) && is_alive(99) && !is_alive(100), "in all");
        assert_eq!(session.ends_at(&lives), Timestamp::from_unix(BEGAN + 100));
    }

    #[test]
    fn a_use_is_noted_once_a_second_and_never_takes_the_session_back_in_time() {
        let session = session();
        let touch = |at| session.touch(Timestamp::from_unix(BEGAN + at));
        assert!(!touch(0) && touch(2) && !touch(2) && !touch(1));
        assert_eq!(session.last_used(), Timestamp::from_unix(BEGAN + 2));
    }
}
