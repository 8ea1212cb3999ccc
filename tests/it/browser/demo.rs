//! People with a real browser on the demo.

use std::net::{Ipv4Addr, SocketAddr};

use thirtyfour::WindowHandle;
use wxgate::{demo::Demo, simulator::Fault};

use super::{Chromium, Options};
use crate::world::{APPID, EXCHANGE, USERINFO};

pub(super) const NICKNAME: &str = "爱丽丝🌸";

pub(super) async fn demo() -> Demo {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Demo::start(anywhere, anywhere).await.expect("loopback has free ports")
}

pub(super) fn at(demo: &Demo, path: &str) -> String {
    format!("{}{path}", demo.url())
}

pub(super) fn openid(demo: &Demo, user: &str) -> String {
    demo.simulator().world().user(user).expect("it lives there").openid(APPID)
}

/// Becomes alice at the simulator, which from then on asks no more than WeChat itself.
pub(super) async fn become_alice(demo: &Demo, browser: &Chromium) {
    browser.open(&demo.simulator().url()).await;
    browser.tap("#user-alice").await;
    browser.see("#forget-user").await;
}

#[tokio::test]
async fn a_silent_sign_in_asks_for_nothing_but_whom_the_simulator_plays() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    browser.open(&at(&demo, "/silent?a=b")).await;
    browser.tap("#user-alice").await;
    browser.arrive(&at(&demo, "/silent?a=b")).await;
    assert_eq!(browser.see("#openid").await, openid(&demo, "alice"));
    assert_eq!(browser.see("#scope").await, "snsapi_base");
    assert_eq!(demo.simulator().count(EXCHANGE), 1);
    assert_eq!(demo.simulator().count(USERINFO), 0);
    browser.quit().await;
}

#[tokio::test]
async fn a_profile_takes_one_tap_and_a_consent() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    browser.open(&at(&demo, "/profile")).await;
    browser.arrive(&at(&demo, "/profile")).await;
    assert_eq!(demo.simulator().requests().len(), 0);
    browser.tap("#primary").await;
    browser.tap("#user-alice").await;
    browser.tap("#allow").await;
    browser.arrive(&at(&demo, "/profile")).await;
    assert_eq!(browser.see("#nickname").await, NICKNAME);
    browser.see("#clean").await;
    let picture = "const picture = document.querySelector('.avatar img');
        return picture && picture.complete && picture.naturalWidth || null;";
    browser.until("the picture is there", picture, "").await;
    assert_eq!(demo.simulator().count(EXCHANGE), 1);
    browser.quit().await;
}

#[tokio::test]
async fn back_after_a_sign_in_is_the_page_before_it() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/")).await;
    browser.tap("a[href='/silent']").await;
    browser.arrive(&at(&demo, "/silent")).await;
    browser.see("#openid").await;

    let before = demo.simulator().requests().len();
    browser.back().await;
    browser.arrive(&at(&demo, "/")).await;
    browser.forward().await;
    browser.arrive(&at(&demo, "/silent")).await;
    assert_eq!(browser.see("#openid").await, openid(&demo, "alice"));
    assert_eq!(demo.simulator().requests().len(), before);
    browser.quit().await;
}

#[tokio::test]
async fn back_to_the_consent_page_is_no_new_sign_in() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/")).await;
    browser.tap("a[href='/profile']").await;
    browser.tap("#primary").await;
    browser.tap("#allow").await;
    browser.see("#clean").await;
    for _ in 0..2 {
        // The consent page sends people on who have agreed before, with a code of no use.
        browser.back().await;
        browser.arrive(&at(&demo, "/profile")).await;
        assert_eq!(browser.see("#nickname").await, NICKNAME);
    }
    assert_eq!(demo.simulator().count(EXCHANGE), 1);
    browser.quit().await;
}

#[tokio::test]
async fn two_tabs_at_once_are_both_signed_in() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    browser.open(&at(&demo, "/")).await;
    let targets = [at(&demo, "/silent?tab=1"), at(&demo, "/silent?tab=2")];
    let tabs = browser.open_tabs(&targets.each_ref().map(String::as_str)).await;
    // Both wait at the simulator before either goes on.
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.see("#user-alice").await;
    }
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.tap("#user-alice").await;
        browser.see("#openid").await;
    }
    all_are_signed_in(&demo, &browser, &tabs, &targets).await;
    assert_eq!(demo.simulator().count(EXCHANGE), 2);
    browser.quit().await;
}

#[tokio::test]
async fn two_tabs_that_race_are_both_signed_in() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/")).await;
    let targets = [at(&demo, "/silent?tab=1"), at(&demo, "/silent?tab=2")];
    let tabs = browser.open_tabs(&targets.each_ref().map(String::as_str)).await;
    for tab in &tabs {
        browser.switch_to(tab).await;
        browser.see("#openid").await;
    }
    all_are_signed_in(&demo, &browser, &tabs, &targets).await;
    browser.quit().await;
}

