//! What all clients of one gateway share: where it is, until when they go on, and what became of everything.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use tokio::time::sleep;
use wxgate::simulator::Simulator;

use crate::{
    process::Process,
    world::{APPID, Answer, Browser},
};

pub struct Ground {
    pub name: &'static str,
    pub url: String,
    pub addr: SocketAddr,
    pub sim: Arc<Simulator>,
    is_over: AtomicBool,
    counts: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
}

impl Ground {
    pub fn new(name: &'static str, process: &Process, sim: Arc<Simulator>) -> Self {
        Self {
            name,
            url: process.url(),
            addr: process.addr,
            sim,
            is_over: AtomicBool::new(false),
            counts: Mutex::default(),
            wrong: Mutex::default(),
        }
    }

    pub fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::SeqCst)
    }

    pub fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// A client's pause before it does something again, for up to so many milliseconds. Whether it is to.
    pub async fn again(&self, most: u64) -> bool {
        sleep(Duration::from_millis(fastrand::u64(1..=most))).await;
        self.goes_on()
    }

    pub fn count(&self, what: impl Into<String>) {
        *self.counts.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    /// What must never be.
    pub fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// An answer to what cannot fail but by a mistake of the gateway's own.
    pub fn expect(&self, what: &str, status: StatusCode, expected: &[u16]) {
        self.count(format!("{what} {}", status.as_u16()));
        if !expected.contains(&status.as_u16()) {
            self.wrong(format!("{what}: {status}"));
        }
    }

    /// Who somebody may be taken for: themselves, or whom WeChat makes of them.
    pub fn is(&self, name: &str, openid: &str) -> bool {
        let user = self.sim.world().user(name).expect("they live there");
        [user.openid(APPID), user.virtual_openid(APPID)].iter().any(|own| own == openid)
    }

    /// Asks once more where the connection was closed at that moment, as browsers do.
    pub async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> T
    where
        F: Future<Output = reqwest::Result<T>>,
    {
        if let Ok(answer) = ask().await {
            return answer;
        }
        self.count("cut");
        ask().await.expect("a new connection is served")
    }

    pub async fn walk(&self, browser: &Browser, path: &str) -> Answer {
        self.patiently(|| browser.try_walk(path)).await
    }

    pub async fn get(&self, browser: &Browser, path: &str) -> Answer {
        self.send(browser, Method::GET, path, &[]).await
    }

    pub async fn send(
        &self,
        browser: &Browser,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        self.patiently(|| browser.try_send(method.clone(), path, headers, "")).await
    }

    pub fn counts(&self) -> String {
        let counts = self.counts.lock().unwrap();
        let counts: Vec<_> =
            counts.iter().map(|(what, count)| format!("{what}: {count}")).collect();
        counts.join(", ")
    }

    pub fn assert_sound(&self) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{}: {:#?}", self.name, &wrong[..wrong.len().min(10)]);
        let counts = self.counts.lock().unwrap();
        let (all, cut) = (counts.values().sum::<u64>(), counts.get("cut").copied().unwrap_or(0));
        assert!(counts.len() > 12, "{}: {counts:?}", self.name);
        // A client's pool and the gateway may let go of a connection at the same moment.
        assert!(cut <= 2 + all / 1000, "{}: {cut} connections of {all} were cut", self.name);
    }
}
