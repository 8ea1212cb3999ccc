//! The lies: how an answer is cut, delayed, swollen or garbled, and what the client is to make of it.

use std::{io::Write as _, sync::OnceLock};

use super::platform::{
    Lie,
    Step::{Close, Endless, Hang, Trickle, Write},
    with_length,
};

/// What the client makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Good,
    Interrupted,
    TooLarge,
    Status(u16),
    NotAnObject,
    Field,
    OtherUser,
    Refused(i64),
}

use Told::{Field, Good, Interrupted, NotAnObject, Refused, Status, TooLarge};

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub lie: String,
    pub steps: Lie,
    pub told: Told,
}

fn row(lie: impl Into<String>, steps: Lie, told: Told) -> Row {
    Row { lie: lie.into(), steps, told }
}

/// What nobody may send.
pub const LARGE: usize = 70 * 1024;

/// Every lie about this honest answer that does not depend on what is in it. `elsewhere` is where redirects lead.
pub fn about_http(body: &str, elsewhere: &str) -> Vec<Row> {
    let mut rows = cuts(body);
    rows.extend(statuses(body, elsewhere));
    rows.extend(floods(body));
    rows.extend(bodies(body));
    rows
}

/// Cut and delayed, at every kind of place.
fn cuts(body: &str) -> Vec<Row> {
    let whole = with_length("200 OK", "", body.as_bytes());
    let head = whole.len() - body.len();
    let mut rows = Vec::new();
    for (place, at) in [
        ("before the status line", 0),
        ("in the status line", 6),
        ("after the status line", 17),
        ("in a header", 24),
        ("before the blank line", head - 2),
        ("before the body", head),
        ("after the first byte", head + 1),
        ("in the body", head + body.len() / 2),
        ("before the last byte", whole.len() - 1),
    ] {
        let part = whole[..at].to_vec();
        rows.push(row(format!("cut {place}"), vec![Write(part.clone()), Close], Interrupted));
        rows.push(row(format!("silent {place}"), vec![Write(part), Hang], Interrupted));
    }
    // Without a length the end of the connection is the end of the body.
    let open = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n{body}").into_bytes();
    let start = open.len() - body.len();
    for (place, at, told) in [
        ("before the body", start, NotAnObject),
        ("after the first byte", start + 1, NotAnObject),
        ("in the body", start + body.len() / 2, NotAnObject),
        ("before the last byte", open.len() - 1, NotAnObject),
        ("after the last byte", open.len(), Good),
    ] {
        let part = open[..at].to_vec();
        let lie = format!("without a length, cut {place}");
        rows.push(row(lie, vec![Write(part.clone()), Close], told));
        let lie = format!("without a length, silent {place}");
        rows.push(row(lie, vec![Write(part), Hang], Interrupted));
    }
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (one, two) = body.split_at(body.len() / 2);
    let sizes = format!("{head}{:x}", one.len());
    let first = format!("{sizes}\r\n{one}");
    let data = format!("{first}\r\n{:x}\r\n{two}\r\n", two.len());
    for (place, part) in [
        ("before the first size", head.to_owned()),
        ("in a size", sizes.clone()),
        ("in the data", format!("{sizes}\r\n{}", &one[..one.len() - 1])),
        ("after the data", first),
        ("before the last chunk", data.clone()),
        ("in the last chunk", format!("{data}0\r\n")),
    ] {
        let part = part.into_bytes();
        let lie = format!("chunked, cut {place}");
        rows.push(row(lie, vec![Write(part.clone()), Close], Interrupted));
        rows.push(row(format!("chunked, silent {place}"), vec![Write(part), Hang], Interrupted));
    }
    rows.push(row("chunked, whole", vec![Write(format!("{data}0\r\n\r\n").into())], Good));
    rows.push(row("byte by byte", vec![Trickle(whole)], Good));
    rows
}

