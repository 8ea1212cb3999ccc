//! Who follows an account, which can change while the simulator runs, and the body of `/cgi-bin/user/info`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::answer::json;
use super::world::{Account, AccountKind, User};
use super::{Platform, Shared, Simulator, TellError};

/// When the followers of a world have begun to follow: nobody has written it down.
const LONG_AGO: u64 = 1_577_808_000;

/// What has changed since the start: by appid and name, whether the person follows, and since when.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<HashMap<(String, String), (bool, u64)>>);

/// The body of `POST /_simulator/follow`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    user: String,
    appid: String,
    #[serde(rename = "follow")]
    follows: bool,
}

/// A follower, in the documented order. Gender, area and the rest of the profile have been blank since 2021.
#[derive(Serialize)]
struct Follower<'a> {
    subscribe: u8,
    openid: &'a str,
    nickname: &'static str,
    sex: u8,
    language: &'static str,
    city: &'static str,
    province: &'static str,
    country: &'static str,
    headimgurl: &'static str,
    subscribe_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    remark: &'static str,
    groupid: u8,
    tagid_list: [u8; 0],
    subscribe_scene: &'static str,
    qr_scene: u8,
    qr_scene_str: &'static str,
}

#[derive(Serialize)]
struct Stranger<'a> {
    subscribe: u8,
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
}

impl Simulator {
    /// Makes a person follow an account from now on, or follow it no more. No message tells the account of it.
    pub fn follow(&self, user: &str, appid: &str, follow: bool) -> Result<(), TellError> {
        self.sim.follow(user, appid, follow)
    }
}

impl Platform {
    /// As [`Simulator::follow`], asked for by a script.
    pub(super) fn told_to_follow(&self, told: &Told) -> Result<(), TellError> {
        self.follow(&told.user, &told.appid, told.follows)
    }

    /// Whether the person follows the account now.
    pub(super) fn follows(&self, user: &User, appid: &str) -> bool {
        self.follows_since(user, appid).is_some()
    }

    fn follow(&self, user: &str, appid: &str, follow: bool) -> Result<(), TellError> {
        let (user, account) = self.told_of(user, appid, AccountKind::OfficialAccount)?;
        let key = (account.appid.clone(), user.name.clone());
        if self.follows(user, appid) != follow {
            let since = (follow, self.clock.seconds());
            self.followers.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, since);
        }
        Ok(())
    }

    fn follows_since(&self, user: &User, appid: &str) -> Option<u64> {
        let changes = self.followers.0.lock().unwrap_or_else(PoisonError::into_inner);
        match changes.get(&(appid.to_owned(), user.name.clone())) {
            Some((follows, since)) => follows.then_some(*since),
            None => user.follows(appid).then_some(LONG_AGO),
        }
    }
}

pub(super) fn body(sim: &Shared, account: &Account, user: &User) -> Vec<u8> {
    let openid = &*user.openid(&account.appid);
    let unionid = user.unionid().filter(|_| account.open_platform);
    let unionid = unionid.as_deref();
    match sim.follows_since(user, &account.appid) {
        None => json(&Stranger { subscribe: 0, openid, unionid }),
        Some(subscribe_time) => json(&Follower {
            subscribe: 1,
            openid,
            nickname: "",
            sex: 0,
            language: "zh_CN",
            city: "",
            province: "",
            country: "",
            headimgurl: "",
            subscribe_time,
            unionid,
            remark: "",
            groupid: 0,
            tagid_list: [],
            subscribe_scene: "ADD_SCENE_SEARCH",
            qr_scene: 0,
            qr_scene_str: "",
        }),
    }
}
