//! Reads routes: what each says itself, what it inherits from its site, and which one comes first.

use std::{path::PathBuf, time::Duration};

use http::Method;

use super::{
    data::{Inject, PathRule, Route},
    files,
    reader::{Given, Place, Section},
    server::values_of,
    urls,
    values::{self, duration, known_name, login_word, quoted},
};
use crate::{
    gateway::proxy::{UpstreamSpec, UpstreamUrl},
    login::{Login, Outside, PathPattern},
    wechat::{OpenId, UnionId},
};

/// The keys that a route and its site may both have.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) methods: Option<Given<Vec<Method>>>,
    pub(super) upstream: Option<Given<UpstreamUrl>>,
    ca: Option<Given<PathBuf>>,
    fallback: Option<Given<String>>,
    rewrite: Option<Given<String>>,
    preserve_host: Option<Given<bool>>,
    pub(super) login: Option<Given<Login>>,
    pub(super) account: Option<Given<String>>,
    pub(super) outside: Option<Given<Outside>>,
    /// There is one word for it: `follower`.
    pub(super) require: Option<Given<()>>,
    inject: Option<Given<Inject>>,
    fragment: Option<Given<bool>>,
    connect_timeout: Option<Given<Duration>>,
    response_timeout: Option<Given<Duration>>,
    body_limit: Option<Given<u64>>,
    openids: Option<Given<Vec<OpenId>>>,
    unionids: Option<Given<Vec<UnionId>>>,
}

impl Keys {
    pub(super) fn read(section: &Section<'_>, accounts: &[String]) -> Self {
        let folder = section.source.folder;
        let fallback = |text: &str| match text {
            "" => Err("it is empty; write a file, such as \"index.html\"".to_owned()),
            _ if text.starts_with('/') || text.split('/').any(|part| part == "..") => Err(format!(
                "{} leads out of the folder; write a path inside it, such as \"index.html\"",
                quoted(text)
            )),
            _ => Ok(text.to_owned()),
        };
        Self {
            methods: methods(section),
            upstream: section.text("upstream", |text| {
                let url = text.parse::<UpstreamUrl>().map_err(|error| error.to_string())?;
                Ok::<_, String>(url.resolve(folder))
            }),
            ca: files::pem(section, "upstream_ca"),
            fallback: section.text("fallback", fallback),
            rewrite: section.text("rewrite", urls::rewrite),
            preserve_host: section.flag("preserve_host"),
            login: section.text("login", values::login),
            account: section.text("account", |text| {
                known_name(text, "account", accounts.iter().map(|name| &**name))
            }),
            outside: section.text("outside_wechat", values::outside),
            require: section.text("require", values::require),
            inject: inject(section),
            fragment: section.flag("fragment"),
            connect_timeout: section.text("connect_timeout", duration(values::CONNECT)),
            response_timeout: section.text("response_timeout", duration(values::RESPONSE)),
            body_limit: section.number_or_text("body_limit", values::size),
            openids: plain(section.list("allow_openids", OpenId::parse)),
            unionids: plain(section.list("allow_unionids", UnionId::parse)),
        }
    }

    /// What holds for a route of a site with these keys.
    fn or(&self, site: &Self) -> Self {
        fn or<T: Clone>(own: Option<&T>, site: Option<&T>) -> Option<T> {
            own.or(site).cloned()
        }
        let lists = if self.has_lists() { self } else { site };
        Self {
            methods: or(self.methods.as_ref(), site.methods.as_ref()),
            upstream: or(self.upstream.as_ref(), site.upstream.as_ref()),
            ca: or(self.ca.as_ref(), site.ca.as_ref()),
            fallback: or(self.fallback.as_ref(), site.fallback.as_ref()),
            rewrite: or(self.rewrite.as_ref(), site.rewrite.as_ref()),
            preserve_host: or(self.preserve_host.as_ref(), site.preserve_host.as_ref()),
            login: or(self.login.as_ref(), site.login.as_ref()),
            account: or(self.account.as_ref(), site.account.as_ref()),
            outside: or(self.outside.as_ref(), site.outside.as_ref()),
            require: or(self.require.as_ref(), site.require.as_ref()),
            inject: or(self.inject.as_ref(), site.inject.as_ref()),
            fragment: or(self.fragment.as_ref(), site.fragment.as_ref()),
            connect_timeout: or(self.connect_timeout.as_ref(), site.connect_timeout.as_ref()),
            response_timeout: or(self.response_timeout.as_ref(), site.response_timeout.as_ref()),
            body_limit: or(self.body_limit.as_ref(), site.body_limit.as_ref()),
            // Both lists are one answer to one question: a route that names one has given its own.
            openids: lists.openids.clone(),
            unionids: lists.unionids.clone(),
        }
    }

