//! The listener: accepts connections, notes what arrives, and can cut a line without an answer.

use std::net::IpAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::routing::{any, get};
use http::{Method, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_service::Service as _;

use super::authorize::Door;
use super::record::Received;
use super::{Shared, answer, control, pages, qr, visit};

const LONGEST_FORM: usize = 64 * 1024;

/// Marks a response that is not to be sent: the connection closes instead.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the connection was closed on purpose")]
pub(super) struct HangUp;

/// The address of whoever sent a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves until `stop` changes or its sender is gone, then closes every connection.
pub(super) async fn run(listener: TcpListener, sim: Shared, mut stop: watch::Receiver<()>) {
    let router = router(sim);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, addr)) => {
                    let peer = Peer(addr.ip().to_canonical());
                    connections.spawn(serve(stream, peer, router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the simulator cannot accept a connection");
                    // Out of file handles, most likely: wait until some come back.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, peer: Peer, router: Router) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let mut router = router.clone();
        async move {
            let Ok(response) = router.call(request).await;
            match response.extensions().get::<HangUp>() {
                Some(hang_up) => Err(*hang_up),
                None => Ok(response),
            }
        }
    });
    // An error here is the client's hang-up or ours.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn router(sim: Shared) -> Router {
    Router::new()
        .route(Door::Authorize.path(), get(visit::handle).post(visit::handle))
        .merge(qr::router())
        .route("/sns", any(answer::handle))
        .route("/sns/", any(answer::handle))
        .route("/sns/{*path}", any(answer::handle))
        .route("/cgi-bin/{*path}", any(answer::handle))
        .route("/wxa/{*path}", any(answer::handle))
        .merge(control::router())
        .fallback(pages::not_found)
        .layer(middleware::from_fn_with_state(sim.clone(), note))
        .with_state(sim)
}

/// Notes what arrives before it is answered, so that a request without an answer is seen too.
async fn note(State(sim): State<Shared>, request: Request, next: Next) -> Response<Body> {
    if request.uri().path().starts_with(control::PREFIX) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LONGEST_FORM).await;
    let body = body.unwrap_or_default();
    let mut query = parts.uri.query().unwrap_or_default().to_owned();
    if parts.method == Method::POST && !body.is_empty() {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&String::from_utf8_lossy(&body));
    }
    let entry = sim.record.arrived(Received {
        at: sim.clock.millis(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query,
        status: 0,
        errcode: None,
    });

    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    if response.extensions().get::<HangUp>().is_none() {
        let errcode = response.extensions().get::<answer::Errcode>();
        sim.record.answered(entry, response.status().as_u16(), errcode.map(|it| it.0));
    }
    response
}
