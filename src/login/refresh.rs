//! Keeps profiles fresh, beside the requests and never on their path.

use std::{sync::Arc, time::Duration};

use super::{gate::Gate, identity::WechatUser, observe::Event, once, sign_in};
use crate::{
    session::{StoreError, TokenChange, Tokens, UserChange, UserSlot, Work},
    wechat::{Call, Error, Grant, Reaction},
};

/// A refresh that failed is not tried again before this.
const PAUSE: Duration = Duration::from_secs(60);

/// Starts a refresh of the user's profile when it is due, one at a time for each user.
pub(crate) fn when_due(gate: &Gate, user: &WechatUser) {
    let Some(fetched_at) = user.record().fetched_at() else { return };
    let now = gate.now();
    if now.since(fetched_at) < gate.profile_life() {
        return;
    }
    let has_tokens = user.record().tokens().is_some();
    if has_tokens
        && user.session().user().claim_refresh(now, PAUSE)
        && let Some(gate) = gate.of_account(user.appid())
    {
        let slot = user.session().user().clone();
        gate.spawn({
            let gate = gate.clone();
            async move {
                if let Some(ok) = refresh_once(&gate, &slot).await {
                    gate.saw(Event::Refreshed { ok });
                }
            }
        });
    }
}

/// Refreshes the profile, unless another instance does or did. Whether that went well; None where there was nothing to do.
async fn refresh_once(gate: &Gate, slot: &UserSlot) -> Option<bool> {
    let (store, work) = (gate.store(), Work::refresh(slot.key()));
    let known = async {
        let Some(lease) = store.lease(&work, PAUSE).await? else { return Ok(None) };
        let slot = store.user(slot.key()).await?;
        Ok(Some((lease, slot)))
    };
    let (lease, slot) = match known.await {
        Ok(Some((lease, slot))) => (lease, slot?),
        Ok(None) => return None,
        Err(error) => {
            store_down(gate, &error);
            return Some(false);
        }
    };
    // As it is known now, which may be newer than what brought us here.
    let is_due =
        slot.record().fetched_at().is_some_and(|at| gate.now().since(at) >= gate.profile_life());
    let refreshed = if is_due { Some(refresh(gate, &slot).await) } else { None };
    // Where it failed, others are not to try at once either: the lease ends when the pause does.
    if refreshed != Some(false) {
        once::give_back(store, &work, lease).await;
    }
    refreshed
}

fn store_down(gate: &Gate, error: &StoreError) {
    gate.saw(Event::StoreDown);
    tracing::warn!(%error, "a profile could not be refreshed");
}

/// Whether there is a new profile now.
async fn refresh(gate: &Gate, slot: &Arc<UserSlot>) -> bool {
    let record = slot.record();
    let Some(tokens) = record.tokens() else { return false };
    let change = match fetch(gate, slot, tokens).await {
        Ok(change) => change,
        Err(error) => {
            tracing::info!(%error, "a profile could not be refreshed");
            match error.reaction() {
                // The tokens are dead. The profile stays until the next sign-in brings new ones.
                Reaction::StartAgain | Reaction::Refresh | Reaction::Refuse => forget(tokens),
                Reaction::Retry | Reaction::RetryAfter(_) | Reaction::Operator => return false,
            }
        }
    };
    let is_new = change.profile.is_some();
    // A user who was forgotten in the meantime stays forgotten.
    match gate.store().change_user(slot, change).await {
        Ok(kept) => kept && is_new,
        Err(error) => {
            store_down(gate, &error);
            false
        }
    }
}

async fn fetch(gate: &Gate, slot: &UserSlot, tokens: &Tokens) -> Result<UserChange, Error> {
    let now = gate.now();
    let openid = &slot.key().openid;
    if now < tokens.access_ends_at {
        match gate.client().userinfo(&tokens.access, openid, gate.lang()).await {
            // WeChat makes this one up, so the tokens are nobody's.
            Ok(user) if user.is_snapshot_user => return Ok(forget(tokens)),
            Ok(user) => {
                let profile = Some((user.into(), now));
                return Ok(UserChange { profile, ..UserChange::default() });
            }
            Err(error) if error.reaction() != Reaction::Refresh => return Err(error),
            Err(_) => {}
        }
    }
    let Some(token) = tokens.refresh.as_ref().filter(|_| now < tokens.refresh_ends_at) else {
        return Ok(forget(tokens));
    };
    let grant = gate.client().refresh(gate.account(), token).await?;
    if grant.openid != *openid {
        return Err(Error::other_user(Call::Refresh));
    }
    // The answer's scope may be blank; the tokens came from a grant with userinfo.
    let grant = Grant { scope: grant.scope.max(crate::wechat::Scope::Userinfo), ..grant };
    let user = gate.client().userinfo(&grant.access_token, openid, gate.lang()).await?;
    if grant.is_snapshot_user || user.is_snapshot_user {
        return Ok(forget(tokens));
    }
    if user.contradicts(&grant) {
        return Err(Error::other_user(Call::Userinfo));
    }
    Ok(sign_in::change(grant, Some(user), Some(tokens.refresh_ends_at), now))
}

fn forget(tokens: &Tokens) -> UserChange {
    UserChange { tokens: TokenChange::Forget(tokens.refresh_ends_at), ..UserChange::default() }
}
