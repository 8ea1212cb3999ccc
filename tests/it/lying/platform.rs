//! A platform of raw sockets: it answers honestly, and lies byte by byte where it is told to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::endpoints::Endpoint;

/// One thing that the platform does with a connection.
#[derive(Clone, Debug)]
pub enum Step {
    Write(Vec<u8>),
    /// One byte at a time, each in a packet of its own.
    Trickle(Vec<u8>),
    /// The same again and again, until nobody listens or this much was sent.
    Endless(Vec<u8>, usize),
    /// Nothing more is said, and the connection stays open.
    Hang,
    Close,
}

/// What the platform does instead of an honest answer. Where the steps end, the connection waits for the next request.
pub type Lie = Vec<Step>;

/// A running platform. Which case a request belongs to is read from its code, token or secret: they all hold `case<n>x`.
#[derive(Clone)]
pub struct Platform {
    pub addr: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    lies: Mutex<HashMap<(Endpoint, usize), Lie>>,
    asked: Mutex<HashMap<(Endpoint, usize), usize>>,
    strange: Mutex<Vec<String>>,
    swallowed: AtomicUsize,
}

impl Platform {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let inner = Arc::<Inner>::default();
        let shared = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { addr, inner }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Has the platform lie whenever it is asked this in this case.
    pub fn lie(&self, endpoint: Endpoint, case: usize, lie: Lie) {
        self.inner.lies.lock().unwrap().insert((endpoint, case), lie);
    }

    /// From here on it is honest again.
    pub fn stop_lying(&self, endpoint: Endpoint, case: usize) {
        self.inner.lies.lock().unwrap().remove(&(endpoint, case));
    }

    /// How often it was asked this in this case.
    pub fn asked(&self, endpoint: Endpoint, case: usize) -> usize {
        self.inner.asked.lock().unwrap().get(&(endpoint, case)).copied().unwrap_or(0)
    }

    /// The most that anybody has taken of something endless, in bytes.
    pub fn swallowed(&self) -> usize {
        self.inner.swallowed.load(Ordering::SeqCst)
    }

    /// Requests that are none of WeChat's.
    pub fn strange(&self) -> Vec<String> {
        self.inner.strange.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, inner: Arc<Inner>) {
    let mut read = Vec::new();
    while let Some(asked) = request(&mut stream, &mut read).await {
        let path = asked.split([' ', '?']).nth(1).unwrap_or_default();
        let known = Endpoint::at(path).zip(case_of(&asked));
        let Some((endpoint, case)) = known else {
            inner.strange.lock().unwrap().push(asked);
            return;
        };
        *inner.asked.lock().unwrap().entry((endpoint, case)).or_default() += 1;
        let lie = inner.lies.lock().unwrap().get(&(endpoint, case)).cloned();
        let lie = lie.unwrap_or_else(|| honest(&endpoint.honest(case).to_string()));
        if !perform(&mut stream, lie, &inner).await {
            return;
        }
    }
}

/// A whole request, head and body.
async fn request(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.parse().ok()).unwrap_or(0);
            let end = end + 4 + length;
            if read.len() >= end {
                let whole: Vec<u8> = read.drain(..end).collect();
                return Some(String::from_utf8(whole).unwrap());
            }
        }
        if stream.read_buf(read).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Whether the connection goes on.
async fn perform(stream: &mut TcpStream, lie: Lie, inner: &Inner) -> bool {
    for step in lie {
        let written = match step {
            Step::Write(bytes) => stream.write_all(&bytes).await.is_ok(),
            Step::Trickle(bytes) => trickle(stream, &bytes).await,
            Step::Endless(bytes, most) => {
                let mut sent = 0;
                while sent < most && stream.write_all(&bytes).await.is_ok() {
                    sent += bytes.len();
                }
                inner.swallowed.fetch_max(sent, Ordering::SeqCst);
                true
            }
            Step::Hang => {
                // Until the other side has had enough.
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).await.ok();
                return false;
            }
            Step::Close => return false,
        };
        if !written {
            return false;
        }
    }
    true
}

async fn trickle(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    for byte in bytes {
        if stream.write_all(&[*byte]).await.is_err() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

fn case_of(asked: &str) -> Option<usize> {
    asked.split("case").skip(1).filter_map(|rest| rest.split('x').next()?.parse().ok()).last()
}

/// An answer as WeChat gives it.
pub fn honest(body: &str) -> Lie {
    vec![Step::Write(with_length("200 OK", "", body.as_bytes()))]
}

/// An answer with the right length. Each line of `headers` ends with a line break.
pub fn with_length(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}
