//! Connecting to an upstream, over TCP or a unix socket.

use std::{future::Future, io, path::PathBuf, time::Duration};

use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{failure::Failure, url::Host};
use crate::gateway::wire::Wire;

/// Whom to connect to.
#[derive(Debug)]
pub(super) enum Peer {
    Tcp(Host),
    Unix(PathBuf),
}

impl Peer {
    pub(super) async fn connect(&self, limit: Duration) -> Result<Wire, Failure> {
        within(limit, async {
            Ok(match self {
                Self::Tcp(host) => Wire::Tcp(tcp(host).await?),
                Self::Unix(path) => Wire::Unix(UnixStream::connect(path).await?),
            })
        })
        .await
    }
}

pub(super) async fn tcp(host: &Host) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((&*host.name, host.port)).await?;
    // Where it fails, small requests wait a little longer.
    stream.set_nodelay(true).ok();
    Ok(stream)
}

/// Gives connecting its time, and a name to its failure.
pub(super) async fn within<T>(
    limit: Duration,
    connecting: impl Future<Output = io::Result<T>>,
) -> Result<T, Failure> {
    timeout(limit, connecting)
        .await
        .map_err(|_| Failure::ConnectTimeout(limit))?
        .map_err(|error| Failure::connect(&error))
}
