//! What a gateway is made of.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{pages::GatewayPages, proxy::UpstreamUrl};
use crate::login::WechatLoginLayer;

/// What a gateway is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) login: WechatLoginLayer,
    pub(super) upstream: UpstreamUrl,
    pub(super) cores: usize,
    pub(super) limits: Limits,
}

/// How long the gateway waits for others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// For a client's next request head, and so for an idle connection too. Above the 60 s for which nginx keeps an
    /// idle connection to us, so that it is never us who closes one that nginx is about to use.
    pub(super) request_head: Duration,
    /// For a connection to the upstream.
    pub(super) connect: Duration,
    /// For the head of the upstream's answer, from the last of the request that could be sent.
    pub(super) response_head: Duration,
    /// For what is in flight when the gateway stops.
    pub(super) drain: Duration,
}

impl Settings {
    /// A gateway in front of `upstream`, on `127.0.0.1:8080`, with as many cores as the machine has.
    pub fn new(login: WechatLoginLayer, upstream: UpstreamUrl) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            login: login.pages(GatewayPages),
            upstream,
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            limits: Limits {
                request_head: Duration::from_secs(75),
                connect: Duration::from_secs(5),
                response_head: Duration::from_secs(30),
                drain: Duration::from_secs(30),
            },
        }
    }

    /// Where to listen. Port 0 takes any free one. Default `127.0.0.1:8080`.
    pub fn listen(mut self, addr: SocketAddr) -> Self {
        self.listen = addr;
        self
    }

    /// How many cores serve browsers, at least one. Default all of the machine's.
    pub fn cores(mut self, count: usize) -> Self {
        self.cores = count.max(1);
        self
    }

    /// How long connecting to the upstream may take. Default 5 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.limits.connect = limit;
        self
    }

    /// How long the upstream may take to begin its answer, once it has the request. Default 30 s.
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        self.limits.response_head = limit;
        self
    }

    /// How long what is in flight may take when the gateway stops. Default 30 s.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.limits.drain = limit;
        self
    }
}
