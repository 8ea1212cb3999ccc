//! The proxy between a browser and an app: what passes, what does not, and what happens when one side misbehaves.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, WebSocketUpgrade, ws::WebSocket},
    response::IntoResponse,
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use wxgate::{
    Origin, WechatLoginLayer,
    clock::{Clock, ManualClock, SystemClock},
    gateway::{Gateway, Settings},
    login::{Login, Policy},
    session::{Lifetimes, MemoryStore},
    simulator::Simulator,
};

use crate::world::{self, World};

/// A gateway in front of any address, whose pages are open to everybody.
async fn open_gateway(upstream: SocketAddr) -> (Gateway, String) {
    open_gateway_with(upstream, |settings| settings).await
}

async fn open_gateway_with(
    upstream: SocketAddr,
    change: impl FnOnce(Settings) -> Settings,
) -> (Gateway, String) {
    let sim = Simulator::start().await;
    let addr = world::free_port();
    let url = format!("http://{addr}");
    let layer = WechatLoginLayer::with_store(
        world::account(),
        Origin::parse(&url).unwrap(),
        MemoryStore::new(),
    )
    .client(world::client(&sim))
    .policy(Policy::all(Login::Optional));
    let settings = Settings::new(layer, format!("http://{upstream}").parse().unwrap());
    let settings = change(settings.listen(addr).cores(1));
    (Gateway::start(settings).unwrap(), url)
}

/// Sends bytes and reads until the other side closes.
async fn raw(addr: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(addr.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// An upstream that reads one request head and answers with these bytes, then closes.
async fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                read_head(&mut stream).await;
                stream.write_all(bytes).await.ok();
            });
        }
    });
    addr
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

#[tokio::test]
async fn c11_c12_identity_headers_come_from_the_gateway_alone_whatever_the_policy() {
    let world = World::start().await;
    let names = [
        "x-wechat-openid",
        "X-WECHAT-SUBJECT",
        "x_wechat_openid",
        "X_WeChat-Openid",
        "x.wechat.openid",
        "x-forwarded-user",
        "x_forwarded_user",
        "x-wechat-assertion",
        "x-wechat-unheard-of",
    ];
    let browser = world.signed_in("alice").await;
    let openid = world.sim.world().users[0].openid(world::APPID);
    for path in ["/off", "/optional", "/page"] {
        for method in ["GET", "POST", "OPTIONS"] {
            let cookie = browser.session_cookie().unwrap();
            let spoofed = names.map(|name| format!("{name}: spoofed\r\n")).concat();
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: {}\r\n{spoofed}X-Kept: yes\r\nCookie: wxgate={cookie}\r\n\
                 Connection: close, x-wechat-openid, x-wechat-subject, x-forwarded-user\r\nContent-Length: 0\r\n\r\n",
                world.url.trim_start_matches("http://")
            );
            let answer = raw(&world.url, &request).await;
            assert!(
                answer.starts_with("HTTP/1.1 200") && answer.contains("\"x-kept\":\"yes\""),
                "{answer}"
            );
            assert!(!answer.contains("spoofed"), "{method} {path} {answer}");
            assert_eq!(
                answer.contains(&format!("\"x-wechat-openid\":\"{openid}\"")),
                path != "/off",
                "{answer}"
            );
            assert_eq!(answer.contains("\"x-wechat-subject\":\"wx"), path != "/off", "{answer}");
        }
    }
}

#[tokio::test]
async fn c21_our_cookies_stay_here_and_the_app_s_own_pass() {
    let world = World::start().await;
    let browser = world.signed_in("alice").await;
    browser.jar.lock().unwrap().insert("app".into(), "1".into());
    browser.jar.lock().unwrap().insert("__Host-wxgate".into(), "x".into());
    let page = browser.send(Method::GET, "/page", &[("authorization", "Bearer app")], "").await;
    assert_eq!(page.received("cookie").as_deref(), Some("app=1"));
    assert_eq!(page.received("authorization").as_deref(), Some("Bearer app"));
    let session = browser.session_cookie().unwrap();
    assert!(!page.body.contains(&session), "{}", page.body);
}

