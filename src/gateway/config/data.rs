//! What a configuration says, once it has been checked.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use bytes::Bytes;
use http::Method;
use ipnet::IpNet;
use url::Url;

use super::problem::Problem;
pub use crate::gateway::telemetry::LogFormat;
use crate::{
    doors::FollowCode,
    gateway::proxy::UpstreamSpec,
    login::{Login, Outside, PathPattern},
    origin::Origin,
    secret::{AppSecret, ServerTokenSecret, StorePassword},
    session::{KeyFile, Lifetimes, Subject, durable::RedisUrl},
    wechat::{Account, AppId, Endpoints, Lang, OpenId, UnionId},
};

/// A configuration in which everything is as it should be: names lead somewhere, secrets are there, limits are within
/// their bounds.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where browsers, or the proxy in front, connect. At least one.
    pub listen: Vec<SocketAddr>,
    /// Where health and metrics are asked for, and sessions revoked.
    pub admin_listen: Option<SocketAddr>,
    /// How many cores serve browsers, at least one. `None`: all of the machine's.
    pub cores: Option<usize>,
    /// Whose word about the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether header names with an underscore pass.
    pub underscore_headers: bool,
    /// Sign-in requests a minute and client address. 0 is no limit.
    pub rate_limit: u32,
    /// A folder with page templates.
    pub pages: Option<PathBuf>,
    /// How logs are written. `None`: as the terminal suggests.
    pub log_format: Option<LogFormat>,
    /// Whether openids are logged as they are.
    pub log_openid: bool,
    /// In which language WeChat names places.
    pub lang: Lang,
    /// The certificate of the listener. `None`: a proxy in front ends TLS.
    pub tls: Option<TlsFiles>,
    /// How long the listener waits, and how much it holds.
    pub limits: Limits,
    /// How sessions are kept.
    pub session: SessionConfig,
    /// Where WeChat is.
    pub wechat: Endpoints,
    /// How identity assertions are signed.
    pub assertion: AssertionConfig,
    /// By name. At least one, no appid twice.
    pub accounts: BTreeMap<String, Account>,
    /// What other servers prove themselves with, by account, where they may take its own `access_token`.
    pub server_token_secrets: BTreeMap<String, ServerTokenSecret>,
    /// The pictures of codes, by account.
    pub follow_codes: BTreeMap<String, FollowCode>,
    /// By name. At least one, no host twice.
    pub sites: BTreeMap<String, Site>,
    /// By name. No appid twice.
    pub clients: BTreeMap<String, ClientApp>,
    /// What is allowed and may still not be meant.
    pub warnings: Vec<Problem>,
    /// The files that all of this was read from: whoever wants to notice changes watches them.
    pub files: Vec<PathBuf>,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How long the listener waits, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the head of a request.
    pub request_head: Duration,
    /// For the next request on an idle connection.
    pub keep_alive: Duration,
    /// For what is in flight when the gateway stops.
    pub drain: Duration,
    /// Between "not ready" and the moment when nothing is accepted any more.
    pub ready_wait: Duration,
    /// Open connections of clients.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_head: Duration::from_secs(15),
            keep_alive: Duration::from_secs(5 * 60),
            drain: Duration::from_secs(30),
            ready_wait: Duration::from_secs(5),
            connections: 10_000,
        }
    }
}

/// How sessions are kept.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Where.
    pub store: StoreKind,
    /// What a store that wants a password is told.
    pub store_password: Option<StorePassword>,
    /// The file with the keys that seal what leaves the process.
    pub key_file: Option<PathBuf>,
    /// The keys of that file. `None`: new ones at the start, which are put into the file if there is to be one.
    pub keys: Option<KeyFile>,
    /// For how long.
    pub lifetimes: Lifetimes,
    /// How old a profile may be before it is fetched again.
    pub refresh_profiles_after: Duration,
    /// How people are named towards the app.
    pub subject: Subject,
}

/// Where sessions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In this process.
    Memory,
    /// In one file of this machine.
    File(PathBuf),
    /// In Redis.
    Redis(RedisPlace),
}

/// A Redis, without its password. Two are the same that are written in the same way.
#[derive(Clone)]
pub struct RedisPlace {
    /// Where it is.
    pub url: RedisUrl,
    pub(super) written: String,
}

impl PartialEq for RedisPlace {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for RedisPlace {}

impl fmt::Debug for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

/// How identity assertions are signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssertionConfig {
    /// PKCS#8 PEM files: the first key signs, all are published. None: a key that is made at the start.
    pub key_files: Vec<PathBuf>,
    /// `None`: the site's public URL.
    pub issuer: Option<String>,
}

