//! Two screens: a desktop that shows a code, and the phone that reads it from what can be seen.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Chromium, GLANCE, Options, PATIENCE,
    pages::{LOOK, dress, folder, show},
};
use crate::{
    scan::{Asked, DESKTOP, Desk, Phone, Shown, Stage, decode},
    world::{Answer, Browser, serve},
};

const DESK: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (390, 844);

/// The code that can be seen.
async fn seen(browser: &Chromium) -> String {
    browser.see("#status").await;
    let picture = image::load_from_memory(&browser.screenshot().await).expect("a picture");
    let picture = picture.into_luma8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let grey = |x: usize, y: usize| {
        picture.get_pixel(u32::try_from(x).unwrap(), u32::try_from(y).unwrap()).0[0]
    };
    decode(width, height, grey)
}

async fn keep(browser: &Chromium, name: &str) {
    fs::write(folder().join(format!("scan-{name}.png")), browser.screenshot().await).unwrap();
}

/// Taps the number, or one that is not it.
async fn tap(phone: &Chromium, number: &str, right: bool) {
    let tap = "const [number, right] = arguments[0].split(' ');
        const buttons = [...document.querySelectorAll('.choice')];
        buttons.find(button => (button.innerText.trim() === number) === (right === 'true')).click();";
    phone.run(tap, &format!("{number} {right}")).await;
}

/// Scans a code that can be seen on the desktop, up to the question.
async fn scan(desk: &Chromium, phone: &Chromium) {
    phone.open(&seen(desk).await).await;
    phone.tap("#user-alice").await;
    phone.until_heading("在电脑上登录？").await;
}

/// Waits until the page says this, and is never loaded again meanwhile.
async fn says(desk: &Chromium, text: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut glances = tokio::time::interval(GLANCE);
    loop {
        glances.tick().await;
        let status = desk.see("#status").await;
        if status.contains(text) {
            break;
        }
        assert!(Instant::now() < deadline, "{text}: {status}");
    }
    assert_eq!(desk.run("return window.marked === true;", "").await, Value::Bool(true));
}

/// Waits until the app is there, at the same address, and knows who it is.
async fn goes_on(desk: &Chromium, stage: &Stage) {
    let openid = stage.openid("alice");
    let deadline = Instant::now() + PATIENCE;
    let mut glances = tokio::time::interval(GLANCE);
    while !desk.see("body").await.contains(&openid) {
        glances.tick().await;
        assert!(Instant::now() < deadline, "the desktop does not go on");
    }
}

async fn mark(desk: &Chromium) {
    desk.run("window.marked = true;", "").await;
}

#[tokio::test]
async fn a_phone_reads_the_code_from_the_screen_and_the_desktop_goes_on_by_itself() {
    let stage = Stage::start().await;
    let desk = Chromium::start(&Options::desktop()).await;
    let phone = desk.beside(&Options::wechat()).await;
    dress(&desk, DESK, "light").await;
    dress(&phone, PHONE, "light").await;
    let page = format!("{}/page?a=b", stage.url);
    desk.open(&page).await;
    mark(&desk).await;
    keep(&desk, "waiting").await;
    let code = seen(&desk).await;
    assert!(code.starts_with(&format!("{}/_wx/scan?c=", stage.url)), "{code}");
    assert_eq!(desk.address().await, page, "the page itself shows it");

    // Somebody else's desktop, to whom the link was sent, and who looks at it first.
    let other = Desk::new(&stage.url).0;
    assert!(other.walk(&code).await.body.contains("Scan this with WeChat"));

    scan(&desk, &phone).await;
    keep(&phone, "confirm").await;
    says(&desk, "请在手机上点选这个数字").await;
    let number = desk.see("#number").await;
    assert!(!phone.see(".choices").await.is_empty());
    keep(&desk, "scanned").await;
    tap(&phone, &number, true).await;
    phone.until_heading("已确认").await;
    goes_on(&desk, &stage).await;
    assert_eq!(desk.address().await, page);
    assert_eq!(other.fetch("/page").await.status, http::StatusCode::UNAUTHORIZED);
    // Going back does not lead to the code again.
    let cookies: Vec<_> = desk.cookies().await.into_iter().map(|cookie| cookie.name).collect();
    assert_eq!(cookies, ["wxgate"]);
    phone.quit().await;
    desk.quit().await;
}

