//! What somebody does: one sign-in of some kind, and what comes after it.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use super::{PEOPLE, Stage};
use crate::{
    doors::MINI_PROGRAM,
    scan::{Asked, Shown},
    world::{Answer, Browser, userinfo_login},
};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/140.0.0.0 Safari/537.36";
const WXWORK: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh";

pub async fn play(stage: &Stage, random: &mut fastrand::Rng) {
    let name = format!("p{}", random.usize(..PEOPLE));
    let browser = stage.browser(&name, random);
    match random.u8(..100) {
        0..26 => walks(stage, &name, browser, "/page", random).await,
        26..38 => walks(stage, &name, browser, &userinfo_login("/profile"), random).await,
        38..48 => {
            walks(stage, &name, browser.with("user-agent", CHROME), "/page", random).await;
        }
        48..54 => {
            stage.count("members");
            walks(stage, &name, browser.with("user-agent", WXWORK), "/staff", random).await;
        }
        54..62 => scans(stage, &name, browser, random).await,
        62..72 => runs_a_mini_program(stage, &name, &browser, random).await,
        72..84 => comes_twice(stage, &name, browser, random).await,
        84..90 => leaves(stage, &browser, random).await,
        90..94 => refuses(stage, browser).await,
        _ => is_sent_a_link(stage, &name, browser, random).await,
    }
    if random.u8(..5) == 0 {
        comes_back(stage, random).await;
    }
}

/// Goes where redirects lead, and is told their own name where the app is reached.
async fn walk(stage: &Stage, name: &str, browser: &Browser, path: &str) -> Answer {
    let page = browser.walk(path).await;
    stage.saw(&page);
    if let Some(openid) = page.body.strip_prefix("openid=") {
        stage.count("pages");
        if !stage.names[name].contains(openid) {
            stage.wrong(format!("{name} is told that they are {openid}"));
        }
    }
    page
}

async fn walks(
    stage: &Stage,
    name: &str,
    browser: Browser,
    path: &str,
    random: &mut fastrand::Rng,
) {
    walk(stage, name, &browser, path).await;
    stays_or_goes(stage, name, browser, random).await;
}

/// Signs out, everywhere or here, or stays.
async fn stays_or_goes(stage: &Stage, name: &str, browser: Browser, random: &mut fastrand::Rng) {
    let query = match random.u8(..20) {
        0 => "?everywhere=1",
        1..4 => "",
        _ => return stage.left.lock().unwrap().push((name.to_owned(), browser)),
    };
    let ghost = browser.twin();
    let answer = browser.log_out(query).await;
    stage.saw(&answer);
    if answer.status == StatusCode::SEE_OTHER {
        stage.count("sign-outs");
        let me = ghost.fetch("/_wx/me").await;
        if me.status != StatusCode::UNAUTHORIZED {
            stage.wrong(format!("{name} has signed out and is still in: {me:?}"));
        }
    }
    stage.left.lock().unwrap().push((name.to_owned(), browser));
}

/// As far as the callback's address, unless WeChat is in the way of that.
async fn as_far_as_back(stage: &Stage, browser: &Browser, path: &str) -> Option<Answer> {
    let start = browser.get(path).await;
    stage.saw(&start);
    if !start.status.is_redirection() {
        return None;
    }
    let back = browser.get(start.location()).await;
    back.status.is_redirection().then_some(back)
}

/// The callback comes twice at once, with one code or with two.
async fn comes_twice(stage: &Stage, name: &str, browser: Browser, random: &mut fastrand::Rng) {
    let Some(back) = as_far_as_back(stage, &browser, "/page").await else { return };
    let one = back.location().to_owned();
    let told = back.headers.get("x-simulator-twin").map(|url| url.to_str().unwrap().to_owned());
    let other = told.unwrap_or_else(|| one.clone());
    if one != other {
        // Another code is another sign-in, which only an instance of its own does not know to be the same.
        stage.count("codes beside another one");
    }
    let mut twin = stage.browser(name, random);
    twin.jar = browser.twin().jar;
    let (first, second) = tokio::join!(browser.get(&one), twin.get(&other));
    let cookies = [&browser, &twin].map(Browser::session_cookie);
    for answer in [&first, &second] {
        stage.saw(answer);
    }
    if one == other && cookies.iter().all(Option::is_some) {
        stage.count("twins");
        if cookies[0] != cookies[1] {
            stage.wrong(format!("{name} has two sessions of one code"));
        }
    }
    walk(stage, name, &twin, "/page").await;
    stage.left.lock().unwrap().push((name.to_owned(), twin));
    stays_or_goes(stage, name, browser, random).await;
}

/// Begins, and is gone: before WeChat, on the way back, or in the middle of that.
async fn leaves(stage: &Stage, browser: &Browser, random: &mut fastrand::Rng) {
    stage.count("abandoned");
    let Some(back) = as_far_as_back(stage, browser, "/page").await else { return };
    if random.bool() {
        let patience = Duration::from_micros(random.u64(..8000));
        timeout(patience, browser.get(back.location())).await.ok();
    }
}

async fn refuses(stage: &Stage, browser: Browser) {
    let page = browser.with("x-simulator-consent", "deny").walk("/page").await;
    stage.saw(&page);
    stage.count("refused");
    if page.body.starts_with("openid=") {
        stage.wrong(format!("somebody who says no comes in: {page:?}"));
    }
}

