//! From the code to the page that was wanted, at the gateway and in an app's own server.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use axum::{Router, extract::Request, middleware::Next};
use http::{Method, StatusCode};
use wxgate::{
    WechatUser,
    clock::{Clock, ManualClock, SystemClock},
    login::ClientAddr,
    session::MemoryStore,
    simulator::Simulator,
};

use super::{Asked, COOKIE, Desk, Phone, Shown, Stage, confirmed, policy, set, with_codes};
use crate::world::{self, ALICE, Browser};

#[tokio::test]
async fn a_desktop_goes_on_once_the_phone_has_tapped_the_number_that_it_shows() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page?a=b").await;
    assert!(shown.code.starts_with(&format!("{}/_wx/scan?c=", stage.url)), "{}", shown.code);
    assert_eq!(set(&shown.page), [COOKIE]);
    assert_eq!(desk.state().await, "waiting");

    let asked = phone.scan(&shown.code).await;
    for fact in ["Chrome on Windows", "the same as this phone&#39;s", &stage.url["http://".len()..]]
    {
        assert!(asked.page.body.contains(fact), "{fact}: {}", asked.page.body);
    }
    let news = desk.look().await;
    let number = news["number"].as_str().unwrap();
    assert_eq!(news["state"], "scanned");
    assert!(!shown.page.body.contains(&format!(">{number}<")), "nobody could see it before");
    let again = Asked::of(phone.0.get(&shown.code).await);
    assert_eq!(again.numbers, asked.numbers, "loading it again does not tell which is right");

    let answer = phone.send(asked.tap(number)).await;
    assert!(answer.body.contains("<title>Confirmed</title>"), "{answer:?}");
    assert_eq!(desk.state().await, "confirmed");
    let done = desk.finish(&shown).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/page?a=b"));
    assert_eq!(desk.0.cookie_names(), ["wxgate"], "the code is forgotten");
    let page = desk.0.get("/page?a=b").await;
    assert_eq!(page.received("x-wechat-openid"), Some(stage.openid("alice")));
    assert_eq!(page.received("cookie"), None);
    assert_ne!(desk.0.session_cookie(), phone.0.session_cookie(), "each has a session of its own");
    assert_eq!(phone.0.fetch("/page").await.status, StatusCode::OK);
    assert_eq!(stage.sim.count(world::EXCHANGE), 1, "the phone's own sign-in");
}

#[tokio::test]
async fn c21_the_cookie_of_a_code_never_reaches_an_app() {
    let stage = Stage::start().await;
    let desk = stage.desk();
    desk.show("/page").await;
    let page = desk.0.get("/off").await;
    assert_eq!((page.status, page.received("cookie")), (StatusCode::OK, None));
}

#[tokio::test]
async fn a_page_that_wants_the_profile_asks_the_phone_for_it_first() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/profile").await;
    let first = phone.0.walk(&shown.code).await;
    assert!(first.body.contains("nickname and avatar"), "{first:?}");
    assert_eq!(desk.state().await, "scanned");
    let button = super::unescape(super::between(
        &first.body,
        "id=\"primary\" class=\"button\" href=\"",
        "\"",
    ));
    let asked = Asked::of(phone.0.walk(&button).await);
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    phone.send(asked.tap(&number)).await;
    assert_eq!(desk.finish(&shown).await.location(), "/profile");
    assert_eq!(desk.0.get("/profile").await.received("x-wechat-nickname").as_deref(), Some(ALICE));
}

#[tokio::test]
async fn w06_a_snapshot_user_confirms_nothing() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("carol"));
    let shown = desk.show("/profile").await;
    let first = phone.0.walk(&shown.code).await;
    let button = super::unescape(super::between(
        &first.body,
        "id=\"primary\" class=\"button\" href=\"",
        "\"",
    ));
    let snapshot = phone.0.walk(&button).await;
    assert!(snapshot.body.contains("This is only a preview"), "{snapshot:?}");
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    phone.send(&format!("{}&n={number}", shown.code)).await;
    assert_eq!(desk.state().await, "scanned");
    assert!(set(&desk.finish(&shown).await).iter().all(|name| *name != "wxgate"));
}

