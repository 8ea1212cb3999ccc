//! Doors: other ways in, and what pages may ask for, at addresses of their own below our prefix.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use http::request::Parts;

use super::{
    PREFIX, gate::Gate, identity::WechatUser, request::full_uri, respond::Reply,
    return_to::ReturnTo,
};
#[cfg(feature = "doors")]
use super::{attempt::Start, start};
use crate::{
    session::token,
    wechat::{AppId, Scope},
};

/// One of the `doors`, to be built into a login with [`WechatLoginLayer::door`](super::WechatLoginLayer::door).
#[derive(Clone, Debug)]
pub struct Door(Arc<dyn Doorway>);

/// What is behind a [`Door`].
#[async_trait]
pub(crate) trait Doorway: fmt::Debug + Send + Sync + 'static {
    /// Whether it is at this address: a path without our prefix, such as `/jssdk`.
    fn is_at(&self, path: &str) -> bool;

    /// Whether sessions of this account are good in a login with this door.
    fn vouches_for(&self, _: &AppId) -> bool {
        false
    }

    /// Answers a request for one of its addresses.
    async fn answer(&self, gate: &Gate, call: Call<'_>) -> Reply;

    /// Whether it offers such a browser anything.
    fn has_offer(&self) -> bool {
        false
    }

    /// What a browser gets that is not WeChat's and needs a sign-in. None where this door is no way in for it.
    fn offer(&self, _: &Gate, _: &Parts, _: Scope, _: &ReturnTo) -> Option<Reply> {
        None
    }
}

/// A request for an address of a door. Not to be printed: its headers and body hold cookies, tickets and codes.
pub(crate) struct Call<'a> {
    pub(crate) head: &'a Parts,
    /// Empty for a request that only reads. Bounded.
    pub(crate) body: Vec<u8>,
    /// Who has sent it.
    pub(crate) user: Option<WechatUser>,
}

impl Call<'_> {
    /// Which of the addresses it is for: the path without our prefix.
    pub(crate) fn path(&self) -> &str {
        let path = full_uri(self.head).path();
        path.strip_prefix(PREFIX).unwrap_or(path)
    }

    /// What the address says behind its `?`.
    pub(crate) fn query(&self) -> &str {
        full_uri(self.head).query().unwrap_or_default()
    }

    /// Who has sent it, where that was said with a token. No other site can have sent it then.
    pub(crate) fn by_token(&self) -> Option<&WechatUser> {
        self.user.as_ref().filter(|_| token::is_in(&self.head.headers))
    }
}

impl Door {
    /// Makes a door of what is behind it.
    #[cfg(feature = "doors")]
    pub(crate) fn new(way: impl Doorway) -> Self {
        Self(Arc::new(way))
    }

    pub(super) fn way(&self) -> &dyn Doorway {
        &*self.0
    }
}

/// What doors need of a login.
#[cfg(feature = "doors")]
impl Gate {
    /// Sends the browser to WeChat, to come back to `target`.
    pub(crate) fn begin(&self, head: &Parts, scope: Scope, target: &ReturnTo) -> Reply {
        start::begin(self, head, scope, target, Start::ByItself)
    }

    /// Shows the page with one button before WeChat is asked for the profile.
    pub(crate) fn ask_first(&self, target: &ReturnTo) -> Reply {
        start::ask_first(self, target)
    }

    /// One of our endpoints with these parameters, and with the account where it is not the site's own.
    pub(crate) fn endpoint<'a>(
        &'a self,
        endpoint: &str,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> String {
        start::url(self, endpoint, parameters)
    }
}
