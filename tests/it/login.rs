//! Sign-ins through the gateway, as browsers and scripts live them.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use wxgate::simulator::{Fault, FaultSwitch};

use crate::world::{APPID, EXCHANGE, HOUR, REFRESH, USERINFO, World};

const ALICE: &str = "%E7%88%B1%E4%B8%BD%E4%B8%9D%F0%9F%8C%B8";

fn userinfo_login(to: &str) -> String {
    format!("/_wx/login?scope=userinfo&to={to}")
}

#[tokio::test]
async fn a_page_signs_in_silently_and_tells_the_app_who_it_is() {
    let world = World::start().await;
    let browser = world.browser("alice");

    let first = browser.get("/page?a=b").await;
    assert_eq!(first.status, StatusCode::FOUND);
    assert!(
        first
            .location()
            .starts_with(&format!("{}/connect/oauth2/authorize?appid={APPID}", world.sim.url()))
    );
    assert!(first.headers["cache-control"].to_str().unwrap().contains("no-store"));

    let page = browser.walk("/page?a=b").await;
    assert_eq!((page.status, page.url.as_str()), (StatusCode::OK, &*browser.at("/page?a=b")));
    let openid = world.sim.world().users[0].openid(APPID);
    assert_eq!(page.received("x-wechat-openid").as_deref(), Some(&*openid));
    assert_eq!(page.received("x-wechat-subject"), Some(format!("{APPID}:{openid}")));
    assert_eq!(page.received("x-forwarded-user"), Some(format!("{APPID}:{openid}")));
    assert_eq!(page.received("x-wechat-scope").as_deref(), Some("snsapi_base"));
    assert_eq!(page.received("x-wechat-nickname"), None);
    assert_eq!(world.exchanges(), 1);
    assert_eq!(world.sim.count(USERINFO), 0);
}

#[tokio::test]
async fn a_page_that_wants_the_profile_asks_with_one_tap_first() {
    let world = World::start().await;
    let browser = world.browser("alice");

    let ask = browser.get("/profile?x=1").await;
    assert_eq!(ask.status, StatusCode::OK);
    assert!(ask.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    let link =
        format!("{}&#38;to=%2Fprofile%3Fx%3D1", world.url.clone() + "/_wx/login?scope=userinfo");
    assert!(ask.body.contains(&link), "{}", ask.body);
    assert_eq!(ask.set_cookies(), [""; 0]);
    assert_eq!(world.app.requests(), 0);

    let page = browser.walk(&userinfo_login("%2Fprofile%3Fx%3D1")).await;
    assert_eq!(page.url, browser.at("/profile?x=1"));
    assert_eq!(page.received("x-wechat-nickname").as_deref(), Some(ALICE));
    assert_eq!(page.received("x-wechat-scope").as_deref(), Some("snsapi_userinfo"));
    assert!(page.received("x-wechat-unionid").is_some());
    assert!(page.received("x-wechat-avatar").unwrap().starts_with("http"));
}

#[tokio::test]
async fn a_silent_session_is_upgraded_and_the_profile_outlives_it() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    assert_eq!(browser.get("/profile").await.headers["content-type"], "text/html; charset=utf-8");
    let old = browser.session_cookie().unwrap();

    assert_eq!(browser.walk(&userinfo_login("/profile")).await.url, browser.at("/profile"));
    assert_ne!(browser.session_cookie().unwrap(), old);

    // Another browser of the same user needs no consent: the record is there.
    let other = world.signed_in("alice").await;
    let page = other.get("/profile").await;
    assert_eq!(page.received("x-wechat-nickname").as_deref(), Some(ALICE));
    assert_eq!(page.received("x-wechat-scope").as_deref(), Some("snsapi_base"));
}

