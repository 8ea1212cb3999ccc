//! What becomes of an upstream's answer on its way to the browser.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode, Version,
    header::{self, CONTENT_LENGTH},
};

use super::{cookies::cut_stolen, hop_by_hop::cut_hop_by_hop};

/// Takes out what concerns the connection to the upstream only, and what is not for the upstream to say.
pub(super) fn prepare<B>(response: &mut Response<B>) {
    // Each side of us has an HTTP version of its own.
    *response.version_mut() = Version::HTTP_11;
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    cut_hop_by_hop(response.headers_mut());
    say_length_once(response.headers_mut());
    cut_stolen(response.headers_mut());
    if switches {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
}

/// Whoever is behind us may take a length that is said twice for something else than we have. Where it is not the same, the
/// answer has no body, as one to `HEAD`, and can do without.
fn say_length_once(headers: &mut HeaderMap) {
    let is_digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lines.next() else { return };
    if lines.next().is_none() && is_digits(first.as_bytes()) {
        return;
    }
    let lines = headers.get_all(CONTENT_LENGTH).iter();
    let parts = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let mut said: Vec<_> = parts.map(<[u8]>::trim_ascii).collect();
    said.dedup();
    let length = match *said {
        [length] if is_digits(length) => HeaderValue::from_bytes(length).ok(),
        _ => None,
    };
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_said_once_or_not_at_all() {
        let left = |lines: &[&'static str]| {
            let line = |text: &&'static str| (CONTENT_LENGTH, HeaderValue::from_static(text));
            let mut headers: HeaderMap = lines.iter().map(line).collect();
            say_length_once(&mut headers);
            headers.get_all(CONTENT_LENGTH).iter().cloned().collect::<Vec<_>>()
        };
        assert_eq!(left(&[]), [""; 0]);
        for same in [&["2"][..], &["2", "2"], &["2, 2"], &["2,2", "2"]] {
            assert_eq!(left(same), ["2"], "{same:?}");
        }
        for odd in [&["2", "3"][..], &["2, 3"], &["+2"], &[""], &["2,"], &["02", "2"]] {
            assert_eq!(left(odd), [""; 0], "{odd:?}");
        }
    }
}
