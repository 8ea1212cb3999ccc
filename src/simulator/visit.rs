//! A visit to the authorize page: who is it, and may the account know.

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use http::{HeaderMap, Method, Response};

use super::authorize::{Authorize, Door};
use super::faults::Fault;
use super::grants::has_scope;
use super::page_error::PageError;
use super::pages::{self, Visitor};
use super::params::Params;
use super::world::User;
use super::{Shared, cookies, way_back};

/// What becomes of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    /// No, and the site is told: `state` without `code`.
    Deny,
    /// No, and nobody is told.
    Silence,
}

/// `GET` shows or decides; `POST` is a tap on one of the page's own buttons.
pub(super) async fn handle(
    State(sim): State<Shared>,
    OriginalUri(uri): OriginalUri,
    method: Method,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let query = uri.query().unwrap_or_default();
    if sim.world.switches.require_wechat_ua && !is_wechat(&headers) {
        return pages::error(PageError::OutsideWechat);
    }
    let authorize = match Authorize::check(query, &sim.world) {
        Ok(authorize) => authorize,
        Err(error) => return pages::error(error),
    };
    let tap =
        if method == Method::POST { Params::parse(body.as_bytes()) } else { Params::default() };
    if let Some(chosen) = cookies::chosen(&sim.world, &tap) {
        // Back to the same page with a GET, so that the Back key never asks to send a form again.
        return pages::see_other(&uri.to_string(), &chosen);
    }
    let visitor = match who(&sim, &headers) {
        Ok(Some(visitor)) => visitor,
        Ok(None) => return pages::picker(&sim, &authorize),
        Err(response) => return response,
    };
    let told = match told(&headers, &tap) {
        Ok(told) => told,
        Err(response) => return response,
    };
    if let Some(error) = refusal(&sim, &authorize, &visitor) {
        return pages::error(error);
    }
    let silent = || is_silent(&sim, &authorize, &visitor).then_some(Answer::Allow);
    let Some(answer) = told.or_else(silent) else {
        return pages::consent(&sim, &authorize, visitor.user);
    };
    let answer = mishap(&sim, authorize.door).unwrap_or(answer);
    // Only a tap is remembered: a script that allows must not change what people are asked later.
    if answer == Answer::Allow && tap.first("consent") == Some("allow") {
        let now = sim.clock.seconds();
        sim.grants().remember_consent(&authorize.account.appid, &visitor.user.name, now);
    }
    perform(&sim, &authorize, visitor.user, answer, &headers)
}

/// Sends the person where the answer leads.
pub(super) fn perform(
    sim: &Shared,
    authorize: &Authorize<'_>,
    user: &User,
    answer: Answer,
    headers: &HeaderMap,
) -> Response<Body> {
    match answer {
        Answer::Allow => way_back::allowed(sim, authorize, user, is_browser(headers)),
        Answer::Deny => way_back::denied(authorize),
        Answer::Silence => pages::blank(),
    }
}

/// The person, by header or by cookie; `None`: nobody has been chosen yet.
#[allow(clippy::result_large_err)] // The error is the page that is shown.
fn who<'w>(sim: &'w Shared, headers: &HeaderMap) -> Result<Option<Visitor<'w>>, Response<Body>> {
    let from_menu = match header(headers, "x-simulator-from") {
        None => false,
        Some("menu") => true,
        Some(other) => {
            return Err(pages::bad_request(&format!("X-Simulator-From: {other:?} is not menu")));
        }
    };
    if let Some(user) = by_header(sim, headers)? {
        return Ok(Some(Visitor { user, from_menu }));
    }
    let chosen = cookies::user(headers).and_then(|name| sim.world.user(name));
    let from_menu = from_menu || cookies::is_from_menu(headers);
    Ok(chosen.map(|user| Visitor { user, from_menu }))
}

/// The person whom a script names.
#[allow(clippy::result_large_err)] // The error is the page that is shown.
pub(super) fn by_header<'w>(
    sim: &'w Shared,
    headers: &HeaderMap,
) -> Result<Option<&'w User>, Response<Body>> {
    let Some(name) = header(headers, "x-simulator-user") else {
        return Ok(None);
    };
    let user = sim.world.user(name).ok_or_else(|| {
        let known: Vec<_> = sim.world.users.iter().map(|user| &*user.name).collect();
        pages::bad_request(&format!(
            "X-Simulator-User: there is no user {name:?} here, only {}",
            known.join(", ")
        ))
    })?;
    Ok(Some(user))
}

/// What was tapped, or what a header says; `None`: nothing yet.
#[allow(clippy::result_large_err)] // The error is the page that is shown.
pub(super) fn told(headers: &HeaderMap, tap: &Params) -> Result<Option<Answer>, Response<Body>> {
    let by_header = match header(headers, "x-simulator-consent") {
        None if header(headers, "x-simulator-user").is_some() => Some(Answer::Allow),
        None => None,
        Some("allow") => Some(Answer::Allow),
        Some("deny") => Some(Answer::Deny),
        Some("silence") => Some(Answer::Silence),
        Some(other) => {
            return Err(pages::bad_request(&format!(
                "X-Simulator-Consent: {other:?} is not one of allow, deny, silence"
            )));
        }
    };
    let tapped = match tap.first("consent") {
        Some("allow") => Some(Answer::Allow),
        Some("deny") => Some(Answer::Deny),
        _ => None,
    };
    Ok(by_header.or(tapped))
}

/// The errors that depend on who it is.
fn refusal(sim: &Shared, authorize: &Authorize<'_>, visitor: &Visitor<'_>) -> Option<PageError> {
    let account = authorize.account;
    if account.sandbox && !sim.follows(visitor.user, &account.appid) {
        return Some(PageError::MustFollow);
    }
    let limit = sim.world.switches.authorizes_per_minute?;
    let (user, now) = (&visitor.user.name, sim.clock.seconds());
    let allowed = sim.grants().visit(&account.appid, user, limit, now);
    (!allowed).then_some(PageError::TooOften)
}

/// Whether nobody is asked.
fn is_silent(sim: &Shared, authorize: &Authorize<'_>, visitor: &Visitor<'_>) -> bool {
    let (appid, user) = (&authorize.account.appid, visitor.user);
    let asks = ["snsapi_userinfo", "snsapi_privateinfo"];
    if !asks.iter().any(|scope| has_scope(&authorize.scope, scope)) || user.snapshot {
        return true;
    }
    // A follower from the menu is not asked even where forcePopup wants it.
    if visitor.from_menu && sim.follows(user, appid) {
        return true;
    }
    let now = sim.clock.seconds();
    !authorize.force_popup && sim.grants().remembers_consent(appid, &user.name, now)
}

/// A refusal that was asked for as a fault.
pub(super) fn mishap(sim: &Shared, door: Door) -> Option<Answer> {
    if sim.faults.takes(Fault::DenyStateOnly, door.path()) {
        Some(Answer::Deny)
    } else if sim.faults.takes(Fault::DenySilent, door.path()) {
        Some(Answer::Silence)
    } else {
        None
    }
}

fn is_wechat(headers: &HeaderMap) -> bool {
    header(headers, "user-agent")
        .is_some_and(|agent| agent.to_ascii_lowercase().contains("micromessenger"))
}

/// A browser that runs scripts says so; plain HTTP clients do not.
fn is_browser(headers: &HeaderMap) -> bool {
    header(headers, "sec-fetch-mode") == Some("navigate")
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    // What is not UTF-8 is no name of anything, and must not pass for a header that is absent.
    headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap_or("?"))
}