#[tokio::test]
async fn scripts_are_told_instead_of_redirected() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let referer = format!("{}/app/?tab=1", world.url);
    for (method, headers) in [
        (Method::GET, vec![("sec-fetch-mode", "cors")]),
        (Method::GET, vec![("x-requested-with", "XMLHttpRequest")]),
        (Method::GET, vec![("accept", "application/json")]),
        (Method::POST, vec![]),
    ] {
        let mut headers = headers.clone();
        headers.push(("referer", &referer));
        let answer = browser.send(method, "/api", &headers, "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let login_url = format!("{}/_wx/login?scope=base&to=%2Fapp%2F%3Ftab%3D1", world.url);
        assert_eq!(answer.json(), json!({ "error": "login_required", "login_url": login_url }));
        assert_eq!(answer.set_cookies(), [""; 0]);
    }
    let profile = browser.fetch("/profile").await.json();
    assert_eq!(profile["error"], "userinfo_required");
    assert_eq!(profile["login_url"], format!("{}/_wx/login?scope=userinfo&to=%2F", world.url));
    assert_eq!(world.app.requests(), 0);

    let login_url = browser.fetch("/_wx/me").await.json()["login_url"].as_str().unwrap().to_owned();
    assert_eq!(browser.walk(&login_url).await.url, browser.at("/"));
    assert_eq!(browser.fetch("/api").await.status, StatusCode::OK);
}

