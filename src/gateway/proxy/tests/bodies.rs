//! Bodies: whole or cut, never in between; with trailers where they may be; in constant memory.

use std::sync::atomic::AtomicU64;

use super::{kinds::every_kind, *};

const CHUNK: usize = 64 * 1024;

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_taken_for_whole() {
    let breaking = |request: Request<Incoming>| async move {
        let mut answer = match request.uri().path() {
            "/whole" => Response::new(frames([data("hel"), data("lo")])),
            "/broken" => Response::new(broken_after([data("hel")])),
            "/broken-at-the-end" => Response::new(broken_after([data("hel"), data("lo")])),
            "/short" => Response::new(frames([data("hel")])),
            _ => text("hello"),
        };
        if request.uri().path() == "/short" {
            answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
        }
        answer
    };
    for running in every_kind(breaking).await {
        for http in [Http::One, Http::Two] {
            let addr = front(&running.spec, Rules { http, ..Rules::default() }).await;
            for (path, is_whole) in [
                ("/known", true),
                ("/whole", true),
                ("/broken", false),
                ("/broken-at-the-end", false),
                ("/short", false),
            ] {
                let of = format!("{} {http:?} {path}", running.kind);
                let mut client = Client::connect(addr, http).await;
                let Ok(answer) = client.send(get(path)).await else {
                    // A connection that is cut before the head is out is as good a sign as one that is cut after it.
                    assert!(!is_whole, "{of}");
                    continue;
                };
                let is_refused = answer.status() == StatusCode::BAD_GATEWAY;
                let body = whole(answer).await;
                assert_eq!(body.is_ok() && !is_refused, is_whole, "{of} {body:?}");
                if is_whole {
                    assert_eq!(body.unwrap(), "hello");
                }
            }
        }
    }
}

/// An upstream that resets a stream without an error, which hyper reads as its end.
#[tokio::test]
async fn a_reset_without_an_error_is_not_the_end_of_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.unwrap();
        // Our settings, then, for the first stream: status 200, "hel", RST_STREAM with NO_ERROR.
        stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            if head[3] == 1 {
                break;
            }
        }
        stream.write_all(&[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88]).await.unwrap();
        stream.write_all(&[0, 0, 3, 0, 0, 0, 0, 0, 1, b'h', b'e', b'l']).await.unwrap();
        stream.write_all(&[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0]).await.unwrap();
        // Held open until the other side has seen it all.
        stream.read_to_end(&mut Vec::new()).await.ok();
    });
    let addr = front(&spec(&format!("h2c://{addr}")), Rules::default()).await;
    let mut client = Client::connect(addr, Http::One).await;
    // A connection that is cut before the head is out is as good a sign as one that is cut after it.
    if let Ok(answer) = client.send(get("/")).await {
        let (status, body) = (answer.status(), whole(answer).await);
        assert!(status == StatusCode::BAD_GATEWAY || body.is_err(), "{body:?}");
    }
}

#[tokio::test]
async fn trailers_of_an_answer_reach_those_who_take_them() {
    let with_trailers = |request: Request<Incoming>| async move {
        assert_eq!(request.headers().get("te").is_some(), request.uri().path() == "/asked");
        let mut answer = Response::new(frames([data("ok"), trailers("x-sum", "7")]));
        answer.headers_mut().insert(header::TRAILER, HeaderValue::from_static("x-sum"));
        answer
    };
    for running in every_kind(with_trailers).await {
        for http in [Http::One, Http::Two] {
            let addr = front(&running.spec, Rules { http, ..Rules::default() }).await;
            for path in ["/asked", "/not-asked"] {
                let mut request = get(path);
                if path == "/asked" {
                    let te = HeaderValue::from_static("trailers");
                    request.headers_mut().insert(header::TE, te);
                    if http == Http::One {
                        let te = HeaderValue::from_static("te");
                        request.headers_mut().insert(header::CONNECTION, te);
                    }
                }
                let answer = Client::connect(addr, http).await.send(request).await.unwrap();
                let body = answer.into_body().collect().await.unwrap();
                let sum = body.trailers().and_then(|lines| lines.get("x-sum").cloned());
                let of = format!("{} {http:?} {path}", running.kind);
                if path == "/asked" {
                    assert_eq!(sum.unwrap(), "7", "{of}");
                } else if http == Http::One {
                    assert_eq!(sum, None, "{of}");
                }
                assert_eq!(body.to_bytes(), "ok", "{of}");
            }
        }
    }
}

