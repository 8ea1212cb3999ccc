//! Sign-ins through the gateway, as browsers and scripts live them.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use crate::world::{ALICE, APPID, HOUR, USERINFO, World, userinfo_login};

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
    assert_eq!(
        profile["login_url"],
        format!("{}/_wx/login?scope=userinfo&ask=1&to=%2F", world.url)
    );
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
async fn where_wechat_is_a_simulator_any_browser_signs_in() {
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
    for path in ["/_wx", "/_wx/", "/_wx/nothing", "/_wx/me/x", "//_wx//nothing"] {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let post = browser.send(Method::POST, "/_wx/me", &[], "").await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(world.app.requests(), seen);
    // Another spelling is a page like any other.
    assert_eq!(browser.get("/%5fwx/me").await.status, StatusCode::OK);
    assert_eq!(browser.get("/_wxyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn c20_what_a_client_says_is_in_no_header_of_a_refusal() {
    let world = World::start().await;
    let browser = world.browser("alice").with("x-request-id", "planted-id");
    for (path, status) in [
        ("/page?planted-7c1e", StatusCode::UNAUTHORIZED),
        ("/_wx/planted-7c1e", StatusCode::NOT_FOUND),
        ("/_wx/callback?code=planted-7c1e&code=x", StatusCode::BAD_REQUEST),
        ("/off/planted-7c1e%2f", StatusCode::BAD_REQUEST),
    ] {
        let answer = browser.fetch(path).await;
        assert_eq!(answer.status, status, "{path}");
        for (name, value) in &answer.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            assert!(!value.contains("planted-7c1e"), "{path} {name}: {value}");
        }
        // The one that is there to be repeated, since it holds a word and nothing else.
        assert_eq!(answer.headers["x-request-id"], "planted-id", "{path}");
    }
    let odd = world.browser("alice").with("x-request-id", "planted <7c1e>").fetch("/page").await;
    assert!(!odd.headers["x-request-id"].to_str().unwrap().contains("planted"));
}
