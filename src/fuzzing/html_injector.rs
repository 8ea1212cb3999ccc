//! Pages on their way through: the block is put in once, all else stays byte for byte, however the page is cut.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Response, header};
use http_body::{Body, Frame};
use lol_html::{HtmlRewriter, MemorySettings, Settings, element};
use serde_json::json;

use super::input::first_line;
use crate::gateway::inject::{block, inject};

/// More frames than any page here is cut into.
const MOST_POLLS: usize = 1_000_000;

/// The first byte says how the page is packed, the rest of the first line where it is cut: each byte is a length. What
/// follows is the page.
pub fn html_injector(data: &[u8]) {
    let (line, page) = first_line(data);
    let (coding, cuts) = line.split_first().unwrap_or((&b'-', &[]));
    let nickname = "</script><!--小明";
    let block = block(&json!({ "nickname": nickname, "openid": "o1" }));
    match coding {
        // Packed pages cannot be made by changing bytes, so what is looked at is that nothing breaks.
        b'g' => drop(given("gzip", pieces(page, cuts), &block)),
        b'b' => drop(given("br", pieces(page, cuts), &block)),
        _ => {
            let cut = given("identity", pieces(page, cuts), &block).expect("it is not packed");
            let whole = given("identity", pieces(page, &[]), &block).expect("it is not packed");
            assert_eq!(cut, whole, "it depends on how the page is cut");
            check(page, &whole, &block);
        }
    }
}

fn check(page: &[u8], sent: &[u8], block: &str) {
    if sent == page {
        return;
    }
    assert_eq!(sent.len(), page.len() + block.len(), "one block and nothing else");
    let same = page.iter().zip(sent).take_while(|(a, b)| a == b).count();
    let is_at = |at: &usize| {
        sent[*at..].starts_with(block.as_bytes()) && sent[at + block.len()..] == page[*at..]
    };
    assert!((0..=same).rev().any(|at| is_at(&at)), "the page has changed");
    let (before, after) = (blocks(page), blocks(sent));
    if let (Some(before), Some(after)) = (before, after) {
        assert_eq!(after, before + 1, "a browser finds the block, once more than before");
    }
}

/// How many elements a browser would take for the block. None where the page is too deep to tell.
fn blocks(page: &[u8]) -> Option<usize> {
    let mut count = 0;
    let counts = element!("script[id=wechat-user]", |_| {
        count += 1;
        Ok(())
    });
    let memory = MemorySettings::new().with_max_allowed_memory_usage(16 << 20);
    let settings = Settings::new().with_strict(false).with_memory_settings(memory);
    let mut rewriter =
        HtmlRewriter::new(settings.append_element_content_handler(counts), |_: &[u8]| {});
    rewriter.write(page).ok()?;
    rewriter.end().ok()?;
    Some(count)
}

/// What is left of the page in lengths that the bytes of `cuts` say.
fn pieces(page: &[u8], cuts: &[u8]) -> Pieces {
    let mut left = Bytes::copy_from_slice(page);
    let mut pieces = VecDeque::new();
    for length in cuts {
        pieces.push_back(left.split_to(usize::from(*length).min(left.len())));
    }
    pieces.push_back(left);
    Pieces(pieces)
}

struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Frame::data).map(Ok))
    }
}

/// What comes of a page. None where it breaks off.
fn given(coding: &'static str, page: Pieces, block: &str) -> Option<Vec<u8>> {
    let mut response = Response::new(page);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    let mut body = inject(response, &Method::GET, Some(block)).into_body();
    let mut context = Context::from_waker(Waker::noop());
    let mut all = Vec::new();
    for _ in 0..MOST_POLLS {
        match Pin::new(&mut body).poll_frame(&mut context) {
            // Only so that others have their turn: the page itself never waits here.
            Poll::Pending => {}
            Poll::Ready(None) => return Some(all),
            Poll::Ready(Some(Err(_))) => return None,
            Poll::Ready(Some(Ok(frame))) => {
                let data = frame.into_data().expect("there are no trailers");
                assert!(!data.is_empty(), "a frame for nothing");
                // A bomb is not kept, only passed on.
                if all.len() < 4 << 20 {
                    all.extend_from_slice(&data);
                }
            }
        }
    }
    panic!("the page has no end");
}
