//! Accepts connections, serves them, and lets them finish when the gateway stops.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time,
};

use super::{
    front::{Client, Front},
    proxy::LONGEST_IDLE,
    settings::Limits,
};

/// A request head that is larger than this is refused: far above what browsers send with all of their cookies.
const LARGEST_HEAD: usize = 64 * 1024;
const BACKLOG: i32 = 1024;
/// The pause when the system has no more descriptors: some connection has to end first.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// One listener for each core, all on the same address; the system spreads connections over them.
pub(super) fn bind(addr: SocketAddr, cores: usize) -> io::Result<Vec<StdListener>> {
    // Sharing a port hides that somebody else has it already, so it is taken alone first.
    let alone = open(addr, false)?;
    let addr = alone.local_addr()?;
    drop(alone);
    (0..cores).map(|_| open(addr, true)).collect()
}

fn open(addr: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves until told to stop, then waits for what is in flight, within the limit for that.
pub(super) async fn serve(
    listener: StdListener,
    front: Arc<Front>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    tokio::spawn(tidy(Arc::downgrade(&front)));
    // Every connection holds a sender; when all are gone, so are the connections.
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => break,
        };
        match accepted {
            Ok((stream, addr)) => {
                let client = Client { addr, open: open.clone() };
                tokio::spawn(connection(stream, client, front.clone(), limits, stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                time::sleep(EXHAUSTED).await;
            }
        }
    }
    drop((listener, open));
    if time::timeout(limits.drain, all_closed.recv()).await.is_err() {
        tracing::warn!("some connections did not finish in time and are cut");
    }
    Ok(())
}

/// Tidies up for as long as somebody serves.
async fn tidy(front: Weak<Front>) {
    let mut turns = time::interval(LONGEST_IDLE);
    while let Some(front) = front.upgrade() {
        front.tidy();
        drop(front);
        turns.tick().await;
    }
}

async fn connection(
    stream: TcpStream,
    client: Client,
    front: Arc<Front>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) {
    // Without it small answers wait for the client's acknowledgement; where it fails they just do.
    stream.set_nodelay(true).ok();
    let both = Arc::new((front, client));
    let service = service_fn(move |request: http::Request<Incoming>| {
        let both = both.clone();
        async move { both.0.answer(request, &both.1).await }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_head)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = stopped(&mut stop) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Waits for the word to stop. A gateway that was dropped stops as well.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stop| *stop).await.ok();
}
