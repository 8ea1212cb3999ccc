//! The contract of a session store.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use sha2::{Digest, Sha256};

use super::{
    id::{Handle, SessionId},
    session::{Lifetimes, NewSession, Session},
    user::{UserChange, UserKey, UserSlot},
};
use crate::{
    clock::Timestamp,
    secret::Code,
    wechat::{AppId, OpenId, Scope},
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

/// A place for sessions, users, the app's data, one-use records and leases.
///
/// What every store promises, and the suite in `wxgate::session::conformance` checks:
///
/// - **Absent** means never made, ended, expired or evicted. A store does not tell these apart, and never answers
///   "absent" because it could not look: that is a [`StoreError`], and whoever gets one changes nothing.
/// - **Good.** A session is good while its user's slot is kept, user and account have the [`Epoch`](super::Epoch) that
///   the session was made with, and both [lifetimes](Lifetimes) last. `peek` and `load` give good sessions only.
/// - **Expiry.** A use extends the idle life. An idle session may be kept for up to a tenth of the idle life longer, never
///   shorter. The whole life is exact.
/// - **Kept.** A user's slot is kept at least as long as the longest session that may use it. Where room runs out, the
///   slot that was used longest ago goes first, never the newest, and its sessions end with it.
/// - **Ended is ended.** Nothing that has ended comes back: not by a late write, and not by a new slot for the same user
///   or account.
/// - **Atomic.** Each operation is atomic by itself, whichever instance is asked. What one has acknowledged, the next one
///   to be asked knows, but for `peek`: what it answers may be a second old.
/// - **Failure.** An operation that fails may have been done or not. All of them but `claim` and `lease` may be tried
///   again: done twice, they are done once.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// How long sessions of this store live.
    fn lifetimes(&self) -> Lifetimes;

    /// Whether it can be used now. Changes nothing.
    async fn check(&self) -> Result<(), StoreError> {
        self.load(SessionId::new()).await.map(drop)
    }

    /// Looks a session up without input or output and without waiting.
    fn peek(&self, id: SessionId) -> Lookup;

    /// Looks a session up.
    async fn load(&self, id: SessionId) -> Result<Option<Arc<Session>>, StoreError>;

    /// Makes a session under a new id.
    async fn create(&self, new: NewSession) -> Result<Arc<Session>, StoreError>;

    /// Ends a session, and with it the app's data of that session. Ending an absent one is no error.
    async fn remove(&self, id: SessionId) -> Result<(), StoreError>;

    /// Ends the session that a [`SessionInfo`] tells of. False where it was not kept any more.
    async fn remove_by_handle(&self, handle: Handle) -> Result<bool, StoreError>;

    /// Good sessions, in no order that means anything, a page at a time.
    async fn list(&self, query: &ListQuery) -> Result<SessionPage, StoreError>;

    /// The user's slot. None where nothing is known of the user.
    async fn user(&self, key: &UserKey) -> Result<Option<Arc<UserSlot>>, StoreError>;

    /// The user's slot, made where there is none, with the change applied. Of changes that come at once, none is lost.
    async fn put_user(&self, key: UserKey, change: UserChange)
    -> Result<Arc<UserSlot>, StoreError>;

    /// Applies a change to a user who was known before. False, and nothing changes, where all of their sessions have ended
    /// since or they were forgotten.
    async fn change_user(&self, user: &UserSlot, change: UserChange) -> Result<bool, StoreError>;

    /// Ends all sessions of a user. What is known of the user stays.
    async fn remove_all_of(&self, key: &UserKey) -> Result<(), StoreError>;

    /// Forgets a user, and so ends all of their sessions.
    async fn remove_user(&self, key: &UserKey) -> Result<(), StoreError>;

    /// Ends all sessions of an account. What is known of its users stays.
    async fn remove_all_of_account(&self, appid: &AppId) -> Result<(), StoreError>;

    /// True for exactly one caller within `life`. An error means that nobody may go on.
    async fn claim(&self, once: &OneUse, life: Duration) -> Result<bool, StoreError>;

    /// Leaves what became of a one-use record, for those who did not win it.
    async fn settle(&self, once: &OneUse, outcome: &[u8], life: Duration)
    -> Result<(), StoreError>;

    /// What became of a one-use record, as [`settle`](Self::settle) left it. None as long as nothing was left.
    async fn outcome(&self, once: &OneUse) -> Result<Option<Vec<u8>>, StoreError>;

    /// Takes a piece of work for `life`, unless somebody has it. It may be somebody else's after that, so what is done
    /// under a lease must bear to be done twice.
    async fn lease(&self, work: &Work, life: Duration) -> Result<Option<Lease>, StoreError>;

    /// Gives the work back. No effect on a lease that has ended, even where somebody else has the work by now.
    async fn release(&self, work: &Work, lease: Lease) -> Result<(), StoreError>;

    /// The app's own data of a session, as it was saved.
    async fn load_app_data(&self, id: SessionId) -> Result<Option<Arc<[u8]>>, StoreError>;

    /// Saves the app's own data of a session. False, and nothing is kept, where the session is absent.
    async fn save_app_data(&self, id: SessionId, data: Arc<[u8]>) -> Result<bool, StoreError>;

    /// Forgets the app's own data of a session.
    async fn remove_app_data(&self, id: SessionId) -> Result<(), StoreError>;
}

