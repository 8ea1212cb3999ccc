//! WeChat's word, at `/_wx/messages`.

use std::{
    sync::{Mutex, atomic::Ordering},
    time::Duration,
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use wxgate::{
    Origin, WechatLoginLayer,
    clock::Clock,
    secret::MessageToken,
    session::{Store, UserKey},
    simulator::{Fault, FaultSwitch, Simulator},
    wechat::{AppId, MessageKeys, OpenId},
};

use super::{AES_KEY, OPEN, OTHER_APPID, Place, SEALED, TOKEN, is_in};
use crate::{
    faults::Watched,
    world::{self, ALICE, APPID, Answer, HOUR, USERINFO, userinfo_login},
};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const REVOKE: &str = "user_authorization_revoke";

fn success() -> (u64, String) {
    (200, "success".to_owned())
}

/// The query of a message that was signed with this token, at a moment.
fn signed(token: &str, timestamp: u64) -> String {
    let timestamp = timestamp.to_string();
    let mut parts = [token, &timestamp, "4711"];
    parts.sort_unstable();
    let digest: Vec<_> =
        Sha1::digest(parts.concat()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("?signature={}&timestamp={timestamp}&nonce=4711", digest.concat())
}

fn message(openid: &str, more: &str) -> String {
    format!(
        "<xml><ToUserName>gh_1</ToUserName><MsgType>event</MsgType><Event>{REVOKE}</Event>\
         <OpenID><![CDATA[{openid}]]></OpenID>{more}</xml>"
    )
}

impl Place {
    fn query(&self) -> String {
        signed(TOKEN, self.clock.now().unix())
    }

    async fn post(&self, query: &str, body: &str) -> Answer {
        self.send(Method::POST, query, body).await
    }
}

#[tokio::test]
async fn a_user_who_takes_the_authorization_back_is_signed_out_and_forgotten() {
    for (account, more) in [
        (OPEN, json!({})),
        (OPEN, json!({ "format": "json" })),
        (SEALED, json!({ "aes_key": AES_KEY })),
        (SEALED, json!({ "aes_key": AES_KEY, "format": "json" })),
    ] {
        for event in [REVOKE, "user_authorization_cancellation"] {
            let place = Place::start(account).await;
            let (phone, desk) = (place.browser("alice"), place.browser("alice"));
            let bob = place.signed_in("bob").await;
            for browser in [&phone, &desk] {
                let page = browser.walk(&userinfo_login("/page")).await;
                assert_eq!(page.received("x-wechat-nickname").as_deref(), Some(ALICE));
            }
            let before = place.app.requests();
            assert_eq!(place.push(event, "alice", &more).await, success(), "{more}");
            assert_eq!(place.app.requests(), before);
            assert!(!is_in(&phone).await && !is_in(&desk).await && is_in(&bob).await);
            // What was known is gone: a silent sign-in finds nothing.
            let page = phone.walk("/page").await;
            assert_eq!(page.received("x-wechat-openid"), Some(place.openid("alice")));
            assert_eq!(page.received("x-wechat-nickname"), None);
            // WeChat may say it again.
            for _ in 0..2 {
                assert_eq!(place.push(event, "alice", &more).await, success());
            }
            assert!(!is_in(&phone).await && is_in(&bob).await);
            let page = place.metrics().await;
            assert!(page.contains("wxgate_revocations_total{kind=\"wechat\"} 3"), "{page}");
        }
    }
}

#[tokio::test]
async fn messages_about_anything_else_are_taken_and_change_nothing() {
    let place = Place::start(OPEN).await;
    let alice = place.browser("alice");
    alice.walk(&userinfo_login("/page")).await;
    for event in ["user_info_modified", "subscribe", "unsubscribe", "CLICK", REVOKE] {
        assert!(is_in(&alice).await, "before {event}");
        assert_eq!(place.push(event, "alice", &json!({})).await, success(), "{event}");
    }
    assert!(!is_in(&alice).await);
    // Somebody writes to the account.
    let alice = place.signed_in("alice").await;
    let openid = place.openid("alice");
    let text = message(&openid, "").replace(">event<", ">text<");
    let answer = place.post(&place.query(), &text).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "success"));
    assert!(is_in(&alice).await);
}

