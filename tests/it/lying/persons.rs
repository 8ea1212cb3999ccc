//! Answers about somebody else, in a profile that is refreshed beside the requests.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    endpoints::{Endpoint, openid},
    logins::{Ended, Place},
    panics,
    platform::honest,
};
use crate::world::HOUR;

const THIEF: &str = "o-case99999x";

/// The honest answer of a case with other fields.
fn with(endpoint: Endpoint, case: usize, fields: &Value) -> Value {
    let mut answer = endpoint.honest(case);
    answer.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    answer
}

/// Waits for something that happens beside the test.
async fn until(mut done: impl FnMut() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it happens");
}

#[tokio::test]
async fn c32_a_refresh_that_tells_of_somebody_else_changes_nobody() {
    let place = Place::start().await;
    let strange = [
        (Endpoint::Refresh, json!({ "openid": THIEF })),
        (Endpoint::Refresh, json!({ "unionid": "u-case99999x" })),
        (Endpoint::Refresh, json!({ "is_snapshotuser": 1 })),
        (Endpoint::Refresh, json!({ "access_token": "" })),
        (Endpoint::Refresh, json!({ "expires_in": -1 })),
        (Endpoint::Userinfo, json!({ "openid": THIEF })),
        (Endpoint::Userinfo, json!({ "unionid": "u-case99999x" })),
        (Endpoint::Userinfo, json!({ "is_snapshotuser": "1" })),
        (Endpoint::Userinfo, json!({ "is_snapshotuser": true })),
        (Endpoint::Userinfo, json!({ "errcode": 45009 })),
    ];
    let mut people = Vec::new();
    for (endpoint, fields) in &strange {
        let case = place.case();
        let (ended, browser) = place.login(Endpoint::Userinfo, case).await;
        assert_eq!(ended, Ended::In(openid(case)));
        people.push((Some((*endpoint, fields)), case, browser));
    }
    // One about whom nobody lies.
    let case = place.case();
    people.push((None, case, place.login(Endpoint::Userinfo, case).await.1));
    for (lie, case, _) in &people {
        let renamed = with(Endpoint::Userinfo, *case, &json!({ "nickname": "renamed" }));
        place.platform.lie(Endpoint::Userinfo, *case, honest(&renamed.to_string()));
        if let Some((endpoint, fields)) = lie {
            let fields = match endpoint {
                Endpoint::Userinfo => {
                    let mut fields = (*fields).clone();
                    fields["nickname"] = json!("renamed");
                    fields
                }
                _ => (*fields).clone(),
            };
            place.platform.lie(
                *endpoint,
                *case,
                honest(&with(*endpoint, *case, &fields).to_string()),
            );
        }
    }
    // Used once more, so that the sessions last; then the profiles are old, and the access tokens dead.
    for hours in [23, 2] {
        place.clock.advance(hours * HOUR);
        for (_, case, browser) in &people {
            assert_eq!(browser.get("/page").await.received("x-wechat-openid"), Some(openid(*case)));
        }
    }
    let (_, honest_one, their_browser) = people.last().unwrap();
    until(|| people.iter().all(|(_, case, _)| place.platform.asked(Endpoint::Refresh, *case) == 1))
        .await;
    let told = |answer: &crate::world::Answer| answer.received("x-wechat-nickname");
    let renamed = async || told(&their_browser.get("/page").await).as_deref() == Some("renamed");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !renamed().await {
        assert!(std::time::Instant::now() < deadline, "{honest_one} is renamed");
    }
    for (lie, case, browser) in &people[..strange.len()] {
        let page = browser.get("/page").await;
        assert_eq!(page.received("x-wechat-openid"), Some(openid(*case)), "{lie:?}");
        assert_eq!(
            page.received("x-wechat-unionid"),
            Some(format!("u-case{case:0>5}x")),
            "{lie:?}"
        );
        assert_ne!(told(&page).as_deref(), Some("renamed"), "{lie:?}");
    }
    assert_eq!(panics(), [""; 0]);
}
