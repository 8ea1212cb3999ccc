//! One request from a browser to its answer: the rules for its target, the login, then the upstream.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::{
    pages,
    proxy::{self, Failure, Terms, Upstream, UpstreamBody, UpstreamUrl},
    settings::Limits,
};
use crate::login::{
    Attended, Gate, LoginBody, Tongue, Verdict, Visitor, is_form, is_navigation, json, nonce,
};

/// What one core needs to answer requests.
#[derive(Debug)]
pub(super) struct Front {
    gate: Gate,
    upstream: Upstream,
}

/// Who is at the other end of a connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) addr: SocketAddr,
    /// Held by whatever is in flight for the client.
    pub(super) open: mpsc::Sender<()>,
}

type Body = LoginBody<UpstreamBody>;

impl Front {
    pub(super) fn new(gate: Gate, upstream: UpstreamUrl, limits: Limits) -> Self {
        Self { gate, upstream: Upstream::new(upstream, limits) }
    }

    /// Does what has to be done from time to time.
    pub(super) fn tidy(&self) {
        self.upstream.sweep();
    }

    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
        client: &Client,
    ) -> Result<Response<Body>, Infallible> {
        let (mut head, body) = request.into_parts();
        if let Err(bad) = proxy::check_target(&mut head) {
            return Ok(own(refuse_target(bad)));
        }
        Ok(match self.gate.admit(&mut head) {
            Verdict::Pass(visitor) => self.forward(head, body, &visitor, client).await,
            Verdict::Answer(response) => own(response),
            Verdict::Wait(pending) => match self.gate.attend(pending, &head, body).await {
                Attended::Pass(visitor, body) => self.forward(head, body, &visitor, client).await,
                Attended::Answer(response) => own(response),
            },
        })
    }

    async fn forward(
        &self,
        mut head: Parts,
        body: Incoming,
        visitor: &Visitor,
        client: &Client,
    ) -> Response<Body> {
        let waiting = Waiting::of(&head);
        let tunnel = proxy::is_websocket(&head.headers).then(|| Terms {
            life: visitor.user().map(|user| self.gate.time_left(user)),
            open: client.open.clone(),
        });
        proxy::prepare_request(&mut head, visitor.user(), client.addr, self.gate.public_url());
        match self.upstream.exchange(Request::from_parts(head, body), tunnel).await {
            Ok(response) => response.map(LoginBody::inner),
            Err(failure) => own(self.explain(&failure, waiting)),
        }
    }

    fn explain(&self, failure: &Failure, waiting: Waiting) -> Response<Full<Bytes>> {
        if failure.is_the_client_s() {
            tracing::debug!(%failure, "a request did not arrive whole");
        } else {
            tracing::warn!(%failure, upstream = %self.upstream.url(), "the upstream did not answer");
        }
        let status = failure.status();
        match waiting {
            Waiting::Script => {
                json(status, format!(r#"{{"error":"{}"}}"#, failure.code()).into_bytes())
            }
            Waiting::Person(tongue) => {
                let look = self.gate.look();
                look.page(status, &pages::upstream(failure, tongue, look.site, &nonce()))
            }
        }
    }
}

fn refuse_target(bad: proxy::BadTarget) -> Response<Full<Bytes>> {
    tracing::debug!(%bad, "a request is refused");
    json(StatusCode::BAD_REQUEST, br#"{"error":"bad_request"}"#.to_vec())
}

/// Who waits for the answer.
#[derive(Clone, Copy)]
enum Waiting {
    Person(Tongue),
    Script,
}

impl Waiting {
    fn of(head: &Parts) -> Self {
        if is_navigation(&head.method, &head.headers) || is_form(&head.headers) {
            Self::Person(Tongue::of(&head.headers))
        } else {
            Self::Script
        }
    }
}

fn own(response: Response<Full<Bytes>>) -> Response<Body> {
    response.map(LoginBody::own)
}
