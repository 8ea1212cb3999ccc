//! An upstream that is a directory: static files, for those who may see them.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE,
        IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LOCATION, RANGE,
    },
    request::Parts,
};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Empty;
use hyper::body::Incoming;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use tower_http::services::fs::{
    DefaultServeDirFallback, ServeDir, ServeFileSystemResponseBody as ServedBody,
};

use super::{
    body::UpstreamBody,
    failure::{BodyError, Failure},
    hop_by_hop::cut_hop_by_hop,
    jail::Jail,
    rewrite::PublicPath,
    upstream::Exchange,
};
use crate::login::is_navigation;

/// What a request may say about the file that it wants. Nothing else of a request gets here.
const CONDITIONS: [http::HeaderName; 5] =
    [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, RANGE];
/// Files may be for those alone who are signed in, so no cache that people share may keep them, and a browser asks
/// each time whether it still may show its copy. Where it may, that costs a 304.
const CACHE: HeaderValue = HeaderValue::from_static("private, no-cache");

/// A directory of static files.
#[derive(Debug)]
pub(super) struct Files {
    served: ServeDir<DefaultServeDirFallback, Jail>,
    fallback: Option<Uri>,
}

impl Files {
    pub(super) fn new(base: PathBuf, fallback: Option<&str>) -> io::Result<Self> {
        let refuse = |path: &Path, reason: &str| {
            let why = format!("{}: {reason}", path.display());
            io::Error::new(io::ErrorKind::InvalidInput, why)
        };
        let found = std::fs::metadata(&base).map_err(|error| refuse(&base, &error.to_string()))?;
        if !found.is_dir() {
            return Err(refuse(&base, "it is not a directory"));
        }
        let jail = Jail::new(&base);
        let fallback = match fallback {
            None => None,
            Some(name) => {
                let name = name.trim_start_matches('/');
                let path = base.join(name);
                let file = jail.inside(&path).map_err(|error| refuse(&path, &error.to_string()))?;
                let uri = uri_of(name).filter(|uri| file.is_file() && !is_hidden(uri.path()));
                Some(uri.ok_or_else(|| {
                    refuse(
                        &path,
                        "it is not a file that can be served; write something like index.html",
                    )
                })?)
            }
        };
        let served = ServeDir::with_backend(base, jail).ignore_multi_range_requests(true);
        Ok(Self { served, fallback })
    }

    pub(super) async fn answer(
        &self,
        head: &Parts,
        body: &Incoming,
        exchange: &Exchange,
    ) -> Result<Response<UpstreamBody>, Failure> {
        if let Some(limit) = exchange.body_limit
            && body.size_hint().lower() > limit
        {
            return Err(Failure::TooLarge(limit));
        }
        let response = self.find(head).await?;
        if head.method == Method::HEAD {
            // HTTP/2 would send one, if there were any.
            return Ok(response.map(|_| UpstreamBody::from("")));
        }
        Ok(response)
    }

    async fn find(&self, head: &Parts) -> Result<Response<UpstreamBody>, Failure> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let mut refusal = bare(StatusCode::METHOD_NOT_ALLOWED, "this can only be read\n");
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return Ok(refusal);
        }
        let path = head.uri.path();
        if is_hidden(path) {
            return Ok(not_found());
        }
        let public = head.extensions.get::<PublicPath>().map_or(path, |public| &public.0);
        if path.ends_with('/') && !public.ends_with('/') {
            return Ok(into_folder(public, head.uri.query()));
        }
        let mut found = self.serve(head, &head.uri).await?;
        if found.is_none()
            && let Some(fallback) = &self.fallback
            && is_navigation(&head.method, &without_hop_by_hop(&head.headers))
        {
            found = self.serve(head, fallback).await?;
        }
        let Some(mut response) = found else { return Ok(not_found()) };
        if response.status() == StatusCode::TEMPORARY_REDIRECT {
            return Ok(into_folder(public, head.uri.query()));
        }
        response.headers_mut().insert(CACHE_CONTROL, CACHE);
        let has_file = matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        let left = response.headers().get(CONTENT_LENGTH).filter(|_| has_file);
        let left = left.and_then(|length| length.to_str().ok()?.parse().ok());
        Ok(response
            .map(|inner| FileBody { inner, left: left.unwrap_or(0) })
            .map(UpstreamBody::from))
    }

    /// Serves what is at `uri`, if anything is, under the conditions of a request.
    async fn serve(
        &self,
        head: &Parts,
        uri: &Uri,
    ) -> Result<Option<Response<ServedBody>>, Failure> {
        let (conditions, only_if_same) = conditions(&head.headers);
        let found = self.open(&head.method, uri, conditions.clone()).await?;
        let has_failed =
            |response: &Response<_>| response.status() == StatusCode::PRECONDITION_FAILED;
        if only_if_same && found.as_ref().is_some_and(has_failed) {
            // The client has a part of a file that has changed since, so it gets the new one from its beginning.
            let mut conditions = conditions;
            conditions.remove(IF_MATCH);
            conditions.remove(RANGE);
            return self.open(&head.method, uri, conditions).await;
        }
        Ok(found)
    }

    async fn open(
        &self,
        method: &Method,
        uri: &Uri,
        conditions: HeaderMap,
    ) -> Result<Option<Response<ServedBody>>, Failure> {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = conditions;
        match self.served.clone().try_call(request).await {
            Ok(response) if response.status() == StatusCode::NOT_FOUND => Ok(None),
            Ok(response) => Ok(Some(response)),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(Failure::File(error)),
        }
    }
}

