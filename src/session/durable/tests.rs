//! What the durable store makes of records, seen with records in a map that count what they are asked for.

mod rotation;
mod uses;

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use super::{super::conformance::Subject, *};
use crate::{
    clock::ManualClock,
    secret::Code,
    session::{Profile, conformance, turns::Turns},
    wechat::{OpenId, Scope},
};

type Listener = Arc<dyn Fn(Ended) + Send + Sync>;

/// What is kept, and until when.
type Shelf = HashMap<String, (Timestamp, Vec<u8>)>;

/// Records that several instances share.
#[derive(Debug, Default)]
struct Shared {
    /// By their names with a letter for their kind in front.
    shelf: Mutex<Shelf>,
    users: Mutex<HashMap<String, (Timestamp, UserRow)>>,
    accounts: Mutex<HashMap<String, u64>>,
    listeners: Mutex<Listeners>,
}

#[derive(Default)]
struct Listeners(Vec<Listener>);

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} listeners", self.0.len())
    }
}

/// One instance's way to them.
#[derive(Clone, Debug)]
pub(crate) struct InMap {
    shared: Arc<Shared>,
    clock: ManualClock,
    asked: Arc<AtomicUsize>,
    is_deaf: Arc<AtomicBool>,
    is_read_only: Arc<AtomicBool>,
    turns: Turns,
}

impl InMap {
    /// Empty ones, which are asked in turns where somebody plays with those.
    pub(crate) fn new(clock: ManualClock, turns: Turns) -> Self {
        Self {
            shared: Arc::default(),
            clock,
            asked: Arc::default(),
            is_deaf: Arc::default(),
            is_read_only: Arc::default(),
            turns,
        }
    }

    fn tell(&self, ended: &Ended) {
        for listener in &self.shared.listeners.lock().unwrap().0 {
            listener(ended.clone());
        }
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        let mut shelf = self.shared.shelf.lock().unwrap();
        let now = self.clock.now();
        shelf.retain(|_, (until, _)| now < *until);
        shelf
    }

    fn put(&self, name: String, value: &[u8], life: Duration) {
        self.shelf().insert(name, (self.clock.now() + life, value.to_vec()));
    }

    fn put_if_absent(&self, name: String, value: &[u8], life: Duration) -> bool {
        let mut shelf = self.shelf();
        let is_absent = !shelf.contains_key(&name);
        if is_absent {
            shelf.insert(name, (self.clock.now() + life, value.to_vec()));
        }
        is_absent
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.shelf().get(name).map(|(_, value)| value.clone())
    }

    fn writable(&self) -> Result<(), StoreError> {
        if self.is_read_only.load(Ordering::SeqCst) {
            return Err(StoreError::new("write", "the test has switched that off"));
        }
        Ok(())
    }
}

#[async_trait]
impl Records for InMap {
    fn tell_of_ends(&self, ended: Listener) {
        self.shared.listeners.lock().unwrap().0.push(ended);
    }

    fn copies_last(&self) -> Duration {
        if self.is_deaf.load(Ordering::SeqCst) { Duration::ZERO } else { Duration::from_secs(3) }
    }

    async fn session(&self, session: Handle) -> Result<Option<Kept>, StoreError> {
        self.turns.turn("session").await;
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (shelf, now) = (self.shelf(), self.clock.now());
        let kept = shelf.get(&format!("s{session}"));
        Ok(kept.map(|(until, sealed)| Kept { sealed: sealed.clone(), left: until.since(now) }))
    }

    async fn put_session(
        &self,
        id: Handle,
        sealed: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        self.turns.turn("put_session").await;
        self.writable()?;
        self.put(format!("s{id}"), sealed, life);
        Ok(())
    }

    async fn keep_session(&self, session: Handle, life: Duration) -> Result<(), StoreError> {
        self.turns.turn("keep_session").await;
        self.writable()?;
        let mut shelf = self.shelf();
        for kind in ["s", "d"] {
            if let Some((until, _)) = shelf.get_mut(&format!("{kind}{session}")) {
                *until = self.clock.now() + life;
            }
        }
        Ok(())
    }

