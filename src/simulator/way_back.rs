//! The way back to the site: the redirect to `redirect_uri`, once or, as WeChat does, twice.

use axum::body::Body;
use http::{HeaderValue, Response};

use super::authorize::{Authorize, callback_url};
use super::faults::Fault;
use super::visit::PATH;
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
    let location = with_fresh_code(sim, authorize, user);
    if sim.faults.takes(Fault::ReplayLater, PATH) {
        sim.replays.schedule(&location, sim.clock.millis());
    }
    let twin = if sim.faults.takes(Fault::TwinSameCode, PATH) {
        location.clone()
    } else if sim.faults.takes(Fault::TwinNewCode, PATH) {
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
    pages::found(&callback_url(&authorize.redirect_uri, None, &authorize.state))
}

fn with_fresh_code(sim: &Shared, authorize: &Authorize<'_>, user: &User) -> String {
    let now = sim.clock.seconds();
    let appid = &authorize.account.appid;
    let code = sim.grants().issue_code(appid, &user.name, &authorize.scope, now);
    callback_url(&authorize.redirect_uri, Some(&code), &authorize.state)
}
