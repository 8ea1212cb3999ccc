//! The simulator's own endpoints under `/_simulator`, for scripts, and its home page.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::faults::FaultSwitch;
use super::params::Params;
use super::phone::{self, MiniProgramPhone};
use super::{Shared, TellError, answer, cookies, js_sdk, pages, push};

/// Requests under this prefix are not part of WeChat and are not recorded.
pub(super) const PREFIX: &str = "/_simulator/";

pub(super) fn router() -> Router<Shared> {
    Router::new()
        .route("/", get(home).post(choose))
        .route("/_simulator/faults", get(faults).post(add_faults).delete(clear_faults))
        .route("/_simulator/requests", get(requests).delete(forget_requests))
        .route("/_simulator/push", post(push))
        .route("/_simulator/follow", post(follow))
        .route("/_simulator/js-sdk", post(js_sdk))
        .route("/_simulator/mini-program", post(mini_program))
        .route(phone::USER_DATA, post(user_data))
        .route(phone::PHONE, post(phone_number))
        .route("/_simulator/clock", post(advance).get(clock))
        .route("/_simulator/avatars/{name}/{size}", get(avatar))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u64,
}

#[derive(Serialize)]
struct Now {
    /// Seconds since the Unix epoch.
    now: u64,
}

#[derive(Serialize)]
struct Done {
    ok: bool,
}

#[derive(Serialize)]
struct Login {
    js_code: String,
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

async fn home(State(sim): State<Shared>, headers: HeaderMap) -> Response<Body> {
    let current = cookies::user(&headers).filter(|name| sim.world.user(name).is_some());
    pages::home(&sim, current)
}

async fn choose(State(sim): State<Shared>, body: String) -> Response<Body> {
    let tap = Params::parse(body.as_bytes());
    let cookies = cookies::chosen(&sim.world, &tap);
    pages::see_other("/", &cookies.unwrap_or_default())
}

async fn faults(State(sim): State<Shared>) -> Response<Body> {
    json(StatusCode::OK, &sim.faults.all())
}

/// Adds to the faults that are still to happen, and answers with all of them.
async fn add_faults(State(sim): State<Shared>, body: String) -> Response<Body> {
    match serde_json::from_str::<Vec<FaultSwitch>>(&body) {
        Ok(switches) => {
            sim.faults.add(switches);
            faults(State(sim)).await
        }
        Err(error) => refused(&error),
    }
}

async fn clear_faults(State(sim): State<Shared>) -> Response<Body> {
    sim.faults.clear();
    faults(State(sim)).await
}

async fn requests(State(sim): State<Shared>) -> Response<Body> {
    json(StatusCode::OK, &sim.record.all())
}

async fn forget_requests(State(sim): State<Shared>) -> Response<Body> {
    sim.record.clear();
    requests(State(sim)).await
}

async fn clock(State(sim): State<Shared>) -> Response<Body> {
    let now = sim.clock.seconds();
    json(StatusCode::OK, &Now { now })
}

/// Answers when the replays that became due are over, so that a script can look at once.
async fn advance(State(sim): State<Shared>, body: String) -> Response<Body> {
    match serde_json::from_str::<Advance>(&body) {
        Ok(Advance { advance_seconds }) => {
            sim.advance(Duration::from_secs(advance_seconds));
            sim.replays.settle().await;
            clock(State(sim)).await
        }
        Err(error) => refused(&error),
    }
}

/// Sends a message to an account's message server, and answers with what came back.
async fn push(State(sim): State<Shared>, body: String) -> Response<Body> {
    let wanted = match serde_json::from_str(&body) {
        Ok(wanted) => wanted,
        Err(error) => return refused(&error),
    };
    match push::push(&sim, wanted).await {
        Ok(pushed) => json(StatusCode::OK, &pushed),
        Err(error) => json(StatusCode::BAD_REQUEST, &Problem { error: &error }),
    }
}

async fn follow(State(sim): State<Shared>, body: String) -> Response<Body> {
    told(&body, |follow| sim.told_to_follow(&follow).map(|()| Done { ok: true }))
}

async fn js_sdk(State(sim): State<Shared>, body: String) -> Response<Body> {
    told(&body, |config| js_sdk::config(&sim, &config))
}

async fn mini_program(State(sim): State<Shared>, body: String) -> Response<Body> {
    told(&body, |who| {
        MiniProgramPhone::told(&sim, &who).map(|phone| Login { js_code: phone.login() })
    })
}

async fn user_data(State(sim): State<Shared>, body: String) -> Response<Body> {
    told(&body, |who| MiniProgramPhone::told(&sim, &who)?.user_data())
}

async fn phone_number(State(sim): State<Shared>, body: String) -> Response<Body> {
    told(&body, |who| MiniProgramPhone::told(&sim, &who)?.phone_number())
}

/// Does what the body says, or says why not.
fn told<T: DeserializeOwned, A: Serialize>(
    body: &str,
    perform: impl FnOnce(T) -> Result<A, TellError>,
) -> Response<Body> {
    match serde_json::from_str(body).map(perform) {
        Ok(Ok(answer)) => json(StatusCode::OK, &answer),
        Ok(Err(error)) => json(StatusCode::BAD_REQUEST, &Problem { error: &error.to_string() }),
        Err(error) => refused(&error),
    }
}

/// A drawn picture, so that an avatar needs no network. Everybody unknown is grey.
async fn avatar(
    State(sim): State<Shared>,
    Path((name, _size)): Path<(String, String)>,
) -> Response<Body> {
    let nickname = sim.world.user(&name).map(|user| &*user.nickname);
    let letter = nickname.and_then(|it| it.chars().find(|letter| letter.is_alphanumeric()));
    let colour = if letter.is_some() { "#07c160" } else { "#b2b2b2" };
    let svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="132" height="132" viewBox="0 0 132 132"><rect width="132" height="132" fill="{colour}"/><text x="66" y="88" font-family="sans-serif" font-size="64" text-anchor="middle" fill="#fff">{}</text></svg>"##,
        letter.unwrap_or('·')
    );
    let mut response = Response::new(Body::from(svg));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    response
}

fn refused(error: &serde_json::Error) -> Response<Body> {
    let error = error.to_string();
    json(StatusCode::BAD_REQUEST, &Problem { error: &error })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    let mut response = Response::new(Body::from(answer::json(value)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
