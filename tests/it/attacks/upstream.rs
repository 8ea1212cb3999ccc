//! An upstream of raw sockets: reads requests as strictly as can be, and notes all that could be read in two ways.

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

/// A request as it has come.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method and target.
    pub what: String,
    pub head: String,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// A running upstream. It answers with what was asked: `GET /path 0`, where the number is the length of the body.
#[derive(Clone)]
pub struct Upstream {
    pub addr: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    seen: Mutex<Vec<Seen>>,
    odd: Mutex<Vec<String>>,
    /// What is answered to whom asks for these targets, and whether the connection ends with it.
    answers: Mutex<HashMap<String, (Vec<u8>, bool)>>,
    /// What is said after an answer, in a packet of its own.
    afterwards: Mutex<HashMap<String, Vec<u8>>>,
    /// How often that was said.
    said: AtomicUsize,
    connections: AtomicUsize,
    /// How many bytes of answers were taken from it.
    taken: AtomicUsize,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let inner = Arc::<Inner>::default();
        let shared = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                let inner = shared.clone();
                tokio::spawn(async move {
                    if let Err(why) = serve(stream, &inner).await {
                        inner.odd.lock().unwrap().push(why);
                    }
                });
            }
        });
        Self { addr, inner }
    }

    /// Answers with these bytes whenever this target is asked for.
    pub fn answer(&self, target: &str, bytes: impl Into<Vec<u8>>, ends: bool) {
        self.inner.answers.lock().unwrap().insert(target.to_owned(), (bytes.into(), ends));
    }

    /// Answers with the first, and says the second on the same connection, a little later.
    pub fn answer_late(&self, target: &str, bytes: &str, afterwards: &str) {
        self.answer(target, bytes, false);
        self.inner.afterwards.lock().unwrap().insert(target.to_owned(), afterwards.into());
    }

    /// Waits until it has spoken so often after its answers.
    pub async fn late(&self, count: usize) {
        let waiting = async {
            while self.inner.said.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(super::PATIENCE, waiting).await.expect("it speaks");
    }

    /// What it has seen below this path.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.inner.seen.lock().unwrap();
        let below =
            |seen: &&Seen| seen.what.split(' ').nth(1).is_some_and(|at| at.starts_with(path));
        seen.iter().filter(below).cloned().collect()
    }

    /// What could be read in two ways.
    pub fn odd(&self) -> Vec<String> {
        self.inner.odd.lock().unwrap().clone()
    }

    pub fn taken(&self) -> usize {
        self.inner.taken.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> usize {
        self.inner.connections.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: TcpStream, inner: &Inner) -> Result<(), String> {
    let mut read = Vec::new();
    while let Some(head) = until(&mut stream, &mut read, b"\r\n\r\n").await {
        let what = check(&head).map_err(|why| format!("{why}: {head:?}"))?;
        let header = |name: &str| {
            let lines = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
            let named = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value.trim().to_owned()).collect::<Vec<_>>()
        };
        let body = match (&*header("content-length"), &*header("transfer-encoding")) {
            ([], []) => Vec::new(),
            ([length], []) => {
                let length: usize = length.parse().map_err(|_| format!("a length {length:?}"))?;
                let Some(body) = exactly(&mut stream, &mut read, length).await else {
                    return Ok(());
                };
                body
            }
            ([], [coding]) if coding == "chunked" => match chunks(&mut stream, &mut read).await? {
                Some(body) => body,
                None => return Ok(()),
            },
            other => return Err(format!("framed in two ways {other:?}: {head:?}")),
        };
        let body = String::from_utf8_lossy(&body).into_owned();
        let told = format!("{what} {}", body.len());
        let target = what.split(' ').nth(1).unwrap_or_default().to_owned();
        inner.seen.lock().unwrap().push(Seen { what, head, body });
        let answer = inner.answers.lock().unwrap().get(&target).cloned();
        let (bytes, ends) = answer.unwrap_or_else(|| {
            (
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{told}", told.len()).into(),
                false,
            )
        });
        for part in bytes.chunks(64 << 10) {
            if stream.write_all(part).await.is_err() {
                return Ok(());
            }
            inner.taken.fetch_add(part.len(), Ordering::SeqCst);
        }
        if ends {
            return Ok(());
        }
        let afterwards = inner.afterwards.lock().unwrap().remove(&target);
        if let Some(bytes) = afterwards {
            // When the answer was read, or about to be: both happen.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            stream.write_all(&bytes).await.ok();
            inner.said.fetch_add(1, Ordering::SeqCst);
        }
    }
    Ok(())
}

/// Method and target of a head in which every line has one meaning.
fn check(head: &str) -> Result<String, &'static str> {
    let head = head.strip_suffix("\r\n\r\n").ok_or("no end")?;
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or_default();
    if head.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Err("a loose control character");
    }
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some("HTTP/1.1"), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("an odd request line");
    };
    for line in lines {
        let Some((name, _)) = line.split_once(':') else { return Err("a line without a colon") };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_name) {
            return Err("an odd header name");
        }
    }
    Ok(format!("{method} {target}"))
}

async fn chunks(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let Some(line) = until(stream, read, b"\r\n").await else { return Ok(None) };
        let digits = line.strip_suffix("\r\n").unwrap_or_default();
        if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("a chunk size {line:?}"));
        }
        let size = usize::from_str_radix(digits, 16).unwrap();
        let Some(chunk) = exactly(stream, read, size + 2).await else { return Ok(None) };
        let Some(data) = chunk.strip_suffix(b"\r\n") else {
            return Err(format!("a chunk without an end, or a trailer: {chunk:?}"));
        };
        body.extend_from_slice(data);
        if size == 0 {
            return Ok(Some(body));
        }
    }
}

async fn until(stream: &mut TcpStream, read: &mut Vec<u8>, mark: &[u8]) -> Option<String> {
    loop {
        if let Some(at) = read.windows(mark.len()).position(|window| window == mark) {
            let taken: Vec<u8> = read.drain(..at + mark.len()).collect();
            return Some(String::from_utf8_lossy(&taken).into_owned());
        }
        if stream.read_buf(read).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

async fn exactly(stream: &mut TcpStream, read: &mut Vec<u8>, length: usize) -> Option<Vec<u8>> {
    while read.len() < length {
        if stream.read_buf(read).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    Some(read.drain(..length).collect())
}
