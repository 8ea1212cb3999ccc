//! What a configuration makes of a gateway: its sites with their logins, and its upstreams. Made anew by each reload.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::SocketAddr,
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;

use super::{
    admin::{Counter, Probe},
    client_address::TrustedProxies,
    config::{self, Config, PathRule},
    inject::{AssertionKey, AssertionKeys, Assertions},
    metrics::Metrics,
    own_pages::OwnPages,
    pages::GatewayPages,
    proxy::UpstreamSpec,
    rate_limit::RateLimit,
    settings::Layer,
    site::{Inject, Route, Site, Sites, Target},
};
use crate::{
    clock::Clock,
    doors::{
        JsSdk, MiniProgram, Scan,
        facade::{Client as FacadeClient, Facade},
    },
    keeper::{Keeper, ServerTokens},
    login::{
        Demand, Flights, Gate, Login, Outside, PathPattern, SignInSite, WechatLoginLayer,
        pages::Pages,
    },
    origin::Origin,
    session::{KeyRing, Store},
    wechat::{AppId, Client, Endpoints, OpenId, UnionId},
};

/// What a gateway does, as long as its configuration stays.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) sites: Sites,
    /// All sites have one store.
    pub(super) store: Arc<dyn Store>,
    /// The accounts, by their names in the configuration.
    pub(super) accounts: Vec<(Box<str>, AppId)>,
    pub(super) upstreams: Vec<UpstreamSpec>,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) underscore_headers: bool,
    pub(super) rate_limit: Option<Arc<RateLimit>>,
    /// The client of WeChat, with the addresses that it calls. None where a login brings its own.
    client: Option<(Endpoints, Client, Keeper)>,
    /// The accounts whose tokens others may take, by their names in the configuration.
    pub(super) counters: HashMap<Box<str>, Counter>,
    /// The public keys of identity assertions, where any route sends some.
    pub(super) jwks: Option<Bytes>,
}

/// What outlives a configuration: who is signed in, and with what keys.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    store: Arc<dyn Store>,
    /// What every login seals with. A reload changes the keys in it.
    pub(super) keys: KeyRing,
    pub(super) clock: Arc<dyn Clock>,
    client: Option<Client>,
    flights: Flights,
    assertion_key: Arc<AssertionKeys>,
    runtime: Handle,
    metrics: Metrics,
}

impl Shared {
    /// With a key for assertions that nobody has had before.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        keys: KeyRing,
        clock: Arc<dyn Clock>,
        client: Option<Client>,
        runtime: Handle,
        metrics: Metrics,
    ) -> Self {
        Self {
            store,
            keys,
            clock,
            client,
            runtime,
            metrics,
            flights: Flights::default(),
            assertion_key: Arc::new(AssertionKeys::new(AssertionKey::random(), &[])),
        }
    }
}

impl Plan {
    /// One site with one upstream, and a login that its maker has set up.
    pub(super) fn of_layer(layer: Layer, runtime: Handle, metrics: &Metrics) -> Self {
        let Layer { login, upstream, target, rate_limit } = layer;
        let login = login.runtime(runtime).observer(metrics.clone());
        let gate = login.gate();
        let name = "site";
        let route = |(pattern, demand): (PathPattern, Demand)| Route {
            name: pattern.to_string().into(),
            metrics: metrics.route(name, &pattern.to_string()),
            pattern,
            methods: Vec::new(),
            gate: gate.clone(),
            demand,
            inject: Inject { headers: true, x_auth_request: false, html: false, assertion: None },
            target: Some(target.clone()),
        };
        let site = Site {
            name: name.into(),
            gate: gate.clone(),
            others: Vec::new(),
            routes: gate.policy().rules().into_iter().map(route).collect(),
            proof_files: HashMap::new(),
            forward_auth: false,
            facade: None,
        };
        Self {
            sites: Sites::new([(site, Vec::new())]),
            store: gate.shared_store(),
            // As the command line calls it.
            accounts: vec![("main".into(), gate.account().appid().clone())],
            upstreams: vec![upstream],
            trusted_proxies: TrustedProxies::default(),
            underscore_headers: false,
            rate_limit: RateLimit::per_minute(rate_limit).map(Arc::new),
            client: None,
            counters: HashMap::new(),
            jwks: None,
        }
    }

