//! Records in one file on this machine's disk, kept by SQLite.
//!
//! One thread owns the file. What tasks ask of it waits in a queue, and all that waits is written together: one commit, and
//! so one wait for the disk, for as many sign-ins as came meanwhile.

mod open;
mod place;
mod queue;
mod tables;
mod worker;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;

use self::{
    queue::Queue,
    tables::{Tables, seconds},
};
use super::{
    super::{Handle, Lease, StoreError},
    records::{Ended, Kept, Page, Records, UserRow},
};
use crate::clock::Clock;

/// Nobody else writes into the file, so a copy is as good as the record. It is asked for again now and then all the same:
/// a damaged disk should not stay unnoticed for days.
const COPIES_LAST: Duration = Duration::from_secs(60);

/// Keeps records in one file. What it has acknowledged is on the disk: neither a crash nor a power cut undoes it.
///
/// One process at a time has the file; dropping the value closes it.
pub struct FileRecords {
    queue: Queue,
    clock: Arc<dyn Clock>,
    ended: OnceLock<Arc<dyn Fn(Ended) + Send + Sync>>,
}

impl FileRecords {
    /// Opens the file, which is made where there is none, for this process alone. Waits for the disk.
    ///
    /// A file that another process has, that is something else, that a newer version has made or that is damaged is an
    /// error, and stays as it is.
    pub fn open(path: impl AsRef<Path>, clock: impl Clock) -> Result<Self, StoreError> {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let failed = |reason: String| StoreError::new("open its file", reason);
        let (db, place) = open::open(path.as_ref()).map_err(failed)?;
        let queue = Queue::start(db, place, clock.clone()).map_err(failed)?;
        Ok(Self { queue, clock, ended: OnceLock::new() })
    }

    fn now(&self) -> i64 {
        seconds(self.clock.now().unix())
    }

    /// When what lives for `life` is over.
    fn end(&self, life: Duration) -> i64 {
        seconds((self.clock.now() + life).unix())
    }

    fn tell(&self, ended: Ended) {
        if let Some(tell) = self.ended.get() {
            tell(ended);
        }
    }
}

impl fmt::Debug for FileRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRecords").finish_non_exhaustive()
    }
}

#[async_trait]
impl Records for FileRecords {
    fn tell_of_ends(&self, ended: Arc<dyn Fn(Ended) + Send + Sync>) {
        self.ended.set(ended).ok(); // Called once, says the contract: who is told stays.
    }

    fn copies_last(&self) -> Duration {
        COPIES_LAST
    }

    async fn session(&self, session: Handle) -> Result<Option<Kept>, StoreError> {
        let now = self.now();
        self.queue.read("look a session up", move |tables| tables.session(session, now)).await
    }

    async fn put_session(
        &self,
        session: Handle,
        sealed: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        let (sealed, end) = (sealed.to_vec(), self.end(life));
        let put = move |tables: &Tables<'_>| tables.put_session(session, &sealed, end);
        self.queue.write("keep a session", put).await
    }

    async fn keep_session(&self, session: Handle, life: Duration) -> Result<(), StoreError> {
        let (now, end) = (self.now(), self.end(life));
        let keep = move |tables: &Tables<'_>| tables.keep_session(session, end, now);
        self.queue.write("extend a session", keep).await
    }

    async fn remove_session(&self, session: Handle) -> Result<bool, StoreError> {
        let now = self.now();
        let remove = move |tables: &Tables<'_>| tables.remove_session(session, now);
        let was_there = self.queue.write("end a session", remove).await?;
        self.tell(Ended::Session(session));
        Ok(was_there)
    }

    async fn sessions(&self, after: Option<&str>, limit: usize) -> Result<Page, StoreError> {
        let now = self.now();
        let after = after.and_then(|after| after.parse().ok()).unwrap_or(i64::MIN);
        self.queue.read("list sessions", move |tables| tables.sessions(after, limit, now)).await
    }

    async fn app_data(&self, session: Handle) -> Result<Option<Vec<u8>>, StoreError> {
        let now = self.now();
        self.queue.read("read an app's data", move |tables| tables.app_data(session, now)).await
    }