#[tokio::test]
async fn the_console_s_question_is_answered_with_the_same_text() {
    let place = Place::start(OPEN).await;
    let query = place.query();
    let answer = place.send(Method::GET, &format!("{query}&echostr=4711%3Cb%3E"), "").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "4711<b>"));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    // It may be asked at any time, but by nobody else.
    let old = signed(TOKEN, 1_500_000_000);
    assert_eq!(place.send(Method::GET, &format!("{old}&echostr=1"), "").await.body, "1");
    for (query, status) in [
        (format!("{}&echostr=1", signed("guessed", 1_500_000_000)), 403),
        ("?echostr=1".to_owned(), 403),
        (String::new(), 403),
        (query.clone(), 400),
        (format!("{query}&echostr=1&echostr=2"), 400),
    ] {
        let answer = place.send(Method::GET, &query, "").await;
        assert_eq!(answer.status.as_u16(), status, "{query}");
        assert!(!answer.body.contains('1'), "{query} {answer:?}");
    }
}

#[tokio::test]
async fn a_message_that_nobody_can_vouch_for_changes_nothing() {
    let place = Place::start(OPEN).await;
    let (alice, openid) = (place.signed_in("alice").await, place.openid("alice"));
    let good = message(&openid, &format!("<AppID>{APPID}</AppID>"));
    let query = place.query();
    let now = place.clock.now().unix();
    let minutes = 60;
    let doctype = format!("<!DOCTYPE xml [<!ENTITY a '{openid}'>]>{}", message("&a;", ""));
    let doctype = doctype.replace("<![CDATA[&a;]]>", "&a;");
    let large = message(&openid, &format!("<A>{}</A>", "x".repeat(64 * 1024)));
    for (query, body, status) in [
        (signed("guessed", now), &good, 403),
        (query.replace("nonce=4711", "nonce=4712"), &good, 403),
        (query.replace("signature=", "sig="), &good, 403),
        (String::new(), &good, 403),
        // C47: nobody knows which of the two is meant.
        (format!("{query}&nonce=4711"), &good, 400),
        (format!("{query}&signature=x"), &good, 400),
        (format!("{query}&account=main&account=other"), &good, 400),
        (signed(TOKEN, now - 10 * minutes - 1), &good, 403),
        (signed(TOKEN, now + 10 * minutes + 1), &good, 403),
        (query.clone(), &message(&openid, &format!("<AppID>{OTHER_APPID}</AppID>")), 403),
        (query.clone(), &doctype, 400),
        (query.clone(), &large, 413),
        (query.clone(), &message("", ""), 400),
        (query.clone(), &message("a b", ""), 400),
        (query.clone(), &good.replace("</xml>", ""), 400),
        (query.clone(), &good.replace("</xml>", "<OpenID>o1</OpenID></xml>"), 400),
        (query.clone(), &String::new(), 400),
    ] {
        let answer = place.post(&query, body).await;
        assert_eq!(answer.status.as_u16(), status, "{query} {answer:?}");
        assert!(is_in(&alice).await && !answer.body.contains("success"), "{query}");
    }
    for method in [Method::PUT, Method::DELETE, Method::OPTIONS] {
        let answer = place.send(method, &query, &good).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
    assert!(is_in(&alice).await);
    // Each of them is good but for that.
    let large = message(&openid, &format!("<A>{}</A>", "x".repeat(60 * 1024)));
    for (query, body) in [
        (query.clone(), &good),
        (signed(TOKEN, now - 10 * minutes), &good),
        (signed(TOKEN, now + 10 * minutes), &good),
        (query.clone(), &large),
    ] {
        let alice = place.signed_in("alice").await;
        let answer = place.post(&query, body).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "success"), "{query}");
        assert!(!is_in(&alice).await, "{query}");
    }
}

