//! The accounts and people that the simulated WeChat knows, as a TOML file describes them.

mod checks;

use std::net::IpAddr;

use serde::Deserialize;
use url::Url;

use super::ids;

/// The `agentid` of an account that is given none: what the first app of a corp gets.
const FIRST_AGENT: u32 = 1_000_002;

/// Everything that exists in a simulated WeChat.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct World {
    /// The accounts that may ask for a sign-in.
    pub accounts: Vec<Account>,
    /// The people who can sign in.
    pub users: Vec<User>,
    /// Where reports about the real platform disagree, which side the simulator takes.
    #[serde(default)]
    pub switches: Switches,
}

/// An account at the platform.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Account {
    /// `wx` and 16 hexadecimal digits. For WeCom the corpid, which may begin with `ww` as well.
    pub appid: String,
    /// The app secret that exchanges a code. For WeCom the secret of the corp's app.
    pub secret: String,
    /// The name on the consent sheet. Default: none, the appid is shown.
    #[serde(default)]
    pub name: String,
    /// The hosts of 网页授权域名 or 授权回调域: matched exactly, without scheme and port. In WeCom a host may have a port,
    /// and is then good for that port alone. A mini-program needs none. Default: none.
    #[serde(default)]
    pub callback_hosts: Vec<String>,
    /// Default: an official account.
    #[serde(default)]
    pub kind: AccountKind,
    /// The scopes that an official account owns. Other kinds own what their kind owns. Default: `snsapi_base` and
    /// `snsapi_userinfo`.
    #[serde(default = "both_scopes")]
    pub scopes: Vec<String>,
    /// Banned: its authorize page is error 10004. Default: false.
    #[serde(default)]
    pub banned: bool,
    /// A sandbox test account: only its followers may sign in, others get error 10006. Default: false.
    #[serde(default)]
    pub sandbox: bool,
    /// Bound to an Open Platform account, without which nobody has a unionid here. Default: true.
    #[serde(default = "yes")]
    pub open_platform: bool,
    /// The app within a WeCom corp. Default: 1000002.
    #[serde(default)]
    pub agentid: Option<u32>,
    /// The addresses that may fetch the account's own access token; others get 40164. In WeCom, those that may use it;
    /// others get 60020. Mini-programs are exempt. Default: every address may.
    #[serde(default)]
    pub ip_list: Option<Vec<IpAddr>>,
}

/// What kind of account it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AccountKind {
    /// 公众号: signs people in inside WeChat.
    #[default]
    OfficialAccount,
    /// 网站应用: signs people in on a desktop, by a QR code. Its appid on the official-account page is error 10016.
    Website,
    /// 小程序: sends codes of its own, without any page.
    MiniProgram,
    /// 企业微信: a corp and one app of it, which signs in the corp's members.
    Wecom,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct User {
    /// How scripts call the person: `[a-z0-9-]`, as in `X-Simulator-User`.
    pub name: String,
    /// Any Unicode. Default: empty.
    #[serde(default)]
    pub nickname: String,
    /// The `headimgurl`; empty for somebody without one. Default: a picture that the simulator draws.
    #[serde(default)]
    pub avatar: Option<String>,
    /// The appids of the accounts that the person follows. Default: none.
    #[serde(default)]
    pub follower_of: Vec<String>,
    /// `true` for a made-up unionid, `false` for none, or the unionid itself. Default: `true`.
    #[serde(default)]
    pub unionid: Unionid,
    /// Arrives by a snapshot page whenever the scope is `snsapi_userinfo`: signed in without being asked, with a
    /// virtual openid, unionid and profile. Default: false.
    #[serde(default)]
    pub snapshot: bool,
    /// The member id in every WeCom corp of this world. Default: none, the person is an outsider there.
    #[serde(default)]
    pub userid: Option<String>,
    /// Country code and number, such as `+86 13800138000`. Default: a made-up one.
    #[serde(default)]
    pub phone: Option<String>,
}

/// Whether a person has a unionid, and which.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected true, false or a unionid")]
pub enum Unionid {
    /// Whether to make one up.
    MadeUp(bool),
    /// This one.
    Given(String),
}

