//! What an upstream answers: read alike however it arrives, and as hyper's client reads it.

use std::{
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::{
    client::conn::http1,
    rt::{Read, ReadBufCursor, Write},
};

use super::input::first_line;
use crate::gateway::proxy::read_apart;

/// In the first line an `H` makes it the answer to a `HEAD`; the rest is what comes over the connection before it ends.
pub fn upstream_answers(data: &[u8]) {
    let (switches, answer) = first_line(data);
    let is_for_head = switches.contains(&b'H');
    let whole = read_apart([answer].into_iter(), is_for_head);
    for at_once in [1, 2, 3, 5, 16, 61, 1000] {
        let pieces = read_apart(answer.chunks(at_once), is_for_head);
        assert_eq!(pieces, whole, "in pieces of {at_once}");
    }
    if let Some(read) = &whole {
        let (left, _) = read.left;
        assert!(left + read.body.len() <= answer.len(), "nothing is made up");
        assert!(read.headers.len() <= 100 && read.trailers.len() <= 100);
    }
    // Some things are ours to refuse: hyper takes more of what nobody sends.
    let is_odd =
        |line: &[u8]| line.len() > 4000 || line.iter().filter(|b| b.is_ascii_digit()).count() > 18;
    if answer.len() > 8000 || answer.split(|byte| *byte == b'\n').any(is_odd) {
        return;
    }
    let ours = whole.map(|read| {
        let body = read.is_whole.then_some((read.body, read.trailers));
        Seen::new(read.status, read.headers, body)
    });
    let theirs = hyper(answer, is_for_head);
    // In trailers it lets a line feed end a line by itself, which is refused here.
    let has_bare_line_feed = answer.windows(2).any(|pair| pair[0] != b'\r' && pair[1] == b'\n');
    if has_bare_line_feed && ours.as_ref().is_some_and(|ours| ours.body.is_none()) {
        return;
    }
    assert_eq!(ours, theirs);
}

/// An answer, with its body if it has an end.
#[derive(Debug, PartialEq)]
struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    body: Option<(Vec<u8>, HeaderMap)>,
}

impl Seen {
    fn new(status: StatusCode, mut headers: HeaderMap, body: Option<(Vec<u8>, HeaderMap)>) -> Self {
        // What concerns the connection is not passed on, whoever takes it out.
        headers.remove(header::CONNECTION);
        Self { status, headers, body }
    }
}

/// How hyper's client reads it.
fn hyper(answer: &[u8], is_for_head: bool) -> Option<Seen> {
    let mut context = Context::from_waker(Waker::noop());
    let wire = Wire { left: answer.to_vec(), is_asked: false };
    let Poll::Ready(Ok((mut sender, connection))) = pin!(http1::handshake(wire)).poll(&mut context)
    else {
        panic!("there is nothing to wait for");
    };
    let method = if is_for_head { Method::HEAD } else { Method::GET };
    let request = Request::builder().method(method).uri("/").header(header::HOST, "a");
    let mut connection = Some(Box::pin(connection));
    let mut drive = |context: &mut Context<'_>| {
        if connection
            .as_mut()
            .is_some_and(|connection| connection.as_mut().poll(context).is_ready())
        {
            connection = None;
        }
    };
    let mut sending =
        pin!(sender.send_request(request.body(Empty::<Bytes>::new()).expect("it is whole")));
    let response = loop {
        drive(&mut context);
        if let Poll::Ready(response) = sending.as_mut().poll(&mut context) {
            break response.ok()?;
        }
    };
    let (head, body) = response.into_parts();
    let mut collecting = pin!(body.collect());
    let body = loop {
        drive(&mut context);
        if let Poll::Ready(body) = collecting.as_mut().poll(&mut context) {
            break body.ok();
        }
    };
    let body = body.map(|body| {
        let trailers = body.trailers().cloned().unwrap_or_default();
        (body.to_bytes().to_vec(), trailers)
    });
    Some(Seen::new(head.status, head.headers, body))
}

/// A connection on which an answer lies ready once something was asked.
struct Wire {
    left: Vec<u8>,
    is_asked: bool,
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_asked {
            return Poll::Pending;
        }
        let count = buffer.remaining().min(self.left.len());
        buffer.put_slice(&self.left[..count]);
        self.left.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.is_asked = true;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