#[tokio::test]
async fn me_tells_who_is_signed_in() {
    let world = World::start().await;
    let browser = world.signed_in("dave").await;
    let openid = world.sim.world().users[3].openid(APPID);
    let me = browser.get("/_wx/me").await;
    assert_eq!(me.headers["content-type"], "application/json");
    let signed_in_at = me.json()["signed_in_at"].as_u64().unwrap();
    assert_eq!(
        me.json(),
        json!({
            "subject": format!("{APPID}:{openid}"), "appid": APPID, "openid": openid, "unionid": null,
            "scope": "snsapi_base", "nickname": null, "avatar": null, "signed_in_at": signed_in_at,
        })
    );
    browser.walk(&userinfo_login("/")).await;
    let me = browser.get("/_wx/me").await.json();
    assert_eq!((&me["nickname"], &me["avatar"]), (&json!("戴夫"), &json!(null)));
    assert_eq!(world.browser("bob").get("/_wx/me").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn off_and_optional_let_everybody_in_and_only_optional_tells_who_it_is() {
    let world = World::start().await;
    let stranger = world.browser("alice");
    for path in ["/off", "/optional"] {
        assert_eq!(stranger.get(path).await.received("x-wechat-openid"), None);
    }
    let browser = world.signed_in("alice").await;
    assert_eq!(browser.get("/off").await.received("x-wechat-openid"), None);
    assert!(browser.get("/optional").await.received("x-wechat-openid").is_some());
}

#[tokio::test]
async fn w02_fifty_twins_of_a_callback_make_one_exchange_and_fifty_sign_ins() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;

    let twins = (0..50).map(|_| {
        let (twin, callback) = (browser.twin(), callback.clone());
        tokio::spawn(async move {
            let answer = twin.get(&callback).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
            assert_eq!(answer.location(), "/page");
            let page = twin.get("/page").await;
            assert_eq!(page.status, StatusCode::OK);
            page.received("x-wechat-openid").unwrap()
        })
    });
    let openid = world.sim.world().users[0].openid(APPID);
    for twin in twins.collect::<Vec<_>>() {
        assert_eq!(twin.await.unwrap(), openid);
    }
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn w03_a_callback_in_another_browser_does_nothing_twice() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    let other = world.browser("bob");
    for _ in 0..2 {
        let answer = other.get(&callback).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert_eq!(answer.set_cookies(), [""; 0]);
        assert_eq!(world.exchanges(), 0);
    }
    // The code is still good where it belongs.
    assert_eq!(browser.get(&callback).await.status, StatusCode::SEE_OTHER);
    assert_eq!(other.get(&callback).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn twins_with_another_code_share_one_sign_in() {
    let world = World::start().await;
    world.sim.fault(Fault::TwinNewCode, 1);
    let browser = world.browser("alice");
    let start = browser.get("/page").await;
    let authorized = browser.get(start.location()).await;
    let (one, two) =
        (authorized.location(), authorized.headers["x-simulator-twin"].to_str().unwrap());
    assert_ne!(one, two);
    let twin = browser.twin();
    let (first, second) = tokio::join!(browser.get(one), twin.get(two));
    assert_eq!((first.status, second.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    assert_eq!(twin.get("/page").await.status, StatusCode::OK);
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn the_back_key_goes_to_the_target_and_never_to_wechat() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page?x").await;
    browser.get(&callback).await;
    let again = browser.get(&callback).await;
    assert_eq!((again.status, again.location()), (StatusCode::SEE_OTHER, "/page?x"));
    // Also when the pending sign-in is long gone.
    browser.jar.lock().unwrap().retain(|name, _| name == "wxgate");
    let later = browser.get(&callback).await;
    assert_eq!((later.status, later.location()), (StatusCode::SEE_OTHER, "/"));
    // And on the address that starts a sign-in.
    let login = browser.get("/_wx/login?to=/page").await;
    assert_eq!((login.status, login.location()), (StatusCode::SEE_OTHER, "/page"));
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn a_replay_from_a_server_hours_later_does_nothing() {
    let world = World::start().await;
    world.sim.fault(Fault::ReplayLater, 1);
    let browser = world.signed_in("alice").await;
    world.sim.advance(4 * HOUR);
    world.sim.settle().await;
    let replays: Vec<_> =
        world.sim.requests().into_iter().filter(|request| request.method == "REPLAY").collect();
    assert_eq!(replays.len(), 1);
    assert_eq!(replays[0].status, 400);
    assert_eq!(world.exchanges(), 1);
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn w05_a_used_code_starts_again_once_and_then_explains() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    // Somebody else has used the code.
    let code = url::Url::parse(&callback)
        .unwrap()
        .query_pairs()
        .find(|(n, _)| n == "code")
        .unwrap()
        .1
        .into_owned();
    let steal = format!(
        "{}{EXCHANGE}?appid={APPID}&secret=0123456789abcdef0123456789abcdef&code={code}&grant_type=authorization_code",
        world.sim.url()
    );
    browser.get(&steal).await;

    let again = browser.get(&callback).await;
    assert_eq!(again.status, StatusCode::FOUND);
    assert!(again.location().contains("/connect/oauth2/authorize"));
    assert_eq!(browser.walk(again.location()).await.url, browser.at("/page"));

    // With a live session a used code goes to the target.
    let other = browser.callback_url(&userinfo_login("/profile")).await;
    let code = url::Url::parse(&other)
        .unwrap()
        .query_pairs()
        .find(|(n, _)| n == "code")
        .unwrap()
        .1
        .into_owned();
    browser
        .get(&steal.replace(
            &steal[steal.find("code=").unwrap()..steal.find("&grant").unwrap()],
            &format!("code={code}"),
        ))
        .await;
    let answer = browser.get(&other).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/profile"));

    // Twice in a row without a session is explained.
    let poor = world.browser("bob");
    world.sim.fault(Fault::BusyBurnsCode, 2);
    let page = poor.walk("/page").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{page:?}");
    assert!(page.body.contains("-1 (system error)") && page.body.contains("rid"), "{}", page.body);
    let rid = page.body.split("rid").nth(1).unwrap();
    assert!(rid.contains('-'), "{rid}");
}

#[tokio::test]
async fn w04_an_exchange_is_never_repeated_with_the_same_code() {
    for fault in [Fault::BusyBurnsCode, Fault::BusyKeepsCode, Fault::Drop] {
        let world = World::start().await;
        world.sim.fault(fault, 1);
        let browser = world.browser("alice");
        let callback = browser.callback_url("/page").await;
        let first = browser.get(&callback).await;
        browser.get(&callback).await;
        let codes: Vec<_> = world
            .sim
            .requests()
            .into_iter()
            .filter(|request| request.path == EXCHANGE)
            .map(|request| {
                request.query.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned()
            })
            .collect();
        let mut unique = codes.clone();
        unique.dedup();
        assert_eq!(codes, unique, "{fault:?}");
        assert!(!first.set_cookies().iter().any(|c| c.starts_with("wxgate=")), "{fault:?}");
        // A person can go on.
        let again = browser.walk("/_wx/login?to=/page&again=1").await;
        assert_eq!(again.status, StatusCode::OK, "{fault:?} {again:?}");
    }
}

#[tokio::test]
async fn a_dropped_connection_is_a_page_with_a_retry_and_503() {
    let world = World::start().await;
    world.sim.fault(Fault::Drop, 1);
    let browser = world.browser("alice");
    let page = browser.walk("/page").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.body.contains("again=1"), "{}", page.body);
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn errors_that_only_the_operator_can_mend_say_so() {
    let world = World::start().await;
    for (fault, text) in [(Fault::Quota, "45009"), (Fault::MinuteQuota, "45011")] {
        world.sim.fault(fault, 1);
        let page = world.browser("alice").with("accept-language", "en").walk("/page").await;
        assert!(page.status.is_server_error(), "{page:?}");
        assert!(page.body.contains(text), "{}", page.body);
        assert!(page.body.contains("rid"), "{}", page.body);
    }
}

#[tokio::test]
async fn w06_a_snapshot_user_gets_no_session_and_no_record() {
    let world = World::start().await;
    let carol = world.browser("carol");
    let page = carol.walk(&userinfo_login("/profile")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.body.contains("使用完整服务"), "{}", page.body);
    assert_eq!(carol.session_cookie(), None);
    assert_eq!(world.app.requests(), 0);
    assert_eq!(world.sim.count(USERINFO), 0);
    // Without the flag nobody can tell; with real users nothing changes.
    world.sim.fault(Fault::SnapshotUnflagged, 1);
    assert_eq!(world.browser("bob").walk(&userinfo_login("/profile")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn w07_a_refusal_is_a_page_with_a_retry_and_no_restart() {
    let world = World::start().await;
    let browser = world.browser("bob").with("x-simulator-consent", "deny");
    let page = browser.walk(&userinfo_login("/profile")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.url.starts_with(&browser.at("/_wx/callback?state=")), "{}", page.url);
    assert!(page.body.contains("scope=userinfo&#38;to=%2Fprofile&#38;again=1"), "{}", page.body);
    assert_eq!(browser.session_cookie(), None);
    assert_eq!(world.exchanges(), 0);

    let silent = world.browser("bob").with("x-simulator-consent", "silence");
    let page = silent.walk(&userinfo_login("/profile")).await;
    assert!(page.url.starts_with(&world.sim.url()), "{}", page.url);
    // Nothing came back; the next try works.
    let silent = silent.without("x-simulator-consent");
    assert_eq!(silent.walk(&userinfo_login("/profile")).await.url, silent.at("/profile"));
}

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
async fn the_third_start_within_a_minute_is_stopped_with_its_cause() {
    let world = World::start().await;
    let browser = world.browser("alice").with("accept-language", "en");
    assert_eq!(browser.get("/page").await.status, StatusCode::FOUND);
    assert_eq!(browser.get("/page").await.status, StatusCode::FOUND);
    let third = browser.get("/page").await;
    assert_eq!(third.status, StatusCode::FORBIDDEN);
    assert!(third.body.contains("never came back"), "{}", third.body);
    assert_eq!(browser.get("/other").await.status, StatusCode::FOUND);

    // A session cookie that does not hold has another cause.
    let browser = world.browser("alice").with("accept-language", "en");
    for _ in 0..2 {
        let callback = browser.callback_url("/page").await;
        assert_eq!(browser.get(&callback).await.status, StatusCode::SEE_OTHER);
        browser.jar.lock().unwrap().remove("wxgate");
    }
    let third = browser.get("/page").await;
    assert_eq!(third.status, StatusCode::FORBIDDEN);
    assert!(third.body.contains("session cookie did not come back"), "{}", third.body);
    // The button works, and so does waiting.
    assert_eq!(browser.get("/_wx/login?to=/page&again=1").await.status, StatusCode::FOUND);
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(browser.walk("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_browser_outside_wechat_gets_help_where_the_platform_is_real() {
    // A simulator on loopback can be visited by any browser, so there is nothing to help with.
    let world = World::start().await;
    let desktop =
        world.browser("alice").with("user-agent", "Mozilla/5.0 (Windows NT 10.0) Chrome/140");
    assert_eq!(desktop.walk("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_host_name_is_sent_to_the_public_one_first() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let port = world.url.rsplit(':').next().unwrap();
    let elsewhere = format!("http://localhost:{port}/page?a=1");
    let answer = browser.get(&elsewhere).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(
        answer.location(),
        format!("{}/_wx/login?scope=base&to=%2Fpage%3Fa%3D1&moved=1", world.url)
    );
    assert_eq!(answer.set_cookies(), [""; 0]);
    assert_eq!(browser.walk(answer.location()).await.url, browser.at("/page?a=1"));

    // A proxy that rewrites the host is sent home once, and then signs in anyway.
    let rewritten = world.browser("alice");
    let home = rewritten.send(Method::GET, "/page", &[("host", "app:8080")], "").await;
    let start = rewritten.send(Method::GET, home.location(), &[("host", "app:8080")], "").await;
    assert!(start.location().starts_with(&world.sim.url()), "{start:?}");
}

#[tokio::test]
async fn c33_a_sign_in_makes_a_new_id_and_ends_the_old_session() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    let planted = browser.twin();
    browser.walk(&userinfo_login("/profile")).await;
    assert_ne!(browser.session_cookie(), planted.session_cookie());
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    assert_eq!(planted.fetch("/page").await.status, StatusCode::UNAUTHORIZED);

    // An id that nobody was given is nobody's, and is not taken on.
    let stranger = world.browser("bob");
    stranger.jar.lock().unwrap().insert("wxgate".into(), uuid::Uuid::new_v4().to_string());
    let before = stranger.session_cookie();
    assert_eq!(stranger.fetch("/page").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.walk("/page").await.status, StatusCode::OK);
    assert_ne!(stranger.session_cookie(), before);
}

#[tokio::test]
async fn c39_after_another_sign_in_only_the_new_identity_goes_on() {
    let world = World::start().await;
    let alice = world.signed_in("alice").await;
    // Bob signs in with the same browser, over her session.
    let bob = alice.twin().with("x-simulator-user", "bob");
    bob.walk(&userinfo_login("/profile")).await;
    for page in [bob.get("/profile").await, bob.get("/page").await] {
        assert_eq!(
            page.received("x-wechat-openid"),
            Some(world.sim.world().users[1].openid(APPID))
        );
        assert_eq!(page.received("x-wechat-nickname").as_deref(), Some("Bob%20%E9%B2%8D%E5%8B%83"));
    }
    assert_eq!(alice.fetch("/page").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn c34_signing_out_ends_the_session_and_every_cookie_with_the_flags_it_had() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    let stolen = browser.twin();
    let page = browser.get("/_wx/logout?to=/page").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.body.contains("action=\"/_wx/logout?to=%2Fpage&#38;everywhere=0\""),
        "{}",
        page.body
    );
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);

    let out = browser.log_out("?to=/page").await;
    assert_eq!((out.status, out.location()), (StatusCode::SEE_OTHER, "/page"));
    let cookies = out.set_cookies();
    assert!(cookies.contains(&"wxgate=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"), "{cookies:?}");
    assert_eq!(browser.cookie_names(), [""; 0]);
    assert_eq!(stolen.fetch("/page").await.status, StatusCode::UNAUTHORIZED);

    // Without a target it ends on the page that says so.
    let browser = world.signed_in("alice").await;
    let out = browser.log_out("").await;
    assert_eq!(out.location(), "/_wx/logout");
    let page = browser.get("/_wx/logout").await;
    assert!(page.status == StatusCode::OK && page.body.contains("已退出登录"), "{}", page.body);
}

#[tokio::test]
async fn a_form_may_carry_the_target_of_a_sign_out() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    let headers = [("origin", &*world.url), ("content-type", "application/x-www-form-urlencoded")];
    let out = browser.send(Method::POST, "/_wx/logout", &headers, "to=%2Fpage&everywhere=0").await;
    assert_eq!((out.status, out.location()), (StatusCode::SEE_OTHER, "/page"));
    let large = "x".repeat(9000);
    let refused = browser.send(Method::POST, "/_wx/logout", &headers, &large).await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn signing_out_everywhere_ends_all_sessions_of_the_user_and_no_other() {
    let world = World::start().await;
    let (phone, desk) = (world.signed_in("alice").await, world.signed_in("alice").await);
    let bob = world.signed_in("bob").await;
    phone.log_out("?everywhere=1").await;
    assert_eq!(desk.fetch("/page").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(bob.fetch("/page").await.status, StatusCode::OK);
    assert_eq!(desk.walk("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_site_cannot_sign_somebody_out() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    for headers in [
        vec![("origin", "https://evil.example")],
        vec![("sec-fetch-site", "cross-site"), ("origin", &*world.url)],
        vec![],
    ] {
        let answer = browser.send(Method::POST, "/_wx/logout", &headers, "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert_eq!(answer.set_cookies(), [""; 0]);
    }
    assert_eq!(browser.fetch("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn signing_out_is_not_undone_by_the_back_key() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    browser.get(&callback).await;
    let stolen = browser.twin();
    browser.log_out("?to=/").await;
    assert_eq!(browser.get(&callback).await.status, StatusCode::BAD_REQUEST);
    // Even a browser that has kept the pending sign-in does not get the ended session back.
    stolen.jar.lock().unwrap().remove("wxgate");
    let answer = stolen.get(&callback).await;
    assert!(!answer.set_cookies().iter().any(|cookie| cookie.starts_with("wxgate=")), "{answer:?}");
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn a_session_ends_when_idle_and_when_old() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    for _ in 0..7 {
        world.clock.advance(23 * HOUR);
        assert_eq!(browser.fetch("/page").await.status, StatusCode::OK);
    }
    world.clock.advance(8 * HOUR);
    assert_eq!(browser.fetch("/page").await.status, StatusCode::UNAUTHORIZED);
    let other = world.signed_in("alice").await;
    world.clock.advance(24 * HOUR);
    assert_eq!(other.fetch("/page").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn with_wechat_gone_users_keep_working_and_with_it_back_new_ones_come() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    let newcomer = world.browser("bob");
    let callback = newcomer.callback_url("/page").await;
    let addr = world.sim.addr();
    world.sim.stop().await;

    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    let page = newcomer.get(&callback).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.body.contains("again=1"), "{}", page.body);

    let _back = wxgate::simulator::Simulator::builder().listen(addr).start().await.unwrap();
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    assert_eq!(newcomer.walk("/_wx/login?to=/page&again=1").await.url, newcomer.at("/page"));
}

#[tokio::test]
async fn an_exchange_goes_on_when_the_browser_hangs_up() {
    let world = World::start().await;
    world.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(300)]);
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    // The browser hangs up as soon as the exchange has begun.
    {
        let twin = browser.twin();
        let mut leaving = Box::pin(twin.get(&callback));
        while world.exchanges() == 0 {
            tokio::select! {
                _ = &mut leaving => panic!("the answer came before the exchange"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    let answer = browser.get(&callback).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/page"));
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    assert_eq!(world.exchanges(), 1);
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

    world.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(200).path(REFRESH)]);
    for _ in 0..50 {
        assert_eq!(browser.get("/page").await.status, StatusCode::OK);
    }
    // No request has waited for it: the slow refresh is still under way, or has just ended.
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

/// Waits for something that happens beside the test.
async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it happens");
}

#[tokio::test]
async fn c46_with_a_wrong_or_absent_state_nothing_is_asked_of_wechat() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    let state = callback.split("state=").nth(1).unwrap().to_owned();
    let flipped = if state.ends_with('a') { "b" } else { "a" };
    let wrong = format!("{}{flipped}", &callback[..callback.len() - 1]);
    for bad in [
        wrong,
        callback.replace(&state, ""),
        callback.replace(&format!("&state={state}"), ""),
        callback.replace(&state, &state[..31]),
        callback.replace(&state, &"a".repeat(32)),
    ] {
        let answer = browser.get(&bad).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
        assert_eq!(answer.set_cookies(), [""; 0]);
    }
    assert_eq!(world.exchanges(), 0);
    assert_eq!(browser.get(&callback).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn c47_doubled_parameters_are_refused() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    let query = callback.split('?').nth(1).unwrap();
    let state = callback.split("state=").nth(1).unwrap();
    for bad in [
        format!("{callback}&code=x"),
        format!("{callback}&state={state}"),
        format!("{callback}&{query}"),
    ] {
        assert_eq!(browser.get(&bad).await.status, StatusCode::BAD_REQUEST, "{bad}");
    }
    assert_eq!(world.exchanges(), 0);
    assert_eq!(browser.get(&callback).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn c09_a_changed_pending_cookie_is_a_400_and_never_a_redirect() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    let (name, value) =
        browser.jar.lock().unwrap().iter().next().map(|(n, v)| (n.clone(), v.clone())).unwrap();
    for at in (0..value.len()).step_by(5) {
        let mut changed = value.clone();
        let other = if changed.as_bytes()[at] == b'A' { "B" } else { "A" };
        changed.replace_range(at..=at, other);
        browser.jar.lock().unwrap().insert(name.clone(), changed);
        assert_eq!(browser.get(&callback).await.status, StatusCode::BAD_REQUEST, "{at}");
    }
    assert_eq!(world.exchanges(), 0);
    browser.jar.lock().unwrap().insert(name, value);
    assert_eq!(browser.get(&callback).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn c10_the_callback_takes_no_target_from_the_query() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    let lying =
        format!("{callback}&to=https://evil.example/&redirect_uri=//evil.example&t=%2Fevil");
    let answer = browser.get(&lying).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/page"));
}

#[tokio::test]
async fn a_target_too_long_for_a_cookie_arrives_unchanged() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let long = format!("/page?{}", "campaign=%E6%98%A5&".repeat(60));
    let callback = browser.callback_url(&long).await;
    assert!(browser.jar.lock().unwrap().iter().all(|(name, value)| name.len() + value.len() < 300));
    let (head, tail) = callback.split_once("t=").unwrap();
    let other = if tail.starts_with('A') { "B" } else { "A" };
    let damaged = format!("{head}t={other}{}", &tail[1..]);
    assert_eq!(browser.get(&damaged).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.get(&callback).await.location(), long);
}

#[tokio::test]
async fn c22_the_query_never_counts_for_the_policy() {
    let world = World::start().await;
    let stranger = world.browser("alice");
    for path in ["/page?x=/off", "/page?/off", "/page/../page?/off", "/page//?x=/off"] {
        assert_eq!(stranger.get(path).await.status, StatusCode::FOUND, "{path}");
    }
    assert_eq!(stranger.get("/off?x=/page").await.status, StatusCode::OK);
    assert_eq!(world.app.requests(), 1);
}

#[tokio::test]
async fn c26_a_damaged_session_cookie_is_nobody() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    let id = browser.session_cookie().unwrap();
    let seen = world.app.requests();
    let mut damaged: Vec<String> = (0..id.len())
        .map(|at| {
            let mut id = id.clone();
            let other = if id.as_bytes()[at] == b'0' { "1" } else { "0" };
            id.replace_range(at..=at, other);
            id
        })
        .collect();
    damaged.extend([
        id[..35].to_owned(),
        String::new(),
        format!("{id}; wxgate={id}"),
        id.to_uppercase().replace('A', "a"),
    ]);
    for bad in damaged.into_iter().filter(|bad| *bad != id) {
        browser.jar.lock().unwrap().insert("wxgate".into(), bad.clone());
        assert_eq!(browser.fetch("/page").await.status, StatusCode::UNAUTHORIZED, "{bad}");
    }
    assert_eq!(world.app.requests(), seen);
    browser.jar.lock().unwrap().insert("wxgate".into(), id);
    assert_eq!(browser.fetch("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn c25_an_unauthenticated_request_never_reaches_the_app() {
    let world = World::start().await;
    let stranger = world.browser("alice");
    for method in [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ] {
        let answer = stranger.send(method.clone(), "/page", &[], "body").await;
        assert!(!answer.status.is_success(), "{method}");
    }
    assert_eq!(stranger.get("/profile").await.status, StatusCode::OK); // our own page
    assert_eq!(world.app.requests(), 0);
    world.signed_in("alice").await;
    assert_eq!(world.app.requests(), 1);
}

#[tokio::test]
async fn endpoints_of_ours_never_reach_the_app() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    let seen = world.app.requests();
    for path in ["/_wx", "/_wx/", "/_wx/nothing", "/_wx/me/x", "/%5fwx/me", "//_wx//nothing"] {
        let answer = browser.get(path).await;
        assert!(answer.status == StatusCode::NOT_FOUND || path.contains('%'), "{path} {answer:?}");
    }
    assert_eq!(
        browser.send(Method::POST, "/_wx/me", &[], "").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert!(world.app.requests() - seen <= 1);
    assert_eq!(browser.get("/_wxyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_failed_upgrade_starts_again_and_then_says_why() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    world.sim.fault(Fault::BusyBurnsCode, 1);
    assert_eq!(browser.walk(&userinfo_login("/profile")).await.url, browser.at("/profile"));

    let browser = world.signed_in("bob").await;
    world.sim.fault(Fault::BusyBurnsCode, 2);
    let page = browser.walk(&userinfo_login("/profile")).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.body.contains("-1 (system error)"), "{}", page.body);
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_slow_consent_does_not_make_a_failure_repeat_for_ever() {
    let world = World::start().await;
    world.sim.fault(Fault::BusyBurnsCode, 3);
    let browser = world.browser("alice");
    let mut authorize = browser.get("/page").await.location().to_owned();
    let mut rounds = 0;
    loop {
        rounds += 1;
        world.clock.advance(Duration::from_secs(120)); // on the consent page
        let callback = browser.get(&authorize).await.location().to_owned();
        let answer = browser.get(&callback).await;
        if answer.status == StatusCode::SERVICE_UNAVAILABLE {
            break;
        }
        authorize = answer.location().to_owned();
    }
    assert_eq!(rounds, 2);
}

#[tokio::test]
async fn somebody_who_refuses_goes_back_and_allows_is_signed_in() {
    let world = World::start().await;
    let browser = world.browser("bob").with("x-simulator-consent", "deny");
    let start = browser.get(&userinfo_login("/profile")).await;
    let refused = browser.get(start.location()).await;
    assert_eq!(browser.get(refused.location()).await.status, StatusCode::FORBIDDEN);
    let browser = browser.without("x-simulator-consent");
    let allowed = browser.get(start.location()).await;
    assert_eq!(browser.walk(allowed.location()).await.url, browser.at("/profile"));
}

#[tokio::test]
async fn the_sign_out_form_can_be_sent_by_old_browsers_and_may_lead_to_wechat() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    let page = browser.get("/_wx/logout?to=/page").await;
    // With "no-referrer" the form's origin would be "null".
    assert_eq!(page.headers["referrer-policy"], "same-origin");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains(&format!("form-action 'self' {};", world.sim.url())), "{policy}");
    assert_eq!(browser.get("/_wx/nothing").await.headers["referrer-policy"], "no-referrer");
}

#[tokio::test]
async fn signing_out_everywhere_needs_to_know_who_it_is() {
    let world = World::start().await;
    let (phone, desk) = (world.signed_in("alice").await, world.signed_in("alice").await);
    phone.jar.lock().unwrap().remove("wxgate");
    let answer = phone.log_out("?everywhere=1").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.body.contains("其他设备没有退出"), "{}", answer.body);
    assert_eq!(desk.fetch("/page").await.status, StatusCode::OK);
}
