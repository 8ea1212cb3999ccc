//! What holds for upstreams of every kind that speaks HTTP: what they are sent, and what becomes of their connections.

use super::{tls::Authority, *};

/// Far above what anything here takes: after it, a test has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// An upstream of one kind, which may need things to live as long as it does.
pub(super) struct Running {
    pub(super) kind: &'static str,
    pub(super) spec: UpstreamSpec,
    pub(super) opened: Arc<AtomicUsize>,
    #[allow(dead_code)] // Held for its end.
    keeps: (Folder, Option<Authority>),
}

/// One upstream of each kind that speaks HTTP, all with the same handler.
pub(super) async fn every_kind<H, A>(handler: H) -> Vec<Running>
where
    H: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<AnyBody>> + Send + 'static,
{
    let mut all = Vec::new();
    let mut add = |kind, spec, opened, folder: Option<Folder>, authority| {
        let keeps = (folder.unwrap_or_else(Folder::new), authority);
        all.push(Running { kind, spec, opened, keeps });
    };
    let (addr, opened) = upstream(Http::One, handler.clone()).await;
    add("http", spec(&format!("http://{addr}")), opened, None, None);
    let (addr, opened) = upstream(Http::Two, handler.clone()).await;
    add("h2c", spec(&format!("h2c://{addr}")), opened, None, None);
    for (kind, http) in [("https, 1.1", Http::One), ("https, 2", Http::Two)] {
        let authority = Authority::new();
        let (spec, opened) = authority.upstream("localhost", http, handler.clone()).await;
        add(kind, spec, opened, None, Some(authority));
    }
    let folder = Folder::new();
    let socket = folder.path("app.sock");
    let opened = unix_upstream(&socket, handler);
    add("unix", spec(&format!("unix:{}", socket.display())), opened, Some(folder), None);
    all
}

#[tokio::test]
async fn every_kind_of_upstream_gets_the_same_request() {
    for running in every_kind(echo).await {
        let addr = front(&running.spec, Rules::default()).await;
        for http in [Http::One, Http::Two] {
            let addr = if http == Http::Two {
                front(&running.spec, Rules { http, ..Rules::default() }).await
            } else {
                addr
            };
            let mut request = post("/a//b?c=d", "the body");
            let headers = request.headers_mut();
            headers.insert("x-wechat-openid", "spoofed".parse().unwrap());
            headers.insert("te", "trailers".parse().unwrap());
            headers.append("cookie", "a=1".parse().unwrap());
            headers.append("cookie", "wxgate=secret; b=2".parse().unwrap());
            let (status, said) = fetch(addr, http, request).await;
            let of = format!("{} {http:?}\n{said}", running.kind);
            assert_eq!(status, StatusCode::OK, "{of}");
            let two = matches!(running.kind, "h2c" | "https, 2");
            let target = if !two {
                "/a//b?c=d HTTP/1.1"
            } else if running.kind == "h2c" {
                "http://h5.example.com/a//b?c=d HTTP/2.0"
            } else {
                "https://h5.example.com/a//b?c=d HTTP/2.0"
            };
            assert!(said.starts_with(&format!("POST {target}\n")), "{of}");
            assert!(said.ends_with("\n\nthe body"), "{of}");
            for line in [
                "x-wechat-openid: openid-1",
                "cookie: a=1; b=2",
                "x-forwarded-for: 127.0.0.1",
                "x-real-ip: 127.0.0.1",
                "x-forwarded-host: h5.example.com",
                "x-forwarded-proto: https",
                "x-request-id: id-1",
                "content-length: 8",
                "te: trailers",
            ] {
                assert!(said.contains(&format!("\n{line}\n")), "{line} {of}");
            }
            if running.kind != "h2c" {
                assert!(said.contains("\nhost: h5.example.com\n"), "{of}");
            }
            assert!(!said.contains("spoofed") && !said.contains("secret"), "{of}");
        }
    }
}

