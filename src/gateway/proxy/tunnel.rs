//! WebSockets: a connection of their own to the upstream, then bytes both ways.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::request::Parts;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional},
    sync::mpsc,
    time,
};

use super::request::is_websocket;
use crate::gateway::wire::Wire;

/// How long a tunnel may say nothing. A phone that has lost its network says nothing for ever.
const LONGEST_SILENCE: Duration = Duration::from_secs(5 * 60);

/// On what terms a tunnel is open.
#[derive(Debug)]
pub(in crate::gateway) struct Terms {
    /// The client's side, once it was told.
    client: OnUpgrade,
    /// It ends after this: with the session that it was opened under.
    life: Option<Duration>,
    /// Held while it is open, so that a gateway that stops waits for it.
    open: mpsc::Sender<()>,
}

impl Terms {
    /// The terms of a tunnel that a request asks for, if it does.
    pub(in crate::gateway) fn asked_for(
        head: &mut Parts,
        life: impl FnOnce() -> Option<Duration>,
        open: &mpsc::Sender<()>,
    ) -> Option<Self> {
        if !is_websocket(head) {
            return None;
        }
        // hyper puts it there, to be had once the answer has been sent.
        let client = head.extensions.remove::<OnUpgrade>()?;
        Some(Self { client, life: life(), open: open.clone() })
    }
}

/// Passes bytes both ways until one side ends, nobody has said anything for long, or the session is over. `unread` has
/// come from the upstream already.
pub(super) async fn join(upstream: Wire, unread: Bytes, terms: Terms) {
    let Terms { client, life, open } = terms;
    let client = match client.await {
        Ok(client) => client,
        Err(error) => {
            tracing::debug!(%error, "a tunnel was not opened");
            return;
        }
    };
    let heard = Arc::<AtomicU64>::default();
    let mut client = Heard { io: TokioIo::new(client), count: heard.clone() };
    let mut upstream = Heard { io: upstream, count: heard.clone() };
    tokio::select! {
        // However one side ends, the other one has seen it by then.
        ended = pass(&mut client, &mut upstream, unread) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a tunnel broke off");
            }
        }
        () = silence(&heard) => tracing::debug!("a silent tunnel is closed"),
        () = over(life) => tracing::debug!("a tunnel is closed with its session"),
    }
    drop(open);
}

async fn pass(
    client: &mut Heard<TokioIo<Upgraded>>,
    upstream: &mut Heard<Wire>,
    unread: Bytes,
) -> io::Result<()> {
    client.write_all(&unread).await?;
    client.flush().await?;
    drop(unread);
    copy_bidirectional(client, upstream).await.map(|_| ())
}

/// Returns when nothing was heard between two looks.
async fn silence(heard: &AtomicU64) {
    let mut before = None;
    loop {
        let now = heard.load(Ordering::Relaxed);
        if before == Some(now) {
            return;
        }
        before = Some(now);
        time::sleep(LONGEST_SILENCE).await;
    }
}

async fn over(life: Option<Duration>) {
    match life {
        Some(life) => time::sleep(life).await,
        None => std::future::pending().await,
    }
}

/// One side of a tunnel, whose reads are counted.
struct Heard<IO> {
    io: IO,
    count: Arc<AtomicU64>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Heard<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if read.is_ready() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Heard<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