#[tokio::test]
async fn without_scripts_the_page_finds_out_when_it_is_loaded_again() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page").await;
    let refresh = super::between(&shown.page.body, "http-equiv=\"refresh\" content=\"5;url=", "\"");
    let wait = super::unescape(refresh);
    let waiting = Shown::of(desk.0.get(&wait).await);
    assert_eq!(waiting.live["code"], shown.live["code"], "it is the same code");
    let asked = phone.scan(&waiting.code).await;
    let scanned = desk.0.get(&wait).await;
    let number = super::between(&scanned.body, "<p id=\"number\" class=\"number\">", "</p>");
    phone.send(asked.tap(number)).await;
    let page = desk.0.walk(&wait).await;
    assert_eq!(page.received("x-wechat-openid"), Some(stage.openid("alice")));
    // Who comes back is signed in already.
    assert_eq!(desk.0.get(&wait).await.location(), "/page");
}

#[tokio::test]
async fn a_script_that_listens_hears_of_it_within_a_second_or_two() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page").await;
    phone.0.walk("/page").await;
    let listening = desk.0.twin();
    let headers = [("accept", "text/event-stream"), ("sec-fetch-mode", "cors")];
    let heard = tokio::spawn(async move {
        let answer = listening.send(Method::GET, "/_wx/scan/events", &headers, "").await;
        (answer, Instant::now())
    });
    let asked = phone.scan(&shown.code).await;
    let scanned_at = Instant::now();
    let (answer, at) = heard.await.unwrap();
    let took = at.saturating_duration_since(scanned_at);
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert!(answer.headers.contains_key("content-length"), "it is whole: {answer:?}");
    let id = super::between(&answer.body, "retry: 300\nid: ", "\ndata: ").to_owned();
    assert!(id.ends_with(".scanned") && answer.body.ends_with("}\n\n"), "{answer:?}");

    // It comes back with what it knows, and is held until there is more.
    let listening = desk.0.twin();
    let known = id.clone();
    let heard = tokio::spawn(async move {
        let headers = [("accept", "text/event-stream"), ("last-event-id", &*known)];
        listening.send(Method::GET, "/_wx/scan/events", &headers, "").await
    });
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    phone.send(asked.tap(&number)).await;
    let answer = heard.await.unwrap();
    assert!(answer.body.contains("\"state\":\"confirmed\""), "{answer:?}");
}

#[tokio::test]
async fn several_windows_of_a_browser_share_a_code_and_each_goes_where_it_wanted() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let one = desk.show("/one").await;
    let two = desk.show("/two").await;
    assert_eq!(one.live["code"], two.live["code"]);
    let asked = phone.scan(&one.code).await;
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    phone.send(asked.tap(&number)).await;
    let twin = Desk(desk.0.twin());
    assert_eq!(desk.finish(&one).await.location(), "/one");
    assert_eq!(twin.finish(&two).await.location(), "/two");
    assert_eq!(twin.0.session_cookie(), desk.0.session_cookie(), "it is one sign-in");
    // A window that comes later has no code any more, but a session.
    assert_eq!(desk.finish(&two).await.location(), "/two");
    // One that wants more than the others gets another code.
    let stage = Stage::start().await;
    let desk = stage.desk();
    let (less, more) = (desk.show("/page").await, desk.show("/profile").await);
    assert_ne!(less.live["code"], more.live["code"]);
    assert_eq!(desk.show("/page").await.live["code"], more.live["code"]);
}

