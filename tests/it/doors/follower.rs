//! Paths for followers only.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use wxgate::simulator::{Fault, FaultSwitch};

use super::{MESSAGE_TOKEN, MINI_PROGRAM, Place, refused};
use crate::world::{APPID, USERINFO};

const SITE: &str = "mini_programs = ['mini']\n\
                    [[site.h5.route]]\nprefix = '/members'\nrequire = 'follower'\n\
                    [[site.h5.route]]\nprefix = '/optional'\nlogin = 'optional'\n";
const USER_INFO: &str = "/cgi-bin/user/info";
const HTML: (&str, &str) = ("accept", "text/html");

#[tokio::test]
async fn a_follower_comes_in_and_somebody_else_is_shown_how_to_follow() {
    let place = Place::start(SITE).await;
    let alice = place.browser("alice");
    let page = alice.walk("/members/a").await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(page.received("x-wechat-openid"), Some(place.openid("alice", APPID)));
    assert_eq!(place.sim.count(USERINFO), 0, "nobody was asked for consent");

    let bob = place.browser("bob");
    let page = bob.walk("/members/a").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(
        page.body.contains("请先关注公众号") && page.body.contains("/_wx/follow-code"),
        "{page:?}"
    );
    assert_eq!(place.app.requests(), 1, "c25: nothing of it reaches the app");
    let script = bob.fetch("/members/a").await;
    assert_eq!(refused(&script), (StatusCode::FORBIDDEN, "not_a_follower".into()));
    assert_eq!(bob.get("/page").await.status, StatusCode::OK, "other paths are for everybody");
    let code = bob.get("/_wx/follow-code").await;
    assert_eq!(
        (code.status, &code.headers["content-type"]),
        (StatusCode::OK, &"image/png".parse().unwrap())
    );
    let english = bob.send(Method::GET, "/members/a", &[HTML, ("accept-language", "en")], "").await;
    assert!(english.body.contains("Follow the account first"), "{english:?}");
}

#[tokio::test]
async fn who_follows_now_comes_in_at_once_and_who_has_stopped_does_not_for_long() {
    let place = Place::start(SITE).await;
    let bob = place.browser("bob");
    assert_eq!(bob.walk("/members").await.status, StatusCode::FORBIDDEN);
    place.sim.follow("bob", APPID, true).unwrap();
    place.clock.advance(Duration::from_secs(3));
    assert_eq!(bob.get("/members").await.status, StatusCode::OK);
    let asked = place.sim.count(USER_INFO);
    for _ in 0..5 {
        assert_eq!(bob.get("/members").await.status, StatusCode::OK);
    }
    assert_eq!(place.sim.count(USER_INFO), asked, "WeChat is not asked at every request");
    place.sim.follow("bob", APPID, false).unwrap();
    place.clock.advance(Duration::from_secs(11 * 60));
    assert_eq!(bob.get("/members").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn c30_nobody_comes_in_while_wechat_does_not_say_who_follows() {
    let place = Place::start(SITE).await;
    let alice = place.browser("alice");
    assert_eq!(alice.walk("/page").await.status, StatusCode::OK);
    place.sim.faults([FaultSwitch::new(Fault::Quota, 1).path(USER_INFO)]);
    let page = alice.get("/members").await;
    assert!(page.status.is_server_error(), "{page:?}");
    assert!(page.body.contains("45009"), "the operator sees why: {page:?}");
    assert_eq!(place.app.requests(), 1);
    assert_eq!(alice.get("/members").await.status, StatusCode::OK);
    // A token that is dead is replaced on the way.
    place.clock.advance(Duration::from_secs(11 * 60));
    place.sim.faults([FaultSwitch::new(Fault::DeadToken, 1)]);
    assert_eq!(alice.get("/members").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_follower_s_unionid_is_known_without_consent() {
    let place = Place::start(SITE).await;
    let alice = place.browser("alice");
    let before = alice.walk("/page").await;
    assert_eq!(before.received("x-wechat-unionid"), None);
    assert_eq!(
        alice.get("/members").await.received("x-wechat-unionid"),
        Some(place.unionid("alice"))
    );
}

#[tokio::test]
async fn somebody_from_a_mini_program_is_no_follower_of_the_account() {
    let place = Place::start(SITE).await;
    let code = place.phone("alice").login();
    let body = json!({ "js_code": code });
    let login = place.post("/_wx/mini-program/login", None, &body).await.json();
    let token = login["token"].as_str().unwrap();
    let page = place.with_token("/page", token).await;
    assert_eq!(page.received("x-wechat-appid").as_deref(), Some(MINI_PROGRAM));
    let members = place.with_token("/members", token).await;
    assert_eq!(refused(&members), (StatusCode::FORBIDDEN, "not_admitted".into()));
    assert_eq!(place.sim.count(USER_INFO), 0);
}

#[tokio::test]
async fn a_message_of_wechat_s_says_at_once_that_somebody_has_stopped_following() {
    let place = Place::start(SITE).await;
    let alice = place.browser("alice");
    assert_eq!(alice.walk("/members").await.status, StatusCode::OK);
    place.sim.follow("alice", APPID, false).unwrap();
    assert_eq!(
        alice.get("/members").await.status,
        StatusCode::OK,
        "what is known counts for a while"
    );
    let push = json!({
        "event": "unsubscribe", "appid": APPID, "user": "alice",
        "url": format!("{}/_wx/messages", place.url), "token": MESSAGE_TOKEN,
    });
    let told = place.browser("nobody").at_site(&place.sim.url());
    let told = told.send(Method::POST, "/_simulator/push", &[], &push.to_string()).await;
    assert_eq!(told.json()["body"], "success", "{told:?}");
    assert_eq!(alice.get("/members").await.status, StatusCode::FORBIDDEN);
    assert_eq!(alice.get("/page").await.status, StatusCode::OK, "she is still signed in");
}