#[tokio::test]
async fn an_upstream_is_called_by_its_own_name_where_that_is_wanted() {
    for running in every_kind(echo).await {
        let addr = front(&running.spec, Rules { own_host: true, ..Rules::default() }).await;
        let (_, said) = fetch(addr, Http::One, get("/x")).await;
        let own = running.spec.url.host_header();
        let own = own.as_ref().map_or("h5.example.com", |host| host.to_str().unwrap());
        let line = format!("\nhost: {own}\n");
        let authority = format!("//{own}/x HTTP/2.0\n");
        assert!(said.contains(&line) || said.contains(&authority), "{} {said}", running.kind);
        assert!(said.contains("\nx-forwarded-host: h5.example.com\n"), "{said}");
    }
}

#[tokio::test]
async fn bodies_without_a_length_arrive_whatever_the_method() {
    for running in every_kind(echo).await {
        for http in [Http::One, Http::Two] {
            let addr = front(&running.spec, Rules { http, ..Rules::default() }).await;
            for method in ["GET", "POST", "DELETE"] {
                let body = frames([data("one "), data("two")]);
                let mut request = Request::builder().method(method).uri("/").body(body).unwrap();
                if http == Http::One {
                    let chunked = HeaderValue::from_static("chunked");
                    request.headers_mut().insert(header::TRANSFER_ENCODING, chunked);
                }
                let (_, said) = fetch(addr, http, request).await;
                assert!(said.ends_with("\n\none two"), "{} {http:?} {said}", running.kind);
            }
        }
    }
}

#[tokio::test]
async fn connections_are_used_again() {
    for running in every_kind(echo).await {
        let addr = front(&running.spec, Rules::default()).await;
        let mut client = Client::connect(addr, Http::One).await;
        for n in 0..5 {
            let answer = client.send(post("/", n.to_string())).await.unwrap();
            assert!(whole(answer).await.unwrap().ends_with(&format!("\n\n{n}")));
        }
        assert_eq!(running.opened.load(Ordering::Relaxed), 1, "{}", running.kind);
    }
}

#[tokio::test]
async fn a_connection_that_the_upstream_has_closed_is_replaced() {
    let closing = |request| async {
        let mut answer = echo(request).await;
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        answer
    };
    for running in every_kind(closing).await {
        let addr = front(&running.spec, Rules::default()).await;
        let mut client = Client::connect(addr, Http::One).await;
        for _ in 0..5 {
            let answer = client.send(post("/", "again")).await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK, "{}", running.kind);
            assert!(whole(answer).await.unwrap().ends_with("\n\nagain"));
        }
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_again() {
    let asked = Arc::<AtomicUsize>::default();
    let count = asked.clone();
    let dying = move |request: Request<Incoming>| {
        let count = count.clone();
        async move {
            if request.uri().path() == "/dies" {
                count.fetch_add(1, Ordering::Relaxed);
                return refusal(DIES, "");
            }
            echo(request).await
        }
    };
    for (n, running) in every_kind(dying).await.into_iter().enumerate() {
        let addr = front(&running.spec, Rules::default()).await;
        let mut client = Client::connect(addr, Http::One).await;
        // So that the connection is one that is used again.
        let answer = client.send(post("/", "lives")).await.unwrap();
        assert!(whole(answer).await.unwrap().ends_with("\n\nlives"));
        let answer = client.send(post("/dies", "dies")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_GATEWAY, "{}", running.kind);
        assert_eq!(asked.load(Ordering::Relaxed), n + 1, "{}", running.kind);
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = taken.local_addr().unwrap();
    drop(taken);
    for url in [
        format!("http://{free}"),
        format!("https://{free}"),
        format!("h2c://{free}"),
        format!("unix:{}", folder.path("missing.sock").display()),
    ] {
        let addr = front(&spec(&url), Rules::default()).await;
        let (status, said) = fetch(addr, Http::One, post("/", "x")).await;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{url}");
        assert!(said.starts_with("upstream_unavailable: it cannot be connected to: "), "{said}");
        assert!(said.contains("os error"), "{said}");
    }
}

#[tokio::test]
async fn an_upstream_that_says_nothing_is_a_504() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = silent.local_addr().unwrap();
    let limit = Duration::from_millis(50);
    // TLS has to be agreed on before there is a connection.
    for (url, said) in [
        (format!("http://{addr}"), "it has not begun to answer"),
        (format!("h2c://{addr}"), "it has not begun to answer"),
        (format!("https://{addr}"), "connecting takes longer"),
    ] {
        let rules = Rules { connect: limit, response_head: Some(limit), ..Rules::default() };
        let front = front(&spec(&url), rules).await;
        let answer = fetch(front, Http::One, get("/")).await;
        assert_eq!(answer.0, StatusCode::GATEWAY_TIMEOUT, "{url}");
        assert!(answer.1.starts_with(&format!("upstream_timeout: {said}")), "{}", answer.1);
    }
}

#[tokio::test]
async fn an_answer_may_take_as_long_as_it_likes_where_no_limit_is_set() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let slow = move |_| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|go| *go).await.unwrap();
            text("late")
        }
    };
    for running in every_kind(slow).await {
        let limit = Duration::from_millis(20);
        for (response_head, status) in
            [(Some(limit), StatusCode::GATEWAY_TIMEOUT), (None, StatusCode::OK)]
        {
            let rules = Rules { response_head, ..Rules::default() };
            let addr = front(&running.spec, rules).await;
            let asked = tokio::spawn(fetch(addr, Http::One, get("/")));
            if response_head.is_none() {
                // Well after the limit of the other case.
                let later = tokio::time::timeout(limit * 3, std::future::pending::<()>());
                assert!(later.await.is_err() && !asked.is_finished(), "{}", running.kind);
                go.send_replace(true);
            }
            assert_eq!(asked.await.unwrap().0, status, "{}", running.kind);
            go.send_replace(false);
        }
    }
}

