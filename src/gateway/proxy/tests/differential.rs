//! The same exchanges through our client and through hyper's: browsers and upstreams must not see a difference.

use std::{collections::VecDeque, fmt::Write, sync::Mutex};

use fastrand::Rng;
use hyper::client::conn::http1::SendRequest;

use super::*;
use crate::gateway::proxy::{
    read_apart,
    request::{Length, tell},
    request_body::{RequestBody, watch},
    response,
};

const EXCHANGES: usize = 2_500;

/// What an upstream does with one request.
#[derive(Clone, Debug)]
struct Script {
    /// Whether it answers before it has read the body.
    is_early: bool,
    answer: Vec<Vec<u8>>,
    /// Whether it goes on with the next request, or closes.
    stays: bool,
}

/// An upstream that does what it is told, and what it has seen.
#[derive(Clone, Default)]
struct Told {
    next: Arc<Mutex<VecDeque<Script>>>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Told {
    async fn start() -> (SocketAddr, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, told) = (listener.local_addr().unwrap(), Self::default());
        let serving = told.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let told = serving.clone();
                tokio::spawn(async move { told.serve(stream).await });
            }
        });
        (addr, told)
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let mut came = Vec::new();
        loop {
            let end = loop {
                match came.windows(4).position(|end| end == b"\r\n\r\n") {
                    Some(end) => break end + 4,
                    None => read(&mut stream, &mut came).await?,
                }
            };
            let head = String::from_utf8_lossy(&came[..end]).to_lowercase();
            came.drain(..end);
            let script = self.next.lock().unwrap().pop_front()?;
            let mut heard = None;
            if !script.is_early {
                heard = Some(body(&head, &mut stream, &mut came).await?);
            }
            let mut lines: Vec<_> = head.lines().skip(1).collect();
            lines.sort_unstable();
            let asked = head.lines().next().unwrap_or_default();
            let said = heard.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
            self.seen.lock().unwrap().push(format!("{asked}\n{}\n{said:?}", lines.join("\n")));
            for piece in &script.answer {
                stream.write_all(piece).await.ok()?;
                tokio::task::yield_now().await;
            }
            if !script.stays {
                stream.shutdown().await.ok()?;
                // Whoever closes with something unread takes back what was sent.
                while read(&mut stream, &mut came).await.is_some() {}
                return None;
            }
            if heard.is_none() {
                body(&head, &mut stream, &mut came).await?;
            }
        }
    }
}

async fn read(stream: &mut TcpStream, came: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(came).await.ok()? > 0).then_some(())
}

/// The body of a request, whichever way it is framed.
async fn body(head: &str, stream: &mut TcpStream, came: &mut Vec<u8>) -> Option<Vec<u8>> {
    let value =
        |name: &str| head.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
    if value("transfer-encoding:").is_some() {
        while !came.ends_with(b"0\r\n\r\n") {
            read(stream, came).await?;
        }
        let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        chunked.append(came);
        let read = read_apart([&*chunked].into_iter(), false)?;
        assert!(read.is_whole && read.left == (0, true));
        return Some(read.body);
    }
    let length = value("content-length:").map_or(0, |length| length.parse::<usize>().unwrap());
    while came.len() < length {
        read(stream, came).await?;
    }
    Some(came.drain(..length).collect())
}

/// A front that passes everything on through hyper's client, one connection for each request.
async fn hyper_front(upstream: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, peer)) = listener.accept().await {
            tokio::spawn(serve(stream, Http::One, move |request| async move {
                match through_hyper(upstream, peer, request).await {
                    Ok(response) => UpstreamBody::shared(response).map(any),
                    Err(error) => refusal(StatusCode::BAD_GATEWAY, &error.to_string()),
                }
            }));
        }
    });
    addr
}

