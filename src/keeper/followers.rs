//! Who follows an account, remembered for a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::{policy::EvictionPolicy, sync::Cache};

use super::{error::KeeperError, flights::Flights, server_tokens::ServerTokens};
use crate::{
    clock::Timestamp,
    session::UserKey,
    wechat::{Account, Follower, Lang, OpenId},
};

/// Somebody who follows is believed to for this long, unless WeChat tells of the end.
const FOLLOWER_LIFE: Duration = Duration::from_secs(10 * 60);
/// Somebody who does not is sent to follow, and comes right back.
const STRANGER_LIFE: Duration = Duration::from_secs(2);
/// Small, and asked for again where there is no room.
const MOST_KNOWN: u64 = 100_000;

/// Who follows which account. Clones are the same.
///
/// It is remembered in this instance alone: a follower for ten minutes, anybody else for two seconds. WeChat's messages of
/// `subscribe` and `unsubscribe` make it exact, where they are handed to [`forget`](Self::forget).
#[derive(Clone, Debug)]
pub struct Followers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tokens: ServerTokens,
    known: Cache<UserKey, (Timestamp, Follower)>,
    asked: Flights<UserKey, Result<Follower, KeeperError>>,
    /// How many users were forgotten: an answer that was asked for before that is not kept.
    forgotten: AtomicU64,
}

impl Followers {
    /// Followers that are asked for with these tokens.
    pub fn new(tokens: ServerTokens) -> Self {
        let known = Cache::builder()
            .max_capacity(MOST_KNOWN)
            .time_to_live(2 * FOLLOWER_LIFE) // frees memory only, by a clock of its own
            .eviction_policy(EvictionPolicy::lru());
        Self(Arc::new(Inner {
            known: known.build(),
            asked: Flights::new(tokens.runtime()),
            forgotten: AtomicU64::new(0),
            tokens,
        }))
    }

    /// Whether a user follows the account, where that is known without asking.
    pub fn peek(&self, user: &UserKey) -> Option<bool> {
        self.known(user).map(|follower| follower.subscribe)
    }

    /// What WeChat says of a user. All who ask at the same time share one call.
    pub async fn ask(&self, account: &Account, openid: &OpenId) -> Result<Follower, KeeperError> {
        let user = UserKey { appid: account.appid().clone(), openid: openid.clone() };
        if let Some(follower) = self.known(&user) {
            return Ok(follower);
        }
        let call = {
            let (followers, account, user) = (self.clone(), account.clone(), user.clone());
            async move { followers.fetch(&account, user).await }
        };
        self.0.asked.join(user, call).await.unwrap_or(Err(KeeperError::Lost))
    }

    /// Forgets what is known of a user: WeChat has told that they follow the account, or do not any more.
    pub fn forget(&self, user: &UserKey) {
        self.0.forgotten.fetch_add(1, Ordering::SeqCst);
        self.0.asked.forget(user);
        self.0.known.invalidate(user);
    }

    async fn fetch(&self, account: &Account, user: UserKey) -> Result<Follower, KeeperError> {
        let Inner { tokens, known, forgotten, .. } = &*self.0;
        let (client, openid) = (tokens.client(), &user.openid);
        let before = forgotten.load(Ordering::SeqCst);
        let ask = async |token| client.user_info(&token, openid, Lang::ZhCn).await;
        let follower = tokens.with(account, ask).await?;
        let is_current = || forgotten.load(Ordering::SeqCst) == before;
        if is_current() {
            known.insert(user.clone(), (tokens.clock().now(), follower.clone()));
            // Whoever forgets at this moment is seen here, or sees this.
            if !is_current() {
                known.invalidate(&user);
            }
        }
        Ok(follower)
    }

    fn known(&self, user: &UserKey) -> Option<Follower> {
        let (asked_at, follower) = self.0.known.get(user)?;
        let life = if follower.subscribe { FOLLOWER_LIFE } else { STRANGER_LIFE };
        let age = self.0.tokens.clock().now().since(asked_at);
        (age < life).then_some(follower)
    }
}
