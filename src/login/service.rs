//! The service: judges each request, and lets the inner service have those that pass.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body::Body;
use tower_service::Service;

use super::{
    app_data::Passed,
    body::LoginBody,
    future::{Next, ResponseFuture},
    gate::{Attended, Gate, Verdict, Visitor},
};

/// A service behind a login. See [`WechatLoginLayer`](super::WechatLoginLayer).
#[derive(Clone, Debug)]
pub struct WechatLogin<S> {
    inner: S,
    gate: Gate,
}

impl<S> WechatLogin<S> {
    pub(super) fn new(inner: S, gate: Gate) -> Self {
        Self { inner, gate }
    }
}

impl<S, B, R> Service<Request<B>> for WechatLogin<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    R: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<LoginBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, R>;

    /// Always ready: a request that is answered here must not hold a place in the inner service. The inner service is
    /// waited for once a request has passed.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        match self.gate.admit(&mut head) {
            Verdict::Answer(response) => ResponseFuture::answer(response),
            Verdict::Pass(visitor) => {
                let passed = let_in(&self.gate, &mut head, visitor);
                ResponseFuture::pass(self.inner.clone(), Request::from_parts(head, body), passed)
            }
            Verdict::Wait(pending) => {
                let Self { inner, gate } = self.clone();
                ResponseFuture::wait(async move {
                    match gate.attend(pending, &head, body).await {
                        Attended::Answer(response) => Next::Answer(response),
                        Attended::Pass(visitor, body) => {
                            let passed = let_in(&gate, &mut head, visitor);
                            Next::Pass(inner, Request::from_parts(head, body), passed)
                        }
                    }
                })
            }
        }
    }
}

/// How a request passed that carries no user. Tells the extractor a missing user from a missing layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nobody {
    /// The path's policy looks for nobody.
    Off,
    /// Nobody is signed in.
    Anonymous,
}

/// Puts on a request what handlers find there.
fn let_in(gate: &Gate, head: &mut Parts, visitor: Visitor) -> Passed {
    let passed = Passed::new(gate, head, visitor.user());
    match visitor {
        Visitor::SignedIn(user) => drop(head.extensions.insert(user)),
        Visitor::Unasked => drop(head.extensions.insert(Nobody::Off)),
        Visitor::Anonymous => drop(head.extensions.insert(Nobody::Anonymous)),
    }
    passed
}
