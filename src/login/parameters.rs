//! What a login is made of.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    callback::Flights,
    door::Door,
    observe::Observer,
    pages::Pages,
    policy::{Outside, Policy},
    ticket::SignInSite,
};
use crate::{
    clock::Clock,
    keeper::Keeper,
    origin::Origin,
    session::{KeyRing, Store, Subject, cookie},
    wechat::{Account, AppId, Client, Lang},
};

/// What a login is made of. The layer is the builder of it.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) account: Account,
    pub(crate) public_url: Origin,
    pub(crate) policy: Policy,
    pub(crate) client: Client,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pages: Arc<dyn Pages>,
    pub(crate) lang: Lang,
    pub(crate) profile_life: Duration,
    pub(crate) runtime: Option<Handle>,
    pub(crate) flights: Flights,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// The name of the account in addresses, and the session cookie of its own that it then has.
    pub(crate) account_name: Option<Box<str>>,
    pub(crate) session_name: Box<str>,
    pub(crate) cors_origins: Vec<Origin>,
    pub(crate) sign_in_at: Option<SignInSite>,
    pub(crate) partners: Vec<Origin>,
    pub(crate) subject: Subject,
    /// Accounts whose sessions are good here beside the account's own.
    pub(crate) companions: Vec<AppId>,
    /// The website application that signs people in who are not in WeChat.
    pub(crate) website: Option<Account>,
    /// What is offered to browsers outside WeChat where a path does not say.
    pub(crate) outside: Outside,
    pub(crate) doors: Vec<Door>,
    /// Made by the first who needs it, of client, store and clock.
    pub(crate) keeper: Arc<OnceLock<Keeper>>,
}

impl Parameters {
    /// What the session cookie has to be called.
    pub(crate) fn name_session(&mut self) {
        let other = self.account_name.as_ref().map(|_| self.account.appid());
        self.session_name = cookie::session_name(self.public_url.is_secure(), other).into();
    }
}
