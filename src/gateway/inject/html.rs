//! Puts a block into a page while the page is on its way.

use std::{
    fmt, io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header, response::Parts};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{
    coding::{Coding, Decoder, Encoder},
    headers,
    page::Page,
};

/// How many steps one poll makes for nothing before other tasks have their turn.
const STEPS: usize = 16;

/// How the encodings begin in which ASCII is ASCII. In any other the block would be rubbish.
const ASCII_COMPATIBLE: [&str; 18] = [
    "utf-8", "utf8", "us-ascii", "ascii", "gb", "x-gbk", "big5", "iso-8859", "iso8859", "latin",
    "windows-", "cp125", "cp866", "koi8", "euc-", "shift", "sjis", "tis-620",
];

/// Puts `block` into a page, if there is one, and corrects the head of the answer where it does.
///
/// Any other answer passes as it is. The head of an answer to HEAD is corrected as that of the page would be.
pub(crate) fn inject<B>(
    response: Response<B>,
    method: &Method,
    block: Option<&str>,
) -> Response<Injected<B>>
where
    B: Body<Data = Bytes>,
{
    let (mut head, body) = response.into_parts();
    let Some((block, coding)) = block.and_then(|block| Some((block, coding_of_page(&head)?)))
    else {
        return Response::from_parts(head, Injected { body, work: None });
    };
    headers::make_personal(&mut head.headers);
    let has_body = method != Method::HEAD && !body.is_end_stream();
    let work = has_body.then(|| Box::new(Work::new(coding, block)));
    Response::from_parts(head, Injected { body, work })
}

/// How a page is packed that can take a block.
///
/// `Cache-Control: no-transform` hinders nothing: sites send it to keep carriers from changing their pages, and who
/// runs the site has asked for the block.
fn coding_of_page(head: &Parts) -> Option<Coding> {
    let bodiless = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT];
    if !head.status.is_success() || bodiless.contains(&head.status) {
        return None;
    }
    if head.headers.contains_key(header::CONTENT_RANGE) || is_download(&head.headers) {
        return None;
    }
    let mut types = head.headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(content_type), None) = (types.next(), types.next()) else {
        return None;
    };
    is_ascii_html(content_type.to_str().ok()?).then(|| Coding::of(&head.headers))?
}

/// A file to be kept is not a page that somebody looks at.
fn is_download(headers: &HeaderMap) -> bool {
    let Some(disposition) = headers.get(header::CONTENT_DISPOSITION) else {
        return false;
    };
    let kind = disposition.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"attachment")
}

fn is_ascii_html(content_type: &str) -> bool {
    let mut parts = content_type.split(';');
    let is_html = parts.next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"));
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    });
    let charset = charset.unwrap_or_default().trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    let is_ascii = ASCII_COMPATIBLE.iter().any(|name| charset.starts_with(name));
    is_html && (charset.is_empty() || is_ascii)
}

pin_project! {
    /// The body of an answer, with the block put in where it is a page.
    pub(crate) struct Injected<B> {
        #[pin]
        body: B,
        // None where the body passes as it is.
        work: Option<Box<Work>>,
    }
}

/// Why a page breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InjectError<E> {
    /// The body itself did.
    #[error(transparent)]
    Body(E),
    /// It cannot be unpacked.
    #[error("the content coding is damaged or cut short: {0}")]
    Coding(io::Error),
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, InjectError<E>>>>;

struct Work {
    decoder: Decoder,
    page: Page,
    encoder: Encoder,
    /// What has come in and is not unpacked yet.
    input: Bytes,
    trailers: Option<HeaderMap>,
    /// Whether the encoder may hold something back.
    unflushed: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing has come in yet.
    Begin,
    Page,
    /// The body is over, and what is held back has to follow.
    End,
    Trailers,
    Over,
}

impl Work {
    fn new(coding: Coding, block: &str) -> Self {
        Self {
            decoder: Decoder::new(coding),
            page: Page::new(block),
            encoder: Encoder::new(coding),
            input: Bytes::new(),
            trailers: None,
            unflushed: false,
            stage: Stage::Begin,
        }
    }

