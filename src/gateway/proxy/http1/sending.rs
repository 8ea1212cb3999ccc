//! A request on its way out: the body behind a head that waits on the connection.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::Body;

use super::{super::request_body::RequestBody, connection::Connection};

/// What is left to send of a request's body.
pub(in super::super) struct Sending(Option<(RequestBody, Framing)>);

/// How the upstream sees where a request ends.
#[derive(Clone, Copy)]
enum Framing {
    /// After so many more bytes.
    Length(u64),
    Chunks,
}

/// Why a request cannot be sent to its end.
pub(super) enum Unsent {
    /// The connection does not take it.
    Connection(io::Error),
    /// The client has not sent all of it.
    Body,
}

impl Sending {
    /// Of a body whose framing the head tells.
    pub(in super::super) fn new(body: RequestBody) -> Self {
        let framing = match body.size_hint().exact() {
            _ if body.is_end_stream() => return Self(None),
            Some(length) => Framing::Length(length),
            None => Framing::Chunks,
        };
        Self(Some((body, framing)))
    }

    /// Sends as much as there is and goes. Ready once all is sent.
    pub(super) fn poll(
        &mut self,
        connection: &mut Connection,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        loop {
            // A body that is here already goes out with the head.
            let loaded = self.load(connection, context)?;
            ready!(connection.poll_write(context)).map_err(Unsent::Connection)?;
            if self.0.is_none() {
                return Poll::Ready(Ok(()));
            }
            ready!(loaded);
        }
    }

    /// Takes the next piece of the body. Ready as well where there is none, or the last one still waits.
    fn load(
        &mut self,
        connection: &mut Connection,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        let Some((body, framing)) = &mut self.0 else { return Poll::Ready(Ok(())) };
        let outbox = &mut connection.outbox;
        if !outbox.data.is_empty() || !outbox.tail.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let data = match ready!(Pin::new(body).poll_frame(context)) {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) => return Poll::Ready(Err(Unsent::Body)),
            None => {
                match framing {
                    Framing::Chunks => outbox.tail = b"0\r\n\r\n",
                    Framing::Length(0) => {}
                    Framing::Length(_) => return Poll::Ready(Err(Unsent::Body)),
                }
                self.0 = None;
                return Poll::Ready(Ok(()));
            }
        };
        match framing {
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(Unsent::Body)?;
                if *left == 0 {
                    self.0 = None;
                }
            }
            // An empty one would be the last.
            Framing::Chunks if data.is_empty() => {}
            Framing::Chunks => {
                write!(outbox.text, "{:x}\r\n", data.len()).map_err(Unsent::Connection)?;
                outbox.tail = b"\r\n";
            }
        }
        outbox.data = data;
        Poll::Ready(Ok(()))
    }
}
