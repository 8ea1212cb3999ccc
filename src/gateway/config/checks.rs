//! What can be right in itself and wrong with the rest.

use std::net::{IpAddr, SocketAddr};

use super::{
    account,
    data::{ClientApp, Config, StoreKind},
    kinds,
    reader::{Given, Place, Section, Source},
    site::Draft,
    values::{login_word, quoted},
};
use crate::{
    gateway::site::canonical_host, login::Login, origin::Origin, session::Subject,
    wechat::AccountKind,
};

/// Notes what sites, accounts and clients say against each other.
pub(super) fn across_sites(
    source: &Source<'_>,
    listen: &[SocketAddr],
    sites: &[Draft<'_>],
    accounts: &account::Drafts,
    clients: &[(String, Given<ClientApp>)],
) {
    note_shared_hosts(source, sites);
    for site in sites {
        note_sign_in(source, site, sites);
        let is_named = sites
            .iter()
            .any(|other| other.sign_in_at.as_ref().is_some_and(|at| at.value == site.name))
            || clients.iter().any(|(_, client)| client.value.site == site.name);
        if site.is_empty()
            && !is_named
            && !site.section.has("route")
            && !site.section.has("upstream")
        {
            let why = "there is nothing behind it; write for example upstream = \"http://127.0.0.1:3000\"";
            source.refuse(&site.section.place.below("upstream"), why);
        }
        for route in &site.routes {
            let Some(upstream) = &route.all.upstream else { continue };
            if let Some(own) = listen.iter().find(|addr| upstream.value.is(**addr)) {
                source.refuse(
                    &upstream.place,
                    format!(
                        "{} is the gateway itself, which listens on {own}; write \
                         where the app listens, or let one of the two listen elsewhere",
                        quoted(&upstream.value.to_string())
                    ),
                );
            }
        }
        kinds::check(source, site, accounts);
        warn_of_site(source, site, accounts);
    }
}

fn note_shared_hosts(source: &Source<'_>, sites: &[Draft<'_>]) {
    let mut known: Vec<(String, &str)> = Vec::new();
    for site in sites {
        // Cookies know no ports, so two sites on one host could not be kept apart.
        let public =
            site.public_url.iter().map(|url| (canonical_host(url.value.authority()), &url.place));
        let others = site.hosts.iter().map(|host| (canonical_host(&host.value), &host.place));
        for (host, place) in public.chain(others) {
            match known.iter().find(|(other, _)| *other == host) {
                Some((_, of)) if *of == site.name => {
                    source.refuse(
                        place,
                        format!("{} leads here already; leave it out", quoted(&host)),
                    );
                }
                Some((_, of)) => {
                    source.refuse(
                        place,
                        format!(
                            "{} leads to site {of:?} already; a host belongs to one site, whatever the \
                             port, and its routes tell paths apart",
                            quoted(&host)
                        ),
                    );
                }
                None => known.push((host, &site.name)),
            }
        }
    }
}

