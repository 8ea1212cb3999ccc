//! Who answers requests, what is known of the connection they come by, and what becomes of a panic.

use std::{
    any::Any,
    error::Error,
    future::{Future, poll_fn},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::CONNECTION};
use hyper::body::{Body, Incoming};
use tokio::sync::mpsc;

use crate::gateway::client_address::ClientAddress;

/// Answers requests.
pub(in crate::gateway) trait Answer: Send + Sync + 'static {
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    fn answer(
        &self,
        request: Request<Incoming>,
        conn: &Conn,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The answer to a request that [`answer`](Self::answer) has not answered.
    fn without(&self, status: StatusCode) -> Response<Self::Body>;

    /// Does what has to be done from time to time.
    fn tidy(&self) {}
}

/// What is known of the connection that a request comes by.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Conn {
    /// Who is at the other end.
    pub(in crate::gateway) peer: SocketAddr,
    /// The same, as it is told to others.
    pub(in crate::gateway) peer_address: ClientAddress,
    /// Which of our addresses it came to.
    pub(in crate::gateway) local: SocketAddr,
    pub(in crate::gateway) tls: bool,
    /// Held by whatever is in flight for the client, beyond its answer.
    pub(in crate::gateway) open: mpsc::Sender<()>,
}

impl Conn {
    pub(in crate::gateway) fn new(
        peer: SocketAddr,
        local: SocketAddr,
        tls: bool,
        open: mpsc::Sender<()>,
    ) -> Self {
        Self { peer, peer_address: peer.ip().into(), local, tls, open }
    }
}

/// A connection, and who answers its requests.
#[derive(Debug)]
pub(super) struct Talk<A> {
    answer: Arc<A>,
    conn: Conn,
    ends: AtomicBool,
}

impl<A: Answer> Talk<A> {
    pub(super) fn new(answer: Arc<A>, conn: Conn) -> Self {
        Self { answer, conn, ends: AtomicBool::default() }
    }

    /// From here on clients are told that the connection ends with their answer.
    pub(super) fn end(&self) {
        self.ends.store(true, Ordering::Relaxed);
    }

    pub(super) async fn over_http1(&self, request: Request<Incoming>) -> Response<A::Body> {
        let mut response = self.caught(request).await;
        let goes_on = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if self.ends.load(Ordering::Relaxed) && !goes_on {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    pub(super) async fn over_http2(
        &self,
        request: Request<Incoming>,
        most_headers: usize,
    ) -> Response<A::Body> {
        if request.headers().len() > most_headers {
            return self.answer.without(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        self.caught(request).await
    }

    /// C55: what goes wrong in one request is no other request's business.
    async fn caught(&self, request: Request<Incoming>) -> Response<A::Body> {
        let method = request.method().clone();
        // Where it is made, since it is large to move around.
        let mut answer = pin!(self.answer.answer(request, &self.conn));
        // What has panicked is not touched again, so nobody sees it half done.
        let caught = poll_fn(|context| {
            match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
                Err(panic) => Poll::Ready(Err(panic)),
            }
        });
        match caught.await {
            Ok(response) => response,
            Err(panic) => {
                // Not its target: that may hold a code.
                tracing::error!(%method, panic = said(&*panic), "answering a request has panicked");
                self.answer.without(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
