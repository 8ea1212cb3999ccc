//! Sites that sign people in through another one.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use http::{Method, StatusCode, header};
use wxgate::session::MemoryStore;

use crate::{
    domains::{Sites, Visitor, next},
    faults::Watched,
    world::{Answer, EXCHANGE, HOUR},
};

const TWO_AT_ONE: &str = r#"
    [site.one]
    public_url = "http://one.localhost:PORT"
    upstream = "APP"
    account = "main"

    [site.two]
    public_url = "http://two.localhost:PORT"
    upstream = "APP"
    account = "main"
    sign_in_at = "one"
    [[site.two.route]]
    prefix = "/profile"
    login = "userinfo"

    [site.three]
    public_url = "http://three.localhost:PORT"
    upstream = "APP"
    account = "main"
    sign_in_at = "one"
"#;

pub const SESSION: &str = "wxgate";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Comes as far as the address that brings the ticket.
async fn accept_url(visitor: &Visitor, page: &str) -> String {
    let answer = visitor.walk_to(page, "/_wx/accept").await;
    let url = next(&answer);
    assert!(url.contains("/_wx/accept?ticket="), "{url}");
    url
}

fn session_cookies(answer: &Answer) -> Vec<&str> {
    let cookies = answer.set_cookies().into_iter();
    cookies.filter(|line| line.starts_with("wxgate=") && !line.contains("Max-Age=0")).collect()
}

/// The ticket signed nobody in, and another sign-in starts.
fn starts_again(answer: &Answer, sites: &Sites) {
    assert_eq!(answer.status, StatusCode::FOUND, "{answer:?}");
    assert!(answer.location().starts_with(&sites.at("one", "/_wx/login?")), "{answer:?}");
    assert_eq!(session_cookies(answer), [""; 0]);
}

fn is_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.url);
    assert!(!answer.headers.contains_key(header::LOCATION), "{answer:?}");
    assert_eq!(session_cookies(answer), [""; 0]);
}

/// What the button on a page leads to.
pub fn primary(page: &Answer) -> String {
    let (_, rest) =
        page.body.split_once("id=\"primary\" class=\"button\" href=\"").expect("a button");
    let (href, _) = rest.split_once('"').expect("the end of an attribute");
    let href = href.replace("&#38;", "&").replace("&amp;", "&");
    url::Url::parse(&page.url).unwrap().join(&href).unwrap().into()
}

fn replaced(url: &str, name: &str, value: &str) -> String {
    let mut url = url::Url::parse(url).unwrap();
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let new = pairs.iter().map(|(known, old)| (known, if known == name { value } else { old }));
    url.set_query(Some(
        &url::form_urlencoded::Serializer::new(String::new()).extend_pairs(new).finish(),
    ));
    url.into()
}

pub fn parameter(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(known, _)| known == name).expect("it is there").1.into_owned()
}

#[tokio::test]
async fn a_site_signs_in_through_another_one_and_comes_back_to_its_page() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let alice = sites.visitor("alice");
    let wanted = sites.at("two", "/orders?a=b%20c&d=%2F&e=https://one.localhost/");
    let page = alice.walk(&wanted).await;
    assert_eq!(page.url, wanted);
    assert!(sites.is(&page, "alice"), "{page:?}");
    assert_eq!(sites.sim.count(EXCHANGE), 1);
    assert_eq!(sites.app.requests(), 1, "nothing of the way reaches the app");

    // Each host has a session of its own, which no other host can see.
    let (one, two) = (alice.cookie("one", SESSION), alice.cookie("two", SESSION));
    assert!(one.is_some() && two.is_some() && one != two);
    // WeChat only ever hears of the first.
    for request in sites.sim.requests() {
        assert!(!request.query.contains("two"), "{}", request.query);
    }

    let to = "/_wx/login?to=%2Fapp%2F%3Fa%3D1%23%2Forders%3Fx%3D%25E8%25AE%25A2%26y";
    let page = sites.visitor("bob").walk(&sites.at("two", to)).await;
    assert_eq!(page.url, sites.at("two", "/app/?a=1#/orders?x=%E8%AE%A2&y"));
}