/// hyper's parser cuts a fragment off before anybody sees it, so there is nothing left to refuse.
#[tokio::test]
async fn c56_a_fragment_is_part_of_no_target() {
    for running in every_kind(echo).await {
        let addr = front(&running.spec, Rules::default()).await;
        for (target, sent) in [
            ("/a#b", "/a"),
            ("/private#/../public", "/private"),
            ("/a?b#c", "/a?b"),
            ("http://h5.example.com/a#b", "/a"),
        ] {
            let head = "HTTP/1.1\r\nHost: h5.example.com\r\nConnection: close\r\n\r\n";
            let answer = raw(addr, &format!("GET {target} {head}")).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{target} {answer}");
            assert!(answer.contains(&format!("{sent} HTTP/")), "{target} {answer}");
            assert!(!answer.contains('#'), "{target} {answer}");
        }
    }
}

#[tokio::test]
async fn slow_readers_do_not_hold_up_others_on_the_same_connection() {
    let endless = |request: Request<Incoming>| async move {
        if request.uri().path() == "/short" {
            return text("short");
        }
        let chunk = Bytes::from(vec![b'.'; 64 * 1024]);
        let endless = std::iter::repeat_with(move || Frame::data(chunk.clone()));
        Response::new(frames(endless))
    };
    for running in every_kind(endless).await {
        let addr = front(&running.spec, Rules::default()).await;
        let mut unread = Vec::new();
        for _ in 0..30 {
            let mut client = Client::connect(addr, Http::One).await;
            let answer = client.send(get("/endless")).await.unwrap();
            // Something of each has arrived, and nobody reads on.
            let mut body = answer.into_body();
            let first = tokio::time::timeout(PATIENCE, body.frame()).await.expect(running.kind);
            assert!(first.unwrap().is_ok());
            unread.push((client, body));
        }
        let short = fetch(addr, Http::One, get("/short"));
        let (status, said) = tokio::time::timeout(PATIENCE, short).await.expect(running.kind);
        assert_eq!((status, &*said), (StatusCode::OK, "short"), "{}", running.kind);
    }
}
