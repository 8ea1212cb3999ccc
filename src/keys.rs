//! `wxgate keys`: makes, changes and lists the keys in a file, without a gateway.

// Doc comments are help texts here.
#![allow(clippy::doc_markdown)]

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use wxgate::{
    clock::{Clock, SystemClock, Timestamp},
    session::{KeyFile, KeyInfo, KeyRole, Rotated},
};

use super::{Stop, cli};

#[derive(Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make a file with keys that is not there yet
    New {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Let the next key of a file seal, and add a fresh one as the next; what was sealed before still opens
    Rotate {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Remove keys that stopped sealing longer ago than this, such as 60d. What they have sealed is lost: take more
        /// than 30 days, and more than session.life
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        drop_older_than: Option<Duration>,
    },
    /// List the keys of a file: what they are called, what they do, when they were made. Never the keys themselves
    List {
        /// The file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

pub(crate) fn run(arguments: &KeysArgs) -> Result<(), Stop> {
    let now = SystemClock.now();
    let text = match &arguments.what {
        What::New { file } => made(file, &KeyFile::create(file, now).map_err(Stop::usage)?),
        What::Rotate { file, drop_older_than } => {
            let rotated = KeyFile::rotate(file, now, *drop_older_than).map_err(Stop::usage)?;
            let mut text = changed(file, &rotated);
            for key in &rotated.dropped {
                write!(
                    text,
                    "\n{} is gone: who was last here while it sealed signs in again",
                    key.id
                )
                .expect("text can be written to");
            }
            text
        }
        What::List { file } => list(&KeyFile::read(file).map_err(Stop::usage)?.keys()),
    };
    cli::say(&text);
    Ok(())
}

fn made(file: &Path, keys: &KeyFile) -> String {
    let file = file.display();
    format!(
        "{}\n\n\
         {file} is made. Name it in the configuration, as key_file in [session], or with --key-file. Gateways that share \
         a store need the same keys: give each a copy. Keep one with the backups of the store, which is worth nothing \
         without it.",
        list(&keys.keys())
    )
}

fn changed(file: &Path, rotated: &Rotated) -> String {
    let Rotated { keys, dropped, took_over } = rotated;
    let file = file.display();
    let what = match (took_over, dropped.is_empty()) {
        (false, _) => {
            "There was no next key, so the old one goes on sealing until the next rotation."
        }
        (true, true) => "Nobody is signed out.",
        (true, false) => "The next key seals.",
    };
    format!(
        "{}\n\n\
         {what} A gateway that has {file} in use notices the change by itself, or is told with SIGHUP. Copy the file to \
         the other gateways of the store, and rotate again only when all of them have it.",
        list(&keys.keys())
    )
}

fn list(keys: &[KeyInfo]) -> String {
    let mut text = String::from("id        role   made                  sealed until");
    for KeyInfo { id, role, created, until } in keys {
        let until = match (role, until) {
            (KeyRole::Opens, Some(until)) => date(*until),
            (KeyRole::Opens, None) => "unknown".to_owned(),
            (KeyRole::Seals | KeyRole::Next, _) => String::new(),
        };
        write!(text, "\n{id}  {role:5}  {}  {until}", date(*created))
            .expect("text can be written to");
        text.truncate(text.trim_end().len());
    }
    text
}

fn date(time: Timestamp) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time.unix())).to_string()
}
