//! HTTP/2 by hand: frames, and headers that no library would send.

use std::collections::HashMap;

use super::{Peer, Site};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers as literals, without any table.
pub fn literals(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name, value] {
            number(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// A number with a prefix of seven bits.
fn number(bytes: &mut Vec<u8>, value: usize) {
    let Some(mut rest) = value.checked_sub(127) else {
        bytes.push(u8::try_from(value).unwrap());
        return;
    };
    bytes.push(127);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
}

/// What the gateway has said on an HTTP/2 connection.
#[derive(Debug, Default)]
pub struct Heard {
    /// The statuses of answers by stream. 0 where the headers could not be read.
    pub answers: HashMap<u32, u16>,
    /// The data by stream.
    pub data: HashMap<u32, String>,
    /// Streams that were reset, and why.
    pub resets: HashMap<u32, u32>,
    /// Why the connection ends, where it does.
    pub goodbye: Option<u32>,
    /// How many answers to pings and settings came.
    pub acks: usize,
    /// Whether the gateway has hung up.
    pub ended: bool,
}

/// A client of HTTP/2.
pub struct Client {
    pub peer: Peer,
    pub heard: Heard,
}

impl Client {
    pub async fn connect(site: &Site) -> Self {
        let mut peer = site.connect().await;
        peer.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        peer.say(frame(SETTINGS, 0, 0, &[])).await;
        Self { peer, heard: Heard::default() }
    }

    /// A request without a body.
    pub async fn ask(&mut self, stream: u32, headers: &[(&str, &str)]) {
        self.peer.say(frame(HEADERS, END_HEADERS | END_STREAM, stream, &literals(headers))).await;
    }

    /// Listens until it has heard enough, or the gateway hangs up.
    pub async fn listen(&mut self, mut enough: impl FnMut(&Heard) -> bool) -> &Heard {
        let listening = async {
            while !enough(&self.heard) {
                if !self.take() && self.peer.more().await.is_none() {
                    self.heard.ended = true;
                    break;
                }
            }
        };
        tokio::time::timeout(super::PATIENCE, listening).await.expect("it says enough");
        &self.heard
    }

    /// Takes one frame of what has come. False where none is whole.
    fn take(&mut self) -> bool {
        let read = &self.peer.read;
        let Some(head) = read.first_chunk::<9>().copied() else { return false };
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if read.len() < 9 + length {
            return false;
        }
        let payload = self.peer.read.drain(..9 + length).skip(9).collect::<Vec<_>>();
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let heard = &mut self.heard;
        match head[3] {
            HEADERS => drop(heard.answers.entry(stream).or_insert_with(|| status(&payload))),
            DATA => {
                let text = String::from_utf8_lossy(&payload).into_owned();
                heard.data.entry(stream).or_default().push_str(&text);
            }
            RESET => drop(heard.resets.insert(stream, word(0))),
            GOAWAY => heard.goodbye = Some(word(4)),
            SETTINGS | PING if head[4] & ACK != 0 => heard.acks += 1,
            _ => {}
        }
        true
    }
}

/// The status that begins a block of headers: of the static table, or a literal whose name is there.
fn status(block: &[u8]) -> u16 {
    // The size of the table may be said first.
    let start = block.iter().position(|byte| byte & 0xe0 != 0x20).unwrap_or(0);
    match block[start..] {
        [first, ..] if first & 0x80 != 0 => match first & 0x7f {
            8 => 200,
            9 => 204,
            10 => 206,
            11 => 304,
            12 => 400,
            13 => 404,
            14 => 500,
            _ => 0,
        },
        [_, length, ref rest @ ..] if length & 0x80 == 0 => {
            let text = rest.get(..usize::from(length)).unwrap_or_default();
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        }
        [_, length, ref rest @ ..] => digits(&rest[..usize::from(length & 0x7f)]),
        _ => 0,
    }
}

/// Three digits in Huffman's code, where those below 3 have five bits and the others six.
fn digits(bytes: &[u8]) -> u16 {
    let bits = bytes.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    let mut left = bytes.len() * 8;
    let mut value = 0;
    for _ in 0..3 {
        let at = |count: usize| (bits >> (left - count)) & ((1 << count) - 1);
        let (digit, count) = if at(5) < 3 { (at(5), 5) } else { (at(6) - 0x19 + 3, 6) };
        left -= count;
        value = value * 10 + u16::try_from(digit).unwrap();
    }
    value
}
