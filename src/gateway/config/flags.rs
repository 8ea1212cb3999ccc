//! The short form of a configuration: one account, one site and one app, from the flags of a command line.

use std::{cell::RefCell, ffi::OsString, fmt::Write, path::Path};

use toml::Value;

use super::{data::Config, problem::Problems, read, reader::Source, values::login_word};
use crate::login::Login;

/// What the flags say. Each stands for a key of the file, has the same default, and is checked in the same way.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `account.main.appid`
    pub appid: String,
    /// `account.main.secret_file`; without it, the variable `WXGATE_SECRET`.
    pub secret_file: Option<String>,
    /// `site.main.public_url`
    pub public_url: String,
    /// `site.main.upstream`
    pub upstream: String,
    /// `site.main.login`
    pub login: Login,
    /// `site.main.outside_wechat`
    pub outside_wechat: Option<String>,
    /// `listen`
    pub listen: Option<String>,
    /// `admin_listen`
    pub admin_listen: Option<String>,
    /// `trusted_proxies`
    pub trusted_proxy: Vec<String>,
    /// `session.store`
    pub store: Option<String>,
    /// `session.store_password_file`; without it, the variable `WXGATE_STORE_PASSWORD`.
    pub store_password_file: Option<String>,
    /// `session.key_file`
    pub key_file: Option<String>,
    /// `session.idle`
    pub session_idle: Option<String>,
    /// `session.life`
    pub session_life: Option<String>,
    /// `wechat.api`
    pub wechat_api: Vec<String>,
    /// `wechat.open`
    pub wechat_open: Option<String>,
}

/// The flag of each key.
const NAMES: [(&str, &str); 16] = [
    ("account.main.appid", "--appid"),
    ("account.main.secret_file", "--secret-file"),
    ("site.main.public_url", "--public-url"),
    ("site.main.upstream", "--upstream"),
    ("site.main.login", "--login"),
    ("site.main.outside_wechat", "--outside-wechat"),
    ("listen", "--listen"),
    ("admin_listen", "--admin-listen"),
    ("trusted_proxies", "--trusted-proxy"),
    ("session.store", "--store"),
    ("session.store_password_file", "--store-password-file"),
    ("session.key_file", "--key-file"),
    ("session.idle", "--session-idle"),
    ("session.life", "--session-life"),
    ("wechat.api", "--wechat-api"),
    ("wechat.open", "--wechat-open"),
];

/// The flag that a place of the text stands for.
pub(super) fn flag_of(path: &str) -> Option<&'static str> {
    let path = path.split('[').next()?;
    NAMES.iter().find(|(key, _)| *key == path).map(|(_, flag)| *flag)
}

impl Config {
    /// Makes a configuration from flags. `env` tells environment variables.
    ///
    /// # Errors
    /// With everything that is wrong, each by its flag.
    pub fn from_flags(
        flags: &Flags,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Problems> {
        // One way in, so that a flag cannot be checked less than its key.
        let text = flags.as_toml();
        let source = Source {
            file: "wxgate".into(),
            text: &text,
            folder: Path::new(""),
            env,
            from_flags: true,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            files: RefCell::default(),
        };
        read::read(&source)
    }
}

impl Flags {
    fn as_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        let one = |value: &str| Some(Value::String(value.to_owned()));
        let some = |value: &Option<String>| value.clone().map(Value::String);
        let list = |values: &[String]| {
            let values: Vec<_> = values.iter().cloned().map(Value::String).collect();
            (!values.is_empty()).then_some(Value::Array(values))
        };
        let lines = [
            ("", "listen", some(&self.listen)),
            ("", "admin_listen", some(&self.admin_listen)),
            ("", "trusted_proxies", list(&self.trusted_proxy)),
            ("session", "store", some(&self.store)),
            ("session", "store_password_file", some(&self.store_password_file)),
            ("session", "key_file", some(&self.key_file)),
            ("session", "idle", some(&self.session_idle)),
            ("session", "life", some(&self.session_life)),
            ("wechat", "api", list(&self.wechat_api)),
            ("wechat", "open", some(&self.wechat_open)),
            ("account.main", "appid", one(&self.appid)),
            ("account.main", "secret_file", some(&self.secret_file)),
            ("site.main", "public_url", one(&self.public_url)),
            ("site.main", "upstream", one(&self.upstream)),
            ("site.main", "login", one(login_word(self.login))),
            ("site.main", "outside_wechat", some(&self.outside_wechat)),
        ];
        for (of, key, value) in lines {
            let Some(value) = value else { continue };
            if of != section {
                section = of;
                writeln!(text, "[{section}]").expect("text can be written to");
            }
            writeln!(text, "{key} = {value}").expect("text can be written to");
        }
        text
    }
}
