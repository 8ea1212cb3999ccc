//! Whether a user follows the account, for paths that are for followers only.

use std::sync::Arc;

use http::request::Parts;

use super::{
    PREFIX,
    gate::Gate,
    pages::Page,
    respond::Reply,
    return_to::ReturnTo,
    start::{self, Hint},
};
use crate::{
    keeper::KeeperError,
    session::{Session, UserChange},
    wechat::Scope,
};

/// Where a picture of the account's code is, where there is one.
pub(crate) const CODE: &str = "/follow-code";

/// Asks WeChat. An error is the answer to the request.
pub(super) async fn follows(
    gate: &Gate,
    head: &Parts,
    session: &Arc<Session>,
) -> Result<bool, Reply> {
    let slot = session.user();
    let asked = gate.keeper().followers.ask(gate.account(), &slot.key().openid).await;
    let follower = asked.map_err(|error| {
        tracing::warn!(%error, "nobody knows whether a user follows the account");
        let retry = start::login_url(gate, Scope::Base, &start::here(gate, head), Hint::None);
        match error {
            KeeperError::Store(error) => gate.store_down(&error),
            KeeperError::Wechat(error) => Reply::page(Page::Failed { error, retry }),
            _ => Reply::page(Page::WechatDown { retry }),
        }
    })?;
    if let Some(unionid) = follower.unionid.filter(|_| slot.record().unionid().is_none()) {
        let change = UserChange { unionid: Some(unionid), ..UserChange::default() };
        // Known already or forgotten since: either is fine.
        if let Err(error) = gate.store().change_user(slot, change).await {
            return Err(gate.store_down(&error));
        }
    }
    Ok(follower.subscribe)
}

/// Shows how to follow the account.
pub(super) fn ask_to_follow(gate: &Gate, target: &ReturnTo) -> Reply {
    let has_code = gate.door(&format!("{PREFIX}{CODE}")).is_some();
    // Under whatever name the site was reached.
    let code = has_code.then(|| start::path(gate, CODE));
    Reply::page(Page::Follow { code, retry: target.as_str().to_owned() })
}