    async fn remove_session(&self, session: Handle) -> Result<bool, StoreError> {
        self.turns.turn("remove_session").await;
        let mut shelf = self.shelf();
        shelf.remove(&format!("d{session}"));
        let was_there = shelf.remove(&format!("s{session}")).is_some();
        drop(shelf);
        self.tell(&Ended::Session(session));
        Ok(was_there)
    }

    async fn sessions(&self, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        self.turns.turn("sessions").await;
        let (shelf, now) = (self.shelf(), self.clock.now());
        let behind = |name: &&String| {
            name.starts_with('s') && after.is_none_or(|after| name.as_str() > after)
        };
        let mut names: Vec<_> = shelf.keys().filter(behind).cloned().collect();
        names.sort();
        let next = (names.len() > limit).then(|| names[limit - 1].clone());
        let sessions = names.iter().take(limit).map(|name| {
            let (until, sealed) = &shelf[name];
            let handle = Handle::parse(&name[1..]).unwrap();
            (handle, Kept { sealed: sealed.clone(), left: until.since(now) })
        });
        Ok(Page { sessions: sessions.collect(), next })
    }

    async fn app_data(&self, session: Handle) -> Result<Option<Vec<u8>>, StoreError> {
        self.turns.turn("app_data").await;
        Ok(self.get(&format!("d{session}")))
    }

    async fn put_app_data(&self, session: Handle, sealed: &[u8]) -> Result<bool, StoreError> {
        self.turns.turn("put_app_data").await;
        let mut shelf = self.shelf();
        let Some((until, _)) = shelf.get(&format!("s{session}")) else { return Ok(false) };
        let until = *until;
        shelf.insert(format!("d{session}"), (until, sealed.to_vec()));
        Ok(true)
    }

    async fn remove_app_data(&self, session: Handle) -> Result<(), StoreError> {
        self.turns.turn("remove_app_data").await;
        self.shelf().remove(&format!("d{session}"));
        Ok(())
    }

    async fn user(&self, user: &str) -> Result<Option<UserRow>, StoreError> {
        self.turns.turn("user").await;
        let users = self.shared.users.lock().unwrap();
        let kept = users.get(user).filter(|(until, _)| self.clock.now() < *until);
        Ok(kept.map(|(_, row)| row.clone()))
    }

    async fn put_user(
        &self,
        user: &str,
        instead_of: Option<u64>,
        row: &UserRow,
        life: Duration,
    ) -> Result<bool, StoreError> {
        self.turns.turn("put_user").await;
        self.writable()?;
        let mut users = self.shared.users.lock().unwrap();
        let now = self.clock.now();
        let there = users.get(user).filter(|(until, _)| now < *until).map(|(_, row)| row.clone());
        if there.as_ref().map(|row| row.version) != instead_of {
            return Ok(false);
        }
        let epoch = there.map_or(row.epoch, |there| there.epoch);
        users.insert(user.to_owned(), (now + life, UserRow { epoch, ..row.clone() }));
        Ok(true)
    }

    async fn set_user_epoch(&self, user: &str, epoch: u64) -> Result<(), StoreError> {
        self.turns.turn("set_user_epoch").await;
        if let Some((_, row)) = self.shared.users.lock().unwrap().get_mut(user) {
            row.epoch = epoch;
        }
        self.tell(&Ended::User(user.to_owned()));
        Ok(())
    }

    async fn remove_user(&self, user: &str) -> Result<(), StoreError> {
        self.turns.turn("remove_user").await;
        self.shared.users.lock().unwrap().remove(user);
        self.tell(&Ended::User(user.to_owned()));
        Ok(())
    }

    async fn account_epoch(&self, appid: &str) -> Result<Option<u64>, StoreError> {
        self.turns.turn("account_epoch").await;
        Ok(self.shared.accounts.lock().unwrap().get(appid).copied())
    }

