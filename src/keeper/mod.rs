//! What an account has in common for all of its users, fetched by one instance for all: its own tokens, its tickets, and
//! who follows it.
//!
//! WeChat wants an account's own `access_token` to be fetched in one place: of the classic kind, a new one ends those
//! before it. So [`ServerTokens`] keeps it in the [`Store`](crate::session::Store) that the instances share, and whoever
//! holds the lease fetches it. It is renewed before it ends, while everybody goes on with the old one, which stays good for
//! a while. [`JsapiTickets`] does the same for the tickets of the JS-SDK, and [`Followers`] remembers who follows.
//!
//! ```no_run
//! # async fn example(account: wxgate::Account) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use wxgate::clock::SystemClock;
//! use wxgate::keeper::{Followers, ServerTokens};
//! use wxgate::session::MemoryStore;
//! use wxgate::wechat::{Client, Endpoints, OpenId};
//!
//! let client = Client::new(Endpoints::default());
//! let tokens = ServerTokens::new(client, Arc::new(MemoryStore::new()), SystemClock);
//! let followers = Followers::new(tokens);
//! let openid = OpenId::parse("o6_bmjrPTlm6_2sgVt7hMZOPfL2M")?;
//! if followers.ask(&account, &openid).await?.subscribe {
//!     // welcome back
//! }
//! # Ok(()) }
//! ```

mod error;
mod flights;
mod followers;
#[cfg(all(test, feature = "conformance", feature = "memory"))]
mod interleaved;
mod record;
mod server_tokens;
mod shared;
mod tickets;

use crate::clock::Timestamp;

pub use error::KeeperError;
pub use followers::Followers;
pub use server_tokens::ServerTokens;
pub use tickets::JsapiTickets;

/// All that there is to keep for a login, over the same tokens. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    pub(crate) tokens: ServerTokens,
    #[cfg(feature = "doors")]
    pub(crate) tickets: JsapiTickets,
    pub(crate) followers: Followers,
}

impl Keeper {
    pub(crate) fn new(tokens: ServerTokens) -> Self {
        Self {
            #[cfg(feature = "doors")]
            tickets: JsapiTickets::new(tokens.clone()),
            followers: Followers::new(tokens.clone()),
            tokens,
        }
    }
}

/// A token or a ticket, and the moment of its end.
#[derive(Clone, Debug)]
pub struct Held<T> {
    /// Good until then, unless somebody ends it before.
    pub token: T,
    /// When it ends.
    pub ends_at: Timestamp,
}
