//! The response body of the middleware: the inner service's, or one of ours.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

pin_project! {
    /// A body of the inner service, passed through as it is, or a page of ours.
    #[derive(Debug)]
    pub struct LoginBody<B> {
        #[pin]
        whose: Whose<B>,
    }
}

pin_project! {
    #[project = Projected]
    #[derive(Debug)]
    enum Whose<B> {
        Inner { #[pin] body: B },
        Own { #[pin] body: Full<Bytes> },
    }
}

impl<B> LoginBody<B> {
    pub(crate) fn inner(body: B) -> Self {
        Self { whose: Whose::Inner { body } }
    }

    pub(crate) fn own(body: Full<Bytes>) -> Self {
        Self { whose: Whose::Own { body } }
    }
}

impl<B: Body<Data = Bytes>> Body for LoginBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.project().whose.project() {
            Projected::Inner { body } => body.poll_frame(context),
            Projected::Own { body } => body.poll_frame(context).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.whose {
            Whose::Inner { body } => body.is_end_stream(),
            Whose::Own { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.whose {
            Whose::Inner { body } => body.size_hint(),
            Whose::Own { body } => body.size_hint(),
        }
    }
}