/// Each tab shows its own page, again and again, without another sign-in.
async fn all_are_signed_in(
    demo: &Demo,
    browser: &Chromium,
    tabs: &[WindowHandle],
    targets: &[String],
) {
    let exchanges = demo.simulator().count(EXCHANGE);
    let mut addresses = Vec::new();
    for tab in tabs {
        browser.switch_to(tab).await;
        browser.reload().await;
        assert_eq!(browser.see("#openid").await, openid(demo, "alice"));
        addresses.push(browser.address().await);
    }
    // Which tab is which, the browser does not say.
    addresses.sort();
    assert_eq!(addresses, targets);
    assert_eq!(demo.simulator().count(EXCHANGE), exchanges);
}

#[tokio::test]
async fn a_refused_consent_can_be_thought_over() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/profile?x=1")).await;
    browser.tap("#primary").await;
    browser.tap("#deny").await;
    browser.until_heading("你取消了登录").await;
    assert_eq!(demo.simulator().count(EXCHANGE), 0);
    browser.tap("#primary").await;
    browser.tap("#allow").await;
    browser.arrive(&at(&demo, "/profile?x=1")).await;
    assert_eq!(browser.see("#nickname").await, NICKNAME);
    assert_eq!(demo.simulator().count(EXCHANGE), 1);
    browser.quit().await;
}

#[tokio::test]
async fn a_single_page_app_comes_back_to_its_own_view() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/app/#/orders")).await;
    browser.see("#app-guest").await;
    browser.tap("#app-login").await;
    browser.arrive(&at(&demo, "/app/#/orders")).await;
    browser.see("#app-user").await;
    assert_eq!(browser.see("#openid").await, openid(&demo, "alice"));
    browser.see(".orders").await;

    // Opened without a view, it shows the first, and so it does after a sign-in.
    browser.tap("#sign-out").await;
    browser.tap("#primary").await;
    browser.see("#app-guest").await;
    browser.open(&at(&demo, "/app/")).await;
    browser.tap("#app-login").await;
    browser.see("#app-user").await;
    browser.see("[data-view='#/']").await;
    browser.arrive(&at(&demo, "/app/")).await;
    browser.quit().await;
}

#[tokio::test]
async fn after_the_sign_out_button_a_page_asks_again() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/silent")).await;
    browser.tap("#sign-out").await;
    browser.until_heading("退出登录？").await;
    browser.tap("#primary").await;
    browser.arrive(&at(&demo, "/")).await;
    browser.see("#anonymous").await;
    assert!(browser.cookies().await.iter().all(|cookie| !cookie.name.starts_with("wxgate")));
    assert_eq!(demo.simulator().count(EXCHANGE), 1);

    browser.open(&at(&demo, "/silent")).await;
    assert_eq!(browser.see("#openid").await, openid(&demo, "alice"));
    assert_eq!(demo.simulator().count(EXCHANGE), 2);
    browser.quit().await;
}

#[tokio::test]
async fn signing_out_towards_a_protected_page_signs_in_again() {
    let (demo, browser) = (demo().await, Chromium::wechat().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/silent")).await;
    browser.see("#openid").await;
    browser.open(&at(&demo, "/_wx/logout?to=/silent")).await;
    browser.tap("#primary").await;
    browser.arrive(&at(&demo, "/silent")).await;
    browser.see("#openid").await;
    assert_eq!(demo.simulator().count(EXCHANGE), 2);
    browser.quit().await;
}

#[tokio::test]
async fn a_desktop_browser_can_walk_the_demo() {
    let (demo, browser) = (demo().await, Chromium::start(&Options::desktop()).await);
    browser.open(&at(&demo, "/")).await;
    browser.see("#anonymous").await;
    browser.tap("a[href='/profile']").await;
    browser.tap("#primary").await;
    browser.tap("#user-bob").await;
    browser.tap("#allow").await;
    browser.arrive(&at(&demo, "/profile")).await;
    assert_eq!(browser.see("#openid").await, openid(&demo, "bob"));
    browser.open(&at(&demo, "/silent")).await;
    browser.see("#nickname").await;
    browser.quit().await;
}

#[tokio::test]
async fn w02_twin_callbacks_are_one_sign_in() {
    for twin in [Fault::TwinSameCode, Fault::TwinNewCode] {
        let (demo, browser) = (demo().await, Chromium::wechat().await);
        become_alice(&demo, &browser).await;
        demo.simulator().fault(twin, 1);
        browser.open(&at(&demo, "/silent")).await;
        browser.arrive(&at(&demo, "/silent")).await;
        assert_eq!(browser.see("#openid").await, openid(&demo, "alice"));
        assert_eq!(demo.simulator().pending_faults(), []);
        browser.reload().await;
        browser.see("#openid").await;
        assert_eq!(demo.simulator().count(EXCHANGE), 1, "{twin:?}");
        browser.quit().await;
    }
}

#[tokio::test]
async fn pages_are_in_english_for_who_reads_that() {
    let (demo, browser) =
        (demo().await, Chromium::start(&Options::wechat().languages("en-US,en")).await);
    browser.open(&at(&demo, "/")).await;
    browser.until_title("Home · wxgate demo").await;
    browser.open(&at(&demo, "/profile")).await;
    browser.until_heading("Sign in with WeChat").await;
    browser.quit().await;
}
