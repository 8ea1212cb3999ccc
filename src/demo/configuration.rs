//! The configuration of the demo's gateway: a file as anybody could write it, which the site shows.

use std::path::Path;

use crate::{
    doors::FollowCode,
    gateway::config::Config,
    simulator::{Account, AccountKind, Simulator},
};

/// What differs from one start of the demo to the next.
#[derive(Debug)]
pub(super) struct Places<'a> {
    /// The address that people open.
    pub(super) public_url: &'a str,
    /// The site behind the gateway.
    pub(super) upstream: &'a str,
}

/// What each account is called in the file, and what it is.
const ACCOUNTS: [(&str, AccountKind, &str); 4] = [
    ("main", AccountKind::OfficialAccount, ""),
    ("web", AccountKind::Website, "kind = \"website\"\n"),
    ("mini", AccountKind::MiniProgram, "kind = \"mini-program\"\n"),
    ("corp", AccountKind::Wecom, "kind = \"wecom\"\nagentid = 1000002\n"),
];

/// The file, without secrets, which have no place in it.
pub(super) fn text(simulator: &Simulator, places: &Places<'_>) -> String {
    let Places { public_url, upstream } = places;
    let listen = public_url.trim_start_matches("http://");
    let wechat = simulator.url();
    let accounts: Vec<_> = ACCOUNTS
        .iter()
        .map(|(name, kind, more)| {
            let appid = &account(simulator, *kind).appid;
            format!("[account.{name}]\nappid = \"{appid}\"\n{more}")
        })
        .collect();
    let accounts = accounts.join("\n");
    format!(
        r#"listen = "{listen}"

# One person is one subject at every door, once WeChat has told the unionid.
[session]
subject = "unionid"

# The simulator, in place of WeChat's own hosts.
[wechat]
api = ["{wechat}"]
open = "{wechat}"
wecom = "{wechat}"
wecom_desktop = "{wechat}"

{accounts}
# Who is signed in is told to the site, and nobody has to be, unless a route below says so.
[site.demo]
public_url = "{public_url}"
upstream = "{upstream}"
account = "main"
website = "web"
mini_programs = ["mini"]
jssdk = true
login = "optional"
outside_wechat = "help"

[[site.demo.route]]
prefix = "/silent"
login = "base"

[[site.demo.route]]
prefix = "/profile"
login = "userinfo"

[[site.demo.route]]
prefix = "/desktop"
login = "base"
outside_wechat = "scan"

[[site.demo.route]]
prefix = "/website"
login = "base"
outside_wechat = "website"

[[site.demo.route]]
prefix = "/members"
login = "base"
require = "follower"

[[site.demo.route]]
prefix = "/staff"
account = "corp"
login = "base"

# The follower of the simulated phone has to be known.
[[site.demo.route]]
prefix = "/phone/follow"
login = "base"
"#
    )
}

/// What a gateway makes of the file, with the secrets of the simulator's accounts, and a picture to follow by.
pub(super) fn config(text: &str, simulator: &Simulator, follow_code: FollowCode) -> Config {
    let secret = |variable: &str| {
        let known = ACCOUNTS.iter().find(|(name, ..)| {
            variable == format!("WXGATE_ACCOUNT_{}_SECRET", name.to_ascii_uppercase())
        });
        known.map(|(_, kind, _)| account(simulator, *kind).secret.clone().into())
    };
    let mut config = Config::from_toml(text, Path::new("."), &secret)
        .expect("the demo's own configuration has no mistake");
    // `follow_code_file` would need a file.
    config.follow_codes.insert("main".into(), follow_code);
    config
}

/// The simulator has an account of each kind.
pub(super) fn account(simulator: &Simulator, kind: AccountKind) -> &Account {
    let mut accounts = simulator.world().accounts.iter();
    accounts.find(|account| account.kind == kind).expect("the built-in world has all kinds")
}
