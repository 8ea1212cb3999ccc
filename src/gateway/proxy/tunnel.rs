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

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::http1,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional},
    sync::mpsc,
    time,
};

use crate::gateway::wire::Wire;

/// How long a tunnel may say nothing. A phone that has lost its network says nothing for ever.
const LONGEST_SILENCE: Duration = Duration::from_secs(5 * 60);

/// On what terms a tunnel is open.
#[derive(Debug)]
pub(in crate::gateway) struct Terms {
    /// It ends after this: with the session that it was opened under.
    pub(in crate::gateway) life: Option<Duration>,
    /// Held while it is open, so that a gateway that stops waits for it.
    pub(in crate::gateway) open: mpsc::Sender<()>,
}

/// Asks the upstream to switch protocols. The connection is driven by a task of its own from here on.
pub(super) async fn open(
    stream: Wire,
    request: Request<Incoming>,
) -> hyper::Result<Response<Incoming>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "an upgrading connection ended early");
        }
    });
    sender.send_request(request).await
}

/// Passes bytes both ways until one side ends, nobody has said anything for long, or the session is over.
pub(super) async fn join(client: OnUpgrade, upstream: OnUpgrade, terms: Terms) {
    let Terms { life, open } = terms;
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a tunnel was not opened");
            return;
        }
    };
    let heard = Arc::<AtomicU64>::default();
    let mut client = Heard { io: TokioIo::new(client), count: heard.clone() };
    let mut upstream = Heard { io: TokioIo::new(upstream), count: heard.clone() };
    tokio::select! {
        // However one side ends, the other one has seen it by then.
        ended = copy_bidirectional(&mut client, &mut upstream) => {
            if let Err(error) = ended {
                tracing::debug!(%error, "a tunnel broke off");
            }
        }
        () = silence(&heard) => tracing::debug!("a silent tunnel is closed"),
        () = over(life) => tracing::debug!("a tunnel is closed with its session"),
    }
    drop(open);
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
struct Heard {
    io: TokioIo<Upgraded>,
    count: Arc<AtomicU64>,
}

impl AsyncRead for Heard {
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

impl AsyncWrite for Heard {
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
