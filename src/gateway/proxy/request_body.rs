//! A client's body on its way to the upstream: counted, limited, and without trailers.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::failure::Failure;

/// How far a client's body has come, for whoever waits for the answer to it. Notes who waits for whom, so that a
/// stalled client can be told from a slow upstream.
#[derive(Debug, Default)]
pub(super) struct Progress(AtomicU32);

impl Progress {
    /// The upstream would take more, and the client has sent none.
    const WAITING: u32 = 1 << 31;
    /// The client has sent something that is no body.
    const DAMAGED: u32 = 1 << 30;
    /// The client has sent more than it may.
    const TOO_LARGE: u32 = 1 << 29;
    const FLAGS: u32 = Self::WAITING | Self::DAMAGED | Self::TOO_LARGE;

    /// Changes whenever something moves.
    pub(super) fn mark(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn is_waiting(mark: u32) -> bool {
        mark & Self::WAITING != 0
    }

    /// What is wrong with the client's body, if that is why an exchange broke off.
    pub(super) fn fault(&self, limit: Option<u64>) -> Option<Failure> {
        let mark = self.mark();
        if mark & Self::TOO_LARGE != 0 {
            return Some(Failure::TooLarge(limit.unwrap_or(u64::MAX)));
        }
        (mark & Self::DAMAGED != 0).then_some(Failure::Damaged)
    }

    fn moved(&self) {
        let count = (self.mark() & !Self::FLAGS).wrapping_add(1) & !Self::FLAGS;
        self.0.store(count, Ordering::Relaxed);
    }

    /// As if the client had sent nothing that the upstream could take.
    #[cfg(test)]
    pub(super) fn note_waiting(&self) {
        self.note(Self::WAITING);
    }

    fn note(&self, flag: u32) {
        self.0.store((self.mark() & !Self::FLAGS) | flag, Ordering::Relaxed);
    }
}

/// A client's body on its way to the upstream.
pub(super) struct RequestBody {
    inner: Incoming,
    /// None where there is no body to wait for.
    progress: Option<Arc<Progress>>,
    /// How much more the client may send.
    left: u64,
}

/// A body that ends early. Has no source: the upstream is not told the client's reason for a reset as if it were ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestBodyError {
    #[error("the client's body ends early: {0}")]
    Client(hyper::Error),
    #[error("the client's body is too large")]
    TooLarge,
}

/// A body that can be seen to move, and where that is noted. One that says beforehand that it is larger than the limit is
/// refused before anything of it is asked for.
pub(super) fn watch(
    body: Incoming,
    limit: Option<u64>,
) -> Result<(RequestBody, Option<Arc<Progress>>), Failure> {
    if let Some(limit) = limit
        && body.size_hint().lower() > limit
    {
        return Err(Failure::TooLarge(limit));
    }
    let progress = (!body.is_end_stream()).then(Arc::<Progress>::default);
    let left = limit.unwrap_or(u64::MAX);
    Ok((RequestBody { inner: body, progress: progress.clone(), left }, progress))
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        let (flag, passed) = match polled {
            Poll::Pending => (Some(Progress::WAITING), Poll::Pending),
            Poll::Ready(None) => (None, Poll::Ready(None)),
            Poll::Ready(Some(Err(error))) => {
                let error = RequestBodyError::Client(error);
                (Some(Progress::DAMAGED), Poll::Ready(Some(Err(error))))
            }
            Poll::Ready(Some(Ok(frame))) => {
                let size = frame.data_ref().map(|data| data.len() as u64);
                match size.map(|size| self.left.checked_sub(size)) {
                    // Trailers stay here: some apps take them for headers, and nobody would have looked at them.
                    None => (None, Poll::Ready(None)),
                    Some(None) => {
                        let error = RequestBodyError::TooLarge;
                        (Some(Progress::TOO_LARGE), Poll::Ready(Some(Err(error))))
                    }
                    Some(Some(left)) => {
                        self.left = left;
                        (None, Poll::Ready(Some(Ok(frame))))
                    }
                }
            }
        };
        if let Some(progress) = &self.progress {
            match flag {
                Some(flag) => progress.note(flag),
                None => progress.moved(),
            }
        }
        passed
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
