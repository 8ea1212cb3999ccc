//! Profiles: odd ones, stale ones, and how they are kept fresh.

use std::time::Duration;

use http::StatusCode;
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    session::MemoryStore,
    simulator::{Fault, FaultSwitch, Simulator},
};

use crate::world::{self, ALICE, App, Browser, HOUR, REFRESH, USERINFO, World, userinfo_login};

#[tokio::test]
async fn w08_profiles_with_odd_bytes_are_read_and_encoded() {
    let world = World::start().await;
    for fault in [Fault::ControlCharacters, Fault::BrokenUtf8, Fault::SexAsString, Fault::NoUnionid]
    {
        world.sim.fault(fault, 1);
        let page = world.browser("alice").walk(&userinfo_login("/profile")).await;
        assert_eq!(page.status, StatusCode::OK, "{fault:?}");
        let nickname = page.received("x-wechat-nickname").unwrap();
        assert!(nickname.bytes().all(|b| b.is_ascii_graphic()), "{fault:?} {nickname}");
        assert!(nickname.starts_with("%E7%88%B1"), "{fault:?} {nickname}");
    }
}

#[tokio::test]
async fn profiles_are_refreshed_in_the_background_once() {
    let world = World::start().await;
    let browser = world.browser("alice");
    browser.walk(&userinfo_login("/profile")).await;
    assert_eq!((world.sim.count(USERINFO), world.sim.count(REFRESH)), (1, 0));
    world.clock.advance(23 * HOUR);
    browser.get("/page").await;
    world.clock.advance(2 * HOUR);
    world.sim.advance(25 * HOUR);

    world.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(3000).path(REFRESH)]);
    for _ in 0..50 {
        assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    }
    // No request has waited for it: the refresh is still under way.
    assert_eq!(world.sim.count(USERINFO), 1);
    until(|| world.sim.count(USERINFO) == 2).await;
    assert_eq!(world.sim.count(REFRESH), 1);
    for _ in 0..10 {
        browser.get("/page").await;
    }
    assert_eq!((world.sim.count(USERINFO), world.sim.count(REFRESH)), (2, 1));
}

#[tokio::test]
async fn a_dead_refresh_token_is_no_error_page() {
    let world = World::start().await;
    let browser = world.browser("alice");
    browser.walk(&userinfo_login("/profile")).await;
    // A later silent sign-in voids the first refresh token.
    world.signed_in("alice").await;
    world.clock.advance(23 * HOUR);
    browser.get("/page").await;
    world.clock.advance(2 * HOUR);
    world.sim.advance(25 * HOUR);
    assert_eq!(browser.get("/profile").await.received("x-wechat-nickname").as_deref(), Some(ALICE));
    until(|| world.sim.count(REFRESH) == 1).await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(61));
        assert_eq!(browser.get("/profile").await.status, StatusCode::OK);
    }
    assert_eq!(world.sim.count(REFRESH), 1);
}

#[tokio::test]
async fn a_token_that_is_still_good_fetches_the_profile_by_itself() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let clock = ManualClock::new(SystemClock.now());
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let (url, login) = world::login(&sim, clock.clone(), store);
    let _gateway = world::gateway(&url, login.refresh_profiles_after(HOUR), &app.url());
    let browser = Browser::new(&url, "alice");
    browser.walk(&userinfo_login("/profile")).await;
    clock.advance(HOUR);
    sim.advance(HOUR);
    browser.get("/page").await;
    until(|| sim.count(USERINFO) == 2).await;
    assert_eq!(sim.count(REFRESH), 0, "a token lives for two hours");
}

/// Waits for something that happens beside the test.
async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it happens");
}
