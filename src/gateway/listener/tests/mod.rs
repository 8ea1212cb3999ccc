//! A listener with an app of its own behind it, and clients that say what they like.

mod protocols;
mod sockets;
mod stop;
mod time_limits;
mod troubles;

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::{
    body::{Body, Frame, Incoming},
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    net::TcpStream,
    sync::{Semaphore, mpsc, watch},
    task::{self, JoinHandle},
};

use super::{
    Answer, Conn, Limits, Phase, Room, Rules, Sockets,
    answer::Talk,
    connection::{self, Seat},
};
use crate::gateway::tls::Certificates;

const LIMITS: Limits = Limits {
    request_head: Duration::from_secs(15),
    keep_alive: Duration::from_secs(5 * 60),
    drain: Duration::from_secs(30),
};

/// An app that does what the path says.
#[derive(Debug)]
struct App {
    /// Gets a permit for each request to `/slow` that has arrived.
    arrived: Semaphore,
    /// One for each that may be answered.
    released: Semaphore,
    /// What `/drip` answers, bit by bit.
    drops: Mutex<Option<mpsc::Receiver<&'static str>>>,
    /// What `/keep` keeps of its connection.
    kept: Mutex<Option<mpsc::Sender<()>>>,
}

impl App {
    fn new() -> Arc<Self> {
        let (arrived, released) = (Semaphore::new(0), Semaphore::new(0));
        Arc::new(Self { arrived, released, drops: Mutex::default(), kept: Mutex::default() })
    }

    async fn has_arrived(&self) {
        self.arrived.acquire().await.unwrap().forget();
    }

    fn release(&self) {
        self.released.add_permits(1);
    }
}

impl Answer for App {
    type Body = BoxBody<Bytes, Infallible>;

    async fn answer(&self, request: Request<Incoming>, conn: &Conn) -> Response<Self::Body> {
        let text = match request.uri().path() {
            "/slow" => {
                self.arrived.add_permits(1);
                self.released.acquire().await.unwrap().forget();
                "slow".to_owned()
            }
            "/panic" => panic!("out of plums"),
            "/panic-later" => {
                task::yield_now().await;
                panic!("out of {}", "pears")
            }
            "/echo" => {
                let body = request.into_body().collect().await;
                body.map_or("broken".into(), |body| format!("{} bytes", body.to_bytes().len()))
            }
            "/drip" => {
                let drops = Drip(self.drops.lock().unwrap().take().unwrap());
                return Response::new(BoxBody::new(drops));
            }
            "/keep" => {
                *self.kept.lock().unwrap() = Some(conn.open.clone());
                "kept".to_owned()
            }
            "/conn" => format!("{} {} {} {:?}", conn.peer, conn.local, conn.tls, request.version()),
            _ => "hello".to_owned(),
        };
        Response::new(full(text))
    }

    fn without(&self, status: StatusCode) -> Response<Self::Body> {
        let mut response = Response::new(full(format!("sorry: {}", status.as_u16())));
        *response.status_mut() = status;
        response
    }
}

fn full(text: String) -> BoxBody<Bytes, Infallible> {
    BoxBody::new(Full::new(Bytes::from(text)))
}

struct Drip(mpsc::Receiver<&'static str>);

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let drop = self.0.poll_recv(context);
        drop.map(|drop| drop.map(|drop| Ok(Frame::data(Bytes::from_static(drop.as_bytes())))))
    }
}

/// A listener on a port of its own.
struct Served {
    addr: SocketAddr,
    app: Arc<App>,
    room: Arc<Room>,
    phase: watch::Sender<Phase>,
    serving: JoinHandle<io::Result<()>>,
}

impl Served {
    fn with(size: usize, limits: Limits, tls: Option<Arc<Certificates>>) -> Self {
        let sockets = Sockets::bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, 0))], 1).unwrap();
        let (addr, app, room) = (sockets.addrs()[0], App::new(), Arc::new(Room::new(size)));
        let (phase, seen) = watch::channel(Phase::Serving);
        let listeners = sockets.into_cores().pop().unwrap();
        let rules = Rules { limits, room: room.clone(), tls };
        let serving = tokio::spawn(super::serve(listeners, app.clone(), rules, seen));
        Self { addr, app, room, phase, serving }
    }

    fn plain() -> Self {
        Self::with(100, LIMITS, None)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Waits until nobody listens any more.
    async fn is_closed(&self) {
        while TcpStream::connect(self.addr).await.is_ok() {
            task::yield_now().await;
        }
    }
}

/// One connection without sockets, for which the time can be moved.
struct Alone {
    app: Arc<App>,
    phase: watch::Sender<Phase>,
    serving: JoinHandle<()>,
}

fn alone() -> (DuplexStream, Alone) {
    let (client, server) = tokio::io::duplex(256 * 1024);
    let (app, (phase, seen)) = (App::new(), watch::channel(Phase::Serving));
    let (conn, seat) = nobody();
    let talk = Arc::new(Talk::new(app.clone(), conn));
    let serving = tokio::spawn(connection::plain(server, seat, talk, LIMITS, seen));
    (client, Alone { app, phase, serving })
}

/// A client of whom nothing is known.
fn nobody() -> (Conn, Seat) {
    let (open, _) = mpsc::channel(1);
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let conn = Conn::new(addr, addr, false, open.clone());
    (conn, Seat::new(None, open))
}

/// Reads one answer with a `Content-Length`, and leaves what comes after it alone.
async fn read_answer(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        text.push(char::from(io.read_u8().await.unwrap_or_else(|e| panic!("{e} after {text:?}"))));
    }
    let lower = text.to_lowercase();
    let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    io.read_exact(&mut body).await.unwrap();
    text + std::str::from_utf8(&body).unwrap()
}

async fn ask(io: &mut (impl AsyncRead + AsyncWrite + Unpin), path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    io.write_all(request.as_bytes()).await.unwrap();
    read_answer(io).await
}

/// Reads until the other side has ended, which it has to do in good order.
async fn rest(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = String::new();
    io.read_to_string(&mut text).await.unwrap();
    text
}

/// An HTTP/2 client, and the task that ends with its connection.
async fn http2_client(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> (http2::SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let builder = http2::Builder::new(TokioExecutor::new());
    let (client, connection) = builder.handshake(TokioIo::new(io)).await.unwrap();
    (client, tokio::spawn(connection))
}

async fn http1_client(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> (http1::SendRequest<Empty<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let (client, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    (client, tokio::spawn(connection))
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://localhost{path}")).body(Empty::new()).unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}
