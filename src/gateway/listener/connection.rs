//! What becomes of one connection: which protocol it speaks, its time limits, and its end.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::Request;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::{self, Instant},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Limits, Phase,
    answer::{Answer, Talk},
    head_timer::HeadTimer,
    stopping,
    turns::{InTurn, Turns},
    watched::{Pulse, Watched},
};
use crate::gateway::wire::Wire;

/// A request head that is larger than this is refused: far above what browsers send with all of their cookies.
const LARGEST_HEAD: u32 = 64 * 1024;
/// A request with more headers is refused. It is hyper's own limit for HTTP/1.1, which costs nothing as long as it is not
/// changed.
const MOST_HEADERS: usize = 100;
/// What a client says first to speak HTTP/2.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How much is read to see which protocol it is: mostly the whole head at once.
const FIRST_READ: usize = 1024;
const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection that nobody uses stays open when the gateway stops. A client that asks again meanwhile is told
/// with its answer that the connection ends, and so none is closed under a client that is busy.
const GRACE: Duration = Duration::from_secs(1);

const STREAMS: u32 = 128;
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// How much of an answer waits for a client that reads slowly, for each stream.
const SEND_BUFFER: usize = 64 * 1024;
/// C56: how many streams a client may open and reset before we have seen them.
const PENDING_RESETS: usize = 20;
/// C56: how many streams we reset for a client's errors.
const OWN_RESETS: usize = 1024;
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client may take to go, once it was told that an HTTP/2 connection ends and nothing is in flight.
const GOODBYE: Duration = Duration::from_secs(10);

/// A connection's place, held until its socket is closed.
#[derive(Debug)]
pub(super) struct Seat {
    _place: Option<OwnedSemaphorePermit>,
    _open: mpsc::Sender<()>,
}

impl Seat {
    pub(super) fn new(place: Option<OwnedSemaphorePermit>, open: mpsc::Sender<()>) -> Self {
        Self { _place: place, _open: open }
    }
}

/// Serves a connection without TLS. Which protocol it speaks is seen from its first bytes.
pub(super) async fn plain<A: Answer>(
    mut io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    seat: Seat,
    talk: Arc<Talk<A>>,
    limits: Limits,
    mut phase: watch::Receiver<Phase>,
) {
    let until = Instant::now() + limits.request_head;
    let mut first = BytesMut::new();
    let speaks = tokio::select! {
        biased;
        speaks = begins_http2(&mut io, &mut first, until) => speaks,
        () = leaving(&mut phase) => {
            if first.is_empty() {
                return;
            }
            begins_http2(&mut io, &mut first, until).await
        }
    };
    let pulse = Pulse::new();
    let watched = |io| Watched::new(io, first.freeze(), pulse.clone(), seat);
    match speaks {
        Ok(true) => http2(watched(io), &pulse, talk, limits, phase).await,
        Ok(false) => http1(watched(io), &pulse, talk, limits, until, phase).await,
        Err(error) => tracing::debug!(%error, "a connection ended before its first request"),
    }
}

/// Serves a connection with TLS, whose handshake says which protocol it speaks.
pub(super) async fn secured<A: Answer>(
    io: Wire,
    config: Arc<ServerConfig>,
    seat: Seat,
    talk: Arc<Talk<A>>,
    limits: Limits,
    phase: watch::Receiver<Phase>,
) {
    let mut io = match time::timeout(TLS_HANDSHAKE, TlsAcceptor::from(config).accept(io)).await {
        Ok(Ok(io)) => Wire::Tls(Box::new(io.into())),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!("a TLS handshake took too long");
            return;
        }
    };
    let until = Instant::now() + limits.request_head;
    let mut first = BytesMut::new();
    let pulse = Pulse::new();
    let watched = |io, first: BytesMut| Watched::new(io, first.freeze(), pulse.clone(), seat);
    if !io.has_agreed_on_http2() {
        http1(watched(io, first), &pulse, talk, limits, until, phase).await;
        return;
    }
    // Read here, since hyper would wait for it without end.
    match begins_http2(&mut io, &mut first, until).await {
        Ok(true) => http2(watched(io, first), &pulse, talk, limits, phase).await,
        Ok(false) => tracing::debug!("a client has agreed on HTTP/2 and speaks something else"),
        Err(error) => tracing::debug!(%error, "a connection ended before its first request"),
    }
}

