//! The demo site: an ordinary upstream that learns who is visiting from request headers alone.
//!
//! What is below `/phone` is no part of such a site. It plays the phone, and what only WeChat can do.

mod arrived;
mod lang;
mod pages;
mod played;
#[cfg(test)]
mod tests;
mod visit;
mod visitor;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::State,
    response::Redirect,
    routing::{get, post},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Where the other parts of the demo are.
#[derive(Clone, Debug)]
pub(super) struct SiteFacts {
    /// The address of the gateway in front of this site, which people open.
    pub(super) public_url: String,
    /// The address of the simulator, as a browser reaches it.
    pub(super) simulator_url: String,
    /// The address of the phone.
    pub(super) phone_url: String,
    /// What the gateway is configured with.
    pub(super) configuration: String,
    /// The accounts, as the pages name them.
    pub(super) accounts: Accounts,
    /// The people who live at the simulator.
    pub(super) people: Vec<Person>,
}

/// The appids of the accounts.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    pub(super) main: String,
    pub(super) website: String,
    pub(super) mini_program: String,
}

/// Somebody who lives at the simulator.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) nickname: String,
    /// At each of the accounts.
    pub(super) openids: Vec<String>,
}

/// What every page may need.
#[derive(Debug)]
struct Site {
    facts: SiteFacts,
    client: Client<HttpConnector, Body>,
}

/// The site. It answers to every `Host`.
///
/// The gateway is expected to be configured as the demo's own [configuration](super::configuration) says.
pub(super) fn site(facts: SiteFacts) -> Router {
    let client = Client::builder(TokioExecutor::new()).build_http();
    Router::new()
        .route("/", get(pages::home))
        .route("/silent", get(pages::silent))
        .route("/profile", get(pages::profile))
        .route("/app", get(|| async { Redirect::permanent("/app/") }))
        .route("/app/", get(pages::app))
        .route("/scan", get(pages::scan))
        .route("/desktop", get(arrived::desktop))
        .route("/website", get(arrived::website))
        .route("/followers", get(pages::followers))
        .route("/members", get(arrived::members))
        .route("/staff", get(arrived::staff))
        .route("/mini-program", get(pages::mini_program))
        .route("/mini-program/received", get(pages::received))
        .route("/jssdk", get(pages::jssdk))
        .route("/configuration", get(pages::configuration))
        .route("/phone", get(pages::camera))
        .route("/phone/seen", post(played::seen))
        .route("/phone/web-view", get(pages::web_view))
        .route("/phone/follow", get(pages::follow).post(played::follow))
        .route("/phone/wechat/{*what}", post(played::wechat))
        .fallback(pages::not_found)
        .with_state(Arc::new(Site { facts, client }))
}

type Place = State<Arc<Site>>;
