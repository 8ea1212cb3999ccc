//! Tests of the admin listener: what it answers, to whom, and when it closes.

mod sessions;

use std::sync::atomic::AtomicBool;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    session::{MemoryStore, Store, UserKey},
    wechat::AppId,
};

/// A store with two accounts.
#[derive(Clone, Debug, Default)]
struct Shelf(MemoryStore);

impl Desk for Shelf {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    fn accounts(&self) -> Vec<(Box<str>, AppId)> {
        let appid = |text| AppId::parse(text).unwrap();
        vec![
            ("main".into(), appid("wx0123456789abcdef")),
            ("web".into(), appid("wxfedcba9876543210")),
        ]
    }

    fn counter(&self, _: &str) -> Option<Counter> {
        None
    }

    fn name_in_log(&self, _: &UserKey) -> String {
        "somebody".to_owned()
    }
}

#[derive(Debug)]
struct Line(Arc<AtomicBool>);

#[async_trait]
impl Probe for Line {
    fn reason(&self) -> &'static str {
        "store_down"
    }

    async fn check(&self) -> Result<(), String> {
        let is_cut = self.0.load(Ordering::SeqCst);
        if is_cut { Err("10.0.0.9 refused the connection".to_owned()) } else { Ok(()) }
    }
}

/// Never answers.
#[derive(Debug)]
struct Silence;

#[async_trait]
impl Probe for Silence {
    fn reason(&self) -> &'static str {
        "store_silent"
    }

    async fn check(&self) -> Result<(), String> {
        std::future::pending().await
    }
}

fn start(needs: Vec<Box<dyn Probe>>) -> (Admin, Readiness) {
    let readiness = Readiness::new(needs);
    (open(Metrics::new(), readiness.clone(), Shelf::default()), readiness)
}

fn open(metrics: Metrics, readiness: Readiness, desk: Shelf) -> Admin {
    let any = "127.0.0.1:0".parse().unwrap();
    Admin::start(any, metrics, readiness, Arc::new(desk)).unwrap()
}

async fn send(admin: &Admin, head: &str) -> String {
    let mut stream = TcpStream::connect(admin.addr()).await.unwrap();
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(admin: &Admin, path: &str) -> String {
    send(admin, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\n", admin.addr())).await
}

#[tokio::test]
async fn each_path_answers_get_and_head_and_nothing_else() {
    let (admin, readiness) = start(Vec::new());
    readiness.set(Phase::Ready);
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = get(&admin, path).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path} {answer}");
        assert!(answer.contains("cache-control: no-store"), "{path} {answer}");
        for (method, status) in [("HEAD", "200"), ("POST", "405"), ("DELETE", "405")] {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
            let answer = send(&admin, &head).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head} {answer}");
        }
    }
    for path in ["/", "/metrics/", "/debug/pprof", "/healthz/x"] {
        let answer = get(&admin, path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path} {answer}");
    }
}

#[tokio::test]
async fn metrics_say_what_they_are() {
    let (admin, _) = start(Vec::new());
    let answer = get(&admin, "/metrics").await;
    assert!(answer.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(answer.contains("\nwxgate_open_connections 0\n") && answer.ends_with("# EOF\n"));
}

#[tokio::test]
async fn readiness_says_why_not() {
    let cut = Arc::new(AtomicBool::new(false));
    let (admin, readiness) = start(vec![Box::new(Line(cut.clone()))]);
    let check = async |status: &str, word: &str| {
        let answer = get(&admin, "/readyz").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.ends_with(word), "{answer}");
    };
    check("503", r#"{"ready":false,"reason":"starting"}"#).await;
    readiness.set(Phase::Ready);
    check("200", r#"{"ready":true}"#).await;
    cut.store(true, Ordering::SeqCst);
    check("503", r#"{"ready":false,"reason":"store_down"}"#).await;
    cut.store(false, Ordering::SeqCst);
    check("200", r#"{"ready":true}"#).await;
    readiness.set(Phase::Draining);
    check("503", r#"{"ready":false,"reason":"draining"}"#).await;
    // The process serves all the while.
    assert!(get(&admin, "/healthz").await.ends_with("\r\n\r\nok\n"));
}

#[tokio::test]
async fn what_does_not_answer_is_missing() {
    let readiness = Readiness::new(vec![Box::new(Silence)]);
    readiness.set(Phase::Ready);
    assert_eq!(readiness.check().await, Err("store_silent"));
}

#[tokio::test]
async fn c54_a_page_of_somebody_else_cannot_read_it_through_a_name_of_its_own() {
    let (admin, _) = start(Vec::new());
    for (host, status) in [
        ("localhost:9101", "200"),
        ("localhost", "200"),
        ("127.0.0.1:9101", "200"),
        ("10.1.2.3", "200"),
        ("[::1]:9101", "200"),
        ("wxgate:9101", "200"),
        ("evil.example.com:9101", "403"),
        ("localhost.evil.example", "403"),
        ("127.0.0.1.evil.example", "403"),
        ("evil.", "403"),
        ("", "403"),
    ] {
        let head = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n");
        let answer = send(&admin, &head).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host:?} {answer}");
        assert_eq!(answer.contains("wxgate_"), status == "200", "{host:?} {answer}");
    }
    let two = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n";
    assert!(send(&admin, two).await.starts_with("HTTP/1.1 403 "));
    // A probe of old that names no host.
    assert!(send(&admin, "GET /healthz HTTP/1.0\r\n").await.contains(" 200 "));
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let (admin, readiness) = start(Vec::new());
    let desk = Arc::new(Shelf::default());
    let error = Admin::start(admin.addr(), Metrics::new(), readiness, desk).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&admin.addr().to_string()), "{error}");
}

#[tokio::test]
async fn a_dropped_listener_is_closed_with_its_connections() {
    let (admin, _) = start(Vec::new());
    let addr = admin.addr();
    let mut open = TcpStream::connect(addr).await.unwrap();
    open.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert!(open.read(&mut [0; 1024]).await.unwrap() > 0);
    drop(admin);
    assert_eq!(open.read(&mut [0; 1024]).await.unwrap_or(0), 0);
    // Nobody listens there, or somebody else's test by now, which is no admin listener of ours.
    let closed = async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(Duration::from_secs(10), closed).await.expect("it closes");
}
