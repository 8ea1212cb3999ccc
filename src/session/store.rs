//! The contract of a session store.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    id::SessionId,
    session::{Lifetimes, NewSession, Session},
    user::{UserChange, UserKey, UserSlot},
};

/// What is known of a session without asking anybody.
#[derive(Debug)]
pub enum Lookup {
    /// The session is good.
    Hit(Arc<Session>),
    /// There is no such session, or it is no longer good.
    Absent,
    /// Nobody here knows: ask with [`Store::load`].
    Unknown,
}

/// A place for sessions, users and one-use records.
///
/// - **Absent** means never made, ended, expired or evicted. A store does not tell these apart, and never answers
///   "absent" because it could not look: that is a [`StoreError`].
/// - A session is **good** while its user's slot is kept, has the epoch that the session was made with, and both
///   [lifetimes](Lifetimes) last. `peek` and `load` give good sessions only. A use extends the idle life.
/// - A user's slot is kept at least as long as the longest session that may use it. Where room runs out, the slot
///   that was used longest ago goes first, never the newest, and its sessions end with it.
/// - Nothing that has ended comes back: not by a late write, and not by a new slot for the same user.
/// - Each operation is atomic by itself.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// How long sessions of this store live.
    fn lifetimes(&self) -> Lifetimes;

    /// Looks a session up without input or output and without waiting.
    fn peek(&self, id: SessionId) -> Lookup;

    /// Looks a session up.
    async fn load(&self, id: SessionId) -> Result<Option<Arc<Session>>, StoreError>;

    /// The user's slot, made where there is none, with the change applied.
    async fn put_user(&self, key: UserKey, change: UserChange)
    -> Result<Arc<UserSlot>, StoreError>;

    /// Makes a session under a new id.
    async fn create(&self, new: NewSession) -> Result<Arc<Session>, StoreError>;

    /// Ends a session, and with it the app's data of that session. Ending an absent one is no error.
    async fn remove(&self, id: SessionId) -> Result<(), StoreError>;

    /// Ends all sessions of a user.
    async fn remove_all_of(&self, key: &UserKey) -> Result<(), StoreError>;

    /// True for exactly one caller within `life`. An error means that nobody may go on.
    async fn claim(&self, once: OneUse, life: Duration) -> Result<bool, StoreError>;

    /// The app's own data of a session, as it was saved.
    async fn load_app_data(&self, id: SessionId) -> Result<Option<Arc<[u8]>>, StoreError>;

    /// Saves the app's own data of a session. False, and nothing is kept, where the session is absent.
    async fn save_app_data(&self, id: SessionId, data: Arc<[u8]>) -> Result<bool, StoreError>;

    /// Forgets the app's own data of a session.
    async fn remove_app_data(&self, id: SessionId) -> Result<(), StoreError>;
}

/// Something that may happen once.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OneUse(Box<str>);

impl OneUse {
    /// The exchange of a code. `digest` stands for the code, which is a secret.
    pub(crate) fn exchange(appid: &crate::wechat::AppId, digest: &str) -> Self {
        Self(format!("code:{appid}:{digest}").into())
    }

    /// The use of something that we have sealed. `digest` stands for it, since it is a secret.
    pub(crate) fn sealed(kind: &str, digest: &str) -> Self {
        Self(format!("{kind}:{digest}").into())
    }

    /// The key under which a store keeps it. Holds no secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for OneUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OneUse").field(&self.0).finish()
    }
}

/// The store could not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the session store failed to {doing}: {reason}")]
pub struct StoreError {
    doing: &'static str,
    reason: Box<str>,
}

impl StoreError {
    /// `doing` completes "failed to …"; `reason` is for the operator and holds no secret.
    pub fn new(doing: &'static str, reason: impl Into<Box<str>>) -> Self {
        Self { doing, reason: reason.into() }
    }
}
