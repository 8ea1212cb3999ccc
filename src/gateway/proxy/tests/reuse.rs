//! When a connection to an upstream is used again, and when never.

use super::*;

/// An upstream of which every connection does what is told, with its number; and how many there were.
async fn by_hand<H, A>(handler: H) -> (SocketAddr, Arc<AtomicUsize>)
where
    H: Fn(usize, TcpStream) -> A + Send + 'static,
    A: Future<Output = Option<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, opened) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
    let count = opened.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handler(count.fetch_add(1, Ordering::Relaxed), stream));
        }
    });
    (addr, opened)
}

/// Reads up to the end of a head, and gives it back.
async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// An upstream that gives this answer to everything, as long as it is asked, and the answers that a browser gets.
async fn answers(answer: &'static str, asks: usize) -> (Vec<(StatusCode, String)>, usize) {
    let (addr, opened) = by_hand(move |_, mut stream| async move {
        loop {
            head(&mut stream).await?;
            stream.write_all(answer.as_bytes()).await.ok()?;
        }
    })
    .await;
    let front = front(&spec(&format!("http://{addr}")), Rules::default()).await;
    let mut got = Vec::new();
    for _ in 0..asks {
        got.push(fetch(front, Http::One, get("/")).await);
    }
    (got, opened.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_connection_is_used_again_behind_an_answer_with_an_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nX-A:\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let (got, opened) = answers(answer, 3).await;
        assert!(got.iter().all(|got| *got == (StatusCode::OK, "ok".to_owned())), "{got:?}");
        assert_eq!(opened, 1, "{answer:?}");
    }
}

#[tokio::test]
async fn a_connection_is_not_used_again_where_something_follows_or_may_follow() {
    for answer in [
        // The next browser would get what follows for its answer.
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let (got, opened) = answers(answer, 3).await;
        assert!(got.iter().all(|got| *got == (StatusCode::OK, "ok".to_owned())), "{got:?}");
        assert_eq!(opened, 3, "{answer:?}");
    }
}

#[tokio::test]
async fn a_request_that_was_not_sent_to_its_end_ends_its_connection() {
    let (addr, opened) = by_hand(|number, mut stream| async move {
        head(&mut stream).await?;
        let no = b"HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno";
        stream.write_all(if number == 0 { no } else { b"HTTP/1.1 204 Fine\r\n\r\n" }).await.ok()?;
        // It takes nothing more, and does not close either.
        std::future::pending().await
    })
    .await;
    let front = front(&spec(&format!("http://{addr}")), Rules::default()).await;
    let mut browser = TcpStream::connect(front).await.unwrap();
    let asked = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\nbegins";
    browser.write_all(asked).await.unwrap();
    let refused = head(&mut browser).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 413 Too Much\r\n"), "{refused}");
    drop(browser);
    assert_eq!(fetch(front, Http::One, get("/")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(opened.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn however_many_connections_were_closed_none_of_them_is_taken_for_open() {
    const MANY: usize = 300;
    let close = Arc::new(tokio::sync::Notify::new());
    let all = Arc::new(tokio::sync::Barrier::new(MANY));
    let (told, met) = (close.clone(), all.clone());
    let (addr, opened) = by_hand(move |number, mut stream| {
        let (told, met) = (told.clone(), met.clone());
        async move {
            head(&mut stream).await?;
            if number < MANY {
                let closing = told.notified();
                // All at once, so that each needs a connection of its own.
                met.wait().await;
                stream.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").await.ok()?;
                closing.await;
            } else {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.ok()?;
            }
            None
        }
    })
    .await;
    let front = front(&spec(&format!("http://{addr}")), Rules::default()).await;
    let asking = (0..MANY).map(|_| fetch(front, Http::One, get("/")));
    let answers = futures_util::future::join_all(asking).await;
    assert!(answers.iter().all(|(status, _)| *status == StatusCode::NO_CONTENT));
    close.notify_waiters();
    // Until the last of them has closed, in one thread with all the others.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let (status, _) = fetch(front, Http::One, post("/", "once")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(opened.load(Ordering::Relaxed), MANY + 1);
}

#[tokio::test]
async fn bytes_that_come_with_the_switch_of_protocols_belong_to_the_tunnel() {
    let (addr, _) = by_hand(|_, mut stream| async move {
        head(&mut stream).await?;
        let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                         Upgrade: websocket\r\n\r\nfirst";
        stream.write_all(switched).await.ok()?;
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.ok()?;
        stream.write_all(&heard).await.ok()
    })
    .await;
    let front = front(&spec(&format!("http://{addr}")), Rules::default()).await;
    let mut browser = TcpStream::connect(front).await.unwrap();
    let asked = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    browser.write_all(asked).await.unwrap();
    let switched = head(&mut browser).await.unwrap();
    assert!(switched.starts_with("HTTP/1.1 101 "), "{switched}");
    browser.write_all(b"ping").await.unwrap();
    let mut all = Vec::new();
    browser.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"firstping");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_never_an_empty_close() {
    for broken in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n",
    ] {
        let (addr, _) = by_hand(move |_, mut stream| async move {
            head(&mut stream).await?;
            stream.write_all(broken.as_bytes()).await.ok()
        })
        .await;
        let front = front(&spec(&format!("http://{addr}")), Rules::default()).await;
        let answer = raw(front, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
        assert!(!answer.ends_with("0\r\n\r\n"), "nobody takes it for whole: {answer:?}");
    }
}