#[tokio::test]
async fn c18_the_path_that_was_judged_is_the_path_that_is_sent() {
    let world = World::start().await;
    let host = world.url.trim_start_matches("http://").to_owned();
    let get = async |target: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(&world.url, &request).await
    };
    for (target, sent) in [
        ("/off", "/off"),
        ("/page/..//off/./x?a=//b/..", "/off/x?a=//b/.."),
        ("/off/%2e%2E/off/y", "/off/y"),
        ("/off/x;v=1", "/off/x;v=1"),
        ("/%6Fff/%E8%AE%A2", "/%6Fff/%E8%AE%A2"),
    ] {
        let answer = get(target).await;
        assert!(answer.contains(&format!("\"uri\":\"{sent}\"")), "{target} {answer}");
    }
    // What leads out of the open path is private, and what can be read in two ways is refused.
    for target in ["/off/../page", "/off/%2e%2e/page", "/off/..//page", "/%6Fff/../page"] {
        assert!(get(target).await.starts_with("HTTP/1.1 302"), "{target}");
    }
    for target in [
        "/off;v=1/x",
        "/off%2f..%2fpage",
        "/off/..%5cpage",
        "/off/..;/page",
        "/;x/page",
        "/off/%2e%2e;x/page",
        "/off%00",
        "/off%23/x",
        "/off%3f",
        "/off\\..\\page",
        "/off%",
        "/off%zz",
    ] {
        assert!(get(target).await.starts_with("HTTP/1.1 400"), "{target}");
    }
    assert_eq!(world.app.requests(), 5);
}

#[tokio::test]
async fn a_request_names_one_host() {
    let world = World::start().await;
    let host = world.url.trim_start_matches("http://").to_owned();
    let answer =
        async |head: &str| raw(&world.url, &format!("{head}Connection: close\r\n\r\n")).await;
    let good = answer(&format!("GET /off HTTP/1.1\r\nHost: {host}\r\n")).await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
    let absolute = answer(&format!("GET http://{host}/off HTTP/1.1\r\nHost: {host}\r\n")).await;
    assert!(
        absolute.starts_with("HTTP/1.1 200") && absolute.contains("\"uri\":\"/off\""),
        "{absolute}"
    );
    for bad in [
        "GET /off HTTP/1.1\r\n".to_owned(),
        format!("GET /off HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n"),
        format!("GET /off HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n"),
        format!("GET http://evil.example/off HTTP/1.1\r\nHost: {host}\r\n"),
        format!("OPTIONS * HTTP/1.1\r\nHost: {host}\r\n"),
        format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n"),
        format!("GET /off HTTP/1.1\r\nHost: {host}\r\nX-A : 1\r\n"),
        format!("POST /off HTTP/1.1\r\nHost: {host}\r\nContent-Length: +1\r\n"),
    ] {
        let answer = answer(&bad).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{bad} {answer}");
    }
    assert_eq!(world.app.requests(), 2);
}

#[tokio::test]
async fn bodies_stream_both_ways_without_waiting_for_their_end() {
    let router = Router::new().route("/", post(|request: Request| async { request.into_body() }));
    let (_gateway, url) = open_gateway(world::serve(router).await).await;
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let body = reqwest::Body::wrap(StreamBody::new(stream_of(receiver)));
    let sending = world::http_client().post(&url).body(body).send();
    sender.send(Ok(Frame::data("one".into()))).await.unwrap();
    let mut answer = sending.await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "one");
    sender.send(Ok(Frame::data("two".into()))).await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "two");
    drop(sender);
    assert_eq!(answer.chunk().await.unwrap(), None);
}

fn stream_of<T>(mut receiver: mpsc::Receiver<T>) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}

#[tokio::test]
async fn large_bodies_arrive_whole() {
    let router = Router::new().route(
        "/",
        post(|request: Request| async {
            let mut body = request.into_body();
            let mut sum = 0_u64;
            while let Some(frame) = body.frame().await {
                sum +=
                    frame.unwrap().into_data().unwrap().iter().map(|b| u64::from(*b)).sum::<u64>();
            }
            let mut answer = sum.to_string().into_bytes();
            answer.resize(3_000_000, b'.');
            answer
        }),
    );
    let (_gateway, url) = open_gateway(world::serve(router).await).await;
    let sent: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let sum: u64 = sent.iter().map(|b| u64::from(*b)).sum();
    for _ in 0..3 {
        let answer = world::http_client().post(&url).body(sent.clone()).send().await.unwrap();
        let body = answer.bytes().await.unwrap();
        assert_eq!(body.len(), 3_000_000);
        assert!(body.starts_with(format!("{sum}.").as_bytes()));
    }
}

