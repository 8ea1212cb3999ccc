//! What the simulator is told about a person and an account, and why it may be unable to do it.

use super::Platform;
use super::world::{Account, AccountKind, User};

/// Why the simulator cannot do what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TellError {
    /// Nobody is called that.
    #[error("there is no user {0:?} in this world")]
    NoUser(String),
    /// No account has this appid.
    #[error("there is no account {0:?} in this world")]
    NoAccount(String),
    /// The account is of a kind that has no such thing.
    #[error("the account {appid:?} is no {wanted}")]
    WrongKind {
        /// The account.
        appid: String,
        /// The kind that has it, as the world file calls it.
        wanted: &'static str,
    },
    /// A mini-program has nothing to sign and encrypt with.
    #[error("{user:?} has no session key of {appid:?} yet: exchange a js_code first")]
    NoSession {
        /// The person.
        user: String,
        /// The mini-program.
        appid: String,
    },
}

impl Platform {
    /// The person and the account, which must be of this kind.
    pub(super) fn told_of(
        &self,
        user: &str,
        appid: &str,
        kind: AccountKind,
    ) -> Result<(&User, &Account), TellError> {
        let user = self.world.user(user).ok_or_else(|| TellError::NoUser(user.to_owned()))?;
        let account = self.world.account(appid);
        let account = account.ok_or_else(|| TellError::NoAccount(appid.to_owned()))?;
        if account.kind == kind {
            Ok((user, account))
        } else {
            Err(TellError::WrongKind { appid: appid.to_owned(), wanted: kind.name() })
        }
    }
}
