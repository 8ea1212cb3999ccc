//! How a simulator is to be, and its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::world::World;
use super::{Platform, Simulator, server};

/// How a [`Simulator`] is to be: see [`Simulator::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until start()"]
pub struct Builder {
    listen: SocketAddr,
    insecure_listen: bool,
    world: World,
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address can be reached from elsewhere, and nobody said that it may.
    #[error(
        "the simulator signs anybody in as anybody and listens on loopback only, not on {0}; insecure_listen allows it"
    )]
    NotLoopback(SocketAddr),
    /// The address is in use, or not this machine's.
    #[error("the simulator cannot listen on {addr}: {source}")]
    Listen {
        /// Where it was to listen.
        addr: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            insecure_listen: false,
            world: World::builtin(),
        }
    }

    /// Listens here. Default: a free port of 127.0.0.1.
    pub fn listen(mut self, addr: impl Into<SocketAddr>) -> Self {
        self.listen = addr.into();
        self
    }

    /// Listens where others can reach it, too. Default: false.
    ///
    /// Whoever reaches a simulator is whoever they like, and reads every secret that it was sent.
    pub fn insecure_listen(mut self, allowed: bool) -> Self {
        self.insecure_listen = allowed;
        self
    }

    /// Has these accounts and people, and these switches. Default: [`World::builtin`].
    pub fn world(mut self, world: World) -> Self {
        self.world = world;
        self
    }

    /// Accepts the parameters of the authorize URL in any order. Call it after [`Builder::world`]. Default: false.
    pub fn lenient_order(mut self, lenient: bool) -> Self {
        self.world.switches.lenient_order = lenient;
        self
    }

    /// Turns browsers away that are not WeChat's. Call it after [`Builder::world`]. Default: false.
    pub fn require_wechat_ua(mut self, required: bool) -> Self {
        self.world.switches.require_wechat_ua = required;
        self
    }

    /// Starts listening, on the current tokio runtime.
    pub async fn start(self) -> Result<Simulator, StartError> {
        let addr = self.listen;
        if !addr.ip().is_loopback() && !self.insecure_listen {
            return Err(StartError::NotLoopback(addr));
        }
        let listen_error = |source| StartError::Listen { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(listen_error)?;
        let addr = listener.local_addr().map_err(listen_error)?;
        let sim = Arc::new(Platform::new(self.world, format!("http://{addr}")));
        let (stop, stopped) = watch::channel(());
        tokio::spawn(server::run(listener, sim.clone(), stopped));
        Ok(Simulator { sim, addr, stop })
    }
}
