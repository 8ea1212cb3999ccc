//! A connection to an upstream: its bytes in both directions, and nothing of what they mean.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use crate::gateway::{alarm::Alarm, wire::Wire};

/// What is made for reading into. Most answers fit, head and all.
const ROOM: usize = 8 * 1024;
/// At least so much is read at once, where there is as much,
const LEAST_READ: usize = 4 * 1024;
/// and up to this, where an answer keeps filling what there is.
const MOST_READ: usize = 64 * 1024;

/// One connection to an upstream.
#[derive(Debug)]
pub(in super::super) struct Connection {
    wire: Wire,
    /// What has come and nobody has taken yet.
    pub(super) unread: BytesMut,
    /// How much is read at once.
    room: usize,
    pub(super) outbox: Outbox,
    /// Whether anything of this request has left us.
    pub(super) has_written: bool,
    pub(super) alarm: Option<Alarm>,
}

/// What is to be written: text of ours, then a piece of a body, then the text that ends it.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) text: Vec<u8>,
    written: usize,
    pub(super) data: Bytes,
    pub(super) tail: &'static [u8],
}

impl Connection {
    pub(in super::super) fn new(wire: Wire) -> Self {
        let unread = BytesMut::with_capacity(ROOM);
        let outbox = Outbox::default();
        Self { wire, unread, room: ROOM, outbox, has_written: false, alarm: None }
    }

    /// The head of a request, to be written with the next request that is begun.
    pub(in super::super) fn head(&mut self) -> &mut Vec<u8> {
        &mut self.outbox.text
    }

    /// Takes what another connection could not write any of.
    pub(super) fn take_over(&mut self, other: Self) {
        self.outbox = other.outbox;
    }

    /// The bytes themselves, and those that were read too far, once this is no HTTP any more.
    pub(super) fn into_parts(self) -> (Wire, Bytes) {
        (self.wire, self.unread.freeze())
    }

    /// Whether it can take another request: it is open, and nothing came that nobody has asked for.
    pub(super) fn is_idle(&mut self, context: &mut Context<'_>) -> bool {
        self.unread.is_empty() && self.poll_read(context).is_pending()
    }

    /// Makes it ready for the next request, and as small as it can be until then.
    pub(super) fn rest(&mut self) {
        self.has_written = false;
        if self.room > ROOM {
            self.room = ROOM;
            self.unread = BytesMut::new();
        }
        if self.outbox.text.capacity() > ROOM {
            self.outbox.text = Vec::new();
        }
    }

    /// Reads more, and says how much: nothing at the end.
    pub(super) fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.unread.capacity() - self.unread.len() < LEAST_READ {
            self.unread.reserve(self.room);
        }
        let spare = self.unread.capacity() - self.unread.len();
        // It keeps nothing from one time to the next.
        let read = pin!(self.wire.read_buf(&mut self.unread));
        let count = ready!(read.poll(context))?;
        // Not more than is used: whoever has a small piece of it holds all of it.
        if count == spare {
            self.room = (2 * self.room).min(MOST_READ);
        } else if count < self.room / 4 {
            self.room = (self.room / 2).max(ROOM);
        }
        Poll::Ready(Ok(count))
    }

    /// Writes until the outbox is empty.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = Pin::new(&mut self.wire);
        while !self.outbox.is_empty() {
            let count = match self.outbox.slices() {
                [text, [], []] => ready!(wire.as_mut().poll_write(context, text))?,
                parts => {
                    let parts = parts.map(IoSlice::new);
                    ready!(wire.as_mut().poll_write_vectored(context, &parts))?
                }
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.has_written = true;
            self.outbox.wrote(count);
        }
        // TLS may still hold some of it, also what an earlier call has written.
        wire.poll_flush(context)
    }
}

impl Outbox {
    fn slices(&self) -> [&[u8]; 3] {
        [&self.text[self.written..], &self.data, self.tail]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slices().iter().all(|part| part.is_empty())
    }

    fn wrote(&mut self, mut count: usize) {
        let text = count.min(self.text.len() - self.written);
        self.written += text;
        count -= text;
        if self.written == self.text.len() {
            self.text.clear();
            self.written = 0;
        }
        let data = count.min(self.data.len());
        self.data.advance(data);
        if self.data.is_empty() {
            // It was a part of something larger.
            self.data = Bytes::new();
        }
        count -= data;
        self.tail = &self.tail[count..];
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };

    use super::*;

    fn pair() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Connection::new(Wire::Unix(ours)), theirs)
    }

    #[tokio::test]
    async fn text_data_and_tail_are_written_in_their_order_however_little_fits() {
        let (mut connection, mut theirs) = pair();
        let data = vec![b'd'; 1 << 20];
        connection.head().extend_from_slice(b"head ");
        connection.outbox.data = data.clone().into();
        connection.outbox.tail = b" tail";
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).await.unwrap();
            all
        });
        poll_fn(|context| connection.poll_write(context)).await.unwrap();
        assert!(connection.has_written && connection.outbox.is_empty());
        drop(connection);
        assert!(reading.await.unwrap() == [b"head ", &data[..], b" tail"].concat());
    }

    #[tokio::test]
    async fn more_is_read_at_once_where_more_comes_and_is_given_back() {
        let (mut connection, mut theirs) = pair();
        assert!(poll_fn(|context| Poll::Ready(connection.is_idle(context))).await);
        let writing = tokio::spawn(async move {
            theirs.write_all(&vec![b'd'; 1 << 20]).await.unwrap();
            theirs
        });
        let mut most = 0;
        let mut count = 0;
        while count < 1 << 20 {
            let read = poll_fn(|context| connection.poll_read(context)).await.unwrap();
            most = most.max(read);
            count += read;
            drop(connection.unread.split());
        }
        assert!(most > 4 * ROOM, "{most}");
        assert!(connection.unread.capacity() <= 4 * MOST_READ);
        connection.rest();
        assert_eq!(connection.unread.capacity(), 0);
        drop(writing.await.unwrap());
        not_idle_any_more(&mut connection).await;
    }

    #[tokio::test]
    async fn a_connection_that_speaks_unasked_is_not_idle() {
        let (mut connection, mut theirs) = pair();
        assert!(poll_fn(|context| Poll::Ready(connection.is_idle(context))).await);
        theirs.write_all(b"HTTP/1.1 408 Too Slow\r\n\r\n").await.unwrap();
        not_idle_any_more(&mut connection).await;
        assert!(!poll_fn(|context| Poll::Ready(connection.is_idle(context))).await, "nor later");
    }

    /// Waits until something has arrived.
    async fn not_idle_any_more(connection: &mut Connection) {
        let seen =
            poll_fn(
                |context| {
                    if connection.is_idle(context) { Poll::Pending } else { Poll::Ready(()) }
                },
            );
        tokio::time::timeout(Duration::from_secs(10), seen).await.expect("it stays idle");
    }
}
