//! What may go wrong between us and a Redis, and what may be done about it.

use std::fmt;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::url::Address;
use crate::session::StoreError;

/// Why there is no answer, or not the one that was asked for.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// There is no connection, so nothing was asked.
    Unreached(Box<str>),
    /// The connection broke, or the answer did not come in time: it may have been done or not.
    Broken(Box<str>),
    /// The server does not do this now, and another one may: nothing was done.
    Elsewhere(Box<str>),
    /// The server does not know the script: nothing was done.
    NoScript,
    /// The node of a cluster that has the key is another one, for good: nothing was done.
    Moved(Address),
    /// The node of a cluster that has the key is another one, for this once: nothing was done.
    Ask(Address),
    /// Anything else.
    Refused(Box<str>),
}

impl Trouble {
    /// For when a server was connected to.
    pub(super) fn unreached(at: &Address, why: impl fmt::Display) -> Self {
        Self::Unreached(format!("redis at {at} cannot be reached: {why}").into())
    }

    pub(super) fn refused(at: &Address, why: impl fmt::Display) -> Self {
        Self::Refused(format!("redis at {at} {why}").into())
    }

    pub(super) fn not_understood(at: &Address) -> Self {
        Self::refused(at, "has given an answer that no redis gives: check that it is one")
    }

    /// For a command. Servers repeat arguments in some of their errors, and arguments hold sealed records or passwords, so
    /// of what they say only what is known to hold none is told.
    pub(super) fn from_answer(at: &Address, error: &RedisError) -> Self {
        if error.is_io_error() || error.is_unrecoverable_error() {
            return Self::Broken(format!("the connection to redis at {at} has broken").into());
        }
        let node = || error.redirect_node().and_then(|(node, _)| Address::told(node, &at.host));
        match (error.kind(), error.code()) {
            (ErrorKind::Server(ServerErrorKind::NoScript), _) => Self::NoScript,
            (ErrorKind::Server(ServerErrorKind::Moved), _) => {
                node().map_or_else(|| Self::not_understood(at), Self::Moved)
            }
            (ErrorKind::Server(ServerErrorKind::Ask), _) => {
                node().map_or_else(|| Self::not_understood(at), Self::Ask)
            }
            (_, Some(code)) => {
                let code = inside_a_script(error.detail()).unwrap_or(code);
                let is_elsewhere = matches!(code, "READONLY" | "MASTERDOWN" | "CLUSTERDOWN");
                let says = format!("redis at {at} {}", said(code)).into();
                if is_elsewhere { Self::Elsewhere(says) } else { Self::Refused(says) }
            }
            _ => Self::not_understood(at),
        }
    }

    /// For the operator.
    pub(super) fn into_error(self, doing: &'static str) -> StoreError {
        match self {
            Self::Unreached(why)
            | Self::Broken(why)
            | Self::Elsewhere(why)
            | Self::Refused(why) => StoreError::new(doing, why),
            Self::NoScript => StoreError::new(doing, "redis forgets scripts while they run"),
            Self::Moved(node) | Self::Ask(node) => {
                let why = format!(
                    "redis says that the key is at {node}: it is part of a redis cluster, so write redis+cluster://, \
                     or the cluster does not agree with itself"
                );
                StoreError::new(doing, why)
            }
        }
    }
}

/// The code of an error that has ended a script, where a server before Redis 7 calls it one of the script.
fn inside_a_script(detail: Option<&str>) -> Option<&'static str> {
    let detail = detail.filter(|detail| detail.starts_with("Error running script"))?;
    let known = ["READONLY", "OOM", "MISCONF", "NOREPLICAS", "WRONGTYPE", "MASTERDOWN"];
    known.into_iter().find(|code| detail.contains(&format!("-{code} ")))
}

/// What an error of the server means for who runs it.
fn said(code: &str) -> String {
    let known = match code {
        "NOAUTH" => {
            "wants a password: a gateway has it in session.store_password_file or in WXGATE_STORE_PASSWORD, and the user's \
             name in the url"
        }
        "WRONGPASS" => "does not accept the user name or the password",
        "NOPERM" => {
            "does not let this user do that: its acl has to allow the keys wxgate:*, the channel wxgate:ended and the \
             commands that docs/stores.md lists"
        }
        "DENIED" => "lets nobody in from another machine, since it has no password",
        "OOM" => "has no memory left: raise its maxmemory",
        "READONLY" => {
            "is a replica, which takes no writes: name the master, or write redis+sentinel://"
        }
        "MASTERDOWN" => "is a replica that has lost its master",
        "CLUSTERDOWN" => "says that its cluster is down",
        "LOADING" => "is still reading its data from disk",
        "BUSY" => "is busy with somebody's script",
        "MISCONF" => "cannot write to its disk, and so takes no writes",
        "NOREPLICAS" => {
            "takes no writes, since it has too few replicas for its min-replicas-to-write"
        }
        "WRONGTYPE" => "keeps something else under a key that begins with wxgate:",
        "ERR" => {
            "answers with an error: it may have no database of that number, be no sentinel where one is named, or be older \
             than redis 6.2"
        }
        _ => return format!("answers with the error {}", code.escape_default()),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_an_older_server_inside_a_script_is_what_it_is() {
        let at = Address { host: "h".into(), port: 1 };
        let says = |detail: &str| {
            let detail = Some(detail.to_owned());
            Trouble::from_answer(&at, &::redis::make_extension_error("ERR".to_owned(), detail))
        };
        let inside = "Error running script (call to f_0): @user_script:1: @user_script: 1: -READONLY You can't write";
        assert!(matches!(says(inside), Trouble::Elsewhere(_)));
        assert!(matches!(says("something -READONLY else"), Trouble::Refused(_)));
    }

    #[test]
    fn w10_what_a_server_repeats_of_a_command_is_not_told() {
        let at = Address { host: "h".into(), port: 1 };
        for (line, told) in [
            ("ERR unknown command `HELLO`, with args beginning with: `planted`", "an error"),
            ("WRONGPASS invalid username-password pair planted", "the password"),
            ("PLANTEDCODE planted", "PLANTEDCODE"),
        ] {
            let (code, rest) = line.split_once(' ').unwrap();
            let error = ::redis::make_extension_error(code.to_owned(), Some(rest.to_owned()));
            let said = Trouble::from_answer(&at, &error).into_error("try").to_string();
            assert!(said.contains(told) && !said.contains("planted"), "{said}");
        }
    }
}
