//! Clients that keep a gateway busy and count every request that is not answered.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// One connection, over which HTTP/1.1 is spoken by hand, so that nothing is tried twice behind our back.
pub struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer with a length.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Told {
    /// Whether the connection ends with it.
    pub fn is_last(&self) -> bool {
        self.head.to_ascii_lowercase().contains("connection: close")
    }
}

impl Line {
    pub async fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        if stream.local_addr()? == addr {
            // Nobody was there, so the system has connected it to itself.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(Self { stream, read: Vec::new() })
    }

    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub async fn send(&mut self, bytes: &str) -> io::Result<()> {
        self.stream.write_all(bytes.as_bytes()).await
    }

    pub async fn get(&mut self, path: &str, cookie: &str) -> io::Result<Told> {
        let cookie =
            if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookie}\r\n")).await?;
        self.answer().await
    }

    /// Reads one answer to its end.
    pub async fn answer(&mut self) -> io::Result<Told> {
        let head = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
            }
            self.more().await?;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse().unwrap())
        });
        let length = length.unwrap_or(0);
        while self.read.len() < length {
            self.more().await?;
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Told { status, head, body })
    }

    async fn more(&mut self) -> io::Result<()> {
        let count = self.stream.read_buf(&mut self.read).await?;
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// What became of all requests.
#[derive(Default)]
pub struct Tally {
    pub answered: AtomicUsize,
    /// Connections that were refused because nobody listens any more.
    pub refused: AtomicUsize,
    pub failed: Mutex<Vec<String>>,
    enough: AtomicBool,
}

/// Clients that ask again as soon as they have their answer.
pub struct Load {
    pub tally: Arc<Tally>,
    clients: JoinSet<()>,
}

impl Load {
    /// Over connections that are kept.
    pub fn start(addr: SocketAddr, count: usize) -> Self {
        Self::with(addr, count, usize::MAX)
    }

    /// Over connections for one request each.
    pub fn of_strangers(addr: SocketAddr, count: usize) -> Self {
        Self::with(addr, count, 1)
    }

    fn with(addr: SocketAddr, count: usize, most: usize) -> Self {
        let tally = Arc::<Tally>::default();
        let mut clients = JoinSet::new();
        for number in 0..count {
            clients.spawn(client(addr, number, most, tally.clone()));
        }
        Self { tally, clients }
    }

    /// Waits until that many more requests were answered.
    pub async fn answers(&self, count: usize) {
        let until = self.tally.answered.load(Ordering::SeqCst) + count;
        while self.tally.answered.load(Ordering::SeqCst) < until {
            tokio::task::yield_now().await;
        }
    }

    /// Has the clients end after the request that they are at, or when nobody listens any more.
    pub async fn ended(self, at_once: bool) -> Arc<Tally> {
        self.tally.enough.store(at_once, Ordering::SeqCst);
        self.clients.join_all().await;
        self.tally
    }
}

async fn client(addr: SocketAddr, number: usize, most: usize, tally: Arc<Tally>) {
    let fails = |what: String| tally.failed.lock().unwrap().push(what);
    while !tally.enough.load(Ordering::SeqCst) {
        let mut line = match Line::open(addr).await {
            Ok(line) => line,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                tally.refused.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Err(error) => return fails(format!("{number} cannot connect: {error}")),
        };
        let mut count = 0;
        while !tally.enough.load(Ordering::SeqCst) {
            match line.get("/load", "").await {
                Ok(told) if told.status == 200 && told.body.ends_with("/load") => {
                    tally.answered.fetch_add(1, Ordering::SeqCst);
                    count += 1;
                    if told.is_last() || count == most {
                        break;
                    }
                }
                Ok(told) => return fails(format!("{number} after {count}: {told:?}")),
                Err(error) => return fails(format!("{number} after {count}: {error:?}")),
            }
        }
    }
}
