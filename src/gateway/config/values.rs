//! The values of the configuration: from their text, or with what is wrong in it.

use std::{net::SocketAddr, time::Duration};

use crate::{
    login::{Login, Outside},
    session::Subject,
    wechat::{AccountKind, Lang, ServerTokenKind},
};
use http::Method;
use ipnet::IpNet;
use toml::de::DeValue;

use super::data::{Inject, LogFormat};

const NOT_REPEATED: &str = "(not repeated: it looks like a secret)";

/// A value as it is shown to people: in quotes, not without end, and not if it looks like a secret.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 100;
    if hides_secret(text) {
        return NOT_REPEATED.to_owned();
    }
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("{start:?}...")
}

/// Whether a text holds what looks like an app secret, 32 hexadecimal digits in a row, or like an `EncodingAESKey`, 43
/// letters and digits.
pub(super) fn hides_secret(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= 32)
        || text.split(|c: char| !c.is_ascii_alphanumeric()).any(|run| run.len() == 43)
}

/// Whether an account, a site or a client can have this name.
pub(super) fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=32).contains(&name.len())
        && name.bytes().all(|byte| good(byte) || byte == b'-')
        && !name.starts_with('-')
}

/// A value of the file for people.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if hides_secret(text) => "a text".to_owned(),
        DeValue::String(text) => format!("the text {}", quoted(text)),
        DeValue::Integer(number) if hides_secret(number.as_str()) => "a number".to_owned(),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(_) => "a number with a fraction".to_owned(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(_) => "a date or time".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// A key or name as it is shown to people.
pub(super) fn shown_key(name: &str) -> &str {
    if hides_secret(name) { NOT_REPEATED } else { name }
}

/// The word that was probably meant.
pub(super) fn near<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    let distance = |other: &str| edits(&word, &other.to_lowercase().replace('-', "_"));
    let (best, other) = known.map(|other| (distance(other), other)).min_by_key(|(far, _)| *far)?;
    (best <= word.chars().count().max(other.len()).div_ceil(4).min(3)).then_some(other)
}

/// How many characters have to be put in, taken out, changed or swapped with their neighbour.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// One of a few words.
fn one_of<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let list: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let hint = near(text, list.iter().copied());
    let hint = hint.map(|word| format!("; did you mean {word:?}?")).unwrap_or_default();
    Err(format!("{} is not one of {}{hint}", quoted(text), list.join(", ")))
}

/// The name of something that is there.
pub(super) fn known_name<'a>(
    text: &str,
    what: &str,
    names: impl Iterator<Item = &'a str>,
) -> Result<String, String> {
    let names: Vec<_> = names.collect();
    if names.contains(&text) {
        return Ok(text.to_owned());
    }
    let hint = match near(text, names.iter().copied()) {
        Some(name) => format!("did you mean {name:?}?"),
        None if names.is_empty() => format!("write [{what}.{}]", "main"),
        None => format!(
            "there is {}",
            names.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
        ),
    };
    Err(format!("there is no {what} {}; {hint}", quoted(text)))
}

pub(super) fn login(text: &str) -> Result<Login, String> {
    let words = [
        ("off", Login::Off),
        ("optional", Login::Optional),
        ("base", Login::Base),
        ("userinfo", Login::Userinfo),
    ];
    one_of(text, &words)
}

pub(super) fn outside(text: &str) -> Result<Outside, String> {
    let words = Outside::ALL.map(|outside| (outside.as_str(), outside));
    one_of(text, &words)
}

pub(super) fn require(text: &str) -> Result<(), String> {
    one_of(text, &[("follower", ())])
}

pub(super) fn subject(text: &str) -> Result<Subject, String> {
    one_of(text, &[("account", Subject::Account), ("unionid", Subject::Unionid)])
}

/// The file's word for it.
pub(super) const fn login_word(login: Login) -> &'static str {
    match login {
        Login::Off => "off",
        Login::Optional => "optional",
        Login::Base => "base",
        Login::Userinfo => "userinfo",
    }
}

pub(super) fn kind(text: &str) -> Result<AccountKind, String> {
    one_of(text, &KINDS)
}

const KINDS: [(&str, AccountKind); 4] = [
    ("official-account", AccountKind::OfficialAccount),
    ("website", AccountKind::Website),
    ("mini-program", AccountKind::MiniProgram),
    ("wecom", AccountKind::Wecom),
];

/// The file's word for it.
pub(super) fn kind_word(kind: AccountKind) -> &'static str {
    let known = KINDS.iter().find(|(_, known)| *known == kind);
    known.map_or("official-account", |(word, _)| word)
}

pub(super) fn server_token(text: &str) -> Result<ServerTokenKind, String> {
    one_of(text, &[("stable", ServerTokenKind::Stable), ("classic", ServerTokenKind::Classic)])
}

pub(super) fn lang(text: &str) -> Result<Lang, String> {
    one_of(text, &[("zh_CN", Lang::ZhCn), ("zh_TW", Lang::ZhTw), ("en", Lang::En)])
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    one_of(text, &[("json", LogFormat::Json), ("text", LogFormat::Text)])
}

/// One word of `inject`, as a whole that has only this.
pub(super) fn inject(text: &str) -> Result<Inject, String> {
    let none = Inject::default();
    let words = [
        ("headers", Inject { headers: true, ..none }),
        ("x-auth-request", Inject { x_auth_request: true, ..none }),
        ("html", Inject { html: true, ..none }),
        ("assertion", Inject { assertion: true, ..none }),
    ];
    one_of(text, &words)
}

