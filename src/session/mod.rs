//! Who is signed in, and where that is kept.
//!
//! A [`Session`] is one browser that signed in: immutable, short, looked up on every request. A [`UserSlot`] is one
//! user of one account, shared by all of that user's sessions: profile, tokens, and the *epoch*. A session is good
//! while its slot has the epoch that the session was made with, so signing a user out everywhere is one step of a
//! number, and a slot that was evicted takes its sessions with it.
//!
//! A [`Store`] keeps them. The one in memory is the fastest and is empty after a restart; a [`durable::DurableStore`] keeps
//! them outside of the process.

#[cfg(feature = "tower-sessions")]
pub(crate) mod app_data;
#[cfg(feature = "conformance")]
pub mod conformance;
pub(crate) mod cookie;
pub mod durable;
mod id;
#[cfg(unix)]
mod key_file;
#[cfg(feature = "memory")]
mod memory;
#[cfg_attr(not(feature = "memory"), allow(dead_code))] // Copies alone need less of it.
mod recent;
mod seal;
#[allow(clippy::module_inception)] // The session is the one thing in here with that name.
mod session;
#[cfg(test)]
pub(crate) mod stepped;
mod store;
pub(crate) mod token;
#[cfg(test)]
pub(crate) mod turns;
mod user;

pub use id::{Handle, SessionId};
#[cfg(unix)]
pub use key_file::{KeyFile, KeyFileError, KeyInfo, KeyRole, Rotated};
#[cfg(feature = "memory")]
pub use memory::{MemoryStore, MemoryStoreBuilder};
pub use seal::{KeyRing, Purpose, Unsealable};
pub use session::{Lifetimes, NewSession, Session};
pub use store::{
    Lease, ListQuery, Lookup, OneUse, SessionInfo, SessionPage, Store, StoreError, Work,
};
pub use user::{
    AccountSlot, Epoch, KeyChange, Profile, Subject, TokenChange, Tokens, UserChange, UserKey,
    UserRecord, UserSlot,
};

/// A random number that is not 0.
fn random() -> u64 {
    // A version 4 UUID is the randomness that is at hand; its low half has 62 random bits and a fixed top bit.
    uuid::Uuid::new_v4().as_u64_pair().1
}
