//! A gateway that is killed again and again while people sign in and out: what it has acknowledged stays.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use wxgate::simulator::Simulator;

use super::restarted::{Restarted, wait};
use crate::{
    process::Folder,
    world::{APPID, App, Browser, EXCHANGE},
};

const KILLS: usize = 200;
const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// What browsers were told.
#[derive(Default)]
struct Told {
    signed_in: Mutex<Vec<(&'static str, Browser)>>,
    signed_out: Mutex<Vec<Browser>>,
    enough: AtomicBool,
}

impl Told {
    fn count(&self) -> usize {
        self.signed_in.lock().unwrap().len() + self.signed_out.lock().unwrap().len()
    }
}

/// Signs in as often as it can, and out again every third time.
async fn keep_busy(told: Arc<Told>, user: &'static str, signed_out: Browser) {
    let mut count = 0;
    while !told.enough.load(Ordering::SeqCst) {
        let browser = signed_out.twin();
        browser.try_walk("/page").await.ok();
        if browser.session_cookie().is_none() {
            tokio::task::yield_now().await;
            continue;
        }
        count += 1;
        if count % 3 != 0 {
            told.signed_in.lock().unwrap().push((user, browser));
            continue;
        }
        let before = browser.twin();
        let origin = browser.at("/");
        let headers = [("origin", origin.trim_end_matches('/')), ("accept", "text/html")];
        let answer = browser.try_send(Method::POST, "/_wx/logout", &headers, "").await;
        // One that was not answered may have been done or not.
        if answer.is_ok_and(|answer| answer.status == StatusCode::SEE_OTHER) {
            told.signed_out.lock().unwrap().push(before);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::print_stdout)] // What it measures is worth knowing.
async fn what_was_acknowledged_survives_200_kills() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let mut gateway = Restarted::new(Folder::new(), "sessions.db", Vec::new(), (&sim, &app));
    gateway.start().await;
    let (began, mut starting) = (Instant::now(), Duration::ZERO);
    let told = Arc::new(Told::default());
    let busy = USERS.map(|user| tokio::spawn(keep_busy(told.clone(), user, gateway.browser(user))));
    for kill in 0..KILLS {
        // Not always at the same moment of its work.
        let (before, since) = (told.count(), Instant::now());
        while told.count() < before + 1 + kill % 3 {
            wait(since, || gateway.log()).await;
        }
        gateway.kill().await;
        let killed = Instant::now();
        gateway.start().await;
        starting += killed.elapsed();
    }
    told.enough.store(true, Ordering::SeqCst);
    for busy in busy {
        busy.await.unwrap();
    }
    let took = began.elapsed();

    let signed_in = std::mem::take(&mut *told.signed_in.lock().unwrap());
    let signed_out = std::mem::take(&mut *told.signed_out.lock().unwrap());
    for (user, browser) in &signed_in {
        let me = browser.fetch("/_wx/me").await;
        assert_eq!(me.status, StatusCode::OK, "{user}: {me:?}");
        assert_eq!(me.json()["openid"], sim.world().user(user).unwrap().openid(APPID));
    }
    for browser in &signed_out {
        let me = browser.fetch("/_wx/me").await;
        assert_eq!(me.status, StatusCode::UNAUTHORIZED, "{me:?}");
    }
    // Nor did a kill make it use a code again.
    let mut codes = BTreeSet::new();
    for exchange in sim.requests().iter().filter(|request| request.path == EXCHANGE) {
        let mut query = url::form_urlencoded::parse(exchange.query.as_bytes());
        let code = query.find(|(name, _)| name == "code").expect("it has a code").1;
        assert!(codes.insert(code.into_owned()), "{}", exchange.query);
    }
    println!(
        "{KILLS} kills in {took:?}, {starting:?} of that for starts: {} stayed signed in, {} signed out, {} codes were exchanged",
        signed_in.len(),
        signed_out.len(),
        codes.len()
    );
    assert!(signed_in.len() >= KILLS && signed_out.len() >= KILLS / 10);
}