/// What a request says about the file, and whether `If-Range` stands in it as the condition that it amounts to.
fn conditions(headers: &HeaderMap) -> (HeaderMap, bool) {
    let mut kept = HeaderMap::new();
    for name in CONDITIONS {
        for value in headers.get_all(&name) {
            kept.append(&name, value.clone());
        }
    }
    let Some(tag) = headers.get(IF_RANGE) else { return (kept, false) };
    if tag.as_bytes().starts_with(b"\"") && !kept.contains_key(IF_MATCH) && kept.contains_key(RANGE)
    {
        kept.insert(IF_MATCH, tag.clone());
        return (kept, true);
    }
    // By its date a file cannot be told for sure from another one.
    kept.remove(RANGE);
    (kept, false)
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), InvalidFilename | NotADirectory | NotFound | PermissionDenied)
}

/// Whether a part of the path begins with a dot: version control, editors and shells keep there what is nobody's
/// business. `/.well-known` is what the name says.
fn is_hidden(path: &str) -> bool {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.enumerate().any(|(at, segment)| {
        let name = || percent_decode(segment.as_bytes());
        name().next() == Some(b'.') && !(at == 0 && name().eq(b".well-known".iter().copied()))
    })
}

fn uri_of(name: &str) -> Option<Uri> {
    let segments = name.split('/').map(|segment| utf8_percent_encode(segment, NON_ALPHANUMERIC));
    let segments: Vec<String> = segments.map(|segment| segment.to_string()).collect();
    format!("/{}", segments.join("/")).parse().ok()
}

/// Sends a browser from `/app` to `/app/`, so that what the page refers to is looked for in the folder. Said relative
/// to where the browser is, which knows the path as it was before anybody has rewritten it.
fn into_folder(public: &str, query: Option<&str>) -> Response<UpstreamBody> {
    let folder = public.rsplit('/').next().unwrap_or_default();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = bare(StatusCode::TEMPORARY_REDIRECT, "");
    let to = HeaderValue::try_from(format!("./{folder}/{query}"));
    response.headers_mut().insert(LOCATION, to.expect("a URI has no control characters"));
    response
}

fn not_found() -> Response<UpstreamBody> {
    bare(StatusCode::NOT_FOUND, "there is nothing here\n")
}

fn bare(status: StatusCode, text: &'static str) -> Response<UpstreamBody> {
    let mut response = Response::new(UpstreamBody::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, CACHE);
    response
}

/// The content of a file, as long as was said. A file that has shrunk meanwhile ends with an error, and what was added
/// to one stays out.
pub(super) struct FileBody {
    inner: ServedBody,
    left: u64,
}

impl FileBody {
    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let broken = |why: &dyn fmt::Display| Some(Err(BodyError::File(why.to_string())));
        Poll::Ready(match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            None => broken(&"it has become shorter"),
            Some(Err(error)) => broken(&error),
            Some(Ok(frame)) => {
                let mut data = frame.into_data().unwrap_or_default();
                data.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= data.len() as u64;
                Some(Ok(Frame::data(data)))
            }
        })
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// An offer to speak something else than HTTP/1.1 does not make a script of a person.
fn without_hop_by_hop(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    cut_hop_by_hop(&mut headers);
    headers
}
