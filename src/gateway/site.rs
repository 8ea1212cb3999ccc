//! The sites of a gateway: which one a host names, and which route a request takes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, request::Parts};

use super::{
    inject::{Assertions, Claims},
    metrics::RouteMetrics,
    proxy::Identity,
};
use crate::{
    doors::facade::Facade,
    login::{
        ACCOUNT, Demand, Endpoint, Gate, PathPattern, Rule, TwoReadings, WechatUser, first_fit,
        parameter,
    },
};

/// All sites.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    sites: Vec<Site>,
    by_host: HashMap<Box<str>, usize>,
}

impl Sites {
    /// Sites, each with the host names that lead to it beside its public URL's.
    pub(super) fn new(sites: impl IntoIterator<Item = (Site, Vec<String>)>) -> Self {
        let mut all = Self::default();
        for (site, hosts) in sites {
            let own = site.gate.public_url().authority().to_owned();
            for host in hosts.into_iter().chain([own]) {
                all.by_host.insert(canonical_host(&host).into(), all.sites.len());
            }
            all.sites.push(site);
        }
        all
    }

    /// The site that a `Host` header names. Where there is only one, it answers to any name: its logins lead to its
    /// public URL.
    pub(super) fn of(&self, host: &str) -> Option<&Site> {
        match &*self.sites {
            [only] => Some(only),
            _ => self.named(host),
        }
    }

    /// The site that a host names, and no other.
    pub(crate) fn named(&self, host: &str) -> Option<&Site> {
        let known = self.by_host.get(host).or_else(|| self.by_host.get(&*canonical_host(host)));
        known.map(|at| &self.sites[*at])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Site> {
        self.sites.iter()
    }
}

/// A host in the form in which hosts are compared: in lower case, without port, and without a dot at the end.
pub(super) fn canonical_host(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

/// One site: a host that people know, its logins and its routes.
#[derive(Debug)]
pub(crate) struct Site {
    pub(super) name: Arc<str>,
    pub(crate) gate: Gate,
    /// The logins with the site's other accounts, by the names that these have in addresses.
    pub(super) others: Vec<(Box<str>, Gate)>,
    /// The one that says most comes first.
    pub(super) routes: Vec<Route>,
    pub(super) proof_files: HashMap<Box<str>, Bytes>,
    pub(super) forward_auth: bool,
    pub(crate) facade: Option<Facade>,
}

/// What a request of a site leads to.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    Endpoint(&'a Gate),
    Route(&'a Route),
    Nothing,
}

impl Site {
    /// What a request with a canonical path leads to.
    pub(crate) fn find(&self, head: &Parts) -> Result<Found<'_>, TwoReadings> {
        let path = head.uri.path();
        if Endpoint::named_by(path).is_some() {
            return Ok(Found::Endpoint(self.gate_of(head.uri.query().unwrap_or_default())));
        }
        let found = first_fit(&self.routes, None, path, |route| route.takes(&head.method))?;
        Ok(found.map_or(Found::Nothing, Found::Route))
    }

    /// The login that an endpoint of ours speaks of: with the site's own account, unless the query names another.
    fn gate_of(&self, query: &str) -> &Gate {
        if self.others.is_empty() {
            return &self.gate;
        }
        let name = parameter(query, ACCOUNT).unwrap_or_default();
        let other = self.others.iter().find(|(known, _)| **known == *name);
        other.map_or(&self.gate, |(_, gate)| gate)
    }

    pub(super) fn answers_proxies(&self) -> bool {
        self.forward_auth
    }

    pub(super) fn has_doors(&self) -> bool {
        let mut gates = self.others.iter().map(|(_, gate)| gate).chain([&self.gate]);
        gates.any(Gate::has_doors)
    }
}

/// One route: what it asks, and where it leads.
#[derive(Debug)]
pub(crate) struct Route {
    /// As the operator has written it.
    pub(super) name: Arc<str>,
    pub(crate) pattern: PathPattern,
    /// Empty means all.
    pub(super) methods: Vec<Method>,
    pub(super) gate: Gate,
    pub(super) demand: Demand,
    pub(super) inject: Inject,
    pub(super) metrics: RouteMetrics,
    /// None where requests do not pass through us, but only questions about them.
    pub(super) target: Option<Target>,
}

/// Where a route leads, and on what terms.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Which of the upstreams.
    pub(super) upstream: usize,
    /// What takes the place of which prefix.
    pub(super) rewrite: Option<(Box<str>, Box<str>)>,
    /// The host that the upstream sees instead of the browser's.
    pub(super) host: Option<HeaderValue>,
    pub(super) connect: Duration,
    pub(super) response_head: Option<Duration>,
    pub(super) body_limit: Option<u64>,
}

/// What upstreams and pages are told of the user.
#[derive(Clone, Debug)]
pub(super) struct Inject {
    pub(super) headers: bool,
    pub(super) x_auth_request: bool,
    pub(super) html: bool,
    /// Signed, and for whom.
    pub(super) assertion: Option<(Assertions, Box<str>)>,
}

static AUTH_REQUEST_USER: HeaderName = HeaderName::from_static("x-auth-request-user");
static AUTH_REQUEST_NAME: HeaderName = HeaderName::from_static("x-auth-request-preferred-username");
static SUBJECT: HeaderName = HeaderName::from_static("x-wechat-subject");
static NICKNAME: HeaderName = HeaderName::from_static("x-wechat-nickname");
static ASSERTION: HeaderName = HeaderName::from_static("x-wechat-assertion");

