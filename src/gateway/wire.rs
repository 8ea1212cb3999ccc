//! What a connection's bytes come and go over, on either side of the gateway.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsStream;

/// What a connection's bytes come and go over: one type for all, so that there is one copy of what serves them.
#[derive(Debug)]
pub(super) enum Wire {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Wire>>),
}

impl Wire {
    /// Whether the handshake has settled on HTTP/2. A client that names no protocol speaks HTTP/1.1.
    pub(in crate::gateway) fn has_agreed_on_http2(&self) -> bool {
        match self {
            Self::Tls(io) => io.get_ref().1.alpn_protocol() == Some(b"h2"),
            Self::Tcp(_) | Self::Unix(_) => false,
        }
    }
}

/// Parts that are no more than this together are written as one: to copy so little costs less than what the system does to
/// see several parts.
const SMALL: usize = 1024;

/// Does the same with whichever it is.
macro_rules! whichever {
    ($wire:expr, $io:ident => $what:expr) => {
        match $wire.get_mut() {
            Wire::Tcp($io) => $what,
            Wire::Unix($io) => $what,
            Wire::Tls($io) => $what,
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        whichever!(self, io => Pin::new(io).poll_read(context, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        whichever!(self, io => Pin::new(io).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = bytes.iter().map(|part| part.len()).sum();
        if length <= SMALL {
            let mut together = [0; SMALL];
            let mut at = 0;
            for part in bytes {
                together[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            return self.poll_write(context, &together[..length]);
        }
        whichever!(self, io => Pin::new(io).poll_write_vectored(context, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(io) => io.is_write_vectored(),
            Self::Unix(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self, io => Pin::new(io).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self, io => Pin::new(io).poll_shutdown(context))
    }
}
