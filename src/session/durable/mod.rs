//! Sessions that outlive the process: a [`Store`] over any place that keeps records.
//!
//! [`Records`] keep bytes. [`DurableStore`] seals what it gives them with a [`KeyRing`], and answers most look-ups from
//! copies in this process, which are dropped as soon as their originals end.
//!
//! ```no_run
//! # #[cfg(feature = "redis")]
//! # fn example(account: wxgate::Account) -> Result<(), Box<dyn std::error::Error>> {
//! use wxgate::session::{KeyRing, durable::{DurableStore, RedisRecords, RedisUrl}};
//! use wxgate::{Origin, WechatLoginLayer};
//!
//! let keys = KeyRing::from_file("wxgate.keys")?;
//! let records = RedisRecords::new(RedisUrl::parse("redis://127.0.0.1:6379")?);
//! let store = DurableStore::builder(records, keys.clone()).build();
//! let public_url = Origin::parse("https://h5.example.com")?;
//! let wechat = WechatLoginLayer::with_store(account, public_url, store).keys(keys);
//! # Ok(()) }
//! ```

pub(crate) mod codec;
mod copies;
#[cfg(feature = "embedded")]
mod file;
mod mark;
mod records;
#[cfg(feature = "redis")]
mod redis;
#[cfg(all(test, feature = "conformance"))]
pub(crate) mod tests;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

#[cfg(feature = "embedded")]
pub use file::FileRecords;
pub use records::{Ended, Kept, Page, Records, UserRow};
#[cfg(feature = "redis")]
pub use redis::{RedisRecords, RedisUrl, RedisUrlError};

use super::{
    Epoch, Handle, KeyRing, Lease, Lifetimes, ListQuery, Lookup, NewSession, OneUse, Purpose,
    Session, SessionId, SessionInfo, SessionPage, Store, StoreError, UserChange, UserKey,
    UserRecord, UserSlot, Work,
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    wechat::AppId,
};
use codec::Known;
use copies::{Copies, UserCopy};
use mark::Marked;

/// What is known of a user is kept this long after the last sign-in or refresh, or as long as a session may last: a
/// refresh token is good for thirty days.
const USER_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// No record is kept longer: what comes to more is a mistake or a test.
const LONGEST_KEPT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// How often a change of a user is tried again that somebody else was faster with.
const MOST_TRIES: usize = 32;
/// How long no use is noted after one could not be.
const NOTES_PAUSE: Duration = Duration::from_secs(30);
/// How many records one page of a list may cost, however few of them were asked for.
const MOST_LISTED: usize = 10_000;

/// Keeps sessions in a place outside of the process. Clones are the same store.
#[derive(Clone)]
pub struct DurableStore(Arc<Inner>);

struct Inner {
    records: Box<dyn Records>,
    keys: KeyRing,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
    copies: Arc<Copies>,
    marked: Marked,
    /// In seconds since 1970: before that no use is noted, since the last one could not be.
    notes_resume_at: AtomicU64,
}

/// Builds a [`DurableStore`].
#[derive(Debug)]
pub struct DurableStoreBuilder {
    records: Box<dyn Records>,
    keys: KeyRing,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
}

impl DurableStoreBuilder {
    /// How long sessions live. Default 24 hours idle, 7 days in all.
    pub fn lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.lifetimes = lifetimes;
        self
    }

    /// Where the time comes from. Default the machine's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The store.
    pub fn build(self) -> DurableStore {
        let Self { records, keys, lifetimes, clock } = self;
        let copies = Arc::new(Copies::new());
        let told = copies.clone();
        records.tell_of_ends(Arc::new(move |ended| told.end(&ended)));
        DurableStore(Arc::new(Inner {
            records,
            keys,
            lifetimes,
            clock,
            copies,
            marked: Marked::default(),
            notes_resume_at: AtomicU64::new(0),
        }))
    }
}

