//! What a gateway is made of.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use subtle::ConstantTimeEq;

use super::{
    config::{Config, Limits, LogFormat, SessionConfig, StoreKind, TlsFiles},
    pages::GatewayPages,
    proxy::{UpstreamSpec, UpstreamUrl},
    site::Target,
};
use crate::{
    clock::{Clock, SystemClock},
    login::WechatLoginLayer,
    secret::StorePassword,
    session::{
        KeyRing, Lifetimes, MemoryStore, Store,
        durable::{DurableStore, DurableStoreBuilder, FileRecords, RedisRecords},
    },
    wechat::Client,
};

/// What a gateway is made of: a [configuration](Config), or a login and the one app behind it.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) source: Source,
    pub(super) fixed: Fixed,
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) client: Option<Client>,
}

/// Where a gateway's sites come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Layer(Box<Layer>),
    Config(Box<Config>),
}

/// A login, the app behind it, and on what terms.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) login: WechatLoginLayer,
    pub(super) upstream: UpstreamSpec,
    pub(super) target: Target,
    pub(super) rate_limit: u32,
}

/// What a gateway keeps until it stops.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    pub(super) listen: Vec<SocketAddr>,
    pub(super) admin_listen: Option<SocketAddr>,
    pub(super) cores: usize,
    pub(super) log_format: Option<LogFormat>,
    pub(super) limits: Limits,
    pub(super) tls: Option<TlsFiles>,
    pub(super) lifetimes: Lifetimes,
    pub(super) store: StoreKind,
    pub(super) store_password: Option<StorePassword>,
}

impl Fixed {
    /// What a configuration says of it.
    pub(super) fn of(config: &Config) -> Self {
        Self {
            listen: config.listen.clone(),
            admin_listen: config.admin_listen,
            cores: config.cores.unwrap_or_else(all_cores),
            log_format: config.log_format,
            limits: config.limits,
            tls: config.tls.clone(),
            lifetimes: config.session.lifetimes,
            store: config.session.store.clone(),
            store_password: config.session.store_password.clone(),
        }
    }

    /// The keys in which a configuration wants something else.
    pub(super) fn differs_in(&self, config: &Config) -> Vec<&'static str> {
        let (own, other) = (&self.limits, &config.limits);
        let lifetimes = &config.session.lifetimes;
        let all = [
            ("listen", self.listen == config.listen),
            ("admin_listen", self.admin_listen == config.admin_listen),
            // The machine's own number may have changed in the meantime.
            ("cores", config.cores.is_none_or(|cores| cores == self.cores)),
            ("log_format", self.log_format == config.log_format),
            ("limits.request_head", own.request_head == other.request_head),
            ("limits.keep_alive", own.keep_alive == other.keep_alive),
            ("limits.drain", own.drain == other.drain),
            ("limits.ready_wait", own.ready_wait == other.ready_wait),
            ("limits.connections", own.connections == other.connections),
            ("tls", self.tls == config.tls),
            ("session.store", self.store == config.session.store),
            (
                "session.store_password_file",
                is_same(self.store_password.as_ref(), config.session.store_password.as_ref()),
            ),
            ("session.idle", self.lifetimes.idle == lifetimes.idle),
            ("session.life", self.lifetimes.absolute == lifetimes.absolute),
        ];
        all.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
    }
}

