//! The account's own `access_token`, one for all instances.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{
    Held,
    error::KeeperError,
    shared::{Shared, Source},
};
use crate::{
    clock::Clock,
    secret::ServerToken,
    session::Store,
    wechat::{Account, AccountKind, Client, Error, IssuedToken, ServerTokenKind},
};

/// Accounts' own tokens, shared by all instances over one store. Clones are the same.
///
/// Each token is fetched by one instance for all, under a lease, and renewed five minutes before it ends, while everybody
/// goes on with the old one. Where that fails it is tried again after a pause that grows, and the operator is told. The
/// store is asked once a second at most; while it is down, the last token is used as long as it is good, and nobody
/// fetches.
#[derive(Clone, Debug)]
pub struct ServerTokens(Shared<Tokens>);

#[derive(Clone, Debug)]
struct Tokens {
    client: Client,
}

impl ServerTokens {
    /// Tokens that are shared by whoever has the same store.
    pub fn new(client: Client, store: Arc<dyn Store>, clock: impl Clock) -> Self {
        Self(Shared::new(Tokens { client }, store, Arc::new(clock), None))
    }

    /// Fetches on another runtime than the callers' own. To be called first of all.
    pub fn on_runtime(self, runtime: Handle) -> Self {
        let Self(shared) = self;
        let (source, store, clock) = (shared.source(), shared.store(), shared.clock());
        Self(Shared::new(source.clone(), store.clone(), clock.clone(), Some(runtime)))
    }

    /// The account's token.
    pub async fn get(&self, account: &Account) -> Result<Held<ServerToken>, KeeperError> {
        self.0.get(account).await
    }

    /// Another token than `dead`, which WeChat has refused. Of all who report it, here and elsewhere, one fetches.
    ///
    /// # Errors
    /// As [`get`](Self::get), and where new tokens die as fast as they come.
    pub async fn replace(
        &self,
        account: &Account,
        dead: &ServerToken,
    ) -> Result<Held<ServerToken>, KeeperError> {
        self.0.replace(account, dead).await
    }

    /// Calls WeChat with the account's token. Where that is dead it is replaced, and the call is made once more: WeChat looks
    /// at the token before anything else, so not even a code is burned by the first one.
    pub async fn with<T, F>(
        &self,
        account: &Account,
        call: impl Fn(ServerToken) -> F,
    ) -> Result<T, KeeperError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let held = self.get(account).await?;
        match call(held.token.clone()).await {
            Err(error) if error.is_dead_server_token() => {
                tracing::info!(account = %account.appid(), %error, "the account's token is replaced");
                let held = self.replace(account, &held.token).await?;
                Ok(call(held.token).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// What the calls are made with.
    pub fn client(&self) -> &Client {
        &self.0.source().client
    }

    pub(super) fn runtime(&self) -> Option<Handle> {
        self.0.runtime()
    }

    /// Whose token it is: accounts with the same words share it.
    pub(super) fn owner(account: &Account) -> String {
        Tokens::owner(account)
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        self.0.store()
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        self.0.clock()
    }
}

impl Source for Tokens {
    type Secret = ServerToken;
    const WHAT: &'static str = "access_token";

    fn owner(account: &Account) -> String {
        let appid = account.appid();
        match (account.kind(), account.basic_token(), account.agentid()) {
            // Each app of a corp has a token of its own.
            (AccountKind::Wecom, _, Some(agentid)) => format!("{appid}:{agentid}"),
            (AccountKind::Wecom, _, None) | (_, ServerTokenKind::Stable, _) => appid.to_string(),
            (_, ServerTokenKind::Classic, _) => format!("{appid}:classic"),
        }
    }

    async fn fetch(
        &self,
        account: &Account,
        dead: Option<&ServerToken>,
    ) -> Result<(ServerToken, Duration), KeeperError> {
        let mut issued = self.client.server_token(account, false).await?;
        let is_stable = account.kind() != AccountKind::Wecom
            && account.basic_token() == ServerTokenKind::Stable;
        // Twenty a day: only where WeChat goes on giving a token that it does not take.
        let is_dead =
            |issued: &IssuedToken| dead.is_some_and(|dead| dead.expose() == issued.token.expose());
        if is_stable && is_dead(&issued) {
            issued = self.client.server_token(account, true).await?;
        }
        if is_dead(&issued) {
            return Err(KeeperError::Unmoved);
        }
        Ok((issued.token, issued.expires_in))
    }
}