/// Where reports about the real platform disagree. Every default is `false`, the stricter or better attested side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools)] // Independent switches are what this is.
pub struct Switches {
    /// Accept the parameters of the authorize URL in any order.
    pub lenient_order: bool,
    /// Show 请在微信客户端打开链接 to browsers whose user agent is not WeChat's. Off, the simulator plays WeChat's
    /// browser itself.
    pub require_wechat_ua: bool,
    /// A later `snsapi_base` grant leaves earlier refresh tokens alive, instead of voiding them.
    pub base_grant_keeps_refresh: bool,
    /// A wrong secret is answered with 40001 instead of 40125. WeCom always does.
    pub wrong_secret_is_40001: bool,
    /// So many visits of one person to the authorize page of one account a minute, then error 10009. Default: no limit.
    pub authorizes_per_minute: Option<u32>,
    /// So many sign-ins of one person to one mini-program a minute, then error 45011. Default: no limit. WeChat's is 100.
    pub code2sessions_per_minute: Option<u32>,
}

/// A world file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorldError {
    /// Not TOML, an unknown key, or a value of the wrong kind.
    #[error("the world file cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// It reads well and makes no sense. Every problem is listed.
    #[error("the world file makes no sense: {}", .0.join("; "))]
    Contents(Vec<String>),
}

impl World {
    /// One account of each kind, with the callback hosts `127.0.0.1` and `localhost`:
    ///
    /// | kind | appid | secret |
    /// | --- | --- | --- |
    /// | official account | `wx0123456789abcdef` | `0123456789abcdef0123456789abcdef` |
    /// | website | `wx1111111111111111` | 32 times `1` |
    /// | mini-program | `wx2222222222222222` | 32 times `2` |
    /// | WeCom | `ww3333333333333333`, agent 1000002 | 43 times `3` |
    ///
    /// And four people: `alice` follows the official account and is the member `AliceZhang` of the corp, `bob` is
    /// neither, `carol` arrives by a snapshot page, `dave` has neither unionid nor picture.
    ///
    /// # Panics
    ///
    /// Never: a test reads the file that is compiled in.
    pub fn builtin() -> Self {
        Self::from_toml(include_str!("../builtin.toml")).expect("the built-in world is valid")
    }

    /// Reads a world file. Unknown keys are errors, and so are values that contradict each other.
    pub fn from_toml(text: &str) -> Result<Self, WorldError> {
        let world: Self = toml::from_str(text)?;
        let problems = world.problems();
        if problems.is_empty() { Ok(world) } else { Err(WorldError::Contents(problems)) }
    }

    /// The account with this appid.
    pub fn account(&self, appid: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.appid == appid)
    }

    /// The person whom scripts call `name`.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }
}

impl Account {
    /// What people see: its name, or its appid where it has none.
    pub fn title(&self) -> &str {
        if self.name.is_empty() { &self.appid } else { &self.name }
    }

    /// Whether people may be sent back there.
    pub(super) fn has_callback_host(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let with_port = url.port_or_known_default().map(|port| format!("{host}:{port}"));
        self.callback_hosts.iter().any(|known| {
            known.eq_ignore_ascii_case(host)
                // Only a corp's host can have a port.
                || with_port.as_ref().is_some_and(|it| known.eq_ignore_ascii_case(it))
        })
    }

    /// Whether the person can sign in on a desktop: in WeCom only members can.
    pub(super) fn signs_in(&self, user: &User) -> bool {
        self.kind != AccountKind::Wecom || user.userid.is_some()
    }

    /// The app within a WeCom corp; nothing for other accounts.
    pub(super) fn agent(&self) -> Option<u32> {
        (self.kind == AccountKind::Wecom).then(|| self.agentid())
    }

    /// The app within a WeCom corp.
    pub fn agentid(&self) -> u32 {
        self.agentid.unwrap_or(FIRST_AGENT)
    }

    /// Whether a request from this address may have to do with the account's own access token.
    pub(super) fn lists(&self, ip: IpAddr) -> bool {
        self.ip_list.as_ref().is_none_or(|list| list.contains(&ip))
            || self.kind == AccountKind::MiniProgram
    }
}

impl AccountKind {
    /// As people call it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::OfficialAccount => "公众号 official account",
            Self::Website => "网站应用 website",
            Self::MiniProgram => "小程序 mini-program",
            Self::Wecom => "企业微信 WeCom",
        }
    }

    /// As the world file calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OfficialAccount => "official-account",
            Self::Website => "website",
            Self::MiniProgram => "mini-program",
            Self::Wecom => "wecom",
        }
    }
}

