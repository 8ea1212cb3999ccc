//! What a configuration comes to, for people: what to register at WeChat, and which route decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    data::{Config, PathRule, Route, Site},
    values::login_word,
};
use crate::{
    login::Login,
    wechat::{Account, AccountKind},
};

impl Config {
    /// The host names that have to be registered at WeChat, by account.
    pub fn callback_hosts(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut hosts: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (name, site) in &self.sites {
            let at = site.sign_in_at.as_ref().unwrap_or(name);
            let host = self.sites[at].public_url.authority();
            let clients = self.clients.values().filter(|client| client.site == *name);
            let routes = site.routes.iter().filter(|route| route.login > Login::Off);
            let accounts = routes.map(|route| &route.account).chain(clients.map(|_| &site.account));
            let accounts = accounts.map(String::as_str).chain(site.website_in_use());
            for account in accounts {
                hosts.entry(account).or_default().insert(host);
            }
        }
        hosts.into_iter().map(|(name, hosts)| (name, hosts.into_iter().collect())).collect()
    }

    /// Whether anything needs the account's own `access_token`.
    pub fn uses_server_token(&self, account: &str) -> bool {
        self.server_token_secrets.contains_key(account)
            || self.sites.values().any(|site| {
                let follows = |route: &Route| route.followers_only && route.account == account;
                (site.jssdk && site.account == account) || site.routes.iter().any(follows)
            })
    }

    /// Whether WeChat sends people back to this site.
    pub fn is_called_back(&self, site: &str) -> bool {
        let host = self.sites.get(site).map(|site| site.public_url.authority());
        let is_own = self.sites.get(site).is_some_and(|site| site.sign_in_at.is_none());
        is_own && self.callback_hosts().values().flatten().any(|other| Some(*other) == host)
    }

    /// What it comes to, in some lines of text that end without a line break: per site what to register at WeChat, and
    /// the routes in the order in which they are asked.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (name, site) in &self.sites {
            self.site(&mut text, name, site).expect("text can be written to");
        }
        text.truncate(text.trim_end().len());
        text
    }

    fn site(&self, text: &mut String, name: &str, site: &Site) -> std::fmt::Result {
        writeln!(text, "[site.{name}] {}", site.public_url)?;
        let mut accounts: BTreeSet<&str> = site
            .routes
            .iter()
            .filter(|route| route.login > Login::Off)
            .map(|route| &*route.account)
            .collect();
        let guests =
            self.sites.iter().filter(|(_, other)| other.sign_in_at.as_deref() == Some(name));
        let guests: Vec<_> = guests.collect();
        for (_, guest) in &guests {
            let asking = guest.routes.iter().filter(|route| route.login > Login::Off);
            accounts.extend(asking.map(|route| &*route.account));
        }
        accounts.extend(site.website_in_use());
        accounts.extend(site.mini_programs.iter().map(String::as_str));
        for (_, guest) in &guests {
            accounts.extend(guest.website_in_use());
        }
        if self.clients.values().any(|client| client.site == name) {
            accounts.insert(&site.account);
        }
        match &site.sign_in_at {
            Some(at) => {
                writeln!(text, "  at WeChat: nothing to register: people sign in at site {at}")?;
            }
            None if accounts.is_empty() => {
                writeln!(text, "  at WeChat: nothing to register: nobody signs in here")?;
            }
            None => {
                for account in accounts {
                    register(text, account, &self.accounts[account], site)?;
                    if self.uses_server_token(account) {
                        writeln!(
                            text,
                            "    its own access_token is needed: put this machine's public address on the account's IP list \
                             (IP白名单)"
                        )?;
                    }
                }
            }
        }
        for file in &site.proof_files {
            writeln!(text, "  proof file: {}/{}", site.public_url, file.name)?;
        }
        if !guests.is_empty() {
            let names: Vec<_> = guests.iter().map(|(name, _)| &***name).collect();
            writeln!(text, "  people of these sites sign in here too: {}", names.join(", "))?;
        }
        let site_of = name;
        for (name, client) in self.clients.iter().filter(|(_, client)| client.site == site_of) {
            writeln!(text, "  app {name} signs in here, as {}", client.appid)?;
        }
        if site.forward_auth {
            writeln!(
                text,
                "  answers other proxies at /_wx/auth, /_wx/forward-auth and /_wx/ext-authz/"
            )?;
        }
        routes(text, &site.routes)?;
        writeln!(text)
    }
}

fn register(text: &mut String, name: &str, account: &Account, site: &Site) -> std::fmt::Result {
    let host = site.public_url.authority();
    let appid = account.appid();
    if account.message_keys().is_some() {
        let which = if site.account == name { String::new() } else { format!("?account={name}") };
        let url = &site.public_url;
        writeln!(
            text,
            "  messages of account {name} (服务器配置, URL): {url}/_wx/messages{which}"
        )?;
    }
    match account.kind() {
        AccountKind::OfficialAccount => {
            writeln!(
                text,
                "  at WeChat: register 网页授权域名: {host} for account {name} ({appid}), at mp.weixin.qq.com"
            )?;
            if site.proof_files.is_empty() {
                writeln!(
                    text,
                    "    WeChat gives you a file MP_verify_....txt for that: name it in proof_files"
                )?;
            }
            Ok(())
        }
        AccountKind::Website => {
            writeln!(
                text,
                "  at WeChat: register 授权回调域: {host} for account {name} ({appid}), at open.weixin.qq.com"
            )
        }
        AccountKind::Wecom => {
            writeln!(
                text,
                "  at WeCom: register 可信域名: {host} for the app of account {name} ({appid}), at work.weixin.qq.com"
            )
        }
        AccountKind::MiniProgram => {
            writeln!(
                text,
                "  at WeChat: register request合法域名 and 业务域名: {host} for account {name} ({appid}), at mp.weixin.qq.com"
            )
        }
    }
}

/// The routes as a table, in the order in which they are asked.
fn routes(text: &mut String, routes: &[Route]) -> std::fmt::Result {
    if routes.is_empty() {
        return writeln!(text, "  no routes");
    }
    writeln!(text, "  routes, of which the first that fits decides:")?;
    let rows: Vec<_> = routes.iter().map(row).collect();
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "{cell:width$}  ")?;
        }
        line.push_str(&row[4]);
        writeln!(text, "    {}", line.trim_end())?;
    }
    Ok(())
}

fn row(route: &Route) -> [String; 5] {
    let (kind, path) = match &route.path {
        PathRule::Prefix(path) => ("prefix", path),
        PathRule::Exact(path) => ("exact", path),
        PathRule::Pattern(path) => ("pattern", path),
    };
    let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
    let methods = if methods.is_empty() { "all methods".to_owned() } else { methods.join(" ") };
    let mut login = format!("login {}", login_word(route.login));
    if !route.allow_openids.is_empty() || !route.allow_unionids.is_empty() {
        let count = route.allow_openids.len() + route.allow_unionids.len();
        write!(login, ", {count} allowed").expect("text can be written to");
    }
    let nowhere = || "answers other proxies only".to_owned();
    let to = route.upstream.as_ref().map_or_else(nowhere, |upstream| upstream.url.to_string());
    [kind.to_owned(), path.clone(), methods, login, to]
}
