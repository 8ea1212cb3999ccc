//! The gateway: a reverse proxy that signs people in with WeChat and tells the app behind it who they are.
//!
//! One current-thread runtime and one listener per core serve browsers, so that no request waits for another core.
//! Calls to WeChat run on the runtime that [`Gateway::start`] is called on, so that they cannot stall a proxy core.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use wxgate::gateway::{Gateway, Settings};
//! use wxgate::{Account, AppSecret, Origin, WechatLoginLayer};
//!
//! let account = Account::official_account("wx0123456789abcdef", AppSecret::from_file("secret.txt")?)?;
//! let login = WechatLoginLayer::new(account, Origin::parse("https://h5.example.com")?);
//! let settings = Settings::new(login, "http://127.0.0.1:3000".parse()?);
//! let gateway = Gateway::start(settings.listen("127.0.0.1:8080".parse()?))?;
//! println!("listening on {}", gateway.addr());
//! gateway.stop().await;
//! # Ok(()) }
//! ```
//!
//! Several sites, accounts and routes come from a [configuration](config), which can be [changed](Gateway::reload) while
//! the gateway runs.

mod access_log;
mod admin;
mod alarm;
pub(crate) mod client_address;
pub mod config;
pub(crate) mod forward_auth;
mod front;
pub(crate) mod inject;
mod listener;
pub(crate) mod metrics;
mod own_pages;
mod pages;
pub(crate) mod plan;
pub(crate) mod proxy;
mod rate_limit;
mod rehearsal;
mod reload;
mod request_id;
mod seldom;
mod settings;
pub(crate) mod site;
pub mod snippet;
mod store_check;
pub mod systemd;
pub mod telemetry;
mod tls;
mod watch;
mod wire;

use std::{io, net::SocketAddr, sync::Arc, thread, time::Duration};

use tokio::{
    runtime::{self, Handle},
    sync::{oneshot, watch as channel},
    time,
};

pub use pages::GatewayPages;
pub use proxy::{InvalidUpstream, UpstreamSpec, UpstreamUrl};
pub use rehearsal::rehearse;
pub use reload::ReloadError;
pub use settings::Settings;
pub use store_check::try_store;
pub use watch::WatchedFiles;

use access_log::AccessLog;
use admin::{Admin, Readiness};
use listener::{Phase, Room, Rules, Sockets};
use metrics::Metrics;
use plan::{Plan, Shared};
use reload::{Core, Live};
use settings::Source;
use tls::Certificates;

/// The certificates that a configuration names.
fn certificates(files: Option<&config::TlsFiles>) -> io::Result<Option<Arc<Certificates>>> {
    let loaded = files.map(|files| Certificates::load(&files.certificate, &files.key)).transpose();
    Ok(loaded.map_err(io::Error::other)?.map(Arc::new))
}

/// A gateway that is running. Dropping it stops it, without waiting for what is in flight.
#[derive(Debug)]
pub struct Gateway {
    addrs: Vec<SocketAddr>,
    admin: Option<Admin>,
    readiness: Readiness,
    /// How long others may take to see that it is not ready any more.
    ready_wait: Duration,
    stop: channel::Sender<Phase>,
    cores: Vec<oneshot::Receiver<()>>,
    live: Live,
}

impl Gateway {
    /// Starts a gateway. Has to be called on a tokio runtime, which then makes the calls to WeChat.
    ///
    /// Sockets that a service manager has handed over (`LISTEN_FDS`) are used instead of the address to listen on.
    ///
    /// # Errors
    /// When an address cannot be listened on, a file cannot be used, an upstream is this very gateway, or the system
    /// gives no threads.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let Settings { source, fixed, store, clock, client } = settings;
        let sockets = match Sockets::inherited(fixed.cores)? {
            Some(sockets) => sockets,
            None => Sockets::bind(&fixed.listen, fixed.cores)?,
        };
        let addrs = sockets.addrs().to_vec();
        let metrics = Metrics::new();
        let runtime = Handle::current();
        let log_openid = matches!(&source, Source::Config(config) if config.log_openid);
        let log = AccessLog::new(log_openid);
        let (plan, shared) = match source {
            Source::Layer(layer) => (Plan::of_layer(*layer, runtime, &metrics), None),
            Source::Config(config) => {
                let keys = settings::keys_of(&config.session, &clock)?;
                let store = match store {
                    Some(store) => store,
                    None => settings::store_of(&config.session, &clock, &keys)?,
                };
                let clock = clock.clone();
                let shared = Shared::new(store, keys, clock, client, runtime, metrics.clone());
                (Plan::of_config(&config, &shared, None)?, Some(shared))
            }
        };
        plan.refuse_itself(&addrs)?;
        let tls = certificates(fixed.tls.as_ref())?;

