//! Reads sites.

use super::{
    account::Names,
    data::{ProofFile, Site},
    files,
    reader::{Given, Section},
    route::{Keys, RouteDraft, precedence},
    server::values_of,
    urls,
    values::known_name,
};
use crate::{
    login::Outside,
    origin::Origin,
    wechat::{OpenId, UnionId},
};

/// A site on its way to be one.
pub(super) struct Draft<'d> {
    pub(super) name: String,
    pub(super) section: Section<'d>,
    pub(super) public_url: Option<Given<Origin>>,
    pub(super) hosts: Vec<Given<String>>,
    pub(super) sign_in_at: Option<Given<String>>,
    /// The account of the routes that name none.
    pub(super) account: Option<String>,
    pub(super) website: Option<Given<String>>,
    pub(super) mini_programs: Vec<Given<String>>,
    pub(super) jssdk: Option<Given<bool>>,
    pub(super) outside: Option<Given<Outside>>,
    cors_origins: Vec<Origin>,
    proof_files: Vec<ProofFile>,
    forward_auth: bool,
    lists: (Vec<OpenId>, Vec<UnionId>),
    pub(super) routes: Vec<RouteDraft>,
}

/// The sites, in the order of the file.
pub(super) fn read<'d>(top: &Section<'d>, accounts: &Names) -> Vec<Draft<'d>> {
    let sections = top.named("site", "site.*");
    if sections.is_empty() && !top.has("site") {
        let place = top.place.below("site");
        top.source.refuse(
            &place,
            "there is no site; write [site.main], and below it public_url = \
             \"https://h5.example.com\" and upstream = \"http://127.0.0.1:3000\"",
        );
    }
    let names: Vec<String> = sections.iter().map(|(name, _)| name.clone()).collect();
    let mut drafts: Vec<_> = sections
        .into_iter()
        .map(|(name, section)| draft(name, section, &names, &accounts.all))
        .collect();
    default_accounts(&mut drafts, accounts);
    drafts
}

fn draft<'d>(
    name: String,
    section: Section<'d>,
    names: &[String],
    accounts: &[String],
) -> Draft<'d> {
    let site = Keys::read(&section, accounts);
    let routes = section.routes();
    let forward_auth = section.flag("forward_auth").is_some_and(|given| given.value);
    let site_upstream_is_bad = section.is_bad("upstream", site.upstream.as_ref());
    let mut drafts: Vec<RouteDraft> = Vec::new();
    for route in routes {
        let draft = RouteDraft::read(&route, &site, accounts);
        let is_bad = route.is_bad("upstream", draft.own.upstream.as_ref()) || site_upstream_is_bad;
        draft.check(&route, !forward_auth, is_bad);
        drafts.push(draft);
    }
    if section.has("upstream") || forward_auth {
        let implied = RouteDraft::implied(&section, &site);
        if !drafts.iter().any(|route| route.is_for_all_of(&implied)) {
            implied.check(&section, !forward_auth, site_upstream_is_bad);
            drafts.push(implied);
        }
    }
    site.check_lists(&section, site.asks());
    if !site_upstream_is_bad {
        site.check_use(&section, &drafts);
    }
    note_twins(&section, &drafts);
    if !section.has("public_url") {
        section.missing("public_url");
    }
    let account = |text: &str| known_name(text, "account", accounts.iter().map(|name| &**name));
    Draft {
        lists: site.lists(),
        public_url: section.text("public_url", urls::origin),
        hosts: section.list("hosts", urls::host).map(|list| list.value).unwrap_or_default(),
        sign_in_at: section
            .text("sign_in_at", |text| known_name(text, "site", names.iter().map(|name| &**name))),
        website: section.text("website", account),
        mini_programs: section.list("mini_programs", account).map_or(Vec::new(), |list| list.value),
        jssdk: section.flag("jssdk").filter(|given| given.value),
        outside: site.outside,
        account: site.account.map(|given| given.value),
        cors_origins: values_of(section.list("cors_origins", urls::origin)),
        proof_files: files::proofs(&section),
        forward_auth,
        routes: drafts,
        name,
        section,
    }
}

fn note_twins(section: &Section<'_>, routes: &[RouteDraft]) {
    for (index, route) in routes.iter().enumerate() {
        if let Some(first) = routes[..index].iter().find(|first| route.is_twin_of(first)) {
            section.source.refuse(
                &route.place,
                format!(
                    "{} is for the same paths and methods already; take one \
                     of the two away, or give each other methods",
                    first.place.path
                ),
            );
        }
    }
}

/// A site without an account of its own takes that of the site where its people sign in, or else the only one.
fn default_accounts(drafts: &mut [Draft<'_>], accounts: &Names) {
    let own: Vec<_> = drafts.iter().map(|site| (site.name.clone(), site.account.clone())).collect();
    for site in drafts {
        if site.account.is_some() || site.section.has("account") {
            continue;
        }
        let elsewhere = site.sign_in_at.as_ref();
        let elsewhere = elsewhere.and_then(|at| own.iter().find(|(name, _)| *name == at.value));
        site.account = match &*accounts.usual {
            [only] => Some(only.clone()),
            _ => elsewhere.and_then(|(_, account)| account.clone()),
        };
        let all_say =
            !site.routes.is_empty() && site.routes.iter().all(|route| route.all.account.is_some());
        if site.account.is_none() && !accounts.all.is_empty() && !all_say {
            let place = site.section.place.below("account");
            let why = if accounts.usual.is_empty() {
                "there are mini-programs alone, to which nobody can be sent to sign in; write an account of another kind"
                    .to_owned()
            } else {
                format!(
                    "there are several accounts, so one has to be chosen; write account = one of {}",
                    accounts.usual.join(", ")
                )
            };
            site.section.source.refuse(&place, why);
        }
    }
}

impl Draft<'_> {
    /// Whether it can ask people who they are.
    pub(super) fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The site with its name. `None` where something of it is wrong, which has been noted.
    pub(super) fn finish(self) -> Option<(String, Site)> {
        // Where each route names its account, the first one's serves what belongs to no route.
        let first = || self.routes.first().and_then(|route| route.all.account.as_ref());
        let account = self.account.clone().or_else(|| first().map(|given| given.value.clone()))?;
        let finished = self.routes.into_iter().map(|route| route.finish(&account));
        let mut routes = finished.collect::<Option<Vec<_>>>()?;
        routes.sort_by_cached_key(precedence);
        let offers_website = self.website.as_ref().map(|_| Outside::Website);
        let site = Site {
            outside_wechat: self
                .outside
                .map(|given| given.value)
                .or(offers_website)
                .unwrap_or_default(),
            website: self.website.map(|given| given.value),
            mini_programs: self.mini_programs.into_iter().map(|given| given.value).collect(),
            jssdk: self.jssdk.is_some(),
            public_url: self.public_url?.value,
            hosts: self.hosts.into_iter().map(|given| given.value).collect(),
            sign_in_at: self.sign_in_at.map(|given| given.value),
            account,
            cors_origins: self.cors_origins,
            proof_files: self.proof_files,
            forward_auth: self.forward_auth,
            allow_openids: self.lists.0,
            allow_unionids: self.lists.1,
            routes,
        };
        Some((self.name, site))
    }
}