    /// What has to be there for anybody to be served.
    pub(super) fn needs(&self) -> Vec<Box<dyn Probe>> {
        // All sites have one store.
        let site = self.sites.iter().next();
        site.map(|site| Box::new(StoreProbe(site.gate.clone())) as _).into_iter().collect()
    }

    /// Refuses to be its own upstream, which would go round for ever.
    pub(super) fn refuse_itself(&self, addrs: &[SocketAddr]) -> io::Result<()> {
        let itself = |spec: &&UpstreamSpec| addrs.iter().any(|addr| spec.url.is(*addr));
        let Some(spec) = self.upstreams.iter().find(itself) else { return Ok(()) };
        let why = format!("the upstream {} is the gateway itself", spec.url);
        Err(io::Error::new(io::ErrorKind::InvalidInput, why))
    }

    /// All that a configuration says. What it says no other than the plan before it goes on as it is: connections to
    /// WeChat, and how often somebody may still come. An error says which file cannot be used.
    pub(crate) fn of_config(
        config: &Config,
        shared: &Shared,
        before: Option<&Self>,
    ) -> io::Result<Self> {
        let pages: Arc<dyn Pages> = match &config.pages {
            Some(folder) => Arc::new(OwnPages::load(folder).map_err(io::Error::other)?),
            None => Arc::new(GatewayPages),
        };
        let assertion_key = match &*config.assertion.key_files {
            [] => shared.assertion_key.clone(),
            files => Arc::new(AssertionKeys::from_pem_files(files).map_err(io::Error::other)?),
        };
        let known = before.and_then(|before| before.client.clone());
        let known = known.filter(|(endpoints, ..)| *endpoints == config.wechat);
        let (client, keeper) = if let Some((_, client, keeper)) = known {
            (client, keeper)
        } else {
            let client = shared.client.clone();
            let client = client.unwrap_or_else(|| Client::new(config.wechat.clone()));
            let (store, clock) = (shared.store.clone(), shared.clock.clone());
            let tokens = ServerTokens::new(client.clone(), store, clock);
            (client, Keeper::new(tokens.on_runtime(shared.runtime.clone())))
        };
        let known = before.and_then(|before| before.rate_limit.clone());
        let rate_limit = match known.filter(|known| known.count.get() == config.rate_limit) {
            Some(known) => Some(known),
            None => RateLimit::per_minute(config.rate_limit).map(Arc::new),
        };
        let mut planner =
            Planner { config, shared, pages, assertion_key, client, keeper, upstreams: Vec::new() };
        let sites =
            config.sites.iter().map(|(name, site)| (planner.site(name, site), site.hosts.clone()));
        let sites = Sites::new(sites);
        let sends_assertions =
            config.sites.values().flat_map(|site| &site.routes).any(|route| route.inject.assertion);
        let counters = config.server_token_secrets.iter().map(|(name, secret)| {
            let counter = Counter {
                account: config.accounts[name].clone(),
                secret: secret.clone(),
                tokens: planner.keeper.tokens.clone(),
                clock: shared.clock.clone(),
            };
            ((**name).into(), counter)
        });
        let accounts = config.accounts.iter();
        let accounts = accounts.map(|(name, account)| ((**name).into(), account.appid().clone()));
        Ok(Self {
            sites,
            store: shared.store.clone(),
            accounts: accounts.collect(),
            counters: counters.collect(),
            jwks: sends_assertions.then(|| planner.assertion_key.jwks()),
            upstreams: planner.upstreams,
            trusted_proxies: TrustedProxies(config.trusted_proxies.clone()),
            underscore_headers: config.underscore_headers,
            rate_limit,
            client: Some((config.wechat.clone(), planner.client, planner.keeper)),
        })
    }
}

/// Asks the session store whether it can be used.
#[derive(Debug)]
struct StoreProbe(Gate);

