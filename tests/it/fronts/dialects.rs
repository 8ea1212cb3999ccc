//! Each dialect beside the gateway itself, which answers the same requests where it passes them on.

use std::time::Duration;

use serde_json::Value;
use wxgate::simulator::{Fault, FaultSwitch};

use super::{
    Fronts, MINI_PROGRAM, Raw,
    doors::{USER_INFO, made_up},
    question::{Question, VERDICTS, WAYS, Way, assert_good},
    raw,
};
use crate::world::{APPID, WECHAT};

const DESKTOP: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0";
const NAVIGATION: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("accept", "text/html")];
const SCRIPT: [(&str, &str); 2] = [("sec-fetch-mode", "cors"), ("accept", "*/*")];

/// The ways that tell nothing but yes or no.
fn is_oracle(way: Way) -> bool {
    matches!(way, Way::Auth | Way::AuthForwarded)
}

/// What the client gets to see of an answer: the address without its query, which is new every time, the kind, and the
/// word.
fn seen(answer: &Raw) -> (Option<&str>, Option<&str>, Value, usize) {
    let location = answer.header("location").and_then(|url| url.split('?').next());
    let told: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let cookies = answer.all("set-cookie").count();
    (location, answer.header("content-type"), told["error"].clone(), cookies)
}

#[tokio::test]
async fn c29_a_refusal_is_the_gateway_s_own_in_every_dialect() {
    let fronts = Fronts::trusting().await;
    let host = format!("shop.localhost:{}", fronts.port);
    let bob = fronts.session("shop", "bob", "base").await;
    let sim = fronts.sim.url();
    let (desk, chat) = ([("user-agent", DESKTOP)], [("user-agent", WECHAT)]);
    let follower = [("cookie", &*bob)];
    let token = [("x-wechat-session", "x")];
    for (path, who, how, asked, status) in [
        ("/members", &follower[..], NAVIGATION, 403, Some(403)),
        ("/members", &follower, SCRIPT, 403, Some(403)),
        ("/members", &chat, NAVIGATION, 401, Some(302)),
        ("/members", &desk, NAVIGATION, 401, None),
        ("/desktop", &desk, NAVIGATION, 401, Some(302)),
        ("/desktop", &chat, NAVIGATION, 401, Some(302)),
        ("/desktop", &desk, SCRIPT, 401, Some(401)),
        ("/scanned", &desk, NAVIGATION, 401, None),
        ("/scanned", &chat, NAVIGATION, 401, Some(302)),
        ("/scanned", &desk, SCRIPT, 401, Some(401)),
        ("/scanned", &token, NAVIGATION, 401, Some(401)),
    ] {
        let lines = [who, &how].concat();
        let own = raw(fronts.gateway, "GET", path, &[&[("host", &*host)], &*lines].concat()).await;
        assert!(status.is_none_or(|status| own.status == status), "{path} {own:?}");
        for way in WAYS {
            let question = Question::at(way, &host, "GET", path).without("user-agent");
            let question = lines.iter().fold(question, |it, (name, value)| it.with(name, value));
            let answer = question.ask(&fronts).await;
            if is_oracle(way) {
                assert_eq!((answer.status, &*answer.body), (asked, ""), "{question:?} {answer:?}");
                continue;
            }
            // A page that would be a success is none for a front proxy.
            let is_page = way != Way::Refusal && own.status == 200;
            let status = if is_page { 401 } else { own.status };
            assert_eq!(answer.status, status, "{question:?} {answer:?}");
            assert_eq!(seen(&answer), seen(&own), "{question:?} {answer:?}");
        }
        if (path, who) == ("/desktop", &desk) && how == NAVIGATION {
            let location = own.header("location").unwrap();
            assert!(location.starts_with(&format!("{sim}/connect/qrconnect")), "{location}");
        }
    }
    assert_eq!(fronts.app.requests(), 0);
}

#[tokio::test]
async fn c21_c24_c26_a_token_is_taken_in_every_dialect_and_told_to_nobody() {
    let fronts = Fronts::trusting().await;
    let program = fronts.mini_program(fronts.gateway.port());
    let token = fronts.token(&program, "alice").await;
    let openid = fronts.openid("alice", MINI_PROGRAM);
    let made_up = made_up(&token);
    let cookie = fronts.session("h5", "bob", "base").await;
    for way in WAYS {
        let question = || Question::about(way, &fronts, "GET", "/page").with("cookie", &cookie);
        let good = question().with("x-wechat-session", &token).ask(&fronts).await;
        assert_good(way, &good, &openid);
        assert!(
            good.lines
                .iter()
                .all(|(name, value)| { name != "x-wechat-session" && !value.contains(&token) })
        );
        assert!(good.all("vary").any(|vary| vary == "X-WeChat-Session"), "c44: {good:?}");
        for tokens in [&[&*made_up][..], &[""], &["x"], &[&token, &token], &[&token, &made_up]] {
            let asked =
                NAVIGATION.iter().fold(question(), |it, (name, value)| it.with(name, value));
            let asked = tokens.iter().fold(asked, |it, token| it.with("x-wechat-session", token));
            let answer = asked.ask(&fronts).await;
            assert_eq!((answer.status, answer.header("location")), (401, None), "{answer:?}");
            if !is_oracle(way) {
                let told: Value = serde_json::from_str(&answer.body).unwrap();
                assert_eq!(told["error"], "login_required", "{way:?}");
            }
        }
        if way != Way::Refusal {
            assert_good(way, &question().ask(&fronts).await, &fronts.openid("bob", APPID));
        }
    }
}

#[tokio::test]
async fn c30_no_dialect_says_yes_before_wechat_says_who_follows() {
    let fronts = Fronts::trusting().await;
    let alice = fronts.session("h5", "alice", "base").await;
    for way in VERDICTS {
        let question = Question::about(way, &fronts, "GET", "/members").with("cookie", &alice);
        fronts.sim.faults([FaultSwitch::new(Fault::Quota, 1).path(USER_INFO)]);
        let unknown = question.ask(&fronts).await;
        assert!((500..600).contains(&unknown.status), "{way:?} {unknown:?}");
        assert_eq!(unknown.header("x-wechat-openid"), None, "{way:?}");
        let asked = fronts.sim.count(USER_INFO);
        assert_good(way, &question.ask(&fronts).await, &fronts.openid("alice", APPID));
        assert_eq!(fronts.sim.count(USER_INFO), asked + 1, "{way:?} has waited for WeChat");
        assert_good(way, &question.ask(&fronts).await, &fronts.openid("alice", APPID));
        assert_eq!(fronts.sim.count(USER_INFO), asked + 1, "{way:?}");
        fronts.clock.advance(Duration::from_secs(11 * 60));
    }
}
