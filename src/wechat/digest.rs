//! SHA-1 as WeChat signs with it: of parts that stand side by side, in hexadecimal digits.

use std::fmt::Write;

use sha1::{Digest, Sha1};

pub(super) fn sha1_hex(parts: &[&str]) -> String {
    let mut digest = Sha1::new();
    for part in parts {
        digest.update(part);
    }
    hex(&digest.finalize())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("text can be written to");
    }
    text
}
