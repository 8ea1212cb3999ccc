//! Reads accounts.

use super::{
    checks, files,
    reader::{Given, Section},
    values::{self, kind_word, quoted},
};
use crate::{
    doors::FollowCode,
    secret::{AppSecret, ServerTokenSecret},
    wechat::{Account, AccountKind, AppId, InvalidId},
};

/// What anybody could try out is no secret.
const SHORTEST_SECRET: usize = 16;

/// An account, and what belongs to it that WeChat does not ask for.
#[derive(Clone)]
pub(super) struct Draft {
    pub(super) account: Account,
    pub(super) server_token_secret: Option<ServerTokenSecret>,
    pub(super) follow_code: Option<FollowCode>,
}

pub(super) type Drafts = Vec<(String, Given<Draft>)>;

/// The names of accounts, good or not.
pub(super) struct Names {
    pub(super) all: Vec<String>,
    /// Those with which people can sign in to a site that names none: inside WeChat or WeCom, or, where there are only
    /// such, with a website application.
    pub(super) usual: Vec<String>,
}

/// The accounts that are good, and the names of all.
pub(super) fn read(top: &Section<'_>) -> (Drafts, Names) {
    let sections = top.named("account", "account.*");
    if sections.is_empty() && !top.has("account") {
        let place = top.place.below("account");
        top.source.refuse(
            &place,
            "there is no account; write [account.main], and below it appid = \
             \"wx0123456789abcdef\" and secret_file = \"secret.txt\"",
        );
    }
    let mut found: Drafts = Vec::new();
    let mut kinds = Vec::new();
    for (name, section) in sections {
        let kind = section.text("kind", values::kind);
        let kind = kind.map_or(AccountKind::OfficialAccount, |given| given.value);
        kinds.push((name.clone(), kind));
        let Some((appid, draft)) = draft(&section, kind) else { continue };
        let twin = found.iter().find(|(_, other)| other.value.account.appid() == &appid.value);
        if let Some((other, _)) = twin {
            section.source.refuse(
                &appid.place,
                format!(
                    "{} is the appid of account {other:?} already; one account is enough",
                    quoted(appid.value.as_str())
                ),
            );
        }
        found.push((name, Given { value: draft, place: section.place.clone() }));
    }
    let of = |wanted: &[AccountKind]| {
        let fitting = kinds.iter().filter(|(_, kind)| wanted.contains(kind));
        fitting.map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let usual = of(&[AccountKind::OfficialAccount, AccountKind::Wecom]);
    let usual = if usual.is_empty() { of(&[AccountKind::Website]) } else { usual };
    (found, Names { all: kinds.iter().map(|(name, _)| name.clone()).collect(), usual })
}

fn draft(section: &Section<'_>, kind: AccountKind) -> Option<(Given<AppId>, Draft)> {
    let appid = appid(section);
    let secret = files::secret(section, kind);
    let agentid = section.number("agentid", 1..=u64::from(u32::MAX));
    let token_kind = section.text("server_token", values::server_token);
    let message_keys = files::message_keys(section);
    let server_token_secret = server_token_secret(section);
    let follow_code = follow_code(section);
    let kinds: [(_, _, &[AccountKind]); 4] = [
        ("agentid", agentid.as_ref().map(|given| &given.place), &[AccountKind::Wecom]),
        (
            "server_token",
            token_kind.as_ref().map(|given| &given.place),
            &[AccountKind::OfficialAccount, AccountKind::MiniProgram],
        ),
        (
            "server_token_secret_file",
            server_token_secret.as_ref().map(|given| &given.place),
            &[AccountKind::OfficialAccount, AccountKind::MiniProgram, AccountKind::Wecom],
        ),
        (
            "follow_code_file",
            follow_code.as_ref().map(|given| &given.place),
            &[AccountKind::OfficialAccount],
        ),
    ];
    for (key, place, fitting) in kinds {
        if let Some(place) = place.filter(|_| !fitting.contains(&kind)) {
            let why =
                format!("an account of kind {:?} has no {key}; leave it out", kind_word(kind));
            section.source.refuse(place, why);
        }
    }
    let (appid, secret) = (appid?, secret?);
    let agentid = agentid.and_then(|given| u32::try_from(given.value).ok());
    let Ok(account) = make(kind, appid.value.as_str(), agentid, secret) else {
        let why = format!(
            "{} is the corpid of a WeCom corp; write kind = \"wecom\" below it, or the appid of the account",
            quoted(appid.value.as_str())
        );
        section.source.refuse(&appid.place, why);
        return None;
    };
    let account = match message_keys {
        Some(keys) => account.with_messages(keys),
        None => account,
    };
    let account = account.with_basic_token(token_kind.map(|given| given.value).unwrap_or_default());
    let server_token_secret = server_token_secret.map(|given| ServerTokenSecret::new(given.value));
    let follow_code = follow_code.map(|given| given.value);
    Some((appid, Draft { account, server_token_secret, follow_code }))
}

fn make(
    kind: AccountKind,
    appid: &str,
    agentid: Option<u32>,
    secret: AppSecret,
) -> Result<Account, InvalidId> {
    match kind {
        AccountKind::OfficialAccount => Account::official_account(appid, secret),
        AccountKind::Website => Account::website(appid, secret),
        AccountKind::MiniProgram => Account::mini_program(appid, secret),
        AccountKind::Wecom => Account::wecom(appid, agentid, secret),
    }
}

fn server_token_secret(section: &Section<'_>) -> Option<Given<String>> {
    let what = "secret for the server token";
    let given = files::optional_secret(section, "server_token_secret_file", what)?;
    if given.value.len() < SHORTEST_SECRET {
        let why = format!(
            "the {what} is shorter than {SHORTEST_SECRET} characters, and could be guessed; make one with: openssl rand \
             -hex 32"
        );
        section.source.refuse(&given.place, why);
        return None;
    }
    Some(given)
}

fn follow_code(section: &Section<'_>) -> Option<Given<FollowCode>> {
    let path = files::path(section, "follow_code_file")?;
    match FollowCode::from_file(&path.value) {
        Ok(code) => Some(Given { value: code, place: path.place }),
        Err(error) => {
            let path_text = quoted(&path.value.display().to_string());
            section
                .source
                .refuse(&path.place, format!("{path_text} is no picture of a code: {error}"));
            None
        }
    }
}

/// The appid of an account or a client.
pub(super) fn appid(section: &Section<'_>) -> Option<Given<AppId>> {
    if !section.has("appid") {
        section.missing("appid");
    }
    section.text("appid", |text| AppId::parse(text).map_err(|_| checks::appid_advice(text)))
}
