//! One request and its answer on a connection.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{
    connection::Connection,
    ending::{BadBody, Ending, Piece},
    head::{BadHead, Head, LARGEST_HEAD, read_head},
    sending::{Sending, Unsent},
};
use crate::gateway::{alarm::Alarm, wire::Wire};

/// A request that was begun on a connection, until its answer has ended.
pub(in super::super) struct Ongoing {
    connection: Box<Connection>,
    sending: Sending,
    outgoing: Outgoing,
}

/// How far the request has come.
enum Outgoing {
    Underway,
    Sent,
    /// The upstream takes no more of it. It may have answered before.
    Refused(io::Error),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Trouble {
    #[error(transparent)]
    Head(#[from] BadHead),
    #[error("it has closed the connection without an answer")]
    Closed,
    #[error("it has closed the connection within the head of its answer")]
    Cut,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the request cannot be sent: {0}")]
    Unsent(io::Error),
    /// The client has not sent all of the request.
    #[error("the client's body has no end")]
    Body,
}

impl Ongoing {
    /// Begins a request whose head the connection has.
    pub(in super::super) fn new(connection: Box<Connection>, sending: Sending) -> Self {
        Self { connection, sending, outgoing: Outgoing::Underway }
    }

    /// Begins it anew on another connection, nothing of it having left us on the first.
    pub(in super::super) fn again(self, mut connection: Box<Connection>) -> Self {
        connection.take_over(*self.connection);
        Self::new(connection, self.sending)
    }

    /// Whether nothing of the request has left us.
    pub(in super::super) fn is_untouched(&self) -> bool {
        !self.connection.has_written
    }

    /// For how long is waited on this connection.
    pub(in super::super) fn alarm(&mut self) -> &mut Option<Alarm> {
        &mut self.connection.alarm
    }

    /// Sends what can be sent, and reads until the head of the answer is there.
    pub(in super::super) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        is_for_head: bool,
    ) -> Poll<Result<Head, Trouble>> {
        self.send(context).map_err(|Abandoned| Trouble::Body)?;
        loop {
            let before = self.connection.unread.len();
            match ready!(self.connection.poll_read(context)) {
                Ok(0) => return Poll::Ready(Err(self.closed(None))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(self.closed(Some(error)))),
            }
            // Once it has begun, there is nothing new to see before a line has ended: it may come byte by byte.
            let unread = &mut self.connection.unread;
            let is_new =
                before == 0 || unread[before..].contains(&b'\n') || unread.len() > LARGEST_HEAD;
            if is_new && let Some(head) = read_head(unread, is_for_head)? {
                return Poll::Ready(Ok(head));
            }
        }
    }

    /// Why a connection has ended without an answer.
    fn closed(&mut self, error: Option<io::Error>) -> Trouble {
        match (&mut self.outgoing, error) {
            (Outgoing::Refused(error), _) => {
                Trouble::Unsent(std::mem::replace(error, io::ErrorKind::BrokenPipe.into()))
            }
            (_, Some(error)) => Trouble::Io(error),
            (_, None) if self.connection.unread.is_empty() => Trouble::Closed,
            (_, None) => Trouble::Cut,
        }
    }

    /// Sends what can be sent, as long as the upstream takes it.
    fn send(&mut self, context: &mut Context<'_>) -> Result<(), Abandoned> {
        if matches!(self.outgoing, Outgoing::Underway) {
            match self.sending.poll(&mut self.connection, context) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.outgoing = Outgoing::Sent,
                Poll::Ready(Err(Unsent::Connection(error))) => {
                    self.outgoing = Outgoing::Refused(error);
                }
                Poll::Ready(Err(Unsent::Body)) => return Err(Abandoned),
            }
        }
        Ok(())
    }

    /// The next piece of the answer's body. Goes on sending, where the answer came early.
    pub(super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        ending: &mut Ending,
    ) -> Poll<Result<Piece, BodyTrouble>> {
        self.send(context).map_err(|Abandoned| BodyTrouble::Abandoned)?;
        loop {
            match ending.take(&mut self.connection.unread)? {
                Piece::NotYet => {}
                piece => return Poll::Ready(Ok(piece)),
            }
            if ready!(self.connection.poll_read(context))? == 0 {
                return Poll::Ready(ending.at_close().map_err(BodyTrouble::from));
            }
        }
    }

    /// The whole body, where all of it has come with the head.
    pub(super) fn whole(&mut self, ending: &Ending) -> Option<Bytes> {
        let unread = &mut self.connection.unread;
        let length =
            usize::try_from(ending.left()?).ok().filter(|length| *length <= unread.len())?;
        Some(unread.split_to(length).freeze())
    }

    /// The connection, if it has nothing more of this exchange on it.
    pub(super) fn into_rested(mut self) -> Option<Box<Connection>> {
        let is_clean = matches!(self.outgoing, Outgoing::Sent) && self.connection.unread.is_empty();
        is_clean.then(|| {
            self.connection.rest();
            self.connection
        })
    }

    /// The bytes behind the head, once this is no HTTP any more.
    pub(in super::super) fn into_parts(self) -> (Wire, Bytes) {
        self.connection.into_parts()
    }
}

/// The client has not sent all of its request.
struct Abandoned;

/// Why an answer cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub(in crate::gateway) enum BodyTrouble {
    #[error(transparent)]
    Bad(#[from] BadBody),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the client's body has no end")]
    Abandoned,
}
