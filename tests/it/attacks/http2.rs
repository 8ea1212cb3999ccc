//! HTTP/2 with requests that have two meanings, and with frames that come in floods.

use super::{
    Site,
    frames::{
        CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RESET, SETTINGS,
        WINDOW_UPDATE, frame, literals,
    },
};

/// What a good request says, and then some.
fn request<'a>(
    site: &'a Site,
    path: &'a str,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let authority = site.url.strip_prefix("http://").unwrap();
    let good =
        [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", authority)];
    good.iter().chain(more).copied().collect()
}

#[tokio::test]
#[allow(clippy::too_many_lines)] // A table.
async fn c11_c56_headers_that_have_no_place_in_http2_are_refused() {
    let site = Site::start().await;
    let own = site.addr.to_string();
    let long = "x".repeat(70 * 1024);
    let cases: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("connection", request(&site, "/off/a", &[("connection", "x-forwarded-for")])),
        ("keep-alive", request(&site, "/off/a", &[("keep-alive", "5")])),
        ("transfer-encoding", request(&site, "/off/a", &[("transfer-encoding", "chunked")])),
        ("upgrade", request(&site, "/off/a", &[("upgrade", "websocket")])),
        ("proxy-connection", request(&site, "/off/a", &[("proxy-connection", "close")])),
        ("te", request(&site, "/off/a", &[("te", "gzip")])),
        ("an upper-case name", request(&site, "/off/a", &[("X-WeChat-Openid", "spoofed")])),
        (
            "a line break in a value",
            request(&site, "/off/a", &[("x-a", "b\r\nx-wechat-openid: spoofed")]),
        ),
        ("a line feed in a value", request(&site, "/off/a", &[("x-a", "b\nc")])),
        ("a NUL in a value", request(&site, "/off/a", &[("x-a", "b\0c")])),
        ("a line break in a name", request(&site, "/off/a", &[("x-a\r\nx-b", "c")])),
        ("a colon in a name", request(&site, "/off/a", &[("x-a: b", "c")])),
        ("a space in a name", request(&site, "/off/a", &[("x a", "c")])),
        ("an empty name", request(&site, "/off/a", &[("", "c")])),
        ("a path without a slash", request(&site, "off/a", &[])),
        ("an empty path", request(&site, "", &[])),
        ("an asterisk", request(&site, "*", &[])),
        ("a path that is a URL", request(&site, "http://evil.example/off/a", &[])),
        ("a space in a path", request(&site, "/off/a HTTP/1.1\r\nHost: evil", &[])),
        ("two paths", request(&site, "/off/a", &[(":path", "/off/b")])),
        ("two methods", request(&site, "/off/a", &[(":method", "POST")])),
        ("a pseudo-header that is unknown", request(&site, "/off/a", &[(":x", "y")])),
        ("a pseudo-header of answers", request(&site, "/off/a", &[(":status", "200")])),
        ("another host", request(&site, "/off/a", &[("host", "evil.example")])),
        ("two hosts", request(&site, "/off/a", &[("host", &own), ("host", "evil.example")])),
        ("a body that is announced", request(&site, "/off/a", &[("content-length", "5")])),
        (
            "two lengths",
            request(&site, "/off/a", &[("content-length", "0"), ("content-length", "5")]),
        ),
        ("a length that is none", request(&site, "/off/a", &[("content-length", "+0")])),
        ("a header of 70 KiB", request(&site, "/off/a", &[("x-a", &long)])),
        (
            "a pseudo-header that comes late",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/off/a"),
                ("x-a", "b"),
                (":authority", &own),
            ],
        ),
        ("no path", vec![(":method", "GET"), (":scheme", "http"), (":authority", &own)]),
        ("no method", vec![(":scheme", "http"), (":path", "/off/a"), (":authority", &own)]),
        ("no host", vec![(":method", "GET"), (":scheme", "http"), (":path", "/off/a")]),
        (
            "somebody's name in the host",
            vec![
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/off/a"),
                (":authority", "user@evil.example"),
            ],
        ),
        ("a tunnel", vec![(":method", "CONNECT"), (":authority", "evil.example:443")]),
        (
            "a websocket by CONNECT",
            request(&site, "/off/a", &[(":protocol", "websocket")])
                .into_iter()
                .map(
                    |(name, value)| {
                        if name == ":method" { (name, "CONNECT") } else { (name, value) }
                    },
                )
                .collect(),
        ),
    ];
    for (name, headers) in cases {
        let mut client = Client::connect(&site).await;
        // A block that is too long for one frame goes on in others.
        let block = literals(&headers);
        let mut parts = block.chunks(16_000).peekable();
        let mut kind = HEADERS;
        while let Some(part) = parts.next() {
            let last = if parts.peek().is_none() { END_HEADERS } else { 0 };
            let end = if kind == HEADERS { END_STREAM } else { 0 };
            client.peer.say(frame(kind, last | end, 1, part)).await;
            kind = CONTINUATION;
        }
        let heard = client
            .listen(|heard| {
                heard.answers.contains_key(&1)
                    || heard.resets.contains_key(&1)
                    || heard.goodbye.is_some()
            })
            .await;
        let refused = heard.answers.get(&1).is_none_or(|status| (400..500).contains(status));
        assert!(refused, "{name}: {heard:?}");
        assert!(site.upstream.seen("/").is_empty(), "{name}: {:?}", site.upstream.seen("/"));
    }
    // The good twin: what is ours is taken out, what is theirs passes.
    let mut client = Client::connect(&site).await;
    let cookie = site.cookie.trim().strip_prefix("Cookie: ").unwrap();
    let more = [
        ("te", "trailers"),
        ("x-kept", "yes"),
        ("x-wechat-openid", "spoofed"),
        ("x_wechat_openid", "spoofed"),
        ("cookie", cookie),
        ("host", &*own),
    ];
    client.ask(1, &request(&site, "/page/good", &more)).await;
    let heard = client.listen(|heard| heard.data.contains_key(&1)).await;
    assert_eq!(heard.answers[&1], 200, "{heard:?}");
    let seen = site.upstream.seen("/page/good");
    assert!(seen.len() == 1 && seen[0].header("x-kept") == Some("yes"), "{seen:?}");
    assert!(!seen[0].head.contains("spoofed") && seen[0].header("x-wechat-openid").is_some());
    assert_eq!(site.upstream.odd(), [""; 0]);
}

