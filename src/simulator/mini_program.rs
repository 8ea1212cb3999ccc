//! The API of mini-programs: a `js_code` becomes an openid and a session key.

use std::collections::HashMap;

use serde::Serialize;

use super::answer::{Answer, Call, json, ok};
use super::cgi::account_of_token;
use super::errors::ApiError;
use super::params::Params;
use super::sns::{account, expect_grant_type, expect_secret};
use super::world::AccountKind;
use super::{Shared, sealed};

pub(super) const CODE2SESSION: &str = "/sns/jscode2session";
pub(super) const CHECKSESSION: &str = "/wxa/checksession";

/// The scope that a `js_code` stands for among the other codes.
pub(super) const SCOPE: &str = "js_code";

/// The session keys in use: one for each appid and person.
#[derive(Debug, Default)]
pub(super) struct SessionKeys(HashMap<(String, String), String>);

#[derive(Serialize)]
struct SignedIn<'a> {
    session_key: &'a str,
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
}

impl SessionKeys {
    pub(super) fn of(&self, appid: &str, user: &str) -> Option<&str> {
        self.0.get(&(appid.to_owned(), user.to_owned())).map(String::as_str)
    }

    /// A new key, from here on the only one.
    pub(super) fn rotate(&mut self, appid: &str, user: &str) {
        self.0.insert((appid.to_owned(), user.to_owned()), sealed::session_key());
    }
}

pub(super) fn code2session(sim: &Shared, params: &Params) -> Answer {
    let appid = params.required("appid", ApiError::MissingAppid)?;
    let account = account(sim, appid, &[AccountKind::MiniProgram])?;
    expect_secret(sim, account, params.first("secret"))?;
    expect_grant_type(params.first("grant_type"), "authorization_code")?;
    let code = params.required("js_code", ApiError::MissingCode)?;

    let now = sim.clock.seconds();
    let mut grants = sim.grants();
    let (user, _) = grants.redeem(code, appid, now)?;
    let user = sim.world.user(&user).ok_or(ApiError::InvalidCode)?;
    if let Some(limit) = sim.world.switches.code2sessions_per_minute
        && !grants.visit(appid, &user.name, limit, now)
    {
        return Err(ApiError::MinuteQuota.into());
    }
    drop(grants);
    // The phone's own login has made one.
    let session_key = sim.session_keys().of(appid, &user.name).unwrap_or_default().to_owned();
    let unionid = user.unionid().filter(|_| account.open_platform);
    Ok(json(&SignedIn {
        session_key: &session_key,
        openid: &user.openid(appid),
        unionid: unionid.as_deref(),
    }))
}

/// Whether a server has the session key that is in use.
pub(super) fn checksession(sim: &Shared, call: &Call) -> Answer {
    let account = account_of_token(sim, call, AccountKind::MiniProgram)?;
    let openid = call.params.required("openid", ApiError::MissingOpenid)?;
    let mut users = sim.world.users.iter();
    let user = users.find(|user| user.openid(&account.appid) == openid);
    let user = user.ok_or(ApiError::InvalidOpenid)?;
    if call.params.first("sig_method") != Some("hmac_sha256") {
        return Err(ApiError::InvalidArgs.into());
    }
    let keys = sim.session_keys();
    let signature =
        keys.of(&account.appid, &user.name).map(|key| sealed::hmac_sha256_hex(key, b""));
    if signature.is_some() && call.params.first("signature") == signature.as_deref() {
        Ok(ok())
    } else {
        Err(ApiError::InvalidSignature.into())
    }
}
