//! HTTP/1.1 connections to an upstream: driven by the task that uses them, and kept for the next one.

use std::{
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{failure::BodyError, request_body::RequestBody};
use crate::gateway::wire::Wire;

/// How many idle connections a core keeps.
pub(super) const MOST_IDLE: usize = 256;
/// Below Node's 5 s: a connection that the upstream closes in the moment of its use would fail a request.
pub(in crate::gateway) const LONGEST_IDLE: Duration = Duration::from_secs(4);

/// One connection to the upstream.
pub(super) struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) driver: Driver,
}

impl Connection {
    pub(super) async fn open(stream: Wire) -> hyper::Result<Self> {
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Driver(Some(Box::pin(driver))) })
    }

    /// Whether it can take another request.
    fn is_usable(&mut self, context: &mut Context<'_>) -> bool {
        self.driver.poll(context);
        self.driver.0.is_some() && self.sender.is_ready()
    }
}

/// What reads and writes a connection. Runs only when it is polled.
pub(super) struct Driver(Option<Pin<Box<Http1>>>);

type Http1 = http1::Connection<TokioIo<Wire>, RequestBody>;

impl Driver {
    /// Moves what can be moved. How the connection ends is told to whoever waits for an answer or a body.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) {
        if let Some(driver) = &mut self.0
            && driver.as_mut().poll(context).is_ready()
        {
            self.0 = None;
        }
    }
}

/// The idle connections of one core, the one that was used last on top. The lock is never waited for: a core is one
/// thread.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<(Connection, Instant)>>);

impl Pool {
    /// A connection that was open a moment ago, if there is one.
    pub(super) fn take(&self, context: &mut Context<'_>) -> Option<Connection> {
        loop {
            let (mut connection, since) = self.lock().pop()?;
            if since.elapsed() >= LONGEST_IDLE {
                // All below it are older.
                mem::take(&mut *self.lock());
                return None;
            }
            if connection.is_usable(context) {
                return Some(connection);
            }
        }
    }

    /// Lets go of connections that nobody will use again.
    pub(super) fn sweep(&self) {
        // The oldest are at the bottom.
        let mut idle = self.lock();
        let old = idle.partition_point(|(_, since)| since.elapsed() >= LONGEST_IDLE);
        let old: Vec<_> = idle.drain(..old).collect();
        drop(idle);
        drop(old);
    }

    fn put(&self, connection: Connection) {
        let mut idle = self.lock();
        if idle.len() < MOST_IDLE {
            idle.push((connection, Instant::now()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("idle", &self.lock().len()).finish()
    }
}

/// The body of an answer. Drives its connection while it is read, and gives it back at the end.
pub(super) struct PooledBody {
    body: Incoming,
    /// None when it was given back.
    connection: Option<(Connection, Arc<Pool>)>,
}

impl PooledBody {
    pub(super) fn new(body: Incoming, connection: Connection, pool: Arc<Pool>) -> Self {
        Self { body, connection: Some((connection, pool)) }
    }

    /// Gives the connection back, if it has no more of this exchange on it.
    fn release(&mut self, context: &mut Context<'_>) {
        if let Some((mut connection, pool)) = self.connection.take()
            && connection.is_usable(context)
        {
            pool.put(connection);
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some((connection, _)) = &mut self.connection {
            connection.driver.poll(context);
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.release(context),
            Poll::Ready(Some(Err(_))) => self.connection = None,
            _ => {}
        }
        polled.map_err(BodyError::Upstream)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for PooledBody {
    /// A server that knows the length does not ask for the end, so this is where most connections come back.
    fn drop(&mut self) {
        if self.body.is_end_stream() {
            self.release(&mut Context::from_waker(Waker::noop()));
        }
    }
}
