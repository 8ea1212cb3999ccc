//! One secret for all instances: looked up in the store, fetched by whoever has the lease, renewed before it ends.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep, timeout},
};

use super::{
    Held,
    error::KeeperError,
    flights::Flights,
    record::{Record, Secret},
};
use crate::{
    clock::{Clock, Timestamp},
    session::{Lease, OneUse, Store, StoreError, Work},
    wechat::Account,
};

/// How long one instance may take. It ends its fetch before, so that nobody else's begins in the meantime.
const LEASE: Duration = Duration::from_secs(30);
const LONGEST_FETCH: Duration = Duration::from_secs(20);
/// How long others wait for it.
const PATIENCE: Duration = Duration::from_secs(25);
/// How often they look.
const GLANCE: Duration = Duration::from_millis(25);

/// Where a secret comes from.
pub(super) trait Source: Clone + Send + Sync + 'static {
    type Secret: Secret;
    /// What it is called in the store and in the log.
    const WHAT: &'static str;

    /// Whose it is: accounts with the same words share it.
    fn owner(account: &Account) -> String;

    /// A secret and how long it is good for; another one than `dead`, where that is possible.
    fn fetch(
        &self,
        account: &Account,
        dead: Option<&Self::Secret>,
    ) -> impl Future<Output = Result<(Self::Secret, Duration), KeeperError>> + Send;
}

/// A cheap clone of it is the same.
pub(super) struct Shared<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    runtime: Option<Handle>,
    /// As many as there are accounts.
    copies: Mutex<HashMap<OneUse, Copy<S::Secret>>>,
    look_ups: LookUps<S::Secret>,
    renewals: Flights<OneUse, ()>,
}

/// By name, and by the dead one where there is one.
type LookUps<T> = Flights<(OneUse, Option<Print>), Result<Held<T>, KeeperError>>;

/// What the store had at a moment.
#[derive(Clone)]
struct Copy<T> {
    record: Record<T>,
    looked_at: Timestamp,
}

/// Stands for a secret that is compared only.
type Print = [u8; 32];

fn print(secret: &impl Secret) -> Print {
    Sha256::digest(secret.expose()).into()
}

/// What somebody wants.
#[derive(Clone, Copy)]
enum Need {
    /// One that is good.
    Good,
    /// Another one than this, which is dead.
    Other(Print),
    /// One that is not due.
    Fresh,
}

impl Need {
    fn is_met<T: Secret>(self, record: &Record<T>, now: Timestamp) -> bool {
        record.good(now).is_some_and(|held| match self {
            Self::Good => true,
            Self::Other(dead) => print(&held.token) != dead,
            Self::Fresh => !record.is_due(now),
        })
    }
}

impl<S: Source> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Source> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("what", &S::WHAT)
            .field("store", &self.0.store)
            .finish_non_exhaustive()
    }
}

impl<S: Source> Shared<S> {
    pub(super) fn new(
        source: S,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        runtime: Option<Handle>,
    ) -> Self {
        Self(Arc::new(Inner {
            source,
            store,
            clock,
            copies: Mutex::default(),
            look_ups: Flights::new(runtime.clone()),
            renewals: Flights::new(runtime.clone()),
            runtime,
        }))
    }

    pub(super) fn source(&self) -> &S {
        &self.0.source
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.0.store
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }

    pub(super) fn runtime(&self) -> Option<Handle> {
        self.0.runtime.clone()
    }

    /// One that is good.
    pub(super) async fn get(&self, account: &Account) -> Result<Held<S::Secret>, KeeperError> {
        self.ask(account, Need::Good).await
    }

    /// Another one than `dead`.
    pub(super) async fn replace(
        &self,
        account: &Account,
        dead: &S::Secret,
    ) -> Result<Held<S::Secret>, KeeperError> {
        self.ask(account, Need::Other(print(dead))).await
    }

