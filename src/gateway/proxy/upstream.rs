//! The upstream: one function from a request to its response, over connections that are used again.

use std::{
    fmt,
    future::poll_fn,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::{Pin, pin},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::TrySendError};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use super::{
    connection::{Connection, Pool, UpstreamBody},
    response,
    tunnel::{self, Terms},
};
use crate::gateway::settings::Limits;

/// Where the upstream is: `http://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    host: Box<str>,
    port: u16,
}

impl FromStr for UpstreamUrl {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        let refuse = |reason| InvalidUpstream { text: text.to_owned(), reason };
        let uri: Uri = text.parse().map_err(|_| refuse("it is not a URL"))?;
        if uri.scheme_str() != Some("http") {
            return Err(refuse("it has to begin with http://"));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refuse("only host and port belong here"));
        }
        let authority = uri.authority().ok_or_else(|| refuse("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("a user name has no place here"));
        }
        let host = authority.host();
        let port = match authority.as_str()[host.len()..].strip_prefix(':') {
            None => 80,
            Some(port) => port.parse().map_err(|_| refuse("its port is not one"))?,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(refuse("it names no host"));
        }
        Ok(Self { host: host.into(), port })
    }
}

impl UpstreamUrl {
    /// Whether a gateway that listens on `addr` would be its own upstream.
    pub(in crate::gateway) fn is(&self, addr: SocketAddr) -> bool {
        let ip = match &*self.host {
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host => host.parse::<IpAddr>().ok(),
        };
        let same = |ip: IpAddr| ip == addr.ip() || (addr.ip().is_unspecified() && ip.is_loopback());
        self.port == addr.port() && ip.is_some_and(same)
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "http://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "http://{}:{}", self.host, self.port)
        }
    }
}

/// A text that is not the address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not the address of an upstream such as http://127.0.0.1:3000: {reason}")]
pub struct InvalidUpstream {
    text: String,
    reason: &'static str,
}

/// Why there is no answer from the upstream.
#[derive(Debug, thiserror::Error)]
pub(in crate::gateway) enum Failure {
    #[error("it cannot be connected to: {0}")]
    Connect(std::io::Error),
    #[error("connecting takes longer than {0:?}")]
    ConnectTimeout(Duration),
    #[error("it has not begun to answer within {0:?}")]
    ResponseTimeout(Duration),
    #[error("the client has stopped sending for {0:?}")]
    ClientStalled(Duration),
    #[error("the client's body is damaged or was cut off")]
    Damaged,
    #[error("the exchange broke off: {0}")]
    Broken(hyper::Error),
}

impl Failure {
    pub(in crate::gateway) fn status(&self) -> StatusCode {
        match self {
            Self::Connect(_) | Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout(_) | Self::ResponseTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::ClientStalled(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Damaged => StatusCode::BAD_REQUEST,
        }
    }

    /// One word of a fixed set, for scripts.
    pub(in crate::gateway) fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Broken(_) => "upstream_unavailable",
            Self::ConnectTimeout(_) | Self::ResponseTimeout(_) => "upstream_timeout",
            Self::ClientStalled(_) => "request_timeout",
            Self::Damaged => "bad_request",
        }
    }

    /// Whether it is the client's doing, so that nobody has to be woken up for it.
    pub(in crate::gateway) fn is_the_client_s(&self) -> bool {
        matches!(self, Self::ClientStalled(_) | Self::Damaged)
    }
}

/// One upstream, as one core uses it.
#[derive(Debug)]
pub(in crate::gateway) struct Upstream {
    url: UpstreamUrl,
    pool: Arc<Pool>,
    limits: Limits,
}

impl Upstream {
    pub(in crate::gateway) fn new(url: UpstreamUrl, limits: Limits) -> Self {
        Self { url, pool: Arc::default(), limits }
    }

    /// Lets go of idle connections that are too old to be used again.
    pub(in crate::gateway) fn sweep(&self) {
        self.pool.sweep();
    }

    pub(in crate::gateway) fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// Passes a prepared request on and gives the answer back as soon as its head is there. A request for a tunnel
    /// comes with its terms.
    pub(in crate::gateway) async fn exchange(
        &self,
        request: Request<Incoming>,
        tunnel: Option<Terms>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let mut response = match tunnel {
            Some(terms) => self.upgrade(request, terms).await?,
            None => self.pass(request).await?,
        };
        response::prepare(&mut response);
        Ok(response)
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Response<UpstreamBody>, Failure> {
        let (mut request, progress) = watch(request);
        let progress = progress.as_deref();
        loop {
            let idle = poll_fn(|context| Poll::Ready(self.pool.take(context))).await;
            let was_idle = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => Connection::open(self.connect().await?).await.map_err(Failure::Broken)?,
            };
            match self.send(&mut connection, request, progress).await? {
                Ok(response) => {
                    let pool = self.pool.clone();
                    return Ok(response.map(|body| UpstreamBody::new(body, connection, pool)));
                }
                // An idle connection had just been closed, and nothing of the request was written to it.
                Err(SendError::Unsent(unsent)) if was_idle => request = *unsent,
                Err(SendError::Unsent(_)) => {
                    return Err(Failure::Connect(std::io::ErrorKind::ConnectionReset.into()));
                }
                Err(SendError::Broken(error)) => {
                    let noted = progress.map_or(0, |progress| progress.load(Ordering::Relaxed));
                    let damaged = noted & RequestBody::DAMAGED != 0;
                    return Err(if damaged { Failure::Damaged } else { Failure::Broken(error) });
                }
            }
        }
    }

