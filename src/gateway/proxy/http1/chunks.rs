//! A body in chunks, as it is read: its data, then its trailers.

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ending::{BadBody, Piece};

/// The longest line with the size of a chunk. What may follow the size is for nobody.
const LONGEST_LINE: usize = 4 * 1024;
/// How much of such lines all chunks of a body may have beside their sizes.
const MOST_EXTENSIONS: usize = 16 * 1024;
const LARGEST_TRAILERS: usize = 16 * 1024;
const MOST_TRAILERS: usize = 100;

/// How far a body in chunks was read.
#[derive(Debug)]
pub(in super::super) struct Chunks {
    at: At,
    extensions: usize,
}

#[derive(Debug, PartialEq)]
enum At {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Over,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self { at: At::Size, extensions: 0 }
    }

    pub(super) fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// The next piece of what is there.
    pub(super) fn take(&mut self, unread: &mut BytesMut) -> Result<Piece, BadBody> {
        loop {
            self.at = match self.at {
                At::Size => {
                    let Some(line) = line(unread)? else { return Ok(Piece::NotYet) };
                    let (size, extension) = size(&unread[..line])?;
                    self.extensions += extension;
                    if self.extensions > MOST_EXTENSIONS {
                        return Err(BadBody::ChunkLine);
                    }
                    unread.advance(line + 2);
                    if size == 0 { At::Trailers } else { At::Data(size) }
                }
                At::Data(_) if unread.is_empty() => return Ok(Piece::NotYet),
                At::Data(left) => {
                    let count = usize::try_from(left).unwrap_or(usize::MAX).min(unread.len());
                    let left = left - count as u64;
                    self.at = if left == 0 { At::DataEnd } else { At::Data(left) };
                    return Ok(Piece::Data(unread.split_to(count).freeze()));
                }
                At::DataEnd => match **unread {
                    [b'\r', b'\n', ..] => {
                        unread.advance(2);
                        At::Size
                    }
                    [] | [b'\r'] => return Ok(Piece::NotYet),
                    _ => return Err(BadBody::ChunkEnd),
                },
                At::Trailers => {
                    let Some(trailers) = trailers(unread)? else { return Ok(Piece::NotYet) };
                    self.at = At::Over;
                    let none = trailers.is_empty();
                    return Ok(if none { Piece::End } else { Piece::Trailers(trailers) });
                }
                At::Over => return Ok(Piece::End),
            };
        }
    }
}

/// How long the first line is without its end, if all of it is there. Only CR LF ends a line.
fn line(unread: &[u8]) -> Result<Option<usize>, BadBody> {
    let looked_at = &unread[..unread.len().min(LONGEST_LINE)];
    match looked_at.iter().position(|byte| *byte == b'\r') {
        Some(at) => match unread.get(at + 1) {
            Some(b'\n') if !looked_at[..at].contains(&b'\n') => Ok(Some(at)),
            Some(_) => Err(BadBody::ChunkLine),
            None => Ok(None),
        },
        None if looked_at.len() == LONGEST_LINE || looked_at.contains(&b'\n') => {
            Err(BadBody::ChunkLine)
        }
        None => Ok(None),
    }
}

/// What a line says of its chunk: the size, and how long its extension is.
fn size(line: &[u8]) -> Result<(u64, usize), BadBody> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if !matches!(rest.get(blanks), None | Some(b';')) {
        return Err(BadBody::ChunkLine);
    }
    let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
    Ok((size.ok_or(BadBody::ChunkLine)?, rest.len() - blanks))
}

