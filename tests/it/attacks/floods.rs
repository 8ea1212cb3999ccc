//! More than a client should send or leave unread: what it costs is bounded, and a neighbour notices nothing.

use std::fmt::Write as _;

use futures_util::future::join_all;

use super::Site;

fn get(site: &Site, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", site.addr)
}

#[tokio::test]
async fn many_connections_that_say_nothing_or_little_are_no_obstacle() {
    let site = Site::start().await;
    let half = format!("POST /off/half HTTP/1.1\r\nHost: {}\r\nContent-Le", site.addr);
    let body = format!(
        "POST /off/body HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\nhalf",
        site.addr
    );
    let mut peers = Vec::new();
    for number in 0..500 {
        let mut peer = site.connect().await;
        match number % 5 {
            0 => peer.say(&half).await,
            1 => peer.say(b"PRI * HTTP/2.0\r\n\r\nSM").await,
            2 => peer.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await,
            3 if number < 250 => peer.say(&body).await,
            _ => {}
        }
        peers.push(peer);
    }
    for _ in 0..5 {
        site.neighbour_is_served().await;
    }
    // Nobody's request is whole, so the upstream has seen none but the neighbour's.
    assert!(site.upstream.seen("/off").is_empty());
    assert!(site.upstream.connections() <= 60, "{}", site.upstream.connections());
    // They are all still there, and the last of them may go on.
    let mut last = peers.pop().unwrap();
    last.say(get(&site, "/off/last")).await;
    assert_eq!(last.answer().await.unwrap().body, "GET /off/last 0");
}

#[tokio::test]
async fn what_is_too_much_of_a_head_is_refused() {
    let site = Site::start().await;
    let line = format!("GET /off/x HTTP/1.1\r\nHost: {}\r\n", site.addr);
    let endless = 8 << 20;
    for (name, bytes, statuses) in [
        ("99 headers", format!("{line}{}\r\n", "X-A: b\r\n".repeat(98)), &[200][..]),
        ("1000 headers", format!("{line}{}\r\n", "X-A: b\r\n".repeat(1000)), &[431]),
        ("50,000 headers", format!("{line}{}\r\n", "X-A: b\r\n".repeat(50_000)), &[431]),
        ("a header without end", format!("{line}X-A: {}", "x".repeat(endless)), &[431]),
        ("a name without end", format!("{line}{}", "x".repeat(endless)), &[431]),
        ("a target without end", format!("GET /{}", "x".repeat(endless)), &[414, 431]),
        ("a method without end", "X".repeat(endless), &[400, 431]),
        ("empty lines without end", "\r\n".repeat(endless / 2), &[400, 431]),
        ("headers without end", format!("{line}{}", "X-A: b\r\n".repeat(endless / 8)), &[431]),
    ] {
        let mut peer = site.connect().await;
        let (mut reader, mut writer) = peer.stream.split();
        let mut said = Vec::new();
        let reading = async {
            while tokio::io::AsyncReadExt::read_buf(&mut reader, &mut said).await.unwrap_or(0) > 0 {
                if said.windows(4).any(|four| four == b"\r\n\r\n") {
                    break;
                }
            }
        };
        let writing = async {
            tokio::io::AsyncWriteExt::write_all(&mut writer, bytes.as_bytes()).await.ok();
            // Until it has been read, or refused.
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = reading => {}
            () = writing => {}
            () = tokio::time::sleep(super::PATIENCE) => panic!("{name}: no answer"),
        }
        let said = String::from_utf8_lossy(&said).into_owned();
        let status: u16 =
            said.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        assert!(statuses.contains(&status), "{name}: {said:?}");
        site.neighbour_is_served().await;
    }
    assert_eq!(site.upstream.seen("/off").len(), 1);
}

#[tokio::test]
async fn a_thousand_requests_at_once_are_answered_in_their_order() {
    let site = Site::start().await;
    let mut peer = site.connect().await;
    let mut all = String::new();
    for number in 0..1000 {
        write!(all, "{}", get(&site, &format!("/off/{number}"))).unwrap();
    }
    let (told, ()) = tokio::join!(
        async {
            peer.say(all).await;
            let mut told = Vec::new();
            for _ in 0..1000 {
                told.push(peer.answer().await.unwrap().body);
            }
            told
        },
        site.neighbour_is_served()
    );
    let expected: Vec<_> = (0..1000).map(|number| format!("GET /off/{number} 0")).collect();
    assert_eq!(told, expected);
    // One after the other: they have not cost more than one connection and the neighbour's.
    assert!(site.upstream.connections() <= 2, "{}", site.upstream.connections());
}

#[tokio::test]
async fn who_does_not_read_keeps_the_upstream_waiting_and_not_the_gateway_s_memory() {
    const LARGE: usize = 64 << 20;
    /// What the system keeps for two sockets, and the gateway between them.
    const IN_BETWEEN: usize = 24 << 20;
    let site = Site::start().await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
    site.upstream.answer("/off/large", [head.into_bytes(), vec![b'x'; LARGE]].concat(), false);
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = site.connect().await;
        peer.say(get(&site, "/off/large")).await;
        // It begins, and is read no further.
        assert!(peer.more().await.is_some());
        peers.push(peer);
    }
    join_all((0..20).map(|_| site.neighbour_is_served())).await;
    let taken = site.upstream.taken();
    assert!(taken < 3 * IN_BETWEEN, "{taken} bytes");
    assert_eq!(site.upstream.seen("/off/large").len(), 3);
}

#[tokio::test]
async fn a_body_in_drops_arrives_whole_and_holds_nobody_up() {
    let site = Site::start().await;
    let mut peer = site.connect().await;
    let length = 300;
    peer.say(format!(
        "POST /off/drops HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n",
        site.addr
    ))
    .await;
    for number in 0..length {
        peer.say(b"x").await;
        if number % 50 == 0 {
            site.neighbour_is_served().await;
        }
    }
    assert_eq!(peer.answer().await.unwrap().body, format!("POST /off/drops {length}"));
}
