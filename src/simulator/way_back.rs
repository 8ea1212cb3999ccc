//! The way back to the site: the redirect to `redirect_uri`, once or, as WeChat does, twice.

use axum::body::Body;
use http::{HeaderValue, Response};

use super::authorize::Authorize;
use super::faults::Fault;
use super::world::User;
use super::{Shared, pages};

/// Carries the second callback URL of a twin, for clients that run no scripts.
const TWIN_HEADER: &str = "x-simulator-twin";

/// A fresh code goes to the site.
pub(super) fn allowed(
    sim: &Shared,
    authorize: &Authorize<'_>,
    user: &User,
    runs_scripts: bool,
) -> Response<Body> {
    let path = authorize.door.path();
    let location = with_fresh_code(sim, authorize, user);
    if sim.faults.takes(Fault::ReplayLater, path) {
        sim.replays.schedule(&location, sim.clock.millis());
    }
    let twin = if sim.faults.takes(Fault::TwinSameCode, path) {
        location.clone()
    } else if sim.faults.takes(Fault::TwinNewCode, path) {
        with_fresh_code(sim, authorize, user)
    } else {
        return pages::found(&location);
    };
    let mut response =
        if runs_scripts { pages::twin(&location, &twin) } else { pages::found(&location) };
    if let Ok(value) = HeaderValue::from_str(&twin) {
        response.headers_mut().insert(TWIN_HEADER, value);
    }
    response
}

/// The site gets its `state` back, and no code.
pub(super) fn denied(authorize: &Authorize<'_>) -> Response<Body> {
    pages::found(&authorize.way_back(None))
}

fn with_fresh_code(sim: &Shared, authorize: &Authorize<'_>, user: &User) -> String {
    authorize.way_back(Some(&fresh_code(sim, authorize, user)))
}

/// A code for whatever was asked for.
pub(super) fn fresh_code(sim: &Shared, authorize: &Authorize<'_>, user: &User) -> String {
    let (appid, now) = (&authorize.account.appid, sim.clock.seconds());
    sim.grants().issue_code(appid, &user.name, &authorize.scope, now)
}
