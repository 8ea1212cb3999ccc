//! The API under `/cgi-bin` for official accounts: the account's own token, who follows it, and the ticket of its pages.

use http::Method;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, Call, json};
use super::errors::ApiError;
use super::faults::Fault;
use super::server_tokens::LIFE;
use super::sns::{account, expect_grant_type, expect_secret};
use super::world::{Account, AccountKind};
use super::{Shared, followers};

pub(super) const TOKEN: &str = "/cgi-bin/token";
pub(super) const STABLE_TOKEN: &str = "/cgi-bin/stable_token";
pub(super) const USER_INFO: &str = "/cgi-bin/user/info";
pub(super) const TICKET: &str = "/cgi-bin/ticket/getticket";

/// The kinds that have a token of their own here.
const WITH_TOKEN: [AccountKind; 2] = [AccountKind::OfficialAccount, AccountKind::MiniProgram];

#[derive(Serialize)]
struct TokenAnswer<'a> {
    access_token: &'a str,
    expires_in: u64,
}

#[derive(Deserialize)]
struct StableToken {
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    appid: String,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    force_refresh: bool,
}

#[derive(Serialize)]
struct TicketAnswer<'a> {
    errcode: i64,
    errmsg: &'static str,
    ticket: &'a str,
    expires_in: u64,
}

pub(super) fn token(sim: &Shared, call: &Call) -> Answer {
    let params = &call.params;
    let appid = params.required("appid", ApiError::MissingAppid)?;
    let account = account(sim, appid, &WITH_TOKEN)?;
    expect_secret(sim, account, params.first("secret"))?;
    expect_grant_type(params.first("grant_type"), "client_credential")?;
    expect_listed(sim, account, call)?;
    let token = sim.server_tokens().classic(appid, sim.clock.seconds());
    Ok(json(&TokenAnswer { access_token: &token, expires_in: LIFE }))
}

/// Takes JSON and nothing else.
pub(super) fn stable_token(sim: &Shared, call: &Call) -> Answer {
    if call.method != Method::POST {
        return Err(ApiError::RequirePost.into());
    }
    let wanted: StableToken = serde_json::from_slice(&call.body).map_err(|_| ApiError::NotJson)?;
    if wanted.appid.is_empty() {
        return Err(ApiError::MissingAppid.into());
    }
    let account = account(sim, &wanted.appid, &WITH_TOKEN)?;
    expect_secret(sim, account, Some(&wanted.secret))?;
    expect_grant_type(Some(&wanted.grant_type), "client_credential")?;
    expect_listed(sim, account, call)?;
    let now = sim.clock.seconds();
    let (token, expires_in) =
        sim.server_tokens().stable(&wanted.appid, wanted.force_refresh, now)?;
    Ok(json(&TokenAnswer { access_token: &token, expires_in }))
}

/// `lang` is accepted and changes nothing: what it once translated is blank.
pub(super) fn user_info(sim: &Shared, call: &Call) -> Answer {
    let account = account_of_token(sim, call, AccountKind::OfficialAccount)?;
    let openid = call.params.required("openid", ApiError::MissingOpenid)?;
    let mut users = sim.world.users.iter();
    let user = users.find(|user| user.openid(&account.appid) == openid);
    let user = user.ok_or(ApiError::InvalidOpenid)?;
    Ok(followers::body(sim, account, user))
}

pub(super) fn ticket(sim: &Shared, call: &Call) -> Answer {
    let account = account_of_token(sim, call, AccountKind::OfficialAccount)?;
    if call.params.first("type") != Some("jsapi") {
        return Err(ApiError::InvalidArgs.into());
    }
    let (ticket, expires_in) = sim.server_tokens().ticket(&account.appid, sim.clock.seconds());
    Ok(json(&TicketAnswer { errcode: 0, errmsg: "ok", ticket: &ticket, expires_in }))
}

/// The account whose token this is, if that is good and the account of the kind that may call this.
pub(super) fn account_of_token<'w>(
    sim: &'w Shared,
    call: &Call,
    kind: AccountKind,
) -> Result<&'w Account, ApiError> {
    if call.method != Method::GET {
        return Err(ApiError::RequireGet);
    }
    let token = call.params.required("access_token", ApiError::MissingAccessToken)?;
    let now = sim.clock.seconds();
    let mut tokens = sim.server_tokens();
    let appid = tokens.owner(token, now)?;
    let account = sim.world.account(appid).ok_or(ApiError::InvalidServerToken)?;
    if sim.faults.takes(Fault::DeadToken, &call.path) {
        tokens.kill(token, now);
        return Err(ApiError::InvalidServerToken);
    }
    if account.kind == kind { Ok(account) } else { Err(ApiError::Unauthorized) }
}

fn expect_listed(sim: &Shared, account: &Account, call: &Call) -> Result<(), ApiError> {
    if account.lists(call.peer) && !sim.faults.takes(Fault::IpNotListed, &call.path) {
        Ok(())
    } else {
        Err(ApiError::IpNotListed(call.peer))
    }
}
