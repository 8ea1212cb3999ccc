//! A gateway's process as a service: how it is started with a socket, what it writes into its log, and how it stops.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract, routing::get};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    process::Command,
    sync::{Notify, mpsc},
};
use wxgate::simulator::Simulator;

use crate::{
    command::wxgate,
    load::{Line, Load},
    process::{Folder, Process},
    reload::{app, text},
    world::{self, Browser},
};

/// Between "not ready" and the stop.
const WAIT: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_stop_is_told_first_then_waited_for_then_drained() {
    let sim = Simulator::start().await;
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let router = Router::new()
        .route(
            "/load/slow",
            get(async move || {
                waits.notified().await;
                "done"
            }),
        )
        .fallback(|request: extract::Request| async move { format!("a {}", request.uri()) });
    let one = world::serve(router).await;
    let process = Process::start(Folder::new(), |addr| {
        text(&sim, addr, one, 0).replace("'300ms'", &format!("'{}s'", WAIT.as_secs()))
    })
    .await;
    let admin = process.admin.to_string();
    let health =
        async || wxgate().args(["health", "--admin", &admin]).status().await.unwrap().code();
    assert_eq!(process.admin("/readyz").await, (200, r#"{"ready":true}"#.to_owned()));
    assert_eq!((process.admin("/healthz").await.0, health().await), (200, Some(0)));

    let mut slow = Line::open(process.addr).await.unwrap();
    slow.send("GET /load/slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    let mut half = Line::open(process.addr).await.unwrap();
    half.send("GET /load HTTP/1.1\r\nHo").await.unwrap();
    let began = Instant::now();
    process.signal("TERM").await;
    // Told at once, while all goes on.
    while process.admin("/readyz").await.0 == 200 {
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    let (status, word) = process.admin("/readyz").await;
    assert_eq!((status, &*word), (503, r#"{"ready":false,"reason":"draining"}"#));
    assert_eq!((process.admin("/healthz").await.0, health().await), (200, Some(0)));
    let mut kept = Line::open(process.addr).await.unwrap();
    let told = kept.get("/load", "").await.unwrap();
    assert!(told.status == 200 && !told.is_last(), "{told:?}");
    // Then each answer says that it is the last on its connection, and what was begun ends well.
    loop {
        let told = kept.get("/load", "").await.unwrap();
        assert_eq!(told.status, 200, "{told:?}");
        if told.is_last() {
            break;
        }
    }
    assert!(began.elapsed() >= WAIT);
    half.send("st: 127.0.0.1\r\n\r\n").await.unwrap();
    let told = half.answer().await.unwrap();
    assert!(told.status == 200 && told.is_last(), "{told:?}");
    // Nobody is let in any more.
    while Line::open(process.addr).await.is_ok() {
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    go.notify_one();
    let told = slow.answer().await.unwrap();
    assert_eq!((told.status, &*told.body), (200, "done"));
    assert_eq!(process.ended().await.0, Some(0));
    assert_eq!(health().await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_it_stops_is_answered_or_refused_but_never_cut_off() {
    let (sim, one) = (Simulator::start().await, app("a").await);
    for round in 0..5 {
        let quick =
            |addr| format!("cores = 2\n{}", text(&sim, addr, one, 0)).replace("'300ms'", "'0s'");
        let process = Process::start_quietly(Folder::new(), quick).await;
        let load = Load::of_strangers(process.addr, 50);
        load.answers(500).await;
        process.signal("TERM").await;
        let tally = load.ended(false).await;
        assert_eq!(*tally.failed.lock().unwrap(), Vec::<String>::new(), "round {round}");
        assert_eq!(tally.refused.load(Ordering::SeqCst), 50);
        assert_eq!(process.ended().await.0, Some(0));
    }
}

/// What hyper says of a request that it was about to send when the server said goodbye. It does not hand such a request
/// back. One that the server has taken fails otherwise: with a reset stream or a closed connection.
const GOODBYE: &str = "GoAway(b\"\", NO_ERROR, Remote)";

/// Asks over HTTP/2 until nobody listens any more: how many answers there were. What was not sent is asked again.
async fn over_http2(addr: SocketAddr) -> usize {
    let mut answered = 0;
    while let Ok(line) = Line::open(addr).await {
        let io = TokioIo::new(line.into_stream());
        let Ok((mut sender, connection)) = http2::handshake(TokioExecutor::new(), io).await else {
            continue;
        };
        tokio::spawn(connection);
        while sender.ready().await.is_ok() {
            let uri = format!("http://{addr}/load");
            let request = Request::builder().uri(uri).body(Empty::<Bytes>::new()).unwrap();
            match sender.try_send_request(request).await {
                Ok(answer) => {
                    assert_eq!(answer.status(), StatusCode::OK);
                    let body = answer.into_body().collect().await.expect("it is whole");
                    assert_eq!(body.to_bytes(), "a /load");
                    answered += 1;
                }
                Err(mut error) => {
                    let unsent = error.take_message().is_some();
                    let error = format!("{:?}", error.into_error());
                    assert!(unsent || error.contains(GOODBYE), "after {answered}: {error}");
                    break;
                }
            }
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_loses_no_request_over_http2() {
    let sim = Simulator::start().await;
    let asked = Arc::<AtomicUsize>::default();
    let counted = asked.clone();
    let app = Router::new().fallback(async move || {
        counted.fetch_add(1, Ordering::SeqCst);
        "a /load"
    });
    let one = world::serve(app).await;
    let process = Process::start_quietly(Folder::new(), |addr| text(&sim, addr, one, 0)).await;
    let clients: Vec<_> = (0..20).map(|_| tokio::spawn(over_http2(process.addr))).collect();
    let load = Load::start(process.addr, 1);
    load.answers(500).await;
    process.signal("TERM").await;
    let mut answered = 0;
    for client in clients {
        let answers = client.await.unwrap();
        assert!(answers > 1);
        answered += answers;
    }
    let tally = load.ended(false).await;
    assert_eq!(*tally.failed.lock().unwrap(), Vec::<String>::new());
    assert_eq!(process.ended().await.0, Some(0));
    // Whatever came as far as the app was answered, so what was said goodbye to had never been taken.
    answered += tally.answered.load(Ordering::SeqCst);
    assert_eq!(asked.load(Ordering::SeqCst), answered);
}

/// Takes a socket and becomes the command with it, as systemd does.
const ACTIVATE: &str = "import os, socket, sys
listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])";

#[tokio::test]
async fn a_socket_that_is_handed_over_is_served_from_its_first_connection_on() {
    let (sim, one) = (Simulator::start().await, app("a").await);
    let (visit, mut visits) = mpsc::channel(1);
    let process = Process::start_as(
        Folder::new(),
        |addr| format!("cores = 2\n{}", text(&sim, addr, one, 0)),
        "wxgate=info",
        |addr| {
            // Stands in the queue before anybody serves.
            tokio::spawn(async move {
                let mut line = loop {
                    match Line::open(addr).await {
                        Ok(line) => break line,
                        Err(_) => tokio::task::yield_now().await,
                    }
                };
                visit.send(line.get("/load", "").await).await.unwrap();
            });
            let mut command = Command::new("python3");
            command.args(["-c", ACTIVATE, &addr.port().to_string(), env!("CARGO_BIN_EXE_wxgate")]);
            command
        },
    )
    .await;
    let first = visits.recv().await.unwrap().unwrap();
    assert_eq!((first.status, &*first.body), (200, "a /load"));
    for _ in 0..20 {
        let told = Line::open(process.addr).await.unwrap().get("/load", "").await.unwrap();
        assert_eq!((told.status, &*told.body), (200, "a /load"));
    }
    let serving = process.logged(1, |line| line["message"] == "serving").await;
    assert_eq!(serving["addr"], process.addr.to_string());
    assert_eq!(process.stop().await.0, Some(0));
}

#[tokio::test]
async fn w10_each_request_has_a_line_that_says_all_but_the_query() {
    let (sim, one) = (Simulator::start().await, app("a").await);
    let process = Process::start(Folder::new(), |addr| text(&sim, addr, one, 0)).await;
    let alice = Browser::new(&process.url(), "alice");
    alice.walk("/private/x?planted=1").await;
    let own = alice
        .send(http::Method::GET, "/private/y?planted=2", &[("x-request-id", "id-1.a_b")], "")
        .await;
    assert_eq!(
        (own.status, &own.headers["x-request-id"]),
        (StatusCode::OK, &"id-1.a_b".parse().unwrap())
    );
    let odd =
        alice.send(http::Method::GET, "/load?planted", &[("x-request-id", "planted id")], "").await;
    assert!(!odd.headers["x-request-id"].to_str().unwrap().contains("planted"));
    let openid = sim.world().users[0].openid(world::APPID);
    let (_, log) = process.stop().await;
    let all = format!("{log:?}");
    assert!(!all.contains("planted") && !all.contains(&openid), "{all}");
    let lines: Vec<_> = log.iter().filter(|line| line["target"] == "wxgate::access").collect();
    let of =
        |path: &str| lines.iter().filter(|line| line["path"] == path).copied().collect::<Vec<_>>();
    // To the sign-in, back, and there.
    let [first, last] = of("/private/x")[..] else { panic!("{lines:?}") };
    assert_eq!((&first["status"], &last["status"]), (&302.into(), &200.into()));
    assert!(first["user"].is_null() && first["upstream_ms"].is_null(), "{first}");
    assert_eq!(of("/_wx/callback").len(), 1);
    let [line] = of("/private/y")[..] else { panic!("{lines:?}") };
    assert_eq!(line["user"], last["user"]);
    assert!(line["user"].as_str().is_some_and(|user| user.len() == 16), "{line}");
    for (field, value) in [
        ("request_id", "id-1.a_b"),
        ("client", "127.0.0.1"),
        ("method", "GET"),
        ("site", "h5"),
        ("route", "/"),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &(own.body.len()).into()));
    let time = |field: &str| line[field].as_f64().unwrap();
    assert!(time("duration_ms") >= time("upstream_ms") && time("upstream_ms") > 0.0, "{line}");
    assert!(line["aborted"].is_null(), "{line}");
}