impl Rule for Route {
    fn pattern(&self) -> &PathPattern {
        &self.pattern
    }

    fn covers(&self, other: &Self) -> bool {
        // People of one account are strangers to another.
        let same_people = self.gate.account().appid() == other.gate.account().appid();
        self.demand.covers(&other.demand) && (same_people || !other.demand.keeps_out())
    }
}

impl Route {
    fn takes(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            // Whoever may read a page may ask how it is.
            || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn demand(&self) -> &Demand {
        &self.demand
    }

    /// Who has sent a request, as this route wants to be told.
    pub(super) fn introduce<'a>(&'a self, user: Option<&'a WechatUser>) -> Introduction<'a> {
        let assertion = self.inject.assertion.as_ref().zip(user).map(|(assertion, user)| {
            let (assertions, audience) = assertion;
            assertions.sign(&Claims::of(user, audience), self.gate.now())
        });
        Introduction { inject: &self.inject, user, assertion }
    }
}

/// The headers that tell who has sent a request.
#[derive(Debug)]
pub(super) struct Introduction<'a> {
    inject: &'a Inject,
    user: Option<&'a WechatUser>,
    assertion: Option<HeaderValue>,
}

impl Identity for Introduction<'_> {
    fn tell(&self, line: &mut dyn FnMut(&HeaderName, &[u8])) {
        let Some(user) = self.user else { return };
        user.tell(&mut |name, value| {
            if self.inject.headers {
                line(name, value.as_bytes());
            }
            if self.inject.x_auth_request {
                if *name == SUBJECT {
                    line(&AUTH_REQUEST_USER, value.as_bytes());
                } else if *name == NICKNAME {
                    line(&AUTH_REQUEST_NAME, value.as_bytes());
                }
            }
        });
        if let Some(assertion) = &self.assertion {
            line(&ASSERTION, assertion.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::HeaderMap;

    use super::*;
    use crate::{
        clock::Timestamp,
        gateway::proxy::{self, Forwarding, Length},
        session::{
            AccountSlot, NewSession, Profile, Session, Subject, UserChange, UserKey, UserSlot,
        },
        wechat::{AppId, OpenId, Scope, UnionId},
    };

    /// Somebody of whom everything is known.
    fn known() -> WechatUser {
        let key = UserKey {
            appid: AppId::parse("wx0123456789abcdef").unwrap(),
            openid: OpenId::parse("o6_alice").unwrap(),
        };
        let slot = UserSlot::new(key, Arc::new(AccountSlot::new(1)), UserChange::default());
        let profile = Profile { nickname: "ours".into(), avatar: Some("https://a/0".into()) };
        slot.update(&UserChange {
            unionid: UnionId::parse("u1").ok(),
            profile: Some((profile, Timestamp::from_unix(1))),
            phone: Some("+8613580006666".into()),
            ..UserChange::default()
        });
        let at = Timestamp::from_unix(1);
        let user = Arc::new(slot);
        let new = NewSession { user, scope: Scope::Userinfo, signed_in_at: at, begins_at: at };
        WechatUser::new(Arc::new(Session::begin(new)), Subject::Unionid)
    }

    #[test]
    fn c11_all_that_an_app_is_told_of_somebody_is_told_by_us_alone() {
        let (user, inject) =
            (known(), Inject { headers: true, x_auth_request: true, html: false, assertion: None });
        let assertion = Some(HeaderValue::from_static("signed"));
        let identity = Introduction { inject: &inject, user: Some(&user), assertion };
        let mut ours = HeaderMap::new();
        identity.tell(&mut |name, value| {
            ours.append(name, HeaderValue::from_bytes(value).unwrap());
        });
        assert_eq!(ours.len(), 13, "{ours:?}");
        let mut request = http::Request::builder().uri("/").header("host", "h5.example.com");
        for name in ours.keys() {
            for spelled in [name.as_str().to_owned(), name.as_str().replace('-', "_")] {
                request = request.header(spelled, "spoofed");
            }
        }
        let head = request.header("x-harmless", "1").body(()).unwrap().into_parts().0;
        let mut told = HeaderMap::new();
        let forwarding = Forwarding {
            client: &IpAddr::from([192, 0, 2, 7]).into(),
            scheme: "https",
            underscores: true,
            host: None,
            request_id: &HeaderValue::from_static("id-1"),
            identity: &identity,
        };
        proxy::tell(&head, Length::NoBody, &forwarding, &mut told);
        assert!(!told.values().any(|value| value == "spoofed"), "{told:?}");
        assert!(ours.iter().all(|(name, value)| told.get_all(name).iter().eq([value])));
        assert_eq!(told["x-harmless"], "1");
    }

    #[test]
    fn c28_hosts_are_compared_in_lower_case_without_port_and_dot() {
        for same in [
            "h5.example.com",
            "H5.Example.COM",
            "h5.example.com.",
            "h5.example.com:8443",
            "h5.example.com.:80",
        ] {
            assert_eq!(canonical_host(same), "h5.example.com", "{same}");
        }
        assert_eq!(canonical_host("[::1]:8080"), "[::1]");
        assert_eq!(canonical_host("[::1]"), "[::1]");
        assert_ne!(canonical_host("h5.example.com.."), "h5.example.com");
        assert_ne!(canonical_host("h5.example.com:x"), "h5.example.com");
    }
}
