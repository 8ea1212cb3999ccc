//! Reads what is said of the gateway as a whole, of accounts and of clients.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use super::{
    account::appid,
    data::{AssertionConfig, ClientApp, Config, Limits, TlsFiles},
    files,
    reader::{Given, Section},
    site::Draft,
    store, urls,
    values::{self, duration, known_name, quoted},
};
use crate::{
    origin::Origin,
    wechat::{AccountKind, Endpoints, Lang},
};

/// All but accounts, sites and clients.
pub(super) fn read(top: &Section<'_>) -> Config {
    let bool_of = |name| top.flag(name).is_some_and(|given| given.value);
    let listen = listen(top);
    let admin_listen = top.text("admin_listen", values::address);
    if let Some(admin) = &admin_listen
        && listen.contains(&admin.value)
    {
        top.source.refuse(
            &admin.place,
            format!(
                "{} is the address of listen: health and metrics are not for \
                 everybody; take another port",
                quoted(&admin.value.to_string())
            ),
        );
    }
    let cores =
        top.number("cores", 1..=256).map(|given| usize::try_from(given.value).expect("256 fits"));
    let rate_limit = top.number("rate_limit", 0..=1_000_000);
    Config {
        listen,
        admin_listen: admin_listen.map(|given| given.value),
        cores,
        trusted_proxies: values_of(top.list("trusted_proxies", values::network)),
        underscore_headers: bool_of("underscore_headers"),
        rate_limit: rate_limit
            .map_or(600, |given| u32::try_from(given.value).expect("a million fits")),
        pages: files::folder(top, "pages").map(|given| given.value),
        log_format: top.text("log_format", values::log_format).map(|given| given.value),
        log_openid: bool_of("log_openid"),
        lang: top.text("lang", values::lang).map_or(Lang::ZhCn, |given| given.value),
        tls: tls(&top.section("tls")),
        limits: limits(&top.section("limits")),
        session: store::session(&top.section("session")),
        wechat: wechat(&top.section("wechat")),
        assertion: assertion(&top.section("assertion")),
        accounts: BTreeMap::new(),
        server_token_secrets: BTreeMap::new(),
        follow_codes: BTreeMap::new(),
        sites: BTreeMap::new(),
        clients: BTreeMap::new(),
        warnings: Vec::new(),
        files: Vec::new(),
    }
}

/// The values of a list, without their places.
pub(super) fn values_of<T>(list: Option<Given<Vec<Given<T>>>>) -> Vec<T> {
    list.into_iter().flat_map(|list| list.value).map(|given| given.value).collect()
}

fn listen(top: &Section<'_>) -> Vec<SocketAddr> {
    let Some(given) = top.one_or_list("listen", values::address) else {
        return vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))];
    };
    if given.value.is_empty() && top.has_empty_list("listen") {
        top.source.refuse(
            &given.place,
            "it is empty, so nobody could connect; write for example listen = \"127.0.0.1:8080\"",
        );
    }
    let mut list = Vec::new();
    for Given { value, place } in given.value {
        // Port 0 is another one each time.
        if value.port() != 0 && list.contains(&value) {
            top.source.refuse(&place, format!("{} is there twice", quoted(&value.to_string())));
        }
        list.push(value);
    }
    list
}

fn tls(section: &Section<'_>) -> Option<TlsFiles> {
    let certificate = files::pem(section, "certificate");
    let key = files::pem(section, "key");
    for (given, missing) in [("certificate", "key"), ("key", "certificate")] {
        if section.has(given) && !section.has(missing) {
            section.missing(missing);
        }
    }
    if section.is_there() && !section.has("certificate") && !section.has("key") {
        section.missing("certificate");
        section.missing("key");
    }
    Some(TlsFiles { certificate: certificate?.value, key: key?.value })
}

fn limits(section: &Section<'_>) -> Limits {
    let default = Limits::default();
    let time = |name, range, default| {
        let given = section.text(name, duration(range));
        given.map_or(default, |given| given.value)
    };
    let connections = section.number("connections", 1..=10_000_000);
    let connections =
        connections.map(|given| usize::try_from(given.value).expect("ten millions fit"));
    Limits {
        request_head: time("request_head", values::REQUEST_HEAD, default.request_head),
        keep_alive: time("keep_alive", values::KEEP_ALIVE, default.keep_alive),
        drain: time("drain", values::DRAIN, default.drain),
        ready_wait: time("ready_wait", values::READY_WAIT, default.ready_wait),
        connections: connections.unwrap_or(default.connections),
    }
}

fn wechat(section: &Section<'_>) -> Endpoints {
    let api = section.list("api", urls::origin);
    if let Some(api) = &api
        && api.value.is_empty()
        && section.has_empty_list("api")
    {
        section.source.refuse(&api.place, "it is empty; leave the key out for WeChat's own hosts");
    }
    let api = values_of(api);
    let endpoints = Endpoints::default().with_api(api.iter().map(Origin::as_str));
    let endpoints = endpoints.expect("these are origins");
    let mut endpoints = endpoints;
    if let Some(open) = section.text("open", urls::origin) {
        endpoints = endpoints.with_open(open.value.as_str()).expect("it is an origin");
    }
    if let Some(wecom) = section.text("wecom", urls::origin) {
        endpoints = endpoints.with_wecom(wecom.value.as_str()).expect("it is an origin");
    }
    if let Some(desktop) = section.text("wecom_desktop", urls::origin) {
        endpoints = endpoints.with_wecom_desktop(desktop.value.as_str()).expect("it is an origin");
    }
    endpoints
}

fn assertion(section: &Section<'_>) -> AssertionConfig {
    AssertionConfig {
        key_files: files::pems(section, "key_file"),
        issuer: section.text("issuer", urls::issuer).map(|given| given.value),
    }
}

type Named<T> = Vec<(String, Given<T>)>;

/// The apps that sign in through us.
pub(super) fn clients(top: &Section<'_>, sites: &[Draft<'_>]) -> Named<ClientApp> {
    let mut found: Named<ClientApp> = Vec::new();
    for (name, section) in top.named("client", "client.*") {
        let appid = appid(&section);
        let secret = files::secret(&section, AccountKind::OfficialAccount);
        let names = || sites.iter().map(|site| &*site.name);
        let site = section.text("site", |text| known_name(text, "site", names()));
        if !section.has("site") {
            section.missing("site");
        }
        let uris = section.list("redirect_uris", urls::redirect_uri);
        match &uris {
            None if section.has("redirect_uris") => {}
            None => section.missing("redirect_uris"),
            Some(list) if section.has_empty_list("redirect_uris") => {
                section.source.refuse(
                    &list.place,
                    "it is empty, so nobody could ever sign in; write for example \
                     redirect_uris = [\"https://old.example.com/\"]",
                );
            }
            Some(_) => {}
        }
        let Some(appid) = appid else { continue };
        let twin = found.iter().find(|(_, other)| other.value.appid == appid.value);
        if let Some((other, _)) = twin {
            section.source.refuse(
                &appid.place,
                format!(
                    "{} is the appid of client {other:?} already; give each app its own",
                    quoted(appid.value.as_str())
                ),
            );
        }
        let (Some(secret), Some(site)) = (secret, site) else { continue };
        let value = ClientApp {
            appid: appid.value,
            secret,
            site: site.value,
            redirect_uris: values_of(uris),
        };
        found.push((name, Given { value, place: section.place.clone() }));
    }
    found
}
