//! What an operator may want to count: the steps of sign-ins, told as they happen.

use std::{fmt, sync::Arc};

use crate::wechat::{ErrCode, Error, Fault, Kind, Scope};

/// Told of every step of every sign-in. Runs on the request's path: count and return.
///
/// No event says who somebody is or holds a secret.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// This has just happened.
    fn saw(&self, event: Event);
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn saw(&self, event: Event) {
        (**self).saw(event);
    }
}

/// A step of a sign-in, or of what comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A browser was sent to WeChat.
    Started {
        /// What the user is asked for.
        scope: Scope,
    },
    /// A browser came back from a sign-in that it had begun, for the first time.
    Returned,
    /// WeChat gave a grant for a code.
    Exchanged,
    /// A session was made.
    SignedIn {
        /// What the user granted.
        scope: Scope,
    },
    /// The user said no.
    Refused,
    /// WeChat gave nothing for a code, or no profile. Counted once, however many twins share it.
    Failed {
        /// What WeChat answered, where it did.
        errcode: Option<ErrCode>,
        /// Who has to do something, where that is known.
        fault: Option<Fault>,
    },
    /// A browser came back once more from a sign-in that was being finished, or was.
    Twin,
    /// WeChat showed a snapshot page to a person it made up, who was not signed in.
    Snapshot,
    /// A sign-in was repeated too often and has been stopped.
    Looped,
    /// A desktop is being signed in by scanning a code with a phone.
    Scan {
        /// How far that has come. Once it is finished, a session was [made](Self::SignedIn).
        step: ScanStep,
    },
    /// A profile was due to be fetched again.
    Refreshed {
        /// Whether there is a new one.
        ok: bool,
    },
    /// A session was ended by its user.
    LoggedOut {
        /// Whether all other sessions of the user ended with it.
        everywhere: bool,
    },
    /// Sessions were ended by somebody else than their user.
    Revoked {
        /// Which, and by whom.
        what: Revoked,
    },
    /// A request came with a session's id.
    SessionLooked {
        /// Whether the session is good.
        found: bool,
    },
    /// The session store could not do what it was asked to.
    StoreDown,
}

/// How far a sign-in on a desktop has come, by scanning a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScanStep {
    /// A code was shown.
    Offered,
    /// A phone has opened it, and its user is signed in there.
    Scanned,
    /// The user has confirmed.
    Confirmed,
    /// The user has said no, or has tapped a wrong number.
    Refused,
}

/// Sessions that were ended by somebody else than their user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Revoked {
    /// The operator has ended one.
    Session,
    /// The operator has ended all of a user's.
    User,
    /// The operator has ended all of an account's.
    Account,
    /// WeChat has told that a user took the authorization back, and so all of this user's were ended.
    ByWeChat,
}

impl Event {
    pub(crate) fn failed(error: &Error) -> Self {
        let errcode = match error.kind() {
            Kind::Refused(code, _) => Some(*code),
            Kind::Unreachable | Kind::Interrupted | Kind::Answer(_) => None,
        };
        Self::Failed { errcode, fault: errcode.map(ErrCode::fault) }
    }
}
