//! The account's own token for its other servers.

use std::time::Duration;

use futures_util::future::join_all;
use http::{Method, StatusCode, header};
use serde_json::json;
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    session::MemoryStore,
    simulator::{Fault, FaultSwitch, Simulator},
};

use super::{Place, TOKEN_SECRET, gateway};
use crate::process::SECRET;
use crate::world::{APPID, Answer, App, Browser, HOUR};

const STABLE: &str = "/cgi-bin/stable_token";
const USER_INFO: &str = "/cgi-bin/user/info";

/// Another server of the account.
async fn ask(admin: std::net::SocketAddr, path: &str, secret: &str, dead: Option<&str>) -> Answer {
    let bearer = format!("Bearer {secret}");
    let server = Browser::new(&format!("http://{admin}"), "nobody").without("user-agent");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    match dead {
        None => server.send(Method::GET, path, &headers, "").await,
        Some(dead) => {
            let body = json!({ "dead": dead }).to_string();
            server.send(Method::POST, path, &headers, &body).await
        }
    }
}

async fn take(place: &Place) -> Answer {
    ask(place.admin, "/server-token?account=main", TOKEN_SECRET, None).await
}

fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// What WeChat makes of a token.
async fn errcode(sim: &Simulator, token: &str) -> Option<i64> {
    let openid = sim.world().user("alice").unwrap().openid(APPID);
    let url = format!("{}{USER_INFO}?access_token={token}&openid={openid}", sim.url());
    Browser::new(&sim.url(), "nobody").get(&url).await.json()["errcode"].as_i64()
}

#[tokio::test]
async fn another_server_gets_the_token_and_never_the_app_secret() {
    let place = Place::start("").await;
    let answer = take(&place).await;
    assert_eq!(errcode(&place.sim, &token(&answer)).await, None);
    let left = answer.json()["expires_in"].as_u64().unwrap();
    assert!((7000..=7200).contains(&left), "{left}");
    assert!(!answer.body.contains(SECRET));
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(token(&take(&place).await), token(&answer));
    assert_eq!(place.sim.count(STABLE), 1);
}

#[tokio::test]
async fn c54_nobody_gets_it_without_the_secret_or_at_the_public_address() {
    let place = Place::start("").await;
    for (path, secret) in [
        ("/server-token?account=main", "wrong"),
        ("/server-token?account=main", ""),
        ("/server-token?account=web", TOKEN_SECRET),
        ("/server-token?account=nobody", TOKEN_SECRET),
    ] {
        let answer = ask(place.admin, path, secret, None).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {secret}");
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer");
        let answer = ask(place.admin, path, secret, Some("x")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {secret}");
    }
    for path in ["/server-token", "/server-token?account=main&account=web"] {
        let answer = ask(place.admin, path, TOKEN_SECRET, None).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let twice = Browser::new(&format!("http://{}", place.admin), "nobody").without("user-agent");
    let bearer = format!("Bearer {TOKEN_SECRET}");
    let headers = [("authorization", &*bearer), ("authorization", &*bearer)];
    let answer = twice.send(Method::GET, "/server-token?account=main", &headers, "").await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "nobody knows which of two is meant");
    assert_eq!(place.sim.count(STABLE), 0);
    let public = place.browser("alice");
    assert_eq!(
        public.walk("/server-token?account=main").await.received("x-wechat-appid").as_deref(),
        Some(APPID)
    );
    token(&take(&place).await);
}

#[tokio::test]
async fn a_token_that_a_server_proves_dead_is_replaced_once() {
    let place = Place::start("").await;
    let dead = token(&take(&place).await);
    place.sim.faults([FaultSwitch::new(Fault::DeadToken, 1)]);
    assert_eq!(errcode(&place.sim, &dead).await, Some(40001));
    let told =
        (0..20).map(|_| ask(place.admin, "/server-token?account=main", TOKEN_SECRET, Some(&dead)));
    let replaced: Vec<_> = join_all(told).await.iter().map(token).collect();
    assert!(replaced.iter().all(|new| *new == replaced[0] && *new != dead));
    assert_eq!(errcode(&place.sim, &replaced[0]).await, None);
    assert_eq!(token(&take(&place).await), replaced[0]);
    let bad = ask(place.admin, "/server-token?account=main", TOKEN_SECRET, None).await;
    assert_eq!(bad.status, StatusCode::OK);
}

#[tokio::test]
async fn two_instances_fetch_once_for_two_hundred_callers_and_never_serve_a_dead_one() {
    let clock = ManualClock::new(SystemClock.now());
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let app = App::start().await;
    let place = Place::over(Simulator::start().await, "", "", store.clone(), clock.clone()).await;
    let (other, _) = gateway(&place.sim, &app.url(), "", "", store, clock.clone());
    let admins = [place.admin, other.admin_addr().unwrap()];
    let callers =
        (0..200).map(|n| ask(admins[n % 2], "/server-token?account=main", TOKEN_SECRET, None));
    let tokens: Vec<_> = join_all(callers).await.iter().map(token).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(place.sim.count(STABLE), 1);
    // Over two ends of a token's life, each that is served is good.
    let step = Duration::from_secs(60);
    let mut seen = std::collections::HashSet::new();
    for minute in 0..(5 * HOUR).as_secs() / 60 {
        let token = token(
            &ask(
                admins[usize::from(minute % 2 == 0)],
                "/server-token?account=main",
                TOKEN_SECRET,
                None,
            )
            .await,
        );
        assert_eq!(errcode(&place.sim, &token).await, None, "minute {minute}");
        seen.insert(token);
        place.advance(step);
    }
    assert!((3..=4).contains(&seen.len()), "{}", seen.len());
}
