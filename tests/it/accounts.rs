//! Sites with two accounts: sessions of their own, and tickets for the right one.

use futures_util::future::join_all;
use http::StatusCode;

use crate::{
    domains::{OTHER_APPID, Sites, next},
    tickets::{SESSION, parameter, primary},
    world::{APPID, Answer, EXCHANGE},
};

const TWO_ACCOUNTS: &str = r#"
    [site.one]
    public_url = "http://one.localhost:PORT"
    upstream = "APP"
    account = "main"
    [[site.one.route]]
    prefix = "/shop"
    account = "other"
    [[site.one.route]]
    prefix = "/shop/staff"
    account = "other"
    allow_openids = ["oNobody0000000000000000000000"]

    [site.two]
    public_url = "http://two.localhost:PORT"
    upstream = "APP"
    account = "main"
    [[site.two.route]]
    prefix = "/shop"
    account = "other"
"#;

fn openid_of(page: &Answer) -> Option<String> {
    page.status.is_success().then(|| page.received("x-wechat-openid")).flatten()
}

#[tokio::test]
async fn two_accounts_of_a_site_have_sessions_of_their_own() {
    let sites = Sites::start(TWO_ACCOUNTS).await;
    let alice = sites.visitor("alice");
    let (page, shop) = (sites.at("one", "/page"), sites.at("one", "/shop/cart?a=1"));
    let [main, other] = [APPID, OTHER_APPID].map(|appid| Some(sites.openid("alice", appid)));
    assert!(main != other);
    let mut exchanges = 0;
    // To and fro: nobody signs in twice.
    for round in 0..3 {
        let seen = alice.walk(&page).await;
        assert_eq!((seen.url.as_str(), openid_of(&seen)), (&*page, main.clone()), "{round}");
        let seen = alice.walk(&shop).await;
        assert_eq!((seen.url.as_str(), openid_of(&seen)), (&*shop, other.clone()), "{round}");
        exchanges = exchanges.max(sites.sim.count(EXCHANGE));
    }
    assert_eq!(exchanges, 2);
    let named = format!("wxgate-{OTHER_APPID}");
    assert!(alice.cookie("one", SESSION).is_some() && alice.cookie("one", &named).is_some());
    let back = sites.sim.requests().into_iter().filter(|request| request.query.contains("account"));
    assert_eq!(back.count(), 1, "only the second account's way back names it");

    // Each is told of by name, and neither is taken for the other.
    let me = |account: &str| sites.at("one", &format!("/_wx/me{account}"));
    assert_eq!(alice.get(&me("")).await.json()["appid"], APPID);
    assert_eq!(alice.get(&me("?account=other")).await.json()["appid"], OTHER_APPID);
    let swapped = sites.visitor("alice");
    swapped.keep("one", SESSION, &alice.cookie("one", &named).unwrap());
    swapped.keep("one", &named, &alice.cookie("one", SESSION).unwrap());
    for url in [&page, &shop] {
        assert_eq!(swapped.fetch(url).await.status, StatusCode::UNAUTHORIZED);
    }

    // The app sees neither.
    let cookie = alice.get(&shop).await.received("cookie");
    assert!(cookie.is_none_or(|cookie| !cookie.contains("wxgate")));
}

#[tokio::test]
async fn signing_out_of_one_account_leaves_the_other() {
    let sites = Sites::start(TWO_ACCOUNTS).await;
    let (page, shop) = (sites.at("one", "/page"), sites.at("one", "/shop"));
    for (logout, ended, left) in
        [("/_wx/logout", &page, &shop), ("/_wx/logout?account=other", &shop, &page)]
    {
        let alice = sites.visitor("alice");
        alice.walk(&page).await;
        alice.walk(&shop).await;
        // The button on the page speaks of the same account.
        let asked = alice.get(&sites.at("one", logout)).await;
        let (_, form) = asked.body.split_once("action=\"").expect("a form");
        let action = form.split_once('"').unwrap().0.replace("&#38;", "&");
        alice.log_out(&sites.at("one", &action)).await;
        assert_eq!(alice.fetch(ended).await.status, StatusCode::UNAUTHORIZED, "{logout}");
        assert_eq!(alice.fetch(left).await.status, StatusCode::OK, "{logout}");
    }
}

#[tokio::test]
async fn who_may_not_come_in_can_sign_out_of_the_account_that_it_is_about() {
    let sites = Sites::start(TWO_ACCOUNTS).await;
    let alice = sites.visitor("alice");
    alice.walk(&sites.at("one", "/page")).await;
    let page = alice.walk(&sites.at("one", "/shop/staff")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(primary(&page), sites.at("one", "/_wx/logout?account=other"));
}

#[tokio::test]
async fn a_refusal_with_the_second_account_is_told_and_tried_again_with_it() {
    let sites = Sites::start(TWO_ACCOUNTS).await;
    let alice = sites.visitor("alice").with("x-simulator-consent", "deny");
    let page =
        alice.walk(&sites.at("one", "/_wx/login?account=other&scope=userinfo&to=/shop")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let alice = alice.with("x-simulator-consent", "allow");
    let page = alice.walk(&primary(&page)).await;
    assert_eq!(openid_of(&page), Some(sites.openid("alice", OTHER_APPID)));
}

#[tokio::test]
async fn c49_sign_ins_at_the_same_time_never_swap_host_account_or_person() {
    let sites = Sites::start(TWO_ACCOUNTS).await;
    let walks = (0..100).map(async |i| {
        let (site, user) = (["one", "two"][i % 2], ["alice", "bob"][i / 2 % 2]);
        let (path, appid) = [("/page", APPID), ("/shop", OTHER_APPID)][i / 4 % 2];
        let wanted = sites.at(site, &format!("{path}?i={i}"));
        let visitor = sites.visitor(user);
        let start = visitor.get(&wanted).await;
        let back = parameter(start.location(), "redirect_uri");
        assert!(back.starts_with(&sites.at(site, "/_wx/callback")), "{back}");
        assert_eq!(parameter(start.location(), "appid"), appid);
        let page = visitor.walk(&next(&start)).await;
        assert_eq!(page.url, wanted);
        assert_eq!(openid_of(&page), Some(sites.openid(user, appid)));
    });
    join_all(walks).await;
    assert_eq!(sites.sim.count(EXCHANGE), 100);
}

/// Whichever of both sites has the account as its own.
#[tokio::test]
async fn a_ticket_is_for_the_account_of_the_route() {
    for (one, two) in [("main", "main"), ("main", "other"), ("other", "main"), ("other", "other")] {
        for route in ["main", "other"] {
            let config = format!(
                r#"
                [site.one]
                public_url = "http://one.localhost:PORT"
                upstream = "APP"
                account = "{one}"
                [site.two]
                public_url = "http://two.localhost:PORT"
                upstream = "APP"
                account = "{two}"
                sign_in_at = "one"
                [[site.two.route]]
                prefix = "/route"
                account = "{route}"
                "#
            );
            let sites = Sites::start(&config).await;
            let alice = sites.visitor("alice");
            let appid = |account| if account == "main" { APPID } else { OTHER_APPID };
            for (path, account) in [("/route", route), ("/page", two), ("/route", route)] {
                let page = alice.walk(&sites.at("two", path)).await;
                assert_eq!(page.url, sites.at("two", path), "{one} {two} {route}: {page:?}");
                assert_eq!(openid_of(&page), Some(sites.openid("alice", appid(account))));
            }
        }
    }
}
