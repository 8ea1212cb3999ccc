//! What no site has: the eye of the phone's camera, and what only WeChat can do.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Path, State},
    http::{Request, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    Person, Place, Site, SiteFacts,
    pages::{Follow, stranger},
    visit::{Visit, tell},
};

/// What pages may have the simulator do, beside letting somebody follow.
const WECHAT: [&str; 4] =
    ["mini-program", "mini-program/user-data", "mini-program/phone", "js-sdk"];
/// What it answers is small.
const LARGEST_ANSWER: usize = 64 * 1024;
/// The camera's pictures are squares of this many dots at most.
const LARGEST_SIDE: usize = 1024;

impl SiteFacts {
    /// Who of those that live at the simulator has come.
    pub(super) fn person(&self, visit: &Visit) -> Option<&Person> {
        let user = visit.user.as_ref()?;
        self.people.iter().find(|person| person.openids.contains(&user.openid))
    }
}

/// Reads a code in what the camera sees: a square picture, one byte for the light of each dot. The answer is where the
/// phone goes.
pub(super) async fn seen(State(site): Place, picture: Bytes) -> Response {
    let side = picture.len().isqrt().min(LARGEST_SIDE);
    if side == 0 || side * side != picture.len() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let address = read(&picture, side).and_then(|address| {
        // WeChat would open anything. This phone knows one site.
        let path = address.strip_prefix(&site.facts.public_url)?;
        path.starts_with('/').then(|| format!("{}{path}", site.facts.phone_url))
    });
    tell(&json!({ "address": address }))
}

fn read(picture: &[u8], side: usize) -> Option<String> {
    let light = |x: usize, y: usize| picture[y * side + x];
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(side, side, light);
    let codes = image.detect_grids();
    codes.iter().find_map(|code| code.decode().ok()).map(|(_, text)| text)
}

/// Has the simulator do what a page asks for.
pub(super) async fn wechat(State(site): Place, Path(what): Path<String>, body: Bytes) -> Response {
    if !WECHAT.contains(&&*what) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match site.simulate(&what, body.into()).await {
        Some((status, answer)) => {
            (status, [(CONTENT_TYPE, "application/json")], answer).into_response()
        }
        None => StatusCode::BAD_GATEWAY.into_response(),
    }
}

/// Somebody follows the account, or stops.
pub(super) async fn follow(State(site): Place, visit: Visit, form: String) -> Response {
    let follow = form == "follow=true";
    let Some(user) = site.facts.person(&visit) else { return stranger(&site.facts, &visit) };
    let told = json!({ "user": user.name, "appid": site.facts.accounts.main, "follow": follow });
    match site.simulate("follow", told.to_string().into()).await {
        Some((StatusCode::OK, _)) => {
            let page = Follow { visit: &visit, user, done: Some(follow) };
            visit.answer(&site.facts, StatusCode::OK, &page)
        }
        _ => StatusCode::BAD_GATEWAY.into_response(),
    }
}

impl Site {
    async fn simulate(&self, what: &str, body: Body) -> Option<(StatusCode, Bytes)> {
        let url: Uri = format!("{}/_simulator/{what}", self.facts.simulator_url).parse().ok()?;
        let answer = self.client.request(Request::post(url).body(body).ok()?).await.ok()?;
        let status = answer.status();
        Some((status, to_bytes(Body::new(answer.into_body()), LARGEST_ANSWER).await.ok()?))
    }
}
