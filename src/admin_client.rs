//! Asks a running gateway over its admin listener.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

/// Docker gives a health check 30 s by default; a process that answers no sooner than this is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer as it came.
pub(crate) struct Answer {
    /// Such as `HTTP/1.1 200 OK`.
    pub(crate) status_line: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> Option<u16> {
        let rest = self.status_line.strip_prefix("HTTP/1.1 ")?;
        rest.split(' ').next()?.parse().ok()
    }
}

/// Sends a request, with JSON where there is a body, and reads the answer up to `most` bytes.
pub(crate) fn ask(
    addr: SocketAddr,
    request: &str,
    body: Option<&str>,
    most: u64,
) -> io::Result<Answer> {
    let addr = reachable(addr);
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let body = body.map_or_else(String::new, |body| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    });
    let end = if body.is_empty() { "\r\n" } else { "" };
    // In one piece, so that it is not held back by what was sent before.
    let whole = format!("{request} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n{body}{end}");
    stream.write_all(whole.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(most).read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or(answer.len());
    let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(Answer {
        status_line: String::from_utf8_lossy(line).into_owned(),
        body: answer.get(end + 4..).unwrap_or_default().to_vec(),
    })
}

/// Whoever listens on all addresses of this machine can be reached at its own.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}
