//! Tests that each key is read and refused where it is wrong, and that no message shows a secret.

mod cases;
mod doors;
mod messages;
mod stores;
mod together;

use std::{
    ffi::OsString,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use self::cases::CASES;
use super::{Config, Flags, KEYS, Problems, keys::SECTIONS};
use crate::login::Login;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const KEYS_IN_FILE: &str =
    "wxgate-key-1 0a0b0c0d AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8 2026-01-31T08:30:00Z\n";
const ACCOUNT: &str = "[account.main]\nappid = 'wx0123456789abcdef'\n";
const SITE: &str =
    "[site.h5]\npublic_url = 'https://h5.example.com'\nupstream = 'http://127.0.0.1:3000'\n";

/// A folder with the files that configurations name.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("wxgate-config-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(path.join("public")).unwrap();
        fs::create_dir(path.join("pages")).unwrap();
        for (name, content) in [
            ("secret.txt", SECRET),
            ("empty.txt", " \n"),
            ("old-shop.txt", "fedcba9876543210fedcba9876543210"),
            ("message-token.txt", "spring\n"),
            ("message-aes-key.txt", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG\n"),
            ("cert.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("key.pem", "-----BEGIN PRIVATE KEY-----\n"),
            ("ca.pem", "-----BEGIN CERTIFICATE-----\n"),
            ("assertion.pem", "-----BEGIN PRIVATE KEY-----\n"),
            ("redis.txt", "open sesame\n"),
            ("wxgate.keys", KEYS_IN_FILE),
            ("MP_verify_0123456789abcdef.txt", "0123456789abcdef"),
            ("WW_verify_abc.txt", "abc\n"),
            ("MP_verify_empty.txt", ""),
            ("server-token-secret.txt", "0123456789abcdef\n"),
            ("old-pin.txt", "1234\n"),
            ("public/index.html", "<!doctype html>"),
        ] {
            fs::write(path.join(name), content).unwrap();
        }
        fs::write(path.join("follow.png"), b"\x89PNG\r\n\x1a\n").unwrap();
        fs::set_permissions(path.join("wxgate.keys"), Permissions::from_mode(0o600)).unwrap();
        Self(path)
    }

    fn read(&self, text: &str) -> Result<Config, Problems> {
        let env = |name: &str| {
            let known = [
                "WXGATE_ACCOUNT_MAIN_SECRET",
                "WXGATE_ACCOUNT_TWO_SECRET",
                "WXGATE_CLIENT_SHOP_SECRET",
            ];
            known.contains(&name).then(|| OsString::from(SECRET))
        };
        Config::from_toml(text, &self.0, &env)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// What is wrong, one line each, without the name of the file.
fn wrong(text: &str) -> Vec<String> {
    let problems = Folder::new().read(text).expect_err("something is wrong");
    problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
}

fn good(text: &str) -> Config {
    Folder::new().read(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

/// A file that is good, with a line put into one of its sections.
fn with(section: &str, line: &str) -> String {
    let client = "[client.shop]\nappid = 'wxabcdefabcdefabcd'\nsite = 'h5'\nredirect_uris = ['https://old.example.com/']\n";
    let put = |base: &str| {
        let key = line.split(" = ").next().unwrap();
        let kept = base.lines().filter(|old| !old.starts_with(&format!("{key} = ")));
        format!("{}\n{line}\n", kept.collect::<Vec<_>>().join("\n"))
    };
    let base = format!("{ACCOUNT}{SITE}");
    match section {
        "" => format!("{line}\n{base}"),
        "account.*" => format!("{}{SITE}", put(ACCOUNT)),
        "site.*" => format!(
            "{ACCOUNT}{}[site.login]\npublic_url = 'https://login.example.com'\nupstream = 'http://app:1'\n",
            put(SITE)
        ),
        "site.*.route" => {
            let path = ["prefix", "exact", "pattern"].iter().any(|key| line.starts_with(key));
            let path = if path { "" } else { "prefix = '/r'" };
            format!("{base}[[site.h5.route]]\n{path}\n{line}\n")
        }
        "client.*" => format!("{base}{}", put(client)),
        other => format!("[{other}]\n{line}\n{base}"),
    }
}

#[test]
fn c29_each_key_is_read_and_is_refused_where_it_is_wrong() {
    for key in KEYS {
        let case = CASES.iter().find(|case| case.0 == key.path);
        let (_, line, is_read, bad, hint) =
            case.unwrap_or_else(|| panic!("{} has no case", key.path));
        assert!(is_read(&good(&with(key.section(), line))), "{line} is not read");
        let said = wrong(&with(key.section(), bad));
        let at = |said: &&String| {
            said.contains(&format!(".{}", key.name())) || said.starts_with(key.name())
        };
        assert!(said.iter().any(|said| at(&said) && said.contains(hint)), "{bad}: {said:?}");
    }
    assert_eq!(CASES.len(), KEYS.len());
}

#[test]
fn c29_each_key_takes_its_example_and_no_value_of_another_type() {
    for key in KEYS {
        let said = wrong(&with(key.section(), &format!("{} = 1979-05-27", key.name())));
        assert!(
            said.iter().any(|said| said.contains("a date or time stands where")),
            "{}: {said:?}",
            key.path
        );
        let beside = match key.path {
            "account.*.message_aes_key_file" => "\nmessage_token_file = 'message-token.txt'",
            "account.*.agentid" => "\nkind = 'wecom'",
            "site.*.website" => {
                "\n[account.web]\nappid = 'wx1111111111111111'\nsecret_file = 'secret.txt'\nkind = 'website'"
            }
            "site.*.mini_programs" => {
                "\n[account.mini]\nappid = 'wx2222222222222222'\nsecret_file = 'secret.txt'\nkind = 'mini-program'"
            }
            "tls.certificate" => "\nkey = 'key.pem'",
            "tls.key" => "\ncertificate = 'cert.pem'",
            "session.store_password_file" => "\nstore = 'redis://cache'\nkey_file = 'wxgate.keys'",
            "site.*.route.upstream_ca" => "\nupstream = 'https://app'",
            "site.*.route.fallback" => "\nupstream = 'file:public'",
            _ => "",
        };
        good(&with(key.section(), &format!("{} = {}{beside}", key.name(), key.example)));
    }
}

#[test]
fn what_is_left_out_has_the_default_of_the_table() {
    let config = good(&format!("{ACCOUNT}{SITE}"));
    let explicit: Vec<_> = KEYS
        .iter()
        .filter(|key| {
            key.default.starts_with(['"', '['])
                || key.default.parse::<u64>().is_ok()
                || ["true", "false"].contains(&key.default)
        })
        .collect();
    assert!(explicit.len() > 20, "{}", explicit.len());
    let all_of = |section: &str| {
        let lines = explicit.iter().filter(|key| key.section() == section);
        lines.map(|key| format!("{} = {}\n", key.name(), key.default)).collect::<Vec<_>>().concat()
    };
    let text = format!(
        "{}[limits]\n{}[session]\n{}[wechat]\n{}{ACCOUNT}{}{SITE}{}[[site.h5.route]]\nprefix = '/'\n{}",
        all_of(""),
        all_of("limits"),
        all_of("session"),
        all_of("wechat"),
        all_of("account.*"),
        all_of("site.*"),
        all_of("site.*.route")
    );
    let written = good(&text);
    assert_eq!(format!("{written:?}"), format!("{config:?}"), "{text}");
    assert_eq!(config.sites["h5"].account, "main");
    assert!(config.cores.is_none() && config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn c29_keys_that_nobody_knows_are_refused_with_what_was_probably_meant() {
    for (section, line, hint) in [
        ("", "listn = 'x'", "did you mean \"listen\"?"),
        ("", "idle = '1h'", "belongs to [session]"),
        ("limits", "listen = 'x'", "belongs to the top of the file"),
        ("", "colour = 'red'", "keys here are listen"),
        ("site.*", "prefix = '/'", "belongs to [[site.NAME.route]]"),
        ("site.*", "public-url = 'x'", "did you mean \"public_url\"?"),
        ("site.*.route", "up_stream = 'x'", "did you mean \"upstream\"?"),
        ("site.*.route", "hosts = []", "belongs to [site.NAME]"),
        ("account.*", "app_id = 'x'", "did you mean \"appid\"?"),
        (
            "account.*",
            "colour = 'x'",
            "keys here are appid, secret_file, kind, agentid, server_token, server_token_secret_file, \
             follow_code_file, message_token_file, message_aes_key_file",
        ),
    ] {
        let said = wrong(&with(section, line));
        assert!(said[0].contains(hint), "{line}: {said:?}");
        assert_eq!(said.len(), 1, "{said:?}");
    }
    for (text, hint) in [
        ("[sites.h5]\n", "did you mean \"site\"?"),
        ("[site]\npublic_url = 'https://a.example'\n", "[site.main]"),
        ("[[site]]\n", "[site.main]"),
        ("[site.H5]\n", "1 to 32"),
        ("[site.h5.route]\n", "[[site.h5.route]]"),
        ("limits = 1\n", "[limits]"),
    ] {
        let said = wrong(&format!("{text}{ACCOUNT}"));
        assert!(said.iter().any(|said| said.contains(hint)), "{text}: {said:?}");
    }
}

#[test]
fn c45_no_key_makes_a_cookie_wider_than_its_host() {
    for section in ["", "session", "site.*", "account.*"] {
        for line in ["domain = 'example.com'", "cookie_domain = '.example.com'"] {
            let said = wrong(&with(section, line));
            let key = line.split(' ').next().unwrap();
            assert!(said.len() == 1 && said[0].contains(key), "{section} {line}: {said:?}");
        }
    }
    good(&with("session", "idle = '1h'"));
}

#[test]
fn c30_a_secret_that_is_missing_or_stands_in_the_file_is_refused() {
    let said = wrong(&format!("[account.other]\nappid = 'wx0123456789abcdef'\n{SITE}"));
    assert!(said[0].contains("account.other.secret_file: the app secret is missing"), "{said:?}");
    assert!(said[0].contains("WXGATE_ACCOUNT_OTHER_SECRET"), "{said:?}");
    let said = wrong(&with("account.*", &format!("secret = '{SECRET}'")));
    assert!(
        said[0].starts_with("account.main.secret: a secret has no place in this file"),
        "{said:?}"
    );
    let folder = Folder::new();
    for (value, hint) in [("", "is empty"), (" \n", "is empty")] {
        let env = |_: &str| Some(OsString::from(value));
        let error = Config::from_toml(&format!("{ACCOUNT}{SITE}"), &folder.0, &env).unwrap_err();
        assert!(error.to_string().contains(hint), "{error}");
    }
    good(&format!("{ACCOUNT}{SITE}"));
}

#[test]
fn w10_no_message_repeats_what_looks_like_a_secret() {
    let planted = "5ec2e75ec2e75ec2e75ec2e75ec2e7ab";
    for key in KEYS {
        for value in [format!("'{planted}'"), format!("['{planted}']"), format!("'/x/{planted}/y'")]
        {
            let text = with(key.section(), &format!("{} = {value}", key.name()));
            if let Err(problems) = Folder::new().read(&text) {
                let said = format!("{problems} {problems:?}");
                assert!(!said.contains("5ec2e7"), "{}: {said}", key.path);
                assert!(!said.is_empty());
            }
        }
    }
    for (section, _) in SECTIONS {
        for key in ["secret", "appsecret", "app_secrt", "unknown", planted] {
            let said = format!("{:?}", wrong(&with(section, &format!("{key} = '{planted}'"))));
            assert!(!said.contains("5ec2e7"), "{section} {key}: {said}");
        }
    }
    let broken = wrong(&format!("[account.main]\nsecret = {planted}\n"));
    assert!(!broken[0].contains("5ec2e7"), "{broken:?}");
}

#[test]
fn text_that_is_no_toml_is_named_by_line_and_column() {
    let text = format!("{ACCOUNT}kind = website\n[site.h5\n");
    let problems = Folder::new().read(&text).unwrap_err();
    let first = problems.iter().next().unwrap();
    assert_eq!((first.line, first.column), (Some(3), Some(8)), "{problems}");
    assert!(problems.to_string().starts_with("wxgate.toml:3:8: "), "{problems}");
    assert!(problems.iter().any(|problem| problem.line == Some(4)), "{problems}");
    assert!(problems.iter().all(|problem| problem.path.is_empty()), "{problems}");
}

#[test]
fn everything_is_reported_at_once_in_the_order_of_the_file() {
    let text = "listen = 8080\ncores = 0\n[account.main]\nappid = 'wx'\n[site.h5]\nupstream = 'x'\n\n[[site.h5.route]]\nlogin = 'bse'\n";
    let problems = Folder::new().read(text).unwrap_err();
    let lines: Vec<_> =
        problems.iter().map(|problem| (problem.line.unwrap(), &*problem.path)).collect();
    let wanted = [
        (1, "listen"),
        (2, "cores"),
        (4, "account.main.appid"),
        (5, "site.h5.public_url"),
        (6, "site.h5.upstream"),
        (8, "site.h5.route[0]"),
        (9, "site.h5.route[0].login"),
    ];
    assert_eq!(lines, wanted, "{problems}");
}

#[test]
fn flags_make_the_configuration_that_the_file_would() {
    let flags = Flags {
        appid: "wx0123456789abcdef".into(),
        public_url: "https://h5.example.com".into(),
        upstream: "http://127.0.0.1:3000".into(),
        login: Login::Userinfo,
        outside_wechat: Some("scan".into()),
        listen: Some("127.0.0.1:1".into()),
        admin_listen: Some("127.0.0.1:2".into()),
        trusted_proxy: vec!["127.0.0.1".into(), "10.0.0.0/8".into()],
        session_life: Some("1h".into()),
        wechat_api: vec!["http://127.0.0.1:9090".into()],
        wechat_open: Some("http://127.0.0.1:9090".into()),
        ..Flags::default()
    };
    let env = |name: &str| (name == "WXGATE_SECRET").then(|| OsString::from(SECRET));
    let config = Config::from_flags(&flags, &env).unwrap();
    let text = format!(
        "listen = '127.0.0.1:1'\nadmin_listen = '127.0.0.1:2'\n\
         trusted_proxies = ['127.0.0.1', '10.0.0.0/8']\n[session]\nlife = '1h'\n[wechat]\n\
         api = ['http://127.0.0.1:9090']\nopen = 'http://127.0.0.1:9090'\n{ACCOUNT}{}login = 'userinfo'\n\
         outside_wechat = 'scan'\n",
        SITE.replace("h5]", "main]")
    );
    assert_eq!(format!("{config:?}"), format!("{:?}", good(&text)));

    let bad = Flags {
        appid: "x'\n[site.evil]".into(),
        upstream: "x".into(),
        session_idle: Some("soon".into()),
        trusted_proxy: vec!["0.0.0.0/0".into()],
        ..flags
    };
    let problems = Config::from_flags(&bad, &|_| None).unwrap_err().to_string();
    for wanted in [
        "wxgate: --appid: ",
        "wxgate: --upstream: ",
        "wxgate: --session-idle: ",
        "wxgate: --trusted-proxy: ",
        "wxgate: --secret-file: ",
        "WXGATE_SECRET",
        "--secret-file secret.txt",
    ] {
        assert!(problems.contains(wanted), "{wanted}: {problems}");
    }
    assert_eq!(problems.lines().count(), 5, "{problems}");
}

#[test]
fn each_key_is_there_once_and_in_a_known_section() {
    for (index, key) in KEYS.iter().enumerate() {
        assert!(KEYS[..index].iter().all(|other| other.path != key.path), "{}", key.path);
        assert!(SECTIONS.iter().any(|(section, _)| *section == key.section()), "{}", key.path);
        assert!(!key.what.contains('|') && !key.default.contains('|'), "{}", key.path);
    }
}
