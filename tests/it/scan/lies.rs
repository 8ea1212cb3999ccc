//! Whoever tries to be signed in as somebody else.

use http::{Method, StatusCode};

use super::{COOKIE, Desk, Shown, Stage, confirmed, set};
use crate::world::HOUR;

#[tokio::test]
async fn a_wrong_number_ends_the_code_and_both_screens_say_so() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page").await;
    let asked = phone.scan(&shown.code).await;
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    let answer = phone.send(asked.miss(&number)).await;
    assert!(answer.body.contains("Wrong number"), "{answer:?}");
    assert!(answer.body.contains("may be trying to sign in with your account"), "{answer:?}");
    // Whoever thinks better of it is too late.
    let answer = phone.send(asked.tap(&number)).await;
    assert!(answer.body.contains("Wrong number"), "{answer:?}");
    let waiting = Desk(desk.0.twin());
    assert_eq!(desk.state().await, "wrong_number");
    let done = waiting.finish(&shown).await;
    assert_eq!(done.status, StatusCode::FORBIDDEN, "{done:?}");
    assert!(done.body.contains("A wrong number was tapped"), "{done:?}");
    assert_eq!(waiting.0.session_cookie(), None);
    // The page has another code when it is loaded again, and that one works.
    let next = desk.show("/page").await;
    assert_ne!(next.live["code"], shown.live["code"]);
    confirmed(&stage, &desk, &phone).await;
}

#[tokio::test]
async fn whoever_says_that_it_was_not_them_ends_the_code() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page").await;
    let asked = phone.scan(&shown.code).await;
    let answer = phone.send(&asked.cancel).await;
    assert!(answer.body.contains("Cancelled"), "{answer:?}");
    assert_eq!(Desk(desk.0.twin()).state().await, "cancelled");
    let done = desk.finish(&shown).await;
    assert_eq!((done.status, desk.0.session_cookie()), (StatusCode::FORBIDDEN, None));
}

#[tokio::test]
async fn the_first_phone_has_a_code_and_another_user_s_is_told_so() {
    let stage = Stage::start().await;
    let (desk, alice, bob) = (stage.desk(), stage.phone("alice"), stage.phone("bob"));
    let shown = desk.show("/page").await;
    let asked = alice.scan(&shown.code).await;
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    let late = bob.0.walk(&shown.code).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{late:?}");
    for form in [asked.tap(&number), asked.miss(&number), &asked.cancel] {
        assert_eq!(bob.send(form).await.status, StatusCode::CONFLICT);
    }
    assert_eq!(desk.state().await, "scanned", "nothing was decided");
    // Alice's other phone is hers as well.
    let other = stage.phone("alice");
    other.scan(&shown.code).await;
    other.send(asked.tap(&number)).await;
    desk.finish(&shown).await;
    let page = desk.0.get("/page").await;
    assert_eq!(page.received("x-wechat-openid"), Some(stage.openid("alice")));
}

#[tokio::test]
async fn c48_what_was_confirmed_once_signs_in_once() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page").await;
    let asked = phone.scan(&shown.code).await;
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    let form = asked.tap(&number);
    phone.send(form).await;
    let thief = Desk(desk.0.twin());
    assert_eq!(desk.finish(&shown).await.status, StatusCode::SEE_OTHER);
    // The confirmation sent again changes nothing, and neither does a no.
    for form in [form, asked.miss(&number), &asked.cancel] {
        let again = phone.send(form).await;
        assert!(again.body.contains("<title>Confirmed</title>"), "{again:?}");
    }
    // A browser that has no cookie of the code gets nothing, however it asks.
    let other = stage.desk();
    let answer = other.finish(&shown).await;
    assert_eq!((answer.status, set(&answer)), (StatusCode::BAD_REQUEST, vec![]));
    assert_eq!(other.look().await["state"], "gone");
    // Even one with a copy of it gets nothing after a minute.
    stage.clock.advance(std::time::Duration::from_secs(60));
    let answer = thief.finish(&shown).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
    assert_eq!(thief.0.session_cookie(), None);
    assert!(desk.is_signed_in().await);
}

#[tokio::test]
async fn a_twin_that_comes_late_does_not_bring_back_what_was_ended() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = confirmed(&stage, &desk, &phone).await;
    let (twin, late) = (Desk(desk.0.twin()), Desk(desk.0.twin()));
    desk.finish(&shown).await;
    twin.finish(&shown).await;
    assert_eq!(twin.0.session_cookie(), desk.0.session_cookie());
    desk.0.log_out("").await;
    let answer = late.finish(&shown).await;
    assert_eq!((answer.status, late.0.session_cookie()), (StatusCode::BAD_REQUEST, None));
}

