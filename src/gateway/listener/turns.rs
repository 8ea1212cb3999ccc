//! The requests that are in flight on an HTTP/2 connection.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{self, Instant};

/// How many requests are in flight, and for how long there has been none.
#[derive(Debug)]
pub(super) struct Turns {
    in_flight: AtomicUsize,
    since: Instant,
    /// When the last one ended, in milliseconds.
    ended: AtomicU64,
}

impl Turns {
    pub(super) fn new() -> Arc<Self> {
        let (in_flight, ended) = (AtomicUsize::default(), AtomicU64::default());
        Arc::new(Self { in_flight, since: Instant::now(), ended })
    }

    pub(super) fn begin(self: &Arc<Self>) -> Turn {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Turn { turns: self.clone() }
    }

    pub(super) fn none(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
    }

    /// Returns when there has been none for that long.
    pub(super) async fn idle(&self, limit: Duration) {
        let mut wait = limit;
        while !wait.is_zero() {
            time::sleep(wait).await;
            wait = if self.none() {
                let ended = Duration::from_millis(self.ended.load(Ordering::Relaxed));
                limit.saturating_sub(self.since.elapsed().saturating_sub(ended))
            } else {
                limit
            };
        }
    }
}

/// One request, until its answer has ended.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let now = self.turns.since.elapsed().as_millis();
        self.turns.ended.store(u64::try_from(now).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.turns.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// An answer's body, with the turn that ends with it.
    pub(super) struct InTurn<B> {
        #[pin]
        pub(super) body: B,
        pub(super) turn: Turn,
    }
}

impl<B: Body> Body for InTurn<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
