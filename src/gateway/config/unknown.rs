//! What to tell somebody who has written a key that there is none of.

use super::{
    keys::{self, Key, SECTIONS},
    values::{near, shown_key},
};

/// What may stand in a section of this kind: its keys, and the sections below it.
fn known(kind: &str) -> Vec<&'static str> {
    let below: &[_] = match kind {
        "" => &["tls", "limits", "session", "wechat", "assertion", "account", "site", "client"],
        "site.*" => &["route"],
        _ => &[],
    };
    keys::allowed(kind).map(Key::name).chain(below.iter().copied()).collect()
}

pub(super) fn is_known(kind: &str, name: &str) -> bool {
    known(kind).contains(&name)
}

/// The key that was probably meant with an unknown one.
pub(super) fn meant(kind: &str, name: &str) -> Option<&'static str> {
    near(name, known(kind).into_iter())
}

/// What is wrong with the key `name` in the section of this kind, which stands at `path`. Its value is never looked at.
pub(super) fn advice(kind: &str, path: &str, name: &str) -> String {
    if let Some(meant) = meant(kind, name) {
        return format!("there is no such key; did you mean {meant:?}?");
    }
    let lower = name.to_ascii_lowercase();
    if ["secret", "password", "token", "aes"].iter().any(|word| lower.contains(word)) {
        return secret_advice(kind, path, &lower);
    }
    let elsewhere =
        SECTIONS.iter().filter(|(other, _)| keys::of(other).any(|key| key.name() == name));
    let elsewhere: Vec<_> = elsewhere.map(|(_, shown)| *shown).collect();
    if !elsewhere.is_empty() {
        return format!("this key belongs to {}", elsewhere.join(" or "));
    }
    if kind.is_empty() {
        let sections = SECTIONS.iter().skip(1).map(|(_, shown)| *shown).collect::<Vec<_>>();
        let own: Vec<_> = keys::of("").map(Key::name).collect();
        return format!(
            "there is no such key or section; keys here are {}; sections are {}",
            own.join(", "),
            sections.join(", ")
        );
    }
    format!("there is no such key; keys here are {}", known(kind).join(", "))
}

fn secret_advice(kind: &str, path: &str, lower: &str) -> String {
    let (key, example) = match kind {
        "account.*" if lower.contains("aes") => ("message_aes_key_file", "message-aes-key.txt"),
        "account.*" if lower.contains("server") => {
            ("server_token_secret_file", "server-token-secret.txt")
        }
        "account.*" if lower.contains("token") => ("message_token_file", "message-token.txt"),
        "session" => ("store_password_file", "redis.txt"),
        _ => ("secret_file", "secret.txt"),
    };
    let variable = match kind {
        "account.*" | "client.*" => format!(", or into the variable {}", variable(path, key)),
        "session" => ", or into the variable WXGATE_STORE_PASSWORD".to_owned(),
        _ => String::new(),
    };
    let change = if kind == "session" { "Change it" } else { "Reset it at WeChat" };
    format!(
        "a secret has no place in this file, which gets copied and shown; put it into a file of its own and \
         write {key} = \"{example}\"{variable}. {change} if others have seen this file"
    )
}

/// The variable that holds what the file of `key` would hold, for the account or client at `path`, such as
/// `account.main`.
pub(super) fn variable(path: &str, key: &str) -> String {
    let what = key.trim_end_matches("_file").to_ascii_uppercase();
    let name = shown_key(path).to_ascii_uppercase().replace(['.', '-'], "_");
    format!("WXGATE_{name}_{what}")
}

/// What is wrong with text that is no TOML: `reason` is the parser's, `line` the line, `at` the byte of it.
pub(super) fn syntax(reason: &str, line: &str, at: usize) -> String {
    let trimmed = line.trim();
    if trimmed.starts_with('[') {
        let name = shown_key(trimmed);
        return match reason {
            "duplicate key" => {
                format!("{name} is there twice; put the keys of both below one of them")
            }
            _ => format!(
                "{name} is not the head of a section ({reason}); write for example [site.h5]"
            ),
        };
    }
    let Some((key, value)) = line.split_once('=') else {
        return format!(
            "this is not TOML ({reason}); lines are such as key = \"value\", [section] or # comment"
        );
    };
    let name = shown_key(key.trim());
    if reason == "duplicate key" {
        return format!("the key {name} is there twice in its section; take one of them away");
    }
    if at <= key.len() {
        return format!(
            "what stands before the = is not a key ({reason}); write for example key = \"value\""
        );
    }
    let value = value.trim_start();
    let hint = match value.chars().next() {
        Some('[') => format!("a list is such as {name} = [\"one\", \"two\"]"),
        Some('"' | '\'') => {
            "a text ends with the quote that it begins with, and nothing but a # comment follows"
                .to_owned()
        }
        _ => format!("text has to be in quotes: {name} = \"...\""),
    };
    format!("the value of {name} is not TOML ({reason}); {hint}")
}