#[tokio::test]
async fn c33_the_desktop_gets_a_new_session_and_the_one_that_it_had_ends() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = confirmed(&stage, &desk, &phone).await;
    // Planted by somebody who knows it.
    let planted = stage.phone("bob");
    planted.0.walk("/page").await;
    let id = planted.0.session_cookie().unwrap();
    desk.0.jar.lock().unwrap().insert("wxgate".to_owned(), id.clone());
    desk.finish(&shown).await;
    assert_ne!(desk.0.session_cookie(), Some(id));
    assert!(desk.is_signed_in().await);
    assert_eq!(planted.0.fetch("/page").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn c46_a_confirmation_from_another_site_confirms_nothing() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page").await;
    let asked = phone.scan(&shown.code).await;
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    for form in [asked.tap(&number), &asked.cancel] {
        for foreign in [
            &[("origin", "https://evil.example")][..],
            &[("origin", "null")],
            &[("origin", &*phone.origin()), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[],
        ] {
            let answer = phone.post(form, foreign).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{foreign:?} {answer:?}");
        }
    }
    // A form sends no GET.
    assert_eq!(phone.0.get(asked.tap(&number)).await.status, StatusCode::OK);
    assert_eq!(desk.state().await, "scanned");
    // And nobody else's page gets a code, or takes one away.
    let url = shown.live["fresh"].as_str().unwrap();
    let evil = [("origin", "https://evil.example")];
    let answer = desk.0.send(Method::POST, url, &evil, "").await;
    assert_eq!((answer.status, set(&answer)), (StatusCode::FORBIDDEN, vec![]));
    phone.post(asked.tap(&number), &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(desk.state().await, "confirmed");
}

#[tokio::test]
async fn c26_a_damaged_code_or_cookie_never_makes_a_session() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = confirmed(&stage, &desk, &phone).await;
    let good = desk.0.jar.lock().unwrap()[COOKIE].clone();
    let damage = |text: &str, at: usize| {
        let other = if text.as_bytes()[at] == b'A' { 'B' } else { 'A' };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    for at in (0..good.len()).step_by(7) {
        let twin = Desk(desk.0.twin());
        twin.0.jar.lock().unwrap().insert(COOKIE.to_owned(), damage(&good, at));
        let answer = twin.finish(&shown).await;
        assert_eq!((answer.status, twin.0.session_cookie()), (StatusCode::BAD_REQUEST, None));
        assert_eq!(twin.state().await, "gone");
    }
    let start = shown.code.find("c=").unwrap() + 2;
    for at in (start..shown.code.len()).step_by(7) {
        let answer = phone.0.walk(&damage(&shown.code, at)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        assert!(answer.body.contains("This code means nothing here"), "{answer:?}");
    }
    assert_eq!(phone.0.get("/_wx/scan").await.status, StatusCode::BAD_REQUEST);
    // Where it leads is sealed as well.
    let done = shown.live["done"].as_str().unwrap();
    let answer = desk.0.get(&damage(done, done.len() - 3)).await;
    assert_eq!((answer.status, set(&answer)), (StatusCode::BAD_REQUEST, vec![]));
    assert_eq!(desk.finish(&shown).await.status, StatusCode::SEE_OTHER, "the good ones work");
}

#[tokio::test]
async fn a_link_that_another_browser_opens_signs_nobody_in_and_consumes_nothing() {
    let stage = Stage::start().await;
    let (desk, other) = (stage.desk(), stage.desk());
    let shown = desk.show("/page").await;
    let answer = other.0.get(&shown.code).await;
    assert_eq!((answer.status, set(&answer)), (StatusCode::FORBIDDEN, vec![]));
    assert!(answer.body.contains("Scan this with WeChat"), "{answer:?}");
    let posted = [("origin", &*stage.url), ("accept", "text/html")];
    for path in ["&n=12", "&no=1"] {
        let url = format!("{}{path}", shown.code);
        assert_eq!(
            other.0.send(Method::POST, &url, &posted, "").await.status,
            StatusCode::FORBIDDEN
        );
    }
    // Not even one that is signed in.
    let phone = stage.phone("alice");
    let theirs = confirmed(&stage, &other, &phone).await;
    other.finish(&theirs).await;
    assert_eq!(other.0.get(&shown.code).await.status, StatusCode::FORBIDDEN);
    assert_eq!(desk.state().await, "waiting");
    // In another WeChat it asks, and that browser is signed in as its own user only.
    let bob = stage.phone("bob");
    bob.scan(&shown.code).await;
    assert_eq!(bob.0.get("/page").await.received("x-wechat-openid"), Some(stage.openid("bob")));
    assert_eq!(desk.state().await, "scanned");
    assert!(!desk.is_signed_in().await);
}

#[tokio::test]
async fn a_code_that_has_expired_is_refused_on_both_screens_and_replaced() {
    let stage = Stage::start().await;
    let (desk, phone, late) = (stage.desk(), stage.phone("alice"), stage.phone("bob"));
    let shown = desk.show("/page").await;
    stage.clock.advance(std::time::Duration::from_secs(179));
    let asked = phone.scan(&shown.code).await;
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    stage.clock.advance(std::time::Duration::from_secs(1));
    for phone in [&phone, &late] {
        let answer = phone.0.walk(&shown.code).await;
        assert_eq!(answer.status, StatusCode::GONE, "{answer:?}");
    }
    assert_eq!(phone.send(asked.tap(&number)).await.status, StatusCode::GONE);
    assert_eq!(desk.state().await, "expired");
    let next = desk.fresh(&shown).await;
    let news = next.json();
    assert_eq!((&news["state"], set(&next)), (&"waiting".into(), vec![COOKIE]));
    assert_ne!(news["code"], shown.live["code"]);
    let code = super::read(news["picture"].as_str().unwrap());
    let asked = phone.scan(&code).await;
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    phone.send(asked.tap(&number)).await;
    // A desktop that was confirmed in the last moment has a minute more.
    stage.clock.advance(std::time::Duration::from_secs(239));
    assert_eq!(desk.finish(&shown).await.location(), "/page");
    assert!(desk.is_signed_in().await);
    stage.clock.advance(HOUR * 23);
    assert!(desk.is_signed_in().await, "a sign-in of its own, as long as any");
    let next = Shown::of(stage.desk().0.get("/page").await);
    assert_ne!(next.live["code"], news["code"]);
}