    /// From the copy, where the store was asked within the second; else all who ask share one look-up.
    async fn ask(&self, account: &Account, need: Need) -> Result<Held<S::Secret>, KeeperError> {
        let name = OneUse::kept(S::WHAT, &S::owner(account));
        let now = self.0.clock.now();
        let copy = self.copy(&name).filter(|copy| copy.looked_at == now);
        if let Some(held) = copy.as_ref().and_then(|copy| meets(&copy.record, need, now)) {
            return Ok(held);
        }
        let dead = match need {
            Need::Other(dead) => Some(dead),
            Need::Good | Need::Fresh => None,
        };
        let look_up = {
            let (shared, account, name) = (self.clone(), account.clone(), name.clone());
            async move { shared.look_up(&account, &name, need).await }
        };
        let outcome = self.0.look_ups.join((name, dead), look_up).await;
        outcome.unwrap_or(Err(KeeperError::Lost))
    }

    async fn look_up(
        &self,
        account: &Account,
        name: &OneUse,
        need: Need,
    ) -> Result<Held<S::Secret>, KeeperError> {
        let record = match self.known(name).await {
            Ok(record) => record,
            Err(error) => return self.without_store(name, need, error),
        };
        let now = self.0.clock.now();
        if let Some(held) = record.as_ref().and_then(|record| meets(record, need, now)) {
            if record.as_ref().is_some_and(|record| record.is_due(now)) {
                self.renew(account, name);
            }
            return Ok(held);
        }
        if let Some(resting) = record.and_then(|record| record.resting(now)) {
            return Err(resting);
        }
        let record = self.fetch_as_one(account, name, need).await?;
        record.held().cloned().ok_or(KeeperError::Lost)
    }

    /// While the store is down, what is at hand has to do. Nobody fetches: another instance may as well.
    fn without_store(
        &self,
        name: &OneUse,
        need: Need,
        error: StoreError,
    ) -> Result<Held<S::Secret>, KeeperError> {
        let now = self.0.clock.now();
        let copy = self.copy(name);
        let Some(held) = copy.as_ref().and_then(|copy| meets(&copy.record, need, now)) else {
            return Err(error.into());
        };
        tracing::warn!(what = S::WHAT, %error, "the store is down, and the last one is used as long as it is good");
        if let Some(copy) = self.copies().get_mut(name) {
            copy.looked_at = now;
        }
        Ok(held)
    }

    /// What is known now: the store's, or our copy where the store has forgotten it.
    async fn known(&self, name: &OneUse) -> Result<Option<Record<S::Secret>>, StoreError> {
        let stored = self.read(name).await?;
        let (now, copy) = (self.0.clock.now(), self.copy(name));
        let Some(ours) =
            copy.map(|copy| copy.record).filter(|ours| ours.outdates(stored.as_ref(), now))
        else {
            if let Some(record) = &stored {
                self.keep(name, record.clone());
            }
            return Ok(stored);
        };
        let work = Work::of(name);
        if let Some(lease) = self.0.store.lease(&work, LEASE).await? {
            // Nobody else writes now.
            let stored = self.read(name).await;
            let kept = match stored {
                Ok(stored) if ours.outdates(stored.as_ref(), now) => {
                    self.write(name, &ours, now).await
                }
                other => other.map(drop),
            };
            self.give_back(&work, lease).await;
            kept?;
        }
        self.keep(name, ours.clone());
        Ok(Some(ours))
    }

    /// Renews it beside the callers, who go on with the old one.
    fn renew(&self, account: &Account, name: &OneUse) {
        let (shared, account, own) = (self.clone(), account.clone(), name.clone());
        let renewal = async move {
            let renewed = shared.fetch_as_one(&account, &own, Need::Fresh).await;
            // Whatever else may fail has been told.
            if let Err(KeeperError::Store(error)) = renewed {
                tracing::warn!(what = S::WHAT, %error, "it could not be renewed");
            }
        };
        self.0.renewals.start(name.clone(), renewal);
    }

    /// Fetches it, unless another instance does or did.
    async fn fetch_as_one(
        &self,
        account: &Account,
        name: &OneUse,
        need: Need,
    ) -> Result<Record<S::Secret>, KeeperError> {
        let work = Work::of(name);
        let began = Instant::now();
        loop {
            if let Some(lease) = self.0.store.lease(&work, LEASE).await? {
                let fetched = self.fetch_leased(account, name, need).await;
                self.give_back(&work, lease).await;
                return fetched;
            }
            if matches!(need, Need::Fresh) || began.elapsed() >= PATIENCE {
                return Err(KeeperError::Waiting);
            }
            sleep(GLANCE).await;
            let now = self.0.clock.now();
            if let Some(record) = self.read(name).await? {
                if need.is_met(&record, now) {
                    self.keep(name, record.clone());
                    return Ok(record);
                }
                if let Some(resting) = record.resting(now) {
                    return Err(resting);
                }
            }
        }
    }

