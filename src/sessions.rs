//! `wxgate sessions`: tells of the sessions of a running gateway, and ends some of them.

// Doc comments are help texts here.
#![allow(clippy::doc_markdown)]

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;
use wxgate::gateway::config::Config;

use super::{Stop, admin_client, cli};

/// A page of a thousand sessions takes a tenth of this.
const LARGEST_ANSWER: u64 = 4 * 1024 * 1024;
const LARGEST_PAGE: usize = 1000;
const TEN: NonZeroUsize = NonZeroUsize::new(10).expect("it is not zero");

#[derive(Args)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Tell who is signed in
    List(List),
    /// End one session, all of a user's, or all of an account's. Exit code 1 where there was none to end
    Revoke(Revoke),
}

#[derive(Args)]
struct List {
    /// Those of one user only
    #[arg(long)]
    openid: Option<String>,
    /// Those of one account only: its name in the configuration, or its appid
    #[arg(long)]
    account: Option<String>,
    /// JSON instead of a table
    #[arg(long)]
    json: bool,
    /// How many to tell of at the most
    #[arg(long, value_name = "COUNT", default_value = "100")]
    limit: NonZeroUsize,
    #[command(flatten)]
    gateway: Gateway,
}

#[derive(Args)]
struct Revoke {
    /// One session, as `list` names it
    #[arg(long, required_unless_present_any = ["openid", "all"], conflicts_with_all = ["openid", "all", "account"])]
    session: Option<String>,
    /// All sessions of a user
    #[arg(long, conflicts_with = "all")]
    openid: Option<String>,
    /// The user's account, by name or appid; may be left out where the user is signed in with one account only
    #[arg(long)]
    account: Option<String>,
    /// All sessions of the account
    #[arg(long, requires = "account")]
    all: bool,
    #[command(flatten)]
    gateway: Gateway,
}

/// Which gateway is asked.
#[derive(Args)]
struct Gateway {
    /// Where the gateway's admin listener is [default: 127.0.0.1:9101]
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// The gateway's configuration file, which says where
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
}

/// A session, as the gateway tells of it.
#[derive(Deserialize, Serialize)]
struct Session {
    #[serde(rename = "session")]
    handle: String,
    appid: String,
    openid: String,
    subject: String,
    scope: String,
    signed_in_at: u64,
    last_used: u64,
}

#[derive(Deserialize, Serialize)]
struct Page {
    sessions: Vec<Session>,
    next: Option<String>,
}

/// What the gateway says where it does not do it.
#[derive(Deserialize)]
struct Problem {
    error: String,
    message: String,
}

pub(crate) fn run(arguments: &SessionsArgs) -> Result<(), Stop> {
    match &arguments.what {
        What::List(list) => list.run(),
        What::Revoke(revoke) => revoke.run(),
    }
}

impl List {
    fn run(&self) -> Result<(), Stop> {
        let gateway = self.gateway.addr()?;
        let (account, openid) = (self.account.as_deref(), self.openid.as_deref());
        let page = pages(gateway, account, openid, self.limit.get())?;
        if self.json {
            cli::say(&serde_json::to_string(&page).expect("our own types can be written as JSON"));
            return Ok(());
        }
        if page.sessions.is_empty() {
            cli::say("nobody is signed in");
            return Ok(());
        }
        cli::say(&table(&page.sessions));
        if page.next.is_some() {
            cli::say_problem(format!(
                "there are more; --limit {} shows more",
                self.limit.saturating_mul(TEN)
            ));
        }
        Ok(())
    }
}

impl Revoke {
    fn run(&self) -> Result<(), Stop> {
        let gateway = self.gateway.addr()?;
        let wanted = match (&self.session, &self.openid, &self.account) {
            (Some(session), ..) => json!({ "session": session }),
            (None, Some(openid), Some(account)) => json!({ "account": account, "openid": openid }),
            (None, Some(openid), None) => {
                json!({ "account": account_of(gateway, openid)?, "openid": openid })
            }
            (None, None, account) => json!({ "account": account, "all": true }),
        };
        let body = wanted.to_string();
        let answer: Value = ask(gateway, "POST /sessions/revoke", Some(&body))?;
        let revoked = &answer["revoked"];
        match (revoked["sessions"].as_u64(), revoked["appid"].as_str()) {
            (Some(0), Some(appid)) => Err(Stop::unwell(format!(
                "nothing to revoke: this user is not signed in with the account {appid}"
            ))),
            (Some(count), _) => {
                cli::say(&format!("revoked {count} of the user's sessions, which is all"));
                Ok(())
            }
            (None, Some(_)) if revoked["openid"].is_string() => {
                cli::say("revoked all of the user's sessions");
                Ok(())
            }
            (None, Some(appid)) => {
                cli::say(&format!("revoked all sessions of the account {appid}"));
                Ok(())
            }
            (None, None) => {
                cli::say("revoked the session");
                Ok(())
            }
        }
    }
}

