//! Pages of every kind, cut and packed in every way, with the block put in.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    task::Waker,
};

use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use http::HeaderValue;

use super::*;

mod stream;

const BLOCK: &str = r#"<script id="wechat-user" type="application/json">{"a":1}</script>"#;

/// One poll of the upstream's body.
#[derive(Clone)]
enum Event {
    Data(Bytes),
    Pause,
    /// Nothing more comes until the script is another.
    Stop,
    Trailers(HeaderMap),
    Error,
}

struct Script(VecDeque<Event>);

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(Event::Stop) = self.0.front() {
            return Poll::Pending;
        }
        Poll::Ready(match self.0.pop_front() {
            Some(Event::Pause | Event::Stop) => return Poll::Pending,
            Some(Event::Data(data)) => Some(Ok(Frame::data(data))),
            Some(Event::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Event::Error) => Some(Err(io::Error::other("cut"))),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let length = |event: &Event| match event {
            Event::Data(data) => data.len() as u64,
            _ => 0,
        };
        SizeHint::with_exact(self.0.iter().map(length).sum())
    }
}

/// What one poll of the page gave.
#[derive(Debug)]
enum Got {
    Data(Bytes),
    Nothing,
    Trailers(HeaderMap),
    Error(InjectError<io::Error>),
}