#[tokio::test]
async fn w02_twins_of_the_end_are_one_sign_in_and_all_of_them_get_it() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = confirmed(&stage, &desk, &phone).await;
    let twins: Vec<_> = (0..20).map(|_| Desk(desk.0.twin())).collect();
    let answers =
        futures_util::future::join_all(twins.iter().map(|twin| twin.finish(&shown))).await;
    for (twin, answer) in twins.iter().zip(answers) {
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
        assert_eq!(twin.0.session_cookie(), twins[0].0.session_cookie());
        assert!(twin.is_signed_in().await);
    }
}

#[tokio::test]
async fn c53_the_pages_may_run_and_ask_nothing_but_what_they_need() {
    let stage = Stage::start().await;
    let (desk, phone) = (stage.desk(), stage.phone("alice"));
    let shown = desk.show("/page").await;
    let nonce = super::between(&shown.page.body, "<script nonce=\"", "\"");
    let desktop = policy(&shown.page);
    assert!(desktop.contains(&format!("script-src 'nonce-{nonce}'; connect-src 'self';")));
    assert!(desktop.contains("img-src data:;") && desktop.contains("default-src 'none'"));
    let asked = phone.scan(&shown.code).await;
    let page = policy(&asked.page);
    assert!(!page.contains("script-src") && !page.contains("connect-src"), "{page}");
    // With "no-referrer" the form's origin would be "null".
    assert_eq!(asked.page.headers["referrer-policy"], "same-origin");
    assert_eq!(shown.page.headers["referrer-policy"], "no-referrer");
    for page in [&shown.page, &asked.page] {
        assert!(policy(page).contains("frame-ancestors 'none'"));
        assert!(page.headers["cache-control"].to_str().unwrap().contains("no-store"));
    }
}

/// Says that a request comes from where a test says.
async fn from(mut request: Request, next: Next) -> axum::response::Response {
    let place = request.headers().get("x-test-place").map(|ip| ip.to_str().unwrap().parse());
    if let Some(Ok(ip)) = place {
        request.extensions_mut().insert(ClientAddr(ip));
    }
    next.run(request).await
}

#[tokio::test]
async fn in_an_app_s_own_server_it_works_alike_and_names_the_place_that_it_was_told() {
    let sim = Simulator::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let (url, login) = world::login(&sim, clock, store);
    let hello = async |user: WechatUser| user.openid().to_string();
    let router = Router::new()
        .fallback(hello)
        .layer(with_codes(login))
        .layer(axum::middleware::from_fn(from));
    let listener = tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let place = |browser: Browser, place: &str| match place.parse::<IpAddr>() {
        Ok(_) => browser.with("x-test-place", place),
        Err(_) => browser,
    };
    for (desk_at, phone_at, told) in [
        ("203.0.113.7", "203.0.113.7", Some("the same as this phone&#39;s")),
        ("203.0.113.7", "198.51.100.1", Some("another network: 203.0.113.7")),
        ("203.0.113.7", "2001:db8::1", Some("<dd>203.0.113.7</dd>")),
        ("2001:db8::1", "2001:db8::2", Some("the same as this phone&#39;s")),
        ("203.0.113.7", "", Some("<dd>203.0.113.7</dd>")),
        ("", "203.0.113.7", None),
    ] {
        let desk = Desk(place(Desk::new(&url).0, desk_at));
        let phone = Phone(place(Browser::new(&url, "bob").with("accept-language", "en"), phone_at));
        let shown = desk.show("/page").await;
        let asked = phone.scan(&shown.code).await;
        match told {
            Some(told) => assert!(asked.page.body.contains(told), "{told}: {}", asked.page.body),
            None => assert!(!asked.page.body.contains("Network"), "{}", asked.page.body),
        }
        let number = desk.look().await["number"].as_str().unwrap().to_owned();
        phone.send(asked.tap(&number)).await;
        desk.finish(&shown).await;
        assert_eq!(
            desk.0.get("/page").await.body,
            sim.world().user("bob").unwrap().openid(world::APPID)
        );
    }
}
