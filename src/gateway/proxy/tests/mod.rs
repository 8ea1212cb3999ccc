//! Tests of the proxy against upstreams of every kind, with what they need: upstreams, a front and clients.

mod bodies;
mod differential;
mod files;
mod kinds;
mod limits;
mod reuse;
mod tls;
mod tunnels;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Incoming},
    client, server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    sync::mpsc,
};

use super::{
    Exchange, Failure, Forwarding, Terms, Upstream, UpstreamBody, UpstreamSpec, check_target,
    rewrite,
};
use crate::gateway::client_address::ClientAddress;

/// A body of any kind.
type AnyBody = UnsyncBoxBody<Bytes, io::Error>;

fn any<B>(body: B) -> AnyBody
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    body.map_err(io::Error::other).boxed_unsync()
}

fn text(text: impl Into<Bytes>) -> Response<AnyBody> {
    Response::new(any(Full::new(text.into())))
}

/// A body that gives what a closure gives.
struct Made<F>(F);

impl<F> Body for Made<F>
where
    F: FnMut(&mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> + Unpin,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        (self.0)(context)
    }
}

/// A body of these frames, one after the other.
fn frames(
    frames: impl IntoIterator<Item = Frame<Bytes>, IntoIter: Send + Unpin + 'static>,
) -> AnyBody {
    let mut frames = frames.into_iter();
    Made(move |_: &mut Context<'_>| Poll::Ready(frames.next().map(Ok))).boxed_unsync()
}

/// A body that breaks off after these frames.
fn broken_after(
    frames: impl IntoIterator<Item = Frame<Bytes>, IntoIter: Send + Unpin + 'static>,
) -> AnyBody {
    let mut frames = frames.into_iter();
    let broken = || io::Error::other("broken");
    Made(move |_: &mut Context<'_>| Poll::Ready(Some(frames.next().ok_or_else(broken))))
        .boxed_unsync()
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

fn trailers(name: &'static str, value: &'static str) -> Frame<Bytes> {
    let line = (HeaderName::from_static(name), HeaderValue::from_static(value));
    Frame::trailers(HeaderMap::from_iter([line]))
}

/// How an upstream or a front is spoken to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Http {
    One,
    Two,
}

/// An upstream that answers with this status dies instead.
const DIES: StatusCode = StatusCode::IM_A_TEAPOT;

/// Serves one connection, whatever it is made of.
async fn serve<S, H, A>(stream: S, http: Http, handler: H)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answering = handler(request);
        async move {
            let answer = answering.await;
            if answer.status() == DIES { Err(io::Error::other("dead")) } else { Ok(answer) }
        }
    });
    // A connection that breaks off is what many of the tests are about.
    match http {
        Http::One => {
            let one = server::conn::http1::Builder::new();
            one.serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok();
        }
        Http::Two => {
            let two = server::conn::http2::Builder::new(TokioExecutor::new());
            two.serve_connection(TokioIo::new(stream), service).await.ok();
        }
    }
}

/// An upstream over TCP, and how many connections it was opened.
async fn upstream<H, A>(http: Http, handler: H) -> (SocketAddr, Arc<AtomicUsize>)
where
    H: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, opened) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let count = opened.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, http, handler.clone()));
        }
    });
    (addr, opened)
}

fn unix_upstream<H, A>(path: &Path, handler: H) -> Arc<AtomicUsize>
where
    H: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let (listener, opened) = (UnixListener::bind(path).unwrap(), Arc::<AtomicUsize>::default());
    let count = opened.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, Http::One, handler.clone()));
        }
    });
    opened
}

fn spec(url: &str) -> UpstreamSpec {
    url.parse::<super::UpstreamUrl>().unwrap().into()
}

/// What a front does with every request.
#[derive(Clone, Debug)]
struct Rules {
    http: Http,
    connect: Duration,
    response_head: Option<Duration>,
    body_limit: Option<u64>,
    rewrite: Option<(&'static str, &'static str)>,
    own_host: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            http: Http::One,
            connect: Duration::from_secs(10),
            response_head: Some(Duration::from_secs(30)),
            body_limit: None,
            rewrite: None,
            own_host: false,
        }
    }
}

/// A server in front of an upstream, which does nothing but to pass requests on.
async fn front(spec: &UpstreamSpec, rules: Rules) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let upstream = Arc::new(Upstream::new(spec).unwrap());
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            let (upstream, rules) = (upstream.clone(), rules.clone());
            let http = rules.http;
            tokio::spawn(serve(stream, http, move |request| {
                let (upstream, rules) = (upstream.clone(), rules.clone());
                async move { answer(&upstream, &rules, peer, request).await }
            }));
        }
    });
    addr
}

