//! Big and slow transfers through a gateway's process: they arrive whole, at once, and without being held in memory.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body as AnyBody,
    extract::{WebSocketUpgrade, ws},
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    process::{Folder, Process},
    warehouse::{CHUNK, warehouse},
    world,
};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;
/// The most memory that a gateway may ever have had, in KiB.
const MOST_MEMORY: u64 = 40 * 1024;
/// How much more it may have than at rest, in KiB, while eight readers keep it from passing on a gibibyte each.
const MOST_GROWTH: u64 = 12 * 1024;
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway before one open app.
async fn before(app: SocketAddr) -> Process {
    let text = |addr| {
        format!(
            "[site.h5]\npublic_url = 'http://{addr}'\nupstream = 'http://{app}'\nlogin = 'off'\n"
        )
    };
    Process::start(Folder::new(), text).await
}

/// The head of an answer over HTTP/1.1.
async fn head(from: &mut (impl AsyncBufReadExt + Unpin)) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        timeout(PATIENCE, from.read_line(&mut line)).await.expect("it answers").unwrap();
        if line.trim_end().is_empty() {
            return lines;
        }
        lines.push(line.trim_end().to_ascii_lowercase());
    }
}

/// So many bytes, in large chunks.
struct Bulk {
    left: u64,
    chunk: Bytes,
}