    /// Who is on its lists.
    pub(super) fn lists(&self) -> (Vec<OpenId>, Vec<UnionId>) {
        let (openids, unionids) = (self.openids.as_ref(), self.unionids.as_ref());
        let openids = openids.map(|list| list.value.clone()).unwrap_or_default();
        (openids, unionids.map(|list| list.value.clone()).unwrap_or_default())
    }

    fn has_lists(&self) -> bool {
        self.openids.is_some() || self.unionids.is_some()
    }

    /// Whether it is on a list who may come in.
    pub(super) fn is_restricted(&self) -> bool {
        self.openids.as_ref().is_some_and(|list| !list.value.is_empty())
            || self.unionids.as_ref().is_some_and(|list| !list.value.is_empty())
    }

    /// Notes lists that let nobody in, and lists of people where nobody is asked who they are.
    pub(super) fn check_lists(&self, section: &Section<'_>, asks: Login) {
        let places = [
            self.openids.as_ref().map(|list| &list.place),
            self.unionids.as_ref().map(|list| &list.place),
        ];
        if let Some(place) = places.into_iter().flatten().next()
            && !self.is_restricted()
        {
            let why =
                "nobody is on it, so nobody could come in; leave the key out to let everybody in";
            section.source.refuse(place, why);
            return;
        }
        if asks > Login::Optional {
            return;
        }
        let openids = self.openids.as_ref().map(|list| (&list.place, list.value.is_empty()));
        let unionids = self.unionids.as_ref().map(|list| (&list.place, list.value.is_empty()));
        for (place, is_empty) in [openids, unionids].into_iter().flatten() {
            if !is_empty {
                let why = format!(
                    "with login = {:?} everybody comes in, so the list would keep nobody out; \
                     write login = \"base\" next to it, or leave the list out",
                    login_word(asks)
                );
                section.source.refuse(place, why);
            }
        }
    }

    /// Notes what the site says for none of its routes.
    pub(super) fn check_use(&self, section: &Section<'_>, routes: &[RouteDraft]) {
        let urls = || routes.iter().filter_map(|route| route.all.upstream.as_ref());
        if let Some(ca) = &self.ca
            && !urls().any(|url| url.value.is_https())
        {
            section.source.refuse(
                &ca.place,
                "only an https upstream has a certificate, and there is none here",
            );
        }
        if let Some(file) = &self.fallback
            && !urls().any(|url| url.value.folder().is_some())
        {
            section.source.refuse(
                &file.place,
                "only a file: upstream falls back to a file, and there is none here",
            );
        }
        let has_prefix =
            |route: &RouteDraft| matches!(route.path, None | Some(PathRule::Prefix(_)));
        if let Some(rewrite) = &self.rewrite
            && !routes.iter().any(has_prefix)
        {
            section.source.refuse(
                &rewrite.place,
                "it takes the place of a prefix, and no route here has one",
            );
        }
    }

    pub(super) fn asks(&self) -> Login {
        self.login.as_ref().map_or(Login::Base, |login| login.value)
    }
}

fn plain<T>(list: Option<Given<Vec<Given<T>>>>) -> Option<Given<Vec<T>>> {
    let place = list.as_ref()?.place.clone();
    Some(Given { value: values_of(list), place })
}

fn methods(section: &Section<'_>) -> Option<Given<Vec<Method>>> {
    let mut given = plain(section.list("methods", values::method))?;
    if section.has_empty_list("methods") {
        section.source.refuse(
            &given.place,
            "it is empty, so nothing would fit; leave the key out for all methods",
        );
    }
    // Whoever may read a page may ask for its head.
    if given.value.contains(&Method::GET) && !given.value.contains(&Method::HEAD) {
        given.value.push(Method::HEAD);
    }
    Some(given)
}

