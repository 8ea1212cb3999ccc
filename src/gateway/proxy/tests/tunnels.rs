//! WebSockets through the proxy, and upstreams that have none.

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::{kinds::every_kind, *};

/// An upstream that gives every message back.
async fn echoing(mut request: Request<Incoming>) -> Response<AnyBody> {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        return text("no WebSocket");
    };
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let io = TokioIo::new(upgrade.await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut answer = text("");
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = derive_accept_key(key.as_bytes());
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.parse().unwrap());
    headers.insert("x-openid", request.headers()["x-wechat-openid"].clone());
    answer
}

#[tokio::test]
async fn websockets_pass_to_every_upstream_that_has_them() {
    for running in every_kind(echoing).await {
        let addr = front(&running.spec, Rules::default()).await;
        let stream = TcpStream::connect(addr).await.unwrap();
        let opened = client_async("ws://h5.example.com/chat", stream).await;
        if running.kind == "h2c" {
            let refused = opened.unwrap_err().to_string();
            assert!(refused.contains("501"), "{refused}");
            continue;
        }
        let (mut socket, answer) = opened.unwrap();
        assert_eq!(answer.headers()["x-openid"], "openid-1");
        let long = "x".repeat(1 << 20);
        for said in ["hello", &long] {
            socket.send(Message::text(said)).await.unwrap();
            let heard = socket.next().await.unwrap().unwrap();
            assert_eq!(heard.into_text().unwrap(), said, "{}", running.kind);
        }
        // What is no WebSocket passes beside it.
        assert_eq!(fetch(addr, Http::One, get("/")).await.1, "no WebSocket");
    }
}

#[tokio::test]
async fn an_upstream_without_websockets_is_a_clear_refusal() {
    let folder = Folder::new();
    folder.write("index.html", "page");
    let files = spec(&format!("file:{}", folder.0.display()));
    let (h2c, opened) = upstream(Http::Two, echo).await;
    for spec in [files, spec(&format!("h2c://{h2c}"))] {
        let addr = front(&spec, Rules::default()).await;
        let asking = "GET / HTTP/1.1\r\nHost: h5.example.com\r\nConnection: Upgrade, close\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
                      Sec-WebSocket-Version: 13\r\n\r\n";
        let answer = raw(addr, asking).await;
        assert!(answer.starts_with("HTTP/1.1 501"), "{answer}");
        assert!(answer.contains("\r\n\r\nno_websockets: WebSockets cannot be passed"), "{answer}");
        assert_eq!(fetch(addr, Http::One, get("/")).await.0, StatusCode::OK);
    }
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_upstream_does_not_switch_protocols_unasked() {
    let switching = |_| async {
        let mut answer = refusal(StatusCode::SWITCHING_PROTOCOLS, "");
        let headers = answer.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        answer
    };
    for running in every_kind(switching).await {
        let addr = front(&running.spec, Rules::default()).await;
        let (status, _) = fetch(addr, Http::One, get("/")).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{}", running.kind);
    }
}