#[tokio::test]
async fn events_arrive_at_once() {
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(Some(receiver)));
    let router = Router::new().route(
        "/",
        get(move || async move {
            let receiver = receiver.lock().await.take().unwrap();
            (
                [("content-type", "text/event-stream")],
                Body::new(StreamBody::new(stream_of(receiver))),
            )
        }),
    );
    let (_gateway, url) = open_gateway(world::serve(router).await).await;
    let mut answer = world::http_client().get(&url).send().await.unwrap();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        sender.send(Ok(Frame::data(event.into()))).await.unwrap();
        assert_eq!(answer.chunk().await.unwrap().unwrap(), event);
    }
}

#[tokio::test]
async fn trailers_pass() {
    let (head, tail) = (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
        "2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n",
    );
    let bytes: &'static [u8] = Box::leak(format!("{head}{tail}").into_bytes().into_boxed_slice());
    let (_gateway, url) = open_gateway(answering(bytes).await).await;
    let host = url.trim_start_matches("http://");
    let answer = raw(
        &url,
        &format!("GET / HTTP/1.1\r\nHost: {host}\r\nTE: trailers\r\nConnection: close, te\r\n\r\n"),
    )
    .await;
    assert!(answer.to_lowercase().contains("x-sum: 7"), "{answer}");
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn websockets_pass_for_those_who_may() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

    let received = std::sync::Arc::new(std::sync::Mutex::new(HeaderMap::new()));
    let seen = received.clone();
    let router = Router::new().route(
        "/page",
        get(move |headers: HeaderMap, upgrade: WebSocketUpgrade| async move {
            *seen.lock().unwrap() = headers;
            upgrade.protocols(["chat"]).on_upgrade(echo).into_response()
        }),
    );
    let sim = Simulator::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let (url, login) =
        world::login(&sim, clock.clone(), MemoryStore::builder().clock(clock).build());
    let _gateway = world::gateway(&url, login, &format!("http://{}", world::serve(router).await));

    let request = |cookie: &str| {
        let mut request =
            format!("{}/page", url.replace("http", "ws")).into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("cookie", format!("{cookie}; app=1").parse().unwrap());
        headers.insert("sec-websocket-protocol", "chat".parse().unwrap());
        headers.insert("x-wechat-openid", "spoofed".parse().unwrap());
        request
    };
    let refused = tokio_tungstenite::connect_async(request("a=b")).await.unwrap_err();
    let tokio_tungstenite::tungstenite::Error::Http(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(received.lock().unwrap().is_empty());

    let browser = world::Browser::new(&url, "alice");
    browser.walk("/page").await;
    let cookie = format!("wxgate={}", browser.session_cookie().unwrap());
    let (mut socket, answer) = tokio_tungstenite::connect_async(request(&cookie)).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    let long = "x".repeat(1 << 20);
    for text in ["hello", &long] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap(), text);
    }
    let headers = received.lock().unwrap().clone();
    assert_eq!(headers["x-wechat-openid"], sim.world().users[0].openid(world::APPID));
    assert_eq!(headers["cookie"], "app=1");
}

#[tokio::test]
async fn no_other_upgrade_is_passed_on() {
    let world = World::start().await;
    let host = world.url.trim_start_matches("http://");
    let request = format!(
        "GET /off HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
    );
    let answer = raw(&world.url, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(!answer.contains("\"upgrade\"") && !answer.contains("http2-settings"), "{answer}");
}

#[tokio::test]
async fn an_app_that_is_down_is_a_502_for_people_and_for_scripts() {
    let (_gateway, url) = open_gateway(world::free_port()).await;
    let browser = world::Browser::new(&url, "alice").with("accept-language", "en");
    let page = browser.get("/x").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(
        page.body.contains("This page is unavailable")
            && page.body.contains("upstream_unavailable")
    );
    let form = browser.send(Method::POST, "/x", &[("sec-fetch-mode", "navigate")], "").await;
    assert!(form.body.contains("This page is unavailable"), "{}", form.body);
    let script = browser.fetch("/x").await;
    assert_eq!(script.status, StatusCode::BAD_GATEWAY);
    assert_eq!(script.json()["error"], "upstream_unavailable");
}

#[tokio::test]
async fn an_app_that_does_not_answer_is_a_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = Duration::from_millis(50);
    let silent = listener.local_addr().unwrap();
    let (_gateway, url) = open_gateway_with(silent, |s| s.response_timeout(limit)).await;
    let script = world::Browser::new(&url, "alice").fetch("/x").await;
    assert_eq!(
        (script.status, script.json()["error"].as_str()),
        (StatusCode::GATEWAY_TIMEOUT, Some("upstream_timeout"))
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_taken_for_whole() {
    for (bytes, whole) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..], true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", false),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", true),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", false),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", true), // ends with the connection
    ] {
        let (_gateway, url) = open_gateway(answering(bytes).await).await;
        // A connection that is cut before the head is out is as good a sign as one that is cut after it.
        let body = async { world::http_client().get(&url).send().await?.bytes().await };
        assert_eq!(body.await.is_ok(), whole, "{}", String::from_utf8_lossy(bytes));
    }
    for bytes in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Le", b"nonsense\r\n\r\n"]
    {
        let (_gateway, url) = open_gateway(answering(bytes).await).await;
        let answer = world::http_client().get(&url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_was_closed_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (accepted, mut connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            accepted.send(()).unwrap();
            tokio::spawn(async move {
                // Three answers, then the connection is closed without a word.
                for _ in 0..3 {
                    if read_head(&mut stream).await.is_empty() {
                        return;
                    }
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        .await
                        .unwrap();
                }
            });
        }
    });
    let (_gateway, url) = open_gateway(addr).await;
    let client = world::http_client();
    for _ in 0..9 {
        let answer = client.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.text().await.unwrap(), "ok");
    }
    let mut count = 0;
    while connections.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, 3);
}

