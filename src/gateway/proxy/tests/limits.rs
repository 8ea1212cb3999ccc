//! How large the body of a request may be, and what is done before that is known.

use std::sync::Mutex;

use super::{kinds::every_kind, *};

const LIMIT: u64 = 8;

fn limited(http: Http) -> Rules {
    Rules { http, body_limit: Some(LIMIT), ..Rules::default() }
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_gets_no_further() {
    let (asked, counted) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let count = asked.clone();
    let counting = move |request| {
        count.fetch_add(1, Ordering::Relaxed);
        echo(request)
    };
    for running in every_kind(counting).await {
        for http in [Http::One, Http::Two] {
            let addr = front(&running.spec, limited(http)).await;
            let (status, said) = fetch(addr, http, post("/", "8 bytes.")).await;
            assert_eq!(status, StatusCode::OK, "{} {said}", running.kind);
            assert!(said.ends_with("\n\n8 bytes."), "{said}");
            counted.fetch_add(1, Ordering::Relaxed);
            let (status, said) = fetch(addr, http, post("/", "9 bytes..")).await;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{}", running.kind);
            assert_eq!(said, "body_too_large: the client's body is larger than 8 bytes");
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), counted.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_never_taken_for_whole() {
    let ends = Arc::<Mutex<Vec<bool>>>::default();
    let noted = ends.clone();
    let noting = move |request: Request<Incoming>| {
        let noted = noted.clone();
        async move {
            let body = request.into_body().collect().await;
            noted.lock().unwrap().push(body.is_ok());
            text("whole")
        }
    };
    for running in every_kind(noting).await {
        for http in [Http::One, Http::Two] {
            let addr = front(&running.spec, limited(http)).await;
            let sent = |parts: [&'static str; 3]| {
                Request::post("/").body(frames(parts.map(data))).unwrap()
            };
            let (status, said) = fetch(addr, http, sent(["8", " bytes", "."])).await;
            assert_eq!((status, &*said), (StatusCode::OK, "whole"), "{}", running.kind);
            let (status, said) = fetch(addr, http, sent(["9", " bytes.", "."])).await;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{} {said}", running.kind);
        }
    }
    // Whoever began to read has seen the body break off.
    let ends = ends.lock().unwrap();
    assert_eq!(ends.iter().filter(|whole| **whole).count(), 10);
    assert!(ends.len() > 10);
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_only_when_it_may() {
    let head = |length: u32| {
        format!(
            "POST / HTTP/1.1\r\nHost: h5.example.com\r\nExpect: 100-continue\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        )
    };
    for running in every_kind(echo).await {
        let addr = front(&running.spec, limited(Http::One)).await;
        let refused = raw(addr, &head(9)).await;
        assert!(refused.starts_with("HTTP/1.1 413"), "{} {refused}", running.kind);

        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(head(8).as_bytes()).await.unwrap();
        let mut told = [0; 25];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n", "{}", running.kind);
        stream.write_all(b"8 bytes.").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{} {answer}", running.kind);
        // We have answered that already, so the upstream is not asked again.
        assert!(!answer.contains("\nexpect:"), "{answer}");
    }
}

#[tokio::test]
async fn who_has_stalled_is_who_is_blamed() {
    let limit = Duration::from_millis(50);
    let rules = Rules { response_head: Some(limit), ..Rules::default() };
    for running in every_kind(echo).await {
        let addr = front(&running.spec, rules.clone()).await;
        let head = "POST / HTTP/1.1\r\nHost: h5.example.com\r\nConnection: close\r\n";
        let whole = raw(addr, &format!("{head}Content-Length: 4\r\n\r\nfour")).await;
        assert!(whole.starts_with("HTTP/1.1 200"), "{} {whole}", running.kind);
        let stalled = raw(addr, &format!("{head}Content-Length: 9\r\n\r\nfour")).await;
        assert!(stalled.starts_with("HTTP/1.1 408"), "{} {stalled}", running.kind);
        assert!(stalled.contains("\r\n\r\nrequest_timeout: "), "{stalled}");
        let damaged = raw(addr, &format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n")).await;
        assert!(damaged.starts_with("HTTP/1.1 400"), "{} {damaged}", running.kind);
        assert!(damaged.contains("\r\n\r\nbad_request: "), "{damaged}");
    }
}
