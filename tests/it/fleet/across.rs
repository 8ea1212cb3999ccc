//! What happens once happens once, whichever gateway is asked.

use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use wxgate::simulator::{Fault, FaultSwitch};

use super::Fleet;
use crate::world::{Browser, EXCHANGE, REFRESH, USERINFO, userinfo_login};

/// A browser as two gateways see it, which share its cookies.
fn twins(fleet: &Fleet, browser: &Browser) -> Vec<Browser> {
    fleet.members.iter().map(|member| browser.twin().at_site(&member.url())).collect()
}

/// The part of an address behind the host, as it is at any gateway.
fn path_of(url: &str) -> String {
    url[url::Url::parse(url).unwrap()[..url::Position::BeforePath].len()..].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn w02_twins_of_a_callback_at_several_gateways_are_one_exchange_and_all_of_them_sign_in() {
    let fleet = Fleet::start(3, 1).await;
    for round in 1..=5 {
        let browser = Browser::new(&fleet.balancer.url(), "p0");
        let callback = path_of(&browser.callback_url("/page").await);
        // The others come while the first one waits for WeChat.
        fleet.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(300).path(EXCHANGE)]);
        let windows = twins(&fleet, &browser);
        let answers =
            futures_util::future::join_all(windows.iter().map(|w| w.get(&callback))).await;
        for (window, answer) in windows.iter().zip(answers) {
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
            let page = window.get("/page").await;
            assert_eq!(page.json()["openid"], fleet.openid("p0"), "{page:?}");
        }
        assert_eq!(fleet.sim.count(EXCHANGE), round, "one exchange for all of them");
        // A twin of another browser learns nothing of it.
        let stranger = Browser::new(&fleet.members[1].url(), "p0");
        assert_eq!(stranger.get(&callback).await.status, StatusCode::BAD_REQUEST);
        assert_eq!(stranger.session_cookie(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn w04_a_code_stays_burned_when_the_gateway_that_sent_it_is_killed() {
    let mut fleet = Fleet::start(2, 1).await;
    let browser = Browser::new(&fleet.balancer.url(), "p0");
    let callback = path_of(&browser.callback_url("/page").await);
    fleet.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(2000).path(EXCHANGE)]);
    let windows = twins(&fleet, &browser);
    let (url, window) = (callback.clone(), windows[0].twin());
    let first =
        tokio::spawn(async move { window.try_send(Method::GET, &url, &[], "").await.is_err() });
    let began = Instant::now();
    while fleet.sim.count(EXCHANGE) == 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "the code is sent");
        tokio::task::yield_now().await;
    }
    fleet.members[0].kill().await;
    assert!(first.await.unwrap(), "its browser is cut off");
    // The other one does not send the code again, and leads to WeChat for a new one.
    let answer = windows[1].get(&callback).await;
    assert_eq!(answer.status, StatusCode::FOUND, "{answer:?}");
    assert_eq!(fleet.sim.count(EXCHANGE), 1);
    let window = windows[1].twin().at_site(&fleet.balancer.url());
    assert_eq!(window.walk(answer.location()).await.json()["openid"], fleet.openid("p0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_due_is_refreshed_by_one_gateway() {
    let fleet = Fleet::start(3, 1).await;
    let browser = Browser::new(&fleet.balancer.url(), "p0");
    browser.walk(&userinfo_login("/page")).await;
    assert_eq!(fleet.sim.count(USERINFO), 1);
    let windows = twins(&fleet, &browser);
    // Profiles are old after two seconds here. Each gateway finds that out by itself.
    let began = Instant::now();
    fleet.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(300).path(USERINFO)]);
    while fleet.sim.count(USERINFO) < 2 {
        for window in &windows {
            assert_eq!(window.get("/page").await.status, StatusCode::OK);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "it is refreshed");
    }
    while began.elapsed() < Duration::from_secs(3) {
        for window in &windows {
            window.get("/page").await;
        }
    }
    assert_eq!(fleet.sim.count(USERINFO), 2, "by one of them");
    assert_eq!(fleet.sim.count(REFRESH), 0, "the access token was still good");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_gateway_ends_the_others_refuse_within_a_second() {
    let fleet = Fleet::start(2, 1).await;
    let browser = Browser::new(&fleet.balancer.url(), "p0");
    let mut slowest = Duration::ZERO;
    for everywhere in [false, true].repeat(5) {
        browser.walk("/page").await;
        let windows = twins(&fleet, &browser);
        // Both have a copy of it now.
        for window in windows.iter().chain(&windows) {
            assert_eq!(window.get("/page").await.status, StatusCode::OK);
        }
        let ended = browser.twin();
        let query = if everywhere { "?everywhere=1" } else { "" };
        assert_eq!(browser.log_out(query).await.status, StatusCode::SEE_OTHER);
        let began = Instant::now();
        for window in twins(&fleet, &ended) {
            while window.fetch("/page").await.status == StatusCode::OK {
                assert!(began.elapsed() < Duration::from_secs(1), "everywhere: {everywhere}");
            }
        }
        slowest = slowest.max(began.elapsed());
    }
    println!("from a revocation to its refusal at another gateway: at most {slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c42_while_redis_is_down_there_is_a_503_without_cookies_and_the_same_session_works_afterwards()
 {
    let mut fleet = Fleet::start(1, 1).await;
    let browser = Browser::new(&fleet.members[0].url(), "p0").at_site(&fleet.balancer.url());
    assert_eq!(browser.walk("/page").await.json()["openid"], fleet.openid("p0"));
    let session = browser.session_cookie();
    let newcomer = Browser::new(&fleet.balancer.url(), "p0");
    let callback = newcomer.callback_url("/page").await;

    fleet.redis.kill();
    let began = Instant::now();
    // A copy may be used until the connection is seen to break.
    while browser.get("/page").await.status == StatusCode::OK {
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "copies are not used while ends are not heard of"
        );
    }
    for answer in [
        browser.get("/page").await,
        browser.fetch("/_wx/me").await,
        browser.log_out("").await,
        newcomer.get(&callback).await,
    ] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        assert_eq!(answer.set_cookies(), Vec::<&str>::new());
    }
    assert!(began.elapsed() < Duration::from_secs(5), "nobody waits for better times");
    assert_eq!(fleet.sim.count(EXCHANGE), 1, "a code is not sent that could not be burned");

    fleet.redis.restart().await;
    assert_eq!(browser.get("/page").await.json()["openid"], fleet.openid("p0"));
    assert_eq!(browser.session_cookie(), session);
    assert_eq!(newcomer.walk(&callback).await.json()["openid"], fleet.openid("p0"));
    assert_eq!(fleet.sim.count(EXCHANGE), 2);
}