impl Body for Bulk {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let some = self.left.min(self.chunk.len() as u64);
        self.left -= some;
        let chunk = self.chunk.slice(..usize::try_from(some).unwrap());
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// A client that speaks HTTP/2 from its first byte.
async fn over_http2<B>(addr: SocketAddr) -> http2::SendRequest<B>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::error::Error + Send + Sync,
{
    let stream = TcpStream::connect(addr).await.unwrap();
    // The last bytes of a window would wait for an acknowledgement that nobody hurries to send.
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn count(mut body: Incoming) -> u64 {
    let mut sum = 0;
    while let Some(frame) = body.frame().await {
        sum += frame.unwrap().into_data().unwrap().len() as u64;
    }
    sum
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_goes_each_way_without_being_held_over_http1() {
    let (app, ..) = warehouse().await;
    let process = before(app).await;
    let (from, mut to) = TcpStream::connect(process.addr).await.unwrap().into_split();
    let mut from = BufReader::with_capacity(CHUNK, from);
    let request = format!("POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: {GIB}\r\n\r\n");
    to.write_all(request.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; CHUNK];
    for _ in 0..GIB / CHUNK as u64 {
        to.write_all(&chunk).await.unwrap();
    }
    assert!(head(&mut from).await[0].starts_with("http/1.1 200"));
    let mut said = vec![0; GIB.to_string().len()];
    from.read_exact(&mut said).await.unwrap();
    assert_eq!(said, GIB.to_string().as_bytes());

    to.write_all(format!("GET /give/{GIB} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
    let lines = head(&mut from).await;
    assert!(lines.contains(&format!("content-length: {GIB}")), "{lines:?}");
    let mut left = GIB;
    while left > 0 {
        let some = from.fill_buf().await.unwrap().len();
        assert!(some > 0, "{left} bytes are missing");
        from.consume(some);
        left -= some as u64;
    }
    assert!(process.peak_memory() < MOST_MEMORY, "{} KiB", process.peak_memory());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_goes_each_way_without_being_held_over_http2() {
    let (app, ..) = warehouse().await;
    let process = before(app).await;
    let mut sender = over_http2::<Bulk>(process.addr).await;
    let chunk = Bytes::from(vec![b'x'; CHUNK]);
    let request = |method: &str, path: String, left: u64| {
        let uri = format!("http://{}{path}", process.addr);
        Request::builder()
            .method(method)
            .uri(uri)
            .body(Bulk { left, chunk: chunk.clone() })
            .unwrap()
    };
    let answer = sender.send_request(request("POST", "/take".to_owned(), GIB)).await.unwrap();
    let said = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(said, GIB.to_string());
    let answer = sender.send_request(request("GET", format!("/give/{GIB}"), 0)).await.unwrap();
    assert_eq!(count(answer.into_body()).await, GIB);
    assert!(process.peak_memory() < MOST_MEMORY, "{} KiB", process.peak_memory());
}

/// Waits until the number has not changed for a while, and returns it.
async fn settled(written: &mut watch::Receiver<u64>) -> u64 {
    written.wait_for(|count| *count > 0).await.unwrap();
    while let Ok(Ok(())) = timeout(Duration::from_millis(500), written.changed()).await {}
    *written.borrow()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_holds_the_app_back_and_not_memory() {
    const CLIENTS: u64 = 8;
    for is_http2 in [false, true] {
        let (app, mut written, mut gone) = warehouse().await;
        let process = before(app).await;
        let at_rest = process.peak_memory();
        let mut kept = Vec::new();
        let mut answers = Vec::new();
        for _ in 0..CLIENTS {
            if is_http2 {
                let mut sender = over_http2::<Empty<Bytes>>(process.addr).await;
                let uri = format!("http://{}/give/{GIB}", process.addr);
                let request = Request::builder().uri(uri).body(Empty::new()).unwrap();
                answers.push((sender.send_request(request).await.unwrap(), sender));
            } else {
                let mut stream = TcpStream::connect(process.addr).await.unwrap();
                stream
                    .write_all(format!("GET /give/{GIB} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
                    .await
                    .unwrap();
                kept.push(stream);
            }
        }
        let held = settled(&mut written).await;
        // Most of it waits in the sockets of both sides.
        assert!(held < CLIENTS * 20 * MIB, "{held} bytes");
        let grown = process.peak_memory() - at_rest;
        assert!(grown < MOST_GROWTH, "{grown} KiB more than {at_rest}");
        // Who goes away frees the app, in the middle of its answer.
        drop((kept, answers));
        for _ in 0..CLIENTS {
            timeout(PATIENCE, gone.recv()).await.expect("the app is freed").unwrap();
        }
        assert!(*written.borrow() < CLIENTS * 40 * MIB);
        let in_flight = async || process.metric("wxgate_requests_in_flight").await;
        let began = Instant::now();
        while in_flight().await > 0 {
            assert!(began.elapsed() < PATIENCE);
        }
        let (_, log) = process.stop().await;
        let aborted = log.iter().filter(|line| line["aborted"] == true).count() as u64;
        assert_eq!(aborted, CLIENTS);
    }
}

#[tokio::test]
async fn who_goes_before_there_is_an_answer_frees_the_app_as_well() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let process = before(listener.local_addr().unwrap()).await;
    for is_http2 in [false, true] {
        let request = format!("http://{}/", process.addr);
        let asking = tokio::spawn({
            let addr = process.addr;
            async move {
                if is_http2 {
                    let mut sender = over_http2::<Empty<Bytes>>(addr).await;
                    let request = Request::builder().uri(request).body(Empty::new()).unwrap();
                    sender.send_request(request).await.map(drop).ok();
                } else {
                    let mut stream = TcpStream::connect(addr).await.unwrap();
                    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
                    std::future::pending::<()>().await;
                }
            }
        });
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        let mut stream = BufReader::new(stream);
        assert!(head(&mut stream).await[0].starts_with("get / "));
        asking.abort();
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the app is freed").ok();
        assert_eq!(rest, b"");
    }
    let (_, log) = process.stop().await;
    let statuses: Vec<_> = log.iter().filter_map(|line| line["status"].as_u64()).collect();
    assert_eq!(statuses, [499, 499]);
}

fn stream_of<T>(mut receiver: mpsc::Receiver<T>) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// An app whose events are given to it, and whose WebSocket says what it hears.
async fn live() -> (SocketAddr, mpsc::Sender<&'static str>) {
    let (sender, receiver) = mpsc::channel(1);
    let receiver = std::sync::Arc::new(tokio::sync::Mutex::new(receiver));
    let events = move || {
        let receiver = receiver.clone();
        async move {
            let mut guard = receiver.lock_owned().await;
            let frames = futures_util::stream::poll_fn(move |context| guard.poll_recv(context));
            let body = StreamBody::new(frames.map(|text: &str| {
                Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(text)))
            }));
            ([("content-type", "text/event-stream")], AnyBody::new(body)).into_response()
        }
    };
    let socket = async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket: ws::WebSocket| {
            while let Some(Ok(message)) = socket.recv().await {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
        })
    };
    (
        world::serve(Router::new().route("/events", get(events)).route("/socket", get(socket)))
            .await,
        sender,
    )
}

#[tokio::test]
async fn events_and_messages_arrive_at_once() {
    let (app, events) = live().await;
    let process = before(app).await;
    let mut sender = over_http2::<Empty<Bytes>>(process.addr).await;
    for is_http2 in [false, true] {
        let (arrived, mut arrivals) = mpsc::channel(1);
        let reading = if is_http2 {
            let uri = format!("http://{}/events", process.addr);
            let request = Request::builder().uri(uri).body(Empty::new()).unwrap();
            let mut body = sender.send_request(request).await.unwrap().into_body();
            tokio::spawn(async move {
                while let Some(Ok(frame)) = body.frame().await {
                    arrived.send(frame.into_data().unwrap()).await.unwrap();
                }
            })
        } else {
            let mut answer =
                world::http_client().get(format!("{}/events", process.url())).send().await.unwrap();
            tokio::spawn(async move {
                while let Ok(Some(chunk)) = answer.chunk().await {
                    arrived.send(chunk).await.unwrap();
                }
            })
        };
        for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
            // The next one is only given when this one is there.
            events.send(event).await.unwrap();
            let began = Instant::now();
            let chunk = timeout(PATIENCE, arrivals.recv()).await.expect("it arrives").unwrap();
            assert_eq!(chunk, event);
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        }
        // The app is free for the next one then.
        reading.abort();
        drop(arrivals);
        events.send("").await.ok();
    }

    let url = format!("ws://{}/socket", process.addr);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    for message in ["one", "two", "three"] {
        let began = Instant::now();
        socket.send(Message::text(message)).await.unwrap();
        let heard = timeout(PATIENCE, socket.next()).await.expect("it arrives").unwrap().unwrap();
        assert_eq!(heard.into_text().unwrap(), message);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    // Larger than any buffer on the way.
    let large = vec![7; 4 * 1024 * 1024];
    socket.send(Message::binary(large.clone())).await.unwrap();
    let heard = timeout(PATIENCE, socket.next()).await.expect("it arrives").unwrap().unwrap();
    assert_eq!(heard.into_data(), large);
    assert!(process.peak_memory() < MOST_MEMORY, "{} KiB", process.peak_memory());
}

#[tokio::test]
async fn a_body_is_asked_for_only_where_somebody_wants_it() {
    let (app, ..) = warehouse().await;
    let text = |addr| {
        format!(
            "[site.h5]\npublic_url = 'http://{addr}'\nupstream = 'http://{app}'\nlogin = 'off'\nbody_limit = '1MiB'\n\
             [[site.h5.route]]\nprefix = '/private'\nlogin = 'base'\n"
        )
    };
    let process = Process::start(Folder::new(), text).await;
    let asked = async |path: &str, length: u64| {
        let mut stream = BufReader::new(TcpStream::connect(process.addr).await.unwrap());
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let line = head(&mut stream).await[0].clone();
        (stream, line)
    };
    let (mut stream, line) = asked("/take", 5).await;
    assert_eq!(line, "http/1.1 100 continue");
    stream.write_all(b"hello").await.unwrap();
    assert!(head(&mut stream).await[0].starts_with("http/1.1 200"));
    assert_eq!(stream.read_u8().await.unwrap(), b'5');
    // Nobody sends a large file only to hear that it may not.
    assert!(asked("/take", 2 * MIB).await.1.starts_with("http/1.1 413"));
    assert!(asked("/private", 5).await.1.starts_with("http/1.1 401"));
}

#[tokio::test]
async fn trailers_of_an_answer_pass_and_those_of_a_request_do_not() {
    let router = Router::new().fallback(async |request: axum::extract::Request| {
        let body = request.into_body().collect().await.unwrap();
        let said = body.trailers().is_some().to_string();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "7".parse().unwrap());
        let frames = [
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from(said))),
            Ok(Frame::trailers(trailers)),
        ];
        let body = AnyBody::new(StreamBody::new(futures_util::stream::iter(frames)));
        Response::builder().header("trailer", "x-sum").body(body).unwrap()
    });
    let process = before(world::serve(router).await).await;

    let mut stream = TcpStream::connect(process.addr).await.unwrap();
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te, close\r\nTrailer: X-WeChat-Openid\r\n\
                   Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-WeChat-Openid: forged\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(
        answer.contains("\r\nfalse\r\n")
            && answer.to_lowercase().ends_with("0\r\nx-sum: 7\r\n\r\n"),
        "{answer}"
    );

    let mut sender = over_http2::<StreamBody<_>>(process.addr).await;
    let (to, from) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(2);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-wechat-openid", "forged".parse().unwrap());
    to.send(Ok(Frame::data(Bytes::from("ok")))).await.unwrap();
    to.send(Ok(Frame::trailers(trailers))).await.unwrap();
    drop(to);
    let uri = format!("http://{}/", process.addr);
    let request = Request::builder().method("POST").uri(uri).header("te", "trailers");
    let request = request.body(StreamBody::new(Box::pin(stream_of(from)))).unwrap();
    let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(answer.trailers().unwrap()["x-sum"], "7");
    assert_eq!(answer.to_bytes(), "false");
}
