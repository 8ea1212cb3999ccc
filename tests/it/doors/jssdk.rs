//! Signatures for the JS-SDK: for our own pages only, from one ticket for all.

use http::{Method, StatusCode};
use sha1::{Digest as _, Sha1};
use wxgate::simulator::{Fault, FaultSwitch};

use super::{Place, refused};
use crate::world::{APPID, HOUR};

const TICKET: &str = "/cgi-bin/ticket/getticket";

async fn place() -> Place {
    Place::start("jssdk = true\nhosts = ['h5.localhost']").await
}

fn asked(url: &str) -> String {
    let url: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    format!("/_wx/jssdk?url={url}")
}

/// The ticket that the simulator has given out.
async fn ticket(place: &Place) -> String {
    let token = place.sim.requests().iter().rev().find(|request| request.path == TICKET).cloned();
    let query = token.expect("somebody has asked for a ticket").query;
    let url = format!("{}{TICKET}?{query}", place.sim.url());
    let answer = place.browser("nobody").get(&url).await;
    answer.json()["ticket"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_page_of_ours_gets_a_signature_that_wechat_takes() {
    let place = place().await;
    let page = format!("{}/page?a=1&b=%E4%B8%AD#part", place.url);
    let answer = place.browser("nobody").fetch(&asked(&page)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["appId"], APPID);
    let (nonce, timestamp) =
        (told["nonceStr"].as_str().unwrap(), told["timestamp"].as_u64().unwrap());
    let signed = format!(
        "jsapi_ticket={}&noncestr={nonce}&timestamp={timestamp}&url={}",
        ticket(&place).await,
        page.split('#').next().unwrap()
    );
    let digest = Sha1::digest(signed);
    let hex = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex: String = hex.map(|half| char::from_digit(half.into(), 16).unwrap()).collect();
    assert_eq!(told["signature"], hex);
    assert!(answer.headers["cache-control"].to_str().unwrap().contains("no-store"));
}

#[tokio::test]
async fn one_ticket_serves_all_pages_until_it_ends() {
    let place = place().await;
    let page = asked(&format!("{}/page", place.url));
    let browser = place.browser("nobody");
    for _ in 0..3 {
        assert_eq!(browser.fetch(&page).await.status, StatusCode::OK);
    }
    assert_eq!(place.sim.count(TICKET), 1);
    place.advance(3 * HOUR);
    assert_eq!(browser.fetch(&page).await.status, StatusCode::OK);
    assert_eq!(place.sim.count(TICKET), 2);
}

#[tokio::test]
async fn c05_a_page_of_somebody_else_gets_no_signature() {
    let place = place().await;
    let browser = place.browser("nobody");
    let own = place.url.trim_start_matches("http://");
    for foreign in [
        "https://evil.example/page",
        &format!("http://evil.example/{own}"),
        "http://127.0.0.1.evil.example/",
        &format!("http://evil@{own}/"),
        &format!("https://{own}/page"),
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1:1/page",
        "http://h5.localhost.evil.example/",
        "http://www.example.com/page",
        "javascript:alert(1)",
    ] {
        let answer = browser.fetch(&asked(foreign)).await;
        assert_eq!(refused(&answer), (StatusCode::FORBIDDEN, "foreign_page".into()), "{foreign}");
    }
    for malformed in
        ["/_wx/jssdk", "/_wx/jssdk?url=", "/_wx/jssdk?url=/page", "/_wx/jssdk?url=a&url=b"]
    {
        let answer = browser.fetch(malformed).await;
        assert_eq!(refused(&answer), (StatusCode::BAD_REQUEST, "malformed_request".into()));
    }
    assert_eq!(place.sim.count(TICKET), 0);
    assert_eq!(
        browser.send(Method::POST, "/_wx/jssdk", &[], "").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    for own in [format!("{}/page", place.url), "http://h5.localhost/page".to_owned()] {
        assert_eq!(browser.fetch(&asked(&own)).await.status, StatusCode::OK, "{own}");
    }
}

#[tokio::test]
async fn a_site_that_does_not_say_so_signs_nothing() {
    let place = Place::start("").await;
    let answer = place.browser("nobody").fetch(&asked(&format!("{}/page", place.url))).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(place.sim.count(TICKET), 0);
}

#[tokio::test]
async fn what_wechat_refuses_is_told_with_its_code() {
    let place = place().await;
    place.sim.faults([FaultSwitch::new(Fault::Quota, 1).path(TICKET)]);
    let page = asked(&format!("{}/page", place.url));
    let answer = place.browser("nobody").fetch(&page).await;
    assert_eq!(refused(&answer), (StatusCode::SERVICE_UNAVAILABLE, "wechat_unavailable".into()));
    assert_eq!(answer.json()["errcode"], 45009);
    assert!(!answer.body.contains("access_token"), "c50: {answer:?}");
}
