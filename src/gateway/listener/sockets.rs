//! The sockets that are listened on: several addresses, with one listener a core for each.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::unix::net::UnixListener,
};

use listenfd::ListenFd;
use socket2::{Domain, Socket, Type};
#[cfg(any(target_os = "linux", target_os = "android"))]
use socket2::{SockFilter, SockRef};
use tokio::net::{self, TcpStream, UnixStream};

use crate::gateway::wire::Wire;

/// How many connections the system keeps for us to accept.
pub(super) const BACKLOG: u16 = 1024;
/// The first port that needs no special right.
const FIRST_FREE_PORT: u16 = 1024;
/// Who is at the other end of a unix socket: somebody on this machine, like one who comes over the loopback address.
const NEIGHBOUR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Sockets that listen already, sorted by core.
#[derive(Debug)]
pub(in crate::gateway) struct Sockets {
    addrs: Vec<SocketAddr>,
    cores: Vec<Vec<Listener>>,
}

impl Sockets {
    /// Listens on each address, once a core; the system spreads connections over the cores. Port 0 takes a free one.
    ///
    /// # Errors
    /// When an address cannot be listened on. The message names it and says what to do.
    pub(in crate::gateway) fn bind(addrs: &[SocketAddr], cores: usize) -> io::Result<Self> {
        for (at, addr) in addrs.iter().enumerate() {
            if addr.port() != 0 && addrs[..at].contains(addr) {
                return Err(invalid(format!("{addr} is listed twice: take one of them away")));
            }
        }
        let mut sockets = Self::empty(cores);
        for addr in addrs {
            sockets.add(*addr, addrs).map_err(|error| explain(*addr, &error))?;
        }
        Ok(sockets)
    }

    /// Takes the sockets that the service manager has opened for us, if it has (systemd calls it socket activation).
    /// To be asked once only: the variables that say so are gone afterwards.
    ///
    /// They are shared by all cores. Who comes over a unix socket counts as coming from `127.0.0.1`.
    ///
    /// # Errors
    /// When one of them is neither a TCP nor a unix stream socket.
    pub(in crate::gateway) fn inherited(cores: usize) -> io::Result<Option<Self>> {
        Self::take(&mut ListenFd::from_env(), cores)
    }

    fn take(given: &mut ListenFd, cores: usize) -> io::Result<Option<Self>> {
        let mut sockets = Self::empty(cores);
        for at in 0..given.len() {
            let listener = match given.take_tcp_listener(at) {
                Ok(listener) => listener.map(|listener| Listener::Tcp(listener, Owner::Manager)),
                Err(_) => given
                    .take_unix_listener(at)
                    .map_err(|error| {
                        let kind = error.kind();
                        io::Error::new(kind, format!("socket {at} that was handed over: {error}"))
                    })?
                    .map(Listener::Unix),
            };
            let Some(listener) = listener else { continue };
            listener.set_nonblocking()?;
            sockets.addrs.extend(listener.addr()?);
            for core in &mut sockets.cores {
                core.push(listener.try_clone()?);
            }
        }
        Ok((given.len() > 0).then_some(sockets))
    }

    fn empty(cores: usize) -> Self {
        Self { addrs: Vec::new(), cores: (0..cores.max(1)).map(|_| Vec::new()).collect() }
    }

    fn add(&mut self, addr: SocketAddr, all: &[SocketAddr]) -> io::Result<()> {
        // Sharing a port hides that somebody else has it already, so it is taken alone first.
        let alone = open(addr, all, false)?;
        let addr = alone.local_addr()?;
        drop(alone);
        for core in &mut self.cores {
            core.push(Listener::Tcp(open(addr, all, true)?, Owner::Us));
        }
        self.addrs.push(addr);
        Ok(())
    }

    /// The addresses that are listened on, with the ports that were found for port 0. Unix sockets have none.
    pub(in crate::gateway) fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The listeners of each core.
    pub(in crate::gateway) fn into_cores(self) -> Vec<Vec<Listener>> {
        self.cores
    }
}

fn open(addr: SocketAddr, all: &[SocketAddr], shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    if addr.is_ipv6() && addr.ip().is_unspecified() {
        // `[::]` takes IPv4 too, unless that has a line of its own.
        let own_line = all.iter().any(|other| {
            other.is_ipv4() && other.ip().is_unspecified() && other.port() == addr.port()
        });
        socket.set_only_v6(own_line)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG.into())?;
    Ok(socket.into())
}