    async fn put_app_data(&self, session: Handle, sealed: &[u8]) -> Result<bool, StoreError> {
        let (sealed, now) = (sealed.to_vec(), self.now());
        let put = move |tables: &Tables<'_>| tables.put_app_data(session, &sealed, now);
        self.queue.write("keep an app's data", put).await
    }

    async fn remove_app_data(&self, session: Handle) -> Result<(), StoreError> {
        let remove = move |tables: &Tables<'_>| tables.remove_app_data(session);
        self.queue.write("forget an app's data", remove).await
    }

    async fn user(&self, user: &str) -> Result<Option<UserRow>, StoreError> {
        let (user, now) = (user.to_owned(), self.now());
        self.queue.read("look a user up", move |tables| tables.user(&user, now)).await
    }

    async fn put_user(
        &self,
        user: &str,
        instead_of: Option<u64>,
        row: &UserRow,
        life: Duration,
    ) -> Result<bool, StoreError> {
        let (user, row, now, end) = (user.to_owned(), row.clone(), self.now(), self.end(life));
        let put = move |tables: &Tables<'_>| tables.put_user(&user, instead_of, &row, end, now);
        self.queue.write("keep a user", put).await
    }

    async fn set_user_epoch(&self, user: &str, epoch: u64) -> Result<(), StoreError> {
        let name = user.to_owned();
        let set = move |tables: &Tables<'_>| tables.set_user_epoch(&name, epoch);
        self.queue.write("end a user's sessions", set).await?;
        self.tell(Ended::User(user.to_owned()));
        Ok(())
    }

    async fn remove_user(&self, user: &str) -> Result<(), StoreError> {
        let name = user.to_owned();
        self.queue.write("forget a user", move |tables| tables.remove_user(&name)).await?;
        self.tell(Ended::User(user.to_owned()));
        Ok(())
    }

    async fn account_epoch(&self, appid: &str) -> Result<Option<u64>, StoreError> {
        let appid = appid.to_owned();
        self.queue.read("look an account up", move |tables| tables.account_epoch(&appid)).await
    }

    async fn make_account_epoch(&self, appid: &str, epoch: u64) -> Result<u64, StoreError> {
        let appid = appid.to_owned();
        let make = move |tables: &Tables<'_>| tables.make_account_epoch(&appid, epoch);
        self.queue.write("keep an account", make).await
    }

    async fn set_account_epoch(&self, appid: &str, epoch: u64) -> Result<(), StoreError> {
        let appid = appid.to_owned();
        let set = move |tables: &Tables<'_>| tables.set_account_epoch(&appid, epoch);
        self.queue.write("end an account's sessions", set).await?;
        self.tell(Ended::Account);
        Ok(())
    }

    async fn claim(&self, once: &str, life: Duration) -> Result<bool, StoreError> {
        let (once, now, end) = (once.to_owned(), self.now(), self.end(life));
        let claim = move |tables: &Tables<'_>| tables.claim(&once, end, now);
        self.queue.write("claim a one-use record", claim).await
    }

    async fn put_outcome(
        &self,
        once: &str,
        sealed: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        let (once, sealed, end) = (once.to_owned(), sealed.to_vec(), self.end(life));
        let put = move |tables: &Tables<'_>| tables.put_outcome(&once, &sealed, end);
        self.queue.write("keep an outcome", put).await
    }

    async fn outcome(&self, once: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let (once, now) = (once.to_owned(), self.now());
        self.queue.read("look an outcome up", move |tables| tables.outcome(&once, now)).await
    }

    async fn lease(&self, work: &str, lease: Lease, life: Duration) -> Result<bool, StoreError> {
        let (work, now, end) = (work.to_owned(), self.now(), self.end(life));
        let take = move |tables: &Tables<'_>| tables.lease(&work, lease, end, now);
        self.queue.write("lease a piece of work", take).await
    }

    async fn release(&self, work: &str, lease: Lease) -> Result<(), StoreError> {
        let work = work.to_owned();
        let release = move |tables: &Tables<'_>| tables.release(&work, lease);
        self.queue.write("release a piece of work", release).await
    }
}