/// Reads as little as says whether it is HTTP/2. Can be given up and taken up again.
async fn begins_http2(
    io: &mut (impl AsyncRead + Unpin),
    first: &mut BytesMut,
    until: Instant,
) -> io::Result<bool> {
    let begins = async {
        loop {
            let length = first.len().min(PREFACE.len());
            if first[..length] != PREFACE[..length] {
                return Ok(false);
            }
            if length == PREFACE.len() {
                return Ok(true);
            }
            first.reserve(FIRST_READ);
            if io.read_buf(first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    };
    time::timeout_at(until, begins).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

async fn http1<IO, A>(
    io: Watched<IO>,
    pulse: &Arc<Pulse>,
    talk: Arc<Talk<A>>,
    limits: Limits,
    until: Instant,
    mut phase: watch::Receiver<Phase>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answer,
{
    let service = service_fn({
        let talk = talk.clone();
        move |request: Request<Incoming>| {
            let talk = talk.clone();
            async move { Ok::<_, Infallible>(talk.over_http1(request).await) }
        }
    });
    let serving = http1::Builder::new()
        .timer(HeadTimer::new(pulse.clone(), limits, until))
        // Only so that the timer is asked at all; it knows the limits.
        .header_read_timeout(limits.request_head)
        .max_buf_size(LARGEST_HEAD as usize)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let served = tokio::select! {
        biased;
        // First, so that an answer that is given meanwhile says already that it is the last.
        () = stopping(&mut phase) => {
            talk.end();
            tokio::select! {
                biased;
                served = serving.as_mut() => served,
                () = time::sleep(GRACE) => {
                    // A request that is just arriving is served; its answer says that it is the last.
                    if !pulse.head_has_begun() {
                        serving.as_mut().graceful_shutdown();
                    }
                    serving.await
                }
            }
        }
        served = serving.as_mut() => served,
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn http2<IO, A>(
    io: Watched<IO>,
    pulse: &Arc<Pulse>,
    talk: Arc<Talk<A>>,
    limits: Limits,
    mut phase: watch::Receiver<Phase>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answer,
{
    let turns = Turns::new();
    let service = service_fn({
        let turns = turns.clone();
        move |request: Request<Incoming>| {
            let (talk, turn) = (talk.clone(), turns.begin());
            async move {
                let response = talk.over_http2(request, MOST_HEADERS).await;
                Ok::<_, Infallible>(response.map(|body| InTurn { body, turn }))
            }
        }
    });
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(LARGEST_HEAD)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(OWN_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(io), service);
    let mut serving = pin!(serving);
    let served = tokio::select! {
        biased;
        served = serving.as_mut() => Some(served),
        () = stopping(&mut phase) => None,
        () = turns.idle(limits.keep_alive) => None,
    };
    let served = if let Some(served) = served {
        served
    } else {
        serving.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            served = serving => served,
            () = stays_away(&turns, pulse) => {
                tracing::debug!("a client does not leave and is cut off");
                Ok(())
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Returns when the gateway stops and a connection that nobody uses may be closed.
async fn leaving(phase: &mut watch::Receiver<Phase>) {
    stopping(phase).await;
    time::sleep(GRACE).await;
}

/// Returns when nothing was in flight and no byte has moved between two looks.
async fn stays_away(turns: &Turns, pulse: &Pulse) {
    let mut before = None;
    loop {
        let now = turns.none().then(|| pulse.moves());
        if now.is_some() && now == before {
            return;
        }
        before = now;
        time::sleep(GOODBYE).await;
    }
}