        let plan = Arc::new(plan);
        let fronts =
            (0..fixed.cores).map(|_| Core::new(plan.clone(), log.clone(), metrics.clone()));
        let fronts = fronts.collect::<io::Result<Vec<_>>>()?;
        let readiness = Readiness::new(plan.needs());
        let admin = fixed.admin_listen;
        let desk = fronts.first().expect("there is at least one core");
        let admin =
            admin.map(|addr| Admin::start(addr, metrics.clone(), readiness.clone(), desk.clone()));
        let admin = admin.transpose()?;

        let (stop, stopped) = channel::channel(Phase::Serving);
        let room = Arc::new(Room::new(fixed.limits.connections));
        metrics.count_connections_in(room.clone());
        metrics.count_tasks_of(Handle::current());
        let rules = Rules {
            limits: listener::Limits {
                request_head: fixed.limits.request_head,
                keep_alive: fixed.limits.keep_alive,
                drain: fixed.limits.drain,
            },
            room,
            tls: tls.clone(),
        };
        let mut running = Vec::new();
        for (core, (listeners, front)) in sockets.into_cores().into_iter().zip(&fronts).enumerate()
        {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            metrics.count_tasks_of(runtime.handle().clone());
            let (front, rules, stopped) = (front.clone(), rules.clone(), stopped.clone());
            let (done, is_done) = oneshot::channel();
            thread::Builder::new().name(format!("wxgate-core-{core}")).spawn(move || {
                let served = runtime.block_on(listener::serve(listeners, front, rules, stopped));
                if let Err(error) = served {
                    tracing::error!(%error, core, "a core cannot serve");
                }
                // The other end is gone when nobody waits for the gateway to stop.
                done.send(()).ok();
            })?;
            running.push(is_done);
        }
        readiness.set(admin::Phase::Ready);
        // Says in the log what is missing, before anybody comes and finds out.
        let first = readiness.clone();
        tokio::spawn(async move { first.check().await });
        metrics.config_loaded(clock.now());
        let live = Live::new(
            fixed.clone(),
            addrs.clone(),
            fronts,
            shared,
            tls,
            (log, log_openid),
            metrics,
        );
        let ready_wait = if admin.is_some() { fixed.limits.ready_wait } else { Duration::ZERO };
        Ok(Self { addrs, admin, readiness, ready_wait, stop, cores: running, live })
    }

    /// Where it listens: the first address, where there are several.
    ///
    /// # Panics
    /// Where it listens on unix sockets alone, which a service manager has handed over.
    pub fn addr(&self) -> SocketAddr {
        self.addrs[0]
    }

    /// All addresses on which it listens. Unix sockets are not among them.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Where health, readiness and metrics are told, and sessions are revoked.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::addr)
    }

    /// Changes to another configuration: all of it or nothing. Certificates are read again. No request is lost, and
    /// nobody is signed out.
    ///
    /// # Errors
    /// When a file cannot be used, or the configuration changes what only a new start can change; the error says which.
    pub fn reload(&self, config: &config::Config) -> Result<(), ReloadError> {
        self.live.reload(config)
    }

    /// Counts a reload that has failed before there was a configuration to change to.
    pub fn reload_failed(&self) {
        self.live.count_failure();
    }

    /// Says that it is not ready any more, waits until others have seen that, stops accepting, finishes what is in
    /// flight within the limit for that, and returns.
    pub async fn stop(self) {
        self.readiness.set(admin::Phase::Draining);
        time::sleep(self.ready_wait).await;
        self.stop.send_replace(Phase::Draining);
        for core in self.cores {
            // A core whose thread is gone has stopped too.
            core.await.ok();
        }
    }
}
