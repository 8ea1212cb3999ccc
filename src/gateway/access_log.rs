//! The access log: one line for each request, written when its answer has ended.
//!
//! A line never holds the query, a header or a body. Who somebody is stands in it as a keyed hash, unless the operator
//! asks for openids.

use std::{
    fmt,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{HeaderValue, Method, Response, StatusCode, Uri, request::Parts};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use ring::{hmac, rand::SystemRandom};
use tokio::time::Instant;
use tracing::Level;

use super::metrics::{Held, Outcome};
use crate::{login::WechatUser, session::UserKey};

/// What filters know the lines by.
const TARGET: &str = "wxgate::access";
/// A path longer than this is cut in the log: it is a defect or an attack, and its beginning tells which.
const LONGEST_PATH: usize = 1024;
/// What operators know as "the client has gone before there was an answer".
const CLIENT_GONE: u16 = 499;

/// How lines are written. Clones write alike.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct AccessLog(Arc<Users>);

/// How a user stands in a line.
enum Users {
    /// By a hash whose key is forgotten with this process: lines of one run belong together, and nobody can try
    /// openids out.
    Hashed(hmac::Key),
    /// As `appid:openid`.
    Plain,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hashed(_) => "Hashed",
            Self::Plain => "Plain",
        })
    }
}

impl AccessLog {
    /// Lines with hashes of users, or with their openids.
    pub(in crate::gateway) fn new(log_openid: bool) -> Self {
        Self(Arc::new(if log_openid {
            Users::Plain
        } else {
            let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
            Users::Hashed(
                key.expect("a system that gives no random numbers cannot sign anybody in"),
            )
        }))
    }

    /// How a user stands in the lines.
    pub(in crate::gateway) fn name(&self, user: &UserKey) -> String {
        self.0.name(user)
    }

    /// Begins the line of a request. Its clock runs from here.
    pub(in crate::gateway) fn begin(
        &self,
        head: &Parts,
        request_id: &HeaderValue,
        client: IpAddr,
    ) -> Access {
        Access(Box::new(Line {
            users: self.0.clone(),
            began_at: Instant::now(),
            request_id: request_id.clone(),
            client,
            method: head.method.clone(),
            uri: head.uri.clone(),
            place: None,
            user: None,
            upstream: None,
            answer: None,
            sent: 0,
            is_whole: false,
            held: None,
        }))
    }
}

/// The line of one request. It is written when this is dropped; without an answer by then, the client has gone.
#[derive(Debug)]
pub(in crate::gateway) struct Access(Box<Line>);

#[derive(Debug)]
struct Line {
    users: Arc<Users>,
    began_at: Instant,
    request_id: HeaderValue,
    client: IpAddr,
    method: Method,
    uri: Uri,
    place: Option<(Arc<str>, Arc<str>)>,
    user: Option<WechatUser>,
    upstream: Option<Duration>,
    answer: Option<(StatusCode, Outcome)>,
    sent: u64,
    is_whole: bool,
    /// Let go of with the line.
    held: Option<Held>,
}

impl Access {
    /// The names of the site and the route that were found for the request.
    pub(in crate::gateway) fn at(&mut self, site: &Arc<str>, route: &Arc<str>) {
        self.0.place = Some((site.clone(), route.clone()));
    }

    /// The request that this one asks about.
    pub(in crate::gateway) fn about(&mut self, method: Method, uri: Uri) {
        self.0.method = method;
        self.0.uri = uri;
    }

    /// Who has sent the request.
    pub(in crate::gateway) fn by(&mut self, user: Option<&WechatUser>) {
        self.0.user = user.cloned();
    }

    /// How long the upstream took to the head of its answer, or to its failure.
    pub(in crate::gateway) fn upstream_took(&mut self, took: Duration) {
        self.0.upstream = Some(took);
    }

    /// Keeps something for as long as the answer goes on, such as the gauge of requests in flight.
    pub(in crate::gateway) fn hold(&mut self, held: Held) {
        self.0.held = Some(held);
    }

    /// Follows the answer to its end, and writes the line then.
    pub(in crate::gateway) fn follow<B: Body>(
        mut self,
        response: Response<B>,
        outcome: Outcome,
    ) -> Response<Logged<B>> {
        let status = response.status();
        self.0.answer = Some((status, outcome));
        // The body of such an answer is not asked for, so that nobody sees it end.
        let has_none = self.0.method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        response.map(|body| {
            self.0.is_whole = has_none || body.is_end_stream();
            let length = body.size_hint().exact();
            Logged { body, length, access: Some(self) }
        })
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if tracing::enabled!(target: TARGET, Level::INFO) {
            self.0.write();
        }
    }
}

impl Line {
    fn write(&self) {
        let (status, outcome) = match self.answer {
            Some((status, outcome)) => (status.as_u16(), Some(outcome.as_str())),
            None => (CLIENT_GONE, None),
        };
        tracing::info!(
            target: TARGET,
            request_id = self.request_id.to_str().ok(),
            client = %self.client,
            method = self.method.as_str(),
            site = self.place.as_ref().map(|(site, _)| &**site),
            path = clip(self.uri.path()),
            status,
            bytes = self.sent,
            duration_ms = millis(self.began_at.elapsed()),
            upstream_ms = self.upstream.map(millis),
            route = self.place.as_ref().map(|(_, route)| &**route),
            outcome,
            user = self.user.as_ref().map(|user| self.users.name(user.session().user().key())),
            aborted = (!self.is_whole).then_some(true),
            "request"
        );
    }
}

impl Users {
    fn name(&self, user: &UserKey) -> String {
        let name = user.to_string();
        match self {
            Self::Plain => name,
            Self::Hashed(key) => {
                let hash = hmac::sign(key, name.as_bytes());
                // Enough to tell apart whoever may come by in a run.
                let short =
                    hash.as_ref().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                format!("{short:016x}")
            }
        }
    }
}

fn clip(path: &str) -> &str {
    let end = path.char_indices().map(|(at, _)| at).nth(LONGEST_PATH);
    end.map_or(path, |end| &path[..end])
}

/// Milliseconds, to the microsecond.
fn millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

pin_project! {
    /// A body whose end writes the request's line. One that is dropped before its end was aborted.
    #[derive(Debug)]
    pub(in crate::gateway) struct Logged<B> {
        #[pin]
        body: B,
        length: Option<u64>,
        access: Option<Access>,
    }
}

impl<B> Logged<B> {
    /// A body of which no line is written: the request could not even be read.
    pub(in crate::gateway) fn unlogged(body: B) -> Self {
        Self { body, length: None, access: None }
    }
}

impl<B: Body<Data = Bytes>> Body for Logged<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(context));
        let Some(Access(line)) = this.access else { return Poll::Ready(frame) };
        match &frame {
            Some(Ok(frame)) => {
                line.sent += frame.data_ref().map_or(0, |data| data.remaining() as u64);
                // Whoever has all that was promised need not ask once more, and after trailers nothing can come.
                line.is_whole = Some(line.sent) == *this.length
                    || frame.is_trailers()
                    || this.body.is_end_stream();
            }
            Some(Err(_)) => line.is_whole = false,
            None => line.is_whole = true,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