/// Other statuses, redirects and headers that mean something else.
fn statuses(body: &str, elsewhere: &str) -> Vec<Row> {
    let answer =
        |status: &str, headers: &str| vec![Write(with_length(status, headers, body.as_bytes()))];
    let mut rows = Vec::new();
    for status in [400, 401, 403, 404, 407, 429, 500, 502, 503, 504] {
        rows.push(row(
            format!("{status}, good JSON"),
            answer(&format!("{status} X"), ""),
            Status(status),
        ));
    }
    let html = b"<html><script>location='/'</script>";
    rows.push(row("HTML", vec![Write(with_length("200 OK", "", html))], NotAnObject));
    rows.push(row("500, HTML", vec![Write(with_length("500 X", "", html))], Status(500)));
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {elsewhere}/sns/userinfo\r\n");
        rows.push(row(
            format!("{status} to elsewhere"),
            answer(&format!("{status} X"), &location),
            Status(status),
        ));
    }
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n";
    rows.push(row("101", vec![Write(upgrade.into()), Write(body.into()), Close], Status(101)));
    let good = with_length("200 OK", "", body.as_bytes());
    let goes_on = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    rows.push(row("100 first", vec![Write(goes_on.clone()), Write(good.clone())], Good));
    rows.push(row(
        "103 first",
        vec![Write(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n".to_vec()), Write(good.clone())],
        Good,
    ));
    rows.push(row("100 without end", vec![Endless(goes_on, 1 << 18), Hang], Interrupted));
    rows.push(row("204", vec![Write(b"HTTP/1.1 204 X\r\n\r\n".to_vec())], NotAnObject));
    for (lie, headers) in [
        ("a wrong charset", "Content-Type: application/json; charset=shift_jis\r\n"),
        ("brotli that is none", "Content-Encoding: br\r\n"),
        ("a cookie of ours", "Set-Cookie: wxgate=stolen\r\nRefresh: 0; url=/\r\n"),
        ("a header twice", "Content-Type: text/html\r\nContent-Type: image/png\r\n"),
    ] {
        rows.push(row(lie, answer("200 OK", headers), Good));
    }
    for (lie, head) in [
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        ("a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
        ("a coding that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
        ("a header that is none", "HTTP/1.1 200 OK\r\nfoo bar\r\n\r\n{}"),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        ("HTTP/2", "HTTP/2 200 OK\r\n\r\n{}"),
        ("TLS", "\u{15}\u{3}\u{1}\0\u{2}\u{2}F"),
        ("NULs", "\0\0\0\0\0\0\0\0"),
    ] {
        rows.push(row(lie, vec![Write(head.into()), Close], Interrupted));
    }
    rows
}

/// More than anybody wants.
fn floods(body: &str) -> Vec<Row> {
    let most = 64 << 20;
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let open = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let headers = "X-A: b\r\n".repeat(1000);
    let mut rows = vec![
        row(
            "a body without end",
            vec![Write(open.clone()), Endless(vec![b' '; 8192], most)],
            TooLarge,
        ),
        row(
            "a chunked body without end",
            vec![Write(chunked.clone()), Endless(b"4\r\n    \r\n".repeat(500), most)],
            TooLarge,
        ),
        row(
            "headers without end",
            vec![Write(head.clone()), Endless(b"X-A: b\r\n".repeat(500), most)],
            Interrupted,
        ),
        row(
            "a header without end",
            vec![Write(head.clone()), Endless(vec![b'x'; 8192], most)],
            Interrupted,
        ),
        row(
            "a status line without end",
            vec![Write(b"HTTP/1.1 200 ".to_vec()), Endless(vec![b'x'; 8192], most)],
            Interrupted,
        ),
        row(
            "a chunk size without end",
            vec![Write(chunked.clone()), Endless(vec![b'0'; 8192], 1 << 18), Hang],
            Interrupted,
        ),
        row(
            "a chunk extension without end",
            vec![Write([&chunked[..], b"1;"].concat()), Endless(vec![b'x'; 8192], most)],
            Interrupted,
        ),
        row(
            "trailers without end",
            vec![
                Write([&chunked[..], b"2\r\n{}\r\n0\r\n"].concat()),
                Endless(b"X-A: b\r\n".repeat(500), most),
            ],
            Interrupted,
        ),
        row(
            "1000 headers",
            vec![Write(with_length("200 OK", &headers, body.as_bytes())), Close],
            Interrupted,
        ),
        row(
            "65 KiB of spaces",
            vec![Write(with_length("200 OK", "", " ".repeat(65 << 10).as_bytes()))],
            TooLarge,
        ),
        row(
            "a length beyond numbers",
            vec![
                Write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec()),
                Close,
            ],
            Interrupted,
        ),
    ];
    let padded = format!("{body}{}", " ".repeat(LARGE));
    rows.push(row(
        "good, and 70 KiB of spaces",
        vec![Write(with_length("200 OK", "", padded.as_bytes()))],
        TooLarge,
    ));
    rows
}

/// A few kilobytes that become megabytes.
fn bomb() -> &'static [u8] {
    static BOMB: OnceLock<Vec<u8>> = OnceLock::new();
    BOMB.get_or_init(|| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&vec![b' '; 4 << 20]).unwrap();
        encoder.finish().unwrap()
    })
}

