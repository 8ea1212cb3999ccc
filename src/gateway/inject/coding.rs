//! Content codings, undone and made again piece by piece, with a bound on what one step makes.

use std::{
    io::{self, Write},
    mem,
};

use brotli::{
    BrotliDecompressStream, BrotliResult, BrotliState, CompressorWriter, enc::StandardAlloc,
};
use bytes::{Buf, Bytes};
use flate2::{
    Compression,
    write::{GzDecoder, GzEncoder},
};
use http::{HeaderMap, header};

/// What one step hands on, about: gzip gives up to twice as much.
pub(super) const STEP: usize = 32 * 1024;

/// Pages are packed while somebody waits for them: little is won above.
const GZIP_LEVEL: u32 = 4;
const BROTLI_LEVEL: u32 = 4;
/// 2 to the 18th bytes of window: a page is seldom larger, and each page on its way has one.
const BROTLI_WINDOW: u32 = 18;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Brotli,
}

impl Coding {
    /// How the body under this head is packed, if it is known here.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(coding) = codings.next() else {
            return Some(Self::Identity);
        };
        if codings.next().is_some() {
            return None;
        }
        match coding.to_str().ok()?.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "br" => Some(Self::Brotli),
            _ => None,
        }
    }
}

/// Unpacks.
pub(super) enum Decoder {
    Identity,
    Gzip(Gunzip),
    Brotli(Box<Unbrotli>),
}

impl Decoder {
    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Identity => Self::Identity,
            Coding::Gzip => Self::Gzip(Gunzip::member()),
            Coding::Brotli => Self::Brotli(Box::new(Unbrotli::new())),
        }
    }

    /// Whether a step without input would give something.
    pub(super) fn has_more(&self) -> bool {
        matches!(self, Self::Brotli(brotli) if brotli.is_full)
    }

    /// Takes some of the input and gives what is in it.
    pub(super) fn step(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        match self {
            Self::Identity => Ok(input.split_to(input.len().min(STEP))),
            Self::Gzip(gzip) => gzip.step(input),
            Self::Brotli(brotli) => brotli.step(input),
        }
    }

    /// The input is over.
    ///
    /// # Errors
    /// When it was cut short or damaged.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(Gunzip::Member(decoder)) => decoder.try_finish(),
            Self::Brotli(brotli) if !brotli.is_over => Err(cut_short()),
            _ => Ok(()),
        }
    }
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early")
}

/// Unpacks gzip: one member after another, as RFC 1952 has it.
pub(super) enum Gunzip {
    Member(Box<GzDecoder<Vec<u8>>>),
    /// Behind the last member. Browsers pass over what some servers send there, such as a line end.
    Rest,
    /// A member has just ended.
    Between,
}

impl Gunzip {
    fn member() -> Self {
        Self::Member(Box::new(GzDecoder::new(Vec::new())))
    }

    fn step(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        const MAGIC: u8 = 0x1f;
        if let Self::Between = self {
            *self = match input.first() {
                Some(&MAGIC) => Self::member(),
                _ => Self::Rest,
            };
        }
        let Self::Member(decoder) = self else {
            input.clear();
            return Ok(Bytes::new());
        };
        // One call writes no more than the decoder's own buffer holds, however much is packed in the input.
        let taken = decoder.write(input)?;
        input.advance(taken);
        if input.is_empty() {
            decoder.flush()?;
        }
        let unpacked = mem::take(decoder.get_mut());
        if taken == 0 {
            decoder.try_finish()?;
            *self = Self::Between;
        }
        Ok(unpacked.into())
    }
}

/// Unpacks brotli.
pub(super) struct Unbrotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total: usize,
    /// The last step had more than it could give.
    is_full: bool,
    is_over: bool,
}

impl Unbrotli {
    fn new() -> Self {
        let alloc = StandardAlloc::default;
        // Strict: no window above the 16 MiB of RFC 7932.
        let state = BrotliState::new_strict(alloc(), alloc(), alloc());
        Self { state, total: 0, is_full: false, is_over: false }
    }

    fn step(&mut self, input: &mut Bytes) -> io::Result<Bytes> {
        if self.is_over {
            input.clear();
            return Ok(Bytes::new());
        }
        let mut unpacked = vec![0; STEP];
        let (mut left, mut taken) = (input.len(), 0);
        let (mut room, mut given) = (STEP, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut taken,
            input,
            &mut room,
            &mut given,
            &mut unpacked,
            &mut self.total,
            &mut self.state,
        );
        input.advance(taken);
        unpacked.truncate(given);
        self.is_full = matches!(result, BrotliResult::NeedsMoreOutput);
        match result {
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
            BrotliResult::ResultSuccess => self.is_over = true,
            BrotliResult::ResultFailure => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "corrupt brotli stream"));
            }
        }
        Ok(unpacked.into())
    }
}

/// Packs.
pub(super) enum Encoder {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    /// None once it is finished.
    Brotli(Option<Box<CompressorWriter<Vec<u8>>>>),
}

impl Encoder {
    pub(super) fn new(coding: Coding) -> Self {
        match coding {
            Coding::Identity => Self::Identity,
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Coding::Brotli => {
                let encoder = CompressorWriter::new(Vec::new(), 4096, BROTLI_LEVEL, BROTLI_WINDOW);
                Self::Brotli(Some(Box::new(encoder)))
            }
        }
    }

    /// Takes a piece in and gives what is packed so far, which may be nothing yet.
    pub(super) fn write(&mut self, piece: Bytes) -> io::Result<Bytes> {
        match self {
            Self::Identity => return Ok(piece),
            Self::Gzip(gzip) => gzip.write_all(&piece)?,
            Self::Brotli(Some(brotli)) => brotli.write_all(&piece)?,
            Self::Brotli(None) => {}
        }
        Ok(self.take())
    }

    /// Gives all that was written so far, so that the other side can unpack it now.
    pub(super) fn flush(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(gzip) => gzip.flush()?,
            Self::Brotli(Some(brotli)) => brotli.flush()?,
            Self::Identity | Self::Brotli(None) => {}
        }
        Ok(self.take())
    }

    /// Gives the end.
    pub(super) fn finish(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Identity => Ok(Bytes::new()),
            Self::Gzip(gzip) => {
                gzip.try_finish()?;
                Ok(self.take())
            }
            Self::Brotli(brotli) => {
                Ok(brotli.take().map(|brotli| brotli.into_inner().into()).unwrap_or_default())
            }
        }
    }

    fn take(&mut self) -> Bytes {
        match self {
            Self::Gzip(gzip) => mem::take(gzip.get_mut()).into(),
            Self::Brotli(Some(brotli)) => mem::take(brotli.get_mut()).into(),
            Self::Identity | Self::Brotli(None) => Bytes::new(),
        }
    }
}
