//! The page on a desktop that shows a QR code, and plays the phone as well where nobody has one at hand.

use axum::body::Body;
use axum::extract::{OriginalUri, State};
use http::{HeaderMap, Method, Response, Uri};

use super::check::check;
use super::{Qr, Scan};
use crate::simulator::authorize::{Authorize, Door};
use crate::simulator::page_error::PageError;
use crate::simulator::params::Params;
use crate::simulator::{Shared, pages, visit};

/// Names the QR code that the page shows already.
const SHOWN: &str = "simulator_qr";

pub(super) async fn qrconnect(
    state: State<Shared>,
    uri: OriginalUri,
    method: Method,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    handle(Door::Qrconnect, &state, &uri, &method, &headers, &body)
}

pub(super) async fn wecom(
    state: State<Shared>,
    uri: OriginalUri,
    method: Method,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    handle(Door::WecomLogin, &state, &uri, &method, &headers, &body)
}

/// `GET` shows the QR code, or decides for a script; `POST` is a tap on one of the page's own buttons.
fn handle(
    door: Door,
    sim: &Shared,
    uri: &Uri,
    method: &Method,
    headers: &HeaderMap,
    body: &str,
) -> Response<Body> {
    let query = uri.query().unwrap_or_default();
    let authorize = match check(door, query, &sim.world) {
        Ok(authorize) => authorize,
        Err(error) => return pages::error(error),
    };
    match script(sim, &authorize, headers) {
        Ok(None) => {}
        Ok(Some(response)) | Err(response) => return response,
    }
    let now = sim.clock.seconds();
    let (kept, uuid) = without_shown(query);
    let live =
        |uuid: &str| sim.qrs.look(uuid, now).filter(|qr| qr.door == door && qr.query == kept);
    let shown = uuid.and_then(|uuid| Some((live(&uuid)?, uuid)));
    match shown {
        Some((qr, uuid)) if *method == Method::POST => {
            tapped(sim, &authorize, headers, &qr, &uuid, &Params::parse(body.as_bytes()))
        }
        Some((Qr { scan: Scan::Scanned(name), .. }, uuid)) => match sim.world.user(&name) {
            Some(user) => pages::scanned(sim, &authorize, user, &action(&kept, &uuid)),
            None => pages::error(PageError::QrExpired),
        },
        Some((Qr { scan: Scan::Waiting, .. }, uuid)) if *method == Method::GET => {
            pages::qr(sim, &authorize, &uuid, &action(&kept, &uuid))
        }
        // A tap on a page whose QR code is no longer good: another one.
        _ if *method == Method::POST => pages::see_other(&format!("{}?{kept}", door.path()), &[]),
        _ => {
            let uuid = sim.qrs.draw(door, &kept, now);
            pages::qr(sim, &authorize, &uuid, &action(&kept, &uuid))
        }
    }
}

/// A script says who it is, and goes back at once.
#[allow(clippy::result_large_err)] // The error is the page that is shown.
fn script(
    sim: &Shared,
    authorize: &Authorize<'_>,
    headers: &HeaderMap,
) -> Result<Option<Response<Body>>, Response<Body>> {
    let Some(user) = visit::by_header(sim, headers)? else {
        return Ok(None);
    };
    let told = visit::told(headers, &Params::default())?;
    if !authorize.account.signs_in(user) {
        return Ok(Some(pages::error(PageError::NotAMember)));
    }
    let answer = visit::mishap(sim, authorize.door).or(told).unwrap_or(visit::Answer::Allow);
    Ok(Some(visit::perform(sim, authorize, user, answer, headers)))
}

/// A tap on the phone that the page plays.
fn tapped(
    sim: &Shared,
    authorize: &Authorize<'_>,
    headers: &HeaderMap,
    qr: &Qr,
    uuid: &str,
    tap: &Params,
) -> Response<Body> {
    let again =
        || pages::see_other(&format!("{}{}", authorize.door.path(), action(&qr.query, uuid)), &[]);
    if tap.first("switch").is_some() {
        sim.qrs.set(uuid, Scan::Waiting);
        return again();
    }
    if let Some(user) = tap.first("user").and_then(|name| sim.world.user(name)) {
        if !authorize.account.signs_in(user) {
            return pages::error(PageError::NotAMember);
        }
        sim.qrs.set(uuid, Scan::Scanned(user.name.clone()));
        return again();
    }
    let user = match &qr.scan {
        Scan::Scanned(name) => sim.world.user(name),
        _ => None,
    };
    let Some(user) = user else {
        return again();
    };
    let answer = match tap.first("consent") {
        Some("allow") => visit::Answer::Allow,
        Some("deny") => visit::Answer::Deny,
        _ => return again(),
    };
    sim.qrs.forget(uuid);
    let answer = visit::mishap(sim, authorize.door).unwrap_or(answer);
    visit::perform(sim, authorize, user, answer, headers)
}

/// Where the page's own buttons lead: to itself, with its QR code.
fn action(query: &str, uuid: &str) -> String {
    format!("?{query}&{SHOWN}={uuid}")
}

/// The page's query as the site wrote it, and the QR code that the page shows.
fn without_shown(query: &str) -> (String, Option<String>) {
    let is_shown = |pair: &&str| pair.strip_prefix(SHOWN).is_some_and(|it| it.starts_with('='));
    let (shown, kept): (Vec<_>, Vec<_>) = query.split('&').partition(is_shown);
    let uuid = shown.last().and_then(|pair| pair.split_once('=')).map(|(_, uuid)| uuid.to_owned());
    (kept.join("&"), uuid)
}
