//! Mini-programs: the sign-in, the token on every path, the user's data, and the way into a web-view.

use std::time::Duration;

use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use wxgate::simulator::{Fault, FaultSwitch};

use super::{MINI_PROGRAM, Place, refused};
use crate::world::{APPID, Answer, HOUR};

const SITE: &str = "mini_programs = ['mini']\n\
                    [[site.h5.route]]\nprefix = '/optional'\nlogin = 'optional'\n\
                    [[site.h5.route]]\nprefix = '/profile'\nlogin = 'userinfo'\n\
                    [[site.h5.route]]\nprefix = '/main-only'\nrequire = 'follower'\n";
const LOGIN: &str = "/_wx/mini-program/login";
const USER_DATA: &str = "/_wx/mini-program/user-data";
const TICKET: &str = "/_wx/mini-program/ticket";
const CODE2SESSION: &str = "/sns/jscode2session";
const WEB_VIEW: &str = "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 XWEB/1110005 MMWEBSDK/20230805 \
     MicroMessenger/8.0.42.2460(0x28002A58) WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64 \
     miniProgram/wx2222222222222222";

async fn place() -> Place {
    Place::start(SITE).await
}

impl Place {
    async fn mini_login(&self, user: &str) -> Answer {
        let code = self.phone(user).login();
        self.post(LOGIN, None, &json!({ "js_code": code })).await
    }

    async fn token(&self, user: &str) -> String {
        let answer = self.mini_login(user).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["token"].as_str().unwrap().to_owned()
    }
}

/// What a mini-program sends of its user, beside the code.
fn merged(one: Value, other: &Value) -> Value {
    let (Value::Object(mut one), Value::Object(other)) = (one, other.clone()) else { panic!() };
    one.extend(other);
    one.into()
}

#[tokio::test]
async fn a_js_code_becomes_a_token_that_all_paths_take_as_they_take_the_cookie() {
    let place = place().await;
    let answer = place.mini_login("alice").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert!(answer.set_cookies().is_empty(), "mini-programs keep no cookies");
    let told = answer.json();
    let openid = place.openid("alice", MINI_PROGRAM);
    assert_eq!(told["user"]["subject"], format!("{MINI_PROGRAM}:{openid}"));
    assert_eq!(told["user"]["unionid"], place.unionid("alice"));
    assert_eq!(told["expires_in"], 7 * 24 * 60 * 60);
    let token = told["token"].as_str().unwrap();
    for path in ["/page", "/optional"] {
        let page = place.with_token(path, token).await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
        assert_eq!(page.received("x-wechat-openid"), Some(openid.clone()));
        assert_eq!(page.received("x-wechat-appid").as_deref(), Some(MINI_PROGRAM));
        assert_eq!(page.received("x-wechat-session"), None, "c21: the app never sees it");
    }
    assert_eq!(place.with_token("/_wx/me", token).await.json()["openid"], openid);
    // Nobody is redirected who has no browser.
    assert_eq!(place.with_token("/profile", token).await.status, StatusCode::UNAUTHORIZED);
    let wrong = place.with_token("/page", &token.replace('-', "_")).await;
    assert_eq!(refused(&wrong), (StatusCode::UNAUTHORIZED, "login_required".into()));
    assert_eq!(place.with_token("/optional", "x").await.received("x-wechat-openid"), None);
}

