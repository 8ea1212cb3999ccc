//! Reads how sessions are kept: for how long, where, and sealed with which keys.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    data::{RedisPlace, SessionConfig, StoreKind},
    files, keys,
    reader::{Given, Section},
    values::{self, duration, hides_secret, quoted},
};
use crate::{
    clock::Timestamp,
    secret::StorePassword,
    session::{KeyFile, KeyFileError, Lifetimes, durable::RedisUrl},
};

/// Holds the password of a store where no file does.
const PASSWORD_VARIABLE: &str = "WXGATE_STORE_PASSWORD";

pub(super) fn session(section: &Section<'_>) -> SessionConfig {
    let store = section.text("store", |text| kind(section, text));
    let is_bad = section.is_bad("store", store.as_ref());
    let store = store.map(|given| given.value);
    // What belongs to a store that could not be read is not asked for, so that nobody has to mend what is right.
    let (mut store_password, mut keys) = (None, (None, None));
    if !is_bad {
        store_password = password(section, store.as_ref());
        keys = key_file(section, store.as_ref());
    }
    let (key_file, keys) = keys;
    let subject = section.text("subject", values::subject);
    let refresh = section.text("refresh_profiles_after", duration(values::SESSION));
    SessionConfig {
        store: store.unwrap_or(StoreKind::Memory),
        store_password,
        key_file,
        keys,
        lifetimes: lifetimes(section),
        refresh_profiles_after: refresh
            .map_or(Duration::from_secs(24 * 60 * 60), |given| given.value),
        subject: subject.map(|given| given.value).unwrap_or_default(),
    }
}

fn lifetimes(section: &Section<'_>) -> Lifetimes {
    let time = |name| section.text(name, duration(values::SESSION));
    let default = Lifetimes::default();
    let life = time("life");
    let life_is_bad = section.is_bad("life", life.as_ref());
    let absolute = life.map_or(default.absolute, |given| given.value);
    let idle = match time("idle") {
        Some(idle) => {
            if idle.value > absolute && !life_is_bad {
                let life = humantime::format_duration(absolute);
                let idle_text = humantime::format_duration(idle.value);
                section.source.refuse(
                    &idle.place,
                    format!(
                        "{idle_text} is longer than the whole life of a session, {life}: no session would ever be idle \
                         for so long; write a shorter time here or a longer one for the life"
                    ),
                );
            }
            idle.value
        }
        // Whoever asks for short sessions need not say so twice.
        None => default.idle.min(absolute),
    };
    Lifetimes { idle, absolute }
}

/// Repeats nothing that may hold a password.
fn kind(section: &Section<'_>, text: &str) -> Result<StoreKind, String> {
    let source = section.source;
    if text == "memory" {
        return Ok(StoreKind::Memory);
    }
    if let Some(path) = text.strip_prefix("file:") {
        return match path {
            "" => {
                Err("the path of the file is missing; write for example \"file:sessions.db\""
                    .into())
            }
            path => Ok(StoreKind::File(source.folder.join(path))),
        };
    }
    if !text.starts_with("redis") || !text.contains("://") {
        let shown = if text.contains('@') { "that".to_owned() } else { quoted(text) };
        return Err(format!(
            "{shown} is not a store; write \"memory\", \"file:sessions.db\" or \"redis://127.0.0.1:6379\""
        ));
    }
    if has_password(text) {
        let key = keys::find("session", "store_password_file").expect("it is a key");
        let example = source.example("session.store_password_file", key);
        let (place, change) = if source.from_flags {
            (
                "on the command line, which everybody on this machine could read with `ps`",
                "this machine",
            )
        } else {
            ("in this file, which gets copied and shown", "this file")
        };
        return Err(format!(
            "a password has no place {place}; put it into a file of its own and write {example}, or into the variable \
             {PASSWORD_VARIABLE}, and leave it out here: redis://user@host. Change it if others have seen {change}"
        ));
    }
    let url = RedisUrl::parse(&with_folder(text, source.folder)).map_err(|it| it.to_string())?;
    Ok(StoreKind::Redis(RedisPlace { url, written: text.to_owned() }))
}

/// Whether there is anything that could be one: a colon somewhere before the last `@`.
fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
}

/// The url with the path of its authority in the folder that all other paths are relative to.
fn with_folder(url: &str, folder: &Path) -> String {
    match url.split_once("?ca=") {
        Some((url, ca)) => format!("{url}?ca={}", folder.join(ca).display()),
        None => url.to_owned(),
    }
}