/// A method that routes can tell apart. Others reach routes without `methods` only.
pub(super) fn method(text: &str) -> Result<Method, String> {
    let words = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let index = one_of(text, &[0, 1, 2, 3, 4, 5, 6].map(|index| (words[index], index)))?;
    Ok(Method::from_bytes(words[index].as_bytes()).expect("these are methods"))
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let hint = match text.rsplit_once(':') {
            Some(("localhost", port)) => format!("127.0.0.1:{port}"),
            Some(("" | "*", port)) => format!("0.0.0.0:{port}"),
            _ if text.parse::<std::net::Ipv4Addr>().is_ok() => format!("{text}:8080"),
            _ if text.parse::<u16>().is_ok() => format!("127.0.0.1:{text}"),
            _ => "127.0.0.1:8080".to_owned(),
        };
        format!("{} is not an address with a port; write for example {hint:?}", quoted(text))
    })
}

/// One address or one network.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let net = text
        .parse::<IpNet>()
        .or_else(|_| text.parse().map(|address: std::net::IpAddr| address.into()));
    let net = net.map_err(|_| {
        format!(
            "{} is neither an address nor a network; write for example \"127.0.0.1\" or \
             \"10.0.0.0/8\"",
            quoted(text)
        )
    })?;
    if net.prefix_len() == 0 {
        return Err(format!(
            "{} is every address: anybody could tell us to be any client; name the addresses of your proxies, \
             such as \"127.0.0.1\" or \"10.0.0.0/8\"",
            quoted(text)
        ));
    }
    if net.trunc() != net {
        return Err(format!(
            "{} has digits beyond its network; write {:?} for the network, or {:?} for the one address",
            quoted(text),
            net.trunc().to_string(),
            net.addr().to_string()
        ));
    }
    Ok(net)
}

/// A time between two limits, which are given in words as well.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    least: Duration,
    most: Duration,
    words: &'static str,
}

const fn secs(least: u64, most: u64, words: &'static str) -> Limits {
    Limits { least: Duration::from_secs(least), most: Duration::from_secs(most), words }
}

pub(super) const REQUEST_HEAD: Limits = secs(1, 600, "one second and 10 minutes");
pub(super) const KEEP_ALIVE: Limits = secs(1, 3600, "one second and one hour");
pub(super) const DRAIN: Limits = secs(0, 3600, "0s and one hour");
pub(super) const READY_WAIT: Limits = secs(0, 600, "0s and 10 minutes");
/// As long as browsers keep a cookie.
pub(super) const SESSION: Limits = secs(1, 400 * 24 * 3600, "one second and 400 days");
pub(super) const RESPONSE: Limits = secs(0, 24 * 3600, "0s (no limit) and 24 hours");
pub(super) const CONNECT: Limits = Limits {
    least: Duration::from_millis(10),
    most: Duration::from_secs(300),
    words: "10ms and 5 minutes",
};

pub(super) fn duration(limits: Limits) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let time = humantime::parse_duration(text).map_err(|_| {
            format!(
                "{} is not a time; write for example \"30s\", \"5m\", \"24h\" or \"7days\"",
                quoted(text)
            )
        })?;
        if (limits.least..=limits.most).contains(&time) {
            Ok(time)
        } else {
            Err(format!("{} is not between {}", quoted(text), limits.words))
        }
    }
}

pub(super) fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim_start();
    let shift = match unit {
        "" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let bytes = number.zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.filter(|bytes| (1..=u64::MAX >> 1).contains(bytes)).ok_or_else(|| {
        let unit = match unit.chars().next().map(|c| c.to_ascii_uppercase()) {
            Some('K') => "KiB",
            Some('G') => "GiB",
            _ => "MiB",
        };
        let number = number.filter(|number| (1..10_000).contains(number)).unwrap_or(10);
        format!(
            "{} is not a size; write for example \"{number}{unit}\", or leave the key out \
             for no limit",
            quoted(text)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_is_found_and_what_was_not_is_not_guessed() {
        let known = ["public_url", "upstream", "login", "secret_file", "account"];
        for (word, meant) in [
            ("publicurl", Some("public_url")),
            ("public-url", Some("public_url")),
            ("upsteam", Some("upstream")),
            ("lgoin", Some("login")),
            ("Login", Some("login")),
            ("password", None),
            ("x", None),
        ] {
            assert_eq!(near(word, known.into_iter()), meant, "{word}");
        }
    }

    #[test]
    fn sizes_are_bytes_or_binary_units() {
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert_eq!(size("512 KiB"), Ok(512 << 10));
        assert_eq!(size("7"), Ok(7));
        for (bad, hint) in [("10MB", "10MiB"), ("5k", "5KiB"), ("0", "no limit"), ("many", "10MiB")]
        {
            let error = size(bad).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
        assert!(size("99999999999999GiB").is_err());
    }

    #[test]
    fn c14_no_network_of_everybody_is_trusted() {
        for good in ["127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"] {
            assert!(network(good).is_ok(), "{good}");
        }
        for bad in ["0.0.0.0/0", "::/0", "10.1.2.3/8", "nginx", "10.0.0.0/33"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }
}
