//! Copies of what is asked for often, kept in this process for a moment.
//!
//! A copy may be used until its time is over or somebody says that its original has ended. The word that it has ended may
//! arrive while the original is being fetched: then what was fetched is used once and not kept. So each fetch begins with a
//! [`Mark`], and a copy is kept only where nothing has ended since.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    super::{
        AccountSlot, Epoch, Handle, Session, UserKey, UserRecord, UserSlot,
        recent::{Named, Recent},
    },
    records::Ended,
};
use crate::clock::Timestamp;

/// Sessions of which there are copies, at the most.
const MOST: u64 = 200_000;
/// Frees the memory of copies that nobody asks for. No copy may be used for so long.
const FORGOTTEN: Duration = Duration::from_secs(120);
const SHARDS: usize = 256;

#[derive(Debug)]
pub(super) struct Copies {
    sessions: Recent<SessionCopy>,
    users: Recent<UserCopy>,
    /// How often something has ended whose name falls into this shard.
    ends: [AtomicU64; SHARDS],
    /// How often everything has.
    ends_of_all: AtomicU64,
}

#[derive(Debug)]
struct SessionCopy {
    handle: Handle,
    session: Arc<Session>,
    user: Arc<UserCopy>,
    until: Timestamp,
    ends_of_all: u64,
}

/// A user that sessions share.
#[derive(Debug)]
pub(super) struct UserCopy {
    name: Box<str>,
    slot: Arc<UserSlot>,
    /// In seconds since 1970. 0 where the original has ended.
    until: AtomicU64,
}

impl Named for SessionCopy {
    type Name = Handle;

    fn is(&self, name: &Handle) -> bool {
        self.handle == *name
    }

    /// It is a part of a digest.
    fn hash(name: &Handle, _: &RandomState) -> u64 {
        name.half()
    }
}

impl Named for UserCopy {
    type Name = str;

    fn is(&self, name: &str) -> bool {
        *self.name == *name
    }

    fn hash(name: &str, random: &RandomState) -> u64 {
        random.hash_one(name)
    }
}

impl UserCopy {
    pub(super) fn slot(&self) -> &Arc<UserSlot> {
        &self.slot
    }

    fn end(&self) {
        self.until.store(0, Ordering::SeqCst);
    }
}

/// What had ended when a fetch began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    shard: usize,
    ends: u64,
    ends_of_all: u64,
}

impl Copies {
    pub(super) fn new() -> Self {
        Self {
            sessions: Recent::new(MOST, FORGOTTEN),
            users: Recent::new(MOST, FORGOTTEN),
            ends: [const { AtomicU64::new(0) }; SHARDS],
            ends_of_all: AtomicU64::new(0),
        }
    }

    /// The session, if there is a copy that may be used now.
    pub(super) fn session(&self, handle: Handle, now: Timestamp) -> Option<Arc<Session>> {
        let copy = self.sessions.get(&handle)?;
        let may_be_used = now < copy.until
            && now.unix() < copy.user.until.load(Ordering::SeqCst)
            && copy.ends_of_all == self.ends_of_all.load(Ordering::SeqCst);
        may_be_used.then(|| copy.session.clone())
    }

    pub(super) fn mark_session(&self, handle: Handle) -> Mark {
        self.mark(shard_of_session(handle))
    }

    pub(super) fn mark_user(&self, name: &str) -> Mark {
        self.mark(shard_of_user(name))
    }

    fn mark(&self, shard: usize) -> Mark {
        Mark {
            shard,
            ends: self.ends[shard].load(Ordering::SeqCst),
            ends_of_all: self.ends_of_all.load(Ordering::SeqCst),
        }
    }

    /// Keeps a copy of a session, unless something has ended since `mark`.
    pub(super) fn keep_session(
        &self,
        handle: Handle,
        session: Arc<Session>,
        user: Arc<UserCopy>,
        until: Timestamp,
        mark: Mark,
    ) {
        let copy = SessionCopy { handle, session, user, until, ends_of_all: mark.ends_of_all };
        self.sessions.put(&handle, until, Arc::new(copy));
        // Whoever ends it first counts and then looks for copies. So one of us sees the other.
        if self.mark(mark.shard) != mark {
            self.sessions.remove(&handle);
        }
    }

