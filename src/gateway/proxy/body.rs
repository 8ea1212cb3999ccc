//! The body of an upstream's answer, wherever it comes from.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;

use super::{failure::BodyError, files::FileBody, http1::AnswerBody};

/// The body of an upstream's answer. One that ends early ends with an error, never as if it were whole.
pub(in crate::gateway) struct UpstreamBody(Source);

enum Source {
    Plain(AnswerBody),
    Shared(SharedBody),
    File(FileBody),
    Own(Full<Bytes>),
    /// Over before its end, which nobody was told yet.
    Broken(Option<BodyError>),
}

impl From<AnswerBody> for UpstreamBody {
    fn from(body: AnswerBody) -> Self {
        Self(Source::Plain(body))
    }
}

impl From<FileBody> for UpstreamBody {
    fn from(body: FileBody) -> Self {
        Self(Source::File(body))
    }
}

impl From<&'static str> for UpstreamBody {
    fn from(text: &'static str) -> Self {
        Self(Source::Own(Full::from(text)))
    }
}

impl UpstreamBody {
    /// The answer with a body whose connection is driven elsewhere.
    pub(super) fn shared(response: Response<Incoming>) -> Response<Self> {
        let has_end_mark = response.version() == Version::HTTP_2;
        response.map(|body| Self(Source::Shared(SharedBody { body, has_end_mark })))
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match &mut self.0 {
            Source::Plain(body) => body.poll_frame(context).map_err(BodyError::Plain),
            Source::Shared(body) => body.poll_frame(context),
            Source::File(body) => body.poll_frame(context),
            Source::Own(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Source::Broken(error) => return Poll::Ready(error.take().map(Err)),
        };
        match polled {
            Poll::Ready(Some(Err(error))) => {
                if error.is_the_client_s() {
                    tracing::debug!(%error, "an answer is cut off");
                } else {
                    tracing::warn!(%error, "an answer is cut off");
                }
                // In the next turn: a server forgets what it has not written yet when it hears of this, and the head of the
                // answer may be a part of that. A browser that gets nothing at all may ask again by itself.
                self.0 = Source::Broken(Some(error));
                context.waker().wake_by_ref();
                Poll::Pending
            }
            other => other,
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Plain(body) => body.is_end_stream(),
            Source::Shared(body) => body.body.is_end_stream(),
            Source::File(body) => body.is_end_stream(),
            Source::Own(body) => body.is_end_stream(),
            Source::Broken(error) => error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Plain(body) => body.size_hint(),
            Source::Shared(body) => body.body.size_hint(),
            Source::File(body) => body.size_hint(),
            Source::Own(body) => body.size_hint(),
            Source::Broken(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamBody").finish_non_exhaustive()
    }
}

/// A body whose connection is driven elsewhere.
struct SharedBody {
    body: Incoming,
    /// HTTP/2 says where a body ends. hyper takes a reset without an error for the end of it, too.
    has_end_mark: bool,
}

impl SharedBody {
    fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(match frame {
            Some(frame) => Some(frame.map_err(BodyError::Upstream)),
            None if self.has_end_mark && !self.body.is_end_stream() => {
                Some(Err(BodyError::Unfinished))
            }
            None => None,
        })
    }
}
