//! What the templates have to know of a configuration.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::NoSnippet;
use crate::{
    doors::facade,
    gateway::config::{self, Config},
};

/// The identity headers of [`inject = ["headers"]`](config::Inject::headers).
const OWN: [&str; 10] = [
    "X-WeChat-Subject",
    "X-WeChat-Appid",
    "X-WeChat-Openid",
    "X-WeChat-Unionid",
    "X-WeChat-Scope",
    "X-WeChat-Nickname",
    "X-WeChat-Avatar",
    "X-WeChat-Phone",
    "X-WeChat-Former-Subject",
    "X-Forwarded-User",
];
const FAMILIAR: [&str; 2] = ["X-Auth-Request-User", "X-Auth-Request-Preferred-Username"];
const ASSERTION: &str = "X-WeChat-Assertion";

/// The app's address where the configuration does not name it.
const SOME_APP: &str = "127.0.0.1:3000";

/// A gateway, as its front proxy sees it.
pub(super) struct Place {
    /// Where to ask it.
    pub(super) addr: SocketAddr,
    /// The peers that it believes, as TOML. Empty: it believes nobody yet.
    pub(super) trusted: String,
    pub(super) sites: Vec<Site>,
}

/// A site, as its front proxy sees it.
pub(super) struct Site {
    pub(super) name: String,
    pub(super) is_secure: bool,
    /// The hosts that lead here, without ports; the public one first.
    pub(super) hosts: Vec<String>,
    /// Where browsers connect.
    pub(super) port: u16,
    /// `:` and the port, where it is not the scheme's own.
    pub(super) port_suffix: String,
    /// The app behind the front proxy.
    pub(super) app: String,
    /// Paths beside `/_wx/` that the gateway answers itself.
    pub(super) own_paths: Vec<String>,
    /// Identity headers that some route asks for.
    pub(super) injected: Vec<Header>,
    /// Those that none asks for, and that no client may bring either.
    pub(super) unused: Vec<Header>,
}

/// The name of a header.
#[derive(Clone, Copy)]
pub(super) struct Header(pub(super) &'static str);

impl Header {
    /// As part of the name of a variable.
    pub(super) fn var(self) -> String {
        self.0.to_ascii_lowercase().replace('-', "_")
    }

    pub(super) fn lower(self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl Place {
    pub(super) fn of(config: &Config) -> Result<Self, NoSnippet> {
        if config.tls.is_some() {
            return Err(NoSnippet::Tls);
        }
        let sites: Vec<_> = config
            .sites
            .iter()
            .filter(|(_, site)| site.forward_auth)
            .map(|(name, site)| Site::of(name, site, config))
            .collect();
        if sites.is_empty() {
            return Err(NoSnippet::NoSite);
        }
        let near = config.listen.iter().find(|addr| addr.ip().is_loopback());
        let addr = *near.or(config.listen.first()).expect("a gateway listens somewhere");
        let ip = match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let trusted: Vec<_> = config
            .trusted_proxies
            .iter()
            .map(|net| {
                let is_one = net.prefix_len() == net.max_prefix_len();
                if is_one { format!("\"{}\"", net.addr()) } else { format!("\"{net}\"") }
            })
            .collect();
        let trusted = trusted.join(", ");
        Ok(Self { addr: SocketAddr::new(ip, addr.port()), trusted, sites })
    }

    /// The ports that browsers connect to, each with the first of its sites.
    pub(super) fn ports(&self) -> BTreeMap<u16, &Site> {
        let mut ports = BTreeMap::new();
        for site in &self.sites {
            ports.entry(site.port).or_insert(site);
        }
        ports
    }
}

impl Site {
    fn of(name: &str, site: &config::Site, config: &Config) -> Self {
        let url = &site.public_url;
        let default = if url.is_secure() { 443 } else { 80 };
        let (host, port) = split_port(url.authority());
        let mut hosts = vec![host.to_owned()];
        for other in &site.hosts {
            let (host, _) = split_port(other);
            if !hosts.iter().any(|known| known == host) {
                hosts.push(host.to_owned());
            }
        }
        let apps = site.routes.iter().filter_map(|route| route.upstream.as_ref());
        let app = apps.map(|spec| spec.url.to_string()).find_map(|url| {
            let app = url.strip_prefix("http://")?;
            Some(app.to_owned())
        });
        let proofs = site.proof_files.iter();
        let mut own_paths: Vec<_> = proofs.map(|file| format!("/{}", file.name)).collect();
        if config.clients.values().any(|client| client.site == name) {
            own_paths.extend(facade::PATHS.map(str::to_owned));
        }
        let some =
            |asks: fn(&config::Inject) -> bool| site.routes.iter().any(|route| asks(&route.inject));
        let groups = [
            (some(|inject| inject.headers), &OWN[..]),
            (some(|inject| inject.assertion), &[ASSERTION][..]),
            (some(|inject| inject.x_auth_request), &FAMILIAR[..]),
        ];
        let names = |wanted: bool| -> Vec<Header> {
            let groups = groups.iter().filter(|(is_used, _)| *is_used == wanted);
            groups.flat_map(|(_, names)| *names).copied().map(Header).collect()
        };
        Self {
            name: name.to_owned(),
            is_secure: url.is_secure(),
            port: port.unwrap_or(default),
            port_suffix: port.map(|port| format!(":{port}")).unwrap_or_default(),
            app: app.unwrap_or_else(|| SOME_APP.to_owned()),
            hosts,
            own_paths,
            injected: names(true),
            unused: names(false),
        }
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.is_secure { "https" } else { "http" }
    }

    pub(super) fn host(&self) -> &str {
        &self.hosts[0]
    }

    /// As Traefik says it.
    pub(super) fn hosts_rule(&self) -> String {
        let rules: Vec<_> = self.hosts.iter().map(|host| format!("Host(`{host}`)")).collect();
        rules.join(" || ")
    }

    pub(super) fn app_host(&self) -> &str {
        split_port(&self.app).0.trim_matches(['[', ']'])
    }

    pub(super) fn app_port(&self) -> u16 {
        split_port(&self.app).1.unwrap_or(80)
    }

    /// All identity headers.
    pub(super) fn identity(&self) -> impl Iterator<Item = Header> {
        self.injected.iter().chain(&self.unused).copied()
    }
}

/// A host, and its port where one is written.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    let split = authority.rsplit_once(':');
    let split = split.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    split.map_or((authority, None), |(host, port)| (host, Some(port)))
}