async fn through_hyper(
    upstream: SocketAddr,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> hyper::Result<Response<Incoming>> {
    let (mut head, body) = request.into_parts();
    check_target(&mut head).unwrap();
    let (body, _) = watch(body, None).unwrap();
    let mut passed = Request::new(body);
    (*passed.method_mut(), *passed.uri_mut()) = (head.method.clone(), head.uri.clone());
    let length = Length::of(&head, passed.body());
    tell(&head, length, &told_of(&ClientAddress::from(peer.ip())), passed.headers_mut());
    let stream = TcpStream::connect(upstream).await.unwrap();
    let (mut sender, driver): (SendRequest<RequestBody>, _) =
        client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    let mut answer = sender.send_request(passed).await?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        // Refused by the one as by the other.
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
    }
    response::prepare(&mut answer);
    Ok(answer)
}

fn request(random: &mut Rng, number: usize) -> Vec<u8> {
    let method = random.choice(["GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]).unwrap();
    let mut lines = vec![
        format!("{method} /{number}?q=a%20b HTTP/1.1"),
        "Host: h5.example.com".to_owned(),
        "Connection: close".to_owned(),
    ];
    for line in [
        "Cookie: a=1; wxgate=x; b=2",
        "X-WeChat-Openid: forged",
        "Accept-Encoding: gzip",
        "TE: trailers",
        "Authorization: Bearer x",
        "X-Odd: \u{e9}",
    ] {
        if random.bool() {
            lines.push(line.to_owned());
        }
    }
    let size = random.choice([0, 1, 10, 1000, 70_000]).unwrap();
    let body: String = std::iter::repeat_with(|| random.alphanumeric()).take(size).collect();
    let body = match random.u8(0..4) {
        0 | 1 => String::new(),
        2 => {
            lines.push(format!("Content-Length: {size}"));
            body
        }
        _ => {
            lines.push("Transfer-Encoding: chunked".to_owned());
            let chunks = body.as_bytes().chunks(size / random.usize(1..4) + 1);
            let chunk = |chunk: &[u8]| {
                format!("{:x}\r\n{}\r\n", chunk.len(), String::from_utf8_lossy(chunk))
            };
            chunks.map(chunk).chain(["0\r\n\r\n".to_owned()]).collect()
        }
    };
    format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

/// An answer: mostly one that could be sent, then perhaps damaged.
fn script(random: &mut Rng) -> Script {
    let status = random
        .choice([
            "200 OK",
            "200 OK",
            "200 Fine",
            "201 Created",
            "204 No Content",
            "304 Not Modified",
            "404 Not Found",
            "500 ",
            "101 Switching Protocols",
            "600 Odd",
        ])
        .unwrap();
    let version = random.choice(["1.1", "1.1", "1.1", "1.0"]).unwrap();
    let early = ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"];
    let mut text = String::new();
    if random.u8(0..5) == 0 {
        text.push_str(random.choice(early).unwrap());
    }
    write!(text, "HTTP/{version} {status}\r\n").unwrap();
    for line in [
        "Content-Type: text/html",
        "Set-Cookie: a=1",
        "Set-Cookie: wxgate=stolen",
        "Connection: close",
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "Keep-Alive: timeout=5",
        "Trailer: X-Sum",
        "X-Odd: \u{e9}",
    ] {
        if random.u8(0..4) == 0 {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    let size = random.choice([0, 1, 10, 1000, 20_000, 200_000]).unwrap();
    let body: String = std::iter::repeat_with(|| random.alphanumeric()).take(size).collect();
    let is_bodiless = ["204", "304", "101"].iter().any(|code| status.starts_with(code));
    let mut stays = true;
    match random.u8(0..6) {
        _ if is_bodiless => text.push_str("\r\n"),
        0 => {
            write!(text, "\r\n{body}").unwrap();
            stays = false;
        }
        1 | 2 => write!(text, "Content-Length: {size}\r\n\r\n{body}").unwrap(),
        3 => {
            let odd = format!("{size}, {size}");
            let both = ["+1", "x", "", "1, 2", &odd];
            let said = random.choice(both).unwrap();
            write!(text, "Content-Length: {said}\r\n\r\n{body}").unwrap();
        }
        _ => {
            text.push_str("Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.as_bytes().chunks(size / random.usize(1..5) + 1) {
                let extension = random.choice(["", "", ";a=b", " "]).unwrap();
                write!(text, "{:X}{extension}\r\n", chunk.len()).unwrap();
                text.push_str(&String::from_utf8_lossy(chunk));
                text.push_str("\r\n");
            }
            text.push_str(
                random.choice(["0\r\n\r\n", "0\r\n\r\n", "0\r\nX-Sum: 1\r\n\r\n"]).unwrap(),
            );
        }
    }
    let mut bytes = text.into_bytes();
    if random.u8(0..3) == 0 {
        stays = false;
        damage(random, &mut bytes);
    }
    let at_once = random.choice([1, 7, 100, 5000, usize::MAX]).unwrap();
    let at_once = if bytes.len() > 2000 { at_once.max(500) } else { at_once };
    let answer = bytes.chunks(at_once.min(bytes.len().max(1))).map(<[u8]>::to_vec).collect();
    Script { is_early: random.u8(0..10) == 0, answer, stays: stays && random.bool() }
}

fn damage(random: &mut Rng, bytes: &mut Vec<u8>) {
    let at = random.usize(0..bytes.len().min(400));
    match random.u8(0..6) {
        0 => bytes.truncate(at),
        1 => bytes.truncate(bytes.len() - 1),
        2 => bytes[at] = random.u8(..),
        3 => drop(bytes.remove(at)),
        4 => bytes.insert(at, *random.choice(b"\r\n: ;,\0x0").unwrap()),
        _ => bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"),
    }
}

/// What a browser can compare: without the time, without our own words on what went wrong, and without how much has come of
/// an answer that was cut off.
fn seen(answer: &[u8], is_for_head: bool) -> String {
    if answer.starts_with(b"HTTP/1.1 502") {
        return "502".to_owned();
    }
    let Some(read) = read_apart([answer].into_iter(), is_for_head) else {
        return format!("no answer: {}", answer.escape_ascii());
    };
    // The order in which different headers stand means nothing.
    let mut headers: Vec<_> = read.headers.iter().filter(|(name, _)| *name != "date").collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    let line = String::from_utf8_lossy(answer.split(|byte| *byte == b'\r').next().unwrap());
    format!("{line} {headers:?} {:?}", read.is_whole.then_some((read.body, read.trailers)))
}

#[tokio::test]
#[allow(clippy::print_stdout)] // So that a failure can be played again.
async fn browsers_and_upstreams_see_what_they_see_through_hyper() {
    let (ours_at, ours) = Told::start().await;
    let (hypers_at, hypers) = Told::start().await;
    let our_front = front(&spec(&format!("http://{ours_at}")), Rules::default()).await;
    let hyper_front = hyper_front(hypers_at).await;
    let seed = std::env::var("WXGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("WXGATE_SEED={seed}");
    let mut random = Rng::with_seed(seed);
    let (mut bad, mut may_be_closed) = (0, false);
    for number in 0..EXCHANGES {
        let (asked, script) = (request(&mut random, number), script(&mut random));
        let mut answers = Vec::new();
        for (front, told) in [(our_front, &ours), (hyper_front, &hypers)] {
            answers.push(loop {
                // As often as somebody asks: an answer that came out of turn would be seen.
                *told.next.lock().unwrap() = [script.clone()].into();
                let answer = raw_bytes(front, &asked).await;
                let heard = std::mem::take(&mut *told.seen.lock().unwrap());
                // An upstream that closes without a word may do so in the moment in which its connection is used again.
                if heard.is_empty() && std::mem::take(&mut may_be_closed) {
                    continue;
                }
                break (seen(&answer, asked.starts_with(b"HEAD")), heard);
            });
        }
        may_be_closed = !script.stays;
        bad += usize::from(answers[0].0 == "502");
        let [ours, hypers] = &answers[..] else { unreachable!() };
        let show = || {
            let answer = script.answer.concat();
            let cut = &answer[..answer.len().min(600)];
            format!("{number}: {} {}", script.is_early, cut.escape_ascii())
        };
        assert!(ours.0 == hypers.0, "{}\nours {:.600}\nhyper's {:.600}", show(), ours.0, hypers.0);
        assert_eq!(ours.1, hypers.1, "{}", show());
    }
    assert!((EXCHANGES / 20..EXCHANGES / 2).contains(&bad), "{bad} answers were refused");
}