#[tokio::test]
async fn a_wrong_number_is_told_on_both_screens_and_a_new_code_works() {
    let stage = Stage::start().await;
    let desk = Chromium::start(&Options::desktop()).await;
    let phone = desk.beside(&Options::wechat()).await;
    dress(&desk, DESK, "dark").await;
    dress(&phone, PHONE, "dark").await;
    desk.open(&format!("{}/page", stage.url)).await;
    mark(&desk).await;
    let first = seen(&desk).await;
    scan(&desk, &phone).await;
    keep(&phone, "confirm-dark").await;
    let number = desk.see("#number").await;
    keep(&desk, "scanned-dark").await;
    tap(&phone, &number, false).await;
    phone.until_heading("数字不对，没有登录").await;
    assert!(phone.see("main").await.contains("可能有人想用你的帐号登录"));
    keep(&phone, "wrong-dark").await;
    says(&desk, "手机上点选的数字不对").await;
    keep(&desk, "wrong-desktop-dark").await;
    desk.tap("#again").await;
    says(&desk, "等待扫码").await;
    let next = seen(&desk).await;
    assert_ne!(next, first);
    phone.open(&next).await;
    phone.until_heading("在电脑上登录？").await;
    let number = desk.see("#number").await;
    tap(&phone, &number, true).await;
    goes_on(&desk, &stage).await;
    phone.quit().await;
    desk.quit().await;
}

#[tokio::test]
async fn a_code_that_expires_is_replaced_in_place_and_not_for_ever() {
    let stage = Stage::start().await;
    let desk = Chromium::start(&Options::desktop()).await;
    dress(&desk, DESK, "light").await;
    desk.open(&format!("{}/page", stage.url)).await;
    mark(&desk).await;
    let picture = "return document.querySelector('#picture').src;";
    let mut before = desk.run(picture, "").await;
    let mut code = seen(&desk).await;
    for round in 1..=10 {
        stage.clock.advance(Duration::from_secs(180));
        let deadline = Instant::now() + PATIENCE;
        let mut glances = tokio::time::interval(GLANCE);
        while desk.run(picture, "").await == before {
            glances.tick().await;
            assert!(Instant::now() < deadline, "round {round}");
        }
        before = desk.run(picture, "").await;
    }
    says(&desk, "等待扫码").await;
    assert_ne!(std::mem::replace(&mut code, seen(&desk).await), code);
    stage.clock.advance(Duration::from_secs(180));
    says(&desk, "二维码已过期").await;
    keep(&desk, "expired").await;
    desk.tap("#again").await;
    says(&desk, "等待扫码").await;
    let phone = Phone(Browser::new(&stage.url, "alice").with("accept-language", "en"));
    let asked = phone.scan(&seen(&desk).await).await;
    let number = desk.see("#number").await;
    phone.send(asked.tap(&number)).await;
    goes_on(&desk, &stage).await;
    desk.quit().await;
}

#[tokio::test]
async fn without_event_sources_the_page_asks_and_without_scripts_it_is_loaded_again() {
    let stage = Stage::start().await;
    let page = format!("{}/page", stage.url);
    for has_scripts in [true, false] {
        let options = Options::desktop();
        let options = if has_scripts { options } else { options.without_scripts() };
        let desk = Chromium::start(&options).await;
        dress(&desk, DESK, "light").await;
        if has_scripts {
            let source = json!({ "source": "delete window.EventSource;" });
            desk.tell("Page.addScriptToEvaluateOnNewDocument", source).await;
        }
        desk.open(&page).await;
        if !has_scripts {
            keep(&desk, "no-scripts").await;
        }
        let phone = Phone(Browser::new(&stage.url, "alice").with("accept-language", "en"));
        let asked = phone.scan(&seen(&desk).await).await;
        let number = desk.see("#number").await;
        phone.send(asked.tap(&number)).await;
        goes_on(&desk, &stage).await;
        assert_eq!(desk.address().await, page);
        desk.quit().await;
    }
}

