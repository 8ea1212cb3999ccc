//! One configuration with every kind of route, through real sockets: who passes, what the app receives, who is refused.

mod lies;
mod open;
mod told;
mod verdict;

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::Value;

use crate::{
    sites::{OTHER_APPID, Person, Sites},
    world::APPID,
};

/// A path for each route of `h5` that has an app, what the app sees of it, and what it asks.
const ROUTES: [(&str, &str, Asks); 14] = [
    ("/off/x?a=1", "/off/x?a=1", Asks::Nothing),
    ("/optional/x", "/optional/x", Asks::WhoItIs),
    ("/api/x?a=/api", "/v2/people/x?a=/api", Asks::SignIn),
    ("/profile/x", "/profile/x", Asks::Profile),
    ("/orders", "/orders", Asks::Nothing),
    ("/users/7/orders", "/users/7/orders", Asks::WhoItIs),
    ("/openids/x", "/openids/x", Asks::SignIn),
    ("/limited/x", "/limited/x", Asks::Nothing),
    ("/html/x", "/html/x", Asks::SignIn),
    ("/signed/x", "/signed/x", Asks::SignIn),
    ("/own/x", "/own/x", Asks::SignIn),
    ("/unix/x", "/unix/x", Asks::SignIn),
    ("/tls/x", "/tls/x", Asks::SignIn),
    ("/h2c/x", "/h2c/x", Asks::SignIn),
];

#[derive(Clone, Copy, PartialEq)]
enum Asks {
    Nothing,
    WhoItIs,
    SignIn,
    Profile,
}

/// What an app has received under this name.
fn header<'a>(received: &'a Value, name: &str) -> Option<&'a str> {
    received["headers"][name].as_str()
}

fn cookies(jar: &BTreeMap<String, String>) -> String {
    jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
}

async fn with_profile(sites: &Sites, name: &str) -> Person {
    let person = sites.person(name);
    person.walk("/_wx/login?scope=userinfo&to=/off").await;
    person
}

#[tokio::test]
async fn c27_each_route_lets_in_whom_it_should_and_leads_where_it_should() {
    let sites = Sites::start().await;
    let (nobody, alice) = (sites.person("nobody"), with_profile(&sites, "alice").await);
    let openid = sites.sim.world().user("alice").unwrap().openid(APPID);
    for (path, seen, asks) in ROUTES {
        let before = sites.requests();
        let anonymous = nobody.get(path).await;
        let (status, count) = match asks {
            Asks::Nothing | Asks::WhoItIs => (StatusCode::OK, 1),
            Asks::SignIn => (StatusCode::FOUND, 0),
            // The page that asks first.
            Asks::Profile => (StatusCode::OK, 0),
        };
        assert_eq!((anonymous.status, sites.requests() - before), (status, count), "{path}");
        if count == 1 {
            assert_eq!(header(&sites.app_of(path).last(), "x-wechat-openid"), None, "{path}");
        }

        let signed_in = alice.get(path).await;
        assert_eq!(signed_in.status, StatusCode::OK, "{path} {signed_in:?}");
        let received = sites.app_of(path).last();
        assert_eq!(received["uri"], seen, "{path}");
        let told = matches!(asks, Asks::WhoItIs | Asks::SignIn | Asks::Profile)
            && !path.starts_with("/html");
        assert_eq!(header(&received, "x-wechat-openid"), told.then_some(&*openid), "{path}");
        assert_eq!(header(&received, "x-forwarded-host"), Some(&*sites.host("h5")), "{path}");
        assert_eq!(header(&received, "x-forwarded-proto"), Some("http"), "{path}");
        assert_eq!(header(&received, "x-real-ip"), Some("127.0.0.1"), "{path}");
    }
    // Files.
    for (path, anonymous, body) in [
        ("/static/style.css", StatusCode::OK, "body {}"),
        ("/members/style.css", StatusCode::FOUND, "body {}"),
        ("/spa/some/page", StatusCode::OK, "the app"),
    ] {
        assert_eq!(nobody.get(path).await.status, anonymous, "{path}");
        let page = alice.get(path).await;
        assert!(page.status.is_success() && page.body.contains(body), "{page:?}");
    }
    assert_eq!(alice.get("/static/none.css").await.status, StatusCode::NOT_FOUND);
    // The other account has a sign-in of its own.
    assert_eq!(alice.get("/desk").await.status, StatusCode::FOUND);
    let desk = alice.walk("/desk").await;
    let other = sites.sim.world().user("alice").unwrap().openid(OTHER_APPID);
    assert_eq!(desk.received("x-wechat-openid").as_deref(), Some(&*other));
    assert_eq!(desk.received("x-wechat-appid").as_deref(), Some(OTHER_APPID));
    assert_eq!(alice.get("/api").await.received("x-wechat-openid").as_deref(), Some(&*openid));
}
