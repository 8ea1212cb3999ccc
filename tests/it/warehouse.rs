//! An app that takes and gives large bodies.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
};

pub const CHUNK: usize = 256 * 1024;

/// An app that can be told from the path how much to take and to give: `/take` counts a body, `/give/<bytes>` gives one.
/// It speaks HTTP/1.1 by hand, so that nothing of it is in the way. Tells how much it has written, and when a client
/// of its own has gone.
pub async fn warehouse() -> (SocketAddr, watch::Receiver<u64>, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (written, watched) = watch::channel(0);
    let (gone, told) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (written, gone) = (written.clone(), gone.clone());
            tokio::spawn(async move {
                handle(stream, &written).await;
                gone.send(()).await.ok();
            });
        }
    });
    (addr, watched, told)
}

async fn handle(mut stream: TcpStream, written: &watch::Sender<u64>) -> Option<()> {
    let (from, mut to) = stream.split();
    let mut from = BufReader::with_capacity(CHUNK, from);
    loop {
        let (mut path, mut length, mut is_chunked) = (String::new(), 0, false);
        loop {
            let mut line = String::new();
            if from.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_ascii_lowercase();
            if path.is_empty() {
                line.split(' ').nth(1)?.clone_into(&mut path);
            } else if line.is_empty() {
                break;
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().ok()?;
            } else if line == "transfer-encoding: chunked" {
                is_chunked = true;
            }
        }
        let mut taken = 0;
        loop {
            if is_chunked {
                let mut line = String::new();
                from.read_line(&mut line).await.ok()?;
                length = u64::from_str_radix(line.trim_end(), 16).ok()?;
            }
            let mut left = length;
            while left > 0 {
                let some = from.fill_buf().await.ok()?.len();
                if some == 0 {
                    return None;
                }
                let some = some.min(usize::try_from(left).unwrap());
                from.consume(some);
                left -= some as u64;
            }
            taken += length;
            if is_chunked {
                let mut end = String::new();
                from.read_line(&mut end).await.ok()?;
            }
            if !is_chunked || length == 0 {
                break;
            }
        }
        let give = path.strip_prefix("/give/").map(|bytes| bytes.parse::<u64>().unwrap());
        let said = taken.to_string();
        let size = give.unwrap_or(said.len() as u64);
        to.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").as_bytes())
            .await
            .ok()?;
        if give.is_none() {
            to.write_all(said.as_bytes()).await.ok()?;
            continue;
        }
        let chunk = vec![b'x'; CHUNK];
        let mut left = size;
        while left > 0 {
            let some = usize::try_from(left.min(CHUNK as u64)).unwrap();
            to.write_all(&chunk[..some]).await.ok()?;
            left -= some as u64;
            written.send_modify(|count| *count += some as u64);
        }
    }
}