#[tokio::test]
async fn an_account_with_an_aes_key_takes_encrypted_messages_only_and_its_own() {
    let place = Place::start(SEALED).await;
    let alice = place.signed_in("alice").await;
    let refused = async |more: Value| {
        let (status, said) = place.push(REVOKE, "alice", &more).await;
        assert!(status == 403 && is_in(&alice).await, "{more} {status} {said}");
    };
    refused(json!({})).await;
    refused(json!({ "aes_key": AES_KEY.replace('a', "b") })).await;
    refused(json!({ "aes_key": AES_KEY, "token": "guessed" })).await;
    refused(json!({ "aes_key": AES_KEY, "appid": OTHER_APPID })).await;
    assert_eq!(place.push(REVOKE, "alice", &json!({ "aes_key": AES_KEY })).await, success());
    assert!(!is_in(&alice).await);

    // Without a key nothing can be read.
    let place = Place::start(OPEN).await;
    let alice = place.signed_in("alice").await;
    let (status, _) = place.push(REVOKE, "alice", &json!({ "aes_key": AES_KEY })).await;
    assert!(status == 403 && is_in(&alice).await);
}

#[tokio::test]
async fn an_account_without_a_token_takes_no_messages() {
    let place = Place::start("").await;
    let alice = place.signed_in("alice").await;
    let query = place.query();
    let answer = place.send(Method::GET, &format!("{query}&echostr=1"), "").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(place.push(REVOKE, "alice", &json!({})).await.0, 404);
    assert_eq!(place.push(REVOKE, "alice", &json!({ "token": "" })).await.0, 404);
    assert!(is_in(&alice).await);
}

#[tokio::test]
async fn each_account_of_a_site_has_messages_of_its_own() {
    let place = Place::start(OPEN).await;
    let alice = place.signed_in("alice").await;
    alice.walk("/shop").await;
    let other = format!("{}/_wx/messages?account=other", place.url);
    let in_shop = async || alice.fetch("/shop").await.status == StatusCode::OK;
    for more in [
        json!({ "url": other }),
        json!({ "token": "winter" }),
        json!({ "token": "winter", "appid": OTHER_APPID }),
        json!({ "url": other, "token": "winter" }),
    ] {
        assert_eq!(place.push(REVOKE, "alice", &more).await.0, 403, "{more}");
    }
    assert!(is_in(&alice).await && in_shop().await);
    let more = json!({ "url": other, "token": "winter", "appid": OTHER_APPID });
    assert_eq!(place.push(REVOKE, "alice", &more).await, success());
    assert!(is_in(&alice).await && !in_shop().await);
}

#[tokio::test]
async fn c42_success_is_said_only_once_the_user_is_forgotten() {
    let mut line = None;
    let place = Place::with_store(OPEN, |store| {
        let store = Watched::new(store);
        line = Some(store.down());
        store
    })
    .await;
    let (alice, line) = (place.signed_in("alice").await, line.unwrap());
    line.store(true, Ordering::SeqCst);
    let (status, said) = place.push(REVOKE, "alice", &json!({})).await;
    assert!(status == 503 && !said.contains("success"), "{status} {said}");
    line.store(false, Ordering::SeqCst);
    assert!(is_in(&alice).await);
    assert_eq!(place.push(REVOKE, "alice", &json!({})).await, success());
    assert!(!is_in(&alice).await);
}

#[tokio::test]
async fn a_flood_of_sign_ins_does_not_keep_wechat_out() {
    let place = Place::limited(OPEN, 2, |store| store).await;
    let alice = place.signed_in("alice").await;
    let mut last = alice.get("/_wx/login?again=1").await;
    for _ in 0..10 {
        last = alice.get("/_wx/login?again=1").await;
    }
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(place.push(REVOKE, "alice", &json!({})).await, success());
    assert!(!is_in(&alice).await);
}

