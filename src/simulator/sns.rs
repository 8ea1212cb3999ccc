//! The API under `/sns/oauth2` and around it: the exchange, the refresh, the profile and the token check.

use serde::Serialize;

use super::answer::{Answer, json, ok};
use super::errors::ApiError;
use super::faults::Fault;
use super::grants::{Grant, Special, TOKEN_LIFE, has_scope, is_for_profile};
use super::params::Params;
use super::world::{Account, AccountKind};
use super::{Shared, profile};

pub(super) const EXCHANGE: &str = "/sns/oauth2/access_token";
pub(super) const REFRESH: &str = "/sns/oauth2/refresh_token";
pub(super) const USERINFO: &str = "/sns/userinfo";
pub(super) const AUTH: &str = "/sns/auth";

#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    expires_in: u64,
    refresh_token: &'a str,
    openid: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_snapshotuser: Option<u8>,
}

pub(super) fn exchange(sim: &Shared, params: &Params) -> Answer {
    let appid = params.required("appid", ApiError::MissingAppid)?;
    let account = account(sim, appid, &[AccountKind::OfficialAccount, AccountKind::Website])?;
    expect_secret(sim, account, params.first("secret"))?;
    expect_grant_type(params.first("grant_type"), "authorization_code")?;
    let code = params.required("code", ApiError::MissingCode)?;

    let now = sim.clock.seconds();
    let mut grants = sim.grants();
    let (user, scope) = grants.redeem(code, appid, now)?;
    let user = sim.world.user(&user).ok_or(ApiError::InvalidCode)?;
    // A desktop has no snapshot pages.
    let arrived_by_snapshot = user.snapshot
        && account.kind == AccountKind::OfficialAccount
        && has_scope(&scope, "snsapi_userinfo");
    let flagged = sim.faults.takes(Fault::Snapshot, EXCHANGE) || arrived_by_snapshot;
    let unflagged = sim.faults.takes(Fault::SnapshotUnflagged, EXCHANGE);
    let special = Special {
        snapshot: flagged || unflagged,
        no_unionid: sim.faults.takes(Fault::NoUnionid, EXCHANGE),
        keep_earlier_refresh: sim.world.switches.base_grant_keeps_refresh,
    };
    let grant = grants.open(account, user, &scope, special, now);
    let mut answer = token_answer(&grant);
    answer.unionid = grant.unionid.as_deref();
    answer.is_snapshotuser = (flagged && !unflagged).then_some(1);
    Ok(json(&answer))
}

pub(super) fn refresh(sim: &Shared, params: &Params) -> Answer {
    let appid = params.required("appid", ApiError::MissingAppid)?;
    sim.world.account(appid).ok_or(ApiError::InvalidAppid)?;
    expect_grant_type(params.first("grant_type"), "refresh_token")?;
    let token = params.required("refresh_token", ApiError::MissingRefreshToken)?;
    let grant = sim.grants().refresh(token, appid, sim.clock.seconds())?;
    Ok(json(&token_answer(&grant)))
}

/// `lang` is accepted and changes nothing: all that it ever translated has been blank since 2021.
pub(super) fn userinfo(sim: &Shared, params: &Params) -> Answer {
    let grant = grant_of(sim, params)?;
    if !is_for_profile(&grant.scope) {
        return Err(ApiError::Unauthorized.into());
    }
    let user = sim.world.user(&grant.user);
    let user = user.ok_or(ApiError::InvalidOpenid)?;
    let quirks = profile::Quirks {
        control_characters: sim.faults.takes(Fault::ControlCharacters, USERINFO),
        broken_utf8: sim.faults.takes(Fault::BrokenUtf8, USERINFO),
        sex_as_string: sim.faults.takes(Fault::SexAsString, USERINFO),
        no_unionid: sim.faults.takes(Fault::NoUnionid, USERINFO),
    };
    Ok(profile::body(&grant, user, &sim.url, quirks))
}

pub(super) fn auth(sim: &Shared, params: &Params) -> Answer {
    grant_of(sim, params)?;
    Ok(ok())
}

fn grant_of(sim: &Shared, params: &Params) -> Result<Grant, ApiError> {
    let token = params.required("access_token", ApiError::MissingAccessToken)?;
    let openid = params.required("openid", ApiError::MissingOpenid)?;
    let now = sim.clock.seconds();
    sim.grants().of_access_token(token, openid, now).cloned()
}

/// The account with this appid, of a kind that may call this.
pub(super) fn account<'w>(
    sim: &'w Shared,
    appid: &str,
    kinds: &[AccountKind],
) -> Result<&'w Account, ApiError> {
    let account = sim.world.account(appid).filter(|it| kinds.contains(&it.kind));
    account.ok_or(ApiError::InvalidAppid)
}

pub(super) fn expect_secret(
    sim: &Shared,
    account: &Account,
    secret: Option<&str>,
) -> Result<(), ApiError> {
    match secret {
        None | Some("") => Err(ApiError::MissingSecret),
        Some(secret) if secret == account.secret => Ok(()),
        Some(_) if sim.world.switches.wrong_secret_is_40001 => Err(ApiError::InvalidCredential),
        Some(_) => Err(ApiError::InvalidSecret),
    }
}

pub(super) fn expect_grant_type(given: Option<&str>, expected: &str) -> Result<(), ApiError> {
    if given == Some(expected) { Ok(()) } else { Err(ApiError::InvalidGrantType) }
}

fn token_answer(grant: &Grant) -> TokenAnswer<'_> {
    TokenAnswer {
        access_token: &grant.access_token,
        expires_in: TOKEN_LIFE,
        refresh_token: &grant.refresh_token,
        openid: &grant.openid,
        scope: &grant.scope,
        unionid: None,
        is_snapshotuser: None,
    }
}
