//! The pages that explain, and those that have a script.

use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;

use super::{
    Person, Place, SiteFacts,
    visit::{Visit, tell},
    visitor::Visitor,
};

#[derive(Template)]
#[template(path = "demo/home.html")]
struct Home<'a> {
    visit: &'a Visit,
    facts: &'a SiteFacts,
}

pub(super) async fn home(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::OK, &Home { visit: &visit, facts: &site.facts })
}

#[derive(Template)]
#[template(path = "demo/silent.html")]
struct Silent<'a> {
    visit: &'a Visit,
    user: &'a Visitor,
}

pub(super) async fn silent(State(site): Place, visit: Visit) -> Response {
    let Some(user) = &visit.user else { return stranger(&site.facts, &visit) };
    visit.answer(&site.facts, StatusCode::OK, &Silent { visit: &visit, user })
}

#[derive(Template)]
#[template(path = "demo/profile.html")]
struct Profile<'a> {
    visit: &'a Visit,
    user: &'a Visitor,
}

pub(super) async fn profile(State(site): Place, visit: Visit) -> Response {
    let Some(user) = &visit.user else { return stranger(&site.facts, &visit) };
    visit.answer(&site.facts, StatusCode::OK, &Profile { visit: &visit, user })
}

#[derive(Template)]
#[template(path = "demo/app.html")]
struct App<'a> {
    visit: &'a Visit,
}

pub(super) async fn app(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::OK, &App { visit: &visit })
}

#[derive(Template)]
#[template(path = "demo/scan.html")]
struct Scan<'a> {
    visit: &'a Visit,
    facts: &'a SiteFacts,
}

/// What comes before `/desktop`, which shows a code of the gateway's to whoever is not signed in.
pub(super) async fn scan(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::OK, &Scan { visit: &visit, facts: &site.facts })
}

#[derive(Template)]
#[template(path = "demo/followers.html")]
struct Followers<'a> {
    visit: &'a Visit,
    facts: &'a SiteFacts,
}

/// What comes before `/members`, which shows a code to follow by to whoever does not follow.
pub(super) async fn followers(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::OK, &Followers { visit: &visit, facts: &site.facts })
}

#[derive(Template)]
#[template(path = "demo/mini_program.html")]
struct MiniProgram<'a> {
    visit: &'a Visit,
    facts: &'a SiteFacts,
}

pub(super) async fn mini_program(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::OK, &MiniProgram { visit: &visit, facts: &site.facts })
}

/// What the gateway has told of the visitor, for scripts.
pub(super) async fn received(visit: Visit) -> Response {
    let told: BTreeMap<_, _> = visit
        .received
        .iter()
        .filter(|header| header.name.as_str().starts_with("x-wechat-"))
        .map(|header| (header.name.as_str(), &*header.value))
        .collect();
    tell(&json!(told))
}

#[derive(Template)]
#[template(path = "demo/jssdk.html")]
struct JsSdk<'a> {
    visit: &'a Visit,
}

pub(super) async fn jssdk(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::OK, &JsSdk { visit: &visit })
}

#[derive(Template)]
#[template(path = "demo/configuration.html")]
struct Configuration<'a> {
    visit: &'a Visit,
    facts: &'a SiteFacts,
}

pub(super) async fn configuration(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::OK, &Configuration { visit: &visit, facts: &site.facts })
}

#[derive(Template)]
#[template(path = "demo/camera.html")]
struct Camera<'a> {
    visit: &'a Visit,
    facts: &'a SiteFacts,
}

/// The phone's camera, which looks at the window that has opened it.
pub(super) async fn camera(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::OK, &Camera { visit: &visit, facts: &site.facts })
}

#[derive(Template)]
#[template(path = "demo/web_view.html")]
struct WebView<'a> {
    visit: &'a Visit,
}

/// The phone while a mini-program shows a page.
pub(super) async fn web_view(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::OK, &WebView { visit: &visit })
}

#[derive(Template)]
#[template(path = "demo/follow.html")]
pub(super) struct Follow<'a> {
    pub(super) visit: &'a Visit,
    pub(super) user: &'a Person,
    /// What the person has just decided.
    pub(super) done: Option<bool>,
}

/// The phone's page for somebody who has scanned the account's code.
pub(super) async fn follow(State(site): Place, visit: Visit) -> Response {
    let Some(user) = site.facts.person(&visit) else { return stranger(&site.facts, &visit) };
    visit.answer(&site.facts, StatusCode::OK, &Follow { visit: &visit, user, done: None })
}

#[derive(Template)]
#[template(path = "demo/stranger.html")]
struct Stranger<'a> {
    visit: &'a Visit,
    facts: &'a SiteFacts,
}

/// A page that needs a user was reached without one: not through the gateway, or the gateway's rules are wrong.
pub(super) fn stranger(facts: &SiteFacts, visit: &Visit) -> Response {
    visit.answer(facts, StatusCode::FORBIDDEN, &Stranger { visit, facts })
}

#[derive(Template)]
#[template(path = "demo/not_found.html")]
struct NotFound<'a> {
    visit: &'a Visit,
}

pub(super) async fn not_found(State(site): Place, visit: Visit) -> Response {
    visit.answer(&site.facts, StatusCode::NOT_FOUND, &NotFound { visit: &visit })
}
