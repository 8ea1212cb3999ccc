//! Signing out: here, everywhere, and not by another site.

use http::{Method, StatusCode};

use crate::world::World;

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
