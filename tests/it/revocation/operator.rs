//! The operator's word, over the admin listener, and what other sessions see of it.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use serde_json::json;

use super::{OTHER_APPID, Place, is_in};
use crate::{
    faults::Watched,
    world::{APPID, Answer},
};

#[tokio::test]
async fn an_operator_ends_one_session_or_a_user_s_or_an_account_s() {
    let place = Place::start("").await;
    let (phone, desk) = (place.signed_in("alice").await, place.signed_in("alice").await);
    let bob = place.signed_in("bob").await;
    bob.walk("/shop").await;
    let alice = place.openid("alice");

    let (status, page) = place.admin(&format!("/sessions?account=main&openid={alice}")).await;
    assert_eq!((status, page["sessions"].as_array().unwrap().len()), (200, 2), "{page}");
    for session in page["sessions"].as_array().unwrap() {
        assert_eq!(session["subject"], format!("{APPID}:{alice}"));
    }
    // One of the two, whichever it is.
    let (status, _) = place.revoke(&json!({ "session": page["sessions"][0]["session"] })).await;
    assert_eq!(status, 200);
    let left = [is_in(&phone).await, is_in(&desk).await];
    assert_eq!(left.iter().filter(|is_in| **is_in).count(), 1);
    // That browser signs in again, as any other: revoking shuts nobody out.
    let back = if left[0] { &desk } else { &phone };
    assert_eq!(back.walk("/page").await.status, StatusCode::OK);

    let (status, said) = place.revoke(&json!({ "account": APPID, "openid": alice })).await;
    assert_eq!((status, &said["revoked"]["sessions"]), (200, &json!(2)));
    assert!(!is_in(&phone).await && !is_in(&desk).await && is_in(&bob).await);

    phone.walk("/page").await;
    let (status, _) = place.revoke(&json!({ "account": "main", "all": true })).await;
    assert_eq!(status, 200);
    assert!(!is_in(&phone).await && !is_in(&bob).await);
    // Another account's sessions are none of it.
    assert_eq!(bob.fetch("/shop").await.status, StatusCode::OK);
    let (_, page) = place.admin("/sessions").await;
    let left: Vec<_> = page["sessions"].as_array().unwrap().iter().map(|it| &it["appid"]).collect();
    assert_eq!(left, [OTHER_APPID]);
    assert_eq!(bob.walk("/page").await.status, StatusCode::OK);
}

#[tokio::test]
async fn c54_a_public_listener_neither_tells_nor_revokes() {
    let place = Place::start("").await;
    let alice = place.signed_in("alice").await;
    let before = place.app.requests();
    let json = [("content-type", "application/json")];
    let body = json!({ "account": "main", "all": true }).to_string();
    let told = |answer: &Answer| answer.json()["uri"].as_str().map(str::to_owned);
    // There the paths are the app's, and ask for a sign-in as all others do.
    let answer = alice.fetch("/sessions?account=main").await;
    assert_eq!(told(&answer).as_deref(), Some("/sessions?account=main"));
    let answer = alice.send(Method::POST, "/sessions/revoke", &json, &body).await;
    assert_eq!(told(&answer).as_deref(), Some("/sessions/revoke"));
    assert_eq!(place.app.requests(), before + 2);
    let nobody = place.browser("bob");
    let answer = nobody.send(Method::POST, "/sessions/revoke", &json, &body).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.fetch("/sessions").await.status, StatusCode::UNAUTHORIZED);
    assert!(is_in(&alice).await);
}

#[tokio::test]
async fn c42_while_the_store_is_down_nothing_is_told_or_revoked() {
    let mut line = None;
    let place = Place::with_store("", |store| {
        let store = Watched::new(store);
        line = Some(store.down());
        store
    })
    .await;
    let (alice, line) = (place.signed_in("alice").await, line.unwrap());
    let openid = place.openid("alice");
    let (_, page) = place.admin("/sessions").await;
    let bodies = [
        json!({ "session": page["sessions"][0]["session"] }),
        json!({ "account": "main", "openid": openid }),
        json!({ "account": "main", "all": true }),
    ];
    line.store(true, Ordering::SeqCst);
    let (status, said) = place.admin("/sessions").await;
    assert_eq!((status, &said["error"]), (503, &json!("store_down")));
    for body in &bodies {
        let (status, said) = place.revoke(body).await;
        assert_eq!((status, &said["error"]), (503, &json!("store_down")), "{body}");
    }
    line.store(false, Ordering::SeqCst);
    assert!(is_in(&alice).await);
    for body in &bodies {
        assert_eq!(place.revoke(body).await.0, 200, "{body}");
    }
    assert!(!is_in(&alice).await);
}
