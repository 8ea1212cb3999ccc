//! Upstreams that speak HTTP/1.1 over TCP or a unix socket, through connections that the request's own task drives.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
};

use http::{HeaderValue, Request, Response, StatusCode, header::TRANSFER_ENCODING};
use http_body::Body;
use hyper::{body::Incoming, client::conn::TrySendError};

use super::{
    body::UpstreamBody,
    connection::{Connection, Pool, PooledBody},
    failure::Failure,
    patience,
    peer::Peer,
    request_body::{Progress, RequestBody, watch},
    upstream::Exchange,
};

/// An HTTP/1.1 upstream, as one core uses it.
#[derive(Debug)]
pub(super) struct Plain {
    pub(super) peer: Peer,
    pub(super) pool: Arc<Pool>,
}

impl Plain {
    pub(super) fn new(peer: Peer) -> Self {
        Self { peer, pool: Arc::default() }
    }

    pub(super) async fn pass(
        &self,
        request: Request<Incoming>,
        exchange: &Exchange,
    ) -> Result<Response<UpstreamBody>, Failure> {
        let (mut request, progress) = watch(request, exchange.body_limit)?;
        frame(&mut request);
        let progress = progress.as_deref();
        loop {
            let idle = poll_fn(|context| Poll::Ready(self.pool.take(context))).await;
            let was_idle = idle.is_some();
            let mut connection = if let Some(connection) = idle {
                connection
            } else {
                let stream = self.peer.connect(exchange.connect).await?;
                Connection::open(stream).await.map_err(|error| Failure::broken(&error))?
            };
            match send(&mut connection, request, exchange, progress).await? {
                // Whatever follows on this connection, it is not HTTP.
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Failure::Broken("it switches protocols unasked".to_owned()));
                }
                Ok(response) => {
                    let pool = self.pool.clone();
                    return Ok(response
                        .map(|body| PooledBody::new(body, connection, pool))
                        .map(UpstreamBody::from));
                }
                // An idle connection had just been closed, and nothing of the request was written to it.
                Err(SendError::Unsent(unsent)) if was_idle => request = *unsent,
                Err(SendError::Unsent(_)) => {
                    return Err(Failure::Connect("the connection was closed at once".to_owned()));
                }
                Err(SendError::Broken(error)) => {
                    let fault = progress.and_then(|progress| progress.fault(exchange.body_limit));
                    return Err(fault.unwrap_or_else(|| Failure::broken(&error)));
                }
            }
        }
    }
}

/// Says that there is a body without a length: it is not expected with every method, and HTTP/2 has no word for it.
pub(super) fn frame(request: &mut Request<RequestBody>) {
    let body = request.body();
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        request.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Sends a request, and drives the connection in this very task until the answer's head is there.
async fn send(
    connection: &mut Connection,
    request: Request<RequestBody>,
    exchange: &Exchange,
    progress: Option<&Progress>,
) -> Result<Result<Response<Incoming>, SendError>, Failure> {
    let mut answer = pin!(connection.sender.try_send_request(request));
    let driver = &mut connection.driver;
    patience::wait(exchange.response_head, progress, |context| {
        driver.poll(context);
        answer.as_mut().poll(context).map_err(SendError::from)
    })
    .await
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