    /// The user as it was fetched, in the place that the user's sessions share. It may be used until then, unless
    /// something has ended since `mark`.
    pub(super) fn keep_user(
        &self,
        name: &str,
        key: &UserKey,
        epoch: Epoch,
        record: UserRecord,
        until: Timestamp,
        mark: Mark,
    ) -> Arc<UserCopy> {
        let known = self.users.get(name).filter(|known| known.slot.epoch() == epoch);
        let copy = if let Some(known) = known {
            known.slot.replace(record);
            known.until.store(until.unix(), Ordering::SeqCst);
            self.users.used(name, until);
            // Who has lost its place meanwhile could not be told that it has ended.
            if !self.users.get(name).is_some_and(|placed| Arc::ptr_eq(&placed, &known)) {
                known.end();
            }
            known
        } else {
            let account = Arc::new(AccountSlot::new(epoch.account));
            let slot = UserSlot::restore(key.clone(), epoch.user, account, record);
            let copy = Arc::new(UserCopy {
                name: name.into(),
                slot: Arc::new(slot),
                until: AtomicU64::new(until.unix()),
            });
            // Sessions still have what is not in here any more, and nobody could tell it that it has ended.
            self.users.put(name, until, copy.clone()).iter().for_each(|gone| gone.end());
            copy
        };
        if self.mark(mark.shard) != mark {
            copy.end();
        }
        copy
    }

    /// Drops the copies of what ends when the guard is dropped: whether it ended, could not, or nobody waits for it.
    pub(super) fn ending(&self, ended: Ended) -> Ending<'_> {
        Ending(self, ended)
    }

    /// No copy of what has ended may be used any more.
    pub(super) fn end(&self, ended: &Ended) {
        match ended {
            Ended::Session(handle) => {
                self.ends[shard_of_session(*handle)].fetch_add(1, Ordering::SeqCst);
                self.sessions.remove(handle);
            }
            Ended::User(name) => {
                self.ends[shard_of_user(name)].fetch_add(1, Ordering::SeqCst);
                if let Some(copy) = self.users.remove(name) {
                    copy.end();
                }
            }
            Ended::Account => {
                self.ends_of_all.fetch_add(1, Ordering::SeqCst);
                self.sessions.clear();
            }
        }
    }
}

pub(super) struct Ending<'a>(&'a Copies, Ended);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end(&self.1);
    }
}

fn shard_of_session(handle: Handle) -> usize {
    handle.shard(SHARDS)
}

