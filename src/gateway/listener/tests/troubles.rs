//! Requests that are too large, too many connections, and panics.

use std::sync::PoisonError;

use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn c55_a_panic_is_a_500_for_that_request_only() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let served = Served::plain();
    let mut stream = served.connect().await;
    for path in ["/panic", "/panic-later"] {
        let answer = ask(&mut stream, path).await;
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.ends_with("sorry: 500"), "{answer}");
        assert!(ask(&mut stream, "/").await.ends_with("hello"), "on the same connection");
    }
    assert!(log.text().contains("out of plums") && log.text().contains("out of pears"));

    let (mut client, _) = http2_client(served.connect().await).await;
    let mut other = client.clone();
    let slow = tokio::spawn(async move { other.send_request(get("/slow")).await.unwrap() });
    served.app.has_arrived().await;
    assert_eq!(client.send_request(get("/panic")).await.unwrap().status(), 500);
    served.app.release();
    assert_eq!(text(slow.await.unwrap()).await, "slow");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_an_answer() {
    let served = Served::plain();
    for (size, fits) in [(60 * 1024, true), (70 * 1024, false), (1024 * 1024, false)] {
        let mut stream = served.connect().await;
        let value = "x".repeat(size);
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {value}\r\n\r\n");
        let (mut reader, mut writer) = stream.split();
        let (written, answer) =
            tokio::join!(writer.write_all(request.as_bytes()), rest(&mut reader));
        written.unwrap();
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), fits, "{answer}");
        assert_eq!(answer.starts_with("HTTP/1.1 431 "), !fits, "{answer}");
    }
}

#[tokio::test]
async fn too_many_headers_are_refused_with_an_answer() {
    let served = Served::plain();
    for (count, status) in [(100, 200), (101, 431)] {
        let mut stream = served.connect().await;
        let headers = "X: 1\r\n".repeat(count - 2);
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{count}: {answer}");

        let (mut client, _) = http2_client(served.connect().await).await;
        let mut request = get("/");
        for _ in 0..count {
            request.headers_mut().append("x", "1".parse().unwrap());
        }
        assert_eq!(client.send_request(request).await.unwrap().status(), status, "{count}");
        assert_eq!(client.send_request(get("/")).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn an_http2_head_that_is_too_large_is_refused_with_an_answer() {
    let served = Served::plain();
    let (mut client, _) = http2_client(served.connect().await).await;
    for (size, status) in [(40 * 1024, 200), (70 * 1024, 431)] {
        let mut request = get("/");
        request.headers_mut().insert("x", "x".repeat(size).parse().unwrap());
        assert_eq!(client.send_request(request).await.unwrap().status(), status, "{size}");
    }
}

/// A refusal that does not wait for the body must get through to a client that goes on sending it.
#[tokio::test]
async fn an_answer_before_the_end_of_a_body_is_not_lost() {
    let served = Served::plain();
    let mut stream = served.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.ends_with("hello"));
    stream.write_all(&vec![b'x'; 4_000_000]).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn c56_a_flood_of_resets_ends_the_connection() {
    // `:method GET`, `:scheme http`, `:path /`, `:authority a`
    let head = [0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
    let served = Served::plain();
    for (count, is_flood) in [(15, false), (1000, true)] {
        let mut stream = served.connect().await;
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        for number in 0..count {
            bytes.extend(frame(1, 5, 2 * number + 1, &head));
            bytes.extend(frame(3, 0, 2 * number + 1, &[0, 0, 0, 8]));
        }
        bytes.extend(frame(6, 0, 0, b"anybody?"));
        stream.write_all(&bytes).await.unwrap();
        let mut said = Vec::new();
        while !said.windows(8).any(|window| window == b"anybody?") {
            if stream.read_buf(&mut said).await.unwrap_or(0) == 0 {
                break;
            }
        }
        // ENHANCE_YOUR_CALM
        let calm = said.windows(17).any(|window| window[3] == 7 && window[13..] == [0, 0, 0, 11]);
        assert_eq!(calm, is_flood, "{count}: {said:?}");
    }
}

#[tokio::test]
async fn who_finds_no_room_waits() {
    let served = Served::with(1, LIMITS, None);
    let mut first = served.connect().await;
    assert!(ask(&mut first, "/").await.ends_with("hello"));
    assert_eq!(served.room.open(), 1);
    let mut second = served.connect().await;
    second.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    for _ in 0..10 {
        assert!(ask(&mut first, "/").await.ends_with("hello"));
    }
    let nothing = second.try_read(&mut [0; 1]).unwrap_err();
    assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
    drop(first);
    assert!(read_answer(&mut second).await.ends_with("hello"));
    assert_eq!(served.room.open(), 1);
}
