//! Answers every GET with an empty 200: what a question costs when there is nothing to find out.
//!
//! Usage: `constant ADDR`

use axum::{Router, serve::ListenerExt};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:9300".into());
    let listener = tokio::net::TcpListener::bind(addr).await?.tap_io(|stream| {
        // wxgate does so too. Where it fails, answers come late and are right all the same.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().fallback(|| async {})).await
}