async fn answer(
    upstream: &Upstream,
    rules: &Rules,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<AnyBody> {
    let (mut head, body) = request.into_parts();
    if let Err(bad) = check_target(&mut head) {
        return refusal(StatusCode::BAD_REQUEST, &bad.to_string());
    }
    let tunnel = Terms::asked_for(&mut head, || None, &mpsc::channel(1).0);
    if let Some((prefix, replacement)) = rules.rewrite {
        rewrite(&mut head, prefix, replacement);
    }
    let own_host = upstream.url().host_header().filter(|_| rules.own_host);
    let exchange = Exchange {
        connect: rules.connect,
        response_head: rules.response_head,
        body_limit: rules.body_limit,
        tunnel,
    };
    let client = ClientAddress::from(peer.ip());
    let forwarding = Forwarding { host: own_host.as_ref(), ..told_of(&client) };
    match upstream.exchange(&head, body, &forwarding, exchange).await {
        Ok(response) => response.map(any::<UpstreamBody>),
        Err(failure) => refusal(failure.status(), &said(&failure)),
    }
}

/// What upstreams are told of everybody here.
fn told_of(client: &ClientAddress) -> Forwarding<'_> {
    static REQUEST_ID: HeaderValue = HeaderValue::from_static("id-1");
    static IDENTITY: [(HeaderName, HeaderValue); 1] =
        [(HeaderName::from_static("x-wechat-openid"), HeaderValue::from_static("openid-1"))];
    Forwarding {
        client,
        scheme: "https",
        underscores: false,
        host: None,
        request_id: &REQUEST_ID,
        identity: &IDENTITY,
    }
}

fn said(failure: &Failure) -> String {
    format!("{}: {failure}", failure.code())
}

fn refusal(status: StatusCode, why: &str) -> Response<AnyBody> {
    let mut response = text(why.to_owned());
    *response.status_mut() = status;
    response
}

/// A client with one connection.
enum Client {
    One(client::conn::http1::SendRequest<AnyBody>),
    Two(client::conn::http2::SendRequest<AnyBody>),
}

impl Client {
    async fn connect(addr: SocketAddr, http: Http) -> Self {
        let stream = TokioIo::new(TcpStream::connect(addr).await.unwrap());
        match http {
            Http::One => {
                let (sender, driver) = client::conn::http1::handshake(stream).await.unwrap();
                tokio::spawn(driver.with_upgrades());
                Self::One(sender)
            }
            Http::Two => {
                let (sender, driver) =
                    client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
                tokio::spawn(driver);
                Self::Two(sender)
            }
        }
    }

    /// Sends a request to `h5.example.com`.
    async fn send(&mut self, mut request: Request<AnyBody>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::One(sender) => {
                let host = HeaderValue::from_static("h5.example.com");
                request.headers_mut().entry(header::HOST).or_insert(host);
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                let uri = format!("https://h5.example.com{}", request.uri());
                *request.uri_mut() = uri.parse().unwrap();
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

fn get(path: &str) -> Request<AnyBody> {
    Request::get(path).body(any(Empty::new())).unwrap()
}

fn post(path: &str, body: impl Into<Bytes>) -> Request<AnyBody> {
    Request::post(path).body(any(Full::new(body.into()))).unwrap()
}

/// Status and whole body of an answer over a connection of its own.
async fn fetch(addr: SocketAddr, http: Http, request: Request<AnyBody>) -> (StatusCode, String) {
    let answer = Client::connect(addr, http).await.send(request).await.unwrap();
    let status = answer.status();
    (status, whole(answer).await.unwrap())
}

async fn whole(answer: Response<Incoming>) -> hyper::Result<String> {
    let bytes = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Sends bytes and reads until the other side closes.
async fn raw(addr: SocketAddr, request: &str) -> String {
    String::from_utf8_lossy(&raw_bytes(addr, request.as_bytes()).await).into_owned()
}

async fn raw_bytes(addr: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // A server may have answered, and closed, before it has read everything.
    stream.write_all(request).await.ok();
    let mut answer = Vec::new();
    // What came before the connection broke is the answer.
    stream.read_to_end(&mut answer).await.ok();
    answer
}

/// A directory of the test's own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("wxgate-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind lies where the system tidies up.
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// An upstream that says what it was asked: method, target, version and headers, then the body.
async fn echo(request: Request<Incoming>) -> Response<AnyBody> {
    let (head, body) = request.into_parts();
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()))
    };
    let lines: Vec<_> = head.headers.iter().map(line).collect();
    let asked = format!("{} {} {:?}\n{}", head.method, head.uri, head.version, lines.concat());
    match body.collect().await {
        Ok(body) => {
            let trailers: Vec<_> = body.trailers().into_iter().flatten().map(line).collect();
            let body = body.to_bytes();
            let body = String::from_utf8_lossy(&body);
            text(format!("{asked}\n{}{body}", trailers.concat()))
        }
        Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}
