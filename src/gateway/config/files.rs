//! The files that a configuration names: secrets, proofs, certificates, folders.

use std::{fs, io::Read, path::PathBuf};

use bytes::Bytes;

use super::{
    data::ProofFile,
    reader::{Given, Place, Section},
    unknown::variable,
    values::{hides_secret, quoted},
};
use crate::{
    secret::{AppSecret, EncodingAesKey, MessageToken},
    wechat::{AccountKind, MessageKeys},
};

/// A proof is one short word. What is larger was not made by WeChat.
const LARGEST_PROOF: u64 = 4 * 1024;

/// A path, relative to the folder of the file.
pub(super) fn path(section: &Section<'_>, name: &str) -> Option<Given<PathBuf>> {
    let folder = section.source.folder;
    let given = section.text(name, |text| match text {
        "" => Err("it is empty; write a path"),
        text => Ok(folder.join(text)),
    })?;
    section.source.files.borrow_mut().push(given.value.clone());
    Some(given)
}

/// A PEM file that is there, can be read, and holds what such files hold.
pub(super) fn pem(section: &Section<'_>, name: &str) -> Option<Given<PathBuf>> {
    check_pem(section, path(section, name)?)
}

/// The same of one file or several.
pub(super) fn pems(section: &Section<'_>, name: &str) -> Vec<PathBuf> {
    let folder = section.source.folder;
    let given = section.one_or_list(name, |text| match text {
        "" => Err("it is empty; write a path"),
        text => Ok(folder.join(text)),
    });
    let files = given.into_iter().flat_map(|list| list.value);
    let files = files.filter_map(|file| {
        section.source.files.borrow_mut().push(file.value.clone());
        check_pem(section, file)
    });
    files.map(|file| file.value).collect()
}

fn check_pem(section: &Section<'_>, given: Given<PathBuf>) -> Option<Given<PathBuf>> {
    let text = match fs::read(&given.value) {
        Ok(bytes) => bytes,
        Err(error) => {
            refuse_path(section, &given, &format!("cannot be read: {error}"));
            return None;
        }
    };
    if !text.windows(11).any(|bytes| bytes == b"-----BEGIN ") {
        refuse_path(section, &given, "is not a PEM file: no line in it begins with -----BEGIN");
        return None;
    }
    Some(given)
}

/// A folder that is there.
pub(super) fn folder(section: &Section<'_>, name: &str) -> Option<Given<PathBuf>> {
    let given = path(section, name)?;
    match fs::read_dir(&given.value) {
        Ok(_) => Some(given),
        Err(error) => {
            refuse_path(section, &given, &format!("cannot be read as a folder: {error}"));
            None
        }
    }
}

/// The secret of an account or a client, from its file or its variable. One that is missing or empty is refused.
pub(super) fn secret(section: &Section<'_>, kind: AccountKind) -> Option<AppSecret> {
    let source = section.source;
    let variable = if source.from_flags {
        "WXGATE_SECRET".to_owned()
    } else {
        variable(&section.place.path, "secret_file")
    };
    let set = (source.env)(&variable);
    if section.has("secret_file") {
        let given = path(section, "secret_file")?;
        if set.is_some() {
            source.warn(
                &given.place,
                format!("the environment variable {variable} is set as well, and is not used"),
            );
        }
        let written = given.value.strip_prefix(source.folder).unwrap_or(&given.value);
        return match AppSecret::from_file(&given.value) {
            Ok(secret) => Some(checked(section, &given.place, secret, kind)),
            Err(_) if hides_secret(&written.display().to_string()) => {
                let why = "what stands here looks like the secret itself, so it is not repeated; write the name of a \
                           file that holds it, and reset it at WeChat if others have seen this";
                source.refuse(&given.place, why);
                None
            }
            Err(error) => {
                source.refuse(&given.place, error);
                None
            }
        };
    }
    let place = section.place.below("secret_file");
    let refuse = |why: String| {
        source.refuse(&place, why);
        None
    };
    if section.has("secret") {
        // It stands in the file itself, which has been refused already.
        return None;
    }
    let Some(text) = set else {
        let example = source.example(
            &place.path,
            super::keys::find("account.*", "secret_file").expect("it is a key"),
        );
        return refuse(format!(
            "the app secret is missing: write {example}, or set the environment variable {variable}"
        ));
    };
    match text.to_str().map(str::trim) {
        None => {
            refuse(format!("the app secret in the environment variable {variable} is not UTF-8"))
        }
        Some("") => {
            refuse(format!("the app secret in the environment variable {variable} is empty"))
        }
        Some(text) => Some(checked(section, &place, AppSecret::new(text), kind)),
    }
}

fn checked(
    section: &Section<'_>,
    place: &Place,
    secret: AppSecret,
    kind: AccountKind,
) -> AppSecret {
    let text = secret.expose();
    // Those of WeCom look like nothing in particular.
    if kind != AccountKind::Wecom && (text.len() != 32 || !hides_secret(text)) {
        section.source.warn(
            place,
            "what it holds does not look like an app secret, which is 32 hexadecimal digits",
        );
    }
    secret
}

