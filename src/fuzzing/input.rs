//! What a fuzzer gives, read as text and header lines, so that seeds can be written and read by people.

use http::{HeaderMap, HeaderName, HeaderValue};

/// More lines than our listener takes.
const MOST_HEADERS: usize = 256;

/// The first line, and what follows it.
pub(super) fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

/// The first line as text, and what follows it.
pub(super) fn first_text(data: &[u8]) -> Option<(&str, &[u8])> {
    let (line, rest) = first_line(data);
    Some((std::str::from_utf8(line).ok()?, rest))
}

/// Lines such as `name: value`. What is no header is left out, as the HTTP parser would have refused it.
pub(super) fn headers(data: &[u8]) -> HeaderMap {
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    };
    let lines = data.split(|byte| *byte == b'\n').filter_map(header);
    let mut headers = HeaderMap::new();
    for (name, value) in lines.take(MOST_HEADERS) {
        headers.append(name, value);
    }
    headers
}

/// All values of a header, in their order.
pub(super) fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}
