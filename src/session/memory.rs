//! The in-process store: bounded tables that forget by themselves.

mod dated;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use moka::{
    ops::compute::{CompResult, Op},
    policy::EvictionPolicy,
    sync::Cache,
};

use dated::{Dated, Forgets};

use super::{
    id::{Handle, SessionId},
    recent::{Named, Recent},
    session::{Lifetimes, NewSession, Session},
    store::{Lease, ListQuery, Lookup, OneUse, SessionInfo, SessionPage, Store, StoreError, Work},
    user::{AccountSlot, UserChange, UserKey, UserSlot},
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    wechat::AppId,
};

/// Keeps everything in this process: the fastest store, empty after a restart. Clones share the content.
///
/// Where room runs out, what was used longest ago goes first: of everything in a small store, and of one part in 64 in
/// one that holds 4,096 or more. A policy that keeps what is used often would drop each new login once it is full of live
/// sessions. What has ended is no good from then on, and its memory is freed as it is asked for or as others sign in.
#[derive(Clone)]
pub struct MemoryStore {
    sessions: Arc<Recent<Session>>,
    users: Arc<Recent<UserSlot>>,
    /// As many as there are in the configuration.
    accounts: Arc<Mutex<HashMap<AppId, Arc<AccountSlot>>>>,
    used: Notes,
    outcomes: Notes,
    leases: Notes,
    app_data: Arc<Recent<AppData>>,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
}

/// Builds a [`MemoryStore`] with other bounds than the default ones.
#[derive(Debug)]
pub struct MemoryStoreBuilder {
    lifetimes: Lifetimes,
    max_sessions: u64,
    max_users: u64,
    clock: Arc<dyn Clock>,
}

impl Default for MemoryStoreBuilder {
    fn default() -> Self {
        Self {
            lifetimes: Lifetimes::default(),
            max_sessions: 1_000_000,
            max_users: 1_000_000,
            clock: Arc::new(SystemClock),
        }
    }
}

impl MemoryStoreBuilder {
    /// How long sessions live. Default 24 hours idle, 7 days in all.
    pub fn lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.lifetimes = lifetimes;
        self
    }

    /// How many sessions are kept. Default 1,000,000.
    pub fn max_sessions(mut self, count: u64) -> Self {
        self.max_sessions = count;
        self
    }

    /// How many users are kept. Default 1,000,000.
    pub fn max_users(mut self, count: u64) -> Self {
        self.max_users = count;
        self
    }

    /// Where the time comes from. Default the machine's clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The store.
    pub fn build(self) -> MemoryStore {
        let Lifetimes { idle, absolute } = self.lifetimes;
        MemoryStore {
            sessions: Arc::new(Recent::new(self.max_sessions, idle.min(absolute))),
            users: Arc::new(Recent::new(self.max_users, absolute)),
            accounts: Arc::default(),
            used: notes(),
            outcomes: notes(),
            leases: notes(),
            app_data: Arc::new(Recent::new(self.max_sessions, absolute)),
            lifetimes: self.lifetimes,
            clock: self.clock,
        }
    }
}

impl Named for Session {
    type Name = SessionId;

    fn is(&self, name: &SessionId) -> bool {
        self.id() == *name
    }

    /// Ids of sessions are random, and nobody but us makes any that are kept.
    fn hash(name: &SessionId, _: &RandomState) -> u64 {
        name.random_half()
    }
}

/// The app's data of a session. It goes with the session.
struct AppData {
    session: SessionId,
    data: Arc<[u8]>,
}

impl Named for AppData {
    type Name = SessionId;

    fn is(&self, name: &SessionId) -> bool {
        self.session == *name
    }

    fn hash(name: &SessionId, random: &RandomState) -> u64 {
        Session::hash(name, random)
    }
}

impl Named for UserSlot {
    type Name = UserKey;

    fn is(&self, name: &UserKey) -> bool {
        self.key() == name
    }

    fn hash(name: &UserKey, random: &RandomState) -> u64 {
        random.hash_one(name)
    }
}