#[tokio::test]
async fn c34_signing_out_ends_the_token() {
    let place = place().await;
    let (one, other) = (place.token("alice").await, place.token("alice").await);
    assert_eq!(place.with_token("/page", &one).await.status, StatusCode::OK);
    let ended = place.post("/_wx/logout", Some(&one), &json!({})).await;
    assert!(ended.status.is_redirection(), "{ended:?}");
    assert_eq!(place.with_token("/page", &one).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(place.with_token("/page", &other).await.status, StatusCode::OK);
}

#[tokio::test]
async fn c33_a_new_login_ends_the_token_that_came_with_it() {
    let place = place().await;
    let old = place.token("alice").await;
    let code = place.phone("bob").login();
    let new = place.post(LOGIN, Some(&old), &json!({ "js_code": code })).await.json();
    let new = new["token"].as_str().unwrap();
    assert_eq!(place.with_token("/page", &old).await.status, StatusCode::UNAUTHORIZED);
    let page = place.with_token("/page", new).await;
    assert_eq!(page.received("x-wechat-openid"), Some(place.openid("bob", MINI_PROGRAM)));
}

#[tokio::test]
async fn w04_a_js_code_is_sent_to_wechat_once() {
    let place = place().await;
    let body = json!({ "js_code": place.phone("alice").login() });
    let first = place.post(LOGIN, None, &body).await;
    assert_eq!(first.status, StatusCode::OK);
    let again = place.post(LOGIN, None, &body).await;
    assert_eq!(refused(&again), (StatusCode::UNAUTHORIZED, "invalid_code".into()));
    assert_eq!(place.sim.count(CODE2SESSION), 1);
    place.sim.faults([FaultSwitch::new(Fault::Drop, 1).path(CODE2SESSION)]);
    let body = json!({ "js_code": place.phone("alice").login() });
    for _ in 0..2 {
        assert_ne!(place.post(LOGIN, None, &body).await.status, StatusCode::OK);
    }
    assert_eq!(place.sim.count(CODE2SESSION), 2);
    place.token("alice").await;
}

#[tokio::test]
async fn what_wechat_refuses_is_told_apart() {
    let place = place().await;
    let unknown = place.post(LOGIN, None, &json!({ "js_code": "0a1B2c" })).await;
    assert_eq!(refused(&unknown), (StatusCode::UNAUTHORIZED, "invalid_code".into()));
    assert_eq!(unknown.json()["errcode"], 40029);
    assert!(unknown.json()["rid"].is_string(), "w09: {unknown:?}");
    for (fault, status, word, errcode) in [
        (Fault::CodeBlocked, StatusCode::FORBIDDEN, "login_blocked", 40226),
        (Fault::MinuteQuota, StatusCode::TOO_MANY_REQUESTS, "too_many_requests", 45011),
        (Fault::Quota, StatusCode::BAD_GATEWAY, "login_failed", 45009),
    ] {
        place.sim.faults([FaultSwitch::new(fault, 1).path(CODE2SESSION)]);
        let answer = place.mini_login("alice").await;
        assert_eq!(refused(&answer), (status, word.into()), "{answer:?}");
        assert_eq!(answer.json()["errcode"], errcode);
        assert!(answer.json()["token"].is_null());
        place.token("alice").await;
    }
}

#[tokio::test]
async fn what_is_no_login_is_refused_before_wechat_is_asked() {
    let place = place().await;
    let good = json!({ "js_code": "abc" });
    for (body, field) in [
        (json!({}), "body"),
        (json!([1]), "body"),
        (json!({ "js_code": 7 }), "body"),
        (json!({ "js_code": "" }), "js_code"),
        (json!({ "js_code": "a b" }), "js_code"),
        (json!({ "js_code": "a".repeat(513) }), "js_code"),
        (merged(good.clone(), &json!({ "rawData": "{}" })), "signature"),
        (merged(good.clone(), &json!({ "iv": "AAAA" })), "encryptedData"),
    ] {
        let answer = place.post(LOGIN, None, &body).await;
        assert_eq!(refused(&answer), (StatusCode::BAD_REQUEST, "malformed_request".into()));
        assert_eq!(answer.json()["field"], field, "{body}");
    }
    let other = merged(good.clone(), &json!({ "appid": APPID }));
    let answer = place.post(LOGIN, None, &other).await;
    assert_eq!(refused(&answer), (StatusCode::BAD_REQUEST, "unknown_appid".into()));
    // What a page of another site can send without asking is never JSON.
    let page = place.browser("alice");
    let form = [("content-type", "text/plain")];
    let answer = page.send(Method::POST, LOGIN, &form, &good.to_string()).await;
    assert_eq!(answer.json()["field"], "content-type");
    assert_eq!(page.fetch(LOGIN).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let large = json!({ "js_code": "a", "rawData": "x".repeat(70_000) });
    assert_eq!(place.post(LOGIN, None, &large).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(place.sim.count(CODE2SESSION), 0);
    let named = json!({ "js_code": place.phone("alice").login(), "appid": MINI_PROGRAM });
    assert_eq!(place.post(LOGIN, None, &named).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_wechat_has_signed_or_encrypted_is_kept_as_the_profile() {
    let place = place().await;
    let phone = place.phone("alice");
    // The key is known once there was a login, as wx.getUserProfile needs one.
    let token = place.token("alice").await;
    let data = serde_json::to_value(phone.user_data().unwrap()).unwrap();
    assert!(place.with_token("/_wx/me", &token).await.json()["nickname"].is_null());
    let answer = place.post(USER_DATA, Some(&token), &data).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["user"]["nickname"], "爱丽丝🌸");
    let page = place.with_token("/profile", &token).await;
    assert_eq!(page.status, StatusCode::OK, "a profile is a profile");
    assert_eq!(page.received("x-wechat-nickname").as_deref(), Some(crate::world::ALICE));
    let number = serde_json::to_value(phone.phone_number().unwrap()).unwrap();
    let answer = place.post(USER_DATA, Some(&token), &number).await;
    let told = answer.json()["user"]["phone"].as_str().unwrap_or_default().to_owned();
    assert!(told.starts_with("+86") && told.len() == 14, "{answer:?}");
    let page = place.with_token("/page", &token).await;
    assert_eq!(page.received("x-wechat-phone"), Some(told));
    for secret in ["session_key", "js_code"] {
        assert!(!answer.body.contains(secret), "c50: {answer:?}");
    }
}

#[tokio::test]
async fn user_data_that_is_not_wechat_s_is_refused_and_nothing_of_it_is_kept() {
    let place = place().await;
    let faults = [Fault::BadSignature, Fault::ForeignWatermark, Fault::OldWatermark];
    for fault in faults {
        let token = place.token("alice").await;
        place.sim.fault(fault, 1);
        let data = serde_json::to_value(place.phone("alice").user_data().unwrap()).unwrap();
        let answer = place.post(USER_DATA, Some(&token), &data).await;
        assert_eq!(
            refused(&answer),
            (StatusCode::BAD_REQUEST, "bad_user_data".into()),
            "{fault:?}"
        );
        assert!(place.with_token("/_wx/me", &token).await.json()["nickname"].is_null());
        // Another try needs another login, so that nobody can try out what a key opens.
        let good = serde_json::to_value(place.phone("alice").user_data().unwrap()).unwrap();
        let again = place.post(USER_DATA, Some(&token), &good).await;
        assert_eq!(refused(&again), (StatusCode::UNAUTHORIZED, "login_required".into()));
    }
    // Somebody else's data does not open with one's own key.
    let token = place.token("alice").await;
    place.token("bob").await;
    let foreign = serde_json::to_value(place.phone("bob").user_data().unwrap()).unwrap();
    let answer = place.post(USER_DATA, Some(&token), &foreign).await;
    assert_eq!(refused(&answer), (StatusCode::BAD_REQUEST, "bad_user_data".into()));
    let data = serde_json::to_value(place.phone("bob").user_data().unwrap()).unwrap();
    let nobody = place.post(USER_DATA, None, &data).await;
    assert_eq!(refused(&nobody), (StatusCode::UNAUTHORIZED, "login_required".into()));
    let token = place.token("alice").await;
    let data = serde_json::to_value(place.phone("alice").user_data().unwrap()).unwrap();
    assert_eq!(place.post(USER_DATA, Some(&token), &data).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_login_can_bring_the_user_data_along_and_is_refused_as_a_whole() {
    let place = place().await;
    let phone = place.phone("alice");
    let code = json!({ "js_code": phone.login() });
    let of_an_older_login = serde_json::to_value(phone.user_data().unwrap()).unwrap();
    let answer = place.post(LOGIN, None, &merged(code, &of_an_older_login)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["user"]["nickname"], "爱丽丝🌸");
    let code = json!({ "js_code": phone.login() });
    let answer = place.post(LOGIN, None, &merged(code, &of_an_older_login)).await;
    assert_eq!(refused(&answer), (StatusCode::BAD_REQUEST, "bad_user_data".into()));
    assert!(answer.json()["token"].is_null());
}

#[tokio::test]
async fn a_ticket_signs_a_web_view_in_once() {
    let place = place().await;
    let token = place.token("alice").await;
    let ticket = async || {
        let answer = place.post(TICKET, Some(&token), &json!({ "to": "/page?a=1#part" })).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["url"].as_str().unwrap().to_owned()
    };
    let url = ticket().await;
    let web_view = place.browser("nobody").with("user-agent", WEB_VIEW);
    let entered = web_view.get(&url).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER, "{entered:?}");
    assert_eq!(entered.location(), "/page?a=1#part");
    let page = web_view.get("/page").await;
    assert_eq!(page.received("x-wechat-openid"), Some(place.openid("alice", MINI_PROGRAM)));
    // Whoever goes back goes on; everybody else who has the link gets nothing.
    assert_eq!(web_view.get(&url).await.status, StatusCode::SEE_OTHER);
    let other = place.browser("nobody").with("user-agent", WEB_VIEW);
    assert_eq!(other.get(&url).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(other.session_cookie(), None);
    // In a browser that is no web-view it counts for nothing, and is not used up.
    let url = ticket().await;
    let elsewhere = place.browser("nobody");
    assert_eq!(elsewhere.get(&url).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(elsewhere.session_cookie(), None);
    assert_eq!(other.get(&url).await.status, StatusCode::SEE_OTHER);
    assert!(other.session_cookie().is_some());
    // It lasts a minute.
    let url = ticket().await;
    place.clock.advance(Duration::from_secs(61));
    let late = place.browser("nobody").with("user-agent", WEB_VIEW);
    assert_eq!(late.get(&url).await.status, StatusCode::BAD_REQUEST);
    for damaged in [url.replace("ticket=", "ticket=A"), url.replace("?ticket=", "?tickt=")] {
        assert_eq!(late.get(&damaged).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn c03_a_ticket_leads_to_our_own_pages_only() {
    let place = place().await;
    let token = place.token("alice").await;
    for (to, target) in [
        ("https://evil.example/", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("/good?x=1", "/good?x=1"),
    ] {
        let answer = place.post(TICKET, Some(&token), &json!({ "to": to })).await;
        let url = answer.json()["url"].as_str().unwrap().to_owned();
        let web_view = place.browser("nobody").with("user-agent", WEB_VIEW);
        assert_eq!(web_view.get(&url).await.location(), target, "{to}");
    }
    let nobody = place.post(TICKET, None, &json!({ "to": "/" })).await;
    assert_eq!(refused(&nobody), (StatusCode::UNAUTHORIZED, "login_required".into()));
}

#[tokio::test]
async fn a_web_view_is_signed_out_with_the_mini_program() {
    let place = place().await;
    let token = place.token("alice").await;
    let answer = place.post(TICKET, Some(&token), &json!({})).await;
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    place.post("/_wx/logout", Some(&token), &json!({})).await;
    let web_view = place.browser("nobody").with("user-agent", WEB_VIEW);
    assert_eq!(web_view.get(&url).await.status, StatusCode::BAD_REQUEST, "the session has ended");
    assert_eq!(web_view.session_cookie(), None);
    place.advance(8 * 24 * HOUR);
    let token = place.token("alice").await;
    assert_eq!(place.with_token("/page", &token).await.status, StatusCode::OK);
    place.advance(8 * 24 * HOUR);
    assert_eq!(place.with_token("/page", &token).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn c24_a_token_without_a_session_opens_nothing_and_no_cookie_makes_up_for_it() {
    let place = place().await;
    let alice = place.browser("alice");
    assert_eq!(alice.walk("/page").await.status, StatusCode::OK);
    let made_up = [("x-wechat-session", "0a1b2c3d-0000-4000-8000-000000000000")];
    let answer = alice.send(Method::GET, "/page", &made_up, "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "a token speaks for itself");
    assert!(answer.headers.get(header::LOCATION).is_none());
    assert_eq!(alice.get("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refusal_is_json_for_a_client_with_a_token_whatever_it_accepts() {
    let unlisted = format!(
        "{SITE}[[site.h5.route]]\nprefix = '/vip'\nallow_openids = ['oNobody0000000000000000000000']\n"
    );
    let place = Place::start(&unlisted).await;
    let token = place.token("alice").await;
    let program = place.browser("nobody").without("x-simulator-user").without("user-agent");
    let headers = [("x-wechat-session", &*token), ("accept", "text/html,*/*")];
    let answer = program.send(Method::GET, "/vip", &headers, "").await;
    assert_eq!(refused(&answer), (StatusCode::FORBIDDEN, "not_admitted".into()));
    // A person sees a page.
    let page = place.browser("alice").walk("/vip").await;
    assert!(page.status == StatusCode::FORBIDDEN && page.body.starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn sign_ins_from_one_address_are_counted_like_all_others() {
    let place = Place::start(&format!("{SITE}# few\n")).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(place.mini_login("alice").await.status);
    }
    assert_eq!(answers[0], StatusCode::OK);
    assert_eq!(answers[3], StatusCode::TOO_MANY_REQUESTS, "{answers:?}");
    place.advance(Duration::from_secs(60));
    assert!(place.sim.count(CODE2SESSION) < 4, "WeChat has not heard of those");
}
