//! The response future: an answer of ours, the inner service's, or something to wait for first.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{app_data::Passed, body::LoginBody};

type Request<B> = http::Request<B>;
pub(super) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pin_project! {
    /// The response to a request that came through a login. A request that passes costs no allocation here.
    pub struct ResponseFuture<S, B, R>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, R, S::Future>,
    }
}

pin_project! {
    #[project = Projected]
    enum State<S, B, R, F> {
        Answered { response: Option<Response<Full<Bytes>>> },
        Waiting { next: Boxed<Next<S, B>> },
        Passed { inner: S, request: Option<(Request<B>, Passed)> },
        Inner { #[pin] future: F, passed: Passed },
        Saving { response: Boxed<Response<LoginBody<R>>> },
    }
}

/// How a request goes on that had to wait.
pub(super) enum Next<S, B> {
    Answer(Response<Full<Bytes>>),
    Pass(S, Request<B>, Passed),
}

impl<S, B, R> ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
{
    pub(super) fn answer(response: Response<Full<Bytes>>) -> Self {
        Self { state: State::Answered { response: Some(response) } }
    }

    pub(super) fn pass(inner: S, request: Request<B>, passed: Passed) -> Self {
        Self { state: State::Passed { inner, request: Some((request, passed)) } }
    }

    pub(super) fn wait(next: impl Future<Output = Next<S, B>> + Send + 'static) -> Self {
        Self { state: State::Waiting { next: Box::pin(next) } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, R>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Send + 'static,
{
    type Output = Result<Response<LoginBody<R>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        const TWICE: &str = "a future is not polled after it has answered";
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                Projected::Answered { response } => {
                    let response = response.take().expect(TWICE);
                    return Poll::Ready(Ok(response.map(LoginBody::own)));
                }
                Projected::Waiting { next } => match ready!(next.as_mut().poll(context)) {
                    Next::Answer(response) => State::Answered { response: Some(response) },
                    Next::Pass(inner, request, passed) => {
                        State::Passed { inner, request: Some((request, passed)) }
                    }
                },
                Projected::Passed { inner, request } => {
                    ready!(inner.poll_ready(context))?;
                    let (request, passed) = request.take().expect(TWICE);
                    State::Inner { future: inner.call(request), passed }
                }
                Projected::Inner { future, passed } => {
                    let response = ready!(future.poll(context))?;
                    match passed.save_after(response) {
                        Ok(response) => return Poll::Ready(Ok(response)),
                        Err(response) => State::Saving { response },
                    }
                }
                Projected::Saving { response } => return response.as_mut().poll(context).map(Ok),
            };
            state.set(next);
        }
    }
}

impl<S, B, R> fmt::Debug for ResponseFuture<S, B, R>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
