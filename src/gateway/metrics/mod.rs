//! What can be counted of a gateway, one registry for each, so that two in one process do not mix.
//!
//! Labels hold names of the configuration and words of fixed sets, never what a client has sent.

mod histogram;
mod process;
mod route;

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, atomic::AtomicU64},
};

use http::StatusCode;
use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::{Registry, Unit},
};
use tokio::runtime::Handle;

use crate::{
    clock::Timestamp,
    login::{Event, Observer, Revoked, ScanStep},
    wechat::{ErrCode, Scope},
};

pub(in crate::gateway) use route::{Outcome, RouteMetrics};

use super::listener::Room;
use route::Routes;

/// What [`Metrics::text`] is, to the one who asks for it.
pub(in crate::gateway) const CONTENT_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Stands for a site or a route where there is none. No configured name is a hyphen alone.
const NONE: &str = "-";

type Labels<const N: usize> = [(&'static str, Cow<'static, str>); N];

/// The metrics of one gateway. Clones are the same metrics.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Families>);

#[derive(Debug)]
struct Families {
    /// Ours.
    registry: Registry,
    /// The process's, whose names have no prefix.
    process: Registry,
    routes: Routes,
    /// By the first digit of the status.
    responses: [Counter; 5],
    open_connections: Gauge,
    room: OnceLock<Arc<Room>>,
    requests_in_flight: Gauge,
    tasks: Gauge,
    runtimes: Mutex<Vec<Handle>>,
    logins: Logins,
    reloads: Family<Labels<1>, Counter>,
    config_loaded: Gauge<f64, AtomicU64>,
}

#[derive(Debug, Default)]
struct Logins {
    started: Family<Labels<1>, Counter>,
    returned: Counter,
    codes_exchanged: Counter,
    finished: Family<Labels<1>, Counter>,
    refused: Counter,
    failed: Family<Labels<1>, Counter>,
    twins: Counter,
    snapshot_users: Counter,
    loops: Counter,
    scans: Family<Labels<1>, Counter>,
    profile_refreshes: Family<Labels<1>, Counter>,
    logouts: Counter,
    revocations: Family<Labels<1>, Counter>,
    store_failures: Counter,
    /// Held, since every request looks a session up.
    hits: Counter,
    misses: Counter,
}

/// Something that goes on for as long as this is held.
#[derive(Debug)]
pub(in crate::gateway) struct Held(Gauge);