/// The trailers, mostly none, once all of them are there.
fn trailers(unread: &mut BytesMut) -> Result<Option<HeaderMap>, BadBody> {
    match **unread {
        [b'\r', b'\n', ..] => {
            unread.advance(2);
            return Ok(Some(HeaderMap::new()));
        }
        [] | [b'\r'] => return Ok(None),
        _ => {}
    }
    let looked_at = &unread[..unread.len().min(LARGEST_TRAILERS)];
    let Some(end) = looked_at.windows(4).position(|end| end == b"\r\n\r\n") else {
        let is_full = looked_at.len() == LARGEST_TRAILERS;
        return if is_full { Err(BadBody::Trailers) } else { Ok(None) };
    };
    let block = unread.split_to(end + 4);
    let bare =
        block.iter().zip(&block[1..]).any(|(before, byte)| *byte == b'\n' && *before != b'\r');
    let mut lines = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let parsed = httparse::parse_headers(&block, &mut lines).map_err(|_| BadBody::Trailers)?;
    let httparse::Status::Complete((length, lines)) = parsed else {
        return Err(BadBody::Trailers);
    };
    if bare || length != block.len() {
        return Err(BadBody::Trailers);
    }
    let read = |line: &httparse::Header<'_>| {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(line.value).ok()?))
    };
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let (name, value) = read(line).ok_or(BadBody::Trailers)?;
        trailers.append(name, value);
    }
    Ok(Some(trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data and the trailers of a body that comes in pieces of this size, and what is left behind it.
    fn read(bytes: &[u8], at_once: usize) -> Result<(Vec<u8>, HeaderMap, usize), BadBody> {
        let (mut chunks, mut unread) = (Chunks::new(), BytesMut::new());
        let (mut data, mut trailers) = (Vec::new(), HeaderMap::new());
        let mut more = bytes.chunks(at_once);
        loop {
            match chunks.take(&mut unread)? {
                Piece::Data(piece) => data.extend_from_slice(&piece),
                Piece::Trailers(found) => trailers = found,
                Piece::End => return Ok((data, trailers, unread.len() + more.flatten().count())),
                Piece::NotYet => match more.next() {
                    Some(piece) => unread.extend_from_slice(piece),
                    None => return Err(BadBody::Unfinished),
                },
            }
        }
    }

    fn data(bytes: &[u8]) -> Result<String, BadBody> {
        let whole = read(bytes, usize::MAX).map(|(data, ..)| data);
        for at_once in [1, 2, 3, 7] {
            let pieces = read(bytes, at_once).map(|(data, ..)| data);
            assert_eq!(format!("{pieces:?}"), format!("{whole:?}"), "{at_once} bytes at once");
        }
        whole.map(|data| String::from_utf8(data).unwrap())
    }

    #[test]
    fn data_is_read_chunk_by_chunk_however_it_arrives() {
        assert_eq!(data(b"0\r\n\r\n").unwrap(), "");
        assert_eq!(data(b"5\r\nhello\r\n0\r\n\r\n").unwrap(), "hello");
        assert_eq!(data(b"A\r\n0123456789\r\n0002\r\nab\r\n000\r\n\r\n").unwrap(), "0123456789ab");
        assert_eq!(data(b"2;name=\"va;lue\"\r\nab\r\n1 \t;x\r\nc\r\n0 \r\n\r\n").unwrap(), "abc");
        assert_eq!(data(b"1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n").unwrap(), "\r\n");
        let (_, _, behind) = read(b"1\r\na\r\n0\r\n\r\nHTTP/1.1", usize::MAX).unwrap();
        assert_eq!(behind, 8);
    }

    #[test]
    fn trailers_are_read_behind_the_last_chunk() {
        let body = b"1\r\na\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n";
        for at_once in [1, 4, usize::MAX] {
            let (data, trailers, _) = read(body, at_once).unwrap();
            assert_eq!(data, b"a");
            assert!(trailers.get_all("x-sum").iter().eq(["1", "2"]));
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for (bad, why) in [
            (&b"\r\n\r\n"[..], "size"),
            (b"x\r\n", "letter"),
            (b"-1\r\na\r\n", "sign"),
            (b"0x1\r\na\r\n", "prefix"),
            (b" 1\r\na\r\n", "blank before"),
            (b"1 1\r\na\r\n", "two sizes"),
            (b"1\na\r\n0\r\n\r\n", "bare line feed"),
            (b"1;a\nb\r\na\r\n0\r\n\r\n", "bare line feed in an extension"),
            (b"1;a\rb\r\na\r\n0\r\n\r\n", "bare carriage return in an extension"),
            (b"1\r\nab\r\n0\r\n\r\n", "longer than it says"),
            (b"1\r\na\n0\r\n\r\n", "bare line feed behind data"),
            (b"10000000000000000\r\n", "more than there can be"),
            (b"0\r\nno trailer\r\n\r\n", "trailer without a colon"),
            (b"0\r\na: b\nc: d\r\n\r\n", "bare line feed in trailers"),
            (b"0\r\n\na: b\r\n\r\n", "bare line feed before trailers"),
        ] {
            assert!(!matches!(data(bad), Ok(_) | Err(BadBody::Unfinished)), "{why}");
        }
        for cut in
            [&b""[..], b"5", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n0\r\n", b"0\r\na: b\r\n"]
        {
            assert!(matches!(data(cut), Err(BadBody::Unfinished)));
        }
    }

    #[test]
    fn lines_and_trailers_have_an_end() {
        let extension =
            |length: usize| [b"1;", vec![b'x'; length].as_slice(), b"\r\na\r\n"].concat();
        let last = b"0\r\n\r\n".to_vec();
        assert!(read(&[extension(4000), last.clone()].concat(), 1000).is_ok());
        assert!(read(&[extension(5000), last.clone()].concat(), 1000).is_err());
        assert!(read(&[extension(4000).repeat(4), last.clone()].concat(), 1000).is_ok());
        assert!(read(&[extension(4000).repeat(5), last].concat(), 1000).is_err());
        let trailers = |count: usize, length: usize| {
            let line = format!("a: {}\r\n", "x".repeat(length));
            format!("0\r\n{}\r\n", line.repeat(count)).into_bytes()
        };
        assert!(read(&trailers(100, 10), 1000).is_ok());
        assert!(read(&trailers(101, 10), 1000).is_err());
        assert!(read(&trailers(1, 16_000), 1000).is_ok());
        assert!(read(&trailers(1, 17_000), 1000).is_err());
        let endless = vec![b'x'; 20_000];
        assert!(matches!(read(&endless, 1000), Err(BadBody::ChunkLine)));
    }
}