fn answer(headers: &[(&'static str, &'static str)], events: Vec<Event>) -> Response<Script> {
    let mut response = Response::new(Script(events.into()));
    for (name, value) in headers {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    response
}

fn page(coding: &'static str, events: Vec<Event>) -> Injected<Script> {
    let headers = [("content-type", "text/html"), ("content-encoding", coding)];
    inject(answer(&headers, events), &Method::GET, Some(BLOCK)).into_body()
}

fn poll(body: &mut Injected<Script>) -> Option<Got> {
    let mut context = Context::from_waker(Waker::noop());
    match Pin::new(body).poll_frame(&mut context) {
        Poll::Pending => Some(Got::Nothing),
        Poll::Ready(None) => None,
        Poll::Ready(Some(Err(error))) => Some(Got::Error(error)),
        Poll::Ready(Some(Ok(frame))) => Some(match frame.into_data() {
            Ok(data) => Got::Data(data),
            Err(frame) => Got::Trailers(frame.into_trailers().ok().unwrap()),
        }),
    }
}

/// All that comes, and the error that ends it.
fn read(mut body: Injected<Script>) -> (Vec<u8>, Option<InjectError<io::Error>>) {
    let mut all = Vec::new();
    while let Some(got) = poll(&mut body) {
        match got {
            Got::Data(data) => {
                assert!(!data.is_empty(), "a frame for nothing");
                all.extend_from_slice(&data);
            }
            Got::Nothing => {}
            Got::Trailers(trailers) => panic!("{trailers:?}"),
            Got::Error(error) => {
                assert!(poll(&mut body).is_none(), "something comes after the error");
                return (all, Some(error));
            }
        }
    }
    assert!(body.is_end_stream());
    (all, None)
}

fn whole(body: Injected<Script>) -> Vec<u8> {
    let (all, error) = read(body);
    assert!(error.is_none(), "{error:?}");
    all
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn cut(bytes: &[u8], length: usize) -> Vec<Event> {
    bytes.chunks(length).map(|chunk| Event::Data(Bytes::copy_from_slice(chunk))).collect()
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(packed).read_to_end(&mut plain).unwrap();
    plain
}

fn brotli(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut packed, 4096, 9, 22);
    encoder.write_all(plain).unwrap();
    drop(encoder);
    packed
}

fn unbrotli(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    brotli::Decompressor::new(packed, 4096).read_to_end(&mut plain).unwrap();
    plain
}

/// Packs and unpacks in each coding there is.
type Packed = (&'static str, fn(&[u8]) -> Vec<u8>, fn(&[u8]) -> Vec<u8>);
const CODINGS: [Packed; 4] = [
    ("identity", <[u8]>::to_vec, <[u8]>::to_vec),
    ("gzip", gzip, gunzip),
    ("x-gzip", gzip, gunzip),
    ("br", brotli, unbrotli),
];

/// Pages with `@` where the block belongs.
const PAGES: [&str; 33] = [
    "<!doctype html><html><head>@<title>x</title></head><body>y</body></html>",
    "<!DOCTYPE HTML>\n<HTML lang=zh><!-- c -->\n<HEAD\nprofile='a>b'>@\n<meta charset=gbk></HEAD><BODY>",
    "<head>@</head><head></head><p>",
    "\u{feff}<html><head>@",
    "<?xml version='1.0'?><!doctype html><head/>@<title>",
    // What only looks like a head is none.
    "<!-- <head> --><!doctype html><!--[if IE]><html><head><![endif]--><html><head>@<!-- <head> --><head>",
    "<br><b>Warning</b>: <script>'<head>'</script>in <i>x.php</i><!doctype html><html><head>@<title>",
    "<script>let a = '<head>'</script><template><html><head></head></template><head>@</head>",
    "<svg/><svg><svg><title>a</title><head></svg><title>b</title></svg><textarea><head></textarea><head>@",
    "<style>/*<head>*/</style><noscript></noscript>@<body class=a>",
    "<template><template><head></template><title>a</title></template>@<title>b</title>",
    // The tag can be left out.
    "<!doctype html>@<title>x</title><p>y",
    "<!doctype html><html>@<body><p>y</p></body></html>",
    "<!doctype html>\n\n@<p>y<head>",
    "<html>\n@<script src=a></script><body>",
    "<html>@<frameset><frame></frameset></html>",
    "<!doctype html>@<template><head></head></template>",
    "<!doctype html>@<svg><title>a</title></svg>",
    "<!doctype html></head>@<body>",
    "@<body>x",
    "@<title>x</title><p>y",
    "@<meta charset=utf-8><h1>x</h1>",
    "<!doctype html>only text, \u{660e}\u{1f600}@",
    "<html>@",
    // Damaged at the end, and yet all of it comes.
    "<!doctype html><html>@<body><p class='",
    "<html><head>@<title>x</tit",
    // Where it stops within a tag or a comment, there is no place for anything.
    "<!doctype html><!-- <head>",
    "<html><hea",
    "<!doctype html><html lang='zh",
    // No pages.
    "<tr><td>a piece for a script</td></tr>",
    "<li itemscope><meta itemprop=a content=b><p>x",
    // A tag that a browser may or may not read as text.
    "<select><xmp><script>'</script></select><p>x",
    "{\"not\": \"html\"}",
];

#[test]
fn w11_a_nickname_ends_no_attribute_of_a_page_that_is_cut_short() {
    let nickname = "' onmouseover='alert(1)";
    let block = super::super::block(&serde_json::json!({ "nickname": nickname }));
    for (page, takes_it) in [
        ("<!doctype html><html lang='", false),
        ("<!doctype html><p title=", false),
        ("<!doctype html><!-- ", false),
        ("<!doctype html>it's text", true),
    ] {
        for length in [1, 7, 100] {
            let body = answer(&[("content-type", "text/html")], cut(page.as_bytes(), length));
            let got = whole(inject(body, &Method::GET, Some(&block)).into_body());
            let goes = if takes_it { format!("{page}{block}") } else { page.to_owned() };
            assert_eq!(text(&got), goes, "{page}");
        }
    }
}

/// The pages as they come and as they go.
fn pages() -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pages: Vec<_> = PAGES
        .iter()
        .map(|page| (page.replace('@', "").into(), page.replace('@', BLOCK).into()))
        .collect();
    // GBK: bytes that are no UTF-8, and second bytes that are ASCII letters.
    let gbk = b"<html><head>@<title>\xd6\xd0\xce\xc4 \x81\x5c\x81\x7c</title><p title='\xb1\x41'>\xff\xfe\x00";
    let at = gbk.iter().position(|byte| *byte == b'@').unwrap();
    let (before, after) = (&gbk[..at], &gbk[at + 1..]);
    pages.push(([before, after].concat(), [before, BLOCK.as_bytes(), after].concat()));
    pages
}

#[test]
fn the_block_comes_into_the_head_wherever_a_page_is_cut() {
    for (comes, goes) in pages() {
        let shown = String::from_utf8_lossy(&comes);
        let one = whole(page("identity", cut(&comes, comes.len())));
        assert_eq!(String::from_utf8_lossy(&one), String::from_utf8_lossy(&goes), "{shown}");
        for at in 1..comes.len() {
            let parts = [&comes[..at], &comes[at..]].map(Bytes::copy_from_slice).map(Event::Data);
            assert_eq!(whole(page("identity", parts.into())), goes, "{shown} cut at {at}");
        }
        assert_eq!(whole(page("identity", cut(&comes, 1))), goes, "{shown} byte by byte");
    }
}

#[test]
fn the_block_comes_into_packed_pages() {
    for (comes, goes) in pages() {
        for (coding, pack, unpack) in CODINGS {
            let packed = pack(&comes);
            for length in [1, 2, 3, 7, 100] {
                let got = unpack(&whole(page(coding, cut(&packed, length))));
                assert_eq!(got, goes, "{coding} by {length}: {}", String::from_utf8_lossy(&comes));
            }
        }
    }
}

#[test]
fn a_long_page_is_otherwise_the_same_in_every_coding() {
    let mut long = b"<!doctype html><head></head><body>".to_vec();
    for n in 0..40_000_u32 {
        write!(long, "<p id={n}>{}\u{4e2d}</p>", n.wrapping_mul(2_654_435_761)).unwrap();
    }
    let goes = text(&long).replacen("<head>", &format!("<head>{BLOCK}"), 1);
    for (coding, pack, unpack) in CODINGS {
        let packed = pack(&long);
        for length in [1000, 8192, 65_536, packed.len()] {
            let got = unpack(&whole(page(coding, cut(&packed, length))));
            assert!(got == goes.as_bytes(), "{coding} by {length}");
        }
    }
}

#[test]
fn trailers_follow_the_page_without_what_is_untrue() {
    for (coding, pack, unpack) in CODINGS {
        let mut trailers = HeaderMap::new();
        trailers.insert("digest", HeaderValue::from_static("x"));
        trailers.insert("server-timing", HeaderValue::from_static("db;dur=1"));
        let packed = pack(b"<html><head></head>");
        let mut body = page(coding, vec![Event::Data(packed.into()), Event::Trailers(trailers)]);
        let mut all = Vec::new();
        let trailers = loop {
            match poll(&mut body) {
                Some(Got::Data(data)) => all.extend_from_slice(&data),
                Some(Got::Trailers(trailers)) => break trailers,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(text(&unpack(&all)), format!("<html><head>{BLOCK}</head>"));
        assert_eq!(trailers.len(), 1);
        assert_eq!(trailers["server-timing"], "db;dur=1");
        assert!(body.is_end_stream());
        assert!(poll(&mut body).is_none());
    }
}

#[test]
fn a_page_s_length_is_not_known_beforehand() {
    let html = || vec![Event::Data("<html><head>".into())];
    let injected = page("identity", html());
    assert_eq!(injected.size_hint().exact(), None);
    assert!(!injected.is_end_stream());
    let other = inject(answer(&[("content-type", "text/css")], html()), &Method::GET, Some(BLOCK));
    assert_eq!(other.body().size_hint().exact(), Some(12));
    assert!(!other.body().is_end_stream());
}

#[test]
fn an_empty_answer_stays_empty() {
    for (coding, ..) in CODINGS {
        for events in [vec![], vec![Event::Pause], vec![Event::Data(Bytes::new())]] {
            let ends_at_once = events.is_empty();
            let body = page(coding, events);
            assert_eq!(body.is_end_stream(), ends_at_once);
            assert_eq!(whole(body), b"", "{coding}");
        }
    }
}

#[test]
fn only_pages_are_touched() {
    let html = ("content-type", "text/html; charset=utf-8");
    let status = |code: u16| StatusCode::from_u16(code).unwrap();
    let touched: &[(u16, &[(&str, &str)])] = &[
        (200, &[html]),
        (201, &[html]),
        (200, &[("content-type", "TEXT/HTML")]),
        (200, &[("content-type", "text/html ; profile=x;Charset=\"GB2312\"")]),
        (200, &[("content-type", "text/html;charset=Shift_JIS")]),
        (200, &[("content-type", "text/html;charset=")]),
        (200, &[html, ("content-encoding", "BR")]),
        (200, &[html, ("content-disposition", "inline; filename=a.html")]),
        (200, &[html, ("cache-control", "no-transform")]),
    ];
    let untouched: &[(u16, &[(&str, &str)])] = &[
        (204, &[html]),
        (205, &[html]),
        (206, &[html]),
        (302, &[html]),
        (304, &[html]),
        (404, &[html]),
        (500, &[html]),
        (200, &[]),
        (200, &[("content-type", "text/html-x")]),
        (200, &[("content-type", "application/xhtml+xml")]),
        (200, &[("content-type", "text/plain"), html]),
        (200, &[("content-type", "text/html; charset=utf-16")]),
        (200, &[("content-type", "text/html; charset=\"UTF-16LE\"")]),
        (200, &[("content-type", "text/html; charset=iso-2022-jp")]),
        (200, &[("content-type", "text/html; charset=hz-gb-2312")]),
        (200, &[("content-type", "text/html; charset=utf-7")]),
        (200, &[html, ("content-encoding", "deflate")]),
        (200, &[html, ("content-encoding", "gzip, br")]),
        (200, &[html, ("content-encoding", "gzip"), ("content-encoding", "br")]),
        (200, &[html, ("content-range", "bytes 0-9/10")]),
        (200, &[html, ("content-disposition", "Attachment; filename=a.html")]),
    ];
    for (cases, is_touched) in [(touched, true), (untouched, false)] {
        for (code, headers) in cases {
            let mut before = answer(headers, vec![Event::Pause]);
            *before.status_mut() = status(*code);
            before.headers_mut().insert("etag", HeaderValue::from_static("\"a\""));
            let head = before.headers().clone();
            let after = inject(before, &Method::GET, Some(BLOCK));
            assert_eq!(after.body().work.is_some(), is_touched, "{code} {headers:?}");
            assert_eq!(*after.headers() != head, is_touched, "{code} {headers:?}");
            assert_eq!(after.headers().contains_key("etag"), !is_touched, "{code} {headers:?}");
        }
    }
}

#[test]
fn the_head_alone_says_the_same_as_the_page() {
    let headers =
        [("content-type", "text/html"), ("content-length", "12"), ("cache-control", "public")];
    let get = answer(&headers, vec![Event::Data("<html><head>".into())]);
    let get = inject(get, &Method::GET, Some(BLOCK));
    let head = inject(answer(&headers, vec![]), &Method::HEAD, Some(BLOCK));
    assert_eq!(get.headers(), head.headers());
    assert!(!head.headers().contains_key("content-length"));
    assert_eq!(head.headers()["cache-control"], "private");
    assert_eq!(head.headers()["vary"], "Cookie");
    assert!(head.body().is_end_stream());
    assert_eq!(head.body().size_hint().exact(), Some(0));
    assert_eq!(text(&whole(get.into_body())), format!("<html><head>{BLOCK}"));
}

#[test]
fn an_upstream_s_page_can_be_served() {
    fn is_a_server_s<B>()
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
    }
    is_a_server_s::<Injected<crate::gateway::proxy::UpstreamBody>>();
}
