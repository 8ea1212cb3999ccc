//! A store that is asked in turns, and that can be told to break a promise.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{
    Handle, Lease, Lifetimes, ListQuery, Lookup, NewSession, OneUse, Session, SessionId,
    SessionPage, Store, StoreError, UserChange, UserKey, UserSlot, Work, turns::Turns,
};
use crate::wechat::AppId;

/// A promise that a store does not keep, to see that somebody notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lie {
    #[default]
    None,
    /// Every claim wins.
    EverybodyWins,
    /// Every lease is given.
    EverybodyLeads,
    /// A change of a user who was forgotten makes the user anew.
    NobodyIsForgotten,
    /// Signing out everywhere does nothing.
    NobodyLeaves,
}

/// A store behind [`Turns`].
#[derive(Clone, Debug)]
pub(crate) struct Stepped {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) turns: Turns,
    pub(crate) lie: Lie,
}

#[async_trait]
impl Store for Stepped {
    fn lifetimes(&self) -> Lifetimes {
        self.store.lifetimes()
    }

    /// Nothing is known without a turn.
    fn peek(&self, _: SessionId) -> Lookup {
        Lookup::Unknown
    }

    async fn load(&self, id: SessionId) -> Result<Option<Arc<Session>>, StoreError> {
        self.turns.turn("load").await;
        self.store.load(id).await
    }

    async fn create(&self, new: NewSession) -> Result<Arc<Session>, StoreError> {
        self.turns.turn("create").await;
        self.store.create(new).await
    }

    async fn remove(&self, id: SessionId) -> Result<(), StoreError> {
        self.turns.turn("remove").await;
        self.store.remove(id).await
    }

    async fn remove_by_handle(&self, handle: Handle) -> Result<bool, StoreError> {
        self.turns.turn("remove_by_handle").await;
        self.store.remove_by_handle(handle).await
    }

    async fn list(&self, query: &ListQuery) -> Result<SessionPage, StoreError> {
        self.turns.turn("list").await;
        self.store.list(query).await
    }

    async fn user(&self, key: &UserKey) -> Result<Option<Arc<UserSlot>>, StoreError> {
        self.turns.turn("user").await;
        self.store.user(key).await
    }

    async fn put_user(
        &self,
        key: UserKey,
        change: UserChange,
    ) -> Result<Arc<UserSlot>, StoreError> {
        self.turns.turn("put_user").await;
        self.store.put_user(key, change).await
    }

    async fn change_user(&self, user: &UserSlot, change: UserChange) -> Result<bool, StoreError> {
        self.turns.turn("change_user").await;
        if self.lie == Lie::NobodyIsForgotten {
            return self.store.put_user(user.key().clone(), change).await.map(|_| true);
        }
        self.store.change_user(user, change).await
    }

    async fn remove_all_of(&self, key: &UserKey) -> Result<(), StoreError> {
        self.turns.turn("remove_all_of").await;
        if self.lie == Lie::NobodyLeaves {
            return Ok(());
        }
        self.store.remove_all_of(key).await
    }

    async fn remove_user(&self, key: &UserKey) -> Result<(), StoreError> {
        self.turns.turn("remove_user").await;
        self.store.remove_user(key).await
    }

    async fn remove_all_of_account(&self, appid: &AppId) -> Result<(), StoreError> {
        self.turns.turn("remove_all_of_account").await;
        self.store.remove_all_of_account(appid).await
    }

    async fn claim(&self, once: &OneUse, life: Duration) -> Result<bool, StoreError> {
        self.turns.turn("claim").await;
        let wins = self.store.claim(once, life).await?;
        Ok(wins || self.lie == Lie::EverybodyWins)
    }

    async fn settle(
        &self,
        once: &OneUse,
        outcome: &[u8],
        life: Duration,
    ) -> Result<(), StoreError> {
        self.turns.turn("settle").await;
        self.store.settle(once, outcome, life).await
    }

    async fn outcome(&self, once: &OneUse) -> Result<Option<Vec<u8>>, StoreError> {
        self.turns.turn("outcome").await;
        self.store.outcome(once).await
    }

    async fn lease(&self, work: &Work, life: Duration) -> Result<Option<Lease>, StoreError> {
        self.turns.turn("lease").await;
        let lease = self.store.lease(work, life).await?;
        let any = (self.lie == Lie::EverybodyLeads).then(Lease::random);
        Ok(lease.or(any))
    }

    async fn release(&self, work: &Work, lease: Lease) -> Result<(), StoreError> {
        self.turns.turn("release").await;
        self.store.release(work, lease).await
    }

    async fn load_app_data(&self, id: SessionId) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.turns.turn("load_app_data").await;
        self.store.load_app_data(id).await
    }

    async fn save_app_data(&self, id: SessionId, data: Arc<[u8]>) -> Result<bool, StoreError> {
        self.turns.turn("save_app_data").await;
        self.store.save_app_data(id, data).await
    }

    async fn remove_app_data(&self, id: SessionId) -> Result<(), StoreError> {
        self.turns.turn("remove_app_data").await;
        self.store.remove_app_data(id).await
    }
}