#[tokio::test]
async fn c45_the_session_that_a_ticket_brings_is_first_party_and_without_a_domain() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let alice = sites.visitor("alice");
    let accepted = alice.get(&accept_url(&alice, &sites.at("two", "/page")).await).await;
    assert_eq!((accepted.status, accepted.location()), (StatusCode::SEE_OTHER, "/page"));
    assert_eq!(accepted.headers["referrer-policy"], "no-referrer");
    let [cookie] = session_cookies(&accepted)[..] else { panic!("{accepted:?}") };
    assert!(cookie.contains("; HttpOnly; SameSite=Lax; Path=/;"), "{cookie}");
    assert!(!cookie.to_ascii_lowercase().contains("domain"), "{cookie}");
}

#[tokio::test]
async fn who_is_signed_in_at_one_site_is_at_the_other_without_wechat() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let alice = sites.visitor("alice");
    alice.walk(&sites.at("one", "/page")).await;
    let before = sites.sim.requests().len();
    for site in ["two", "three"] {
        let page = alice.walk(&sites.at(site, "/page")).await;
        assert_eq!(page.url, sites.at(site, "/page"));
        assert!(sites.is(&page, "alice"), "{page:?}");
    }
    assert_eq!(sites.sim.requests().len(), before);
}

#[tokio::test]
async fn a_profile_takes_one_tap_at_the_site_that_wants_it() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let alice = sites.visitor("alice");
    let wanted = sites.at("two", "/profile?a=b");
    // The second time, a session without a profile is there at both sites.
    alice.walk(&sites.at("two", "/page")).await;
    let before = sites.sim.requests().len();
    let page = alice.walk(&wanted).await;
    assert_eq!((page.status, &page.url), (StatusCode::OK, &wanted));
    assert_eq!(sites.sim.requests().len(), before, "WeChat is not asked before the tap");
    let page = alice.walk(&primary(&page)).await;
    assert_eq!(page.url, wanted);
    assert!(sites.is(&page, "alice"), "{page:?}");
    assert_eq!(page.received("x-wechat-scope").as_deref(), Some("snsapi_userinfo"));
    assert!(page.received("x-wechat-nickname").is_some());

    // The third site knows the profile as well.
    let before = sites.sim.requests().len();
    let page = alice.walk(&sites.at("three", "/_wx/login?scope=userinfo&to=/page")).await;
    assert!(page.received("x-wechat-nickname").is_some(), "{page:?}");
    assert_eq!(sites.sim.requests().len(), before);
}

#[tokio::test]
async fn w02_twins_of_a_ticket_are_one_redemption_and_all_of_them_work() {
    // Twins count once, or these would be far above the measure.
    let sites = Sites::with("rate_limit = 20", TWO_AT_ONE).await;
    let alice = sites.visitor("alice");
    let url = accept_url(&alice, &sites.at("two", "/page?x=1")).await;
    let answers = join_all((0..50).map(async |_| {
        let twin = alice.twin();
        let answer = twin.get(&url).await;
        (twin, answer)
    }));
    let mut ids = BTreeSet::new();
    for (twin, answer) in answers.await {
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/page?x=1"));
        ids.insert(twin.cookie("two", SESSION).expect("each has its cookie"));
        assert!(sites.is(&twin.get(&sites.at("two", "/page")).await, "alice"));
    }
    assert_eq!(ids.len(), 1, "one session for all of them");
    assert_eq!(sites.sim.count(EXCHANGE), 1);

    // One that comes late, with the cookies of before: no second session comes of it.
    sites.clock.advance(Duration::from_secs(61));
    starts_again(&alice.get(&url).await, &sites);
}

#[tokio::test]
async fn w03_a_ticket_in_another_browser_does_nothing_and_stays_good_for_its_own() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let (alice, bob) = (sites.visitor("alice"), sites.visitor("bob"));
    let url = accept_url(&alice, &sites.at("two", "/page")).await;
    is_refused(&sites.visitor("bob").get(&url).await);
    // Who is signed in there goes on as who they are.
    bob.walk(&sites.at("two", "/page")).await;
    let before = bob.cookie("two", SESSION);
    let answer = bob.get(&url).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(session_cookies(&answer), [""; 0]);
    assert!(before == bob.cookie("two", SESSION));
    assert!(sites.is(&bob.get(&sites.at("two", "/page")).await, "bob"));

    sites.clock.advance(Duration::from_secs(59));
    assert!(sites.is(&alice.walk(&url).await, "alice"));
}

