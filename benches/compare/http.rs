//! HTTP/1.1 over one connection that is kept, by hand: a load generator tries nothing twice and does little itself.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

/// The head of an answer. Its body was read, and is gone.
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    text: &'a str,
}

impl<'a> Head<'a> {
    /// The values of all headers of this name, which is in lower case.
    pub(crate) fn values(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.text.lines().skip(1).filter_map(move |line| {
            let (said, value) = line.split_once(':')?;
            said.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Line {
    pub(crate) async fn open(addr: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request, and reads the whole answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<Head<'_>> {
        self.stream.write_all(request).await?;
        self.read.clear();
        let head = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let (status, body) = {
            let head = text(&self.read[..head])?;
            let status = head.get(9..12).and_then(|digits| digits.parse().ok());
            let status = status.ok_or_else(|| broken("no status"))?;
            (status, Body::of(&Head { status, text: head })?)
        };
        match body {
            Body::Length(length) => {
                while self.read.len() < head + length {
                    self.more().await?;
                }
            }
            // Nothing follows the last chunk: no other request is on the line.
            Body::Chunked => {
                while !self.read[head - 2..].ends_with(b"\r\n0\r\n\r\n") {
                    self.more().await?;
                }
            }
        }
        Ok(Head { status, text: text(&self.read[..head])? })
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(broken("the connection has ended")),
            _ => Ok(()),
        }
    }
}

enum Body {
    Length(usize),
    Chunked,
}

impl Body {
    fn of(head: &Head<'_>) -> io::Result<Self> {
        if let Some(length) = head.values("content-length").next() {
            return length.parse().map(Self::Length).map_err(|_| broken("no length"));
        }
        if head.values("transfer-encoding").next().is_some() {
            return Ok(Self::Chunked);
        }
        match head.status {
            204 | 304 => Ok(Self::Length(0)),
            _ => Err(broken("an answer without an end")),
        }
    }
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| broken("a head that is no text"))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn broken(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}
