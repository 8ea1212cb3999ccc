//! The suite that every store passes: the [contract](super::Store) as code, for authors of stores.
//!
//! Give [`run`] a way to make a fresh store whose time can be moved. It panics at the first promise that is not kept.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use wxgate::{
//!     clock::{Clock, ManualClock, Timestamp},
//!     session::{MemoryStore, Store, conformance::{self, Subject}},
//! };
//!
//! struct InMemory(MemoryStore, ManualClock);
//!
//! #[async_trait::async_trait]
//! impl Subject for InMemory {
//!     fn store(&self) -> Arc<dyn Store> {
//!         Arc::new(self.0.clone())
//!     }
//!
//!     fn now(&self) -> Timestamp {
//!         self.1.now()
//!     }
//!
//!     async fn advance(&self, by: Duration) {
//!         self.1.advance(by);
//!     }
//! }
//!
//! # #[tokio::main] async fn main() {
//! conformance::run(async || {
//!     let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
//!     InMemory(MemoryStore::builder().clock(clock.clone()).build(), clock)
//! })
//! .await;
//! # }
//! ```

mod app_data;
mod once;
mod sessions;
mod users;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Lookup, NewSession, Session, SessionId, Store, UserChange, UserKey, UserSlot};
use crate::{
    clock::Timestamp,
    wechat::{AppId, OpenId, Scope},
};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long an instance may take to see what another one has ended.
const AT_ONCE: Duration = Duration::from_secs(1);
const ACCOUNT: &str = "wx0123456789abcdef";

/// A store to be examined: empty, with the default lifetimes and room for a few thousand sessions.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store.
    fn store(&self) -> Arc<dyn Store>;

    /// Another instance over the same records, as another process would have one. Default the store itself, for one that
    /// lives in one process.
    fn other(&self) -> Arc<dyn Store> {
        self.store()
    }

    /// The time, as the store sees it.
    fn now(&self) -> Timestamp;

    /// Moves the time, wherever the store gets it from.
    async fn advance(&self, by: Duration);
}

/// Examines a store. `make` gives a fresh one for each case.
///
/// # Panics
/// At the first promise that is not kept; the message says which.
pub async fn run<S: Subject>(make: impl AsyncFn() -> S) {
    let world = async || World(make().await);
    sessions::examine(&world).await;
    users::examine(&world).await;
    once::examine(&world).await;
    app_data::examine(&world).await;
}

/// A fresh store, and what can be done with it in a word.
struct World<S>(S);

impl<S: Subject> World<S> {
    fn store(&self) -> Arc<dyn Store> {
        self.0.store()
    }

    fn other(&self) -> Arc<dyn Store> {
        self.0.other()
    }

    async fn advance(&self, by: Duration) {
        self.0.advance(by).await;
    }

    async fn put(&self, user: &UserKey, change: UserChange) -> Arc<UserSlot> {
        self.store().put_user(user.clone(), change).await.expect("a user can be put")
    }

    async fn sign_in(&self, openid: &str) -> Arc<Session> {
        self.sign_in_as(&key(openid)).await
    }

    async fn sign_in_as(&self, user: &UserKey) -> Arc<Session> {
        let user = self.put(user, UserChange::default()).await;
        self.begin(user).await
    }

    async fn begin(&self, user: Arc<UserSlot>) -> Arc<Session> {
        let now = self.0.now();
        let new = NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now };
        self.store().create(new).await.expect("a session can be made")
    }

    /// Whether a session is good, for both instances.
    async fn is_good(&self, id: SessionId) -> bool {
        let good = is_good(&*self.store(), id).await;
        let other = is_good(&*self.other(), id).await;
        assert_eq!(
            good, other,
            "what one instance has acknowledged, the next one to be asked knows"
        );
        good
    }
}

async fn is_good(store: &dyn Store, id: SessionId) -> bool {
    let good = store.load(id).await.expect("a session can be loaded").is_some();
    match store.peek(id) {
        Lookup::Hit(session) => {
            assert!(session.id() == id, "a look-up gives what was asked for");
            assert!(good, "what is absent is not found by `peek` right after");
        }
        Lookup::Absent => assert!(!good, "`peek` says that a good session is absent"),
        Lookup::Unknown => {}
    }
    good
}

fn key(openid: &str) -> UserKey {
    key_of(ACCOUNT, openid)
}

fn key_of(appid: &str, openid: &str) -> UserKey {
    UserKey {
        appid: AppId::parse(appid).expect("it is an appid"),
        openid: OpenId::parse(openid).expect("it is an openid"),
    }
}