#[tokio::test]
async fn every_kind_of_answer_leaves_its_connection_in_order() {
    let router = Router::new()
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
        .route("/unchanged", get(|| async { StatusCode::NOT_MODIFIED }))
        .route("/text", get(|| async { "text" }))
        .route("/early", post(|| async { (StatusCode::PAYLOAD_TOO_LARGE, "early") }));
    let (_gateway, url) = open_gateway(world::serve(router).await).await;
    let browser = world::Browser::new(&url, "alice");
    for _ in 0..5 {
        assert_eq!(browser.get("/empty").await.status, StatusCode::NO_CONTENT);
        assert_eq!(browser.get("/unchanged").await.status, StatusCode::NOT_MODIFIED);
        let head = browser.send(Method::HEAD, "/text", &[], "").await;
        assert_eq!((head.status, &*head.body), (StatusCode::OK, ""));
        assert_eq!(head.headers["content-length"], "4");
        assert_eq!(browser.get("/text").await.body, "text");
        let early = browser.send(Method::POST, "/early", &[], "short").await;
        assert_eq!((early.status, &*early.body), (StatusCode::PAYLOAD_TOO_LARGE, "early"));
    }
}

#[tokio::test]
async fn a_client_may_ask_before_it_sends_its_body() {
    let router = Router::new().route("/", post(|body: String| async { body }));
    let (_gateway, url) = open_gateway(world::serve(router).await).await;
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 100"));
    stream.write_all(b"ok").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\nok"), "{answer}");
}

#[tokio::test]
async fn a_gateway_that_stops_finishes_what_is_in_flight() {
    let (sender, receiver) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(Some(receiver)));
    let router = Router::new().route(
        "/",
        get(move || async move {
            Body::new(StreamBody::new(stream_of(receiver.lock().await.take().unwrap())))
        }),
    );
    let (gateway, url) = open_gateway(world::serve(router).await).await;
    sender.send(Ok(Frame::data("one".into()))).await.unwrap();
    let mut answer = world::http_client().get(&url).send().await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "one");
    let stopping = tokio::spawn(gateway.stop());
    while world::http_client().get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!stopping.is_finished());
    sender.send(Ok(Frame::data("two".into()))).await.unwrap();
    drop(sender);
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "two");
    assert_eq!(answer.chunk().await.unwrap(), None);
    stopping.await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused() {
    let (gateway, _url) = open_gateway(world::free_port()).await;
    let layer = WechatLoginLayer::new(world::account(), Origin::parse("http://127.0.0.1").unwrap());
    let settings = Settings::new(layer, "http://127.0.0.1:1".parse().unwrap());
    let second = Gateway::start(settings.clone().listen(gateway.addr()));
    assert_eq!(second.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    let addr = gateway.addr();
    gateway.stop().await;
    assert!(Gateway::start(settings.listen(addr)).is_ok());
}

#[tokio::test]
async fn c11_identity_does_not_come_in_a_trailer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = read_head(&mut stream).await;
        while !text.ends_with("0\r\n\r\n") {
            text.push(char::from(stream.read_u8().await.unwrap()));
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        text
    });
    let (_gateway, url) = open_gateway(addr).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: X-WeChat-Openid\r\n\r\n\
                   2\r\nok\r\n0\r\nX-WeChat-Openid: spoofed\r\n\r\n";
    assert!(raw(&url, request).await.starts_with("HTTP/1.1 200"));
    let received = received.await.unwrap().to_lowercase();
    assert!(received.contains("\r\nok\r\n"), "{received}");
    assert!(!received.contains("spoofed") && !received.contains("trailer"), "{received}");
}