    /// Fetches it, under the lease. What comes of it is left for all, be it good or bad.
    async fn fetch_leased(
        &self,
        account: &Account,
        name: &OneUse,
        need: Need,
    ) -> Result<Record<S::Secret>, KeeperError> {
        let stored = self.read(name).await?;
        let now = self.0.clock.now();
        let copy = self.copy(name).map(|copy| copy.record);
        let old = copy.filter(|ours| ours.outdates(stored.as_ref(), now)).or(stored);
        if let Some(old) = &old {
            if need.is_met(old, now) {
                self.keep(name, old.clone());
                return Ok(old.clone());
            }
            if let Some(resting) = old.resting(now) {
                return Err(resting);
            }
            if matches!(need, Need::Other(_)) && old.is_contested(now) {
                tracing::warn!(what = S::WHAT, account = %account.appid(), error = %KeeperError::Contested, "it is not fetched for a minute");
                return Err(KeeperError::Contested);
            }
        }
        let replaces = matches!(need, Need::Other(_));
        let dead = old.as_ref().and_then(|old| old.good(now)).filter(|_| replaces);
        let fetch = self.0.source.fetch(account, dead.map(|held| &held.token));
        let fetched = timeout(LONGEST_FETCH, fetch).await.unwrap_or(Err(KeeperError::Slow));
        let (record, outcome) = match fetched {
            Ok((token, life)) => {
                let record = Record::fetched(old.as_ref(), token, life, replaces, now);
                (record, Ok(()))
            }
            Err(KeeperError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let (record, pause) = Record::failed(old.as_ref(), &error, now);
                let good_for = record.good(now).map(|held| held.ends_at.since(now).as_secs());
                tracing::warn!(
                    what = S::WHAT,
                    account = %account.appid(),
                    %error,
                    next_try_s = pause.as_secs(),
                    old_one_good_for_s = good_for,
                    "it could not be fetched"
                );
                (record, Err(error))
            }
        };
        // Where it cannot be left, the copy is newer than what the store has, and is left there later.
        if let Err(error) = self.write(name, &record, now).await {
            tracing::warn!(what = S::WHAT, %error, "it could not be shared with other instances yet");
        }
        self.keep(name, record.clone());
        outcome.map(|()| record)
    }

    async fn read(&self, name: &OneUse) -> Result<Option<Record<S::Secret>>, StoreError> {
        let bytes = self.0.store.outcome(name).await?;
        Ok(bytes.and_then(|bytes| Record::read(&bytes)))
    }

    async fn write(
        &self,
        name: &OneUse,
        record: &Record<S::Secret>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.0.store.settle(name, &record.write(), record.life(now)).await
    }

    /// Gives a lease back. Where that fails, it ends by itself.
    async fn give_back(&self, work: &Work, lease: Lease) {
        if let Err(error) = self.0.store.release(work, lease).await {
            tracing::debug!(%error, "a lease ends by itself");
        }
    }

    fn keep(&self, name: &OneUse, record: Record<S::Secret>) {
        let now = self.0.clock.now();
        let mut copies = self.copies();
        // A look-up that began before a renewal may end after it.
        let ours = copies.get(name).map(|copy| &copy.record);
        if !ours.is_some_and(|ours| ours.outdates(Some(&record), now)) {
            copies.insert(name.clone(), Copy { record, looked_at: now });
        }
    }

    fn copy(&self, name: &OneUse) -> Option<Copy<S::Secret>> {
        self.copies().get(name).cloned()
    }

    fn copies(&self) -> MutexGuard<'_, HashMap<OneUse, Copy<S::Secret>>> {
        self.0.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn meets<T: Secret>(record: &Record<T>, need: Need, now: Timestamp) -> Option<Held<T>> {
    record.good(now).filter(|_| need.is_met(record, now)).cloned()
}