/// What the messages of an account are checked with, where they are taken.
pub(super) fn message_keys(section: &Section<'_>) -> Option<MessageKeys> {
    let token = optional_secret(section, "message_token_file", "message token");
    let aes_key = optional_secret(section, "message_aes_key_file", "EncodingAESKey");
    let Some(token) = token else {
        if let Some(aes_key) = aes_key
            && !section.has("message_token_file")
        {
            let example = section.example("message_token_file");
            let why = format!("it is of no use without the message token; write {example}");
            section.source.refuse(&aes_key.place, why);
        }
        return None;
    };
    let keys = MessageKeys::new(MessageToken::new(token.value));
    let Some(aes_key) = aes_key else {
        // One that cannot be used has been refused.
        return Some(keys);
    };
    match keys.encrypted_with(&EncodingAesKey::new(aes_key.value)) {
        Ok(keys) => Some(keys),
        Err(error) => {
            section.source.refuse(&aes_key.place, format!("what it holds is not one: {error}"));
            None
        }
    }
}

/// A secret that may be left out, from its file or its variable. One that is there and empty is refused.
pub(super) fn optional_secret(
    section: &Section<'_>,
    key: &'static str,
    what: &str,
) -> Option<Given<String>> {
    let source = section.source;
    let variable = variable(&section.place.path, key);
    let set = (source.env)(&variable);
    let (place, text, whence) = if section.has(key) {
        let given = path(section, key)?;
        if set.is_some() {
            let why =
                format!("the environment variable {variable} is set as well, and is not used");
            source.warn(&given.place, why);
        }
        let file = quoted(
            &given.value.strip_prefix(source.folder).unwrap_or(&given.value).display().to_string(),
        );
        match fs::read_to_string(&given.value) {
            Ok(text) => (given.place, text, format!("file {file}")),
            Err(error) => {
                let why = format!("cannot read the {what} from file {file}: {error}");
                source.refuse(&given.place, why);
                return None;
            }
        }
    } else {
        let place = section.place.below(key);
        let Ok(text) = set?.into_string() else {
            let why = format!("the {what} in the environment variable {variable} is not UTF-8");
            source.refuse(&place, why);
            return None;
        };
        (place, text, format!("the environment variable {variable}"))
    };
    match text.trim() {
        "" => {
            source.refuse(&place, format!("the {what} in {whence} is empty"));
            None
        }
        text => Some(Given { value: text.to_owned(), place }),
    }
}

/// WeChat's proofs of a domain, by their exact names.
pub(super) fn proofs(section: &Section<'_>) -> Vec<ProofFile> {
    let source = section.source;
    let list = section
        .list("proof_files", |text| proof_name(text).map(|name| (name, source.folder.join(text))));
    let mut found: Vec<ProofFile> = Vec::new();
    for Given { value: (name, path), place } in list.into_iter().flat_map(|list| list.value) {
        if found.iter().any(|known| known.name == name) {
            source.refuse(&place, format!("{} is there twice", quoted(&name)));
            continue;
        }
        source.files.borrow_mut().push(path.clone());
        let mut content = Vec::new();
        let read = fs::File::open(&path)
            .and_then(|file| file.take(LARGEST_PROOF + 1).read_to_end(&mut content));
        let size = content.len() as u64;
        let path = path.display().to_string();
        let why = match read {
            Err(error) => format!("{} cannot be read: {error}", quoted(&path)),
            Ok(_) if size == 0 => format!("{} is empty", quoted(&path)),
            Ok(_) if size > LARGEST_PROOF => {
                format!("{} is larger than 4 KiB, so it is not the file from WeChat", quoted(&path))
            }
            Ok(_) => {
                found.push(ProofFile { name, content: Bytes::from(content) });
                continue;
            }
        };
        source.refuse(&place, format!("{why}; download it again from WeChat's console"));
    }
    found
}

fn proof_name(text: &str) -> Result<String, String> {
    let name = text.rsplit('/').next().unwrap_or_default();
    let middle = ["MP_verify_", "WW_verify_"].iter().find_map(|start| name.strip_prefix(start));
    let middle = middle.and_then(|rest| rest.strip_suffix(".txt"));
    if middle.is_some_and(|it| {
        (1..=64).contains(&it.len()) && it.bytes().all(|b| b.is_ascii_alphanumeric())
    }) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "{} is not named like a file from WeChat: MP_verify_ or WW_verify_, letters and digits, .txt",
        quoted(text)
    ))
}

fn refuse_path(section: &Section<'_>, given: &Given<PathBuf>, why: &str) {
    let path = quoted(&given.value.display().to_string());
    section.source.refuse(&given.place, format!("{path} {why}"));
}