impl DurableStore {
    /// A store over these records, sealed with these keys: all instances that share the records need the same ones.
    pub fn builder(records: impl Records, keys: KeyRing) -> DurableStoreBuilder {
        DurableStoreBuilder {
            records: Box::new(records),
            keys,
            lifetimes: Lifetimes::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for DurableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableStore")
            .field("records", &self.0.records)
            .field("lifetimes", &self.0.lifetimes)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn records(&self) -> &dyn Records {
        &*self.records
    }

    /// How often a use is written down: often enough for an idle life that is exact to a tenth.
    fn pulse(&self) -> Duration {
        self.lifetimes.idle / 20
    }

    /// The lives as records have them: idle a little longer, since not every use is written down.
    fn kept_lifetimes(&self) -> Lifetimes {
        let Lifetimes { idle, absolute } = self.lifetimes;
        Lifetimes { idle: idle.saturating_add(idle / 10), absolute }
    }

    /// How long a session that is used now is kept.
    fn session_life(&self, signed_in_at: Timestamp, now: Timestamp) -> Duration {
        let Lifetimes { idle, absolute } = self.kept_lifetimes();
        idle.min((signed_in_at + absolute).since(now)).min(LONGEST_KEPT)
    }

    /// Until when copies of what is fetched now may be used.
    fn copies_until(&self, now: Timestamp) -> Timestamp {
        now + self.records.copies_last().min(self.pulse())
    }

    /// The user as it is kept now.
    async fn fetch_user(&self, key: &UserKey) -> Result<Option<Arc<UserCopy>>, StoreError> {
        let name = name_of(key);
        let mark = self.copies.mark_user(&name);
        let (row, account) = tokio::join!(
            self.records().user(&name),
            self.records().account_epoch(key.appid.as_str())
        );
        let (Some(row), Some(account)) = (row?, account?) else {
            self.copies.end(&Ended::User(name));
            return Ok(None);
        };
        let record = codec::open_user(&self.keys, &name, key, &row.sealed);
        let Some(record) = self.opened(record).await? else { return Ok(None) };
        let epoch = Epoch { user: row.epoch, account };
        let until = self.copies_until(self.clock.now());
        Ok(Some(self.copies.keep_user(&name, key, epoch, record, until, mark)))
    }

    /// The session that a record tells of, as it was before it was asked for.
    fn restore(&self, id: SessionId, known: &Known, left: Duration, user: &UserCopy) -> Session {
        let idle = self.kept_lifetimes().idle.min(LONGEST_KEPT);
        // In its last idle life a record ends with the session, whenever that was used, so this is the earliest moment.
        let last_used = (self.clock.now() - idle.saturating_sub(left)).max(known.signed_in_at);
        let kept = NewSession {
            user: user.slot().clone(),
            scope: known.scope,
            signed_in_at: known.signed_in_at,
            begins_at: last_used,
        };
        Session::restore(id, known.epoch, kept)
    }

    /// Notes a use, where that was not done for a while. A place that takes no notes just now, such as a full disk, is no
    /// reason to refuse somebody who is signed in, and is left alone for a while.
    async fn note_use(&self, handle: Handle, known: &Known, left: Duration) {
        let now = self.clock.now();
        let life = self.session_life(known.signed_in_at, now);
        let is_noted = left.saturating_add(self.pulse()) > life;
        if is_noted || now.unix() < self.notes_resume_at.load(Ordering::Relaxed) {
            return;
        }
        let noted = async {
            self.leave_mark().await?;
            self.records().keep_session(handle, life).await
        };
        if let Err(error) = noted.await {
            self.notes_resume_at.store((now + NOTES_PAUSE).unix(), Ordering::Relaxed);
            tracing::warn!(%error, "the use of a session could not be noted");
        }
    }

    /// Applies a change, to anybody or to a user of that epoch alone. None where there is no such user.
    async fn change_user(
        &self,
        key: &UserKey,
        change: &UserChange,
        only: Option<u64>,
    ) -> Result<Option<Arc<UserSlot>>, StoreError> {
        self.leave_mark().await?;
        let name = name_of(key);
        let mark = self.copies.mark_user(&name);
        let account =
            self.records().make_account_epoch(key.appid.as_str(), super::random()).await?;
        let life = USER_LIFE.max(self.lifetimes.absolute).min(LONGEST_KEPT);
        for _ in 0..MOST_TRIES {
            let old = self.records().user(&name).await?;
            if only.is_some() && old.as_ref().map(|row| row.epoch) != only {
                return Ok(None);
            }
            let known = match &old {
                Some(row) => {
                    self.opened(codec::open_user(&self.keys, &name, key, &row.sealed)).await?
                }
                None => None,
            };
            let record = UserRecord::new(key, known.as_ref(), change.clone());
            let row = UserRow {
                epoch: old.as_ref().map_or_else(super::random, |row| row.epoch),
                version: super::random(),
                sealed: codec::seal_user(&self.keys, &name, &record),
            };
            let instead_of = old.map(|row| row.version);
            if self.records().put_user(&name, instead_of, &row, life).await? {
                let epoch = Epoch { user: row.epoch, account };
                let until = self.copies_until(self.clock.now());
                let copy = self.copies.keep_user(&name, key, epoch, record, until, mark);
                return Ok(Some(copy.slot().clone()));
            }
        }
        let why = format!("others changed it {MOST_TRIES} times in between");
        Err(StoreError::new("change a user", why))
    }
}

/// The name of a user's record: who reads the names alone learns no openid.
fn name_of(key: &UserKey) -> String {
    let digest = Sha256::digest(key.to_string());
    let half = digest.first_chunk().expect("SHA-256 has 32 bytes");
    format!("{:032x}", u128::from_be_bytes(*half))
}

#[async_trait]
impl Store for DurableStore {
    fn lifetimes(&self) -> Lifetimes {
        self.0.lifetimes
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.0.compare_keys().await.map(drop)
    }

    fn peek(&self, id: SessionId) -> Lookup {
        let Inner { records, copies, clock, .. } = &*self.0;
        if records.copies_last().is_zero() {
            return Lookup::Unknown;
        }
        let now = clock.now();
        let copy = copies.session(id.handle(), now);
        let Some(session) = copy.filter(|copy| copy.is_alive(now, &self.0.kept_lifetimes())) else {
            return Lookup::Unknown;
        };
        session.touch(now);
        Lookup::Hit(session)
    }

    async fn load(&self, id: SessionId) -> Result<Option<Arc<Session>>, StoreError> {
        let (inner, handle) = (&*self.0, id.handle());
        let mark = inner.copies.mark_session(handle);
        let Some(kept) = inner.records().session(handle).await? else {
            inner.copies.end(&Ended::Session(handle));
            return Ok(None);
        };
        let known = codec::open_session(&inner.keys, &handle.to_string(), &kept.sealed);
        let Some(known) = inner.opened(known).await? else { return Ok(None) };
        let Some(user) = inner.fetch_user(&known.user).await? else { return Ok(None) };
        let session = inner.restore(id, &known, kept.left, &user);
        let now = inner.clock.now();
        if !session.is_alive(now, &inner.kept_lifetimes()) {
            return Ok(None);
        }
        inner.note_use(handle, &known, kept.left).await;
        session.touch(now);
        let session = Arc::new(session);
        let until = inner.copies_until(now);
        inner.copies.keep_session(handle, session.clone(), user, until, mark);
        Ok(Some(session))
    }

    async fn create(&self, new: NewSession) -> Result<Arc<Session>, StoreError> {
        let inner = &*self.0;
        let begins_at = new.begins_at;
        let session = Arc::new(Session::begin(new));
        let life = inner.session_life(session.signed_in_at(), begins_at);
        let handle = session.id().handle();
        let sealed = codec::seal_session(&inner.keys, &handle.to_string(), &session);
        if !life.is_zero() {
            inner.records().put_session(handle, &sealed, life).await?;
        }
        Ok(session)
    }

    async fn remove(&self, id: SessionId) -> Result<(), StoreError> {
        self.remove_by_handle(id.handle()).await.map(drop)
    }

    async fn remove_by_handle(&self, handle: Handle) -> Result<bool, StoreError> {
        let _ending = self.0.copies.ending(Ended::Session(handle));
        self.0.records().remove_session(handle).await
    }

    async fn list(&self, query: &ListQuery) -> Result<SessionPage, StoreError> {
        let inner = &*self.0;
        let mut page = SessionPage { next: query.after.clone(), ..SessionPage::default() };
        let mut read = 0;
        loop {
            let records = inner.records().sessions(page.next.as_deref(), query.limit).await?;
            read += records.sessions.len().max(1);
            for (handle, kept) in records.sessions {
                let known = codec::open_session(&inner.keys, &handle.to_string(), &kept.sealed);
                let Some(known) = inner.opened(known).await? else { continue };
                if !query.asks_for(&known.user) {
                    continue;
                }
                let Some(user) = inner.fetch_user(&known.user).await? else { continue };
                // Its id is nowhere but in a browser, so this one has another.
                let session = inner.restore(SessionId::new(), &known, kept.left, &user);
                if session.is_alive(inner.clock.now(), &inner.kept_lifetimes()) {
                    page.sessions.push(SessionInfo { handle, ..SessionInfo::of(&session) });
                }
            }
            page.next = records.next;
            if page.next.is_none() || page.sessions.len() >= query.limit || read >= MOST_LISTED {
                return Ok(page);
            }
        }
    }

    async fn user(&self, key: &UserKey) -> Result<Option<Arc<UserSlot>>, StoreError> {
        let user = self.0.fetch_user(key).await?;
        Ok(user.map(|user| user.slot().clone()))
    }

    async fn put_user(
        &self,
        key: UserKey,
        change: UserChange,
    ) -> Result<Arc<UserSlot>, StoreError> {
        let slot = self.0.change_user(&key, &change, None).await?;
        slot.ok_or_else(|| StoreError::new("change a user", "it has vanished"))
    }

    async fn change_user(&self, user: &UserSlot, change: UserChange) -> Result<bool, StoreError> {
        let only = Some(user.epoch().user);
        Ok(self.0.change_user(user.key(), &change, only).await?.is_some())
    }

    async fn remove_all_of(&self, key: &UserKey) -> Result<(), StoreError> {
        let name = name_of(key);
        let _ending = self.0.copies.ending(Ended::User(name.clone()));
        self.0.records().set_user_epoch(&name, super::random()).await
    }

    async fn remove_user(&self, key: &UserKey) -> Result<(), StoreError> {
        let name = name_of(key);
        let _ending = self.0.copies.ending(Ended::User(name.clone()));
        self.0.records().remove_user(&name).await
    }

    async fn remove_all_of_account(&self, appid: &AppId) -> Result<(), StoreError> {
        let _ending = self.0.copies.ending(Ended::Account);
        self.0.records().set_account_epoch(appid.as_str(), super::random()).await
    }

    async fn claim(&self, once: &OneUse, life: Duration) -> Result<bool, StoreError> {
        self.0.records().claim(once.as_str(), life.min(LONGEST_KEPT)).await
    }

    async fn settle(
        &self,
        once: &OneUse,
        outcome: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        let once = once.as_str();
        let sealed = self.0.keys.seal_bytes(Purpose::StoredOutcome, once, outcome);
        self.0.records().put_outcome(once, &sealed, life.min(LONGEST_KEPT)).await
    }

    async fn outcome(&self, once: &OneUse) -> Result<Option<Vec<u8>>, StoreError> {
        let once = once.as_str();
        let Some(sealed) = self.0.records().outcome(once).await? else { return Ok(None) };
        let outcome = codec::open_bytes(&self.0.keys, Purpose::StoredOutcome, once, &sealed);
        self.0.opened(outcome).await
    }

    async fn lease(&self, work: &Work, life: Duration) -> Result<Option<Lease>, StoreError> {
        let lease = Lease::random();
        let taken = self.0.records().lease(work.as_str(), lease, life.min(LONGEST_KEPT)).await?;
        Ok(taken.then_some(lease))
    }

    async fn release(&self, work: &Work, lease: Lease) -> Result<(), StoreError> {
        self.0.records().release(work.as_str(), lease).await
    }

    async fn load_app_data(&self, id: SessionId) -> Result<Option<Arc<[u8]>>, StoreError> {
        let handle = id.handle();
        if self.load(id).await?.is_none() {
            return Ok(None);
        }
        let Some(sealed) = self.0.records().app_data(handle).await? else { return Ok(None) };
        let (keys, name) = (&self.0.keys, handle.to_string());
        let data = codec::open_bytes(keys, Purpose::StoredAppData, &name, &sealed);
        Ok(self.0.opened(data).await?.map(Into::into))
    }

    async fn save_app_data(&self, id: SessionId, data: Arc<[u8]>) -> Result<bool, StoreError> {
        if self.load(id).await?.is_none() {
            return Ok(false);
        }
        let handle = id.handle();
        let name = handle.to_string();
        let sealed = self.0.keys.seal_bytes(Purpose::StoredAppData, &name, &data);
        // A session that ends in between takes its data along, or keeps it where nobody can read it any more.
        self.0.records().put_app_data(handle, &sealed).await
    }

    async fn remove_app_data(&self, id: SessionId) -> Result<(), StoreError> {
        self.0.records().remove_app_data(id.handle()).await
    }
}
