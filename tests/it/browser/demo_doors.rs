//! Every door of the demo, walked to its end in one browser, as by somebody who has just started it.

use std::fs;

use serde_json::Value;
use thirtyfour::WindowHandle;
use tokio::time::Instant;
use wxgate::demo::Demo;

use super::{
    Chromium, GLANCE, Options, PATIENCE,
    demo::{NICKNAME, at, become_alice, demo, openid},
    pages::{dress, folder},
};

const WEBSITE: &str = "wx1111111111111111";
const MINI_PROGRAM: &str = "wx2222222222222222";
const CORP: &str = "ww3333333333333333";

/// A browser as people have it on a desktop, and its one window.
async fn desktop() -> (Chromium, WindowHandle) {
    let browser = Chromium::start(&Options::desktop()).await;
    let window = browser.driver.window().await.expect("it has a window");
    (browser, window)
}

/// The window that a click has opened.
async fn other_window(browser: &Chromium, own: &WindowHandle) -> WindowHandle {
    let deadline = Instant::now() + PATIENCE;
    let mut glances = tokio::time::interval(GLANCE);
    loop {
        glances.tick().await;
        let windows = browser.driver.windows().await.expect("windows can be listed");
        if let Some(other) = windows.into_iter().find(|window| window != own) {
            return other;
        }
        assert!(Instant::now() < deadline, "no window has opened");
    }
}

fn unionid(demo: &Demo, user: &str) -> String {
    let user = demo.simulator().world().user(user).expect("it lives there");
    user.unionid().expect("it has one")
}

fn openid_at(demo: &Demo, user: &str, appid: &str) -> String {
    demo.simulator().world().user(user).expect("it lives there").openid(appid)
}

/// Waits until an element says this.
async fn says(browser: &Chromium, css: &str, text: &str) {
    let there = "const [css, text] = JSON.parse(arguments[0]);
        const found = document.querySelector(css);
        return found && found.innerText.includes(text) || null;";
    let asked = serde_json::json!([css, text]).to_string();
    browser.until(&format!("{css} says {text}"), there, &asked).await;
}

async fn keep(browser: &Chromium, name: &str) {
    fs::write(folder().join(format!("demo-door-{name}.png")), browser.screenshot().await).unwrap();
}

/// The host under which the phone is another device.
async fn is_the_phone(browser: &Chromium) {
    let host = browser.run("return location.hostname;", "").await;
    assert_eq!(host, Value::from("localhost"));
}

#[tokio::test]
async fn a_code_is_scanned_with_the_phone_beside_it() {
    let (demo, (browser, desk)) = (demo().await, desktop().await);
    browser.open(&at(&demo, "/")).await;
    browser.tap("a[href='/scan']").await;
    browser.tap("#take-phone").await;
    let phone = other_window(&browser, &desk).await;
    browser.arrive(&at(&demo, "/desktop")).await;
    browser.until_heading("微信扫码登录").await;

    // The camera sees the code by itself.
    browser.switch_to(&phone).await;
    dress(&browser, (390, 780), "light").await;
    keep(&browser, "camera").await;
    browser.tap("#user-alice").await;
    browser.until_heading("在电脑上登录？").await;
    is_the_phone(&browser).await;
    browser.switch_to(&desk).await;
    says(&browser, "#status", "请在手机上点选这个数字").await;
    let number = browser.see("#number").await;
    browser.switch_to(&phone).await;
    let tap = "const button = [...document.querySelectorAll('.choice')]
            .find(button => button.innerText.trim() === arguments[0]);
        button.click();";
    browser.run(tap, &number).await;
    browser.until_heading("已确认").await;
    keep(&browser, "confirmed").await;

    browser.switch_to(&desk).await;
    browser.until_heading("电脑上也登录了").await;
    browser.arrive(&at(&demo, "/desktop")).await;
    assert_eq!(browser.see("#openid").await, openid(&demo, "alice"));
    // Once more, as the page says.
    browser.tap("#again").await;
    browser.tap("#primary").await;
    browser.arrive(&at(&demo, "/scan")).await;
    browser.see("#take-phone").await;
    browser.quit().await;
}