    /// Sends a request, and drives the connection in this very task until the answer's head is there.
    async fn send(
        &self,
        connection: &mut Connection,
        request: Request<RequestBody>,
        progress: Option<&AtomicU32>,
    ) -> Result<Result<Response<Incoming>, SendError>, Failure> {
        let limit = self.limits.response_head;
        let mut answer = pin!(connection.sender.try_send_request(request));
        let driver = &mut connection.driver;
        let mut alarm = pin!(sleep(limit));
        let (mut seen, mut moved_at) = (0, Instant::now());
        poll_fn(|context| {
            driver.poll(context);
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Ok(answer.map_err(SendError::from)));
            }
            // While the client's body moves, the upstream has nothing to answer yet.
            let moved = progress.map_or(0, |progress| progress.load(Ordering::Relaxed));
            if moved != seen {
                (seen, moved_at) = (moved, Instant::now());
            }
            while alarm.as_mut().poll(context).is_ready() {
                if moved_at.elapsed() >= limit {
                    let stalled = moved & RequestBody::WAITING != 0;
                    let failure =
                        if stalled { Failure::ClientStalled } else { Failure::ResponseTimeout };
                    return Poll::Ready(Err(failure(limit)));
                }
                alarm.as_mut().reset(moved_at + limit);
            }
            Poll::Pending
        })
        .await
    }

    /// A WebSocket gets a connection of its own, which is never used again.
    async fn upgrade(
        &self,
        mut request: Request<Incoming>,
        terms: Terms,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let client = hyper::upgrade::on(&mut request);
        let limit = self.limits.response_head;
        let opened = tunnel::open(self.connect().await?, request);
        let mut response = timeout(limit, opened)
            .await
            .map_err(|_| Failure::ResponseTimeout(limit))?
            .map_err(Failure::Broken)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            tokio::spawn(tunnel::join(client, hyper::upgrade::on(&mut response), terms));
        }
        Ok(response.map(UpstreamBody::alone))
    }

    async fn connect(&self) -> Result<TcpStream, Failure> {
        let limit = self.limits.connect;
        let connecting = TcpStream::connect((&*self.url.host, self.url.port));
        let stream = timeout(limit, connecting)
            .await
            .map_err(|_| Failure::ConnectTimeout(limit))?
            .map_err(Failure::Connect)?;
        // Where it fails, small requests wait a little longer.
        stream.set_nodelay(true).ok();
        Ok(stream)
    }
}

enum SendError {
    Unsent(Box<Request<RequestBody>>),
    Broken(hyper::Error),
}

impl From<TrySendError<Request<RequestBody>>> for SendError {
    fn from(mut error: TrySendError<Request<RequestBody>>) -> Self {
        match error.take_message() {
            Some(request) => Self::Unsent(Box::new(request)),
            None => Self::Broken(error.into_error()),
        }
    }
}

/// The request with a body that can be seen to move, and where that is noted. A request without a body needs neither.
fn watch(request: Request<Incoming>) -> (Request<RequestBody>, Option<Arc<AtomicU32>>) {
    let progress = (!request.body().is_end_stream()).then(Arc::<AtomicU32>::default);
    let noted = progress.clone();
    (request.map(|inner| RequestBody { inner, progress: noted }), progress)
}

/// A client's body on its way to the upstream. Counts what passes, and notes who waits for whom, so that a stalled
/// client can be told from a slow upstream.
pub(super) struct RequestBody {
    inner: Incoming,
    progress: Option<Arc<AtomicU32>>,
}

impl RequestBody {
    /// The upstream would take more, and the client has sent none.
    const WAITING: u32 = 1 << 31;
    /// The client has sent something that is no body.
    const DAMAGED: u32 = 1 << 30;
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let Some(progress) = &self.progress {
            let moved = progress.load(Ordering::Relaxed) & !Self::WAITING;
            let noted = match &polled {
                Poll::Pending => moved | Self::WAITING,
                Poll::Ready(Some(Err(_))) => moved | Self::DAMAGED,
                Poll::Ready(_) => moved.wrapping_add(1) & !(Self::WAITING | Self::DAMAGED),
            };
            progress.store(noted, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_plain_http_origin() {
        for (text, shown) in [
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://app/", "http://app:80"),
            ("http://[::1]:3000", "http://[::1]:3000"),
        ] {
            assert_eq!(text.parse::<UpstreamUrl>().unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "127.0.0.1:3000",
            "https://app",
            "ftp://app",
            "http://",
            "http://app/path",
            "http://app?x",
            "http://user@app",
            "http://app:",
            "http://app:99999",
        ] {
            assert!(bad.parse::<UpstreamUrl>().is_err(), "{bad}");
        }
    }
}
