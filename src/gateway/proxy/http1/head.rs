//! The head of an answer, as it is read.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use hyper::ext::ReasonPhrase;

use super::ending::{BadLength, Ending};
use crate::gateway::proxy;

/// Refused is what is larger.
pub(super) const LARGEST_HEAD: usize = proxy::LARGEST_HEAD as usize;
/// A head with more headers is refused.
const MOST_HEADERS: usize = 100;

/// The head of an answer.
#[derive(Debug)]
pub(in super::super) struct Head {
    pub(in super::super) status: StatusCode,
    /// Where it is not the usual one of the status.
    pub(in super::super) reason: Option<ReasonPhrase>,
    pub(in super::super) headers: HeaderMap,
    pub(in super::super) ending: Ending,
    /// Whether the connection can be used again behind the answer.
    pub(in super::super) stays_open: bool,
}

/// What is wrong with the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum BadHead {
    #[error("its answer is no HTTP/1.1: {0}")]
    Syntax(#[from] httparse::Error),
    #[error("the head of its answer is larger than {LARGEST_HEAD} bytes")]
    TooLarge,
    #[error("a header of its answer cannot be passed on")]
    Header,
    #[error("its answer has a status that there is not")]
    Status,
    #[error("its answer cannot be read to its end: {0}")]
    Length(#[from] BadLength),
}

/// Takes the head of an answer from what was read, as soon as all of it is there. Those that only tell to wait for the
/// answer are left out. `is_for_head`: the request was a `HEAD`, whose answer has no body whatever it says.
pub(in super::super) fn read_head(
    unread: &mut BytesMut,
    is_for_head: bool,
) -> Result<Option<Head>, BadHead> {
    while let Some(read) = read_one(unread)? {
        let Read { status, reason, headers, is_1_0, stays_open } = read;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            continue;
        }
        let ending = Ending::of(status, is_for_head, is_1_0, &headers)?;
        // Whoever says both lengths may have meant the other one.
        let has_both =
            headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH);
        let stays_open = stays_open && !has_both && !matches!(ending, Ending::Close);
        return Ok(Some(Head { status, reason, headers, ending, stays_open }));
    }
    Ok(None)
}

struct Read {
    status: StatusCode,
    reason: Option<ReasonPhrase>,
    headers: HeaderMap,
    is_1_0: bool,
    stays_open: bool,
}

fn read_one(unread: &mut BytesMut) -> Result<Option<Read>, BadHead> {
    if unread.is_empty() {
        return Ok(None);
    }
    let mut lines = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let parsed = parser.parse_response_with_uninit_headers(&mut response, unread, &mut lines)?;
    let httparse::Status::Complete(length) = parsed else {
        return if unread.len() > LARGEST_HEAD { Err(BadHead::TooLarge) } else { Ok(None) };
    };
    if length > LARGEST_HEAD {
        return Err(BadHead::TooLarge);
    }
    let status = StatusCode::from_u16(response.code.unwrap_or_default());
    let status = status.map_err(|_| BadHead::Status)?;
    let reason = response.reason.filter(|reason| Some(*reason) != status.canonical_reason());
    let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
    let is_1_0 = response.version == Some(0);

    // Where names and values are in what was read, so that they can be taken out of it without being copied.
    let start = unread.as_ptr().addr();
    let place = |part: &[u8]| {
        let begins = part.as_ptr().addr() - start;
        begins..begins + part.len()
    };
    let lines = response.headers.iter();
    let places: Vec<_> =
        lines.map(|line| (place(line.name.as_bytes()), place(line.value))).collect();
    let head = unread.split_to(length).freeze();
    let mut headers = HeaderMap::with_capacity(places.len());
    let mut connection = Persistence { is_1_0, says_close: false, says_keep_alive: false };
    for (name, value) in places {
        let name = HeaderName::from_bytes(&head[name]).map_err(|_| BadHead::Header)?;
        let value = value_of(&head, value)?;
        // What is said of this connection alone, and of nothing else, ends here.
        if name == CONNECTION && connection.hear(value.as_bytes()) {
            continue;
        }
        headers.try_append(name, value).map_err(|_| BadHead::Header)?;
    }
    Ok(Some(Read { status, reason, headers, is_1_0, stays_open: connection.stays_open() }))
}

