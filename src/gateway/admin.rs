//! The admin listener: health, readiness, metrics and sessions, on an address that browsers never see.
//!
//! `/healthz` says that the process serves, `/readyz` whether requests should be sent here, `/metrics` what happens,
//! `/sessions` who is signed in, `/server-token` an account's own `access_token`. None of them is answered on a public listener.

mod server_token;
mod sessions;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, TcpListener as StdListener},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time,
};
use tower_service::Service;

use super::metrics::{CONTENT_TYPE, Metrics};
use crate::login;

pub(in crate::gateway) use {server_token::Counter, sessions::Desk};

/// A scraper, a probe or two, and somebody who looks. More would be a mistake, and must not eat the descriptors that
/// browsers need.
const MOST_CONNECTIONS: usize = 64;
const REQUEST_HEAD: Duration = Duration::from_secs(15);
/// Probes give up after a second by default, so an answer that takes longer is none.
const LONGEST_PROBE: Duration = Duration::from_millis(800);
/// The pause when the system has no more descriptors: some connection has to end first.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Whether requests should be sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(in crate::gateway) enum Phase {
    /// Not yet.
    Starting,
    /// Yes, as long as what we need is there.
    Ready,
    /// No more: what is in flight is finished, and then we stop.
    Draining,
}

/// Something without which no request can be served, such as the session store.
#[async_trait]
pub(in crate::gateway) trait Probe: fmt::Debug + Send + Sync + 'static {
    /// One word for `/readyz` while it is missing, such as `store_down`.
    fn reason(&self) -> &'static str;

    /// Whether it is there. What is wrong goes to the log alone.
    async fn check(&self) -> Result<(), String>;
}

/// Whether requests should be sent here, as the gateway sets it and `/readyz` tells it. Clones are the same.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Readiness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    phase: AtomicU8,
    needs: Vec<Box<dyn Probe>>,
}

impl Readiness {
    /// Starting, and in need of these.
    pub(in crate::gateway) fn new(needs: Vec<Box<dyn Probe>>) -> Self {
        Self(Arc::new(Inner { phase: AtomicU8::new(Phase::Starting as u8), needs }))
    }

    /// From now on.
    pub(in crate::gateway) fn set(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::SeqCst);
    }

    fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::SeqCst) {
            phase if phase == Phase::Ready as u8 => Phase::Ready,
            phase if phase == Phase::Draining as u8 => Phase::Draining,
            _ => Phase::Starting,
        }
    }

    /// Why no request should be sent here, in one word of a fixed set.
    pub(in crate::gateway) async fn check(&self) -> Result<(), &'static str> {
        match self.phase() {
            Phase::Starting => return Err("starting"),
            Phase::Draining => return Err("draining"),
            Phase::Ready => {}
        }
        for need in &self.0.needs {
            let checked = time::timeout(LONGEST_PROBE, need.check()).await;
            let checked =
                checked.unwrap_or_else(|_| Err(format!("no answer in {LONGEST_PROBE:?}")));
            if let Err(error) = checked {
                tracing::warn!(%error, reason = need.reason(), "not ready");
                return Err(need.reason());
            }
        }
        Ok(())
    }
}

/// The admin listener. Dropping it closes it and its connections.
#[derive(Debug)]
pub(in crate::gateway) struct Admin {
    addr: SocketAddr,
    serving: JoinHandle<()>,
}

impl Admin {
    /// Serves on `addr`. Has to be called on a tokio runtime, which then serves it.
    ///
    /// # Errors
    /// When the address cannot be listened on. The error names it.
    pub(in crate::gateway) fn start(
        addr: SocketAddr,
        metrics: Metrics,
        readiness: Readiness,
        desk: Arc<dyn Desk>,
    ) -> io::Result<Self> {
        let open = || -> io::Result<_> {
            let listener = StdListener::bind(addr)?;
            listener.set_nonblocking(true)?;
            let addr = listener.local_addr()?;
            Ok((TcpListener::from_std(listener)?, addr))
        };
        let (listener, addr) = open().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot listen on {addr} for admin_listen: {error}"),
            )
        })?;
        let serving = tokio::spawn(serve(listener, router(metrics, readiness, desk)));
        Ok(Self { addr, serving })
    }

    /// Where it listens.
    pub(in crate::gateway) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn router(metrics: Metrics, readiness: Readiness, desk: Arc<dyn Desk>) -> Router {
    Router::new()
        .merge(server_token::router(desk.clone()))
        .merge(sessions::router(metrics.clone(), desk))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(scrape).with_state(metrics))
        .layer(middleware::from_fn(guard))
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    match readiness.check().await {
        Ok(()) => say(StatusCode::OK, &json!({ "ready": true })),
        Err(reason) => {
            say(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ready": false, "reason": reason }))
        }
    }
}

fn say(status: StatusCode, word: &Value) -> Response {
    login::json_reply(status, word.to_string().into_bytes()).into_response()
}

async fn scrape(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.text())
}

/// Refuses what a page of somebody else's could have sent through a browser on this machine, whose name leads here.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if is_expected(request.headers()) {
        next.run(request).await
    } else {
        say(StatusCode::FORBIDDEN, &json!({ "error": "unexpected_host" }))
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the host is an address, or a name that nobody can register: `localhost`, or one without a dot, as containers
/// have. What sends no host is no browser.
fn is_expected(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let Some(host) = host else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_name = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
    let is_private = !name.is_empty() && name.bytes().all(is_name);
    another.is_none() && (bare.parse::<IpAddr>().is_ok() || is_private)
}

async fn serve(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Whoever drops this task drops the connections with it.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let place = places.clone().acquire_owned().await.expect("nobody closes the semaphore");
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    connection(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an admin connection could not be accepted");
                time::sleep(EXHAUSTED).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router) {
    let service = service_fn(move |request| router.clone().call(request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

#[cfg(test)]
mod tests;