impl Held {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("wxgate");
        let routes = Routes::default();
        let of = &mut registry;
        of.register("requests", "Requests, by what became of them", routes.requests.clone());
        let responses = Family::<Labels<1>, Counter>::default();
        of.register("responses", "Answers, by the class of their status", responses.clone());
        of.register_with_unit(
            "upstream_duration",
            "From the request to the head of the upstream's answer",
            Unit::Seconds,
            routes.upstream_duration.clone(),
        );
        of.register(
            "upstream_failures",
            "Requests that the upstream has not answered",
            routes.upstream_failures.clone(),
        );
        let (open_connections, requests_in_flight) = (Gauge::default(), Gauge::default());
        of.register("open_connections", "Connections of clients", open_connections.clone());
        of.register(
            "requests_in_flight",
            "Requests whose answer has not ended",
            requests_in_flight.clone(),
        );
        let tasks = Gauge::default();
        of.register("tasks", "Pieces of work under way, of whatever kind", tasks.clone());
        let logins = Logins::new(of);
        let reloads = Family::<Labels<1>, Counter>::default();
        of.register("reloads", "Reloads of the configuration", reloads.clone());
        for result in ["ok", "failed"] {
            drop(reloads.get_or_create(&[("result", result.into())]));
        }
        let config_loaded = Gauge::default();
        of.register_with_unit(
            "config_loaded_timestamp",
            "When the configuration in use was loaded, in Unix time",
            Unit::Seconds,
            config_loaded.clone(),
        );
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        of.register("build", "The program", Info::new(version));
        let mut process = Registry::default();
        process.register_collector(Box::new(process::Process));
        Self(Arc::new(Families {
            registry,
            process,
            routes,
            responses: ["1xx", "2xx", "3xx", "4xx", "5xx"]
                .map(|class| responses.get_or_create_owned(&[("code", class.into())])),
            open_connections,
            room: OnceLock::new(),
            requests_in_flight,
            tasks,
            runtimes: Mutex::default(),
            logins,
            reloads,
            config_loaded,
        }))
    }

    /// All of them, as text for a scraper.
    pub(in crate::gateway) fn text(&self) -> String {
        if let Some(room) = self.0.room.get() {
            self.0.open_connections.set(i64::try_from(room.open()).unwrap_or(i64::MAX));
        }
        let tasks: usize =
            self.runtimes().iter().map(|runtime| runtime.metrics().num_alive_tasks()).sum();
        self.0.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
        let mut page = String::new();
        text::encode_registry(&mut page, &self.0.registry)
            .and_then(|()| text::encode_registry(&mut page, &self.0.process))
            .and_then(|()| text::encode_eof(&mut page))
            .expect("numbers can be written to a string");
        page
    }

    /// The counters of a route, by the names that the configuration gives to it and its site. A route that is made
    /// again, after a reload, goes on counting where it was.
    pub(in crate::gateway) fn route(&self, site: &str, route: &str) -> RouteMetrics {
        let labels = [("site", site.to_owned().into()), ("route", route.to_owned().into())];
        RouteMetrics::new(&self.0.routes, labels)
    }

    /// The counters of requests that no route was found for.
    pub(in crate::gateway) fn no_route(&self) -> RouteMetrics {
        self.route(NONE, NONE)
    }

    /// Counts an answer.
    pub(in crate::gateway) fn answered(&self, status: StatusCode) {
        // A status above 599 is no class of its own, but an upstream may send one.
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.0.responses[class].inc();
    }

    /// Where to ask for the number of open connections.
    pub(in crate::gateway) fn count_connections_in(&self, room: Arc<Room>) {
        // A gateway has one room, for as long as it runs.
        self.0.room.set(room).ok();
    }

    /// One of the runtimes whose tasks are counted.
    pub(in crate::gateway) fn count_tasks_of(&self, runtime: Handle) {
        self.runtimes().push(runtime);
    }

    fn runtimes(&self) -> MutexGuard<'_, Vec<Handle>> {
        self.0.runtimes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request in flight, for as long as it is held.
    pub(in crate::gateway) fn in_flight(&self) -> Held {
        Held::new(&self.0.requests_in_flight)
    }

    /// A configuration is in use from now on.
    pub(in crate::gateway) fn config_loaded(&self, now: Timestamp) {
        self.0.config_loaded.set(std::time::Duration::from_secs(now.unix()).as_secs_f64());
    }

    /// Counts a reload, and whether its configuration is in use now.
    pub(in crate::gateway) fn reloaded(&self, ok: bool) {
        self.0.reloads.get_or_create(&[("result", result(ok))]).inc();
    }
}