fn password(section: &Section<'_>, store: Option<&StoreKind>) -> Option<StorePassword> {
    let source = section.source;
    let name = "store_password_file";
    let is_redis = matches!(store, Some(StoreKind::Redis(_)));
    let set = (source.env)(PASSWORD_VARIABLE).filter(|_| is_redis);
    if !section.has(name) {
        let place = section.place.below(name);
        let refuse = |why: &str| {
            let why = format!("the password in the environment variable {PASSWORD_VARIABLE} {why}");
            source.refuse(&place, why);
            None
        };
        return match set?.to_str().map(str::trim) {
            None => refuse("is not UTF-8"),
            Some("") => refuse("is empty"),
            Some(text) => Some(StorePassword::new(text)),
        };
    }
    let given = files::path(section, name)?;
    if !is_redis {
        source.warn(&given.place, "only a Redis has a password: it is not used");
        return None;
    }
    if set.is_some() {
        let why =
            format!("the environment variable {PASSWORD_VARIABLE} is set as well, and is not used");
        source.warn(&given.place, why);
    }
    match StorePassword::from_file(&given.value) {
        Ok(password) => Some(password),
        Err(error) => {
            refuse_file(section, &given, &error.to_string());
            None
        }
    }
}

/// The file with the keys, and the keys in it. Without keys, those have to be made.
fn key_file(
    section: &Section<'_>,
    store: Option<&StoreKind>,
) -> (Option<PathBuf>, Option<KeyFile>) {
    let source = section.source;
    if section.has("key_file") {
        let Some(given) = files::path(section, "key_file") else { return (None, None) };
        return match KeyFile::read(&given.value) {
            Ok(keys) => (Some(given.value), Some(keys)),
            Err(error) => {
                refuse_file(section, &given, &error.to_string());
                (None, None)
            }
        };
    }
    let place = section.place.below("key_file");
    match store {
        None | Some(StoreKind::Memory) => (None, None),
        Some(StoreKind::File(store)) => {
            let file = beside(store);
            source.files.borrow_mut().push(file.clone());
            match keys_beside(store, &file) {
                Ok(keys) => (Some(file), keys),
                Err(why) => {
                    source.refuse(&place, why);
                    (None, None)
                }
            }
        }
        Some(StoreKind::Redis(_)) => {
            let key = keys::find("session", "key_file").expect("it is a key");
            let example = source.example(&place.path, key);
            source.refuse(
                &place,
                format!(
                    "it is missing: what is kept in Redis is sealed, with the same keys by every gateway. Make them with \
                     `wxgate keys new wxgate.keys`, give each gateway a copy, and write {example}"
                ),
            );
            (None, None)
        }
    }
}

/// The keys of a file store that names none.
fn beside(store: &Path) -> PathBuf {
    let mut file = OsString::from(store);
    file.push(".keys");
    file.into()
}

fn keys_beside(store: &Path, file: &Path) -> Result<Option<KeyFile>, String> {
    match KeyFile::read(file) {
        Ok(keys) => Ok(Some(keys)),
        // New ones would open nothing of what is there.
        Err(error) if error.is_missing() && is_store(store) => Err(format!(
            "what is kept in {} is sealed with the keys of {}, which is missing: put it back from a backup. If it is \
             lost, nobody can stay signed in: move the store away, and both are made anew",
            quoted(&store.display().to_string()),
            quoted(&file.display().to_string())
        )),
        Err(error) if error.is_missing() && store.exists() => Err(format!(
            "{} is there, and no store of wxgate: give another path, or move it away",
            quoted(&store.display().to_string())
        )),
        Err(error) if error.is_missing() && !folder_of(store).is_dir() => Err(format!(
            "the folder of the store {} does not exist: make it",
            quoted(&store.display().to_string())
        )),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether it is a database. What it is one of is seen when it is opened.
fn is_store(path: &Path) -> bool {
    const HEADER: &[u8] = b"SQLite format 3\0";
    let mut head = [0; HEADER.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    // One that is empty is a store whose first start was cut short.
    read.map_or_else(
        |_| fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() == 0),
        |()| head == HEADER,
    )
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refuse_file(section: &Section<'_>, given: &Given<PathBuf>, why: &str) {
    let source = section.source;
    let written = given.value.strip_prefix(source.folder).unwrap_or(&given.value);
    if hides_secret(&written.display().to_string()) {
        let why =
            "what stands here looks like a secret, so it is not repeated; write the name of a file";
        source.refuse(&given.place, why);
    } else {
        source.refuse(&given.place, why);
    }
}

impl SessionConfig {
    /// Makes the file with the keys, where the configuration wants one that is not there yet: says whether it did.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_keys(&self, now: Timestamp) -> Result<Option<KeyFile>, KeyFileError> {
        let file = self.key_file.as_ref().filter(|_| self.keys.is_none());
        file.map(|file| KeyFile::create(file, now)).transpose()
    }
}