#[tokio::test]
async fn each_side_has_its_own_version_and_every_method_its_body() {
    let world = World::start().await;
    let host = world.url.trim_start_matches("http://").to_owned();
    for head in ["GET /off HTTP/1.0\r\n", "GET /off HTTP/1.1\r\nConnection: close\r\n"] {
        let answer = raw(&world.url, &format!("{head}Host: {host}\r\n\r\n")).await;
        // An app that was asked in 1.1 frames its answer, so that a cut one is seen.
        assert!(answer.to_lowercase().contains("content-length:"), "{answer}");
        assert!(
            answer.starts_with(if head.contains("1.0") { "HTTP/1.0 200" } else { "HTTP/1.1 200" }),
            "{answer}"
        );
    }
    let chunked = format!(
        "GET /off HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nquery\r\n0\r\n\r\n"
    );
    let answer = raw(&world.url, &chunked).await;
    assert!(answer.contains("\"body\":\"query\""), "{answer}");
}

#[tokio::test]
async fn who_has_stalled_is_who_is_blamed() {
    // An app that takes the connection and reads nothing, while a large body waits.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limit = Duration::from_millis(100);
    let stuck = listener.local_addr().unwrap();
    let (_gateway, url) = open_gateway_with(stuck, |s| s.response_timeout(limit)).await;
    let stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let upload = tokio::spawn(async move {
        writing
            .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
            .await
            .ok();
        writing.write_all(&vec![0; 50_000_000]).await.ok();
    });
    let mut status = [0; 12];
    reading.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 504");
    upload.abort();

    let router = Router::new().route("/", post(|body: String| async { body }));
    let addr = world::serve(router).await;
    let (_gateway, url) = open_gateway_with(addr, |s| s.response_timeout(limit)).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let whole = raw(&url, &format!("{head}Content-Length: 4\r\n\r\nfour")).await;
    assert!(whole.starts_with("HTTP/1.1 200"), "{whole}");
    let stalled = raw(&url, &format!("{head}Content-Length: 9\r\n\r\nfour")).await;
    assert!(stalled.starts_with("HTTP/1.1 408"), "{stalled}");
    let damaged = raw(&url, &format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n")).await;
    assert!(damaged.starts_with("HTTP/1.1 400"), "{damaged}");
}

#[tokio::test]
async fn a_gateway_is_not_its_own_upstream() {
    let layer =
        || WechatLoginLayer::new(world::account(), Origin::parse("http://127.0.0.1").unwrap());
    let start = |listen: SocketAddr, upstream: &str| {
        Gateway::start(Settings::new(layer(), upstream.parse().unwrap()).listen(listen).cores(1))
    };
    let addr = world::free_port();
    for own in [format!("http://{addr}"), format!("http://localhost:{}", addr.port())] {
        let refused = start(addr, &own).unwrap_err();
        assert!(refused.to_string().contains("itself"), "{refused}");
    }
    assert!(start(addr, "http://127.0.0.1:1").is_ok());
}

#[tokio::test]
async fn a_tunnel_ends_with_its_session() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

    let chat = |upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) };
    let app = world::serve(Router::new().route("/page", get(chat))).await;
    let sim = Simulator::start().await;
    let clock = ManualClock::new(SystemClock.now());
    let lifetimes = Lifetimes { absolute: Duration::from_secs(1), ..Lifetimes::default() };
    let store = MemoryStore::builder().clock(clock.clone()).lifetimes(lifetimes).build();
    let (url, login) = world::login(&sim, clock, store);
    let _gateway = world::gateway(&url, login, &format!("http://{app}"));

    let browser = world::Browser::new(&url, "alice");
    let callback = browser.callback_url("/page").await;
    browser.get(&callback).await;
    let mut request = format!("{}/page", url.replace("http", "ws")).into_client_request().unwrap();
    let cookie = format!("wxgate={}", browser.session_cookie().unwrap());
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap(), "hello");
    let ended = tokio::time::timeout(Duration::from_secs(30), socket.next()).await.unwrap();
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
}
