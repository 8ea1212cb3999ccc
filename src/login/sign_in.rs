//! Makes a session: whatever door somebody came through, this is the one place that lets them in.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Timestamp,
    session::{
        NewSession, Profile, Session, SessionId, Store, StoreError, TokenChange, Tokens,
        UserChange, UserKey,
    },
    wechat::{AppId, Grant, Scope, Userinfo},
};

/// A refresh token lives thirty days from the authorization.
const REFRESH_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What WeChat's token endpoint has said about somebody.
pub(crate) struct Proof {
    pub(crate) key: UserKey,
    pub(crate) scope: Scope,
    pub(crate) change: UserChange,
}

impl Proof {
    /// From an exchange and, where the scope allowed it, the user's profile.
    pub(crate) fn new(appid: &AppId, grant: Grant, user: Option<Userinfo>, now: Timestamp) -> Self {
        let key = UserKey { appid: appid.clone(), openid: grant.openid.clone() };
        let scope = grant.scope;
        Self { key, scope, change: change(grant, user, None, now) }
    }
}

/// What a grant and a profile change in a user's record. A refresh does not extend the life of its refresh token.
pub(crate) fn change(
    grant: Grant,
    user: Option<Userinfo>,
    refresh_ends_at: Option<Timestamp>,
    now: Timestamp,
) -> UserChange {
    let unionid = user.as_ref().and_then(|user| user.unionid.clone()).or(grant.unionid);
    // A silent grant's tokens open nothing, so they are not kept.
    let tokens = if grant.scope.has_userinfo() {
        TokenChange::Replace(Tokens {
            access: grant.access_token,
            access_ends_at: now + grant.expires_in,
            refresh: grant.refresh_token,
            refresh_ends_at: refresh_ends_at.unwrap_or(now + REFRESH_LIFE),
        })
    } else {
        TokenChange::Keep
    };
    let profile = user.map(|user| (Profile::from(user), now));
    UserChange { unionid, profile, tokens, ..UserChange::default() }
}

/// Signs somebody in: the user's record, a session under a new id, and the end of the session that the browser had.
pub(crate) async fn sign_in(
    store: &dyn Store,
    proof: Proof,
    replaces: Option<SessionId>,
    now: Timestamp,
) -> Result<Arc<Session>, StoreError> {
    let user = store.put_user(proof.key, proof.change).await?;
    let new = NewSession { user, scope: proof.scope, signed_in_at: now, begins_at: now };
    let session = store.create(new).await?;
    replace(store, replaces).await?;
    Ok(session)
}

/// Signs somebody in at another site of ours, where this one vouches for them. The new session ends no later than the
/// one that it comes from. None where that one has ended.
pub(crate) async fn carry_over(
    store: &dyn Store,
    session: &Session,
    replaces: Option<SessionId>,
    now: Timestamp,
) -> Result<Option<Arc<Session>>, StoreError> {
    hand_on(store, session, session.signed_in_at(), replaces, now).await
}

/// Signs somebody in in another browser, where this session vouches for them: a sign-in of its own, as long as any. None
/// where that session has ended.
#[cfg(feature = "doors")]
pub(super) async fn vouched(
    store: &dyn Store,
    session: &Session,
    replaces: Option<SessionId>,
    now: Timestamp,
) -> Result<Option<Arc<Session>>, StoreError> {
    hand_on(store, session, now, replaces, now).await
}

async fn hand_on(
    store: &dyn Store,
    session: &Session,
    signed_in_at: Timestamp,
    replaces: Option<SessionId>,
    now: Timestamp,
) -> Result<Option<Arc<Session>>, StoreError> {
    let (user, scope) = (session.user().clone(), session.scope());
    let new = NewSession { user, scope, signed_in_at, begins_at: now };
    let carried = store.create(new).await?;
    // Whoever has signed out everywhere in the meantime meant this session too.
    if store.load(session.id()).await?.is_none() {
        store.remove(carried.id()).await?;
        return Ok(None);
    }
    replace(store, replaces).await?;
    Ok(Some(carried))
}

/// Ends the session that the browser had. Comes last: where something fails before, that one still works.
async fn replace(store: &dyn Store, old: Option<SessionId>) -> Result<(), StoreError> {
    match old {
        Some(old) => store.remove(old).await,
        None => Ok(()),
    }
}