#[tokio::test]
async fn an_app_with_the_layer_alone_is_told_as_well() {
    let sim = Simulator::start().await;
    let url = format!("http://{}", world::free_port());
    let keys = MessageKeys::new(MessageToken::new(TOKEN));
    let layer =
        WechatLoginLayer::new(world::account().with_messages(keys), Origin::parse(&url).unwrap())
            .client(world::client(&sim));
    let router = axum::Router::new().fallback(async || "hello").layer(layer);
    let listener = tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let alice = world::Browser::new(&url, "alice");
    assert_eq!(alice.walk("/page").await.body, "hello");
    let push = json!({
        "event": REVOKE, "appid": APPID, "user": "alice", "url": format!("{url}/_wx/messages"), "token": TOKEN,
    });
    let answer = world::http_client()
        .post(format!("{}/_simulator/push", sim.url()))
        .body(push.to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.text().await.unwrap(), r#"{"status":200,"body":"success"}"#);
    assert!(!is_in(&alice).await);
}

#[tokio::test]
async fn w13_the_simulator_sends_messages_to_loopback_only() {
    let sim = Simulator::start().await;
    let push = async |change: Value| {
        let mut push = json!({
            "event": REVOKE, "appid": APPID, "user": "alice", "url": format!("{}/x", sim.url()), "token": TOKEN,
        });
        push.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let url = format!("{}/_simulator/push", sim.url());
        let answer = world::http_client().post(url).body(push.to_string()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(push(json!({})).await.0, 200);
    for (change, hint) in [
        (json!({ "url": "http://192.0.2.1/_wx/messages" }), "loopback"),
        (json!({ "url": "https://127.0.0.1/_wx/messages" }), "loopback"),
        (json!({ "url": "file:///etc/passwd" }), "loopback"),
        (json!({ "url": "127.0.0.1" }), "127.0.0.1"),
        (json!({ "user": "nobody" }), "nobody"),
        (json!({ "appid": "wx0000000000000000" }), "wx0000000000000000"),
        (json!({ "aes_key": "short" }), "43 letters"),
        (json!({ "evnt": "x" }), "evnt"),
    ] {
        let (status, said) = push(change.clone()).await;
        assert!(status == 400 && said.contains(hint), "{change} {status} {said}");
    }
}

/// A refresh that is under way when WeChat tells of the user must not bring the user back.
#[tokio::test]
async fn a_profile_that_arrives_late_is_not_kept() {
    let store = Mutex::new(None);
    let place = Place::with_store(OPEN, |memory| {
        *store.lock().unwrap() = Some(memory.clone());
        memory
    })
    .await;
    let store = store.into_inner().unwrap().unwrap();
    let key = UserKey {
        appid: AppId::parse(APPID).unwrap(),
        openid: OpenId::parse(&place.openid("alice")).unwrap(),
    };
    let alice = place.browser("alice");
    alice.walk(&userinfo_login("/page")).await;
    place.clock.advance(23 * HOUR);
    alice.get("/page").await;
    place.clock.advance(2 * HOUR);
    place.sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(1000).path(USERINFO)]);
    assert!(is_in(&alice).await);
    let asked = async || {
        while place.sim.count(USERINFO) < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asked()).await.expect("the profile is fetched again");
    assert!(store.user(&key).await.unwrap().is_some());
    assert_eq!(place.post(&place.query(), &message(key.openid.as_str(), "")).await.body, "success");
    assert!(store.user(&key).await.unwrap().is_none());
    let over = async || {
        loop {
            let page = place.metrics().await;
            if page.contains("wxgate_profile_refreshes_total{result=\"failed\"} 1") {
                break;
            }
            assert!(!page.contains("wxgate_profile_refreshes_total{result=\"ok\"} 1"), "{page}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, over()).await.expect("it ends");
    assert!(store.user(&key).await.unwrap().is_none());
}