/// Every page of both screens, as it was received.
async fn album(lang: &str) -> Vec<(String, Answer)> {
    let stage = Stage::start().await;
    let mut pages = Vec::new();
    let mut add = |name: &str, page: Answer| pages.push((format!("{name}-{lang}"), page));
    let desk = Browser::new(&stage.url, "x").with("user-agent", DESKTOP);
    let desk = Desk(desk.with("accept-language", lang));
    let phone = |user: &str| Browser::new(&stage.url, user).with("accept-language", lang);
    let english = Phone(phone("alice").with("accept-language", "en"));
    let (alice, bob) = (phone("alice"), phone("bob"));

    let shown = Shown::of(desk.0.get("/page").await);
    add("code", desk.0.get("/page").await);
    add("in-wechat", desk.0.get(&shown.code).await);
    let asked = english.scan(&shown.code).await;
    add("confirm", alice.walk(&shown.code).await);
    add("taken", bob.walk(&shown.code).await);
    let evil = [("origin", "https://evil.example"), ("accept", "text/html")];
    add("cross-site", alice.send(http::Method::POST, &asked.cancel, &evil, "").await);
    let wait = shown.live["done"].as_str().unwrap().replace("/done", "/wait");
    add("scanned", desk.0.get(&wait).await);
    english.send(&asked.cancel).await;
    add("cancelled", alice.get(&shown.code).await);
    add("cancelled-desktop", desk.0.get(&wait).await);

    let shown = Shown::of(desk.0.get("/page").await);
    let asked = Asked::of(english.0.get(&shown.code).await);
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    english.send(asked.miss(&number)).await;
    add("wrong-number", alice.walk(&shown.code).await);
    add("wrong-number-desktop", desk.0.get(&wait).await);

    let shown = Shown::of(desk.0.get("/page").await);
    let asked = Asked::of(english.0.get(&shown.code).await);
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    english.send(asked.tap(&number)).await;
    add("confirmed", alice.get(&shown.code).await);
    english.0.log_out("?everywhere=1").await;
    add("over", desk.0.get(&wait.replace("/wait", "/done")).await);

    let shown = Shown::of(desk.0.get("/page").await);
    stage.clock.advance(Duration::from_secs(180));
    add("expired", bob.walk(&shown.code).await);
    add("unknown", bob.walk("/_wx/scan?c=x").await);
    pages
}

#[tokio::test]
async fn every_page_of_a_scan_looks_right_everywhere() {
    let mut names = Vec::new();
    let mut answers = Vec::new();
    for lang in ["zh-CN", "en"] {
        for (name, page) in album(lang).await {
            assert!(page.body.contains("<h1>"), "{name}: {page:?}");
            names.push((name, lang));
            answers.push(page);
        }
    }
    let pages = Arc::new(Mutex::new(answers));
    let site = serve(Router::new().fallback(show).with_state(pages)).await;
    // Without scripts, so that each page stays as it is.
    let browser = Chromium::start(&Options::wechat().without_scripts()).await;
    let mut wrong = Vec::new();
    for (device, size) in [("phone", PHONE), ("desktop", DESK)] {
        for scheme in ["light", "dark"] {
            dress(&browser, size, scheme).await;
            for (at, (name, lang)) in names.iter().enumerate() {
                browser.open(&format!("http://{site}/{at}")).await;
                let name = format!("{name}-{device}-{scheme}");
                let found = browser.run(LOOK, lang).await;
                let Value::Array(found) = found else { panic!("{name}: {found}") };
                wrong.extend(found.into_iter().map(|found| format!("{name}: {found}")));
                keep(&browser, &name).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
