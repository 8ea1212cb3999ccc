//! The account's ticket for the JS-SDK, one for all instances.

use std::time::Duration;

use super::{
    Held,
    error::KeeperError,
    server_tokens::ServerTokens,
    shared::{Shared, Source},
};
use crate::{secret::JsapiTicket, wechat::Account};

/// Accounts' tickets, shared as [`ServerTokens`] are. Clones are the same.
#[derive(Clone, Debug)]
pub struct JsapiTickets(Shared<Tickets>);

#[derive(Clone, Debug)]
struct Tickets {
    tokens: ServerTokens,
}

impl JsapiTickets {
    /// Tickets that are fetched with these tokens.
    pub fn new(tokens: ServerTokens) -> Self {
        let (store, clock) = (tokens.store().clone(), tokens.clock().clone());
        let runtime = tokens.runtime();
        Self(Shared::new(Tickets { tokens }, store, clock, runtime))
    }

    /// The account's ticket.
    pub async fn get(&self, account: &Account) -> Result<Held<JsapiTicket>, KeeperError> {
        self.0.get(account).await
    }
}

impl Source for Tickets {
    type Secret = JsapiTicket;
    const WHAT: &'static str = "jsapi_ticket";

    fn owner(account: &Account) -> String {
        ServerTokens::owner(account)
    }

    async fn fetch(
        &self,
        account: &Account,
        _: Option<&JsapiTicket>,
    ) -> Result<(JsapiTicket, Duration), KeeperError> {
        let client = self.tokens.client();
        let fetch = async |token| client.jsapi_ticket(account, &token).await;
        let issued = self.tokens.with(account, fetch).await?;
        Ok((issued.ticket, issued.expires_in))
    }
}
