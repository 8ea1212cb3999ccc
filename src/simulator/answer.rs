//! A call of the API from its arrival to its answer: the faults around what the API itself says.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, OriginalUri, Request, State};
use http::{HeaderValue, Method, Response, header};
use serde::Serialize;

use super::errors::{ApiError, Refusal};
use super::faults::Fault;
use super::params::Params;
use super::server::{HangUp, Peer};
use super::wecom::{self, WecomError};
use super::{Shared, cgi, ids, mini_program, sns};

const DEFAULT_DELAY_MS: u64 = 6000;

/// What the API says: a body, or an error.
pub(super) type Answer = Result<Vec<u8>, Refusal>;

/// A call of the API.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) method: Method,
    /// Of the query, and of a form after it.
    pub(super) params: Params,
    pub(super) body: Bytes,
    /// Who calls.
    pub(super) peer: IpAddr,
}

/// The `errcode` of an answer, for the record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Errcode(pub(super) i64);

#[derive(Serialize)]
struct Status<'a> {
    errcode: i64,
    errmsg: &'a str,
}

/// The families of endpoints, which look different on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// `/sns`: `text/plain`, and a comma before the `rid`.
    Sns,
    /// `/cgi-bin` and `/wxa`: JSON, and no comma.
    Cgi,
    /// WeCom's part of `/cgi-bin`: JSON, and long texts.
    Wecom,
}

impl Family {
    fn of(path: &str) -> Self {
        if path.starts_with("/sns") {
            Self::Sns
        } else if wecom::has(path) {
            Self::Wecom
        } else {
            Self::Cgi
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Sns => "text/plain",
            Self::Cgi => "application/json; encoding=utf-8",
            Self::Wecom => "application/json; charset=UTF-8",
        }
    }

    fn errmsg(self, refusal: &Refusal, peer: IpAddr, now: u64) -> String {
        let Refusal { errcode, errmsg } = refusal;
        match self {
            Self::Sns => format!("{errmsg}, rid: {}", ids::rid(now)),
            Self::Cgi => format!("{errmsg} rid: {}", ids::rid(now)),
            Self::Wecom => format!(
                "{errmsg}, hint: [{}], from ip: {peer}, more info at https://open.work.weixin.qq.com/devtool/query?e={errcode}",
                ids::hint(now)
            ),
        }
    }
}

/// Answers any call of the API.
pub(super) async fn handle(State(sim): State<Shared>, call: Call) -> Response<Body> {
    let path = &*call.path;
    let answer = match refusal(&sim, path) {
        Some(refusal) => Err(refusal),
        None => respond(&sim, &call),
    };
    // From here on things are done: a code is used up, whatever its owner hears of it.
    let answer =
        if sim.faults.takes(Fault::BusyBurnsCode, path) { Err(busy(path)) } else { answer };
    if let Some(slow) = sim.faults.take(Fault::Slow, path) {
        tokio::time::sleep(Duration::from_millis(slow.ms.unwrap_or(DEFAULT_DELAY_MS))).await;
    }
    let mut response = write(&call, answer, sim.clock.seconds());
    if sim.faults.takes(Fault::Drop, path) {
        response.extensions_mut().insert(HangUp);
    }
    response
}

/// The faults for which nothing is done at all.
fn refusal(sim: &Shared, path: &str) -> Option<Refusal> {
    let (daily, minute) = match Family::of(path) {
        Family::Wecom => (WecomError::TooOften.into(), WecomError::TooMany.into()),
        Family::Sns | Family::Cgi => (ApiError::DailyQuota.into(), ApiError::MinuteQuota.into()),
    };
    [
        (Fault::Quota, daily),
        (Fault::MinuteQuota, minute),
        (Fault::BusyKeepsCode, busy(path)),
        (Fault::CodeBlocked, ApiError::CodeBlocked.into()),
    ]
    .into_iter()
    .find_map(|(fault, error)| sim.faults.takes(fault, path).then_some(error))
}

fn busy(path: &str) -> Refusal {
    match Family::of(path) {
        Family::Wecom => WecomError::Busy.into(),
        Family::Sns | Family::Cgi => ApiError::Busy.into(),
    }
}

fn respond(sim: &Shared, call: &Call) -> Answer {
    if wecom::has(&call.path) {
        return wecom::respond(sim, call);
    }
    if !matches!(call.method, Method::GET | Method::POST) {
        return Err(ApiError::RequireGet.into());
    }
    match &*call.path {
        sns::EXCHANGE => sns::exchange(sim, &call.params),
        sns::REFRESH => sns::refresh(sim, &call.params),
        sns::USERINFO => sns::userinfo(sim, &call.params),
        sns::AUTH => sns::auth(sim, &call.params),
        mini_program::CODE2SESSION => mini_program::code2session(sim, &call.params),
        mini_program::CHECKSESSION => mini_program::checksession(sim, call),
        cgi::TOKEN => cgi::token(sim, call),
        cgi::STABLE_TOKEN => cgi::stable_token(sim, call),
        cgi::USER_INFO => cgi::user_info(sim, call),
        cgi::TICKET => cgi::ticket(sim, call),
        _ => Err(ApiError::InvalidUrl.into()),
    }
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("these structs are JSON")
}

/// The answer that says no more than that it went well.
pub(super) fn ok() -> Vec<u8> {
    json(&Status { errcode: 0, errmsg: "ok" })
}

/// Every answer is HTTP 200, errors too.
fn write(call: &Call, answer: Answer, now: u64) -> Response<Body> {
    let family = Family::of(&call.path);
    let (body, errcode) = match answer {
        Ok(body) => {
            let errcode = body.starts_with(br#"{"errcode":0,"#).then_some(0);
            (body, errcode)
        }
        Err(refusal) => {
            let (errcode, errmsg) = (refusal.errcode, family.errmsg(&refusal, call.peer, now));
            (json(&Status { errcode, errmsg: &errmsg }), Some(errcode))
        }
    };
    let mut response = Response::new(Body::from(body));
    let content_type = HeaderValue::from_static(family.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    if let Some(errcode) = errcode {
        response.extensions_mut().insert(Errcode(errcode));
    }
    response
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let uri = match request.extensions().get::<OriginalUri>() {
            Some(OriginalUri(uri)) => uri.clone(),
            None => request.uri().clone(),
        };
        let method = request.method().clone();
        let peer = request.extensions().get::<Peer>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
        // A body too long for a form has no parameters.
        let body = Bytes::from_request(request, state).await.unwrap_or_default();
        let form: &[u8] = if method == Method::POST { &body } else { b"" };
        let params = Params::parse_both(uri.query().unwrap_or_default().as_bytes(), form);
        Ok(Self { path: uri.path().to_owned(), method, params, body, peer })
    }
}
