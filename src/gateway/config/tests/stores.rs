//! Tests of the keys that say where sessions are kept and what seals them there.

use std::{
    ffi::OsString,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
};

use super::{
    super::{Config, Flags, StoreKind},
    ACCOUNT, Folder, KEYS_IN_FILE, SECRET, SITE, good, with, wrong,
};
use crate::clock::Timestamp;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// The whole file with these lines in its `[session]`.
fn session(lines: &str) -> String {
    format!("[session]\n{lines}\n{ACCOUNT}{SITE}")
}

fn redis(more: &str) -> String {
    session(&format!("store = 'redis://127.0.0.1:6379'\n{more}"))
}

#[test]
fn every_kind_of_store_is_read_and_anything_else_is_not_one() {
    let keys = "key_file = 'wxgate.keys'";
    for store in [
        "redis://cache:6379/2",
        "rediss://user@cache",
        "rediss://cache?ca=ca.pem",
        "redis+sentinel://a:26379,b:26379/main",
        "rediss+cluster://a:7000,b:7001",
    ] {
        let config = good(&session(&format!("store = '{store}'\n{keys}")));
        assert!(matches!(config.session.store, StoreKind::Redis(_)), "{store}");
    }
    for store in ["redis", "sqlite:x", "sessions.db", "file:", "http://x", "redis:6379", "Memory"] {
        let said = wrong(&session(&format!("store = '{store}'")));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("session.store: ") && said[0].contains("write "), "{said:?}");
    }
}

#[test]
fn w10_a_password_in_the_address_of_a_store_is_refused_and_not_repeated() {
    for store in [
        "redis://user:planted@cache",
        "redis://:planted@cache:6379/0",
        "rediss+sentinel://u:planted@a,b/main",
        "redis://u:pla/planted@cache",
        "redis://u:planted@x@cache",
    ] {
        let text = session(&format!("store = '{store}'\nkey_file = 'wxgate.keys'"));
        let said = wrong(&text);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("store_password_file = \"redis.txt\""), "{said:?}");
        assert!(
            said[0].contains("WXGATE_STORE_PASSWORD") && !said[0].contains("planted"),
            "{said:?}"
        );
        let flags = Flags { store: Some(store.to_owned()), ..Flags::default() };
        let said = Config::from_flags(&flags, &|_| None).unwrap_err().to_string();
        assert!(
            said.contains("--store-password-file redis.txt") && said.contains("`ps`"),
            "{said}"
        );
        assert!(!said.contains("planted"), "{said}");
    }
    for store in ["planted@cache", "redis:planted@cache"] {
        let said = wrong(&session(&format!("store = '{store}'"))).concat();
        assert!(said.contains("is not a store") && !said.contains("planted"), "{said}");
    }
    good(&session("store = 'redis://user@cache'\nkey_file = 'wxgate.keys'"));
}

#[test]
fn the_password_of_a_redis_comes_from_a_file_or_the_variable() {
    let folder = Folder::new();
    let read = |text: &str, password: Option<&str>| {
        let env = |name: &str| match name {
            "WXGATE_ACCOUNT_MAIN_SECRET" => Some(OsString::from(SECRET)),
            "WXGATE_STORE_PASSWORD" => password.map(OsString::from),
            _ => None,
        };
        Config::from_toml(text, &folder.0, &env)
    };
    let keys = "key_file = 'wxgate.keys'\n";
    let (file, none) = (redis(&format!("{keys}store_password_file = 'redis.txt'")), redis(keys));
    let password = |config: Config| config.session.store_password.map(|it| it.expose().to_owned());
    assert_eq!(password(read(&none, None).unwrap()), None);
    assert_eq!(password(read(&none, Some(" pw\n")).unwrap()).as_deref(), Some("pw"));
    let both = read(&file, Some("pw")).unwrap();
    assert!(both.warnings[0].message.contains("WXGATE_STORE_PASSWORD is set as well"));
    assert_eq!(password(both).as_deref(), Some("open sesame"));
    let said = read(&none, Some(" ")).unwrap_err().to_string();
    assert!(said.contains("session.store_password_file") && said.contains("is empty"), "{said}");
    let said = wrong(&redis(&format!("{keys}store_password_file = 'empty.txt'")));
    assert!(said[0].contains("empty.txt is empty"), "{said:?}");
    // What is in memory has none.
    let memory = read(&session("store_password_file = 'redis.txt'"), Some("pw")).unwrap();
    assert!(memory.warnings[0].message.contains("it is not used"), "{:?}", memory.warnings);
    assert_eq!(password(memory), None);
}