#[tokio::test]
async fn a_wrong_number_on_the_demo_s_phone_signs_nobody_in() {
    let (demo, (browser, desk)) = (demo().await, desktop().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/scan")).await;
    browser.tap("#take-phone").await;
    let phone = other_window(&browser, &desk).await;
    browser.switch_to(&phone).await;
    browser.until_heading("在电脑上登录？").await;
    browser.switch_to(&desk).await;
    let number = browser.see("#number").await;
    browser.switch_to(&phone).await;
    let tap = "const button = [...document.querySelectorAll('.choice')]
            .find(button => button.innerText.trim() !== arguments[0]);
        button.click();";
    browser.run(tap, &number).await;
    browser.until_heading("数字不对，没有登录").await;
    browser.switch_to(&desk).await;
    says(&browser, "#status", "数字不对").await;
    browser.open(&at(&demo, "/")).await;
    // The phone is signed in, and the desktop is not.
    browser.see("#anonymous").await;
    browser.quit().await;
}

#[tokio::test]
async fn a_website_s_code_is_scanned_at_the_simulator() {
    let (demo, (browser, _)) = (demo().await, desktop().await);
    browser.open(&at(&demo, "/")).await;
    browser.tap("a[href='/website']").await;
    browser.see("#qr").await;
    browser.tap("#user-alice").await;
    browser.tap("#allow").await;
    browser.until_heading("用网站应用登录了").await;
    dress(&browser, (1280, 800), "light").await;
    keep(&browser, "website").await;
    assert_eq!(browser.see("#nickname").await, NICKNAME);
    assert_eq!(browser.see("#openid").await, openid_at(&demo, "alice", WEBSITE));
    assert_eq!(browser.see("#subject").await, unionid(&demo, "alice"));
    assert_eq!(browser.see("#scope").await, "snsapi_login");
    browser.quit().await;
}

#[tokio::test]
async fn one_person_is_one_subject_and_the_site_is_told_who_it_was_before() {
    let (demo, (browser, _)) = (demo().await, desktop().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/silent")).await;
    let before = browser.see("#subject").await;
    assert!(before.ends_with(&openid(&demo, "alice")), "{before}");
    browser.open(&at(&demo, "/profile")).await;
    browser.tap("#primary").await;
    browser.tap("#allow").await;
    assert_eq!(browser.see("#nickname").await, NICKNAME);
    assert_eq!(browser.see("#subject").await, unionid(&demo, "alice"));
    assert_eq!(browser.see("#former-subject").await, before);
    // Any sign-in of the site will do for the website's page.
    browser.open(&at(&demo, "/website")).await;
    browser.until_heading("你已经登录了").await;
    browser.tap("#again").await;
    browser.tap("#primary").await;
    browser.see("#qr").await;
    browser.quit().await;
}

#[tokio::test]
async fn bob_follows_with_the_phone_and_comes_in() {
    let (demo, (browser, desk)) = (demo().await, desktop().await);
    browser.open(&at(&demo, "/")).await;
    browser.tap("a[href='/followers']").await;
    browser.tap("#take-phone").await;
    let phone = other_window(&browser, &desk).await;
    browser.tap("#user-bob").await;
    browser.until_heading("请先关注公众号").await;
    keep(&browser, "follow-first").await;

    browser.switch_to(&phone).await;
    browser.see("#follow").await;
    keep(&browser, "follow").await;
    browser.tap("#follow").await;
    browser.until_heading("已关注").await;
    is_the_phone(&browser).await;
    browser.switch_to(&desk).await;
    // Nobody is asked about again within two seconds.
    let deadline = Instant::now() + PATIENCE;
    while browser.see("h1").await == "请先关注公众号" {
        assert!(Instant::now() < deadline, "bob does not come in");
        tokio::time::sleep(GLANCE).await;
        browser.tap("#primary").await;
    }
    browser.until_heading("欢迎，你已关注公众号").await;
    assert_eq!(browser.see("#openid").await, openid(&demo, "bob"));
    browser.quit().await;
}

#[tokio::test]
async fn alice_comes_in_and_stops_following_without_a_code() {
    let (demo, (browser, _)) = (demo().await, desktop().await);
    become_alice(&demo, &browser).await;
    browser.open(&at(&demo, "/members")).await;
    browser.until_heading("欢迎，你已关注公众号").await;
    browser.tap("#again").await;
    browser.tap("#unfollow").await;
    browser.until_heading("已取消关注").await;
    browser.see("#follow").await;
    browser.quit().await;
}

#[tokio::test]
async fn a_page_gets_a_signature_that_wechat_takes() {
    let (demo, (browser, _)) = (demo().await, desktop().await);
    browser.open(&at(&demo, "/jssdk#part")).await;
    browser.tap("#sign").await;
    assert_eq!(browser.see("#verdict").await, "wx.config → config:ok");
    keep(&browser, "jssdk").await;
    says(&browser, "#answer", "\"signature\"").await;
    browser.tap("#sign-foreign").await;
    assert_eq!(browser.see("#refusal").await, "403 foreign_page");
    browser.quit().await;
}

#[tokio::test]
async fn a_mini_program_signs_in_tells_more_and_opens_a_page() {
    let (demo, (browser, own)) = (demo().await, desktop().await);
    browser.open(&at(&demo, "/")).await;
    browser.tap("a[href='/mini-program']").await;
    browser.tap("#mini-login").await;
    assert_eq!(browser.see("#openid").await, openid_at(&demo, "alice", MINI_PROGRAM));
    assert_eq!(browser.see("#subject").await, unionid(&demo, "alice"));
    assert_eq!(browser.see("#nickname").await, "–");
    browser.tap("#mini-request").await;
    says(&browser, "#mini-log li", &openid_at(&demo, "alice", MINI_PROGRAM)).await;
    browser.tap("#mini-profile").await;
    says(&browser, "#nickname", NICKNAME).await;
    browser.tap("#mini-phone").await;
    says(&browser, "#phone", "+86").await;
    dress(&browser, (1280, 1000), "light").await;
    keep(&browser, "mini-program").await;
    // None of it was for the browser.
    assert!(browser.cookies().await.is_empty());

    browser.tap("#mini-open").await;
    let phone = other_window(&browser, &own).await;
    browser.switch_to(&phone).await;
    browser.see("#web-view").await;
    is_the_phone(&browser).await;
    keep(&browser, "web-view").await;
    browser.driver.enter_frame(0).await.expect("the web-view is there");
    browser.until_heading("登录好了，没有打扰你").await;
    assert_eq!(browser.see("#openid").await, openid_at(&demo, "alice", MINI_PROGRAM));
    // Not even the gateway's own pages are refused in a web-view.
    browser.tap("#sign-out").await;
    browser.until_heading("退出登录？").await;
    browser.quit().await;
}

#[tokio::test]
async fn members_of_the_company_come_in_and_others_do_not() {
    let (demo, (browser, _)) = (demo().await, desktop().await);
    browser.open(&at(&demo, "/")).await;
    browser.tap("a[href='/staff']").await;
    browser.tap("#user-alice").await;
    browser.tap("#allow").await;
    browser.until_heading("企业成员，请进").await;
    assert_eq!(browser.see("#subject").await, format!("{CORP}:AliceZhang"));
    // It is a sign-in of its own.
    browser.open(&at(&demo, "/")).await;
    browser.see("#anonymous").await;
    browser.open(&at(&demo, "/staff")).await;
    browser.tap("#again").await;
    browser.tap("#primary").await;
    browser.tap("#user-bob").await;
    let refused = browser.see("#error").await;
    assert!(refused.contains("不是"), "bob is no member: {refused}");
    browser.quit().await;
}

#[tokio::test]
async fn the_demo_shows_the_configuration_that_it_runs_on() {
    let (demo, (browser, _)) = (demo().await, desktop().await);
    browser.open(&at(&demo, "/")).await;
    browser.tap("a[href='/configuration']").await;
    let text = browser.see("#configuration").await;
    assert!(text.contains(&format!("public_url = \"{}\"", demo.url())), "{text}");
    for account in &demo.simulator().world().accounts {
        assert!(text.contains(&account.appid) && !text.contains(&account.secret), "{text}");
    }
    browser.quit().await;
}
