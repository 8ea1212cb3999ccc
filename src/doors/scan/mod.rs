//! Signing in on a desktop by scanning a code with the phone, with nothing but an official account.
//!
//! A browser that is not WeChat's meets a page that needs a sign-in and gets a code instead. The phone scans it, WeChat
//! opens the address that is in it, and signs the user in there without a word. Then the phone asks: this site, this
//! browser, this place? And which of three numbers does the desktop show? Once the right one is tapped, the desktop goes on
//! by itself.
//!
//! ```
//! use wxgate::{WechatLoginLayer, doors::Scan, login::Outside};
//!
//! fn with_codes(login: WechatLoginLayer) -> WechatLoginLayer {
//!     login.door(Scan::new()).outside_wechat(Outside::Scan)
//! }
//! ```
//!
//! - **A code alone signs nobody in.** The desktop shows its number only once the code was scanned, so that a picture of the
//!   code does not have it. Whoever is sent such a picture has to guess, and a wrong number ends the code. The session is
//!   given to the one browser that has shown the code, once.
//! - **Nothing is kept before somebody scans.** What the phone has to know is sealed into the code, and the desktop's side
//!   of it into a cookie. After that, a few one-use records in the session store bring both together, over any number of
//!   instances.
//! - **It is a sign-in of its own.** The desktop's session lives as long as any other. Signing out on the phone before the
//!   desktop has gone on stops it, and what ends all of a user's sessions ends this one.
//! - **Three minutes.** A code that has expired is replaced in place, up to ten times and while somebody looks at it.
//!
//! The page waits, while it can be seen, with `EventSource` at `/_wx/scan/events`, where each answer is complete and held for 20 seconds at most,
//! so that a proxy may collect it; it falls back to asking every two seconds, and without scripts it is loaded anew every
//! five. At most 1024 requests are held at a time, for all logins of a process together; others are answered at once.
//!
//! The phone is told the desktop's network address, where a [`ClientAddr`](crate::login::ClientAddr) says it.

mod browser;
mod code;
mod desktop;
#[cfg(all(test, feature = "conformance", feature = "memory"))]
mod interleaved;
mod numbers;
mod pages;
mod phone;
mod record;
#[cfg(test)]
mod tests;
mod words;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use http::{Method, request::Parts};
use tokio::sync::Semaphore;

use crate::{
    login::{Call, Door, Doorway, Gate, Page, Reply, ReturnTo},
    wechat::Scope,
};

/// Where the phone comes.
const OPEN: &str = "/scan";
/// The parameter with the code.
pub(crate) const CODE: &str = "c";
/// The desktop's addresses.
const WAIT: &str = "/scan/wait";
const EVENTS: &str = "/scan/events";
const FRESH: &str = "/scan/fresh";
const DONE: &str = "/scan/done";
/// The parameter that says where the desktop goes afterwards.
const WAY: &str = "t";

/// How many requests a process holds at a time.
const ROOM: usize = 1024;
static ALL_ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(ROOM)));

/// Whether a phone opens a code at this path, below our prefix.
#[cfg(feature = "gateway")]
pub(crate) fn is_opened_by(path: &str) -> bool {
    path.strip_prefix(crate::login::PREFIX) == Some(OPEN)
}

/// Signs people in on a desktop who scan a code with their phone. See the [module](self).
#[derive(Clone, Debug)]
pub struct Scan {
    room: Arc<Semaphore>,
}

impl Scan {
    /// For any number of logins with an official account.
    pub fn new() -> Self {
        Self { room: ALL_ROOM.clone() }
    }
}

impl Default for Scan {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Scan> for Door {
    fn from(scan: Scan) -> Self {
        Self::new(scan)
    }
}

#[async_trait]
impl Doorway for Scan {
    fn has_offer(&self) -> bool {
        true
    }

    fn is_at(&self, path: &str) -> bool {
        [OPEN, WAIT, EVENTS, FRESH, DONE].contains(&path)
    }

    async fn answer(&self, gate: &Gate, call: Call<'_>) -> Reply {
        match (call.path(), &call.head.method) {
            (OPEN, &Method::GET) => phone::open(gate, &call).await,
            (OPEN, &Method::POST) => phone::decide(gate, &call).await,
            (WAIT, &Method::GET) => desktop::wait(gate, &call).await,
            (EVENTS, &Method::GET) => desktop::events(gate, &call, &self.room).await,
            (FRESH, &Method::POST) => desktop::fresh(gate, &call).await,
            (DONE, &Method::GET) => desktop::finish(gate, &call).await,
            _ => Reply::page(Page::MethodNotAllowed),
        }
    }

    fn offer(&self, gate: &Gate, head: &Parts, scope: Scope, target: &ReturnTo) -> Option<Reply> {
        desktop::offer(gate, head, scope, target)
    }
}