#[async_trait]
impl Probe for StoreProbe {
    fn reason(&self) -> &'static str {
        "store_down"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.store().check().await.map_err(|error| error.to_string())
    }
}

struct Planner<'a> {
    config: &'a Config,
    shared: &'a Shared,
    pages: Arc<dyn Pages>,
    assertion_key: Arc<AssertionKeys>,
    client: Client,
    keeper: Keeper,
    upstreams: Vec<UpstreamSpec>,
}

impl Planner<'_> {
    fn site(&mut self, name: &str, site: &config::Site) -> Site {
        let partners =
            || self.config.sites.values().filter(|other| other.sign_in_at.as_deref() == Some(name));
        let elsewhere = partners().flat_map(accounts_of);
        let accounts: BTreeSet<_> = accounts_of(site).chain(elsewhere).collect();
        let partners: Vec<Origin> = partners().map(|other| other.public_url.clone()).collect();

        let own = self.login(site, &site.account, partners.clone());
        let others: Vec<(Box<str>, _)> = accounts
            .into_iter()
            .filter(|account| *account != site.account)
            .map(|account| {
                let login = self.login(site, account, partners.clone());
                let login = login.other_account(account);
                (account.into(), login.gate().clone())
            })
            .collect();
        let gate = own.gate().clone();
        let gate_of = |account: &str| {
            let other = others.iter().find(|(known, _)| **known == *account);
            other.map_or(&gate, |(_, gate)| gate).clone()
        };
        // In the order of precedence already.
        let routes = site
            .routes
            .iter()
            .map(|route| self.route(name, site, route, gate_of(&route.account)))
            .collect();

        let clients: Vec<_> = self
            .config
            .clients
            .values()
            .filter(|client| client.site == name)
            .map(|client| FacadeClient {
                appid: client.appid.clone(),
                secret: client.secret.clone(),
                redirect_uris: client.redirect_uris.clone(),
            })
            .collect();
        let proof =
            |file: &config::ProofFile| (format!("/{}", file.name).into(), file.content.clone());
        Site {
            name: name.into(),
            facade: (!clients.is_empty()).then(|| {
                // To the app there is one account, whose openids it knows.
                let everybody = Demand::from(Login::Base).own_account();
                let demand = restrict(everybody, &site.allow_openids, &site.allow_unionids);
                Facade::new(gate.clone(), demand, clients)
            }),
            gate,
            others,
            routes,
            proof_files: site.proof_files.iter().map(proof).collect(),
            forward_auth: site.forward_auth,
        }
    }

    fn login(&self, site: &config::Site, account: &str, partners: Vec<Origin>) -> WechatLoginLayer {
        let Self { config, shared, .. } = self;
        let sign_in_at = site.sign_in_at.as_ref().map(|at| {
            let at = &config.sites[at];
            let both_have_it = at.account == *account && site.account == *account;
            let account = (!both_have_it).then(|| account.into());
            // Whatever it offers people outside WeChat, it offers there.
            let any_browser = at.outside_wechat != Outside::Help;
            SignInSite { url: at.public_url.clone(), account, any_browser }
        });
        let name = account;
        let account = config.accounts[name].clone();
        let login =
            WechatLoginLayer::with_shared(account, site.public_url.clone(), shared.store.clone());
        // People of a route with an account of its own sign in with that one alone.
        let website = site.website.as_ref().filter(|_| name == site.account);
        let login = match website {
            Some(website) => login.website(config.accounts[website].clone()),
            None => login,
        };
        let login = self.doors(login, name, site);
        login
            .keeper(self.keeper.clone())
            .outside_wechat(if name == site.account { site.outside_wechat } else { Outside::Help })
            .subject(config.session.subject)
            .client(self.client.clone())
            .keys(shared.keys.clone())
            .clock(shared.clock.clone())
            .pages(self.pages.clone())
            .flights(shared.flights.clone())
            .observer(shared.metrics.clone())
            .runtime(shared.runtime.clone())
            .lang(config.lang)
            .refresh_profiles_after(config.session.refresh_profiles_after)
            .cors_origins(site.cors_origins.clone())
            .partners(partners)
            .through(sign_in_at)
    }

    /// Opens the doors of a site, to a login with this account.
    fn doors(
        &self,
        mut login: WechatLoginLayer,
        account: &str,
        site: &config::Site,
    ) -> WechatLoginLayer {
        if let Some(code) = self.config.follow_codes.get(account) {
            login = login.door(code.clone());
        }
        // Of a route with an account of its own, people come in with that one alone.
        if account != site.account {
            return login;
        }
        let accounts = &self.config.accounts;
        let mini_programs = site.mini_programs.iter().map(|name| accounts[name].clone());
        if let Some(mini_programs) = MiniProgram::of(mini_programs) {
            login = login.door(mini_programs);
        }
        if site.offers_scan() {
            login = login.door(Scan::new());
        }
        if site.jssdk {
            let scheme = if site.public_url.is_secure() { "https" } else { "http" };
            let others = site.hosts.iter().map(|host| Origin::parse(&format!("{scheme}://{host}")));
            login = login.door(JsSdk::new().and_pages_of(others.flatten()));
        }
        // Whoever is let in where people sign in for this site is let in here too.
        if let Some(at) = site.sign_in_at.as_ref().map(|at| &self.config.sites[at]) {
            for companion in at.website.iter().chain(&at.mini_programs) {
                login = login.companion(accounts[companion].appid().clone());
            }
        }
        login
    }

    fn route(
        &mut self,
        site_name: &str,
        site: &config::Site,
        route: &config::Route,
        gate: Gate,
    ) -> Route {
        let path = route.path.text();
        let demand = Demand::from(route.login).keep_fragment(route.fragment);
        let demand = match route.outside_wechat {
            Some(outside) => demand.outside_wechat(outside),
            None => demand,
        };
        let demand = if route.followers_only { demand.followers_only() } else { demand };
        let demand = restrict(demand, &route.allow_openids, &route.allow_unionids);
        let assertion = route.inject.assertion.then(|| {
            let issuer = self.config.assertion.issuer.as_deref();
            let issuer = issuer.unwrap_or_else(|| site.public_url.as_str());
            let audience = format!("{}{path}", site.public_url);
            (Assertions::new(self.assertion_key.clone(), issuer), audience.into())
        });
        let upstream = route.upstream.as_ref().map(|spec| {
            let known = self.upstreams.iter().position(|known| known == spec);
            known.unwrap_or_else(|| {
                self.upstreams.push(spec.clone());
                self.upstreams.len() - 1
            })
        });
        Route {
            name: path.into(),
            metrics: self.shared.metrics.route(site_name, path),
            pattern: route.path.pattern(),
            methods: route.methods.clone(),
            gate,
            demand,
            inject: Inject {
                headers: route.inject.headers,
                x_auth_request: route.inject.x_auth_request,
                html: route.inject.html,
                assertion,
            },
            target: upstream.map(|upstream| target(route, upstream)),
        }
    }
}

/// Two empty lists are no lists: a configuration with lists that let nobody in is refused.
fn restrict(demand: Demand, openids: &[OpenId], unionids: &[UnionId]) -> Demand {
    if openids.is_empty() && unionids.is_empty() {
        return demand;
    }
    demand.only(openids.to_vec(), unionids.to_vec())
}

/// The accounts with which people sign in at a site.
fn accounts_of(site: &config::Site) -> impl Iterator<Item = &str> {
    std::iter::once(&*site.account).chain(site.routes.iter().map(|route| &*route.account))
}

fn target(route: &config::Route, upstream: usize) -> Target {
    let rewrite = match (&route.path, &route.rewrite) {
        (PathRule::Prefix(from), Some(to)) => Some((from.as_str().into(), to.as_str().into())),
        _ => None,
    };
    let own_host = route.upstream.as_ref().filter(|_| !route.preserve_host);
    let host = own_host.and_then(|spec| spec.url.host_header());
    Target {
        upstream,
        rewrite,
        host,
        connect: route.connect_timeout,
        response_head: route.response_timeout,
        body_limit: route.body_limit,
    }
}