fn inject(section: &Section<'_>) -> Option<Given<Inject>> {
    let given = section.list("inject", values::inject)?;
    let all = given.value.iter().map(|word| word.value).fold(Inject::default(), |a, b| Inject {
        headers: a.headers || b.headers,
        x_auth_request: a.x_auth_request || b.x_auth_request,
        html: a.html || b.html,
        assertion: a.assertion || b.assertion,
    });
    Some(Given { value: all, place: given.place })
}

/// A route on its way to be one.
pub(super) struct RouteDraft {
    pub(super) place: Place,
    pub(super) path: Option<PathRule>,
    /// What the route says itself.
    pub(super) own: Keys,
    /// What holds for it.
    pub(super) all: Keys,
}

impl RouteDraft {
    pub(super) fn read(section: &Section<'_>, site: &Keys, accounts: &[String]) -> Self {
        let own = Keys::read(section, accounts);
        Self { place: section.place.clone(), path: path(section), all: own.or(site), own }
    }

    /// The route for everything, which a site's own upstream implies.
    pub(super) fn implied(section: &Section<'_>, site: &Keys) -> Self {
        let place = site.upstream.as_ref().map_or(&section.place, |given| &given.place).clone();
        let path = Some(PathRule::Prefix("/".to_owned()));
        let own = Keys { ca: None, fallback: None, rewrite: None, ..site.clone() };
        Self { place, path, own, all: site.clone() }
    }

    fn methods(&self) -> &[Method] {
        self.all.methods.as_ref().map_or(&[], |given| &given.value)
    }

    /// Whether there are requests for which neither comes first.
    pub(super) fn is_twin_of(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (&self.path, &other.path) else { return false };
        let (a, b) = (self.methods(), other.methods());
        let overlap = (a.is_empty() && b.is_empty()) || a.iter().any(|method| b.contains(method));
        own.pattern() == others.pattern() && overlap
    }

    /// Whether it is for every path, with every method that `other` is for.
    pub(super) fn is_for_all_of(&self, other: &Self) -> bool {
        let everything = PathPattern::prefix("/");
        let all = self.path.as_ref().is_some_and(|path| path.pattern() == everything);
        all && (self.methods().is_empty() || self.is_twin_of(other))
    }

    /// Notes keys that do not go with each other.
    pub(super) fn check(&self, section: &Section<'_>, needs_upstream: bool, upstream_is_bad: bool) {
        let source = section.source;
        let upstream = self.all.upstream.as_ref();
        if upstream.is_none() && needs_upstream && !upstream_is_bad {
            source.refuse(
                &self.place.below("upstream"),
                "it is missing, here and in the site; write for example \
                 upstream = \"http://127.0.0.1:3000\"",
            );
        }
        let url = upstream.map(|given| &given.value);
        if let Some(ca) = &self.own.ca
            && let Some(url) = url
            && !url.is_https()
        {
            source.refuse(
                &ca.place,
                format!(
                    "only an https upstream has a certificate, and this one is {}",
                    quoted(&url.to_string())
                ),
            );
        }
        if let Some(fallback) = &self.own.fallback
            && let Some(url) = url
            && url.folder().is_none()
        {
            source.refuse(
                &fallback.place,
                format!(
                    "only a file: upstream falls back to a file, and this one is {}",
                    quoted(&url.to_string())
                ),
            );
        }
        if let Some(rewrite) = &self.own.rewrite
            && !matches!(self.path, None | Some(PathRule::Prefix(_)))
        {
            source.refuse(
                &rewrite.place,
                "it takes the place of a prefix, and this route has none; write prefix \
                 = \"...\", or leave it out",
            );
        }
        if let Some(inject) = &self.own.inject
            && self.all.asks() == Login::Off
            && (inject.value.html || inject.value.assertion)
        {
            source.refuse(
                &inject.place,
                "with login = \"off\" nobody is looked up, so there is nobody to tell of; write \
                 login = \"optional\"",
            );
        }
        if let Some(require) = &self.own.require
            && self.all.asks() < Login::Base
        {
            source.refuse(
                &require.place,
                format!(
                    "with login = {:?} nobody has to be known, so nobody could be asked for; write login = \"base\" \
                     next to it",
                    login_word(self.all.asks())
                ),
            );
        }
        self.check_folder(section);
        self.own.check_lists(section, self.all.asks());
    }

