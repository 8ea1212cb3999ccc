//! The API under `/sns`: the exchange, the refresh, the profile and the token check.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use http::{HeaderValue, Method, Response, header};
use serde::Serialize;

use super::faults::Fault;
use super::grants::{Grant, Special, TOKEN_LIFE, has_scope};
use super::params::Params;
use super::server::HangUp;
use super::{Shared, ids, profile};

pub(super) const EXCHANGE: &str = "/sns/oauth2/access_token";
pub(super) const REFRESH: &str = "/sns/oauth2/refresh_token";
pub(super) const USERINFO: &str = "/sns/userinfo";
pub(super) const AUTH: &str = "/sns/auth";

const DEFAULT_DELAY_MS: u64 = 6000;

/// The errors that the simulator can answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ApiError {
    Busy,
    InvalidCredential,
    InvalidGrantType,
    InvalidOpenid,
    InvalidAppid,
    InvalidAccessToken,
    InvalidCode,
    InvalidRefreshToken,
    InvalidUrl,
    InvalidSecret,
    CodeUsed,
    MissingAccessToken,
    MissingAppid,
    MissingRefreshToken,
    MissingSecret,
    MissingCode,
    MissingOpenid,
    AccessTokenExpired,
    RefreshTokenExpired,
    RequireGet,
    DailyQuota,
    MinuteQuota,
    Unauthorized,
}

impl ApiError {
    pub(super) fn code_and_text(self) -> (i64, &'static str) {
        match self {
            Self::Busy => (-1, "system error"),
            Self::InvalidCredential => {
                (40001, "invalid credential, access_token is invalid or not latest")
            }
            Self::InvalidGrantType => (40002, "invalid grant_type"),
            Self::InvalidOpenid => (40003, "invalid openid"),
            Self::InvalidAppid => (40013, "invalid appid"),
            Self::InvalidAccessToken => (40014, "invalid access_token"),
            Self::InvalidCode => (40029, "invalid code"),
            Self::InvalidRefreshToken => (40030, "invalid refresh_token"),
            Self::InvalidUrl => (40066, "invalid url"),
            Self::InvalidSecret => (40125, "invalid appsecret"),
            Self::CodeUsed => (40163, "code been used"),
            Self::MissingAccessToken => (41001, "access_token missing"),
            Self::MissingAppid => (41002, "appid missing"),
            Self::MissingRefreshToken => (41003, "refresh_token missing"),
            Self::MissingSecret => (41004, "appsecret missing"),
            Self::MissingCode => (41008, "missing code"),
            Self::MissingOpenid => (41009, "missing openid"),
            Self::AccessTokenExpired => (42001, "access_token expired"),
            Self::RefreshTokenExpired => (42002, "refresh_token expired"),
            Self::RequireGet => (43001, "require GET method"),
            Self::DailyQuota => (45009, "reach max api daily quota limit"),
            Self::MinuteQuota => {
                (45011, "api minute-quota reach limit mustslower retry next minute")
            }
            Self::Unauthorized => (48001, "api unauthorized"),
        }
    }
}

/// The `errcode` of an answer, for the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errcode(pub(super) i64);

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

#[derive(Serialize)]
struct StatusAnswer {
    errcode: i64,
    errmsg: String,
}

type Answer = Result<Vec<u8>, ApiError>;

/// Answers any request under `/sns/`: the faults around what the API itself says.
pub(super) async fn handle(
    State(sim): State<Shared>,
    OriginalUri(uri): OriginalUri,
    method: Method,
    params: Params,
) -> Response<Body> {
    let path = uri.path();
    let answer = match refusal(&sim, path) {
        Some(refusal) => Err(refusal),
        None => respond(&sim, path, &method, &params),
    };
    // From here on things are done: a code is used up, whatever its owner hears of it.
    let answer =
        if sim.faults.takes(Fault::BusyBurnsCode, path) { Err(ApiError::Busy) } else { answer };
    if let Some(slow) = sim.faults.take(Fault::Slow, path) {
        tokio::time::sleep(Duration::from_millis(slow.ms.unwrap_or(DEFAULT_DELAY_MS))).await;
    }
    let mut response = text_plain(answer, sim.clock.seconds());
    if sim.faults.takes(Fault::Drop, path) {
        response.extensions_mut().insert(HangUp);
    }
    response
}

