//! Sessions in Redis: what every store promises, on each kind of a Redis, and what only Redis can break.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ::redis::cmd;
use async_trait::async_trait;
use wxgate::{
    clock::{Clock, ManualClock, SystemClock, Timestamp},
    secret::StorePassword,
    session::{
        KeyRing, Lifetimes, ListQuery, Lookup, NewSession, Session, SessionId, Store, StoreError,
        UserChange, UserKey,
        conformance::{self, Subject},
        durable::{DurableStore, Records, RedisRecords, RedisUrl},
    },
    wechat::{AppId, OpenId, Scope},
};

use super::redis_server::{Cluster, ENCODED, PASSWORD, Server, Watched, start_tls, until};
use crate::world::APPID;

/// What docs/stores.md says that a user needs.
const ACL: &str = "~wxgate:* &wxgate:ended -@all +ping +select +role +get +set +del +pexpire +pttl +hget +hset +hmget \
                   +hdel +hexists +scan +eval +evalsha +publish +subscribe +cluster|slots";

pub fn records(url: &str) -> RedisRecords {
    RedisRecords::new(RedisUrl::parse(url).unwrap())
}

/// Instances over one Redis, as the processes of a site are.
pub fn instances<const N: usize>(url: &str) -> [DurableStore; N] {
    let keys = KeyRing::random();
    [(); N].map(|()| DurableStore::builder(records(url), keys.clone()).build())
}

pub fn user(openid: &str) -> UserKey {
    UserKey { appid: AppId::parse(APPID).unwrap(), openid: OpenId::parse(openid).unwrap() }
}

pub async fn sign_in(store: &DurableStore, openid: &str) -> SessionId {
    try_sign_in(store, openid).await.unwrap().id()
}

pub async fn try_sign_in(store: &DurableStore, openid: &str) -> Result<Arc<Session>, StoreError> {
    let user = store.put_user(user(openid), UserChange::default()).await?;
    let now = SystemClock.now();
    store.create(NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now }).await
}

/// Waits until an instance answers from its copies, and so hears what ends.
pub async fn hears(store: &DurableStore, id: SessionId) {
    until("the instance hears what ends", async || {
        store.load(id).await.is_ok_and(|found| found.is_some())
            && matches!(store.peek(id), Lookup::Hit(_))
    })
    .await;
}

/// Two instances of a store, and the servers whose time moves with theirs.
struct OverRedis<'a> {
    stores: [DurableStore; 2],
    clock: ManualClock,
    masters: &'a [Server],
}

#[async_trait]
impl Subject for OverRedis<'_> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.stores[0].clone())
    }

    fn other(&self) -> Arc<dyn Store> {
        Arc::new(self.stores[1].clone())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        for master in self.masters {
            master.fast_forward(by).await;
        }
    }
}

async fn passes(url: &str, masters: &[Server]) {
    conformance::run(async || {
        for master in masters {
            master.forget_everything().await;
        }
        let (clock, keys) = (ManualClock::new(SystemClock.now()), KeyRing::random());
        let stores = [(); 2].map(|()| {
            DurableStore::builder(records(url), keys.clone()).clock(clock.clone()).build()
        });
        OverRedis { stores, clock, masters }
    })
    .await;
}

#[tokio::test]
async fn one_server_keeps_what_every_store_promises() {
    let server = Server::start().await;
    passes(&server.url(), std::slice::from_ref(&server)).await;
}

