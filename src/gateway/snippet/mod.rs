//! The configuration of a front proxy that asks a gateway, made from the gateway's own.

mod site;

use std::{fmt, str::FromStr};

use askama::Template;

use self::site::Place;
use super::config::Config;

/// A front proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With `auth_request`.
    Nginx,
    /// With a Lua script of ours, as it has nothing of the kind itself.
    Haproxy,
    /// With `forward_auth`.
    Caddy,
    /// With `forwardAuth`.
    Traefik,
    /// With `ext_authz`.
    Envoy,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Nginx, Self::Haproxy, Self::Caddy, Self::Traefik, Self::Envoy];

    /// As it is called on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
            Self::Traefik => "traefik",
            Self::Envoy => "envoy",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no front proxy has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of nginx, haproxy, caddy, traefik, envoy")]
pub struct UnknownKind(String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

/// A configuration for which there is nothing to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSnippet {
    /// No site lets front proxies ask.
    #[error(
        "no site answers front proxies; write forward_auth = true below the [site.NAME] that is to"
    )]
    NoSite,
    /// The gateway ends TLS, where the front proxy would.
    #[error(
        "the gateway serves TLS itself; with a front proxy that is the proxy's work, so leave [tls] out"
    )]
    Tls,
}

/// What to write into the front proxy's configuration, for each site with `forward_auth`. Complete but for certificates
/// and, where the gateway does not know it, the app's address.
///
/// # Errors
/// When nothing would work, with what to change.
pub fn snippet(kind: Kind, config: &Config) -> Result<String, NoSnippet> {
    let place = Place::of(config)?;
    let text = match kind {
        Kind::Nginx => Nginx { place }.render(),
        Kind::Haproxy => Haproxy { place }.render(),
        Kind::Caddy => Caddy { place }.render(),
        Kind::Traefik => Traefik { place }.render(),
        Kind::Envoy => Envoy { place }.render(),
    };
    Ok(text.expect("strings can be written to a string"))
}

#[derive(Template)]
#[template(path = "snippet/nginx.txt", escape = "none")]
struct Nginx {
    place: Place,
}

#[derive(Template)]
#[template(path = "snippet/haproxy.txt", escape = "none")]
struct Haproxy {
    place: Place,
}

#[derive(Template)]
#[template(path = "snippet/caddy.txt", escape = "none")]
struct Caddy {
    place: Place,
}

#[derive(Template)]
#[template(path = "snippet/traefik.txt", escape = "none")]
struct Traefik {
    place: Place,
}

#[derive(Template)]
#[template(path = "snippet/envoy.txt", escape = "none")]
struct Envoy {
    place: Place,
}

#[cfg(test)]
mod tests;
