//! The way back from WeChat: twins, replays, refusals, and everything that goes wrong at the platform.

use std::time::Duration;

use http::{Method, StatusCode};
use wxgate::simulator::{Fault, FaultSwitch};

use crate::world::{APPID, EXCHANGE, HOUR, USERINFO, World, userinfo_login};

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
async fn w02_twins_share_an_outcome_for_a_minute_only() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let callback = browser.callback_url("/page").await;
    let (soon, late) = (browser.twin(), browser.twin());
    browser.get(&callback).await;
    world.clock.advance(Duration::from_secs(59));
    let answer = soon.get(&callback).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/page"));
    assert_eq!(soon.session_cookie(), browser.session_cookie());
    world.clock.advance(Duration::from_secs(1));
    let answer = late.get(&callback).await;
    assert!(answer.location().contains("/connect/oauth2/authorize"), "{answer:?}");
    assert_eq!(late.session_cookie(), None);
    assert_eq!(world.exchanges(), 1);
}

#[tokio::test]
async fn wechat_s_own_fragment_does_not_end_up_in_the_page_s_address() {
    let world = World::start().await;
    let back = async |target: &str, headers: &[(&'static str, &str)]| {
        let browser = world.browser("alice");
        let callback = browser.callback_url(&format!("/_wx/login?to={target}")).await;
        let answer = browser.send(Method::GET, &callback, headers, "").await;
        answer.location().to_owned()
    };
    let navigates = [("sec-fetch-mode", "navigate")];
    assert_eq!(back("/page?a=1", &navigates).await, "/page?a=1#");
    assert_eq!(back("/app/%23/orders", &navigates).await, "/app/#/orders");
    assert_eq!(back("/page?a=1", &[]).await, "/page?a=1");
}

#[tokio::test]
async fn c48_a_code_is_exchanged_once_whatever_state_it_comes_with() {
    let world = World::start().await;
    let browser = world.browser("alice");
    let first = browser.callback_url("/page?1").await;
    let second = browser.callback_url("/page?2").await;
    let stranger = browser.twin();
    assert_eq!(browser.get(&first).await.location(), "/page?1");
    let code = first.split("code=").nth(1).unwrap().split('&').next().unwrap();
    let state = second.split("state=").nth(1).unwrap();
    let mixed = format!("{}?code={code}&state={state}", first.split('?').next().unwrap());
    let answer = stranger.get(&mixed).await;
    assert!(answer.location().contains("/connect/oauth2/authorize"), "{answer:?}");
    assert_eq!(stranger.session_cookie(), None);
    assert_eq!(world.exchanges(), 1);
}
