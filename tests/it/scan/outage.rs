//! A store that fails, and several gateways over one.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use wxgate::{
    session::{KeyRing, MemoryStore, durable::DurableStore},
    simulator::Simulator,
};

use super::{Desk, Phone, Stage, set, with_codes};
use crate::{
    faults::Watched,
    stores::{redis::records, redis_server::Server},
    world::{self, APPID, App, Browser},
};

#[tokio::test]
async fn c42_while_the_store_is_down_everything_is_a_503_without_cookies_and_goes_on_afterwards() {
    let mut down = std::sync::Arc::default();
    let stage = Stage::with_store(|clock| {
        let store = Watched::new(MemoryStore::builder().clock(clock).build());
        down = store.down();
        store
    })
    .await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page").await;
    let asked = phone.scan(&shown.code).await;
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    let wait = shown.live["done"].as_str().unwrap().replace("/done", "/wait");

    let is_503 = async |when: &str| {
        down.store(true, Ordering::SeqCst);
        let json = [("accept", "application/json")];
        let listen = [("accept", "text/event-stream")];
        let answers = [
            phone.0.get(&shown.code).await,
            phone.send(asked.tap(&number)).await,
            desk.0.send(Method::GET, "/_wx/scan/events", &json, "").await,
            desk.0.send(Method::GET, "/_wx/scan/events", &listen, "").await,
            desk.fresh(&shown).await,
            desk.0.get(&wait).await,
            desk.finish(&shown).await,
        ];
        for answer in answers {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{when}: {answer:?}");
            assert_eq!(set(&answer), Vec::<&str>::new(), "{when}");
        }
        // A code is shown without asking anybody.
        assert_eq!(stage.desk().show("/page").await.page.status, StatusCode::FORBIDDEN);
        down.store(false, Ordering::SeqCst);
    };
    is_503("scanned").await;
    phone.send(asked.tap(&number)).await;
    assert_eq!(desk.state().await, "confirmed");
    is_503("confirmed").await;
    assert_eq!(desk.finish(&shown).await.status, StatusCode::SEE_OTHER);
    assert!(desk.is_signed_in().await);
}

/// The same browser, as another gateway of the same site sees it.
fn at(browser: &Browser, gateway: &str, site: &str) -> Browser {
    browser.twin().at_site(gateway).with("host", site.trim_start_matches("http://"))
}

#[tokio::test]
async fn two_gateways_over_one_redis_sign_a_desktop_in_between_them_once() {
    let redis = Server::start().await;
    let (sim, app) = (Simulator::start().await, App::start().await);
    let keys = KeyRing::random();
    let site = format!("http://{}", world::free_port());
    let mut urls = Vec::new();
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let store = DurableStore::builder(records(&redis.url()), keys.clone()).build();
        let origin = wxgate::Origin::parse(&site).unwrap();
        let login = wxgate::WechatLoginLayer::with_store(world::account(), origin, store);
        let login = with_codes(login.keys(keys.clone()).client(world::client(&sim)));
        let url = format!("http://{}", world::free_port());
        gateways.push(world::gateway(&url, login, &app.url()));
        urls.push(url);
    }
    let [one, two] = [&*urls[0], &urls[1]];
    for round in 1..=3 {
        let desk = Desk(at(&Desk::new(&site).0, one, &site));
        let phone = Browser::new(&site, "alice").with("accept-language", "en");
        let phone = Phone(at(&phone, two, &site));
        let shown = desk.show("/page").await;
        let code = shown.code.replace(&site, two);
        // To WeChat and back, by hand: its way back names the site and not the gateway.
        let begun = phone.0.get(&code).await;
        let back = phone.0.get(begun.location()).await;
        phone.0.get(&back.location().replace(&site, two)).await;
        let asked = super::Asked::of(phone.0.get(&code).await);
        let number = desk.look().await["number"].as_str().unwrap().to_owned();
        let form = asked.tap(&number).replace(&site, two);
        let answer = phone.post(&form, &[("sec-fetch-site", "same-origin")]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        assert_eq!(desk.state().await, "confirmed");
        // Both are asked at once, and give one session.
        let other = Desk(at(&desk.0, two, &site));
        let (first, second) = tokio::join!(desk.finish(&shown), other.finish(&shown));
        assert_eq!((first.status, second.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
        assert_eq!(desk.0.session_cookie(), other.0.session_cookie(), "round {round}");
        let openid = sim.world().user("alice").unwrap().openid(APPID);
        assert_eq!(other.0.get("/page").await.received("x-wechat-openid"), Some(openid));
    }
}