/// Which sessions to tell of, and how many at once.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Those of one account only.
    pub appid: Option<AppId>,
    /// Those of one user only.
    pub openid: Option<OpenId>,
    /// Those behind this page.
    pub after: Option<String>,
    /// About how many. A page may hold a few more, or fewer, or none at all, and still have one behind it.
    pub limit: usize,
}

/// Some of the sessions.
#[derive(Clone, Debug, Default)]
pub struct SessionPage {
    /// What is known of each.
    pub sessions: Vec<SessionInfo>,
    /// What to ask for the next page with. None where this is the last one.
    pub next: Option<String>,
}

/// What an operator may know of a session.
#[derive(Clone, Debug)]
pub struct SessionInfo {
    /// Names the session, and is of no use as a cookie.
    pub handle: Handle,
    /// Whose it is.
    pub user: UserKey,
    /// What the user granted.
    pub scope: Scope,
    /// The moment of the sign-in.
    pub signed_in_at: Timestamp,
    /// The moment of its last use, exact to a tenth of the idle life. In the last idle life before its end, the earliest
    /// moment at which that may have been.
    pub last_used: Timestamp,
}

impl SessionInfo {
    /// What is to be told of a session.
    pub fn of(session: &Session) -> Self {
        Self {
            handle: session.id().handle(),
            user: session.user().key().clone(),
            scope: session.scope(),
            signed_in_at: session.signed_in_at(),
            last_used: session.last_used(),
        }
    }
}

impl ListQuery {
    /// Whether a user's sessions are asked for.
    pub fn asks_for(&self, user: &UserKey) -> bool {
        self.appid.as_ref().is_none_or(|appid| *appid == user.appid)
            && self.openid.as_ref().is_none_or(|openid| *openid == user.openid)
    }
}

/// A piece of work that one instance does for all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Work(Box<str>);

impl Work {
    /// Whatever a one-use record is about.
    pub(crate) fn of(once: &OneUse) -> Self {
        Self(once.0.clone())
    }

    /// The refresh of a user's profile.
    pub(crate) fn refresh(user: &UserKey) -> Self {
        Self(format!("refresh:{}", digest([user.appid.as_str(), user.openid.as_str()])).into())
    }

    /// The name under which a store keeps it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The right to do a piece of work for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease(u64);

impl Lease {
    /// One that nobody else has.
    pub fn random() -> Self {
        Self(super::random())
    }

    /// The number under which a store keeps it.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Something that may happen once.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OneUse(Box<str>);

impl OneUse {
    /// The exchange of a code.
    pub(crate) fn exchange(appid: &AppId, code: &Code) -> Self {
        Self(format!("code:{appid}:{}", digest([code.expose()])).into())
    }

    /// The use of something that we have sealed.
    pub(crate) fn sealed(kind: &str, sealed: &str) -> Self {
        Self(format!("{kind}:{}", digest([sealed])).into())
    }

    /// What an account has in common for all of its users, such as its own token.
    pub(crate) fn kept(what: &str, account: &str) -> Self {
        Self(format!("kept:{what}:{account}").into())
    }

    /// The same for one state alone: what became of it is nobody else's business.
    pub(crate) fn under(&self, state: &str) -> Self {
        Self(format!("outcome:{}", digest([self.as_str(), state])).into())
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

/// Stands for what may be a secret.
fn digest<const N: usize>(parts: [&str; N]) -> String {
    BASE64.encode(Sha256::digest(parts.join("\0")))
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
