//! A connection's bytes, with an eye on when they move, and a farewell that loses none of them.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    runtime::Handle,
    time,
};

use super::connection::Seat;

/// How long a client may go on sending after we have said our last.
const FAREWELL: Duration = Duration::from_secs(2);
/// Nobody waits for a head.
const NOBODY: u64 = u64::MAX;

/// How the bytes of a connection move.
#[derive(Debug)]
pub(super) struct Pulse {
    reads: AtomicU64,
    writes: AtomicU64,
    /// How many reads there had been when somebody began to wait for a head.
    waiting_since: AtomicU64,
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        let waiting_since = AtomicU64::new(NOBODY);
        Arc::new(Self { reads: AtomicU64::default(), writes: AtomicU64::default(), waiting_since })
    }

    pub(super) fn wait_for_head(&self) {
        self.waiting_since.store(self.reads.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    pub(super) fn head_is_here(&self) {
        self.waiting_since.store(NOBODY, Ordering::Relaxed);
    }

    /// Whether the head that is waited for has begun to arrive. One whose beginning came together with the request
    /// before it goes unnoticed until its next bytes.
    pub(super) fn head_has_begun(&self) -> bool {
        let since = self.waiting_since.load(Ordering::Relaxed);
        since != NOBODY && self.reads.load(Ordering::Relaxed) > since
    }

    /// A number that changes whenever bytes move, whichever way.
    pub(super) fn moves(&self) -> u64 {
        self.reads.load(Ordering::Relaxed) + self.writes.load(Ordering::Relaxed)
    }
}

/// A connection's bytes.
///
/// A socket that is closed with bytes unread takes back what it has sent but the client has not read yet: the 431 for a
/// head that is too large, or the 413 for a body. So when we have said our last and the client has not, the rest is read
/// and thrown away, for a short while.
#[derive(Debug)]
pub(super) struct Watched<IO>
where
    IO: AsyncRead + Unpin + Send + 'static,
{
    /// Gone only when this is dropped.
    io: Option<IO>,
    /// What was read already to see which protocol it is.
    first: Bytes,
    pulse: Arc<Pulse>,
    seat: Option<Seat>,
    we_have_ended: bool,
    client_has_ended: bool,
}

impl<IO> Watched<IO>
where
    IO: AsyncRead + Unpin + Send + 'static,
{
    pub(super) fn new(io: IO, first: Bytes, pulse: Arc<Pulse>, seat: Seat) -> Self {
        let (io, seat) = (Some(io), Some(seat));
        Self { io, first, pulse, seat, we_have_ended: false, client_has_ended: false }
    }

    fn io(&mut self) -> Pin<&mut IO> {
        Pin::new(self.io.as_mut().expect("only dropping takes it"))
    }

    fn wrote<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_ready() {
            self.pulse.writes.fetch_add(1, Ordering::Relaxed);
        }
        written
    }
}

impl<IO> Drop for Watched<IO>
where
    IO: AsyncRead + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        if !self.we_have_ended || self.client_has_ended {
            return;
        }
        let (Some(mut io), Ok(runtime)) = (self.io.take(), Handle::try_current()) else { return };
        let seat = self.seat.take();
        runtime.spawn(async move {
            let mut rest = vec![0; 8 * 1024];
            let all = async { while io.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
            time::timeout(FAREWELL, all).await.ok();
            drop((io, seat));
        });
    }
}

impl<IO> AsyncRead for Watched<IO>
where
    IO: AsyncRead + Unpin + Send + 'static,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.has_remaining() {
            let count = self.first.remaining().min(buffer.remaining());
            buffer.put_slice(&self.first.split_to(count));
            self.pulse.reads.fetch_add(1, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = self.io().poll_read(context, buffer);
        match &read {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.pulse.reads.fetch_add(1, Ordering::Relaxed);
            }
            Poll::Ready(Ok(())) if buffer.remaining() == 0 => {}
            Poll::Ready(_) => self.client_has_ended = true,
            Poll::Pending => {}
        }
        read
    }
}

impl<IO> AsyncWrite for Watched<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.io().poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.io().poll_write_vectored(context, bytes);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self.io().poll_shutdown(context);
        if matches!(shut, Poll::Ready(Ok(()))) {
            self.we_have_ended = true;
        }
        shut
    }
}
