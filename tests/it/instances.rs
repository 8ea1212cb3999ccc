//! Two instances of one site, with one store and the same keys: a browser may come back to either.

use std::sync::{Arc, Mutex};

use axum::Router;
use http::StatusCode;
use wxgate::{
    Origin, Scope, WechatLoginLayer,
    clock::{Clock, ManualClock, SystemClock},
    login::{Event, Observer},
    session::{KeyRing, MemoryStore},
    simulator::{Fault, Simulator},
};

use crate::world::{self, Browser, EXCHANGE};

#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<Event>>>);

impl Observer for Seen {
    fn saw(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

struct Instances {
    sim: Simulator,
    one: String,
    other: String,
    /// What the other one tells.
    seen: Seen,
}

impl Instances {
    async fn start() -> Self {
        let (sim, seen, keys) = (Simulator::start().await, Seen::default(), KeyRing::random());
        let clock = ManualClock::new(SystemClock.now());
        let store = MemoryStore::builder().clock(clock.clone()).build();
        let app = || Router::new().fallback(async || "hello");

        let (one, layer) = world::login(&sim, clock.clone(), store.clone());
        let listener = tokio::net::TcpListener::bind(&one["http://".len()..]).await.unwrap();
        let router = app().layer(layer.keys(keys.clone()));
        tokio::spawn(async move { axum::serve(listener, router).await });

        let public_url = Origin::parse(&one).unwrap();
        let layer = WechatLoginLayer::with_store(world::account(), public_url, store)
            .clock(clock)
            .client(world::client(&sim))
            .keys(keys)
            .observer(seen.clone());
        let other = format!("http://{}", world::serve(app().layer(layer)).await);
        Self { sim, one, other, seen }
    }

    fn browser(&self, user: &str) -> Browser {
        Browser::new(&self.one, user)
    }

    /// A browser with the same cookies that comes to the other instance.
    fn at_other(&self, browser: &Browser) -> Browser {
        browser.twin().at_site(&self.other)
    }

    /// The same address there.
    fn there(&self, url: &str) -> String {
        url.replace(&self.one, &self.other)
    }

    fn seen(&self) -> Vec<Event> {
        std::mem::take(&mut *self.seen.0.lock().unwrap())
    }
}

#[tokio::test]
async fn w02_a_twin_at_another_instance_learns_how_the_sign_in_ended() {
    let site = Instances::start().await;
    let browser = site.browser("alice");
    let callback = browser.callback_url("/page").await;
    let twin = site.at_other(&browser);
    browser.get(&callback).await;
    let answer = twin.get(&site.there(&callback)).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/page"));
    assert!(twin.session_cookie().is_some() && twin.session_cookie() == browser.session_cookie());
    assert_eq!((site.seen(), site.sim.count(EXCHANGE)), (vec![Event::Twin], 1));

    site.sim.fault(Fault::Snapshot, 1);
    let made_up = site.browser("bob");
    let callback = made_up.callback_url("/page").await;
    let twin = site.at_other(&made_up);
    assert_eq!(made_up.get(&callback).await.status, StatusCode::FORBIDDEN);
    assert_eq!(twin.get(&site.there(&callback)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(twin.session_cookie(), None);
    assert_eq!((site.seen(), site.sim.count(EXCHANGE)), (vec![Event::Twin], 2));
}

#[tokio::test]
async fn c48_a_sign_in_that_was_finished_is_not_finished_again_at_another_instance() {
    let site = Instances::start().await;
    let browser = site.browser("alice");
    let callback = browser.callback_url("/page").await;
    browser.get(&callback).await;
    let signed_in = site.at_other(&browser);
    let answer = signed_in.get(&site.there(&callback)).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/page"));
    assert_eq!(site.seen(), [Event::SessionLooked { found: true }, Event::Twin]);

    let stranger = site.at_other(&browser);
    stranger.jar.lock().unwrap().remove("wxgate");
    let answer = stranger.get(&site.there(&callback)).await;
    assert!(answer.location().contains("/connect/oauth2/authorize"), "{answer:?}");
    assert_eq!(stranger.session_cookie(), None);
    assert_eq!(site.seen(), [Event::Twin, Event::Started { scope: Scope::Base }]);
    assert_eq!(site.sim.count(EXCHANGE), 1);
}

#[tokio::test]
async fn what_was_finished_elsewhere_ends_in_a_page_where_it_was_the_last_of_its_row() {
    let site = Instances::start().await;
    let browser = site.browser("alice");
    browser.get("/page").await;
    let callback = browser.callback_url("/page").await;
    browser.get(&callback).await;
    let stranger = site.at_other(&browser);
    stranger.jar.lock().unwrap().remove("wxgate");
    let answer = stranger.get(&site.there(&callback)).await;
    assert!(!answer.status.is_redirection() && !answer.status.is_success(), "{answer:?}");
    assert!(answer.body.contains("again=1"), "{answer:?}");
    assert_eq!(site.seen(), [Event::Twin, Event::Looped]);
}