/// One site: an address that browsers know, and what is behind it.
#[derive(Clone, Debug)]
pub struct Site {
    /// The address that browsers know.
    pub public_url: Origin,
    /// Other names that lead here, each `host[:port]` in canonical form. No site's twice.
    pub hosts: Vec<String>,
    /// The site through which people sign in. Its own `sign_in_at` is `None`.
    pub sign_in_at: Option<String>,
    /// The account of the routes that name none.
    pub account: String,
    /// Whose scripts may read our 401.
    pub cors_origins: Vec<Origin>,
    /// What proves to WeChat whose domain this is.
    pub proof_files: Vec<ProofFile>,
    /// Whether other proxies may ask for a verdict.
    pub forward_auth: bool,
    /// Who may sign in to apps that have an SDK, with those of `allow_unionids`. Both empty: everybody. Routes have
    /// their own.
    pub allow_openids: Vec<OpenId>,
    /// Who may sign in to apps that have an SDK, with those of `allow_openids`.
    pub allow_unionids: Vec<UnionId>,
    /// The website account of people who are not in WeChat.
    pub website: Option<String>,
    /// The mini-programs that sign in here.
    pub mini_programs: Vec<String>,
    /// Whether pages get JS-SDK signatures.
    pub jssdk: bool,
    /// What people outside WeChat are offered where a route does not say.
    pub outside_wechat: Outside,
    /// In the order of precedence: the first one whose path and methods fit decides. Empty where the site is only there
    /// for others to sign in at.
    pub routes: Vec<Route>,
}

impl Site {
    /// The website account, where anybody may come to sign in with it.
    pub(super) fn website_in_use(&self) -> Option<&str> {
        let offers = |route: &Route| route.outside_wechat.unwrap_or(self.outside_wechat);
        let is_offered = |route: &Route| {
            route.login > Login::Off
                && route.account == self.account
                && offers(route) == Outside::Website
        };
        self.website.as_deref().filter(|_| self.routes.iter().any(is_offered))
    }

    /// Whether anybody may be shown a code to scan.
    pub(in crate::gateway) fn offers_scan(&self) -> bool {
        self.outside_wechat == Outside::Scan
            || self.routes.iter().any(|route| route.outside_wechat == Some(Outside::Scan))
    }
}

/// A file that is served at `/NAME`, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// `MP_verify_*.txt` or `WW_verify_*.txt`.
    pub name: String,
    /// What is in it.
    pub content: Bytes,
}

/// What happens with some of a site's requests.
#[derive(Clone, Debug)]
pub struct Route {
    /// Which paths.
    pub path: PathRule,
    /// Which methods. Empty: all. With GET there is HEAD.
    pub methods: Vec<Method>,
    /// The app. `None` in a site that answers other proxies only.
    pub upstream: Option<UpstreamSpec>,
    /// What stands in place of the matched prefix.
    pub rewrite: Option<String>,
    /// Whether the app sees the browser's `Host`.
    pub preserve_host: bool,
    /// What is asked of visitors.
    pub login: Login,
    /// The account they sign in with, by name.
    pub account: String,
    /// What people outside WeChat are offered. `None`: what the site offers them.
    pub outside_wechat: Option<Outside>,
    /// Whether only followers of the account come in.
    pub followers_only: bool,
    /// How the app is told who it is.
    pub inject: Inject,
    /// Whether a `#fragment` survives a sign-in.
    pub fragment: bool,
    /// For a connection to the app.
    pub connect_timeout: Duration,
    /// For the head of the app's answer.
    pub response_timeout: Option<Duration>,
    /// The largest request body in bytes.
    pub body_limit: Option<u64>,
    /// Who may come in, with those of `allow_unionids`. Both empty: everybody.
    pub allow_openids: Vec<OpenId>,
    /// Who may come in, with those of `allow_openids`.
    pub allow_unionids: Vec<UnionId>,
}

/// Which paths a route is for, as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathRule {
    /// This one and all below it, by whole segments. Without a slash at the end, but for `/` itself.
    Prefix(String),
    /// This one.
    Exact(String),
    /// `*` is one segment, a last `/**` adds all that lies below.
    Pattern(String),
}

impl PathRule {
    /// As it is written.
    pub fn text(&self) -> &str {
        let (Self::Prefix(text) | Self::Exact(text) | Self::Pattern(text)) = self;
        text
    }

    /// What it fits.
    pub(in crate::gateway) fn pattern(&self) -> PathPattern {
        match self {
            Self::Prefix(path) => PathPattern::prefix(path),
            Self::Exact(path) => PathPattern::exact(path),
            Self::Pattern(text) => text.parse().expect("it was checked when it was read"),
        }
    }
}

/// How the app is told who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // Four ways, in any combination.
pub struct Inject {
    /// `X-WeChat-*`.
    pub headers: bool,
    /// oauth2-proxy's names.
    pub x_auth_request: bool,
    /// A script element in the page.
    pub html: bool,
    /// A signed header.
    pub assertion: bool,
}

/// An app that signs in through us as if we were WeChat.
#[derive(Clone, Debug)]
pub struct ClientApp {
    /// What it calls itself.
    pub appid: AppId,
    /// What it proves that with.
    pub secret: AppSecret,
    /// The site at which its people sign in.
    pub site: String,
    /// What a `redirect_uri` may begin with: origin, and path by whole segments. At least one.
    pub redirect_uris: Vec<Url>,
}
