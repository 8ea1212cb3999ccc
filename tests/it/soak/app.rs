//! The app behind the gateways: pages, bodies in both directions, events and sockets.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, WebSocketUpgrade, ws},
    response::{
        Html, IntoResponse, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{get, post},
};
use futures_util::{Stream, StreamExt, stream};

use crate::world;

/// As much as comes in one piece.
const CHUNK: usize = 64 * 1024;

pub async fn start() -> SocketAddr {
    let router = Router::new()
        .route("/off/take", post(take))
        .route("/off/give/{chunks}", get(give))
        .route("/off/events", get(events))
        .route("/off/socket", get(socket))
        .route("/html", get(async || Html("<!doctype html><title>x</title><p>hello")))
        .fallback(tell);
    world::serve(router).await
}

/// Says who it was told that its visitor is.
async fn tell(request: Request) -> String {
    let openid = request.headers().get("x-wechat-openid").and_then(|value| value.to_str().ok());
    format!("openid={}", openid.unwrap_or_default())
}

async fn take(body: Body) -> String {
    let mut chunks = body.into_data_stream();
    let mut count = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        count += chunk.len();
    }
    count.to_string()
}

async fn give(Path(chunks): Path<usize>) -> Body {
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    Body::from_stream(stream::iter((0..chunks).map(move |_| Ok::<_, Infallible>(chunk.clone()))))
}

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = stream::unfold(0_u32, async |count| {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Some((Ok(Event::default().data(count.to_string())), count + 1))
    });
    Sse::new(ticks).keep_alive(KeepAlive::default())
}

async fn socket(upgrade: WebSocketUpgrade) -> impl IntoResponse {
    upgrade.on_upgrade(async |mut socket: ws::WebSocket| {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })
}
