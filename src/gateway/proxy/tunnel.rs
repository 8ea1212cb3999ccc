//! WebSockets: a connection of their own to the upstream, then bytes both ways.

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::http1, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tokio::{io::copy_bidirectional, net::TcpStream};

/// Asks the upstream to switch protocols. The connection is driven by a task of its own from here on.
pub(super) async fn open(
    stream: TcpStream,
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

/// Passes bytes both ways until one side ends.
pub(super) async fn join(client: OnUpgrade, upstream: OnUpgrade) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "a tunnel was not opened");
            return;
        }
    };
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    // However one side ends, the other one has seen it by then.
    if let Err(error) = copy_bidirectional(&mut client, &mut upstream).await {
        tracing::debug!(%error, "a tunnel ended");
    }
}