#[tokio::test]
async fn a_server_behind_tls_keeps_what_every_store_promises() {
    let (server, url) = start_tls().await;
    passes(&url, std::slice::from_ref(&server)).await;
    // A certificate that is not of an authority to be trusted is not accepted.
    let [stranger] = instances(url.split('?').next().unwrap());
    let said = stranger.load(SessionId::new()).await.unwrap_err().to_string();
    assert!(said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn sentinels_and_their_master_keep_what_every_store_promises() {
    let watched = Watched::start().await;
    passes(&watched.url(), &watched.servers[..1]).await;
}

#[tokio::test]
async fn a_cluster_keeps_what_every_store_promises() {
    let cluster = Cluster::start().await;
    passes(&cluster.url(), &cluster.nodes).await;
}

#[tokio::test]
async fn a_user_with_the_rights_that_the_documentation_lists_is_enough() {
    let server = Server::start().await;
    let mut make = cmd("ACL");
    make.arg("SETUSER").arg("wxgate").arg("on").arg(format!(">{PASSWORD}"));
    for rule in ACL.split_whitespace() {
        make.arg(rule);
    }
    let _: String = server.ask(&make).await;
    let url = format!("redis://wxgate:{ENCODED}@{}/2", server.addr());
    passes(&url, std::slice::from_ref(&server)).await;
    for docs in ["docs/stores.md", "docs/stores.zh-CN.md"] {
        let text = std::fs::read_to_string(docs).unwrap();
        assert!(text.contains(ACL), "{docs} lists other rights");
    }
}

#[tokio::test]
async fn what_is_over_goes_by_itself() {
    let server = Server::start().await;
    let lifetimes = Lifetimes { idle: Duration::from_secs(3), absolute: Duration::from_secs(5) };
    let store = DurableStore::builder(records(&server.url()), KeyRing::random());
    let store = store.lifetimes(lifetimes).build();
    let (once, soon) = (records(&server.url()), Duration::from_secs(3));
    for openid in ["o1", "o2"] {
        let id = sign_in(&store, openid).await;
        assert!(store.save_app_data(id, Arc::from(*b"basket")).await.unwrap());
        assert!(once.claim(openid, soon).await.unwrap());
        once.put_outcome(openid, b"done", soon).await.unwrap();
    }
    // Two sessions with their data, two claims, two outcomes; two users, the account and
    // the mark of the keys, which stay for longer.
    assert_eq!(server.keys().await, 10);
    until("what is over goes", async || server.keys().await == 4).await;
}

#[tokio::test]
async fn sessions_are_listed_page_by_page_on_every_node() {
    let cluster = Cluster::start().await;
    let [store] = instances(&cluster.url());
    let mut made = Vec::new();
    for number in 0..50 {
        made.push(sign_in(&store, &format!("o{number}")).await.handle());
    }
    let query = |after| ListQuery { appid: None, openid: None, after, limit: 7 };
    let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.list(&query(after)).await.unwrap();
        found.extend(page.sessions.iter().map(|session| session.handle));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    made.sort_unstable();
    found.sort_unstable();
    found.dedup();
    assert!(found == made && pages > 3, "{} of 50 on {pages} pages", found.len());
    for nonsense in ["x", "0@zzz", "-1", ""] {
        let page = store.list(&query(Some(nonsense.to_owned()))).await.unwrap();
        assert!(page.sessions.is_empty() && page.next.is_none(), "{nonsense}");
    }
}

#[tokio::test]
async fn what_ends_on_one_instance_ends_on_the_others_within_a_second() {
    let server = Server::start().await;
    let [here, there] = instances(&server.url());
    for (what, is_everywhere) in [("remove", false), ("remove_all_of", true)] {
        let id = sign_in(&here, "o1").await;
        hears(&there, id).await;
        let begun = Instant::now();
        if is_everywhere {
            here.remove_all_of(&user("o1")).await.unwrap();
        } else {
            here.remove(id).await.unwrap();
        }
        while matches!(there.peek(id), Lookup::Hit(_)) {
            tokio::task::yield_now().await;
            assert!(begun.elapsed() < Duration::from_secs(1), "{what} is not heard of");
        }
        println!("from `{what}` here to a refusal there: {:?}", begun.elapsed());
        assert!(there.load(id).await.unwrap().is_none(), "{what}");
    }
}

#[tokio::test]
async fn who_does_not_hear_what_ends_uses_no_copies() {
    let server = Server::start().await;
    let acl = async |rules: &[&str]| {
        let mut command = cmd("ACL");
        command.arg("SETUSER").arg("other").arg(rules);
        let _: String = server.ask(&command).await;
    };
    acl(&["on", &format!(">{PASSWORD}"), "~*", "&*", "+@all"]).await;
    let keys = KeyRing::random();
    let here = DurableStore::builder(records(&server.url()), keys.clone()).build();
    let url = format!("redis://other@{}", server.addr());
    let url = RedisUrl::parse(&url).unwrap().with_password(StorePassword::new(PASSWORD));
    let there = DurableStore::builder(RedisRecords::new(url), keys).build();
    let (early, late) = (sign_in(&here, "o1").await, sign_in(&here, "o2").await);
    hears(&there, early).await;
    hears(&there, late).await;
    let untouched = sign_in(&here, "o3").await;
    hears(&there, untouched).await;
    // The server hangs up on who listens without the right to.
    acl(&["resetchannels"]).await;
    until("no copy is used", async || matches!(there.peek(early), Lookup::Unknown)).await;
    here.remove(early).await.unwrap();
    assert!(there.load(early).await.unwrap().is_none());
    assert!(there.load(late).await.unwrap().is_some());
    assert!(matches!(there.peek(late), Lookup::Unknown));
    here.remove(late).await.unwrap();
    here.remove(untouched).await.unwrap();
    let after = sign_in(&here, "o4").await;
    acl(&["&*"]).await;
    hears(&there, after).await;
    // The copies from before are not used again.
    for ended in [early, late, untouched] {
        assert!(matches!(there.peek(ended), Lookup::Unknown));
    }
}