#[tokio::test]
async fn c40_a_ticket_is_good_for_its_own_site_sign_in_and_minute_only() {
    let sites = Sites::start(TWO_AT_ONE).await;
    // Another site's, for which a sign-in is under way as well.
    let alice = sites.visitor("alice");
    let two = accept_url(&alice, &sites.at("two", "/page")).await;
    let three = accept_url(&alice, &sites.at("three", "/page")).await;
    let mixed = replaced(&three, "ticket", &parameter(&two, "ticket"));
    starts_again(&alice.get(&mixed).await, &sites);
    // Of the same site, for another sign-in of the same browser.
    let other = accept_url(&alice, &sites.at("two", "/other")).await;
    let mixed = replaced(&other, "ticket", &parameter(&two, "ticket"));
    starts_again(&alice.get(&mixed).await, &sites);
    assert!(sites.is(&alice.walk(&two).await, "alice"));

    // A sealed thing of another kind.
    let alice = sites.visitor("alice");
    let url = accept_url(&alice, &sites.at("two", &format!("/{}", "x".repeat(300)))).await;
    starts_again(&alice.get(&replaced(&url, "ticket", &parameter(&url, "t"))).await, &sites);

    // Too old.
    let alice = sites.visitor("alice");
    let url = accept_url(&alice, &sites.at("two", "/page")).await;
    sites.clock.advance(Duration::from_secs(60));
    let answer = alice.get(&url).await;
    starts_again(&answer, &sites);
    assert!(sites.is(&alice.walk(&next(&answer)).await, "alice"));
}

#[tokio::test]
async fn c09_a_changed_ticket_or_target_is_none() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let wanted = format!("/{}", "x".repeat(300));
    for name in ["ticket", "t"] {
        for at in [0, 20, 50, 90] {
            let alice = sites.visitor("alice");
            let url = accept_url(&alice, &sites.at("two", &wanted)).await;
            let mut value = parameter(&url, name).into_bytes();
            value[at] = if value[at] == b'A' { b'B' } else { b'A' };
            let changed = replaced(&url, name, std::str::from_utf8(&value).unwrap());
            let answer = alice.get(&changed).await;
            if name == "ticket" {
                starts_again(&answer, &sites);
            } else {
                is_refused(&answer);
                assert_eq!(alice.walk(&url).await.url, sites.at("two", &wanted));
            }
        }
    }
}

#[tokio::test]
async fn a_ticket_dies_with_the_session_that_it_comes_from() {
    let sites = Sites::start(TWO_AT_ONE).await;
    for logout in ["/_wx/logout?everywhere=1", "/_wx/logout"] {
        let alice = sites.visitor("alice");
        let url = accept_url(&alice, &sites.at("two", "/page")).await;
        alice.log_out(&sites.at("one", logout)).await;
        starts_again(&alice.get(&url).await, &sites);
    }
}

#[tokio::test]
async fn a_ticket_does_not_outrun_somebody_who_signs_out_everywhere() {
    let mut signs_out = Arc::default();
    let sites = Sites::with_settings("rate_limit = 0", TWO_AT_ONE, |settings, clock| {
        let store = Watched::new(MemoryStore::builder().clock(clock).build());
        signs_out = store.signs_out();
        settings.store(store)
    })
    .await;
    let alice = sites.visitor("alice");
    let url = accept_url(&alice, &sites.at("two", "/page")).await;
    signs_out.store(true, Ordering::SeqCst);
    let answer = alice.get(&url).await;
    starts_again(&answer, &sites);
    assert!(sites.is(&alice.walk(&next(&answer)).await, "alice"));
    assert_eq!(sites.sim.count(EXCHANGE), 2);
}