#[tokio::test]
async fn a_body_is_as_long_as_it_says() {
    let site = Site::start().await;
    for (name, length, parts, is_good) in [
        ("as long", "5", &["hel", "lo"][..], true),
        ("nothing", "0", &[""], true),
        ("too short", "5", &["hel"], false),
        ("too long", "3", &["hel", "lo"], false),
        ("nothing of it", "5", &[""], false),
    ] {
        let mut client = Client::connect(&site).await;
        let path = format!("/off/{}", name.replace(' ', "-"));
        let mut headers = request(&site, &path, &[("content-length", length)]);
        headers[0].1 = "POST";
        client.peer.say(frame(HEADERS, END_HEADERS, 1, &literals(&headers))).await;
        for (number, part) in parts.iter().enumerate() {
            let end = if number + 1 == parts.len() { END_STREAM } else { 0 };
            client.peer.say(frame(DATA, end, 1, part.as_bytes())).await;
        }
        let heard = client
            .listen(|heard| {
                heard.answers.contains_key(&1)
                    || heard.resets.contains_key(&1)
                    || heard.goodbye.is_some()
            })
            .await;
        assert_eq!(heard.answers.get(&1) == Some(&200), is_good, "{name}: {heard:?}");
        // Of a body that was cut, the upstream has seen no whole request.
        assert_eq!(site.upstream.seen(&path).len(), usize::from(is_good), "{name}");
    }
    assert_eq!(site.upstream.odd(), [""; 0]);
    site.neighbour_is_served().await;
}

