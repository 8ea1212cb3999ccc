//! Every door from the layer alone, in an axum app without the gateway.

use axum::{Router, routing::get};
use http::{Method, StatusCode};
use serde_json::json;
use wxgate::{
    Account, AppSecret, Login, Origin, WechatLoginLayer, WechatUser,
    doors::{FollowCode, JsSdk, MiniProgram, Scan},
    login::{Demand, Outside, Policy},
    session::Subject,
    simulator::Simulator,
    wechat::{Client, Endpoints},
};

use super::{MINI_PROGRAM, WEBSITE};
use crate::world::{self, APPID, Browser};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";

/// An app whose paths say what their visitor's account is.
async fn app(sim: &Simulator) -> String {
    let secret = |digit: &str| AppSecret::new(digit.repeat(32));
    let addr = world::free_port();
    let url = format!("http://{addr}");
    let layer = WechatLoginLayer::new(world::account(), Origin::parse(&url).unwrap())
        .client(Client::new(Endpoints::all_at(&sim.url()).unwrap()))
        .subject(Subject::Unionid)
        .website(Account::website(WEBSITE, secret("1")).unwrap())
        .outside_wechat(Outside::Help)
        .door(Scan::new())
        .door(MiniProgram::new(Account::mini_program(MINI_PROGRAM, secret("2")).unwrap()))
        .door(JsSdk::new())
        .door(FollowCode::new(&b"\x89PNG\r\n\x1a\n"[..]).unwrap())
        .policy(
            Policy::all(Login::Base)
                .path("/website", Demand::from(Login::Base).outside_wechat(Outside::Website))
                .path("/scan", Demand::from(Login::Base).outside_wechat(Outside::Scan))
                .path("/members", Demand::from(Login::Base).followers_only()),
        );
    let told = async |user: WechatUser| format!("{} {}", user.appid(), user.subject());
    let router = Router::new().fallback(get(told)).layer(layer);
    let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn each_door_is_there_for_an_app_that_has_the_layer_alone() {
    let sim = Simulator::start().await;
    let url = app(&sim).await;
    let unionid = sim.world().user("alice").unwrap().unionid().unwrap();
    let phone = Browser::new(&url, "alice");
    let desktop = || Browser::new(&url, "alice").with("user-agent", CHROME);

    let website = desktop().walk("/website").await;
    assert_eq!(website.body, format!("{WEBSITE} {unionid}"), "{website:?}");
    let scan = desktop().send(Method::GET, "/scan", &[("accept", "text/html")], "").await;
    assert!(scan.status.is_success() || scan.status == StatusCode::FORBIDDEN, "{scan:?}");
    assert!(scan.body.contains("data:image/svg+xml"), "{scan:?}");

    let code = sim.mini_program("alice", MINI_PROGRAM).unwrap().login();
    let json = [("content-type", "application/json")];
    let body = json!({ "js_code": code }).to_string();
    let login = phone.send(Method::POST, "/_wx/mini-program/login", &json, &body).await.json();
    let token = [("x-wechat-session", login["token"].as_str().unwrap())];
    let page = phone.send(Method::GET, "/page", &token, "").await;
    assert_eq!(page.body, format!("{MINI_PROGRAM} {unionid}"));

    let signed = phone.fetch(&format!("/_wx/jssdk?url={url}/page")).await;
    assert_eq!((signed.status, signed.json()["appId"].as_str()), (StatusCode::OK, Some(APPID)));

    // A follower's unionid is known without consent.
    assert!(phone.walk("/members").await.body.starts_with(APPID));
    assert_eq!(phone.get("/page").await.body, format!("{APPID} {unionid}"));
    let bob = Browser::new(&url, "bob").walk("/members").await;
    assert_eq!(bob.status, StatusCode::FORBIDDEN);
    assert!(bob.body.contains("/_wx/follow-code"), "{bob:?}");
}

#[tokio::test]
async fn a_login_with_an_account_that_nobody_can_be_sent_to_is_an_error_and_no_panic() {
    let sim = Simulator::start().await;
    let mini_program = Account::mini_program(MINI_PROGRAM, AppSecret::new("2".repeat(32))).unwrap();
    let addr = world::free_port();
    let url = format!("http://{addr}");
    let layer = WechatLoginLayer::new(mini_program, Origin::parse(&url).unwrap())
        .client(Client::new(Endpoints::all_at(&sim.url()).unwrap()));
    let router =
        Router::new().fallback(get(async || "hello")).layer(layer.path("/open", Login::Off));
    let listener = tokio::net::TcpListener::bind(addr).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let browser = Browser::new(&url, "alice");
    assert_eq!(browser.get("/page").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.get("/open").await.body, "hello");
}
