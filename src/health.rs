//! Asks a running gateway for its health, for containers, whose images hold no other program to ask with.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Docker gives a check 30 s by default; a process that answers no sooner than this is not well.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than the answer's head takes.
const LARGEST_ANSWER: u64 = 4096;

/// Asks the admin listener at `addr` whether the process serves.
///
/// # Errors
/// When it does not. Why is in the message.
pub(crate) fn ask(addr: SocketAddr) -> Result<(), String> {
    let answer =
        exchange(addr).map_err(|error| format!("no answer from http://{addr}/healthz: {error}"))?;
    let status = answer.split(|b| *b == b'\r').next().unwrap_or_default();
    if status.starts_with(b"HTTP/1.1 200 ") {
        return Ok(());
    }
    let status = String::from_utf8_lossy(status);
    Err(format!("http://{addr}/healthz answered {status:?}; is that the gateway's admin_listen?"))
}

fn exchange(addr: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut answer)?;
    Ok(answer)
}