#[tokio::test]
#[allow(clippy::too_many_lines)] // A table.
async fn c56_floods_of_frames_end_in_a_goodbye_or_cost_nothing() {
    let site = Site::start().await;
    let block = literals(&request(&site, "/off/flood", &[]));
    let part = vec![0; 1024];
    let open = frame(HEADERS, END_HEADERS, 1, &block);
    let bomb = {
        // One entry of the table, named again and again.
        let mut block = literals(&request(&site, "/off/bomb", &[]));
        block.extend([0x40, 3, b'x', b'-', b'a', 127, 0x81, 0x1e]);
        block.extend([b'y'; 4000]);
        block.extend([0xbe; 8000]);
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
    };
    let mut wrong = Vec::new();
    let settings: Vec<u8> = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    for (name, bytes, most_seen, must_end) in [
        (
            "resets",
            (0..2000)
                .flat_map(|number| {
                    [
                        frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, &block),
                        frame(RESET, 0, 2 * number + 1, &[0, 0, 0, 8]),
                    ]
                    .concat()
                })
                .collect(),
            300,
            true,
        ),
        (
            "continuations",
            [frame(HEADERS, END_STREAM, 1, &block), frame(CONTINUATION, 0, 1, &part).repeat(2000)]
                .concat(),
            0,
            true,
        ),
        (
            "empty continuations",
            [frame(HEADERS, END_STREAM, 1, &block), frame(CONTINUATION, 0, 1, &[]).repeat(20_000)]
                .concat(),
            0,
            true,
        ),
        ("pings", frame(PING, 0, 0, b"anybody?").repeat(20_000), 0, false),
        ("settings", settings.repeat(20_000), 0, false),
        ("empty data", [open.clone(), frame(DATA, 0, 1, &[]).repeat(20_000)].concat(), 1, true),
        (
            "padding",
            [open.clone(), frame(DATA, 8, 1, &[vec![255], vec![0; 255]].concat()).repeat(2000)]
                .concat(),
            1,
            true,
        ),
        ("windows", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(20_000), 0, false),
        (
            "a window that overflows",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 255, 255, 255]).repeat(2),
            0,
            true,
        ),
        ("a window of nothing", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), 0, true),
        (
            "streams that are too many",
            (0..2000)
                .flat_map(|number| frame(HEADERS, END_HEADERS, 2 * number + 1, &block))
                .collect(),
            200,
            true,
        ),
        ("a stream of the server's", frame(HEADERS, END_HEADERS | END_STREAM, 2, &block), 0, true),
        ("data of nobody", frame(DATA, 0, 7, b"x"), 0, true),
        ("a frame that is too long", frame(DATA, 0, 1, &vec![0; 20_000]), 0, true),
        ("frames that nobody knows", frame(0xbb, 0, 0, b"x").repeat(20_000), 0, false),
        (
            "half a block, and something else",
            [frame(HEADERS, END_STREAM, 1, &block), frame(PING, 0, 0, b"anybody?")].concat(),
            0,
            true,
        ),
        ("a block that is none", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 64]), 0, true),
        ("a bomb of headers", bomb, 0, false),
    ] as [(&str, Vec<u8>, usize, bool); 18]
    {
        let before = (site.upstream.seen("/off").len(), site.upstream.connections());
        let mut client = Client::connect(&site).await;
        let (flood, neighbour) = tokio::join!(
            async {
                // It may have hung up before the flood is over, or not take more while it answers.
                let said = [bytes, frame(PING, 0, 0, b"the last")].concat();
                let (mut reader, mut writer) = client.peer.stream.split();
                let mut heard = Vec::new();
                let writing = async {
                    tokio::io::AsyncWriteExt::write_all(&mut writer, &said).await.ok();
                };
                let reading = async {
                    while !heard.windows(8).any(|window| window == b"the last") {
                        if tokio::io::AsyncReadExt::read_buf(&mut reader, &mut heard)
                            .await
                            .unwrap_or(0)
                            == 0
                        {
                            break;
                        }
                    }
                };
                let both = async { tokio::join!(writing, reading) };
                tokio::time::timeout(super::PATIENCE, both).await.expect("it ends");
                heard
            },
            site.neighbour_is_served()
        );
        let () = neighbour;
        let is_alive = flood.windows(8).any(|window| window == b"the last");
        let seen = site.upstream.seen("/off").len() - before.0;
        let opened = site.upstream.connections() - before.1;
        if is_alive == must_end || seen > most_seen || opened > 300 {
            wrong.push(format!("{name}: {is_alive}, {seen} requests, {opened} connections"));
        }
    }
    assert_eq!(wrong, [""; 0]);
    site.neighbour_is_served().await;
}

#[tokio::test]
async fn http2_does_not_begin_within_http1() {
    let site = Site::start().await;
    let mut peer = site.connect().await;
    let head = format!(
        "GET /off/up HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        site.addr
    );
    peer.say(head).await;
    assert_eq!(peer.answer().await.unwrap().status, 200, "as if nothing had been asked for");
    peer.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    peer.say(frame(SETTINGS, 0, 0, &[])).await;
    let block = literals(&request(&site, "/page/inside", &[]));
    peer.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await;
    let rest = peer.rest().await;
    assert!(rest.starts_with("HTTP/1.1 400") || rest.is_empty(), "{rest:?}");
    let seen = site.upstream.seen("/");
    assert!(seen.len() == 1 && seen[0].header("upgrade").is_none(), "{seen:?}");
    assert!(seen[0].header("http2-settings").is_none(), "{seen:?}");
}
