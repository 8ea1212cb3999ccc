//! What an observer is told of sign-ins, step by step.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use http::StatusCode;
use wxgate::{
    Scope,
    clock::{Clock, ManualClock, SystemClock},
    login::{Event, Observer},
    session::{MemoryStore, Store},
    simulator::{Fault, FaultSwitch, Simulator},
    wechat::{self, ErrCode},
};

use crate::{
    faults::Watched,
    world::{self, Browser, HOUR, REFRESH, userinfo_login},
};

const BASE: Scope = Scope::Base;
const USERINFO: Scope = Scope::Userinfo;
const FOUND: Event = Event::SessionLooked { found: true };
const MISSED: Event = Event::SessionLooked { found: false };

#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<Event>>>);

impl Observer for Seen {
    fn saw(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

struct Site {
    sim: Simulator,
    clock: ManualClock,
    url: String,
    seen: Seen,
}

impl Site {
    async fn start() -> Self {
        Self::with_store(|store| store).await
    }

    async fn with_store<S: Store>(store: impl FnOnce(MemoryStore) -> S) -> Self {
        let (sim, seen) = (Simulator::start().await, Seen::default());
        let clock = ManualClock::new(SystemClock.now());
        let store = store(MemoryStore::builder().clock(clock.clone()).build());
        let (url, layer) = world::login(&sim, clock.clone(), store);
        let router = Router::new().fallback(async || "hello").layer(layer.observer(seen.clone()));
        let listener =
            tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { sim, clock, url, seen }
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.url, "alice")
    }

    /// What was seen since the last time.
    fn seen(&self) -> Vec<Event> {
        std::mem::take(&mut *self.seen.0.lock().unwrap())
    }
}

#[tokio::test]
async fn each_step_of_a_sign_in_is_told_once() {
    let site = Site::start().await;
    let browser = site.browser();
    assert_eq!(browser.walk("/page").await.status, StatusCode::OK);
    let silent = [
        Event::Started { scope: BASE },
        Event::Returned,
        Event::Exchanged,
        Event::SignedIn { scope: BASE },
        FOUND,
    ];
    assert_eq!(site.seen(), silent);
    // A page that asks for nothing looks nobody up.
    browser.get("/off").await;
    assert_eq!(site.seen(), []);
    browser.get("/page").await;
    assert_eq!(site.seen(), [FOUND]);
    browser.walk(&userinfo_login("/profile")).await;
    let upgrade = [
        FOUND,
        Event::Started { scope: USERINFO },
        FOUND,
        Event::Returned,
        Event::Exchanged,
        Event::SignedIn { scope: USERINFO },
        FOUND,
    ];
    assert_eq!(site.seen(), upgrade);

    browser.log_out("").await;
    assert_eq!(site.seen(), [FOUND, Event::LoggedOut { everywhere: false }]);
    // Nobody is there any more, so nothing is ended.
    browser.log_out("").await;
    assert_eq!(site.seen(), []);
    browser.walk("/page").await;
    let other = site.browser();
    other.walk("/page").await;
    site.seen();
    other.log_out("?everywhere=1").await;
    assert_eq!(site.seen(), [FOUND, Event::LoggedOut { everywhere: true }]);
    browser.fetch("/page").await;
    assert_eq!(site.seen(), [MISSED]);
}

#[tokio::test]
async fn a_twin_is_no_second_return() {
    let site = Site::start().await;
    let browser = site.browser();
    let callback = browser.callback_url("/page").await;
    let twin = browser.twin();
    browser.get(&callback).await;
    site.seen();
    twin.get(&callback).await;
    assert_eq!(site.seen(), [Event::Twin]);
    // A link that somebody else opens is no return at all.
    site.browser().get(&callback).await;
    assert_eq!(site.seen(), []);
}

#[tokio::test]
async fn what_comes_to_nothing_is_told_with_its_cause() {
    let site = Site::start().await;
    let started = Event::Started { scope: BASE };
    let quota = ErrCode::new(45009);
    for (fault, told) in [
        (
            Fault::Quota,
            vec![Event::Failed { errcode: Some(quota), fault: Some(wechat::Fault::Operator) }],
        ),
        (Fault::Drop, vec![Event::Failed { errcode: None, fault: None }]),
        (Fault::Snapshot, vec![Event::Exchanged, Event::Snapshot]),
        (Fault::DenyStateOnly, vec![Event::Refused]),
    ] {
        site.sim.fault(fault, 1);
        site.browser().walk("/page").await;
        assert_eq!(site.seen(), [vec![started, Event::Returned], told].concat(), "{fault:?}");
    }
    // A busy platform leads to a second sign-in.
    site.sim.fault(Fault::BusyBurnsCode, 1);
    site.browser().walk("/page").await;
    let busy =
        Event::Failed { errcode: Some(ErrCode::SYSTEM_BUSY), fault: Some(wechat::Fault::Platform) };
    let signed_in = Event::SignedIn { scope: BASE };
    let steps = [
        [started, Event::Returned, busy].to_vec(),
        [started, Event::Returned, Event::Exchanged, signed_in, FOUND].to_vec(),
    ];
    assert_eq!(site.seen(), steps.concat());
}

#[tokio::test]
async fn a_loop_is_told_when_it_is_stopped() {
    let site = Site::start().await;
    let browser = site.browser();
    for _ in 0..2 {
        browser.get("/page").await;
        assert_eq!(site.seen(), [Event::Started { scope: BASE }]);
    }
    browser.get("/page").await;
    assert_eq!(site.seen(), [Event::Looped]);
}

#[tokio::test]
async fn a_refresh_says_whether_it_brought_a_new_profile() {
    let site = Site::start().await;
    let browser = site.browser();
    browser.walk(&userinfo_login("/profile")).await;
    for (fault, ok) in [(None, true), (Some(Fault::Quota), false)] {
        site.clock.advance(23 * HOUR);
        browser.get("/page").await;
        site.clock.advance(2 * HOUR);
        site.sim.advance(25 * HOUR);
        site.sim.faults(fault.map(|fault| FaultSwitch::new(fault, 1).path(REFRESH)));
        browser.get("/profile").await;
        let refreshed = async {
            while !site.seen().contains(&Event::Refreshed { ok }) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), refreshed).await.expect("it is told");
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_told() {
    let mut down = Arc::<AtomicBool>::default();
    let site = Site::with_store(|store| {
        let store = Watched::new(store);
        down = store.down();
        store
    })
    .await;
    let browser = site.browser();
    browser.walk("/page").await;
    site.seen();
    down.store(true, Ordering::SeqCst);
    browser.get("/page").await;
    assert_eq!(site.seen(), [Event::StoreDown]);
    browser.log_out("").await;
    assert_eq!(site.seen(), [Event::StoreDown]);
    down.store(false, Ordering::SeqCst);
    browser.get("/page").await;
    assert_eq!(site.seen(), [FOUND]);
}
