//! How the body of an answer ends, and its pieces up to there.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

use super::chunks::Chunks;

/// How a body ends, and how far it was read.
#[derive(Debug)]
pub(in super::super) enum Ending {
    /// After so many more bytes: none, where there is no body.
    Length(u64),
    /// As its chunks say.
    Chunks(Chunks),
    /// With the connection.
    Close,
}

/// What comes next of a body.
#[derive(Debug)]
pub(in super::super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// More has to be read first.
    NotYet,
}

/// What is wrong with the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::gateway) enum BadBody {
    #[error("the connection ends before it")]
    Unfinished,
    #[error("the size of a chunk cannot be read")]
    ChunkLine,
    #[error("a chunk is longer than it says")]
    ChunkEnd,
    #[error("its trailers cannot be read")]
    Trailers,
}

/// A length that cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum BadLength {
    #[error("its length is no number, or several")]
    Length,
    #[error("HTTP/1.0 has no transfer codings")]
    Coding,
}

impl Ending {
    /// How the body ends of an answer with this head.
    pub(super) fn of(
        status: StatusCode,
        is_for_head: bool,
        is_1_0: bool,
        headers: &HeaderMap,
    ) -> Result<Self, BadLength> {
        let has_none = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if has_none || is_for_head {
            return Ok(Self::Length(0));
        }
        if let Some(last) = headers.get_all(TRANSFER_ENCODING).iter().next_back() {
            // What is no text names no coding that anybody could undo, so that only the end of the connection is its end.
            let last = last.to_str().unwrap_or_default().rsplit(',').next().unwrap_or_default();
            let is_chunked = last.trim_ascii().eq_ignore_ascii_case("chunked");
            return match (is_1_0, is_chunked) {
                (true, _) => Err(BadLength::Coding),
                (false, true) => Ok(Self::Chunks(Chunks::new())),
                (false, false) => Ok(Self::Close),
            };
        }
        let mut lines = headers.get_all(CONTENT_LENGTH).iter().peekable();
        if lines.peek().is_none() {
            return Ok(Self::Close);
        }
        // Said more than once, it has to be the same.
        let mut said =
            lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(number);
        let first = said.next().flatten().ok_or(BadLength::Length)?;
        if said.all(|other| other == Some(first)) {
            Ok(Self::Length(first))
        } else {
            Err(BadLength::Length)
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunks(chunks) => chunks.is_over(),
            Self::Close => false,
        }
    }

    /// How much is left, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        if let Self::Length(left) = self { Some(*left) } else { None }
    }

    /// The next piece of what is there.
    pub(in super::super) fn take(&mut self, unread: &mut BytesMut) -> Result<Piece, BadBody> {
        let count = match self {
            Self::Chunks(chunks) => return chunks.take(unread),
            Self::Length(0) => return Ok(Piece::End),
            Self::Length(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(unread.len());
                *left -= count as u64;
                count
            }
            Self::Close => unread.len(),
        };
        Ok(if count == 0 { Piece::NotYet } else { Piece::Data(unread.split_to(count).freeze()) })
    }

    /// What the end of the connection means, after all that came was taken.
    pub(super) fn at_close(&mut self) -> Result<Piece, BadBody> {
        if matches!(self, Self::Close) {
            *self = Self::Length(0);
            return Ok(Piece::End);
        }
        Err(BadBody::Unfinished)
    }
}

/// A number of digits alone.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn ending(status: u16, is_for_head: bool, lines: &[(&'static str, &'static str)]) -> String {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        let headers: HeaderMap = lines.iter().map(line).collect();
        let status = StatusCode::from_u16(status).unwrap();
        match Ending::of(status, is_for_head, false, &headers) {
            Ok(Ending::Length(length)) => length.to_string(),
            Ok(Ending::Chunks(_)) => "chunks".to_owned(),
            Ok(Ending::Close) => "close".to_owned(),
            Err(bad) => format!("{bad:?}"),
        }
    }

    #[test]
    fn the_head_says_how_the_body_ends() {
        assert_eq!(ending(200, false, &[]), "close");
        assert_eq!(ending(200, false, &[("content-length", "7")]), "7");
        assert_eq!(ending(200, false, &[("transfer-encoding", "Chunked")]), "chunks");
        assert_eq!(ending(200, false, &[("transfer-encoding", "gzip, chunked")]), "chunks");
        assert_eq!(ending(200, false, &[("transfer-encoding", "chunked, gzip")]), "close");
        assert_eq!(ending(200, false, &[("transfer-encoding", "gz\u{ee}p, chunked")]), "close");
        let both = [("content-length", "7"), ("transfer-encoding", "chunked")];
        assert_eq!(ending(200, false, &both), "chunks", "the coding is what counts");
        for (status, is_for_head) in [(204, false), (304, false), (200, true), (404, true)] {
            assert_eq!(ending(status, is_for_head, &both), "0");
        }
    }

    #[test]
    fn a_length_is_one_number() {
        for same in [&["7", "7"][..], &["7, 7"], &["7,7", " 7 "]] {
            let lines: Vec<_> = same.iter().map(|value| ("content-length", *value)).collect();
            assert_eq!(ending(200, false, &lines), "7");
        }
        for odd in ["", "+7", "-7", "7 7", "7,8", "7,", "0x7", "7.0", "99999999999999999999"] {
            assert_eq!(ending(200, false, &[("content-length", odd)]), "Length", "{odd:?}");
        }
        assert_eq!(
            ending(200, false, &[("content-length", "7"), ("content-length", "8")]),
            "Length"
        );
    }

    #[test]
    fn http_1_0_has_no_chunks() {
        let chunked = (TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let headers = HeaderMap::from_iter([chunked]);
        assert_eq!(
            Ending::of(StatusCode::OK, false, true, &headers).unwrap_err(),
            BadLength::Coding
        );
        assert!(Ending::of(StatusCode::OK, false, false, &headers).is_ok());
    }
}