#[tokio::test]
async fn c11_identity_does_not_come_in_a_trailer() {
    for running in every_kind(echo).await {
        for http in [Http::One, Http::Two] {
            let addr = front(&running.spec, Rules { http, ..Rules::default() }).await;
            let body = frames([data("ok"), trailers("x-wechat-openid", "spoofed")]);
            let request = Request::post("/").header("trailer", "x-wechat-openid").body(body);
            let (status, said) = fetch(addr, http, request.unwrap()).await;
            assert_eq!(status, StatusCode::OK);
            assert!(said.ends_with("\n\nok"), "{} {http:?} {said}", running.kind);
            assert!(!said.contains("spoofed") && !said.contains("\ntrailer"), "{said}");
        }
    }
}

/// A body of `size` bytes that counts what was taken of it.
fn counted(size: u64, taken: Arc<AtomicU64>) -> AnyBody {
    let chunk = Bytes::from(vec![b'.'; CHUNK]);
    let count = size / CHUNK as u64;
    frames((0..count).map(move |_| {
        taken.fetch_add(CHUNK as u64, Ordering::Relaxed);
        Frame::data(chunk.clone())
    }))
}

/// Reads a body to its end, and says how much of it lay somewhere in between at most. Stops now and then until whoever
/// can run has run: what is not read by then has to be kept somewhere.
async fn read_slowly(mut body: Incoming, taken: &AtomicU64) -> (u64, u64) {
    let (mut read, mut most, mut stop) = (0, 0, 0);
    while let Some(frame) = body.frame().await {
        read += frame.unwrap().into_data().unwrap().len() as u64;
        if read > stop && stop < 64 * 1024 * 1024 {
            stop = read + 8 * 1024 * 1024;
            let (mut before, mut quiet) = (0, 0);
            while quiet < 1_000 {
                tokio::task::yield_now().await;
                let now = taken.load(Ordering::Relaxed);
                quiet = if now == before { quiet + 1 } else { 0 };
                before = now;
            }
        }
        most = most.max(taken.load(Ordering::Relaxed).saturating_sub(read));
    }
    (read, most)
}

/// What may lie in the system's buffers, of both ends of two connections, and in windows. They grow with the speed.
const IN_BETWEEN: u64 = 96 * 1024 * 1024;

#[tokio::test]
async fn large_answers_need_no_more_memory_than_small_ones() {
    let taken = Arc::<AtomicU64>::default();
    let made = taken.clone();
    let large = move |request: Request<Incoming>| {
        let made = made.clone();
        async move { Response::new(counted(request.uri().path()[1..].parse().unwrap(), made)) }
    };
    for running in every_kind(large).await {
        let size: u64 = if running.kind == "http" { 1 << 30 } else { 1 << 27 };
        for http in [Http::One, Http::Two] {
            let size = if http == Http::Two { 1 << 27 } else { size };
            if http == Http::Two && running.kind.starts_with("https") {
                // Neither side knows of the other, and TLS is slow without optimisation.
                continue;
            }
            taken.store(0, Ordering::Relaxed);
            let addr = front(&running.spec, Rules { http, ..Rules::default() }).await;
            let mut client = Client::connect(addr, http).await;
            let answer = client.send(get(&format!("/{size}"))).await.unwrap();
            let (read, most) = read_slowly(answer.into_body(), &taken).await;
            assert_eq!(read, size, "{}", running.kind);
            assert!(most < IN_BETWEEN, "{} {http:?} {most}", running.kind);
        }
    }
}

#[tokio::test]
async fn large_requests_need_no_more_memory_than_small_ones() {
    let taken = Arc::<AtomicU64>::default();
    let sent = taken.clone();
    let reading = move |request: Request<Incoming>| {
        let sent = sent.clone();
        async move {
            let (read, most) = read_slowly(request.into_body(), &sent).await;
            text(format!("{read} {most}"))
        }
    };
    for running in every_kind(reading).await {
        let size: u64 = if running.kind == "http" { 1 << 30 } else { 1 << 27 };
        for http in [Http::One, Http::Two] {
            let size = if http == Http::Two { 1 << 27 } else { size };
            if http == Http::Two && running.kind.starts_with("https") {
                // Neither side knows of the other, and TLS is slow without optimisation.
                continue;
            }
            taken.store(0, Ordering::Relaxed);
            let addr = front(&running.spec, Rules { http, ..Rules::default() }).await;
            let request = Request::post("/").body(counted(size, taken.clone())).unwrap();
            let (_, said) = fetch(addr, http, request).await;
            let (read, most) = said.split_once(' ').unwrap();
            assert_eq!(read, size.to_string(), "{}", running.kind);
            assert!(most.parse::<u64>().unwrap() < IN_BETWEEN, "{} {http:?} {most}", running.kind);
        }
    }
}
