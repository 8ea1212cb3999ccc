//! Requests over HTTP/1.1: on connections that are kept for the next one, or on one of its own for a WebSocket.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use http::{Method, Response, StatusCode, request::Parts};
use hyper::body::Incoming;

use super::{
    body::UpstreamBody,
    failure::Failure,
    http1::{AnswerBody, Connection, Head, Ongoing, Pool, Sending, Trouble, write_head},
    patience,
    peer::Peer,
    request::{Forwarding, Length},
    request_body::{Progress, watch},
    tunnel::{self, Terms},
    upstream::Exchange,
};
use crate::gateway::wire::Wire;

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
        head: &Parts,
        body: Incoming,
        forwarding: &Forwarding<'_>,
        exchange: &Exchange,
    ) -> Result<Response<UpstreamBody>, Failure> {
        // Refused before anybody is connected to.
        let (body, progress) = watch(body, exchange.body_limit)?;
        let (mut connection, mut was_idle) = self.connection(exchange.connect).await?;
        write_head(connection.head(), head, Length::of(head, &body), forwarding);
        let mut ongoing = Ongoing::new(connection, Sending::new(body));
        loop {
            let progress = progress.as_deref();
            let trouble = match answer(&mut ongoing, head, exchange, progress).await? {
                // Whatever follows on this connection, it is not HTTP.
                Ok(answer) if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(Failure::Broken("it switches protocols unasked".to_owned()));
                }
                Ok(answer) => return Ok(passed_on(answer, ongoing, Some(&self.pool))),
                Err(trouble) => trouble,
            };
            if !ongoing.is_untouched() || matches!(trouble, Trouble::Body) {
                return Err(blame(&trouble, exchange, progress));
            }
            if !was_idle {
                return Err(Failure::Connect("the connection was closed at once".to_owned()));
            }
            // It had just been closed, and nothing of the request was written to it.
            (connection, was_idle) = self.connection(exchange.connect).await?;
            ongoing = ongoing.again(connection);
        }
    }

    /// A connection, and whether it was an idle one.
    async fn connection(&self, limit: Duration) -> Result<(Box<Connection>, bool), Failure> {
        // Unconstrained: one that has nothing to say must not be taken for open only because this task has had its turn.
        let taking = poll_fn(|context| Poll::Ready(self.pool.take(context)));
        if let Some(idle) = tokio::task::unconstrained(taking).await {
            return Ok((idle, true));
        }
        let wire = Box::pin(self.peer.connect(limit)).await?;
        Ok((Box::new(Connection::new(wire)), false))
    }
}

/// Asks for a WebSocket, on a connection of its own that is never used again.
pub(super) async fn upgrade(
    wire: Wire,
    head: &Parts,
    body: Incoming,
    forwarding: &Forwarding<'_>,
    exchange: &Exchange,
    terms: Terms,
) -> Result<Response<UpstreamBody>, Failure> {
    let (body, progress) = watch(body, exchange.body_limit)?;
    let mut connection = Box::new(Connection::new(wire));
    write_head(connection.head(), head, Length::of(head, &body), forwarding);
    let mut ongoing = Ongoing::new(connection, Sending::new(body));
    let progress = progress.as_deref();
    match answer(&mut ongoing, head, exchange, progress).await? {
        Ok(answer) if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
            let Head { status, reason: _, headers, .. } = answer;
            let (wire, unread) = ongoing.into_parts();
            tokio::spawn(tunnel::join(wire, unread, terms));
            let mut response = Response::new(UpstreamBody::from(""));
            (*response.status_mut(), *response.headers_mut()) = (status, headers);
            Ok(response)
        }
        Ok(answer) => Ok(passed_on(answer, ongoing, None)),
        Err(trouble) => Err(blame(&trouble, exchange, progress)),
    }
}

/// Sends the request in this very task, until the head of its answer is there.
async fn answer(
    ongoing: &mut Ongoing,
    head: &Parts,
    exchange: &Exchange,
    progress: Option<&Progress>,
) -> Result<Result<Head, Trouble>, Failure> {
    let is_for_head = head.method == Method::HEAD;
    let mut alarm = ongoing.alarm().take();
    let answer = patience::wait(&mut alarm, exchange.response_head, progress, |context| {
        ongoing.poll_head(context, is_for_head)
    })
    .await;
    *ongoing.alarm() = alarm;
    answer
}

/// The answer as it goes on. Its connection comes back to the pool, if there is one.
fn passed_on(head: Head, ongoing: Ongoing, pool: Option<&Arc<Pool>>) -> Response<UpstreamBody> {
    let Head { status, reason, headers, ending, stays_open } = head;
    let body = AnswerBody::new(ongoing, ending, pool.filter(|_| stays_open));
    let mut response = Response::new(UpstreamBody::from(body));
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    response
}

/// Whose fault it is that there is no answer.
fn blame(trouble: &Trouble, exchange: &Exchange, progress: Option<&Progress>) -> Failure {
    let fault = progress.and_then(|progress| progress.fault(exchange.body_limit));
    fault.unwrap_or_else(|| Failure::Broken(trouble.to_string()))
}
