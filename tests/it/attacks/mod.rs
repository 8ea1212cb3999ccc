//! Attacks over raw sockets, with an upstream that writes down every byte it gets.

mod answers;
mod floods;
mod frames;
mod http2;
mod shapes;
mod slow;
mod smuggling;
mod targets;
mod upstream;
mod websockets;

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use wxgate::{
    clock::{ManualClock, SystemClock},
    gateway::{Gateway, Settings},
    session::MemoryStore,
    simulator::Simulator,
};

use self::upstream::Upstream;
use crate::world::{self, Browser};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway with a raw upstream, and a session. `/off` is open, `/page` needs a sign-in.
pub struct Site {
    pub upstream: Upstream,
    pub addr: SocketAddr,
    /// The header with alice's session.
    pub cookie: String,
    pub url: String,
    _sim: Simulator,
    _gateway: Gateway,
}

impl Site {
    pub async fn start() -> Self {
        Self::with(|settings| settings).await
    }

    pub async fn with(change: impl FnOnce(Settings) -> Settings) -> Self {
        let (sim, upstream) = (Simulator::start().await, Upstream::start().await);
        let clock = ManualClock::new(wxgate::clock::Clock::now(&SystemClock));
        let store = MemoryStore::builder().clock(clock.clone()).build();
        let (url, login) = world::login(&sim, clock, store);
        let addr: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let settings = Settings::new(login, format!("http://{}", upstream.addr).parse().unwrap());
        let settings = settings.listen(addr).cores(1).rate_limit(0);
        let gateway = Gateway::start(change(settings)).unwrap();
        let browser = Browser::new(&url, "alice");
        let callback = browser.callback_url("/page").await;
        browser.get(&callback).await;
        let cookie = format!("Cookie: wxgate={}\r\n", browser.session_cookie().unwrap());
        Self { upstream, addr, cookie, url, _sim: sim, _gateway: gateway }
    }

    pub async fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer { stream, read: Vec::new() }
    }

    /// A request of somebody who does no harm, on a connection of their own.
    pub async fn neighbour_is_served(&self) {
        let mut peer = self.connect().await;
        peer.say(format!(
            "GET /page/neighbour HTTP/1.1\r\nHost: {}\r\n{}\r\n",
            self.addr, self.cookie
        ))
        .await;
        let told = peer.answer().await.expect("the neighbour is answered");
        assert_eq!((told.status, &*told.body), (200, "GET /page/neighbour 0"), "{told:?}");
    }
}

/// The other end of a connection to the gateway.
pub struct Peer {
    pub stream: TcpStream,
    pub read: Vec<u8>,
}

/// An answer of the gateway.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Peer {
    /// Says it as far as somebody listens.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.ok();
    }

    /// The next answer with a length or in chunks. None where the connection ends before.
    pub async fn answer(&mut self) -> Option<Told> {
        timeout(PATIENCE, self.read_answer()).await.expect("it answers or hangs up")
    }

    async fn read_answer(&mut self) -> Option<Told> {
        let head = self.until(b"\r\n\r\n").await?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let lower = head.to_ascii_lowercase();
        let mut body = String::new();
        if (100..200).contains(&status) || [204, 304].contains(&status) {
            return Some(Told { status, head, body });
        }
        if let Some(rest) = lower.split("\r\ncontent-length: ").nth(1) {
            let length: usize = rest.lines().next()?.parse().ok()?;
            body = self.exactly(length).await?;
        } else if lower.contains("transfer-encoding: chunked") {
            loop {
                let size = self.until(b"\r\n").await?;
                let size = usize::from_str_radix(size.trim(), 16).ok()?;
                let chunk = self.exactly(size + 2).await?;
                body.push_str(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        Some(Told { status, head, body })
    }

    async fn until(&mut self, mark: &[u8]) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(mark.len()).position(|window| window == mark) {
                let taken: Vec<u8> = self.read.drain(..at + mark.len()).collect();
                return Some(String::from_utf8_lossy(&taken).into_owned());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<String> {
        while self.read.len() < length {
            self.more().await?;
        }
        let taken: Vec<u8> = self.read.drain(..length).collect();
        Some(String::from_utf8_lossy(&taken).into_owned())
    }

    pub async fn more(&mut self) -> Option<()> {
        let count = self.stream.read_buf(&mut self.read).await.unwrap_or(0);
        (count > 0).then_some(())
    }

    /// All that follows until the gateway hangs up.
    pub async fn rest(&mut self) -> String {
        timeout(PATIENCE, async { while self.more().await.is_some() {} })
            .await
            .expect("it hangs up");
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}