    fn check_folder(&self, section: &Section<'_>) {
        let Some(upstream) = &self.all.upstream else { return };
        let Some(folder) = upstream.value.folder() else { return };
        if !folder.is_dir() {
            section.source.refuse(
                &upstream.place,
                format!("there is no folder {}", quoted(&folder.display().to_string())),
            );
        } else if let Some(fallback) = &self.all.fallback
            && !folder.join(&fallback.value).is_file()
        {
            section.source.refuse(
                &fallback.place,
                format!(
                    "there is no file {} in the folder {}",
                    quoted(&fallback.value),
                    quoted(&folder.display().to_string())
                ),
            );
        }
    }

    /// The route. `None` where something of it is wrong, which has been noted.
    pub(super) fn finish(self, account: &str) -> Option<Route> {
        let login = self.all.asks();
        let all = self.all;
        let path = self.path?;
        let upstream = all.upstream.map(|given| UpstreamSpec {
            // What is inherited holds where it makes sense.
            ca: all.ca.map(|ca| ca.value).filter(|_| given.value.is_https()),
            fallback: all
                .fallback
                .map(|file| file.value)
                .filter(|_| given.value.folder().is_some()),
            url: given.value,
        });
        let is_prefix = matches!(path, PathRule::Prefix(_));
        let response_timeout =
            all.response_timeout.map_or(Duration::from_secs(30), |given| given.value);
        // A list of the site is for those of its routes that ask who somebody is.
        let is_asked = login > Login::Optional;
        Some(Route {
            path,
            methods: all.methods.map(|given| given.value).unwrap_or_default(),
            upstream,
            rewrite: all.rewrite.map(|given| given.value).filter(|_| is_prefix),
            preserve_host: all.preserve_host.is_none_or(|given| given.value),
            login,
            account: all.account.map_or_else(|| account.to_owned(), |given| given.value),
            outside_wechat: self.own.outside.map(|given| given.value),
            // What the site requires is for those of its routes that ask who somebody is.
            followers_only: all.require.is_some() && is_asked,
            inject: all.inject.map_or(Inject { headers: true, ..Inject::default() }, |given| {
                let looks = login != Login::Off;
                let Inject { html, assertion, .. } = given.value;
                Inject { html: html && looks, assertion: assertion && looks, ..given.value }
            }),
            fragment: all.fragment.is_some_and(|given| given.value),
            connect_timeout: all
                .connect_timeout
                .map_or(Duration::from_secs(5), |given| given.value),
            response_timeout: (!response_timeout.is_zero()).then_some(response_timeout),
            body_limit: all.body_limit.map(|given| given.value),
            allow_openids: all
                .openids
                .filter(|_| is_asked)
                .map(|given| given.value)
                .unwrap_or_default(),
            allow_unionids: all
                .unionids
                .filter(|_| is_asked)
                .map(|given| given.value)
                .unwrap_or_default(),
        })
    }
}

/// Which paths, from the one of three keys that is given.
fn path(section: &Section<'_>) -> Option<PathRule> {
    let prefix = section.text("prefix", urls::prefix);
    let exact = section.text("exact", urls::exact);
    let pattern = section.text("pattern", urls::pattern);
    let given: Vec<_> =
        ["prefix", "exact", "pattern"].into_iter().filter(|name| section.has(name)).collect();
    match &given[..] {
        [] => section.source.refuse(&section.place, "it does not say which paths it is for; write one of prefix \
                                                     = \"/api\", exact = \"/healthz\" and pattern = \"/users/*/orders\""),
        [_] => {}
        [first, second, ..] => section.source.refuse(&section.place_of(second), format!(
            "a route has one of prefix, exact and pattern, and this one has {first} already; write a \
             [[route]] for each")),
    }
    let prefix = prefix.map(|given| PathRule::Prefix(given.value));
    let exact = exact.map(|given| PathRule::Exact(given.value));
    prefix.or(exact).or(pattern.map(|given| PathRule::Pattern(given.value)))
}

/// Which route is asked first: the one whose path says more, and of two for the same paths the one that names its
/// methods.
pub(super) fn precedence(route: &Route) -> impl Ord + use<> {
    (route.path.pattern().rank(), route.methods.is_empty())
}
