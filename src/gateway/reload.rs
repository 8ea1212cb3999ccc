//! What a gateway can change while it runs.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::{
    access_log::{AccessLog, Logged},
    admin::{Counter, Desk},
    config::{Config, StoreKind},
    front::{Body, Front},
    listener::{Answer, Conn},
    metrics::Metrics,
    plan::{Plan, Shared},
    settings::Fixed,
    tls::Certificates,
};
use crate::{
    session::{KeyFile, Store, UserKey},
    wechat::AppId,
};

/// One core's way to answer, which a reload replaces. A request keeps the one that it began with.
#[derive(Debug)]
pub(super) struct Core(ArcSwap<Front>);

impl Core {
    pub(super) fn new(plan: Arc<Plan>, log: AccessLog, metrics: Metrics) -> io::Result<Arc<Self>> {
        let front = Front::new(plan, None, log, metrics)?;
        Ok(Arc::new(Self(ArcSwap::from_pointee(front))))
    }
}

impl Answer for Core {
    type Body = Logged<Body>;

    async fn answer(&self, request: Request<Incoming>, conn: &Conn) -> Response<Self::Body> {
        self.0.load_full().answer(request, conn).await
    }

    fn without(&self, status: StatusCode) -> Response<Self::Body> {
        self.0.load().without(status)
    }

    fn tidy(&self) {
        self.0.load().tidy();
    }
}

impl Desk for Core {
    fn store(&self) -> Arc<dyn Store> {
        self.0.load().plan().store.clone()
    }

    fn accounts(&self) -> Vec<(Box<str>, AppId)> {
        self.0.load().plan().accounts.clone()
    }

    fn counter(&self, account: &str) -> Option<Counter> {
        self.0.load().plan().counters.get(account).cloned()
    }

    fn name_in_log(&self, user: &UserKey) -> String {
        self.0.load().log().name(user)
    }
}

/// What a running gateway consists of, as far as it can change.
#[derive(Debug)]
pub(super) struct Live {
    fixed: Fixed,
    addrs: Vec<SocketAddr>,
    cores: Vec<Arc<Core>>,
    /// None for a gateway that was not made from a configuration.
    shared: Option<Shared>,
    tls: Option<Arc<Certificates>>,
    /// The log, and whether it names people. Held while a reload is under way, so that there is one at a time.
    log: Mutex<(AccessLog, bool)>,
    metrics: Metrics,
}

impl Live {
    pub(super) fn new(
        fixed: Fixed,
        addrs: Vec<SocketAddr>,
        cores: Vec<Arc<Core>>,
        shared: Option<Shared>,
        tls: Option<Arc<Certificates>>,
        log: (AccessLog, bool),
        metrics: Metrics,
    ) -> Self {
        Self { fixed, addrs, cores, shared, tls, log: Mutex::new(log), metrics }
    }

    /// Changes to another configuration: all of it or nothing.
    pub(super) fn reload(&self, config: &Config) -> Result<(), ReloadError> {
        let reloaded = self.try_reload(config);
        self.metrics.reloaded(reloaded.is_ok());
        reloaded
    }

    pub(super) fn count_failure(&self) {
        self.metrics.reloaded(false);
    }

    fn try_reload(&self, config: &Config) -> Result<(), ReloadError> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shared) = &self.shared else { return Err(ReloadError::NoConfiguration) };
        let restart = self.fixed.differs_in(config);
        if !restart.is_empty() {
            return Err(ReloadError::NeedsRestart(restart));
        }
        // The store in memory seals nothing. In any other one, what nobody can open is lost.
        let keys = config.session.keys.as_ref().map(KeyFile::ring);
        let is_sealed = self.fixed.store != StoreKind::Memory;
        if is_sealed && keys.as_ref().is_some_and(|it| !it.opens_what_is_sealed_by(&shared.keys)) {
            return Err(ReloadError::ForeignKeys);
        }
        let before = self.cores.first().map(|core| core.0.load_full());
        let plan = Plan::of_config(config, shared, before.as_ref().map(|before| before.plan()))?;
        plan.refuse_itself(&self.addrs)?;
        let plan = Arc::new(plan);
        let next_log = if log.1 == config.log_openid {
            log.0.clone()
        } else {
            AccessLog::new(config.log_openid)
        };
        let fronts = self.cores.iter().map(|core| {
            Front::new(plan.clone(), Some(&core.0.load()), next_log.clone(), self.metrics.clone())
        });
        let fronts = fronts.collect::<io::Result<Vec<_>>>()?;
        // The last step that can fail, and it changes nothing where it does.
        if let Some(tls) = &self.tls {
            tls.reload().map_err(io::Error::other)?;
        }
        for (core, front) in self.cores.iter().zip(fronts) {
            core.0.store(Arc::new(front));
        }
        if let Some(keys) = keys {
            shared.keys.replace_with(&keys);
        }
        *log = (next_log, config.log_openid);
        self.metrics.config_loaded(shared.clock.now());
        Ok(())
    }
}

/// Why a running gateway keeps its old configuration.
#[derive(Debug)]
pub enum ReloadError {
    /// These keys change only with a new start.
    NeedsRestart(Vec<&'static str>),
    /// The keys that are to come do not open what the present ones seal: everybody would be signed out.
    ForeignKeys,
    /// A file cannot be used.
    Unusable(io::Error),
    /// The gateway was made from a login, not from a configuration.
    NoConfiguration,
}

impl From<io::Error> for ReloadError {
    fn from(error: io::Error) -> Self {
        Self::Unusable(error)
    }
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsRestart(keys) => {
                write!(f, "{} can only be changed by a restart", keys.join(", "))
            }
            Self::ForeignKeys => f.write_str(
                "session.key_file: the key that seals at present is not in the file, so everybody would be signed out: \
                 put it back from a backup or another machine; if it is lost, stop, empty the store, and start again",
            ),
            Self::Unusable(error) => error.fmt(f),
            Self::NoConfiguration => {
                f.write_str("the gateway was not started from a configuration")
            }
        }
    }
}

impl std::error::Error for ReloadError {}