fn note_sign_in(source: &Source<'_>, site: &Draft<'_>, sites: &[Draft<'_>]) {
    let Some(at) = &site.sign_in_at else { return };
    if at.value == site.name {
        source.refuse(
            &at.place,
            "that is this site itself; leave the key out, and people sign in here",
        );
        return;
    }
    let further = sites
        .iter()
        .find(|other| other.name == at.value)
        .and_then(|other| other.sign_in_at.as_ref());
    if let Some(further) = further {
        source.refuse(
            &at.place,
            format!(
                "people of site {:?} sign in elsewhere themselves; write {:?}",
                at.value, further.value
            ),
        );
    }
}

fn warn_of_site(source: &Source<'_>, site: &Draft<'_>, accounts: &account::Drafts) {
    let root = site.routes.iter().find(
        |route| matches!(&route.path, Some(super::data::PathRule::Prefix(path)) if path == "/"),
    );
    let restricted = site
        .routes
        .iter()
        .find(|route| route.all.is_restricted() && route.all.asks() > Login::Optional);
    if let (Some(root), Some(restricted)) = (root, restricted)
        && root.all.asks() == Login::Off
    {
        let place = root.all.login.as_ref().map_or(&root.place, |login| &login.place);
        source.warn(
            place,
            format!(
                "everybody reaches the app here, while {} is for the people of a list: make \
                 sure that the app serves nothing of it under another path",
                restricted.place.path
            ),
        );
    }
    for route in &site.routes {
        let (Some(login), account) = (&route.own.login, route.all.account.as_ref()) else {
            continue;
        };
        let name = account.map(|given| &given.value).or(site.account.as_ref());
        let account = accounts.iter().find(|(other, _)| Some(other) == name);
        let is_website = account
            .is_some_and(|(_, account)| account.value.account.kind() == AccountKind::Website);
        if is_website && login.value == Login::Base {
            source.warn(
                &login.place,
                format!(
                    "people of a website account sign in by scanning a code, which \
                     always tells nickname and avatar: {:?} and {:?} are the same here",
                    login_word(Login::Base),
                    login_word(Login::Userinfo)
                ),
            );
        }
    }
}

/// Notes what is allowed and may still not be meant.
pub(super) fn warn(
    top: &Section<'_>,
    config: &Config,
    accounts: &[(String, Place)],
    sites: &[(String, Place)],
) {
    let source = top.source;
    if let Some(admin) = config.admin_listen
        && !admin.ip().is_loopback()
    {
        source.warn(
            &top.place_of("admin_listen"),
            format!(
                "{} can be reached by other machines, and what is \
                 told there has no password; see that only yours can, or write \"127.0.0.1:{}\"",
                quoted(&admin.to_string()),
                admin.port()
            ),
        );
    }
    let open = config.listen.iter().find(|addr| is_public(addr.ip()));
    if let Some(addr) = open
        && config.tls.is_none()
        && config.trusted_proxies.is_empty()
    {
        source.warn(
            &top.place_of("listen"),
            format!(
                "{} can be reached from outside without TLS; write [tls], \
                 or let a proxy end TLS and name its address in trusted_proxies",
                quoted(&addr.to_string())
            ),
        );
    }
    if config.log_openid {
        source.warn(
            &top.place_of("log_openid"),
            "openids are personal data, and will be in the log as they are",
        );
    }
    let asks_nobody = config.trusted_proxies.is_empty();
    if let Some((name, _)) = config.sites.iter().find(|(_, site)| site.forward_auth && asks_nobody)
    {
        source.warn(
            &top.place_of("trusted_proxies"),
            format!(
                "site {name:?} has forward_auth, and no proxy may ask: every question is answered \
                 with 403; name the proxy's address here, such as [\"127.0.0.1\"]"
            ),
        );
    }
    warn_of_accounts(top, config, accounts);
    for (name, place) in sites {
        let url = &config.sites[name].public_url;
        // A simulator takes what WeChat does not.
        if config.is_called_back(name)
            && !config.wechat.open().is_loopback()
            && !is_registrable(url)
        {
            source.warn(
                place,
                format!(
                    "WeChat sends people back to host names without a port only, and {} is \
                     none; only a simulator takes it",
                    quoted(url.as_str())
                ),
            );
        }
    }
}

fn warn_of_accounts(top: &Section<'_>, config: &Config, accounts: &[(String, Place)]) {
    let source = top.source;
    if config.session.subject == Subject::Unionid && config.session.store == StoreKind::Memory {
        source.warn(
            &top.section("session").place_of("subject"),
            "a start forgets the unionids, so who signs in silently after one is appid:openid again until the next \
             sign-in that tells the unionid; keep sessions in a file or in Redis: write for example \
             store = \"file:wxgate.db\" next to it",
        );
    }
    for name in config.server_token_secrets.keys().filter(|_| config.admin_listen.is_none()) {
        if let Some((_, place)) = accounts.iter().find(|(other, _)| other == name) {
            source.warn(
                &place.below("server_token_secret_file"),
                "other servers would ask for the token at the admin listener, and there is none; write admin_listen = \
                 \"127.0.0.1:9101\" at the top",
            );
        }
    }
    for (name, hosts) in config.callback_hosts() {
        let (most, what) = match config.accounts[name].kind() {
            AccountKind::OfficialAccount => (2, "two hosts (网页授权域名)"),
            AccountKind::Website => (1, "one host (授权回调域)"),
            AccountKind::Wecom => (1, "one host (可信域名)"),
            AccountKind::MiniProgram => continue,
        };
        let place = accounts.iter().find(|(other, _)| other == name).map(|(_, place)| place);
        if let Some(place) = place
            && hosts.len() > most
        {
            source.warn(
                place,
                format!(
                    "WeChat takes {what} for one account, and people sign in with this one at \
                     {}: {}; let some of these sites sign in at another one with sign_in_at",
                    hosts.len(),
                    hosts.join(", ")
                ),
            );
        }
    }
    let is_mini_program =
        |name| config.sites.values().any(|site| site.mini_programs.contains(name));
    for (name, place) in accounts {
        if !config.callback_hosts().contains_key(&**name) && !is_mini_program(name) {
            source.warn(
                place,
                "nobody signs in with this account: no site or route names it that asks \
                 for a sign-in",
            );
        }
    }
}

fn is_registrable(url: &Origin) -> bool {
    let authority = url.authority();
    !authority.contains(':') && authority.parse::<IpAddr>().is_err() && authority.contains('.')
}

fn is_public(ip: IpAddr) -> bool {
    let is_private = match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    !ip.is_loopback() && !is_private
}

/// What to tell somebody whose appid is none.
pub(super) fn appid_advice(text: &str) -> String {
    let hint = if text.starts_with("gh_") {
        "; gh_... is the account's original id, and the appid stands next to the secret at WeChat's console"
    } else {
        ""
    };
    format!("{} is not an appid (wx and 16 hexadecimal digits){hint}", quoted(text))
}
