//! What single rules ask beyond the topics of the other files.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use http::{Method, StatusCode};
use serde_json::json;
use wxgate::{
    session::{ListQuery, MemoryStore, Store},
    simulator::{Fault, FaultSwitch, Simulator, World as SimWorld},
};

use crate::{
    domains::next,
    doors::{MINI_PROGRAM, Place},
    faults::Watched,
    world::{APPID, Answer, EXCHANGE, USERINFO, World, userinfo_login},
};

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn w01_no_target_travels_in_the_state() {
    let world = World::start().await;
    let mut states = BTreeSet::new();
    for target in ["/planted", "/page?planted=1", &format!("/planted/{}", "x".repeat(1000))] {
        for start in [target.to_owned(), format!("/_wx/login?to={}", target.replace('?', "%3F"))] {
            let browser = world.browser("alice");
            let authorize = browser.get(&start).await;
            let state = parameter(authorize.location(), "state").unwrap();
            assert!(state.len() <= 64 && state.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            assert!(!authorize.location().contains("planted"), "{}", authorize.location());
            assert!(authorize.location().ends_with("#wechat_redirect"), "w12");
            assert!(states.insert(state), "never the same");
            let page = browser.walk(authorize.location()).await;
            assert_eq!(page.url, browser.at(target), "it is not forgotten either");
        }
    }
}

/// The callback with a code that WeChat refuses: as used (40163), or as none that it knows (40029).
async fn spoil(world: &World, callback: &str, errcode: i64) -> String {
    let code = parameter(callback, "code").unwrap();
    if errcode == 40029 {
        let reversed: String = code.chars().rev().collect();
        return callback.replace(&code, &reversed);
    }
    let steal = format!(
        "{}{EXCHANGE}?appid={APPID}&secret=0123456789abcdef0123456789abcdef&code={code}&grant_type=authorization_code",
        world.sim.url()
    );
    assert!(world.browser("nobody").get(&steal).await.body.contains("openid"));
    callback.to_owned()
}

#[tokio::test]
async fn w05_both_errors_of_an_old_code_start_again_once_and_are_then_explained() {
    for errcode in [40163, 40029] {
        let world = World::start().await;
        let (poor, here) = (world.browser("bob"), "/_wx/callback?");
        let first = spoil(&world, &poor.callback_url("/page").await, errcode).await;
        let again = poor.get(&first).await;
        assert_eq!(again.status, StatusCode::FOUND, "{errcode}");
        let second = poor.get(again.location()).await;
        let second = spoil(&world, second.location(), errcode).await;
        let page = poor.get(&second).await;
        assert!(page.url.starts_with(&poor.at(here)) && !page.status.is_redirection(), "{page:?}");
        assert!(page.status.is_client_error() || page.status.is_server_error(), "{page:?}");
        let told = |text: &str| page.body.contains(text);
        assert!(told(&errcode.to_string()) && told("rid"), "{errcode}: {page:?}");
        assert!(told("again=1") && poor.session_cookie().is_none(), "a person may go on: {page:?}");

        // With a live session it goes to the target.
        let alice = world.signed_in("alice").await;
        let before = alice.session_cookie();
        let callback = alice.callback_url(&userinfo_login("/profile")).await;
        let answer = alice.get(&spoil(&world, &callback, errcode).await).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/profile"));
        assert_eq!(alice.session_cookie(), before);
        assert_eq!(alice.get("/page").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn w05_a_code_that_we_have_sent_before_is_said_to_be_used() {
    let world = World::start().await;
    let browser = world.browser("bob");
    let first = browser.callback_url("/page").await;
    let code = parameter(&first, "code").unwrap();
    assert_eq!(browser.twin().get(&first).await.status, StatusCode::SEE_OTHER);
    // The same code with the state of another sign-in, the second in a row, in a browser that has not got the session.
    let second = browser.get("/page").await;
    let state = parameter(second.location(), "state").unwrap();
    let answer = browser.get(&format!("/_wx/callback?code={code}&state={state}")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
    assert!(answer.body.contains("40163") && !answer.body.contains("Cookie"), "{answer:?}");
    assert!(answer.body.contains("again=1"), "{answer:?}");
    assert_eq!((world.exchanges(), browser.session_cookie()), (1, None));
}

#[tokio::test]
async fn w06_nothing_is_kept_of_a_snapshot_user() {
    let (mut puts, mut kept) = (Arc::default(), None);
    let world = World::with_store(|clock| {
        let memory = MemoryStore::builder().clock(clock).build();
        kept = Some(memory.clone());
        let store = Watched::new(memory);
        puts = store.users_put();
        store
    })
    .await;
    let all = ListQuery { appid: None, openid: None, after: None, limit: 10 };
    let sessions = async || kept.as_ref().unwrap().list(&all).await.unwrap().sessions.len();
    let login = userinfo_login("/profile");
    assert_eq!(world.browser("carol").walk(&login).await.status, StatusCode::FORBIDDEN);
    world.sim.fault(Fault::Snapshot, 1);
    let alice = world.browser("alice");
    assert_eq!(alice.walk(&login).await.status, StatusCode::FORBIDDEN);
    let me = alice.fetch("/_wx/me").await;
    assert_eq!((me.status, alice.session_cookie()), (StatusCode::UNAUTHORIZED, None));
    let optional = alice.get("/optional").await;
    assert_eq!(optional.received("x-wechat-subject"), None);
    assert_eq!((puts.load(Ordering::SeqCst), sessions().await), (0, 0));
    assert_eq!(world.sim.count(USERINFO), 0, "nobody asks for a made-up profile");
    // The same person on a real page.
    assert_eq!(alice.walk(&format!("{login}&again=1")).await.status, StatusCode::OK);
    assert_eq!((puts.load(Ordering::SeqCst), sessions().await), (1, 1));
}

#[tokio::test]
async fn c50_a_mini_program_is_told_nothing_that_only_the_server_may_know() {
    let place = Place::start("mini_programs = ['mini']").await;
    let phone = place.phone("alice");
    let js_code = phone.login();
    let login = place.post("/_wx/mini-program/login", None, &json!({ "js_code": js_code })).await;
    let token = login.json()["token"].as_str().unwrap().to_owned();
    let number = serde_json::to_value(phone.phone_number().unwrap()).unwrap();
    let data = place.post("/_wx/mini-program/user-data", Some(&token), &number).await;
    assert!(data.json()["user"]["phone"].is_string(), "{data:?}");
    let answers = [
        login,
        data,
        place.post("/_wx/mini-program/user-data", Some(&token), &json!({ "iv": "x" })).await,
        place.post("/_wx/mini-program/login", None, &json!({ "js_code": js_code })).await,
        place.with_token("/_wx/me", &token).await,
        place.with_token("/page", &token).await,
    ];
    let openid = place.openid("alice", MINI_PROGRAM);
    assert!(answers[5].body.contains(&openid), "{:?}", answers[5]);
    for answer in answers {
        let text = format!("{:?} {}", answer.headers, answer.body);
        for secret in ["session_key", "access_token", &"2".repeat(32), &js_code] {
            assert!(!text.contains(secret), "{secret}: {answer:?}");
        }
    }
}

const HOSTILE: &str = r#"
    [[accounts]]
    appid = "wx0123456789abcdef"
    secret = "0123456789abcdef0123456789abcdef"
    callback_hosts = ["127.0.0.1"]

    [[users]]
    name = "mallory"
    nickname = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"

    [[users]]
    name = "carol"
    nickname = "carol"
    snapshot = true
"#;

/// An own page: inert, and with all that says so.
#[track_caller]
fn is_inert(page: &Answer, name: &str) {
    let header =
        |name: &str| page.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8", "{name} {page:?}");
    let policy = header("content-security-policy");
    for part in ["default-src 'none'; style-src 'nonce-", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{name} {policy}");
    }
    assert!(!policy.contains("unsafe"), "{name} {policy}");
    assert_eq!(header("x-content-type-options"), "nosniff", "{name}");
    assert!(header("cache-control").contains("no-store"), "{name}");
    assert!(header("vary").contains("Cookie") || page.status.is_server_error(), "{name} {page:?}");
    assert!(["no-referrer", "same-origin"].contains(&&*header("referrer-policy")), "{name}");
    let scripts = page.body.matches("<script").count();
    assert_eq!(scripts, page.body.matches("<script nonce=\"").count(), "{name} {}", page.body);
    assert!(!page.body.contains("alert(1)<") && !page.body.contains("<img src=x"), "{name}");
}

#[tokio::test]
async fn c53_w11_no_page_of_ours_runs_what_a_nickname_or_an_address_says() {
    const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0";
    let people = SimWorld::from_toml(HOSTILE).unwrap();
    let sim = Simulator::builder().world(people).start().await.unwrap();
    let site = format!(
        "outside_wechat = 'scan'\n\
         [[site.h5.route]]\nprefix = '/profile'\nlogin = 'userinfo'\n\
         [[site.h5.route]]\nprefix = '/staff'\nallow_openids = ['o_nobody']\n\
         [[site.h5.route]]\nprefix = '/down'\nlogin = 'off'\nupstream = 'http://{}'\n\
         [[site.h5.route]]\nprefix = '/html'\ninject = ['html']\n",
        crate::world::free_port()
    );
    let clock =
        wxgate::clock::ManualClock::new(wxgate::clock::Clock::now(&wxgate::clock::SystemClock));
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let place = Place::over(sim, &site, "", store, clock).await;
    let evil = "%3Cscript%3Ealert(1)%3C/script%3E%22'%3E%3Cimg%20src=x%3E";
    let new = |user: &str| place.browser(user);
    let mallory = new("mallory");
    let profile = mallory.walk(&userinfo_login("/profile")).await;
    let nickname = profile.received("x-wechat-nickname").unwrap();
    assert!(nickname.starts_with("%3Cscript%3E") && nickname.bytes().all(|b| b.is_ascii_graphic()));

    let failing = new("mallory");
    place.sim.faults([FaultSwitch::new(Fault::Quota, 1)]);
    let failed = failing.walk(&userinfo_login(&format!("/x?{evil}"))).await;
    place.sim.clear_faults();
    let refusing = new("mallory").with("x-simulator-consent", "deny");
    let foreign = [("origin", "https://evil.example"), ("accept", "text/html")];
    let desktop = new("mallory").with("user-agent", DESKTOP);
    let pages = [
        ("ask first", StatusCode::OK, new("x").get(&format!("/profile?{evil}")).await),
        ("scan", StatusCode::FORBIDDEN, desktop.get(&format!("/page?{evil}")).await),
        (
            "unknown code",
            StatusCode::BAD_REQUEST,
            new("x").get(&format!("/_wx/scan?c={evil}")).await,
        ),
        ("failed", StatusCode::BAD_GATEWAY, failed),
        ("refused", StatusCode::FORBIDDEN, refusing.walk(&userinfo_login("/profile")).await),
        ("snapshot", StatusCode::FORBIDDEN, new("carol").walk(&userinfo_login("/profile")).await),
        (
            "meaningless",
            StatusCode::BAD_REQUEST,
            new("x").get("/_wx/callback?code=1&state=2").await,
        ),
        (
            "malformed",
            StatusCode::BAD_REQUEST,
            new("x").get(&format!("/_wx/callback?code={evil}")).await,
        ),
        ("not listed", StatusCode::FORBIDDEN, mallory.get(&format!("/staff?{evil}")).await),
        ("sign out", StatusCode::OK, mallory.get(&format!("/_wx/logout?to=/{evil}")).await),
        ("signed out", StatusCode::OK, new("x").get("/_wx/logout").await),
        (
            "foreign",
            StatusCode::FORBIDDEN,
            mallory.send(Method::POST, "/_wx/logout", &foreign, "").await,
        ),
        ("bad path", StatusCode::BAD_REQUEST, mallory.get(&format!("/a%2f{evil}")).await),
        ("not found", StatusCode::NOT_FOUND, mallory.get(&format!("/_wx/x{evil}")).await),
        ("upstream", StatusCode::BAD_GATEWAY, mallory.get(&format!("/down/{evil}")).await),
    ];
    for (name, status, page) in &pages {
        assert_eq!(page.status, *status, "{name} {page:?}");
        is_inert(page, name);
    }
    let me = mallory.fetch("/_wx/me").await;
    assert_eq!(me.headers["content-type"], "application/json");
    assert_eq!(me.headers["x-content-type-options"], "nosniff");
    assert!(me.json()["nickname"].as_str().unwrap().starts_with("<script>"), "as it is: {me:?}");
}

#[tokio::test]
async fn c53_the_page_of_a_crowded_address_is_no_less_careful() {
    let place = Place::start("# few").await;
    let browser = place.browser("alice");
    let login = "/_wx/login?again=1&to=/<script>";
    let mut answer = browser.get(login).await;
    for _ in 0..5 {
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break;
        }
        assert!(next(&answer).contains("/connect/oauth2/authorize"), "{answer:?}");
        answer = browser.get(login).await;
    }
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    is_inert(&answer, "crowded");
}
