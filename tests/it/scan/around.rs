//! What is around it: other looks at what is offered, the measure for sign-ins, and what an operator counts.

use std::sync::{Arc, Mutex};

use http::{Method, StatusCode};
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    gateway::{Gateway, Settings},
    login::{Demand, Event, Login, Observer, Outside, Policy, ScanStep},
    session::MemoryStore,
    simulator::Simulator,
};

use super::{Desk, Stage, set, with_codes};
use crate::world::{self, App, Browser};

#[tokio::test]
async fn codes_are_offered_where_they_were_asked_for_and_scripts_are_told_where_to_sign_in() {
    let stage = Stage::with(
        |clock| MemoryStore::builder().clock(clock).build(),
        |login| {
            let help = Demand::from(Login::Base).outside_wechat(Outside::Help);
            let scan = Demand::from(Login::Base).outside_wechat(Outside::Scan);
            let policy = Policy::all(Login::Base).path("/help", help).path("/scan", scan);
            login.outside_wechat(Outside::Help).policy(policy)
        },
    )
    .await;
    let desk = stage.desk();
    desk.show("/scan").await;
    // Here WeChat is a simulator on this machine, so that any browser is sent there.
    assert_eq!(desk.0.get("/help").await.status, StatusCode::FOUND);
    let told = desk.0.fetch("/scan").await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
    let url = told.json()["login_url"].as_str().unwrap().to_owned();
    desk.show(&url).await;
    // In WeChat nothing changes.
    let phone = stage.phone("alice");
    assert_eq!(phone.0.walk("/scan").await.status, StatusCode::OK);
}

#[tokio::test]
async fn nothing_but_the_right_method_is_answered() {
    let stage = Stage::start().await;
    let desk = stage.desk();
    let shown = desk.show("/page").await;
    for (method, path) in [
        (Method::POST, "/_wx/scan/events"),
        (Method::POST, "/_wx/scan/wait"),
        (Method::POST, "/_wx/scan/done"),
        (Method::GET, "/_wx/scan/fresh"),
        (Method::PUT, "/_wx/scan"),
    ] {
        let answer = desk.0.send(method, path, &[], "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    // A link that is only looked at is not opened.
    let phone = stage.phone("alice");
    phone.0.walk("/page").await;
    phone.0.send(Method::HEAD, &shown.code, &[], "").await;
    assert_eq!(desk.state().await, "waiting");
    for path in ["/_wx/scan/", "/_wx/scan/x", "/_wx/scanner"] {
        let answer = desk.0.get(path).await;
        assert_ne!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(desk.state().await, "waiting", "{path}");
    }
}

#[tokio::test]
async fn a_phone_that_opens_codes_counts_as_a_sign_in_and_a_desktop_that_waits_does_not() {
    let sim = Simulator::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let (url, login) = world::login(&sim, clock, store);
    let app = App::start().await;
    let settings = Settings::new(with_codes(login), app.url().parse().unwrap()).cores(1);
    let listen = url.strip_prefix("http://").unwrap().parse().unwrap();
    let _gateway = Gateway::start(settings.listen(listen).rate_limit(3)).unwrap();

    let desk = Desk::new(&url);
    let shown = desk.show("/page").await;
    for _ in 0..10 {
        assert_eq!(desk.state().await, "waiting");
        desk.show("/page").await;
        assert_eq!(desk.fresh(&shown).await.status, StatusCode::OK);
    }
    let phone = Browser::new(&url, "alice");
    for _ in 0..10 {
        // The same code counts once.
        assert_eq!(phone.get(&shown.code).await.status, StatusCode::FOUND);
        phone.jar.lock().unwrap().clear();
    }
    let others = [Desk::new(&url), Desk::new(&url), Desk::new(&url)];
    let mut answers = Vec::new();
    for desk in &others {
        let shown = desk.show("/page").await;
        answers.push(phone.get(&shown.code).await.status);
    }
    assert_eq!(answers, [StatusCode::FOUND, StatusCode::FOUND, StatusCode::TOO_MANY_REQUESTS]);
}

#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<Event>>>);

impl Observer for Seen {
    fn saw(&self, event: Event) {
        if !matches!(event, Event::SessionLooked { .. }) {
            self.0.lock().unwrap().push(event);
        }
    }
}

#[tokio::test]
async fn each_step_is_told_once() {
    let seen = Seen::default();
    let observer = seen.clone();
    let sim = Simulator::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let (url, login) = world::login(&sim, clock, store);
    let router = axum::Router::new().fallback(async || "hello");
    let router = router.layer(with_codes(login).observer(observer));
    let listener = tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });

    let step = |step| Event::Scan { step };
    let scope = wxgate::Scope::Base;
    let desk = Desk::new(&url);
    let phone = super::Phone(Browser::new(&url, "alice").with("accept-language", "en"));
    let taken = || std::mem::take(&mut *seen.0.lock().unwrap());
    let shown = desk.show("/page").await;
    desk.show("/page").await;
    assert_eq!(taken(), [step(ScanStep::Offered)], "a code that is shown again is one");
    let asked = phone.scan(&shown.code).await;
    phone.scan(&shown.code).await;
    let sign_in =
        [Event::Started { scope }, Event::Returned, Event::Exchanged, Event::SignedIn { scope }];
    assert_eq!(taken(), [&sign_in[..], &[step(ScanStep::Scanned)]].concat());
    let number = desk.look().await["number"].as_str().unwrap().to_owned();
    phone.send(asked.tap(&number)).await;
    phone.send(asked.tap(&number)).await;
    assert_eq!(taken(), [step(ScanStep::Confirmed)]);
    let answer = desk.finish(&shown).await;
    assert_eq!(set(&answer).len(), 2);
    assert_eq!(taken(), [Event::SignedIn { scope }]);
    let desk = Desk::new(&url);
    let shown = desk.show("/page").await;
    let asked = phone.scan(&shown.code).await;
    phone.send(&asked.cancel).await;
    assert_eq!(taken(), [ScanStep::Offered, ScanStep::Scanned, ScanStep::Refused].map(step));
}