    fn has_input(&self) -> bool {
        !self.input.is_empty() || self.decoder.has_more()
    }

    /// Moves some of the input on.
    fn step(&mut self) -> io::Result<Bytes> {
        let piece = match &self.decoder {
            Decoder::Identity if self.page.is_settled() => mem::take(&mut self.input),
            _ => self.decoder.step(&mut self.input)?,
        };
        let piece = self.page.feed(piece);
        self.unflushed |= !piece.is_empty();
        self.encoder.write(piece)
    }

    /// Gives what is held back for nothing but a better packing.
    fn flush(&mut self) -> io::Result<Bytes> {
        if mem::take(&mut self.unflushed) { self.encoder.flush() } else { Ok(Bytes::new()) }
    }

    fn finish(&mut self) -> io::Result<Bytes> {
        self.decoder.finish()?;
        let last = self.page.finish();
        let mut packed = Vec::from(self.encoder.write(last)?);
        packed.extend_from_slice(&self.encoder.finish()?);
        Ok(packed.into())
    }

    /// Takes in what the body gives; the end is a `None`.
    fn take_in(&mut self, frame: Option<Frame<Bytes>>) {
        // An answer that is empty stays empty, in any coding.
        let end = if self.stage == Stage::Begin { Stage::Trailers } else { Stage::End };
        let Some(frame) = frame else {
            self.stage = end;
            return;
        };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                self.input = data;
                self.stage = Stage::Page;
            }
            Err(frame) => {
                if let Ok(mut trailers) = frame.into_trailers() {
                    headers::remove_untrue(&mut trailers);
                    self.trailers = Some(trailers);
                    self.stage = end;
                }
            }
        }
    }

    fn poll<B: Body<Data = Bytes>>(
        &mut self,
        mut body: Pin<&mut B>,
        context: &mut Context<'_>,
    ) -> Polled<B::Error> {
        for _ in 0..STEPS {
            let bytes = if self.has_input() {
                self.step().map_err(InjectError::Coding)?
            } else {
                match self.stage {
                    Stage::Begin | Stage::Page => match body.as_mut().poll_frame(context) {
                        Poll::Ready(frame) => {
                            self.take_in(frame.transpose().map_err(InjectError::Body)?);
                            continue;
                        }
                        Poll::Pending => {
                            // The upstream has stopped for a moment: nothing that it has said is held back.
                            let bytes = self.flush().map_err(InjectError::Coding)?;
                            if bytes.is_empty() {
                                return Poll::Pending;
                            }
                            bytes
                        }
                    },
                    Stage::End => {
                        let bytes = self.finish().map_err(InjectError::Coding)?;
                        self.stage = Stage::Trailers;
                        bytes
                    }
                    Stage::Trailers => {
                        self.stage = Stage::Over;
                        return Poll::Ready(self.trailers.take().map(Frame::trailers).map(Ok));
                    }
                    Stage::Over => return Poll::Ready(None),
                }
            };
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
        // A little of input can be a lot of page: a core has other pages to serve.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<B: Body<Data = Bytes>> Body for Injected<B> {
    type Data = Bytes;
    type Error = InjectError<B::Error>;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled<B::Error> {
        let this = self.project();
        let Some(work) = this.work else {
            return this.body.poll_frame(context).map_err(InjectError::Body);
        };
        let polled = ready!(work.poll(this.body, context));
        if let Some(Err(error)) = &polled {
            if let InjectError::Coding(error) = error {
                tracing::warn!(%error, "the upstream's page cannot be unpacked");
            }
            work.stage = Stage::Over;
            work.input.clear();
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.work {
            None => self.body.is_end_stream(),
            Some(work) => work.stage == Stage::Over && !work.has_input(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.work {
            None => self.body.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

impl<B> fmt::Debug for Injected<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injected").field("works", &self.work.is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