impl User {
    /// The person's openid at an account: 28 characters, always the same for the same appid and name.
    pub fn openid(&self, appid: &str) -> String {
        ids::person_id(appid, &self.name)
    }

    /// The person's unionid, the same at every account that is bound to the Open Platform.
    pub fn unionid(&self) -> Option<String> {
        match &self.unionid {
            Unionid::MadeUp(false) => None,
            Unionid::MadeUp(true) => Some(ids::person_id("open platform", &self.name)),
            Unionid::Given(unionid) => Some(unionid.clone()),
        }
    }

    /// The openid that a snapshot page gives instead of the real one.
    pub fn virtual_openid(&self, appid: &str) -> String {
        ids::person_id(appid, &format!("snapshot of {}", self.name))
    }

    /// The unionid that a snapshot page gives instead of the real one.
    pub fn virtual_unionid(&self) -> Option<String> {
        let person = format!("snapshot of {}", self.name);
        self.unionid().map(|_| ids::person_id("open platform", &person))
    }

    /// The person's `external_userid` in a WeCom corp, for whoever is no member of it.
    pub fn external_userid(&self, corpid: &str) -> String {
        let id = ids::person_id(corpid, &format!("outsider {}", self.name));
        format!("wm{id}")
    }

    /// Country code and number: those in the world, or made-up ones.
    pub fn phone(&self) -> (String, String) {
        let given =
            self.phone.as_deref().and_then(|phone| phone.strip_prefix('+')?.split_once(' '));
        match given {
            Some((country, number)) => (country.to_owned(), number.to_owned()),
            None => ("86".to_owned(), format!("1380013{}", ids::digits(&self.name))),
        }
    }

    /// Whether the person follows the account when the simulator starts.
    pub fn follows(&self, appid: &str) -> bool {
        self.follower_of.iter().any(|followed| followed == appid)
    }
}

impl Default for Unionid {
    fn default() -> Self {
        Self::MadeUp(true)
    }
}

fn both_scopes() -> Vec<String> {
    vec!["snsapi_base".to_owned(), "snsapi_userinfo".to_owned()]
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_world_has_the_four_people() {
        let world = World::builtin();
        let account = &world.accounts[0];
        assert_eq!(account.appid, "wx0123456789abcdef");
        assert_eq!(account.secret, "0123456789abcdef0123456789abcdef");
        assert_eq!(account.callback_hosts, ["127.0.0.1", "localhost"]);
        let user = |name| world.user(name).expect(name);
        assert!(user("alice").follows(&account.appid));
        assert!(user("alice").unionid().is_some());
        assert!(!user("bob").follows(&account.appid));
        assert!(user("carol").snapshot);
        assert_eq!(user("dave").unionid(), None);
        assert_eq!(user("dave").avatar.as_deref(), Some(""));
        assert_eq!(user("alice").userid.as_deref(), Some("AliceZhang"));
        assert_eq!(user("bob").userid, None);
    }

    #[test]
    fn the_builtin_world_has_an_account_of_each_kind() {
        let world = World::builtin();
        let accounts: Vec<_> =
            world.accounts.iter().map(|it| (it.kind, &*it.appid, &*it.secret)).collect();
        let (ones, twos, threes) = ("1".repeat(32), "2".repeat(32), "3".repeat(43));
        assert_eq!(
            accounts[1..],
            [
                (AccountKind::Website, "wx1111111111111111", &*ones),
                (AccountKind::MiniProgram, "wx2222222222222222", &*twos),
                (AccountKind::Wecom, "ww3333333333333333", &*threes),
            ]
        );
        assert_eq!(world.accounts[3].agentid(), 1_000_002);
        assert!(world.accounts.iter().all(|it| it.open_platform && it.callback_hosts.len() == 2));
    }

    #[test]
    fn a_phone_is_the_one_in_the_world_or_made_up() {
        let mut bob = World::builtin().user("bob").expect("bob").clone();
        let (country, number) = bob.phone();
        assert_eq!((&*country, number.len()), ("86", 11));
        assert_eq!(bob.phone(), (country, number));
        bob.phone = Some("+852 91234567".to_owned());
        assert_eq!(bob.phone(), ("852".to_owned(), "91234567".to_owned()));
    }
}
