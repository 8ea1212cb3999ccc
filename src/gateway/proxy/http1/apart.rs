//! An answer read apart from any connection, for those who compare how it is read.

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};

use super::{ending::Piece, head::read_head};

/// An answer as far as it could be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ReadAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
    /// Whether its body was read to its end.
    pub(crate) is_whole: bool,
    /// How many bytes are left behind it, and whether the connection could be used again if there were none.
    pub(crate) left: (usize, bool),
}

/// Reads an answer that comes in these pieces, after which the connection ends. None without a good head.
pub(crate) fn read_apart<'a>(
    mut pieces: impl Iterator<Item = &'a [u8]>,
    is_for_head: bool,
) -> Option<ReadAnswer> {
    let mut unread = BytesMut::new();
    let head = loop {
        match read_head(&mut unread, is_for_head) {
            Ok(Some(head)) => break head,
            Ok(None) => unread.extend_from_slice(pieces.next()?),
            Err(_) => return None,
        }
    };
    let mut ending = head.ending;
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    let is_whole = loop {
        match ending.take(&mut unread) {
            Ok(Piece::Data(data)) => body.extend_from_slice(&data),
            Ok(Piece::Trailers(found)) => trailers = found,
            Ok(Piece::End) => break true,
            Ok(Piece::NotYet) => match pieces.next() {
                Some(piece) => unread.extend_from_slice(piece),
                None => break ending.at_close().is_ok(),
            },
            Err(_) => break false,
        }
    };
    let left = unread.len() + pieces.map(<[u8]>::len).sum::<usize>();
    let (status, headers) = (head.status, head.headers);
    Some(ReadAnswer { status, headers, body, trailers, is_whole, left: (left, head.stays_open) })
}