impl Settings {
    /// A gateway in front of `upstream`, on `127.0.0.1:8080`, with as many cores as the machine has.
    pub fn new(login: WechatLoginLayer, upstream: UpstreamUrl) -> Self {
        let fixed = Fixed {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))],
            admin_listen: None,
            cores: all_cores(),
            log_format: None,
            limits: Limits::default(),
            tls: None,
            lifetimes: Lifetimes::default(),
            store: StoreKind::Memory,
            store_password: None,
        };
        let source = Source::Layer(Box::new(Layer {
            login: login.pages(GatewayPages),
            upstream: UpstreamSpec { url: upstream, ca: None, fallback: None },
            target: Target {
                upstream: 0,
                rewrite: None,
                host: None,
                connect: Duration::from_secs(5),
                response_head: Some(Duration::from_secs(30)),
                body_limit: None,
            },
            rate_limit: 600,
        }));
        Self { source, fixed, store: None, clock: Arc::new(SystemClock), client: None }
    }

    /// A gateway as a configuration describes it.
    pub fn from_config(config: Config) -> Self {
        Self {
            fixed: Fixed::of(&config),
            source: Source::Config(Box::new(config)),
            store: None,
            clock: Arc::new(SystemClock),
            client: None,
        }
    }

    /// Where to listen. Port 0 takes any free one. Default `127.0.0.1:8080`, or what the configuration says.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.fixed.listen = vec![addr];
        self
    }

    /// Where health, readiness and metrics are told. Default nowhere, or what the configuration says.
    pub fn admin_listen(mut self, addr: SocketAddr) -> Self {
        self.fixed.admin_listen = Some(addr);
        self
    }

    /// How many cores serve browsers, at least one. Default all of the machine's, or what the configuration says.
    pub fn cores(mut self, count: usize) -> Self {
        self.fixed.cores = count.max(1);
        self
    }

    /// Keeps sessions here. Default the store that the configuration names. A login that was given has its own.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Takes the time from here. Default the machine's clock. Give the same one to the store. A login that was given
    /// has its own.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Calls WeChat with this client. Default one for the addresses that the configuration names. A login that was
    /// given has its own.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// How long connecting to the upstream may take. Default 5 s. A configuration says it for each route.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        if let Source::Layer(layer) = &mut self.source {
            layer.target.connect = limit;
        }
        self
    }

    /// How long the upstream may take to begin its answer, once it has the request. Default 30 s. A configuration says
    /// it for each route.
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        if let Source::Layer(layer) = &mut self.source {
            layer.target.response_head = Some(limit);
        }
        self
    }

    /// How many sign-in requests may come from one address in a minute; 0 for any number. Default 600. A configuration
    /// says it itself.
    pub fn rate_limit(mut self, count: u32) -> Self {
        if let Source::Layer(layer) = &mut self.source {
            layer.rate_limit = count;
        }
        self
    }

    /// How long what is in flight may take when the gateway stops. Default 30 s.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.fixed.limits.drain = limit;
        self
    }
}

fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

fn is_same(one: Option<&StorePassword>, other: Option<&StorePassword>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.expose().as_bytes().ct_eq(other.expose().as_bytes()).into(),
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// The keys that a configuration names: those of its file, which is made where it is to be and is not, or random ones.
pub(super) fn keys_of(session: &SessionConfig, clock: &dyn Clock) -> io::Result<KeyRing> {
    if let Some(keys) = &session.keys {
        return Ok(keys.ring());
    }
    let made = session.make_keys(clock.now()).map_err(io::Error::other)?;
    Ok(made.map_or_else(KeyRing::random, |made| made.ring()))
}

/// The store that a configuration names.
pub(super) fn store_of(
    session: &SessionConfig,
    clock: &Arc<dyn Clock>,
    keys: &KeyRing,
) -> io::Result<Arc<dyn Store>> {
    let durable = |builder: DurableStoreBuilder| -> Arc<dyn Store> {
        Arc::new(builder.lifetimes(session.lifetimes).clock(clock.clone()).build())
    };
    Ok(match &session.store {
        StoreKind::Memory => {
            let store = MemoryStore::builder().lifetimes(session.lifetimes);
            Arc::new(store.clock(clock.clone()).build())
        }
        StoreKind::File(path) => {
            let records = FileRecords::open(path, clock.clone()).map_err(io::Error::other)?;
            durable(DurableStore::builder(records, keys.clone()))
        }
        StoreKind::Redis(place) => {
            let url = place.url.clone();
            let url = match &session.store_password {
                Some(password) => url.with_password(password.clone()),
                None => url,
            };
            durable(DurableStore::builder(RedisRecords::new(url), keys.clone()))
        }
    })
}
