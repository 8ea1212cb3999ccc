//! Configuration files: a configuration or an error that says what to do, and no secret in either.

use std::{
    cell::RefCell, ffi::OsString, fs, os::unix::fs::PermissionsExt, path::PathBuf, sync::OnceLock,
};

use toml::{Table, Value};

use crate::gateway::config::{Config, Problems};

/// What stands in each file and variable that holds a secret.
const PLANTED: &str = "5ec2e75ec2e75ec2e75ec2e75ec2e7ab";
/// A part of it that is in no other word.
const TRACE: &str = "5ec2e75ec2e7";
const KEYS: &str =
    "wxgate-key-1 0a0b0c0d AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8 2026-01-31T08:30:00Z\n";

/// The data is the file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if ["/dev", "/proc", "/sys"].iter().any(|root| text.contains(root)) {
        // Some of these never end.
        return;
    }
    let asked = RefCell::new(Vec::new());
    let env = |name: &str| {
        asked.borrow_mut().push(name.to_owned());
        (!name.contains("AES_KEY")).then(|| OsString::from(PLANTED))
    };
    let read = Config::from_toml(text, folder(), &env);
    for name in asked.take() {
        assert!(name.starts_with("WXGATE_"), "{name:?}");
    }
    match read {
        Ok(config) => taken(text, &config),
        Err(problems) => refused(text, &problems),
    }
}

fn taken(text: &str, config: &Config) {
    assert!(
        !config.accounts.is_empty() && !config.sites.is_empty(),
        "c30: nothing to sign in with"
    );
    if !is_named(text) {
        let shown = format!("{config:?}\n{}", config.summary());
        assert!(!shown.contains(TRACE), "w10: {shown}");
        assert!(!shown.contains("AAECAwQFBgcICQ"), "w10: {shown}");
    }
    for site in config.sites.values() {
        assert!(config.accounts.contains_key(&site.account));
        for route in &site.routes {
            assert!(config.accounts.contains_key(&*route.account), "c30: {}", route.path.text());
        }
    }
}

fn refused(text: &str, problems: &Problems) {
    assert!(problems.iter().count() > 0);
    let lines = text.lines().count() + 1;
    for problem in problems.iter() {
        assert!(!problem.message.trim().is_empty());
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem}");
    }
    if !is_named(text) {
        let shown = format!("{problems}\n{problems:?}");
        assert!(!shown.contains(TRACE) && !shown.contains("AAECAwQFBgcICQ"), "w10: {shown}");
    }
}

/// Whether the secret stands where it names something, such as a section, instead of being a value; or where nobody can
/// say what it is, since the text is no TOML.
fn is_named(text: &str) -> bool {
    fn in_keys(table: &Table) -> bool {
        table.iter().any(|(key, value)| key.contains(TRACE) || in_value(value))
    }
    fn in_value(value: &Value) -> bool {
        match value {
            Value::Table(table) => in_keys(table),
            Value::Array(list) => list.iter().any(in_value),
            // A part of it is not the secret.
            Value::String(text) => text.replace(PLANTED, "").contains(TRACE),
            _ => false,
        }
    }
    if text.replace(PLANTED, "").contains(TRACE) {
        // A piece of a secret is none.
        return true;
    }
    text.contains(TRACE)
        && text.trim_start_matches('\u{feff}').parse::<Table>().is_ok_and(|table| in_keys(&table))
}

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// A folder with the files that seeds name. There is one for the whole run.
fn folder() -> &'static PathBuf {
    FOLDER.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("wxgate-fuzz-{}", std::process::id()));
        let made = make(&path);
        made.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    })
}

/// Removes it again.
#[cfg(test)]
pub(super) fn tidy() {
    if let Some(folder) = FOLDER.get() {
        fs::remove_dir_all(folder).expect("it is ours");
    }
}

fn make(path: &std::path::Path) -> std::io::Result<()> {
    fs::create_dir_all(path.join("public"))?;
    fs::create_dir_all(path.join("pages"))?;
    for (name, content) in [
        ("secret.txt", PLANTED),
        ("empty.txt", " \n"),
        ("aes.txt", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG\n"),
        ("cert.pem", "-----BEGIN CERTIFICATE-----\n"),
        ("key.pem", "-----BEGIN PRIVATE KEY-----\n5ec2e75ec2e75ec2e75ec2e75ec2e7ab\n"),
        ("wxgate.keys", KEYS),
        ("MP_verify_a.txt", "0123456789abcdef"),
        ("public/index.html", "<!doctype html>"),
    ] {
        fs::write(path.join(name), content)?;
    }
    fs::write(path.join("follow.png"), b"\x89PNG\r\n\x1a\n")?;
    fs::set_permissions(path.join("wxgate.keys"), fs::Permissions::from_mode(0o600))
}
