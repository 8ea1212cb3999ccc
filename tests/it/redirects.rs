//! Targets after a sign-in and a sign-out: hostile ones end at home, good ones arrive unchanged.

use std::path::Path;

use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::world::{Browser, World};

/// The lines of our own corpus and, where it is at hand, of the foreign one.
fn hostile() -> Vec<String> {
    let mut lines: Vec<String> =
        include_str!("../corpus/redirects.txt").lines().map(str::to_owned).collect();
    let folder = std::env::var("WXGATE_CORPUS").unwrap_or_else(|_| "../shared/data".to_owned());
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("open_redirects.txt");
    match std::fs::read(&foreign) {
        Ok(text) => lines.extend(String::from_utf8_lossy(&text).lines().map(str::to_owned)),
        Err(error) => {
            use std::io::Write;
            let note = format!("note: without the foreign corpus {}: {error}\n", foreign.display());
            std::io::stderr().write_all(note.as_bytes()).unwrap();
        }
    }
    lines
}

const GOOD: [&str; 10] = [
    "/page",
    "/page?a=b&c=d",
    "/page?q=a%20b&u=https%3A%2F%2Felsewhere.example%2F%5C",
    "/page?to=https://elsewhere.example/",
    "/%E8%AE%A2%E5%8D%95/%E8%AF%A6%E6%83%85?%E5%90%8D=%E5%80%BC",
    "/page/a;v=1/b,c/d@e/(f)!~*'",
    "/page/a%25b",
    "/page/.well-known/x",
    "/page?code=1&state=2",
    "/page?emoji=%F0%9F%98%80",
];

/// Whether a browser of any age takes the target for a path.
fn stays_here(target: &str, asked: &str) {
    let path = target.split(['?', '#']).next().unwrap();
    assert!(path.starts_with('/') && !path.starts_with("//"), "{asked}: {target}");
    assert!(!path.contains('\\'), "{asked}: {target}");
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn c03_c07_every_hostile_target_ends_on_our_own_origin_through_a_whole_login() {
    let world = World::start().await;
    let own = Url::parse(&world.url).unwrap().origin();
    for line in hostile() {
        let browser = world.browser("alice");
        let callback = browser.callback_url(&format!("/_wx/login?to={}", encode(&line))).await;
        let answer = browser.get(&callback).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{line}");
        let end = Url::parse(&callback).unwrap().join(answer.location()).unwrap();
        assert_eq!(end.origin(), own, "{line} led to {end}");
        stays_here(answer.location(), &line);
    }
}

#[tokio::test]
async fn c08_every_hostile_target_ends_on_our_own_origin_after_a_sign_out() {
    let world = World::start().await;
    let browser = world.browser("alice");
    for line in hostile() {
        let answer = browser.log_out(&format!("?to={}", encode(&line))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{line}");
        let raw = answer.location();
        let end = Url::parse(&world.url).unwrap().join(raw).unwrap();
        assert_eq!(end.origin(), Url::parse(&world.url).unwrap().origin(), "{line} led to {end}");
        stays_here(raw, &line);
    }
}

#[tokio::test]
async fn good_targets_arrive_unchanged_by_every_way() {
    let world = World::start().await;
    let landed = async |browser: &Browser, start: &str| {
        let callback = browser.callback_url(start).await;
        browser.get(&callback).await.location().to_owned()
    };
    for good in GOOD {
        let login = format!("/_wx/login?to={}", encode(good));
        assert_eq!(landed(&world.browser("alice"), &login).await, good);
        assert_eq!(landed(&world.browser("alice"), good).await, good);
        let browser = world.signed_in("alice").await;
        assert_eq!(browser.get(&login).await.location(), good);
        assert_eq!(browser.log_out(&format!("?to={}", encode(good))).await.location(), good);
    }
    // A fragment comes as part of the target, since browsers keep it to themselves.
    let app = "/page/app/#/orders/1?tab=2";
    let login = format!("/_wx/login?to={}", encode(app));
    assert_eq!(landed(&world.browser("alice"), &login).await, app);
}