    async fn make_account_epoch(&self, appid: &str, epoch: u64) -> Result<u64, StoreError> {
        self.turns.turn("make_account_epoch").await;
        self.writable()?;
        Ok(*self.shared.accounts.lock().unwrap().entry(appid.to_owned()).or_insert(epoch))
    }

    async fn set_account_epoch(&self, appid: &str, epoch: u64) -> Result<(), StoreError> {
        self.turns.turn("set_account_epoch").await;
        self.shared.accounts.lock().unwrap().insert(appid.to_owned(), epoch);
        self.tell(&Ended::Account);
        Ok(())
    }

    async fn claim(&self, once: &str, life: Duration) -> Result<bool, StoreError> {
        self.turns.turn("claim").await;
        Ok(self.put_if_absent(format!("o{once}"), b"", life))
    }

    async fn put_outcome(
        &self,
        once: &str,
        sealed: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        self.turns.turn("put_outcome").await;
        self.put(format!("r{once}"), sealed, life);
        Ok(())
    }

    async fn outcome(&self, once: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.turns.turn("outcome").await;
        Ok(self.get(&format!("r{once}")))
    }

    async fn lease(&self, work: &str, lease: Lease, life: Duration) -> Result<bool, StoreError> {
        self.turns.turn("lease").await;
        Ok(self.put_if_absent(format!("l{work}"), &lease.number().to_be_bytes(), life))
    }

    async fn release(&self, work: &str, lease: Lease) -> Result<(), StoreError> {
        self.turns.turn("release").await;
        let name = format!("l{work}");
        let is_its = |(_, holder): &(Timestamp, Vec<u8>)| *holder == lease.number().to_be_bytes();
        let mut shelf = self.shelf();
        if shelf.get(&name).is_some_and(is_its) {
            shelf.remove(&name);
        }
        Ok(())
    }
}

fn alice() -> UserKey {
    let appid = AppId::parse("wx0123456789abcdef").unwrap();
    UserKey { appid, openid: OpenId::parse("o1").unwrap() }
}

/// Two instances over the same records.
struct Twins {
    records: InMap,
    keys: KeyRing,
    stores: [DurableStore; 2],
}

impl Twins {
    fn new() -> Self {
        let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
        let records = InMap::new(clock, Turns::default());
        let keys = KeyRing::random();
        let build = || {
            DurableStore::builder(records.clone(), keys.clone())
                .clock(records.clock.clone())
                .build()
        };
        Self { stores: [build(), build()], keys, records }
    }

    async fn sign_in(&self) -> SessionId {
        let nickname = Profile { nickname: "planted".into(), avatar: None };
        let profile = Some((nickname, Timestamp::from_unix(1)));
        let change = UserChange { profile, ..UserChange::default() };
        let user = self.stores[0].put_user(alice(), change).await.unwrap();
        let now = self.records.clock.now();
        let new = NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now };
        self.stores[0].create(new).await.unwrap().id()
    }

    async fn loads(&self, id: SessionId) -> bool {
        self.stores[0].load(id).await.unwrap().is_some()
    }

    fn finds(&self, id: SessionId) -> bool {
        matches!(self.stores[0].peek(id), Lookup::Hit(_))
    }
}

#[async_trait]
impl Subject for Twins {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.stores[0].clone())
    }

    fn other(&self) -> Arc<dyn Store> {
        Arc::new(self.stores[1].clone())
    }

    fn now(&self) -> Timestamp {
        self.records.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.records.clock.advance(by);
    }
}

#[tokio::test]
async fn c33_c42_c48_the_contract_is_kept_over_any_records() {
    conformance::run(async || Twins::new()).await;
}

#[tokio::test]
async fn most_look_ups_ask_nobody() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    assert!(!twins.finds(id), "nobody has asked for it yet");
    assert!(twins.loads(id).await);
    let asked = twins.records.asked.load(Ordering::SeqCst);
    for _ in 0..1000 {
        assert!(twins.finds(id));
    }
    assert_eq!(twins.records.asked.load(Ordering::SeqCst), asked);
    twins.records.clock.advance(Duration::from_secs(3));
    assert!(!twins.finds(id), "a copy has its time");
    assert!(twins.loads(id).await && twins.finds(id));
}

