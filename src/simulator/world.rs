//! The accounts and people that the simulated WeChat knows, and the TOML file that describes them.

use std::collections::HashSet;

use serde::Deserialize;

use super::ids;

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
    /// `wx` and 16 hexadecimal digits.
    pub appid: String,
    /// The app secret that exchanges a code.
    pub secret: String,
    /// The name on the consent sheet. Default: none, the appid is shown.
    #[serde(default)]
    pub name: String,
    /// The hosts of 网页授权域名: matched exactly, without scheme and port.
    pub callback_hosts: Vec<String>,
    /// Default: an official account.
    #[serde(default)]
    pub kind: AccountKind,
    /// The scopes that the account owns. Default: `snsapi_base` and `snsapi_userinfo`.
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
}

/// What kind of account it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AccountKind {
    /// 公众号: signs people in inside WeChat.
    #[default]
    OfficialAccount,
    /// 网站应用: its appid on the official-account page is error 10016.
    Website,
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
    /// A wrong secret is answered with 40001 instead of 40125.
    pub wrong_secret_is_40001: bool,
    /// So many visits of one person to the authorize page of one account a minute, then error 10009. Default: no limit.
    pub authorizes_per_minute: Option<u32>,
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
    /// One official account, `wx0123456789abcdef` with the secret `0123456789abcdef0123456789abcdef` and the callback
    /// hosts `127.0.0.1` and `localhost`, and four people: `alice` follows it, `bob` does not, `carol` arrives by a
    /// snapshot page, `dave` has neither unionid nor picture.
    ///
    /// # Panics
    ///
    /// Never: a test reads the file that is compiled in.
    pub fn builtin() -> Self {
        Self::from_toml(include_str!("builtin.toml")).expect("the built-in world is valid")
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

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.accounts.is_empty() {
            problems.push("there is no account".to_owned());
        }
        if self.users.is_empty() {
            problems.push("there is no user".to_owned());
        }
        let mut seen = HashSet::new();
        for account in &self.accounts {
            if !seen.insert(&account.appid) {
                problems.push(format!("the appid {:?} is there twice", account.appid));
            }
            account.problems(&mut problems);
        }
        for user in &self.users {
            if !seen.insert(&user.name) {
                problems.push(format!("the user {:?} is there twice", user.name));
            }
            user.problems(self, &mut problems);
        }
        problems
    }
}

impl Account {
    /// What people see: its name, or its appid where it has none.
    pub fn title(&self) -> &str {
        if self.name.is_empty() { &self.appid } else { &self.name }
    }

    fn problems(&self, problems: &mut Vec<String>) {
        if !is_appid(&self.appid) {
            problems.push(format!(
                "the appid {:?} is not wx and 16 lower-case hexadecimal digits",
                self.appid
            ));
        }
        if self.secret.is_empty() {
            problems.push(format!("the account {:?} has no secret", self.appid));
        }
        for host in &self.callback_hosts {
            if host.is_empty() || host.contains(['/', ':', '@', '?', '#', ' ']) {
                problems.push(format!(
                    "the callback host {host:?} is not a bare host without scheme, port and path"
                ));
            }
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

    /// Whether the person follows the account.
    pub fn follows(&self, appid: &str) -> bool {
        self.follower_of.iter().any(|followed| followed == appid)
    }

    fn problems(&self, world: &World, problems: &mut Vec<String>) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.name.is_empty() || !self.name.bytes().all(plain) {
            problems.push(format!("the user name {:?} is not made of a-z, 0-9 and -", self.name));
        }
        for appid in &self.follower_of {
            if world.account(appid).is_none() {
                problems.push(format!(
                    "the user {:?} follows {appid:?}, which is no account",
                    self.name
                ));
            }
        }
    }
}

impl Default for Unionid {
    fn default() -> Self {
        Self::MadeUp(true)
    }
}

fn is_appid(text: &str) -> bool {
    text.strip_prefix("wx").is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
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
    }

    #[test]
    fn unknown_keys_are_errors() {
        let good = include_str!("builtin.toml");
        assert!(World::from_toml(good).is_ok());
        let error = World::from_toml(&good.replace("nickname", "nick")).unwrap_err();
        assert!(error.to_string().contains("nick"), "{error}");
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let text = include_str!("builtin.toml")
            .replace("\"127.0.0.1\"", "\"http://127.0.0.1\"")
            .replace("\"bob\"", "\"Bob!\"")
            .replace("\"carol\"", "\"alice\"");
        let error = World::from_toml(&text).unwrap_err().to_string();
        for part in ["http://127.0.0.1", "Bob!", "\"alice\" is there twice"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
}
