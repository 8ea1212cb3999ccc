//! The upstream: one function from a request to its response, whatever is behind it.

use std::{io, time::Duration};

use http::{Response, request::Parts};
use hyper::body::Incoming;

use super::{
    body::UpstreamBody,
    failure::Failure,
    files::Files,
    peer::Peer,
    plain::{self, Plain},
    request::Forwarding,
    response,
    shared::Shared,
    tunnel::Terms,
    url::{Place, Scheme, UpstreamSpec, UpstreamUrl},
};
use crate::gateway::wire::Wire;

/// One upstream, as one core uses it.
#[derive(Debug)]
pub(in crate::gateway) struct Upstream {
    url: UpstreamUrl,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Plain(Plain),
    Shared(Box<Shared>),
    Files(Box<Files>),
}

/// On what terms one request is passed on.
#[derive(Debug)]
pub(in crate::gateway) struct Exchange {
    /// How long connecting may take.
    pub(in crate::gateway) connect: Duration,
    /// How long the upstream may take to begin its answer, from the last of the request that could be sent.
    pub(in crate::gateway) response_head: Option<Duration>,
    /// The largest request body, in bytes.
    pub(in crate::gateway) body_limit: Option<u64>,
    /// For a request that asks for a WebSocket.
    pub(in crate::gateway) tunnel: Option<Terms>,
}

impl Upstream {
    /// # Errors
    /// When a file or directory that belongs to it cannot be used, or does not belong to this kind of upstream.
    pub(in crate::gateway) fn new(spec: &UpstreamSpec) -> io::Result<Self> {
        let UpstreamSpec { url, ca, fallback } = spec;
        let refuse = |what: &str| {
            let why = format!("the upstream {url} has no use for {what}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        };
        if ca.is_some() && !matches!(url.0, Place::Host(Scheme::Https, _)) {
            return refuse("certificate authorities: only https has");
        }
        if fallback.is_some() && !matches!(url.0, Place::Files(_)) {
            return refuse("a fallback: only a directory has");
        }
        let kind = match url.0.clone() {
            Place::Host(Scheme::Http, host) => Kind::Plain(Plain::new(Peer::Tcp(host))),
            Place::Unix(path) => Kind::Plain(Plain::new(Peer::Unix(path))),
            Place::Host(Scheme::Https, host) => {
                Kind::Shared(Box::new(Shared::https(host, ca.as_deref())?))
            }
            Place::Host(Scheme::H2c, host) => Kind::Shared(Box::new(Shared::h2c(host)?)),
            Place::Files(path) => Kind::Files(Box::new(Files::new(path, fallback.as_deref())?)),
        };
        Ok(Self { url: url.clone(), kind })
    }

    /// Lets go of idle connections that are too old to be used again.
    pub(in crate::gateway) fn sweep(&self) {
        // The other kinds have timers of their own, or no connections.
        if let Kind::Plain(plain) = &self.kind {
            plain.pool.sweep();
        }
    }

    pub(in crate::gateway) fn url(&self) -> &UpstreamUrl {
        &self.url
    }

    /// Passes a request on and gives the answer back as soon as its head is there.
    pub(in crate::gateway) async fn exchange(
        &self,
        head: &Parts,
        body: Incoming,
        forwarding: &Forwarding<'_>,
        mut exchange: Exchange,
    ) -> Result<Response<UpstreamBody>, Failure> {
        // The plain one alone is not on the heap: the room for all the others would be moved around with every request.
        let mut response = match (exchange.tunnel.take(), &self.kind) {
            (Some(terms), _) => {
                let wire = Box::pin(self.tunnel(exchange.connect)).await?;
                Box::pin(plain::upgrade(wire, head, body, forwarding, &exchange, terms)).await?
            }
            (None, Kind::Plain(plain)) => plain.pass(head, body, forwarding, &exchange).await?,
            (None, Kind::Shared(shared)) => {
                Box::pin(shared.pass(head, body, forwarding, &exchange)).await?
            }
            (None, Kind::Files(files)) => {
                return Box::pin(files.answer(head, &body, &exchange)).await;
            }
        };
        response::prepare(&mut response);
        Ok(response)
    }

    async fn tunnel(&self, limit: Duration) -> Result<Wire, Failure> {
        match &self.kind {
            Kind::Plain(plain) => plain.peer.connect(limit).await,
            Kind::Shared(shared) => shared.tunnel(limit).await,
            Kind::Files(_) => Err(Failure::NoWebSockets),
        }
    }
}