/// What stands in the body instead.
fn bodies(body: &str) -> Vec<Row> {
    let answer = |body: &[u8]| vec![Write(with_length("200 OK", "", body))];
    let deep = |open: &str, close: &str| {
        format!("{{\"x\":{}{}}}", open.repeat(10_000), close.repeat(10_000))
    };
    let utf16: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let deflated = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let coded = |coding: &str, bytes: &[u8]| {
        vec![Write(with_length("200 OK", &format!("Content-Encoding: {coding}\r\n"), bytes))]
    };
    let inside = &body[1..];
    let mut rows = vec![
        row("a bomb in gzip", coded("gzip", bomb()), NotAnObject),
        row("deflate", coded("deflate", &deflated), NotAnObject),
        row("a byte order mark", answer(format!("\u{feff}{body}").as_bytes()), NotAnObject),
        row("UTF-16", answer(&utf16), NotAnObject),
        row("arrays in arrays", answer(deep("[", "]").as_bytes()), NotAnObject),
        row(
            "objects in objects",
            answer(deep("{\"x\":", "}").replace(":}", ":1}").as_bytes()),
            NotAnObject,
        ),
        row("two objects", answer(format!("{body}{body}").as_bytes()), NotAnObject),
        row("something behind it", answer(format!("{body}\0").as_bytes()), NotAnObject),
        row("a script before it", answer(format!("for(;;);{body}").as_bytes()), NotAnObject),
        row("JSONP", answer(format!("callback({body})").as_bytes()), NotAnObject),
        row(
            "a comma at the end",
            answer(format!("{},}}", &body[..body.len() - 1]).as_bytes()),
            NotAnObject,
        ),
        row(
            "half a letter",
            answer(&[b"{\"note\":\"\xe5\xb0\",".as_slice(), inside.as_bytes()].concat()),
            Good,
        ),
        row(
            "half a surrogate",
            answer(format!("{{\"note\":\"\\ud83d\",{inside}").as_bytes()),
            NotAnObject,
        ),
        row(
            "control characters",
            answer(format!("{{\"note\":\"\u{1}\u{14}\u{7f}\n\",{inside}").as_bytes()),
            Good,
        ),
        row(
            "an unknown field of 60 KiB",
            answer(format!("{{\"note\":\"{}\",{inside}", "x".repeat(60 << 10)).as_bytes()),
            Good,
        ),
        row(
            "an error as well",
            answer(
                format!("{{\"errcode\":45009,{}", inside.replace("\"errcode\":0,", "")).as_bytes(),
            ),
            Refused(45009),
        ),
        row("an error as text", answer(br#"{"errcode":"45009","errmsg":"x"}"#), Refused(45009)),
        row("an error beyond numbers", answer(br#"{"errcode":99999999999999999999}"#), Field),
        row(
            "another word for it",
            answer(br#"{"error":"invalid_grant","error_description":"x"}"#),
            Field,
        ),
        row("an empty object", answer(b"{}"), Field),
    ];
    for (lie, bytes) in [
        ("nothing", &b""[..]),
        ("null", b"null"),
        ("an array", b"[]"),
        ("an array of it", b"[{}]"),
        ("a number", b"7200"),
        ("a text", b"\"ok\""),
        ("true", b"true"),
        ("spaces", b"  \r\n "),
        ("garbage", b"\xff\xfe\x00\x80\xc0garbage\x1f\x8b"),
        ("NaN", b"{\"expires_in\":NaN}"),
        ("a key without quotes", b"{openid:1}"),
        ("half of it", b"{\"openid\":\"o"),
        ("a number too long", b"{\"x\":1e9999}"),
    ] {
        rows.push(row(lie, answer(bytes), NotAnObject));
    }
    rows
}

/// The same lie about another case.
pub fn made_for(mut row: Row, from: usize, to: usize) -> Row {
    for step in &mut row.steps {
        let (from, to) = (format!("case{from:0>5}x"), format!("case{to:0>5}x"));
        if let Write(bytes) | Trickle(bytes) = step {
            for at in 0..bytes.len().saturating_sub(from.len() - 1) {
                if bytes[at..].starts_with(from.as_bytes()) {
                    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
                }
            }
        }
    }
    row
}