/// Says which address it is about, and what to do.
fn explain(addr: SocketAddr, error: &io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "address already in use: another program listens on {addr}; stop it, or listen elsewhere"
            )
        }
        io::ErrorKind::PermissionDenied if addr.port() < FIRST_FREE_PORT => format!(
            "permission denied for {addr}: ports below {FIRST_FREE_PORT} need the capability CAP_NET_BIND_SERVICE, or \
             a socket from systemd; or listen on a higher port"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("no such address here: {addr} is not one of this machine's")
        }
        _ => format!("{addr}: {error}"),
    };
    io::Error::new(error.kind(), why)
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Who else holds a socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Owner {
    /// Nobody: with us it closes.
    Us,
    /// The service manager, which goes on listening for whoever comes after us.
    Manager,
}

/// One socket that listens.
#[derive(Debug)]
pub(in crate::gateway) enum Listener {
    Tcp(TcpListener, Owner),
    Unix(UnixListener),
}

impl Listener {
    fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(listener, _) => listener.set_nonblocking(true),
            Self::Unix(listener) => listener.set_nonblocking(true),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(listener, owner) => Self::Tcp(listener.try_clone()?, *owner),
            Self::Unix(listener) => Self::Unix(listener.try_clone()?),
        })
    }

    fn addr(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(listener, _) => listener.local_addr().map(Some),
            Self::Unix(_) => Ok(None),
        }
    }

    /// Makes it known to the runtime that this is called on.
    pub(super) fn open(self) -> io::Result<Entrance> {
        Ok(match self {
            Self::Tcp(listener, owner) => Entrance::Tcp(listener.try_into()?, owner),
            Self::Unix(listener) => Entrance::Unix(listener.try_into()?),
        })
    }

    /// Accepts a connection, or says at once that there is none.
    pub(super) fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Accepted::tcp(stream.try_into()?, peer)
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Accepted::unix(stream.try_into()?))
            }
        }
    }
}

/// A socket by which connections come in.
#[derive(Debug)]
pub(super) enum Entrance {
    Tcp(net::TcpListener, Owner),
    Unix(net::UnixListener),
}

impl Entrance {
    /// Waits for the next connection. Can be given up and taken up again.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener, _) => {
                let (stream, peer) = listener.accept().await?;
                Accepted::tcp(stream, peer)
            }
            Self::Unix(listener) => Ok(Accepted::unix(listener.accept().await?.0)),
        }
    }

    /// Has the system overlook whoever begins to connect from here on, and says whether it does. Who has begun already
    /// can still come in. Not done to a socket that somebody listens on after us.
    pub(super) fn turn_away(&self) -> bool {
        let turned = match self {
            Self::Tcp(listener, Owner::Us) => overlook_beginnings(listener),
            Self::Tcp(_, Owner::Manager) | Self::Unix(_) => return false,
        };
        if let Err(error) = &turned {
            tracing::debug!(%error, "who comes late may be cut off");
        }
        turned.is_ok()
    }

    /// Takes it from the runtime, which may not have heard yet of all who stand in the queue.
    pub(super) fn close(self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp(listener, owner) => Listener::Tcp(listener.into_std()?, owner),
            Self::Unix(listener) => Listener::Unix(listener.into_std()?),
        })
    }
}

/// Has a listening socket drop TCP's first packets, which have SYN and not ACK among their flags.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn overlook_beginnings(listener: &net::TcpListener) -> io::Result<()> {
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    // Classic BPF, which sees a packet from its TCP header on.
    let filter = [
        SockFilter::new(0x30, 0, 0, FLAGS),     // Load that byte.
        SockFilter::new(0x54, 0, 0, SYN | ACK), // Keep these bits.
        SockFilter::new(0x15, 0, 1, SYN),       // Skip one unless it is SYN alone.
        SockFilter::new(0x06, 0, 0, 0),         // Take nothing of the packet.
        SockFilter::new(0x06, 0, 0, u32::MAX),  // Take all of it.
    ];
    SockRef::from(listener).attach_filter(&filter)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn overlook_beginnings(_: &net::TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) wire: Wire,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

impl Accepted {
    fn tcp(stream: TcpStream, peer: SocketAddr) -> io::Result<Self> {
        // Without it small answers wait for the client's acknowledgement; where it fails they just do.
        stream.set_nodelay(true).ok();
        let local = canonical(stream.local_addr()?);
        Ok(Self { wire: Wire::Tcp(stream), peer: canonical(peer), local })
    }

    fn unix(stream: UnixStream) -> Self {
        Self { wire: Wire::Unix(stream), peer: NEIGHBOUR, local: NEIGHBOUR }
    }
}

/// IPv4 as IPv4, also where it comes in by a socket that takes both.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