/// Names of users are digests in hexadecimal.
fn shard_of_user(name: &str) -> usize {
    let digits = name.get(..4).and_then(|digits| usize::from_str_radix(digits, 16).ok());
    digits.unwrap_or_default() % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        session::{NewSession, SessionId, UserChange},
        wechat::{AppId, OpenId, Scope},
    };

    const NOW: Timestamp = Timestamp::from_unix(1000);
    const THEN: Timestamp = Timestamp::from_unix(1003);
    const EPOCH: Epoch = Epoch { user: 1, account: 2 };

    struct Fixture {
        copies: Copies,
        key: UserKey,
    }

    fn fixture() -> Fixture {
        let key = UserKey {
            appid: AppId::parse("wx0123456789abcdef").unwrap(),
            openid: OpenId::parse("o1").unwrap(),
        };
        Fixture { copies: Copies::new(), key }
    }

    impl Fixture {
        fn keep_user(&self, epoch: Epoch, mark: Mark) -> Arc<UserCopy> {
            let record = UserRecord::new(&self.key, None, UserChange::default());
            self.copies.keep_user("00ff", &self.key, epoch, record, THEN, mark)
        }

        /// A session that is kept, and its user.
        fn keep(&self) -> (Handle, Arc<UserCopy>) {
            let id = SessionId::new();
            let mark = self.copies.mark_session(id.handle());
            let user = self.keep_user(EPOCH, self.copies.mark_user("00ff"));
            let session = session_of(&user, id);
            self.copies.keep_session(id.handle(), session, user.clone(), THEN, mark);
            (id.handle(), user)
        }

        fn has(&self, handle: Handle) -> bool {
            self.copies.session(handle, NOW).is_some()
        }
    }

    fn session_of(user: &UserCopy, id: SessionId) -> Arc<Session> {
        let user = user.slot().clone();
        let new = NewSession { user, scope: Scope::Base, signed_in_at: NOW, begins_at: NOW };
        Arc::new(Session::restore(id, EPOCH, new))
    }

    #[test]
    fn a_copy_may_be_used_until_its_time_is_over() {
        let world = fixture();
        let (handle, _) = world.keep();
        assert!(world.copies.session(handle, Timestamp::from_unix(1002)).is_some());
        assert!(world.copies.session(handle, THEN).is_none());
    }

    #[test]
    fn a_copy_lasts_no_longer_than_that_of_its_user_nor_that_longer_than_its_own() {
        let world = fixture();
        let later = Timestamp::from_unix(THEN.unix() + 10);
        for (of_session, of_user) in [(THEN, later), (later, THEN)] {
            let id = SessionId::new();
            let (mark, of_name) =
                (world.copies.mark_session(id.handle()), world.copies.mark_user("00ff"));
            let record = UserRecord::new(&world.key, None, UserChange::default());
            let user = world.copies.keep_user("00ff", &world.key, EPOCH, record, of_user, of_name);
            let session = session_of(&user, id);
            world.copies.keep_session(id.handle(), session, user, of_session, mark);
            assert!(world.has(id.handle()));
            assert!(world.copies.session(id.handle(), THEN).is_none());
        }
    }

    #[test]
    fn what_ends_elsewhere_leaves_alone_what_is_fetched() {
        let world = fixture();
        let id = SessionId::new();
        let is_elsewhere =
            |other: &Handle| shard_of_session(*other) != shard_of_session(id.handle());
        let other = std::iter::repeat_with(|| SessionId::new().handle()).take(1000);
        let other = other.into_iter().find(is_elsewhere).expect("one of a thousand");
        let mark = world.copies.mark_session(id.handle());
        let of_user = world.copies.mark_user("00ff");
        world.copies.end(&Ended::Session(other));
        world.copies.end(&Ended::User("00fe".to_owned()));
        let user = world.keep_user(EPOCH, of_user);
        let session = session_of(&user, id);
        world.copies.keep_session(id.handle(), session, user, THEN, mark);
        assert!(world.has(id.handle()));
    }

    #[test]
    fn whatever_ends_takes_its_copies_along_and_no_others() {
        let world = fixture();
        let ((one, _), (two, user)) = (world.keep(), world.keep());
        world.copies.end(&Ended::Session(one));
        assert!(!world.has(one) && world.has(two));
        world.copies.end(&Ended::User("00fe".to_owned()));
        assert!(world.has(two));
        world.copies.end(&Ended::User("00ff".to_owned()));
        assert!(!world.has(two));
        let (three, new_user) = world.keep();
        assert!(world.has(three) && !Arc::ptr_eq(&user, &new_user));
        world.copies.end(&Ended::Account);
        assert!(!world.has(three));
        let (four, _) = world.keep();
        assert!(world.has(four));
    }

    #[test]
    fn what_ends_while_it_is_fetched_is_not_kept() {
        for ended in [|handle| Ended::Session(handle), |_| Ended::Account] {
            let world = fixture();
            let id = SessionId::new();
            let mark = world.copies.mark_session(id.handle());
            let user = world.keep_user(EPOCH, world.copies.mark_user("00ff"));
            world.copies.end(&ended(id.handle()));
            let session = session_of(&user, id);
            world.copies.keep_session(id.handle(), session, user, THEN, mark);
            assert!(!world.has(id.handle()));
        }
        let world = fixture();
        let id = SessionId::new();
        let (mark, of_user) =
            (world.copies.mark_session(id.handle()), world.copies.mark_user("00ff"));
        world.copies.end(&Ended::User("00ff".to_owned()));
        let user = world.keep_user(EPOCH, of_user);
        let session = session_of(&user, id);
        world.copies.keep_session(id.handle(), session, user, THEN, mark);
        assert!(!world.has(id.handle()));
    }

    #[test]
    fn all_sessions_of_a_user_share_what_is_known_and_a_new_epoch_begins_anew() {
        let world = fixture();
        let (_, one) = world.keep();
        let (_, two) = world.keep();
        assert!(Arc::ptr_eq(&one, &two));
        let (before, _) = world.keep();
        let newer = Epoch { user: 9, ..EPOCH };
        let three = world.keep_user(newer, world.copies.mark_user("00ff"));
        assert!(!Arc::ptr_eq(&one, &three));
        assert!(!world.has(before));
    }
}
