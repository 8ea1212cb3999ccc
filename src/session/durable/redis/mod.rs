//! Redis as the place for records: one server, Sentinel or Cluster.

mod cluster;
mod command;
mod dial;
mod link;
mod names;
mod nodes;
mod scripts;
mod shared;
mod subscription;
mod trouble;
mod url;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use tokio::{runtime::Handle as Runtime, task::AbortHandle};

pub use self::url::{RedisUrl, RedisUrlError};
use self::{
    command::Command,
    nodes::{Nodes, understood},
    subscription::Hears,
};
use super::{
    super::{Handle, Lease, StoreError},
    Ended, Kept, Page, Records, UserRow,
};

/// How long copies may be used while ends are heard of. A bound for what no message can tell of, such as a server that is
/// cut off from the others and still answers us.
const COPIES_LAST: Duration = Duration::from_secs(3);
/// Redis takes no life beyond some 10^8 years, and none below a millisecond.
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// How many keys one step of a listing looks at.
const MOST_AT_ONCE: usize = 1_000;

/// Keeps records in a Redis. Lives and atomicity are Redis's own; what ends is told of through its messages.
///
/// Nothing takes longer than some 2.1 seconds: one to connect, one for the answer. What only reads is tried again once
/// where the connection breaks; the rest never is, since it may have been done.
pub struct RedisRecords {
    nodes: Arc<Nodes>,
    runtime: Runtime,
    hears: Hears,
    listener: std::sync::OnceLock<Listener>,
}

/// The task that listens, which goes with the records.
struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl RedisRecords {
    /// Records in the Redis of this url. Nothing is sent yet: a Redis that is down keeps nobody from starting, and is used
    /// when it has come up.
    ///
    /// All connections live on the tokio runtime that this is called on.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(url: RedisUrl) -> Self {
        let runtime = Runtime::current();
        let nodes = Arc::new(Nodes::new(url, runtime.clone()));
        Self { nodes, runtime, hears: Hears::default(), listener: std::sync::OnceLock::new() }
    }

    async fn ask<T: ::redis::FromRedisValue>(
        &self,
        doing: &'static str,
        command: Command,
    ) -> Result<T, StoreError> {
        let answer = self.nodes.ask(&command).await;
        answer.and_then(understood).map_err(|trouble| trouble.into_error(doing))
    }

    async fn kept(
        &self,
        doing: &'static str,
        session: Handle,
    ) -> Result<Option<(Handle, Kept)>, StoreError> {
        let command = Command::script(&scripts::SESSION, names::session(session)).only_reads();
        let (sealed, left): (Option<Vec<u8>>, i64) = self.ask(doing, command).await?;
        // -1 is a record that somebody has freed of its end; -2 one that has ended this moment.
        let left = match left {
            -1 => LONGEST_LIFE,
            left => Duration::from_millis(u64::try_from(left).unwrap_or(0)),
        };
        Ok(sealed.filter(|_| !left.is_zero()).map(|sealed| (session, Kept { sealed, left })))
    }
}

impl fmt::Debug for RedisRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisRecords").field(&self.nodes).finish()
    }
}

/// Epoch, version and record.
type FoundUser = (Option<u64>, Option<u64>, Option<Vec<u8>>);

/// In milliseconds.
fn millis(life: Duration) -> u128 {
    life.clamp(Duration::from_millis(1), LONGEST_LIFE).as_millis()
}

#[async_trait]
impl Records for RedisRecords {
    fn tell_of_ends(&self, ended: Arc<dyn Fn(Ended) + Send + Sync>) {
        self.listener.get_or_init(|| {
            let listening = subscription::listen(self.nodes.clone(), self.hears.clone(), ended);
            Listener(self.runtime.spawn(listening).abort_handle())
        });
    }

    fn copies_last(&self) -> Duration {
        if self.hears.everything() { COPIES_LAST } else { Duration::ZERO }
    }

    async fn session(&self, session: Handle) -> Result<Option<Kept>, StoreError> {
        Ok(self.kept("read a session", session).await?.map(|(_, kept)| kept))
    }

    async fn put_session(
        &self,
        session: Handle,
        sealed: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        let command = Command::script(&scripts::PUT_SESSION, names::session(session));
        self.ask("keep a session", command.arg(sealed).number(millis(life))).await
    }

    async fn keep_session(&self, session: Handle, life: Duration) -> Result<(), StoreError> {
        let command = Command::new("PEXPIRE", names::session(session)).number(millis(life));
        self.ask("keep a session for longer", command).await
    }

    async fn remove_session(&self, session: Handle) -> Result<bool, StoreError> {
        let ended = names::message(&Ended::Session(session));
        let command = Command::script(&scripts::REMOVE, names::session(session));
        self.ask("end a session", command.arg(names::CHANNEL).arg(ended)).await
    }