fn value_of(head: &Bytes, place: std::ops::Range<usize>) -> Result<HeaderValue, BadHead> {
    HeaderValue::from_maybe_shared(head.slice(place)).map_err(|_| BadHead::Header)
}

/// Whether a connection stays open, from all that is said of it.
struct Persistence {
    is_1_0: bool,
    says_close: bool,
    says_keep_alive: bool,
}

impl Persistence {
    /// True where nothing else is said.
    fn hear(&mut self, line: &[u8]) -> bool {
        let mut is_all = true;
        for token in line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                self.says_close = true;
            } else if token.eq_ignore_ascii_case(b"keep-alive") {
                self.says_keep_alive = true;
            } else {
                is_all = false;
            }
        }
        is_all
    }

    fn stays_open(&self) -> bool {
        !self.says_close && (self.says_keep_alive || !self.is_1_0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Option<Head>, BadHead> {
        read_head(&mut BytesMut::from(text), false)
    }

    fn head(text: &str) -> Head {
        read(text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_head_is_taken_as_soon_as_it_is_whole() {
        let text =
            b"HTTP/1.1 404 Nowhere\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: \xe4\xbd\xa0\r\n\r\nok";
        for length in 0..text.len() - 2 {
            assert!(read(&text[..length]).unwrap().is_none(), "{length}");
        }
        let mut unread = BytesMut::from(&text[..]);
        let head = read_head(&mut unread, false).unwrap().unwrap();
        assert_eq!(&unread[..], b"ok", "the body is left");
        assert_eq!(head.status, StatusCode::NOT_FOUND);
        assert_eq!(head.reason.unwrap().as_bytes(), b"Nowhere");
        let values: Vec<_> =
            head.headers.get_all("x-a").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(values, [&b"1"[..], "你".as_bytes()]);
        assert!(head.stays_open && head.ending.left() == Some(2));
    }

    #[test]
    fn heads_that_only_tell_to_wait_are_left_out() {
        let early = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";
        let head = head(&format!("HTTP/1.1 100 Continue\r\n\r\n{early}HTTP/1.1 200 OK\r\n\r\n"));
        assert_eq!(head.status, StatusCode::OK);
        assert!(head.headers.is_empty() && head.reason.is_none());
        assert!(read(early.as_bytes()).unwrap().is_none(), "the answer is still to come");
        let switching = b"HTTP/1.1 101 Switching Protocols\r\n\r\nwhatever";
        assert_eq!(read(switching).unwrap().unwrap().status, StatusCode::SWITCHING_PROTOCOLS);
    }

    #[test]
    fn a_connection_stays_open_unless_something_is_said_against_it() {
        for (version, lines, stays) in [
            ("1.1", "Content-Length: 0", true),
            ("1.1", "Connection: keep-alive\r\nContent-Length: 0", true),
            ("1.1", "Connection: x-a, Close\r\nContent-Length: 0", false),
            ("1.1", "Connection: close\r\nConnection: keep-alive\r\nContent-Length: 0", false),
            ("1.1", "Transfer-Encoding: chunked", true),
            ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 0", false),
            ("1.1", "X-A: 1", false),
            ("1.0", "Content-Length: 0", false),
            ("1.0", "Connection: Keep-Alive\r\nContent-Length: 0", true),
        ] {
            let head = head(&format!("HTTP/{version} 200 OK\r\n{lines}\r\n\r\n"));
            assert_eq!(head.stays_open, stays, "{version} {lines:?}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for bad in [
            "GET / HTTP/1.1\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/0.9 200 OK\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 099 Low\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-a : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-a: 1\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx-a: \0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_head_has_an_end() {
        let with = |count: usize, length: usize| {
            let line = format!("x-a: {}\r\n", "x".repeat(length));
            format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(count))
        };
        assert!(read(with(100, 10).as_bytes()).unwrap().is_some());
        assert!(read(with(101, 10).as_bytes()).is_err());
        assert!(read(with(60, 1000).as_bytes()).unwrap().is_some());
        assert_eq!(read(with(70, 1000).as_bytes()).unwrap_err(), BadHead::TooLarge);
        assert!(read(&with(70, 1000).as_bytes()[..60_000]).unwrap().is_none());
        assert_eq!(read(&with(70, 1000).as_bytes()[..70_000]).unwrap_err(), BadHead::TooLarge);
    }
}