/// Somebody else's way back is opened by another browser first.
async fn is_sent_a_link(stage: &Stage, name: &str, browser: Browser, random: &mut fastrand::Rng) {
    let Some(back) = as_far_as_back(stage, &browser, "/page").await else { return };
    let victim = stage.browser(&format!("p{}", random.usize(..PEOPLE)), random);
    let answer = victim.get(back.location()).await;
    stage.count("wrong browsers");
    if answer.status != StatusCode::BAD_REQUEST || victim.session_cookie().is_some() {
        stage.wrong(format!("a link of somebody else's does something: {answer:?}"));
    }
    walks(stage, name, browser, back.location(), random).await;
}

async fn runs_a_mini_program(
    stage: &Stage,
    name: &str,
    browser: &Browser,
    random: &mut fastrand::Rng,
) {
    let code = stage.sim.mini_program(name, MINI_PROGRAM).unwrap().login();
    let body = json!({ "js_code": code }).to_string();
    let headers = [("content-type", "application/json")];
    let login = "/_wx/mini-program/login";
    // A code is forgotten after ten minutes, by WeChat sooner.
    let stands_still = stage.standing.read().await;
    let answer = browser.send(Method::POST, login, &headers, &body).await;
    stage.saw(&answer);
    let again = browser.send(Method::POST, login, &headers, &body).await;
    drop(stands_still);
    if again.status == StatusCode::OK {
        stage.wrong(format!("a js_code is good twice: {again:?}"));
    }
    if answer.status != StatusCode::OK {
        return stage.count("mini-programs not let in");
    }
    stage.count("mini-programs");
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let with_token = [("x-wechat-session", token.as_str())];
    let page = browser.send(Method::GET, "/page", &with_token, "").await;
    stage.saw(&page);
    match page.body.strip_prefix("openid=") {
        Some(openid) if !stage.names[name].contains(openid) => {
            stage.wrong(format!("{name} is told that they are {openid}"));
        }
        _ => {}
    }
    if random.bool() {
        browser.send(Method::POST, "/_wx/logout", &[with_token[0], headers[0]], "{}").await;
        let page = browser.send(Method::GET, "/page", &with_token, "").await;
        if page.status != StatusCode::UNAUTHORIZED {
            stage.wrong(format!("a token is good after its end: {page:?}"));
        }
    } else {
        stage.count("tokens left");
    }
}

/// A desktop shows a code, and a phone scans it.
async fn scans(stage: &Stage, name: &str, phone: Browser, random: &mut fastrand::Rng) {
    // A code is good for three minutes, which pass in a moment here.
    let _stands_still = stage.standing.read().await;
    let desk = stage.browser(name, random).with("user-agent", CHROME);
    let page = desk.get("/desk").await;
    stage.saw(&page);
    let shown = Shown::of(page);
    stage.count("codes shown");
    let page = walk(stage, name, &phone, &shown.code).await;
    if !page.body.contains("Sign in on the computer?") {
        return stage.left.lock().unwrap().push((name.to_owned(), phone));
    }
    stage.count("codes scanned");
    let asked = Asked::of(page);
    let json = [("accept", "application/json"), ("sec-fetch-mode", "cors")];
    let news = desk.send(Method::GET, "/_wx/scan/events", &json, "").await;
    stage.saw(&news);
    if let Some(number) = news.json()["number"].as_str() {
        let is_right = random.u8(..4) > 0;
        let tapped = if is_right { asked.tap(number) } else { asked.miss(number) };
        let origin = stage.url.clone();
        let headers = [("origin", origin.as_str()), ("accept", "text/html")];
        stage.saw(&phone.send(Method::POST, tapped, &headers, "").await);
        let done = shown.live["done"].as_str().expect("an address");
        let twin = desk.twin();
        let (one, other) = tokio::join!(desk.get(done), twin.get(done));
        for answer in [&one, &other] {
            stage.saw(answer);
        }
        let sessions = [desk.session_cookie(), twin.session_cookie()];
        if !is_right && sessions.iter().any(Option::is_some) {
            stage.wrong(format!("a wrong number signs {name} in"));
        }
        if sessions.iter().any(Option::is_some) {
            stage.count("desktops");
        }
        if let [Some(one), Some(other)] = &sessions
            && one != other
        {
            stage.wrong(format!("one code has made two sessions for {name}"));
        }
        let desk = if sessions[0].is_some() { desk } else { twin };
        if desk.session_cookie().is_some() {
            walk(stage, name, &desk, "/desk").await;
            stage.left.lock().unwrap().push((name.to_owned(), desk));
        }
    }
    stage.left.lock().unwrap().push((name.to_owned(), phone));
}

/// Somebody who was here before comes by again, signed in or not any more.
async fn comes_back(stage: &Stage, random: &mut fastrand::Rng) {
    let somebody = {
        let mut left = stage.left.lock().unwrap();
        if left.is_empty() {
            return;
        }
        let at = random.usize(..left.len());
        left.swap_remove(at)
    };
    let (name, browser) = somebody;
    stage.count("came back");
    let path = if random.bool() { "/page" } else { "/profile" };
    // A desktop is shown a code, or is sent to WeChat, as it was before.
    walk(stage, &name, &browser, path).await;
    stage.left.lock().unwrap().push((name, browser));
}