impl Gateway {
    fn addr(&self) -> Result<SocketAddr, Stop> {
        let Some(file) = &self.config else {
            return Ok(self.admin.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 9101))));
        };
        let name = file.display();
        let config = Config::from_file(file);
        let config = config.map_err(|problems| Stop::problems(&problems, &name))?;
        config.admin_listen.ok_or_else(|| {
            let why = format!(
                "{name} opens no admin listener; write admin_listen = \"127.0.0.1:9101\" at its top, and start \
                 the gateway anew"
            );
            Stop::usage(why)
        })
    }
}

/// The sessions of as many pages as there are, up to the limit.
fn pages(
    gateway: SocketAddr,
    account: Option<&str>,
    openid: Option<&str>,
    limit: usize,
) -> Result<Page, Stop> {
    let mut found = Page { sessions: Vec::new(), next: None };
    while found.sessions.len() < limit {
        let wanted = (limit - found.sessions.len()).min(LARGEST_PAGE).to_string();
        let parameters =
            [("account", account), ("openid", openid), ("after", found.next.as_deref())];
        let mut query = Serializer::new(format!("limit={wanted}"));
        query.extend_pairs(parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))));
        let page: Page = ask(gateway, &format!("GET /sessions?{}", query.finish()), None)?;
        found.sessions.extend(page.sessions);
        found.next = page.next;
        if found.next.is_none() {
            break;
        }
    }
    Ok(found)
}

/// The account that the user is signed in with, if it is one.
fn account_of(gateway: SocketAddr, openid: &str) -> Result<String, Stop> {
    let sessions = pages(gateway, None, Some(openid), usize::MAX)?.sessions;
    let accounts: BTreeSet<_> = sessions.into_iter().map(|session| session.appid).collect();
    let mut accounts = accounts.into_iter();
    match (accounts.next(), accounts.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Stop::unwell("nothing to revoke: this user is not signed in")),
        (Some(one), Some(another)) => {
            let rest: Vec<_> = [one, another].into_iter().chain(accounts).collect();
            Err(Stop::usage(format!(
                "this user is signed in with several accounts; add --account with one of {}",
                rest.join(", ")
            )))
        }
    }
}

/// Asks the gateway, and says who is at fault where it does not do it.
fn ask<T: for<'de> Deserialize<'de>>(
    gateway: SocketAddr,
    request: &str,
    body: Option<&str>,
) -> Result<T, Stop> {
    let answer = admin_client::ask(gateway, request, body, LARGEST_ANSWER).map_err(|error| {
        Stop::unavailable(format!(
            "no answer from http://{gateway}: {error}; is the gateway running, with this admin_listen? \
             --admin or --config says where it is"
        ))
    })?;
    let strange = || {
        let status = &answer.status_line;
        Stop::unavailable(format!(
            "http://{gateway} answered {status:?}; is that the gateway's admin_listen?"
        ))
    };
    if answer.status() == Some(200) {
        return serde_json::from_slice(&answer.body).map_err(|_| strange());
    }
    let problem: Problem = serde_json::from_slice(&answer.body).map_err(|_| strange())?;
    Err(match &*problem.error {
        "no_such_session" => Stop::unwell(format!("nothing to revoke: {}", problem.message)),
        "store_down" => Stop::unavailable(problem.message),
        _ => Stop::usage(problem.message),
    })
}

fn table(sessions: &[Session]) -> String {
    let heads = ["SESSION", "APPID", "OPENID", "SCOPE", "SIGNED IN (UTC)", "LAST USED (UTC)"];
    let rows: Vec<[String; 6]> = sessions
        .iter()
        .map(|it| {
            [
                it.handle.clone(),
                it.appid.clone(),
                it.openid.clone(),
                it.scope.clone(),
                utc(it.signed_in_at),
                utc(it.last_used),
            ]
        })
        .collect();
    let heads = heads.map(str::to_owned);
    let all = || std::iter::once(&heads).chain(&rows);
    let widths: [usize; 6] =
        std::array::from_fn(|at| all().map(|row| row[at].len()).max().unwrap_or_default());
    let lines = all().map(|row| {
        let cells = row.iter().zip(widths);
        let cells: Vec<_> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn utc(seconds: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    let text = at.map(|at| humantime::format_rfc3339_seconds(at).to_string());
    text.unwrap_or_else(|| seconds.to_string()).replace('T', " ").replace('Z', "")
}