impl Logins {
    fn new(of: &mut Registry) -> Self {
        let all = Self::default();
        of.register("logins_started", "Browsers sent to WeChat", all.started.clone());
        of.register(
            "logins_returned",
            "Browsers that came back from WeChat, each sign-in once",
            all.returned.clone(),
        );
        of.register(
            "codes_exchanged",
            "Codes for which WeChat gave a grant",
            all.codes_exchanged.clone(),
        );
        of.register("logins", "Sessions made", all.finished.clone());
        of.register("logins_refused", "Sign-ins that the user declined", all.refused.clone());
        of.register("logins_failed", "Sign-ins that WeChat ended", all.failed.clone());
        of.register(
            "callback_twins",
            "Callbacks that came again for a sign-in that was being finished, or was",
            all.twins.clone(),
        );
        of.register(
            "snapshot_users",
            "Users that WeChat made up for a snapshot page",
            all.snapshot_users.clone(),
        );
        of.register("login_loops", "Sign-ins stopped as loops", all.loops.clone());
        of.register("scans", "Steps of sign-ins by scanning a code", all.scans.clone());
        of.register(
            "profile_refreshes",
            "Profiles that were due to be fetched again",
            all.profile_refreshes.clone(),
        );
        of.register("logouts", "Sessions ended by their user", all.logouts.clone());
        of.register(
            "revocations",
            "Sessions ended by the operator or by WeChat, each command or message once",
            all.revocations.clone(),
        );
        of.register(
            "store_failures",
            "What the session store could not do",
            all.store_failures.clone(),
        );
        let lookups = Family::<Labels<1>, Counter>::default();
        of.register("session_lookups", "Requests with a session's id", lookups.clone());
        let looked =
            |result: &'static str| lookups.get_or_create_owned(&[("result", result.into())]);
        let all = Self { hits: looked("hit"), misses: looked("miss"), ..all };
        // A series that begins at its first event hides that event from `rate()`.
        for scope in [Scope::Base, Scope::Userinfo, Scope::Login] {
            drop(all.started.get_or_create(&by_scope(scope)));
            drop(all.finished.get_or_create(&by_scope(scope)));
        }
        for what in [Revoked::Session, Revoked::User, Revoked::Account, Revoked::ByWeChat] {
            drop(all.revocations.get_or_create(&by_kind(what)));
        }
        for step in [ScanStep::Offered, ScanStep::Scanned, ScanStep::Confirmed, ScanStep::Refused] {
            drop(all.scans.get_or_create(&by_step(step)));
        }
        for ok in [true, false] {
            drop(all.profile_refreshes.get_or_create(&[("result", result(ok))]));
        }
        all
    }
}

fn by_scope(scope: Scope) -> Labels<1> {
    [("scope", scope.as_str().into())]
}

fn result(ok: bool) -> Cow<'static, str> {
    if ok { "ok".into() } else { "failed".into() }
}

fn by_kind(what: Revoked) -> Labels<1> {
    let word = match what {
        Revoked::Session => "session",
        Revoked::User => "user",
        Revoked::Account => "account",
        Revoked::ByWeChat => "wechat",
    };
    [("kind", word.into())]
}

fn by_step(step: ScanStep) -> Labels<1> {
    let word = match step {
        ScanStep::Offered => "offered",
        ScanStep::Scanned => "scanned",
        ScanStep::Confirmed => "confirmed",
        ScanStep::Refused => "refused",
    };
    [("step", word.into())]
}

/// Codes of the table by their number, so that WeChat cannot make series without end.
fn by_errcode(code: Option<ErrCode>) -> Labels<1> {
    let word = match code {
        None => "none".into(),
        Some(code) if ErrCode::known().any(|known| known == code) => {
            code.number().to_string().into()
        }
        Some(_) => "other".into(),
    };
    [("errcode", word)]
}

impl Observer for Metrics {
    fn saw(&self, event: Event) {
        let all = &self.0.logins;
        match event {
            Event::Started { scope } => all.started.get_or_create(&by_scope(scope)).inc(),
            Event::Returned => all.returned.inc(),
            Event::Exchanged => all.codes_exchanged.inc(),
            Event::SignedIn { scope } => all.finished.get_or_create(&by_scope(scope)).inc(),
            Event::Refused => all.refused.inc(),
            Event::Failed { errcode, .. } => all.failed.get_or_create(&by_errcode(errcode)).inc(),
            Event::Twin => all.twins.inc(),
            Event::Snapshot => all.snapshot_users.inc(),
            Event::Looped => all.loops.inc(),
            Event::Scan { step } => all.scans.get_or_create(&by_step(step)).inc(),
            Event::Refreshed { ok } => {
                all.profile_refreshes.get_or_create(&[("result", result(ok))]).inc()
            }
            Event::LoggedOut { .. } => all.logouts.inc(),
            Event::Revoked { what } => all.revocations.get_or_create(&by_kind(what)).inc(),
            Event::SessionLooked { found: true } => all.hits.inc(),
            Event::SessionLooked { found: false } => all.misses.inc(),
            Event::StoreDown => all.store_failures.inc(),
        };
    }
}

#[cfg(test)]
mod tests;