    async fn sessions(&self, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        const DOING: &str = "list sessions";
        let limit = limit.clamp(1, MOST_AT_ONCE);
        let found = self.nodes.scan(names::SESSIONS, after, limit).await;
        let found = found.map_err(|trouble| trouble.into_error(DOING))?;
        let sessions = found.keys.iter().filter_map(|key| names::session_of(key));
        let kept = try_join_all(sessions.map(|session| self.kept(DOING, session))).await?;
        Ok(Page { sessions: kept.into_iter().flatten().collect(), next: found.next })
    }

    async fn app_data(&self, session: Handle) -> Result<Option<Vec<u8>>, StoreError> {
        let command = Command::new("HGET", names::session(session)).arg("a").only_reads();
        self.ask("read an app's data", command).await
    }

    async fn put_app_data(&self, session: Handle, sealed: &[u8]) -> Result<bool, StoreError> {
        let command = Command::script(&scripts::PUT_APP_DATA, names::session(session));
        self.ask("keep an app's data", command.arg(sealed)).await
    }

    async fn remove_app_data(&self, session: Handle) -> Result<(), StoreError> {
        let command = Command::new("HDEL", names::session(session)).arg("a");
        self.ask("forget an app's data", command).await
    }

    async fn user(&self, user: &str) -> Result<Option<UserRow>, StoreError> {
        let command = Command::new("HMGET", names::user(user)).arg("e").arg("v").arg("d");
        let (epoch, version, sealed): FoundUser =
            self.ask("read a user", command.only_reads()).await?;
        let row = epoch.zip(version).zip(sealed);
        Ok(row.map(|((epoch, version), sealed)| UserRow { epoch, version, sealed }))
    }

    async fn put_user(
        &self,
        user: &str,
        instead_of: Option<u64>,
        row: &UserRow,
        life: Duration,
    ) -> Result<bool, StoreError> {
        let command = Command::script(&scripts::PUT_USER, names::user(user))
            .arg(instead_of.map_or(String::new(), |version| version.to_string()))
            .number(row.epoch)
            .number(row.version)
            .arg(&*row.sealed)
            .number(millis(life));
        self.ask("keep a user", command).await
    }

    async fn set_user_epoch(&self, user: &str, epoch: u64) -> Result<(), StoreError> {
        let command = Command::script(&scripts::SET_USER_EPOCH, names::user(user)).number(epoch);
        let ended = names::message(&Ended::User(user.to_owned()));
        self.ask("end a user's sessions", command.arg(names::CHANNEL).arg(ended)).await
    }

    async fn remove_user(&self, user: &str) -> Result<(), StoreError> {
        let command = Command::script(&scripts::REMOVE, names::user(user));
        let ended = names::message(&Ended::User(user.to_owned()));
        self.ask("forget a user", command.arg(names::CHANNEL).arg(ended)).await
    }

    async fn account_epoch(&self, appid: &str) -> Result<Option<u64>, StoreError> {
        let command = Command::new("GET", names::account(appid)).only_reads();
        self.ask("read the state of an account", command).await
    }

    async fn make_account_epoch(&self, appid: &str, epoch: u64) -> Result<u64, StoreError> {
        let command = Command::script(&scripts::MAKE_ACCOUNT_EPOCH, names::account(appid));
        self.ask("keep the state of an account", command.number(epoch)).await
    }

    async fn set_account_epoch(&self, appid: &str, epoch: u64) -> Result<(), StoreError> {
        let command = Command::script(&scripts::SET_ACCOUNT_EPOCH, names::account(appid));
        let ended = names::message(&Ended::Account);
        let command = command.number(epoch).arg(names::CHANNEL).arg(ended);
        self.ask("end an account's sessions", command).await
    }

    async fn claim(&self, once: &str, life: Duration) -> Result<bool, StoreError> {
        self.ask("claim what may happen once", first(names::once(once), "1", life)).await
    }

    async fn put_outcome(
        &self,
        once: &str,
        sealed: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        let command = Command::new("SET", names::outcome(once)).arg(sealed).arg("PX");
        self.ask("leave an outcome", command.number(millis(life))).await
    }

    async fn outcome(&self, once: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let command = Command::new("GET", names::outcome(once)).only_reads();
        self.ask("read an outcome", command).await
    }

    async fn lease(&self, work: &str, lease: Lease, life: Duration) -> Result<bool, StoreError> {
        let command = first(names::lease(work), &lease.number().to_string(), life);
        self.ask("take a piece of work", command).await
    }

    async fn release(&self, work: &str, lease: Lease) -> Result<(), StoreError> {
        let command = Command::script(&scripts::RELEASE, names::lease(work));
        self.ask("give a piece of work back", command.number(lease.number())).await
    }
}

/// Sets a key that is not there.
fn first(key: String, value: &str, life: Duration) -> Command {
    Command::new("SET", key).arg(value).arg("NX").arg("PX").number(millis(life))
}