#[tokio::test]
async fn c05_only_a_listed_site_is_sent_a_ticket() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let signed_in = sites.visitor("alice");
    signed_in.walk(&sites.at("one", "/page")).await;
    let state = "a".repeat(32);
    let ask = |site: &str, rest: &str| {
        let site: String = url::form_urlencoded::byte_serialize(site.as_bytes()).collect();
        sites.at("one", &format!("/_wx/login?scope=base&for={site}&state={state}{rest}"))
    };
    let good = sites.at("two", "");
    let granted = signed_in.get(&ask(&good, "")).await;
    assert!(granted.location().starts_with(&format!("{good}/_wx/accept?ticket=")), "{granted:?}");
    let port = sites.port();
    let mut bad = vec![
        ask("https://evil.example", ""),
        ask(&format!("http://evil-two.localhost:{port}"), ""),
        ask(&format!("http://two.localhost:{port}.evil.example"), ""),
        ask(&format!("http://two.localhost.evil.example:{port}"), ""),
        ask(&format!("http://two.localhost:{port}@evil.example"), ""),
        ask(&format!("http://x@two.localhost:{port}"), ""),
        ask(&format!("http://two.localhost:{port}/"), ""),
        ask(&format!("http://two.localhost:{port}\\.evil.example"), ""),
        ask(&format!("https://two.localhost:{port}"), ""),
        ask("http://two.localhost", ""),
        ask(&format!("http://TWO.localhost:{port}"), ""),
        ask(&format!("//two.localhost:{port}"), ""),
        ask(" ", ""),
        ask("", ""),
        // Itself, and a site that signs in by itself.
        ask(&sites.at("one", ""), ""),
        sites.at("one", &format!("/_wx/login?for={good}&state=short")),
        sites.at("one", &format!("/_wx/login?for={good}")),
    ];
    // C47: nobody knows which of two is meant.
    bad.extend([
        ask(&good, &format!("&for={good}")),
        ask(&good, "&for=https://evil.example"),
        ask(&good, &format!("&state={state}")),
        ask(&good, "&t=a&t=b"),
    ]);
    let stranger = sites.visitor("bob");
    for url in bad {
        is_refused(&signed_in.get(&url).await);
        is_refused(&stranger.get(&url).await);
    }
    assert_eq!(sites.sim.count(EXCHANGE), 1);
    // Only a site that sends people elsewhere takes tickets.
    let ticket = parameter(granted.location(), "ticket");
    let here = sites.at("one", &format!("/_wx/accept?ticket={ticket}&state={state}"));
    assert_eq!(signed_in.get(&here).await.status, StatusCode::NOT_FOUND);
    let post = signed_in.send(Method::POST, granted.location(), &[]).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn c47_a_parameter_that_comes_twice_on_the_way_back_is_refused() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let alice = sites.visitor("alice");
    let url = accept_url(&alice, &sites.at("two", "/page")).await;
    let (ticket, state) = (parameter(&url, "ticket"), parameter(&url, "state"));
    for twice in [format!("&ticket={ticket}"), format!("&state={state}"), "&t=a&t=b".to_owned()] {
        is_refused(&alice.get(&format!("{url}{twice}")).await);
    }
    assert!(sites.is(&alice.walk(&url).await, "alice"));
}

#[tokio::test]
async fn a_long_target_comes_back_whole_and_one_that_is_too_long_leads_home() {
    let sites = Sites::start(TWO_AT_ONE).await;
    for length in [100, 300, 1200] {
        let wanted = sites.at("two", &format!("/{}?q=%E8", "x".repeat(length - 7)));
        assert_eq!(sites.visitor("alice").walk(&wanted).await.url, wanted, "{length}");
    }
    let wanted = sites.at("two", &format!("/{}", "x".repeat(1200)));
    let page = sites.visitor("alice").walk(&wanted).await;
    assert_eq!(page.url, sites.at("two", "/"));
    assert!(sites.is(&page, "alice"));
}

#[tokio::test]
async fn signing_out_is_for_one_site_and_everywhere_is_for_all() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let alice = sites.visitor("alice");
    alice.walk(&sites.at("two", "/page")).await;
    let out = alice.log_out(&sites.at("two", "/_wx/logout")).await;
    assert_eq!((out.status, out.location()), (StatusCode::SEE_OTHER, "/_wx/logout"));
    assert_eq!(alice.fetch(&sites.at("two", "/page")).await.status, StatusCode::UNAUTHORIZED);
    assert!(sites.is(&alice.fetch(&sites.at("one", "/page")).await, "alice"));

    alice.walk(&sites.at("two", "/page")).await;
    alice.walk(&sites.at("three", "/page")).await;
    alice.log_out(&sites.at("one", "/_wx/logout?everywhere=1")).await;
    for site in ["one", "two", "three"] {
        let answer = alice.fetch(&sites.at(site, "/page")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{site}");
    }
}