/// The faults for which nothing is done at all.
fn refusal(sim: &Shared, path: &str) -> Option<ApiError> {
    [
        (Fault::Quota, ApiError::DailyQuota),
        (Fault::MinuteQuota, ApiError::MinuteQuota),
        (Fault::BusyKeepsCode, ApiError::Busy),
    ]
    .into_iter()
    .find_map(|(fault, error)| sim.faults.takes(fault, path).then_some(error))
}

fn respond(sim: &Shared, path: &str, method: &Method, params: &Params) -> Answer {
    if !matches!(*method, Method::GET | Method::POST) {
        return Err(ApiError::RequireGet);
    }
    match path {
        EXCHANGE => exchange(sim, params),
        REFRESH => refresh(sim, params),
        USERINFO => userinfo(sim, params),
        AUTH => auth(sim, params),
        _ => Err(ApiError::InvalidUrl),
    }
}

fn exchange(sim: &Shared, params: &Params) -> Answer {
    let appid = params.required("appid", ApiError::MissingAppid)?;
    let account = sim.world.account(appid).ok_or(ApiError::InvalidAppid)?;
    if params.required("secret", ApiError::MissingSecret)? != account.secret {
        return Err(if sim.world.switches.wrong_secret_is_40001 {
            ApiError::InvalidCredential
        } else {
            ApiError::InvalidSecret
        });
    }
    expect_grant_type(params, "authorization_code")?;
    let code = params.required("code", ApiError::MissingCode)?;

    let now = sim.clock.seconds();
    let mut grants = sim.grants();
    let (user, scope) = grants.redeem(code, appid, now)?;
    let user = sim.world.user(&user).ok_or(ApiError::InvalidCode)?;
    let arrived_by_snapshot = user.snapshot && has_scope(&scope, "snsapi_userinfo");
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

fn refresh(sim: &Shared, params: &Params) -> Answer {
    let appid = params.required("appid", ApiError::MissingAppid)?;
    sim.world.account(appid).ok_or(ApiError::InvalidAppid)?;
    expect_grant_type(params, "refresh_token")?;
    let token = params.required("refresh_token", ApiError::MissingRefreshToken)?;
    let grant = sim.grants().refresh(token, appid, sim.clock.seconds())?;
    Ok(json(&token_answer(&grant)))
}

/// `lang` is accepted and changes nothing: all that it ever translated has been blank since 2021.
fn userinfo(sim: &Shared, params: &Params) -> Answer {
    let grant = grant_of(sim, params)?;
    if !has_scope(&grant.scope, "snsapi_userinfo") {
        return Err(ApiError::Unauthorized);
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

fn auth(sim: &Shared, params: &Params) -> Answer {
    grant_of(sim, params)?;
    Ok(json(&StatusAnswer { errcode: 0, errmsg: "ok".to_owned() }))
}

fn grant_of(sim: &Shared, params: &Params) -> Result<Grant, ApiError> {
    let token = params.required("access_token", ApiError::MissingAccessToken)?;
    let openid = params.required("openid", ApiError::MissingOpenid)?;
    let now = sim.clock.seconds();
    sim.grants().of_access_token(token, openid, now).cloned()
}

fn expect_grant_type(params: &Params, expected: &str) -> Result<(), ApiError> {
    if params.first("grant_type") == Some(expected) {
        Ok(())
    } else {
        Err(ApiError::InvalidGrantType)
    }
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

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("these structs are JSON")
}

/// Every answer of `/sns` is HTTP 200 and `text/plain` without a charset, errors too.
fn text_plain(answer: Answer, now: u64) -> Response<Body> {
    let (body, errcode) = match answer {
        Ok(body) => (body, None),
        Err(error) => {
            let (errcode, text) = error.code_and_text();
            let errmsg = format!("{text}, rid: {}", ids::rid(now));
            (json(&StatusAnswer { errcode, errmsg }), Some(errcode))
        }
    };
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if let Some(errcode) = errcode {
        response.extensions_mut().insert(Errcode(errcode));
    }
    response
}
