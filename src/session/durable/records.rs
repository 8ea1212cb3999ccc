//! What a place outside of the process has to do to keep sessions there.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::super::{Handle, Lease, StoreError};

/// Keeps records by their names: bytes in, bytes out, each for as long as it is told. [`DurableStore`](super::DurableStore)
/// makes a store of it: it seals what goes in, checks what comes out, and keeps copies of what is asked for often.
///
/// - Each operation is atomic by itself, whichever process asks, and is kept for good when it returns `Ok`.
/// - A record is absent once its life is over.
/// - An operation that cannot be done ends with an error within a second or so. None waits for better times.
#[async_trait]
pub trait Records: fmt::Debug + Send + Sync + 'static {
    /// Calls `ended` for whatever ends, in this process or another one, within a second of it. Called once, before
    /// anything else.
    fn tell_of_ends(&self, ended: Arc<dyn Fn(Ended) + Send + Sync>);

    /// How long a copy of a record may be used, at this moment, without asking for it again. Zero while it is not certain
    /// that ends are told of.
    fn copies_last(&self) -> Duration;

    /// The record of a session, and how long it is kept.
    async fn session(&self, session: Handle) -> Result<Option<Kept>, StoreError>;

    /// Keeps a new session for `life`.
    async fn put_session(
        &self,
        session: Handle,
        sealed: &[u8],
        life: Duration,
    ) -> Result<(), StoreError>;

    /// Keeps a session, if it is there, for `life` from now on.
    async fn keep_session(&self, session: Handle, life: Duration) -> Result<(), StoreError>;

    /// Ends a session with its app's data. False where it is absent.
    async fn remove_session(&self, session: Handle) -> Result<bool, StoreError>;

    /// Some sessions, behind those of the page that `after` comes from. About `limit` of them, or none; the end is where
    /// there is no `next`.
    async fn sessions(&self, after: Option<&str>, limit: usize) -> Result<Page, StoreError>;

    /// The app's data of a session.
    async fn app_data(&self, session: Handle) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps the app's data of a session, as long as the session. False, and nothing is kept, where the session is absent.
    async fn put_app_data(&self, session: Handle, sealed: &[u8]) -> Result<bool, StoreError>;

    /// Forgets the app's data of a session.
    async fn remove_app_data(&self, session: Handle) -> Result<(), StoreError>;

    /// The record of a user.
    async fn user(&self, user: &str) -> Result<Option<UserRow>, StoreError>;

    /// Keeps the record of a user for `life` if the one that is there is of the version `instead_of`, or if there is none
    /// and that is `None`. False, and nothing changes, otherwise. The epoch of a user that is there stays what it is.
    async fn put_user(
        &self,
        user: &str,
        instead_of: Option<u64>,
        row: &UserRow,
        life: Duration,
    ) -> Result<bool, StoreError>;

    /// Gives a user, if it is there, another epoch. The version stays what it is.
    async fn set_user_epoch(&self, user: &str, epoch: u64) -> Result<(), StoreError>;

    /// Forgets a user.
    async fn remove_user(&self, user: &str) -> Result<(), StoreError>;

    /// The epoch of an account.
    async fn account_epoch(&self, appid: &str) -> Result<Option<u64>, StoreError>;

    /// The epoch of an account, which is `epoch` from now on if it had none. Kept for ever.
    async fn make_account_epoch(&self, appid: &str, epoch: u64) -> Result<u64, StoreError>;

    /// Gives an account another epoch.
    async fn set_account_epoch(&self, appid: &str, epoch: u64) -> Result<(), StoreError>;

    /// True for exactly one caller within `life`.
    async fn claim(&self, once: &str, life: Duration) -> Result<bool, StoreError>;

    /// Leaves an outcome for `life`.
    async fn put_outcome(
        &self,
        once: &str,
        sealed: &[u8],
        life: Duration,
    ) -> Result<(), StoreError>;

    /// The outcome that was left.
    async fn outcome(&self, once: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Gives a piece of work to `lease` for `life`. False where somebody has it.
    async fn lease(&self, work: &str, lease: Lease, life: Duration) -> Result<bool, StoreError>;

    /// Takes a piece of work back from `lease`, if that still has it.
    async fn release(&self, work: &str, lease: Lease) -> Result<(), StoreError>;
}

/// What has ended, so that no copy of it may be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// One session.
    Session(Handle),
    /// All sessions of a user, by the name of its record.
    User(String),
    /// All sessions of some account.
    Account,
}

/// A record of a session.
#[derive(Clone, Debug)]
pub struct Kept {
    /// What it says.
    pub sealed: Vec<u8>,
    /// How long it will be kept if nobody extends that.
    pub left: Duration,
}

/// The record of a user.
#[derive(Clone, Debug)]
pub struct UserRow {
    /// Sessions of another epoch have ended.
    pub epoch: u64,
    /// Another one after each change of `sealed`.
    pub version: u64,
    /// What it says.
    pub sealed: Vec<u8>,
}

/// Some sessions.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Their records.
    pub sessions: Vec<(Handle, Kept)>,
    /// Where to go on.
    pub next: Option<String>,
}