#[tokio::test]
async fn a_session_that_came_by_ticket_ends_no_later_than_the_one_it_comes_from() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let alice = sites.visitor("alice");
    alice.walk(&sites.at("one", "/page")).await;
    // Longer than a session may be idle; this one is in use.
    for _ in 0..10 {
        sites.clock.advance(12 * HOUR);
        assert!(sites.is(&alice.fetch(&sites.at("one", "/page")).await, "alice"));
    }
    let before = sites.sim.requests().len();
    let accepted = alice.get(&accept_url(&alice, &sites.at("two", "/page")).await).await;
    let two_days = format!("Max-Age={}", 2 * DAY.as_secs());
    assert!(session_cookies(&accepted)[0].ends_with(&two_days), "{accepted:?}");
    for _ in 0..3 {
        assert!(sites.is(&alice.fetch(&sites.at("two", "/page")).await, "alice"));
        sites.clock.advance(12 * HOUR);
    }
    assert!(sites.is(&alice.fetch(&sites.at("two", "/page")).await, "alice"));
    sites.clock.advance(12 * HOUR);
    for site in ["one", "two"] {
        let answer = alice.fetch(&sites.at(site, "/page")).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{site}");
    }
    assert_eq!(sites.sim.requests().len(), before);
}

#[tokio::test]
async fn c33_a_ticket_makes_a_new_session_and_ends_the_one_that_the_browser_had() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let (alice, bob) = (sites.visitor("alice"), sites.visitor("bob"));
    bob.walk(&sites.at("two", "/page")).await;
    let planted = bob.cookie("two", SESSION).unwrap();
    alice.keep("two", SESSION, &planted);
    let page = alice.walk(&sites.at("two", "/_wx/login?scope=userinfo&to=/page")).await;
    assert!(sites.is(&page, "alice"), "{page:?}");
    assert!(alice.cookie("two", SESSION).unwrap() != planted);
    assert_eq!(bob.fetch(&sites.at("two", "/page")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn w07_a_refusal_is_told_at_the_sign_in_site_and_can_be_thought_over() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let alice = sites.visitor("alice").with("x-simulator-consent", "deny");
    let page = alice.walk(&sites.at("two", "/_wx/login?scope=userinfo&to=/page%3Fa")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.url.starts_with(&sites.at("one", "/_wx/callback?")), "{}", page.url);
    assert!(page.body.contains("你取消了登录"), "{}", page.body);
    let alice = alice.with("x-simulator-consent", "allow");
    let page = alice.walk(&primary(&page)).await;
    assert_eq!(page.url, sites.at("two", "/page?a"));
    assert!(sites.is(&page, "alice"));
}

#[tokio::test]
async fn w06_a_snapshot_user_gets_no_ticket() {
    let sites = Sites::start(TWO_AT_ONE).await;
    let carol = sites.visitor("carol");
    let page = carol.walk(&sites.at("two", "/_wx/login?scope=userinfo&to=/page")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(page.url.starts_with(&sites.at("one", "/")) && page.body.contains("预览"), "{page:?}");
    assert!(carol.cookie("one", SESSION).is_none() && carol.cookie("two", SESSION).is_none());
}

#[tokio::test]
async fn loops_end_wherever_a_cookie_is_lost() {
    let sites = Sites::start(TWO_AT_ONE).await;
    // The session at the site itself.
    let alice = sites.visitor("alice");
    for _ in 0..2 {
        alice.get(&accept_url(&alice, &sites.at("two", "/page")).await).await;
        alice.forget("two", SESSION);
    }
    let page = alice.walk(&sites.at("two", "/page")).await;
    assert_eq!(
        (page.status, page.url.as_str()),
        (StatusCode::FORBIDDEN, &*sites.at("two", "/page"))
    );
    assert!(page.body.contains("会话 Cookie"), "{}", page.body);

    // The session at the sign-in site.
    let bob = sites.visitor("bob");
    let mut answer = bob.get(&sites.at("two", "/page")).await;
    for _ in 0..20 {
        bob.forget("one", SESSION);
        if !answer.status.is_redirection() {
            break;
        }
        answer = bob.get(&next(&answer)).await;
    }
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.url.starts_with(&sites.at("one", "/_wx/login?")), "{}", answer.url);
    assert_eq!(sites.sim.count(EXCHANGE), 3);

    // The sign-in under way, at the site itself.
    let carol = sites.visitor("carol");
    let url = accept_url(&carol, &sites.at("two", "/page")).await;
    carol.jar.lock().unwrap().retain(|(host, _), _| host == "one.localhost");
    is_refused(&carol.get(&url).await);
}
