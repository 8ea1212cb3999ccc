//! What becomes of an upstream's answer on its way to the browser.

use http::{HeaderValue, Response, StatusCode, Version, header};

use super::request::cut_hop_by_hop;

/// Takes out what concerns the connection to the upstream only.
pub(super) fn prepare<B>(response: &mut Response<B>) {
    // Each side of us has an HTTP version of its own.
    *response.version_mut() = Version::HTTP_11;
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    cut_hop_by_hop(response.headers_mut());
    if switches {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
}
