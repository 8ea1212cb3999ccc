//! Upgrades that fail, and what is said after them as if they had not.

use super::Site;

const SOCKET: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ASKED: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const OPEN: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// What is hidden behind an upgrade: nobody is signed in for it.
fn hidden(site: &Site, number: usize) -> String {
    format!("GET /page/hidden-{number} HTTP/1.1\r\nHost: {}\r\n\r\n", site.addr)
}

#[tokio::test]
async fn c11_c25_bytes_after_a_failed_upgrade_are_no_tunnel() {
    let site = Site::start().await;
    let refused = |status: &str| format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
    let socket = format!("{ASKED}{SOCKET}");
    let cases = [
        ("GET", socket.clone(), "", refused("400 Bad Request"), Some(400)),
        ("GET", socket.clone(), "", refused("403 Forbidden"), Some(403)),
        ("GET", socket.clone(), "", refused("426 Upgrade Required"), Some(426)),
        ("GET", socket.clone(), "", refused("200 OK"), Some(200)),
        ("GET", socket.clone(), "", refused("500 Oh"), Some(500)),
        ("GET", socket.clone(), "", "HTTP/1.1 204 No Content\r\n\r\n".to_owned(), Some(204)),
        ("GET", socket.clone(), "", "nonsense\r\n\r\n".to_owned(), Some(502)),
        ("GET", socket.replace("13", "7"), "", refused("426 Upgrade Required"), Some(426)),
        // Not what is asked for with an upgrade to a WebSocket, so a usual request.
        ("GET", format!("Upgrade: websocket\r\n{SOCKET}"), "", refused("200 OK"), Some(200)),
        ("GET", format!("Connection: Upgrade\r\n{SOCKET}"), "", refused("200 OK"), Some(200)),
        (
            "GET",
            format!("Connection: keep-alive\r\nUpgrade: websocket\r\n{SOCKET}"),
            "",
            refused("200 OK"),
            Some(200),
        ),
        (
            "GET",
            format!("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n{SOCKET}"),
            "",
            refused("200 OK"),
            Some(200),
        ),
        (
            "GET",
            format!("Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n{SOCKET}"),
            "",
            refused("200 OK"),
            Some(200),
        ),
        (
            "GET",
            "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n".to_owned(),
            "",
            refused("200 OK"),
            Some(200),
        ),
        // The upstream switches though nobody has asked it to.
        ("GET", String::new(), "", OPEN.to_owned(), Some(502)),
        (
            "GET",
            "Connection: Upgrade\r\nUpgrade: h2c\r\n".to_owned(),
            "",
            OPEN.to_owned(),
            Some(502),
        ),
        ("GET", format!("Upgrade: websocket\r\n{SOCKET}"), "", OPEN.to_owned(), Some(502)),
        // A body comes before whatever is said in a tunnel.
        (
            "POST",
            format!("{socket}Content-Length: 5\r\n"),
            "hello",
            refused("400 Bad Request"),
            Some(400),
        ),
        (
            "POST",
            format!("{socket}Transfer-Encoding: chunked\r\n"),
            "5\r\nhello\r\n0\r\n\r\n",
            refused("400 Bad Request"),
            Some(400),
        ),
    ];
    for (number, (method, headers, body, answer, status)) in cases.into_iter().enumerate() {
        for cookie in ["", &site.cookie] {
            let at = format!("/off/ws-{number}-{}", cookie.len());
            site.upstream.answer(&at, answer.clone(), answer.starts_with("HTTP/1.1 101"));
            let mut peer = site.connect().await;
            let asked = format!(
                "{method} {at} HTTP/1.1\r\nHost: {}\r\n{cookie}{headers}\r\n{body}",
                site.addr
            );
            // In the same packet, and once more when the answer is here.
            peer.say(asked + &*hidden(&site, number)).await;
            let told = peer.answer().await;
            assert_eq!(
                told.as_ref().map(|told| told.status),
                status,
                "{number}: {headers:?} {told:?}"
            );
            peer.say(hidden(&site, number)).await;
            tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.ok();
            while let Some(told) = peer.answer().await {
                assert!(matches!(told.status, 302 | 401 | 400), "{number}: {told:?}");
            }
            let seen = site.upstream.seen("/page/hidden");
            assert!(seen.is_empty(), "{number}: {headers:?} {seen:?}");
            let seen = site.upstream.seen(&at);
            assert_eq!(seen.len(), 1, "{number}: {seen:?}");
            let is_socket = headers.starts_with(ASKED);
            assert_eq!(seen[0].header("upgrade").is_some(), is_socket, "{number}: {seen:?}");
        }
        site.neighbour_is_served().await;
    }
    assert_eq!(site.upstream.odd(), [""; 0]);
}

#[tokio::test]
async fn c25_a_tunnel_is_opened_for_those_who_may_and_by_the_upstream_alone() {
    let site = Site::start().await;
    let socket = format!("{ASKED}{SOCKET}");
    let ask = |path: &str, cookie: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{cookie}{socket}\r\n", site.addr)
    };
    // A tunnel that is open passes everything, which is how the others are known to be none.
    site.upstream.answer("/page/ws", OPEN, false);
    let mut peer = site.connect().await;
    peer.say(ask("/page/ws", &site.cookie)).await;
    assert_eq!(peer.answer().await.unwrap().status, 101);
    peer.say(hidden(&site, 1)).await;
    assert_eq!(peer.answer().await.unwrap().body, "GET /page/hidden-1 0");
    drop(peer);

    // The second of them is a page of ours, where nobody is asked to switch.
    for path in
        ["/page/ws", "/_wx/me", "/_wx/login", "/_wx/callback", "/_wx/logout", "/_wx/nothing"]
    {
        let cookie = if path == "/_wx/me" { &*site.cookie } else { "" };
        let before = site.upstream.seen("").len();
        let mut peer = site.connect().await;
        peer.say(ask(path, cookie) + &*hidden(&site, 2)).await;
        let told = peer.answer().await.unwrap();
        assert_ne!(told.status, 101, "{path}: {told:?}");
        assert!(!told.head.to_lowercase().contains("upgrade:"), "{path}: {told:?}");
        tokio::io::AsyncWriteExt::shutdown(&mut peer.stream).await.ok();
        while let Some(told) = peer.answer().await {
            assert!(matches!(told.status, 302 | 401), "{path}: {told:?}");
        }
        assert_eq!(site.upstream.seen("").len(), before, "{path}");
    }
    // Nor in an old version of HTTP, which has no upgrades.
    let mut peer = site.connect().await;
    peer.say(ask("/page/ws", &site.cookie).replace("HTTP/1.1", "HTTP/1.0") + &*hidden(&site, 3))
        .await;
    let told = peer.answer().await;
    assert!(told.is_none_or(|told| told.status != 101));
    assert!(site.upstream.seen("/page/hidden-3").is_empty());
    site.neighbour_is_served().await;
}
