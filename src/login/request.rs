//! What a request says of itself, read in one way.

use std::{fmt::Display, time::Duration};

use bytes::Buf;
use http::{Uri, header, request::Parts};
use http_body::Body;
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::time::timeout;
use url::form_urlencoded;

use super::path;

/// Brings the path into canonical form, where this request's can still be changed.
pub(super) fn canonicalise(head: &mut Parts) -> Result<(), path::BadPath> {
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>() {
        // axum has routed by the path as it came, so another form of it is too late now.
        return path::check(original.path());
    }
    path::canonicalise(head)
}

/// The address as it came, also inside a nested router.
pub(crate) fn full_uri(head: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    &head.uri
}

/// The host that it names.
pub(super) fn host(head: &Parts) -> Option<&str> {
    let named = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    head.uri.authority().map(http::uri::Authority::as_str).or(named)
}

/// The first parameter of this name in a query or a form.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// The parameters of these names in a query.
pub(crate) fn parameters<const N: usize>(
    query: &str,
    names: [&str; N],
) -> Result<[Option<String>; N], Twice> {
    let mut values = [const { None }; N];
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(at) = names.iter().position(|known| *known == name) else { continue };
        if values[at].replace(value.into_owned()).is_some() {
            return Err(Twice);
        }
    }
    Ok(values)
}

/// A parameter that comes twice: nobody knows which of the two is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Twice;

/// Why there is no whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    TooLarge,
    CutOff,
}

/// What an endpoint of ours takes.
const SMALL_BODY: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// The body of a request for an endpoint of ours: 64 KiB at most, within half a minute. One that is announced to be larger
/// is not read at all.
pub(super) async fn read_small_body<B: Body>(head: &Parts, body: B) -> Result<Vec<u8>, Unread> {
    let announced = head.headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok());
    if announced.and_then(|it| it.parse().ok()).is_some_and(|it: usize| it > SMALL_BODY) {
        return Err(Unread::TooLarge);
    }
    timeout(PATIENCE, read_body(body, SMALL_BODY)).await.unwrap_or(Err(Unread::CutOff))
}

/// A body of at most so many bytes.
pub(super) async fn read_body<B: Body>(body: B, most: usize) -> Result<Vec<u8>, Unread> {
    let mut read = Vec::new();
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.map_err(|_| Unread::CutOff)?.into_data() else { continue };
        if read.len() + data.remaining() > most {
            return Err(Unread::TooLarge);
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            read.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok(read)
}

/// Fit for a query, whatever it holds.
pub(super) fn encode(text: &str) -> impl Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn a_body_of_the_largest_size_is_read_and_none_above_it() {
        let body = |length: usize| Full::new(Bytes::from(vec![b'a'; length]));
        assert_eq!(read_body(body(10), 10).await.map(|read| read.len()), Ok(10));
        assert_eq!(read_body(body(11), 10).await, Err(Unread::TooLarge));
        let head = |length: usize| {
            let request = http::Request::builder().header("content-length", length);
            request.body(()).unwrap().into_parts().0
        };
        let read = read_small_body(&head(SMALL_BODY), body(SMALL_BODY)).await;
        assert_eq!(read.map(|read| read.len()), Ok(SMALL_BODY));
        let announced = read_small_body(&head(SMALL_BODY + 1), body(1)).await;
        assert_eq!(announced, Err(Unread::TooLarge), "not read at all");
    }
}
