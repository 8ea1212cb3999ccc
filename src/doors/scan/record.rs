//! How a sign-in by scanning stands, as the store knows it: records that are made once, and read by both sides.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::code::{LIFE, Scan};
use crate::session::{OneUse, SessionId, Store, StoreError, UserKey, Work};

/// Longer than any code is good, since instances may differ in what time it is.
const KEPT: Duration = Duration::from_secs(2 * LIFE.as_secs());
/// How long it may take to note who has scanned a code.
const LEASE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(25);

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// Nobody has scanned the code, or nobody who is signed in.
    Waiting,
    /// Somebody has.
    Scanned,
    /// And has decided.
    Decided(Verdict),
}

/// What the user has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Yes, in this session.
    Confirmed(SessionId),
    /// A number that the desktop does not show.
    WrongNumber,
    /// No.
    Cancelled,
}

const CONFIRMED: u8 = b'y';
const WRONG_NUMBER: u8 = b'w';
const CANCELLED: u8 = b'n';

impl Verdict {
    fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Confirmed(session) => {
                [&[CONFIRMED][..], &session.as_u128().to_be_bytes()].concat()
            }
            Self::WrongNumber => vec![WRONG_NUMBER],
            Self::Cancelled => vec![CANCELLED],
        }
    }

    /// Whatever cannot be read is no yes.
    fn from_bytes(bytes: &[u8]) -> Self {
        match bytes.split_first() {
            Some((&CONFIRMED, id)) => id.try_into().map_or(Self::Cancelled, |id| {
                Self::Confirmed(SessionId::from_u128(u128::from_be_bytes(id)))
            }),
            Some((&WRONG_NUMBER, _)) => Self::WrongNumber,
            _ => Self::Cancelled,
        }
    }
}

/// What is kept of a scan, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) scan: &'a Scan,
}

impl Record<'_> {
    /// How it stands.
    pub(super) async fn stand(self) -> Result<Stand, StoreError> {
        if let Some(verdict) = self.verdict().await? {
            return Ok(Stand::Decided(verdict));
        }
        let owner = self.store.outcome(&self.named("scan-owner")).await?;
        Ok(if owner.is_some() { Stand::Scanned } else { Stand::Waiting })
    }

    /// What was decided.
    pub(super) async fn verdict(self) -> Result<Option<Verdict>, StoreError> {
        let bytes = self.store.outcome(&self.named("scan-verdict")).await?;
        Ok(bytes.map(|bytes| Verdict::from_bytes(&bytes)))
    }

    /// Notes that this user has scanned the code, unless somebody has before. Tells whose it is.
    pub(super) async fn belongs_to(self, user: &UserKey) -> Result<Whose, StoreError> {
        let (owner, user) = (self.named("scan-owner"), user.to_string().into_bytes());
        let work = Work::of(&owner);
        let whose = |known: Vec<u8>| if known == user { Whose::Ours } else { Whose::Foreign };
        let began = Instant::now();
        loop {
            if let Some(known) = self.store.outcome(&owner).await? {
                return Ok(whose(known));
            }
            // A lease and not a claim: what fails here can be tried again, and whoever comes second is no danger.
            if let Some(lease) = self.store.lease(&work, LEASE).await? {
                let noted = match self.store.outcome(&owner).await {
                    Ok(Some(known)) => Ok(whose(known)),
                    Ok(None) => {
                        self.store.settle(&owner, &user, KEPT).await.map(|()| Whose::NewlyOurs)
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = self.store.release(&work, lease).await {
                    tracing::debug!(%error, "a lease ends by itself");
                }
                return noted;
            }
            if began.elapsed() >= PATIENCE {
                return Ok(Whose::Foreign);
            }
            sleep(PAUSE).await;
        }
    }

    /// Decides, once. False where that was done before, or begun.
    pub(super) async fn decide(self, verdict: Verdict) -> Result<bool, StoreError> {
        let once = self.named("scan-verdict");
        if !self.store.claim(&once, KEPT).await? {
            return Ok(false);
        }
        self.store.settle(&once, &verdict.to_bytes(), KEPT).await?;
        Ok(true)
    }

    /// What the desktop does once, and for how long that is remembered.
    pub(super) fn taken(self) -> (OneUse, Duration) {
        (self.named("scan-taken"), KEPT)
    }

    fn named(self, kind: &str) -> OneUse {
        OneUse::sealed(kind, &self.scan.id.to_text())
    }
}

/// Whose code it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// This user's, from now on.
    NewlyOurs,
    /// This user's.
    Ours,
    /// Somebody else's.
    Foreign,
}
