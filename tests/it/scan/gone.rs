//! A user who has signed out, or was signed out, before or after the desktop has gone on.

use http::StatusCode;

use super::{Desk, Phone, Stage, confirmed};

#[tokio::test]
async fn a_phone_that_has_signed_out_before_the_end_signs_nobody_in() {
    for query in ["", "?everywhere=1"] {
        let stage = Stage::start().await;
        let (desk, phone) = (stage.desk(), stage.phone("alice"));
        let shown = confirmed(&stage, &desk, &phone).await;
        phone.0.log_out(query).await;
        let answer = desk.finish(&shown).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{answer:?}");
        assert!(answer.body.contains("Not signed in"), "{answer:?}");
        assert_eq!(desk.0.cookie_names(), Vec::<String>::new());
        // Its page leads to a new code, which works.
        let again = super::between(&answer.body, "id=\"primary\" class=\"button\" href=\"", "\"");
        let again = desk.0.get(&super::unescape(again)).await;
        assert!(again.body.contains("id=\"picture\""), "{again:?}");
        let shown = confirmed(&stage, &desk, &phone).await;
        assert_eq!(desk.finish(&shown).await.status, StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn signing_out_on_the_phone_afterwards_leaves_the_desktop_and_everywhere_ends_it() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = confirmed(&stage, &desk, &phone).await;
    desk.finish(&shown).await;
    phone.0.log_out("").await;
    assert!(desk.is_signed_in().await, "it is a sign-in of its own");
    phone.0.walk("/page").await;
    phone.0.log_out("?everywhere=1").await;
    assert!(!desk.is_signed_in().await);
}

#[tokio::test]
async fn a_phone_that_has_signed_out_on_its_page_signs_in_and_is_asked_again() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page").await;
    let asked = phone.scan(&shown.code).await;
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    phone.0.jar.lock().unwrap().clear();
    let answer = phone.send(asked.tap(&number)).await;
    let again = super::Asked::of(answer);
    assert_eq!(again.numbers, asked.numbers);
    assert_eq!(desk.state().await, "scanned", "nothing was decided");
    phone.send(again.tap(&number)).await;
    assert_eq!(desk.state().await, "confirmed");
    assert_eq!(desk.finish(&shown).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn signing_out_on_the_desktop_forgets_its_code() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = confirmed(&stage, &desk, &phone).await;
    desk.0.log_out("").await;
    assert_eq!(desk.0.cookie_names(), Vec::<String>::new());
    assert_eq!(desk.finish(&shown).await.status, StatusCode::BAD_REQUEST);
    let other = Desk(stage.desk().0);
    let shown = confirmed(&stage, &other, &Phone(phone.0.twin())).await;
    assert_eq!(other.finish(&shown).await.status, StatusCode::SEE_OTHER);
}
