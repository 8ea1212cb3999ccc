//! Tencent's servers, which request a callback again hours later and without cookies.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::Url;

use super::Shared;
use super::record::Received;

const DELAY_MS: u64 = 3 * 60 * 60 * 1000;
/// Real time: a site that hangs must not hang the simulator.
const PATIENCE: Duration = Duration::from_secs(10);

/// The callbacks that will be requested again.
#[derive(Debug, Default)]
pub(super) struct Replays {
    waiting: Mutex<Vec<Replay>>,
    running: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Replay {
    due: u64,
    url: String,
}

impl Replays {
    /// Three hours from `now`, in milliseconds.
    pub(super) fn schedule(&self, url: &str, now: u64) {
        lock(&self.waiting).push(Replay { due: now + DELAY_MS, url: url.to_owned() });
    }

    /// Starts those whose time has come.
    pub(super) fn start_due(&self, sim: &Shared) {
        let now = sim.clock.millis();
        let due: Vec<_> = lock(&self.waiting).extract_if(.., |replay| replay.due <= now).collect();
        for replay in due {
            lock(&self.running).spawn_on(perform(sim.clone(), replay.url), &sim.runtime);
        }
    }

    /// Waits until those that were started are over.
    pub(super) async fn settle(&self) {
        let running = std::mem::take(&mut *lock(&self.running));
        running.join_all().await;
    }
}

async fn perform(sim: Shared, url: String) {
    let Ok(url) = Url::parse(&url) else {
        return; // It was parsed once already.
    };
    let (method, status) = match loopback(&url).await {
        None => ("REPLAY_REFUSED", 0),
        Some(stream) => {
            let answer = tokio::time::timeout(PATIENCE, get(&url, stream)).await;
            let status = answer.map_err(io::Error::from).flatten();
            ("REPLAY", status.unwrap_or_default())
        }
    };
    let before_query = &url[..url::Position::AfterPath];
    sim.record.arrived(Received {
        at: sim.clock.millis(),
        method: method.to_owned(),
        path: before_query.to_owned(),
        query: url.query().unwrap_or_default().to_owned(),
        status,
        errcode: None,
    });
}

/// A simulator that can be made to send requests anywhere would be a tool for somebody else: loopback, or nothing.
async fn loopback(url: &Url) -> Option<Result<TcpStream, io::Error>> {
    if url.scheme() != "http" {
        return None;
    }
    let host = url.host_str()?.trim_matches(['[', ']']);
    let port = url.port_or_known_default()?;
    let mut addresses = tokio::net::lookup_host((host, port)).await.ok()?;
    let address = addresses.find(|address| address.ip().is_loopback())?;
    Some(TcpStream::connect(address).await)
}

async fn get(url: &Url, stream: Result<TcpStream, io::Error>) -> Result<u16, io::Error> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream?)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let request = Request::get(target)
        .header(header::HOST, host)
        .header(header::ACCEPT, "*/*")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let status = sender.send_request(request).await;
    connection.abort();
    Ok(status.map_err(io::Error::other)?.status().as_u16())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