#[test]
fn c30_a_store_without_its_keys_is_refused_and_one_that_is_new_gets_some() {
    let said = wrong(&redis(""));
    assert!(said[0].starts_with("session.key_file: it is missing"), "{said:?}");
    assert!(said[0].contains("`wxgate keys new wxgate.keys`"), "{said:?}");
    let folder = Folder::new();
    let text = session("store = 'file:sessions.db'");
    let fresh = folder.read(&text).unwrap().session;
    assert!(fresh.keys.is_none() && fresh.key_file.as_ref().unwrap().ends_with("sessions.db.keys"));
    assert_eq!(good(&session("store = 'memory'")).session.key_file, None);

    let made = fresh.make_keys(NOW).unwrap().expect("there were none");
    assert_eq!(fs::metadata(fresh.key_file.unwrap()).unwrap().permissions().mode() & 0o777, 0o600);
    let config = folder.read(&text).unwrap();
    assert!(config.files.iter().any(|file| file.ends_with("sessions.db.keys")));
    assert_eq!(config.session.keys.as_ref().unwrap().keys(), made.keys());
    assert!(config.session.make_keys(NOW).unwrap().is_none());

    // The store is there, and its keys are lost.
    fs::write(folder.0.join("sessions.db"), "").unwrap();
    fs::remove_file(folder.0.join("sessions.db.keys")).unwrap();
    let said = folder.read(&text).unwrap_err().to_string();
    assert!(said.contains("session.key_file: ") && said.contains("backup"), "{said}");
    // One that is named is never made.
    let named = session("store = 'file:other.db'\nkey_file = 'other.keys'");
    assert!(folder.read(&named).unwrap_err().to_string().contains("other.keys is missing"));
    let named = session("store = 'file:sessions.db'\nkey_file = 'wxgate.keys'");
    assert!(folder.read(&named).is_ok());
}

#[test]
fn c30_a_key_file_that_is_broken_or_open_to_others_is_refused() {
    let folder = Folder::new();
    let file = folder.0.join("wxgate.keys");
    for store in ["memory", "file:sessions.db", "redis://127.0.0.1"] {
        let text = session(&format!("store = '{store}'\nkey_file = 'wxgate.keys'"));
        let config = folder.read(&text).unwrap();
        assert!(config.files.contains(&file), "{store}");
        for (content, mode, hint) in [
            (KEYS_IN_FILE.replace("AAEC", "AA"), 0o600, "line 1: the key is not 32 bytes"),
            (String::new(), 0o600, "holds no key"),
            (KEYS_IN_FILE.to_owned(), 0o644, "chmod 600"),
        ] {
            fs::write(&file, content).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let problems = folder.read(&text).unwrap_err();
            let said = problems.to_string();
            assert!(said.contains("session.key_file: ") && said.contains(hint), "{hint}: {said}");
            assert!(!said.contains("BAUGBwgJ") && problems.iter().count() == 1, "{said}");
            // Whoever waits for it to be mended knows where.
            assert!(problems.files.contains(&file));
        }
        fs::write(&file, KEYS_IN_FILE).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn the_flags_of_a_store_are_its_keys() {
    let folder = Folder::new();
    let path = |name: &str| Some(folder.0.join(name).display().to_string());
    let flags = Flags {
        appid: "wx0123456789abcdef".into(),
        public_url: "https://h5.example.com".into(),
        upstream: "http://127.0.0.1:3000".into(),
        store: Some("redis://cache".into()),
        store_password_file: path("redis.txt"),
        key_file: path("wxgate.keys"),
        ..Flags::default()
    };
    let env = |name: &str| (name == "WXGATE_SECRET").then(|| OsString::from(SECRET));
    let config = Config::from_flags(&flags, &env).unwrap();
    let text = redis("key_file = 'wxgate.keys'\nstore_password_file = 'redis.txt'")
        .replace("127.0.0.1:6379", "cache")
        .replace("h5]", "main]");
    let same = folder.read(&text).unwrap();
    assert_eq!(format!("{config:?}"), format!("{same:?}"));
    let bad = Flags { key_file: None, store_password_file: path("none"), ..flags };
    let said = Config::from_flags(&bad, &env).unwrap_err().to_string();
    assert!(
        said.contains("wxgate: --key-file: ") && said.contains("--key-file wxgate.keys"),
        "{said}"
    );
    assert!(said.contains("wxgate: --store-password-file: "), "{said}");
    good(&with("session", "store = 'memory'"));
}
