//! An upstream that answers as no server should: what its own client gets, and that nobody else gets any of it.

use super::{Peer, Site};

const THIEF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";

async fn ask(site: &Site, method: &str, path: &str) -> Peer {
    let mut peer = site.connect().await;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n", site.addr, site.cookie);
    peer.say(head).await;
    peer
}

/// What a client makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gets {
    /// A whole answer with this status and body.
    Whole(u16, &'static str),
    /// A status, and a body that is never taken for whole.
    Cut,
}

#[tokio::test]
#[allow(clippy::too_many_lines)] // A table.
async fn c55_an_answer_that_is_odd_harms_nobody_but_whom_it_is_for() {
    use Gets::{Cut, Whole};
    let site = Site::start().await;
    let head = "HTTP/1.1 200 OK\r\n";
    let (many, long) = ("X-A: b\r\n".repeat(1000), "x".repeat(1 << 20));
    let continued = "HTTP/1.1 100 Continue\r\n\r\n".repeat(5000);
    let bad = Whole(502, "?");
    let ok = Whole(200, "ok");
    let cases: Vec<(&str, &str, String, Gets)> = vec![
        ("good", "GET", format!("{head}Content-Length: 2\r\n\r\nok"), ok),
        (
            "good and chunked",
            "GET",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            ok,
        ),
        ("two answers", "GET", format!("{head}Content-Length: 2\r\n\r\nok{THIEF}"), ok),
        (
            "two chunked answers",
            "GET",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{THIEF}"),
            ok,
        ),
        (
            "many answers",
            "GET",
            format!("{head}Content-Length: 2\r\n\r\nok{}", THIEF.repeat(50)),
            ok,
        ),
        ("garbage behind it", "GET", format!("{head}Content-Length: 2\r\n\r\nok garbage"), ok),
        (
            "a body without one",
            "GET",
            format!("HTTP/1.1 204 No Content\r\n\r\n{THIEF}"),
            Whole(204, ""),
        ),
        (
            "a body that has not changed",
            "GET",
            format!("HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\nstolen{THIEF}"),
            Whole(304, ""),
        ),
        (
            "a body for HEAD",
            "HEAD",
            format!("{head}Content-Length: 6\r\n\r\nstolen"),
            Whole(200, ""),
        ),
        (
            "a second answer for HEAD",
            "HEAD",
            format!("{head}Content-Length: 6\r\n\r\n{THIEF}"),
            Whole(200, ""),
        ),
        (
            "two lengths",
            "GET",
            format!("{head}Content-Length: 2\r\nContent-Length: 10\r\n\r\nok{THIEF}"),
            bad,
        ),
        (
            "the same length twice",
            "GET",
            format!("{head}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
            ok,
        ),
        ("a list of lengths", "GET", format!("{head}Content-Length: 2, 2\r\n\r\nok"), ok),
        ("a length that is none", "GET", format!("{head}Content-Length: +2\r\n\r\nok"), bad),
        (
            "a length and chunks",
            "GET",
            format!(
                "{head}Content-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
            ),
            ok,
        ),
        (
            "a length and chunks, and more",
            "GET",
            format!(
                "{head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{THIEF}"
            ),
            ok,
        ),
        (
            "a chunk size that is none",
            "GET",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"),
            Cut,
        ),
        (
            "a chunk size that overflows",
            "GET",
            format!("{head}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\nfffffffffffffffff\r\n"),
            Cut,
        ),
        (
            "a coding that is none",
            "GET",
            format!(
                "{head}Transfer-Encoding: identity\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
            ),
            ok,
        ),
        ("nothing", "GET", String::new(), bad),
        ("half a status line", "GET", "HTTP/1.1 20".to_owned(), bad),
        ("half a head", "GET", format!("{head}Content-Le"), bad),
        ("another protocol", "GET", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(), bad),
        ("HTTP/2", "GET", "HTTP/2 200 OK\r\n\r\nok".to_owned(), bad),
        ("HTTP/3.0", "GET", "HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(), bad),
        ("a status that is none", "GET", "HTTP/1.1 2000 OK\r\n\r\n".to_owned(), bad),
        ("a status below", "GET", "HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(), bad),
        (
            "a switch unasked",
            "GET",
            "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(),
            bad,
        ),
        ("a thousand headers", "GET", format!("{head}{many}Content-Length: 2\r\n\r\nok"), bad),
        (
            "a header of a megabyte",
            "GET",
            format!("{head}X-A: {long}\r\nContent-Length: 2\r\n\r\nok"),
            bad,
        ),
        (
            "a reason of a megabyte",
            "GET",
            format!("HTTP/1.1 200 {long}\r\nContent-Length: 2\r\n\r\nok"),
            bad,
        ),
        ("a flood of 100", "GET", format!("{continued}{head}Content-Length: 2\r\n\r\nok"), ok),
        (
            "hints",
            "GET",
            format!(
                "HTTP/1.1 103 Early Hints\r\nSet-Cookie: wxgate=stolen\r\n\r\n{head}Content-Length: 2\r\n\r\nok"
            ),
            ok,
        ),
        ("line feeds alone", "GET", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_owned(), ok),
        (
            "a return in a value",
            "GET",
            format!("{head}X-A: b\rSet-Cookie: wxgate=stolen\r\nContent-Length: 2\r\n\r\nok"),
            bad,
        ),
        ("a NUL in a value", "GET", format!("{head}X-A: b\0\r\nContent-Length: 2\r\n\r\nok"), bad),
        (
            "a folded header",
            "GET",
            format!("{head}X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok"),
            bad,
        ),
        ("a space before a colon", "GET", format!("{head}Content-Length : 2\r\n\r\nok"), bad),
        (
            "cookies of ours",
            "GET",
            format!(
                "{head}Set-Cookie: wxgate=stolen; Path=/\r\nSet-Cookie: __Host-wxgate=stolen; Path=/; Secure\r\nSet-Cookie: wxgate-login-x=stolen\r\nSet-Cookie: app=1\r\nContent-Length: 2\r\n\r\nok"
            ),
            ok,
        ),
        (
            "headers that belong to the connection",
            "GET",
            format!(
                "{head}Connection: x-wechat-openid, set-cookie\r\nX-WeChat-Openid: stolen\r\nKeep-Alive: stolen\r\nUpgrade: stolen\r\nContent-Length: 2\r\n\r\nok"
            ),
            ok,
        ),
        ("an old version", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(), ok),
    ];
    let mut wrong = Vec::new();
    for (name, method, answer, gets) in cases {
        let path = format!("/page/{}", name.replace(' ', "-"));
        let path = path.as_str();
        let ends = ["", "HTTP/1.1 20", "nothing"].contains(&&*answer)
            || answer.ends_with("Content-Le")
            || answer.contains("identity");
        site.upstream.answer(path, answer, ends);
        let mut peer = ask(&site, method, path).await;
        let told = if method == "HEAD" {
            // Without the body that its length speaks of.
            let head = peer.until(b"\r\n\r\n").await.unwrap_or_default();
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            Some(super::Told { status, head, body: String::new() })
        } else {
            peer.answer().await
        };
        let fits = match (&told, gets) {
            (Some(told), Whole(status, body)) => {
                told.status == status && (body == "?" || told.body == body)
            }
            // No length, and an end: what is cut is seen to be.
            (told, Cut) => told.as_ref().is_none_or(|told| told.status == 502),
            (None, Whole(..)) => false,
        };
        let text =
            told.as_ref().map(|told| format!("{}{}", told.head, told.body)).unwrap_or_default();
        let lower = text.to_lowercase();
        let ends =
            lower.matches("content-length:").count() + lower.matches("transfer-encoding:").count();
        if !fits || text.contains("stolen") || ends > 1 {
            wrong.push(format!("{name}: {told:?} instead of {gets:?}"));
        }
        // On the same connection and on others, whatever the upstream has left on its own.
        for _ in 0..2 {
            site.neighbour_is_served().await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(site.upstream.odd(), [""; 0]);
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_nobody_s() {
    let site = Site::start().await;
    // The second answer comes in a packet of its own, when the connection is back among the idle ones.
    for turn in 0..20 {
        let path = format!("/page/late-{turn}");
        let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        site.upstream.answer_late(&path, good, THIEF);
        let mut peer = ask(&site, "GET", &path).await;
        assert_eq!(peer.answer().await.unwrap().body, "ok");
        site.upstream.late(turn + 1).await;
        for _ in 0..3 {
            site.neighbour_is_served().await;
        }
    }
    assert_eq!(site.upstream.odd(), [""; 0]);
}