#[tokio::test]
async fn while_ends_are_not_told_of_no_copy_is_used() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    assert!(twins.loads(id).await && twins.finds(id));
    twins.records.is_deaf.store(true, Ordering::SeqCst);
    assert!(!twins.finds(id));
    assert!(twins.loads(id).await && !twins.finds(id));
    twins.records.is_deaf.store(false, Ordering::SeqCst);
    assert!(twins.loads(id).await && twins.finds(id));
}

#[tokio::test]
async fn who_is_signed_in_goes_on_while_nothing_can_be_written() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    twins.records.is_read_only.store(true, Ordering::SeqCst);
    twins.records.clock.advance(Duration::from_secs(20 * 60 * 60));
    assert!(twins.loads(id).await, "its use cannot be noted");
    let refused = twins.stores[0].put_user(alice(), UserChange::default()).await;
    assert!(refused.is_err());
    twins.records.is_read_only.store(false, Ordering::SeqCst);
    twins.records.clock.advance(NOTES_PAUSE);
    assert!(twins.loads(id).await, "and is noted now");
    twins.records.clock.advance(Duration::from_secs(20 * 60 * 60));
    assert!(twins.loads(id).await);
}

#[tokio::test]
async fn c42_a_wrong_key_ring_is_an_error_and_signs_nobody_out() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    let stranger = DurableStore::builder(twins.records.clone(), KeyRing::random());
    let stranger = stranger.clock(twins.records.clock.clone()).build();
    let error = stranger.load(id).await.unwrap_err().to_string();
    assert!(error.contains("key file"), "{error}");
    assert!(stranger.put_user(alice(), UserChange::default()).await.is_err());
    assert!(stranger.check().await.is_err());
    twins.stores[0].check().await.unwrap();
    assert!(twins.loads(id).await);
}

#[tokio::test]
async fn what_a_dropped_key_has_sealed_counts_for_nothing_and_can_be_made_anew() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    let old = KeyRing::random();
    old.replace_with(&twins.keys);
    // The next key seals, and the old one opens.
    twins.keys.replace_with(&KeyRing::random().followed_by(old.clone()));
    assert!(twins.loads(id).await);
    let stays = twins.sign_in().await;
    let only_new = KeyRing::random();
    only_new.replace_with(&twins.keys);
    twins.keys.replace_with(&only_new.without(&old));
    assert!(!twins.loads(id).await, "it was sealed with the dropped key");
    assert!(twins.loads(stays).await, "it was sealed with the next one");
    let back = twins.sign_in().await;
    assert!(twins.loads(back).await);
    twins.stores[0].check().await.unwrap();
}

#[tokio::test]
async fn c38_w10_what_is_kept_shows_no_id_no_openid_and_nothing_of_a_profile() {
    let twins = Twins::new();
    let id = twins.sign_in().await;
    let store = &twins.stores[0];
    assert!(store.save_app_data(id, b"planted".as_slice().into()).await.unwrap());
    let once = OneUse::exchange(&alice().appid, &Code::new("code"));
    store.settle(&once, id.expose().as_bytes(), Duration::from_secs(60)).await.unwrap();
    let shelf = twins.records.shelf();
    let users = twins.records.shared.users.lock().unwrap();
    let mut kept: Vec<u8> = Vec::new();
    for (name, (_, value)) in &*shelf {
        kept.extend(name.as_bytes().iter().chain(value));
    }
    for (name, (_, row)) in &*users {
        kept.extend(name.as_bytes().iter().chain(&row.sealed));
    }
    assert!(kept.len() > 400, "there is something to look through");
    for secret in [&b"planted"[..], id.expose().as_bytes(), b"o1\"", b"wx0123456789abcdef:o1"] {
        let shown = kept.windows(secret.len()).any(|window| window == secret);
        assert!(!shown, "{}", String::from_utf8_lossy(secret));
    }
    assert!(!format!("{store:?} {:?}", twins.keys).contains(&id.expose()));
}
