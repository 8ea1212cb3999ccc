//! Why a token, a ticket or an answer could not be had.

use std::time::Duration;

use crate::{
    session::StoreError,
    wechat::{Error, Reaction},
};

/// A token, a ticket or an answer that could not be had. Holds no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperError {
    /// WeChat refused, or could not be reached.
    #[error(transparent)]
    Wechat(#[from] Error),
    /// Without the store nobody knows whether another instance fetches, and two that do end each other's tokens.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It failed a moment ago, here or at another instance.
    #[error("it failed before, and is tried again in {} s: {why}", .left.as_secs())]
    Resting {
        /// What was said then.
        why: Box<str>,
        /// How long until the next try.
        left: Duration,
    },
    /// Another instance has the lease, and does not come to an end.
    #[error("another instance is fetching it, and takes too long")]
    Waiting,
    /// It was given up.
    #[error("wechat did not answer within 20 s")]
    Slow,
    /// New tokens die at once.
    #[error(
        "the account's access_token dies within a minute, again and again: another program fetches tokens of the \
         account too; let it ask for /cgi-bin/stable_token, or take the token from here"
    )]
    Contested,
    /// WeChat gives the token again that it has refused.
    #[error(
        "wechat gives the token again that it has refused: it makes another one at most every 30 s"
    )]
    Unmoved,
    /// The task that fetched it is gone.
    #[error("the task that fetched it is gone")]
    Lost,
}

impl KeeperError {
    /// After how long another try makes sense, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Wechat(error) => match error.reaction() {
                Reaction::RetryAfter(pause) => Some(pause),
                _ => None,
            },
            Self::Resting { left, .. } => Some(*left),
            _ => None,
        }
    }
}
