//! The upstream: one function from a request to its response, over connections that are used again.

use std::{
    fmt,
    future::poll_fn,
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
    request::is_websocket,
    response, tunnel,
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
    #[error("the exchange broke off: {0}")]
    Broken(hyper::Error),
}

impl Failure {
    pub(in crate::gateway) fn status(&self) -> StatusCode {
        match self {
            Self::Connect(_) | Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout(_) | Self::ResponseTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::ClientStalled(_) => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// One word of a fixed set, for scripts.
    pub(in crate::gateway) fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Broken(_) => "upstream_unavailable",
            Self::ConnectTimeout(_) | Self::ResponseTimeout(_) => "upstream_timeout",
            Self::ClientStalled(_) => "request_timeout",
        }
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

    pub(in crate::gateway) fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// Passes a prepared request on and gives the answer back as soon as its head is there.
    pub(in crate::gateway) async fn exchange(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let mut response = if is_websocket(request.headers()) {
            self.upgrade(request).await?
        } else {
            self.pass(request).await?
        };
        response::prepare(&mut response);
        Ok(response)
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Response<UpstreamBody>, Failure> {
        let watched = Watched::new(request);
        let Watched { mut request, progress } = watched;
        loop {
            let idle = poll_fn(|context| Poll::Ready(self.pool.take(context))).await;
            let was_idle = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => Connection::open(self.connect().await?).await.map_err(Failure::Broken)?,
            };
            match self.send(&mut connection, request, progress.as_deref()).await? {
                Ok(response) => {
                    let pool = self.pool.clone();
                    return Ok(response.map(|body| UpstreamBody::new(body, connection, pool)));
                }
                // An idle connection had just been closed, and nothing of the request was written to it.
                Err(SendError::Unsent(unsent)) if was_idle => request = *unsent,
                Err(SendError::Unsent(_)) => {
                    return Err(Failure::Connect(std::io::ErrorKind::ConnectionReset.into()));
                }
                Err(SendError::Broken(error)) => return Err(Failure::Broken(error)),
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
        let mut seen = 0;
        poll_fn(|context| {
            driver.poll(context);
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Ok(answer.map_err(SendError::from)));
            }
            while alarm.as_mut().poll(context).is_ready() {
                // While the client's body moves, the upstream has nothing to answer yet.
                let moved = progress.map_or(0, |progress| progress.load(Ordering::Relaxed));
                if moved == seen {
                    let sent = progress.is_none() || moved & RequestBody::ENDED != 0;
                    let failure =
                        if sent { Failure::ResponseTimeout } else { Failure::ClientStalled };
                    return Poll::Ready(Err(failure(limit)));
                }
                seen = moved;
                alarm.as_mut().reset(Instant::now() + limit);
            }
            Poll::Pending
        })
        .await
    }

    /// A WebSocket gets a connection of its own, which is never used again.
    async fn upgrade(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let client = hyper::upgrade::on(&mut request);
        let limit = self.limits.response_head;
        let opened = tunnel::open(self.connect().await?, request);
        let mut response = timeout(limit, opened)
            .await
            .map_err(|_| Failure::ResponseTimeout(limit))?
            .map_err(Failure::Broken)?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            tokio::spawn(tunnel::join(client, hyper::upgrade::on(&mut response)));
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

/// A request whose body can be seen to move.
struct Watched {
    request: Request<RequestBody>,
    progress: Option<Arc<AtomicU32>>,
}

impl Watched {
    fn new(request: Request<Incoming>) -> Self {
        let progress = (!request.body().is_end_stream()).then(Arc::<AtomicU32>::default);
        let watch = progress.clone();
        Self { request: request.map(|inner| RequestBody { inner, progress: watch }), progress }
    }
}

/// A client's body on its way to the upstream. Counts what passes, so that a stalled client can be told from a slow
/// upstream.
pub(super) struct RequestBody {
    inner: Incoming,
    progress: Option<Arc<AtomicU32>>,
}

impl RequestBody {
    /// The bit that says that all of the body has passed.
    const ENDED: u32 = 1 << 31;
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if let (Poll::Ready(frame), Some(progress)) = (&polled, &self.progress) {
            let moved = progress.load(Ordering::Relaxed).wrapping_add(1) & !Self::ENDED;
            let ended = frame.is_none() || self.inner.is_end_stream();
            progress.store(if ended { moved | Self::ENDED } else { moved }, Ordering::Relaxed);
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
