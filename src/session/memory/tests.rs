//! Tests of what the store in memory keeps, and what goes where room runs out.

use super::*;
use crate::{
    clock::ManualClock,
    wechat::{AppId, OpenId, Scope},
};

struct Fixture {
    store: MemoryStore,
    clock: ManualClock,
}

fn fixture(max_users: u64) -> Fixture {
    let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
    let store = MemoryStore::builder().clock(clock.clone()).max_users(max_users).build();
    Fixture { store, clock }
}

fn key(openid: &str) -> UserKey {
    UserKey {
        appid: AppId::parse("wx0123456789abcdef").unwrap(),
        openid: OpenId::parse(openid).unwrap(),
    }
}

impl Fixture {
    async fn sign_in(&self, openid: &str) -> Arc<Session> {
        let user = self.store.put_user(key(openid), UserChange::default()).await.unwrap();
        let now = self.clock.now();
        let new = NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now };
        self.store.create(new).await.unwrap()
    }

    fn is_signed_in(&self, session: &Session) -> bool {
        matches!(self.store.peek(session.id()), Lookup::Hit(_))
    }
}

#[cfg(feature = "conformance")]
#[async_trait]
impl crate::session::conformance::Subject for Fixture {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

#[cfg(feature = "conformance")]
#[tokio::test]
async fn c33_c42_c48_the_contract_is_kept() {
    crate::session::conformance::run(async || fixture(10_000)).await;
}

#[tokio::test]
async fn when_full_the_longest_unused_user_goes_and_never_the_newest() {
    let world = fixture(100);
    let mut sessions = Vec::new();
    for n in 0..100 {
        sessions.push(world.sign_in(&format!("old{n}")).await);
    }
    world.clock.advance(Duration::from_secs(1));
    for session in &sessions[..50] {
        assert!(world.is_signed_in(session)); // a use
    }
    let mut newest = Vec::new();
    for n in 0..50 {
        newest.push(world.sign_in(&format!("new{n}")).await);
    }
    assert!(newest.iter().all(|session| world.is_signed_in(session)));
    assert!(sessions[..50].iter().all(|session| world.is_signed_in(session)));
    assert!(!sessions[50..].iter().any(|session| world.is_signed_in(session)));
}

#[tokio::test]
async fn what_happens_once_takes_no_room_when_that_is_over() {
    let Fixture { store, .. } = fixture(10);
    let code = |code| OneUse::sealed("code", code);
    let work = |code| Work::of(&OneUse::sealed("code", code));
    for (name, life) in [("over", Duration::ZERO), ("good", Duration::from_secs(60))] {
        assert!(store.claim(&code(name), life).await.unwrap());
        store.settle(&code(name), b"x", life).await.unwrap();
        assert!(store.lease(&work(name), life).await.unwrap().is_some());
    }
    let kept = |name| {
        [
            store.used.contains_key(code(name).as_str()),
            store.outcomes.contains_key(code(name).as_str()),
            store.leases.contains_key(work(name).as_str()),
        ]
    };
    assert_eq!((kept("over"), kept("good")), ([false; 3], [true; 3]));
}

#[tokio::test]
async fn an_evicted_user_does_not_come_back_with_the_next_sign_in() {
    let world = fixture(10);
    let before = world.sign_in("o1").await;
    assert!(world.is_signed_in(&before));
    for n in 0..10 {
        world.sign_in(&format!("other{n}")).await;
    }
    assert!(!world.is_signed_in(&before));
    let after = world.sign_in("o1").await;
    assert!(world.is_signed_in(&after) && !world.is_signed_in(&before));
    // Even a session that is begun on the evicted slot is not good.
    let late = NewSession {
        user: before.user().clone(),
        scope: Scope::Base,
        signed_in_at: world.clock.now(),
        begins_at: world.clock.now(),
    };
    let late = world.store.create(late).await.unwrap();
    assert!(!world.is_signed_in(&late));
}

#[tokio::test]
async fn a_list_has_as_many_as_were_asked_for_on_each_page() {
    let world = fixture(10);
    let mut all = Vec::new();
    for n in 0..5 {
        all.push(world.sign_in(&format!("o{n}")).await.id().handle());
    }
    all.sort();
    let (mut listed, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let query = ListQuery { appid: None, openid: None, after, limit: 2 };
        let page = world.store.list(&query).await.unwrap();
        sizes.push(page.sessions.len());
        listed.extend(page.sessions.iter().map(|session| session.handle));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((listed, sizes), (all, vec![2, 2, 1]));
    let query = ListQuery { appid: None, openid: None, after: None, limit: 5 };
    assert_eq!(world.store.list(&query).await.unwrap().next, None, "nothing is behind it");
}

#[tokio::test]
async fn what_nobody_uses_any_more_makes_room_for_others() {
    let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
    let store = MemoryStore::builder().clock(clock.clone()).max_sessions(1000).max_users(1000);
    let world = Fixture { store: store.build(), clock };
    for n in 0..100 {
        world.sign_in(&format!("old{n}")).await;
    }
    world.clock.advance(world.store.lifetimes.absolute + Duration::from_secs(1));
    let mut newest = Vec::new();
    for n in 0..100 {
        newest.push(world.sign_in(&format!("new{n}")).await);
    }
    assert!(newest.iter().all(|session| world.is_signed_in(session)));
    assert_eq!((world.store.sessions.len(), world.store.users.len()), (100, 100));
}

#[tokio::test]
async fn the_app_s_data_goes_with_the_session_that_had_to_go() {
    let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
    let store = MemoryStore::builder().clock(clock.clone()).max_sessions(1).build();
    let world = Fixture { store, clock };
    let first = world.sign_in("o1").await.id();
    assert!(world.store.save_app_data(first, Arc::from(*b"1")).await.unwrap());
    assert!(world.store.app_data.get(&first).is_some());
    world.sign_in("o1").await;
    assert!(world.store.app_data.get(&first).is_none());
}

#[tokio::test]
async fn no_more_sessions_are_kept_than_were_allowed_and_the_newest_is_one_of_them() {
    let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
    let store = MemoryStore::builder().clock(clock.clone()).max_sessions(5).build();
    let world = Fixture { store, clock };
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(world.sign_in("o1").await);
    }
    let alive: Vec<_> = sessions.iter().map(|session| world.is_signed_in(session)).collect();
    assert_eq!(alive, [vec![false; 15], vec![true; 5]].concat());
}