/// What is kept for a while, by the name of what it is about. Of one kind, so that it is one piece of code.
type Notes = Cache<String, Dated<Note>>;

#[derive(Clone, PartialEq)]
enum Note {
    Used,
    Outcome(Arc<[u8]>),
    Lease(Lease),
}

/// They are small, and made only by who holds a pending login.
const MOST_NOTES: u64 = 1_000_000;

fn notes() -> Notes {
    let notes = Cache::builder().max_capacity(MOST_NOTES).eviction_policy(EvictionPolicy::lru());
    notes.expire_after(Forgets).build()
}

/// True where there was no note by this name that is still good, so that this is the one.
fn note_first(notes: &Notes, name: &str, note: Dated<Note>, now: Timestamp) -> bool {
    let outcome = notes.entry_by_ref(name).and_compute_with(|present| match present {
        Some(entry) if entry.value().is_good(now) => Op::Nop,
        _ => Op::Put(note),
    });
    matches!(outcome, CompResult::Inserted(_) | CompResult::ReplacedWith(_))
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl fmt::Debug for MemoryStore {
    /// Counts, never entries: their keys are the ids that browsers hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.sessions.len())
            .field("users", &self.users.len())
            .field("lifetimes", &self.lifetimes)
            .finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// A store with the default bounds.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store whose bounds can be set.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }

    fn account(&self, appid: &AppId) -> Arc<AccountSlot> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = || Arc::new(AccountSlot::new(super::random()));
        accounts.entry(appid.clone()).or_insert_with(slot).clone()
    }

    fn find(&self, id: SessionId) -> Option<Arc<Session>> {
        let session = self.sessions.get(&id)?;
        let now = self.clock.now();
        if !session.is_alive(now, &self.lifetimes) {
            self.end(id);
            return None;
        }
        if session.touch(now) {
            self.sessions.used(&id, now);
            self.users.used(session.user().key(), now);
        }
        Some(session)
    }

    fn end(&self, id: SessionId) {
        self.sessions.remove(&id);
        self.app_data.remove(&id);
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn lifetimes(&self) -> Lifetimes {
        self.lifetimes
    }

    fn peek(&self, id: SessionId) -> Lookup {
        self.find(id).map_or(Lookup::Absent, Lookup::Hit)
    }

    async fn load(&self, id: SessionId) -> Result<Option<Arc<Session>>, StoreError> {
        Ok(self.find(id))
    }

    async fn create(&self, new: NewSession) -> Result<Arc<Session>, StoreError> {
        let session = Arc::new(Session::begin(new));
        let now = self.clock.now();
        let kept = self.sessions.get_or_make(&session.id(), now, || session.clone());
        for gone in kept.gone {
            self.app_data.remove(&gone.id());
        }
        Ok(session)
    }

    async fn remove(&self, id: SessionId) -> Result<(), StoreError> {
        self.end(id);
        Ok(())
    }

    async fn remove_by_handle(&self, handle: Handle) -> Result<bool, StoreError> {
        let named = |session: &Arc<Session>| session.id().handle() == handle;
        let Some(session) = self.sessions.iter().find(named) else { return Ok(false) };
        let was_good = session.is_alive(self.clock.now(), &self.lifetimes);
        self.end(session.id());
        Ok(was_good)
    }

    async fn list(&self, query: &ListQuery) -> Result<SessionPage, StoreError> {
        let after = query.after.as_deref().and_then(Handle::parse);
        let now = self.clock.now();
        let mut page = BTreeMap::new();
        let mut is_last = true;
        for session in self.sessions.iter() {
            let is_asked_for =
                query.asks_for(session.user().key()) && session.is_alive(now, &self.lifetimes);
            if !is_asked_for {
                continue;
            }
            let handle = session.id().handle();
            if after.is_none_or(|after| handle > after) {
                page.insert(handle, session);
                if page.len() > query.limit {
                    page.pop_last();
                    is_last = false;
                }
            }
        }
        let last = page.last_key_value().filter(|_| !is_last);
        Ok(SessionPage {
            next: last.map(|(handle, _)| handle.to_string()),
            sessions: page.values().map(|session| SessionInfo::of(session)).collect(),
        })
    }

    async fn user(&self, key: &UserKey) -> Result<Option<Arc<UserSlot>>, StoreError> {
        Ok(self.users.get(key))
    }

    async fn put_user(
        &self,
        key: UserKey,
        change: UserChange,
    ) -> Result<Arc<UserSlot>, StoreError> {
        let make =
            || Arc::new(UserSlot::new(key.clone(), self.account(&key.appid), change.clone()));
        let found = self.users.get_or_make(&key, self.clock.now(), make);
        if !found.is_made {
            found.what.update(&change);
        }
        found.gone.iter().for_each(|slot| slot.retire());
        Ok(found.what)
    }

    async fn change_user(&self, user: &UserSlot, change: UserChange) -> Result<bool, StoreError> {
        let known = self.users.get(user.key());
        let same = known.filter(|known| known.epoch().user == user.epoch().user);
        Ok(same.map(|known| known.update(&change)).is_some())
    }

    async fn remove_all_of(&self, key: &UserKey) -> Result<(), StoreError> {
        if let Some(slot) = self.users.get(key) {
            slot.step_epoch();
        }
        Ok(())
    }

    async fn remove_user(&self, key: &UserKey) -> Result<(), StoreError> {
        if let Some(slot) = self.users.remove(key) {
            slot.retire();
        }
        Ok(())
    }

    async fn remove_all_of_account(&self, appid: &AppId) -> Result<(), StoreError> {
        self.account(appid).step_epoch();
        Ok(())
    }

    async fn claim(&self, once: &OneUse, life: Duration) -> Result<bool, StoreError> {
        let now = self.clock.now();
        Ok(note_first(&self.used, once.as_str(), Dated::new(Note::Used, now, life), now))
    }

    async fn settle(
        &self,
        once: &OneUse,
        outcome: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        let outcome = Dated::new(Note::Outcome(outcome.into()), self.clock.now(), life);
        self.outcomes.insert(once.as_str().to_owned(), outcome);
        Ok(())
    }

    async fn outcome(&self, once: &OneUse) -> Result<Option<Vec<u8>>, StoreError> {
        let noted = self.outcomes.get(once.as_str());
        let noted = noted.filter(|dated| dated.is_good(self.clock.now()));
        Ok(noted.and_then(|dated| match dated.what {
            Note::Outcome(outcome) => Some(outcome.to_vec()),
            Note::Used | Note::Lease(_) => None,
        }))
    }

    async fn lease(&self, work: &Work, life: Duration) -> Result<Option<Lease>, StoreError> {
        let (now, lease) = (self.clock.now(), Lease::random());
        let note = Dated::new(Note::Lease(lease), now, life);
        Ok(note_first(&self.leases, work.as_str(), note, now).then_some(lease))
    }

    async fn release(&self, work: &Work, lease: Lease) -> Result<(), StoreError> {
        self.leases.entry_by_ref(work.as_str()).and_compute_with(|present| match present {
            Some(entry) if entry.value().what == Note::Lease(lease) => Op::Remove,
            _ => Op::Nop,
        });
        Ok(())
    }

    async fn load_app_data(&self, id: SessionId) -> Result<Option<Arc<[u8]>>, StoreError> {
        let data = self.find(id).and_then(|_| self.app_data.get(&id));
        Ok(data.map(|kept| kept.data.clone()))
    }

    async fn save_app_data(&self, id: SessionId, data: Arc<[u8]>) -> Result<bool, StoreError> {
        if self.find(id).is_none() {
            return Ok(false);
        }
        let kept = AppData { session: id, data };
        self.app_data.put(&id, self.clock.now(), Arc::new(kept));
        // The session may have ended in between; then whoever ended it may have been too early to see this.
        let kept = self.find(id).is_some();
        if !kept {
            self.app_data.remove(&id);
        }
        Ok(kept)
    }

    async fn remove_app_data(&self, id: SessionId) -> Result<(), StoreError> {
        self.app_data.remove(&id);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
