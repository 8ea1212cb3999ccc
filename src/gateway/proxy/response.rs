//! What becomes of an upstream's answer on its way to the browser.

use http::{HeaderValue, Response, header};

use super::request::cut_hop_by_hop;

/// Takes out what concerns the connection to the upstream only.
pub(super) fn prepare<B>(response: &mut Response<B>) {
    let switches = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
    cut_hop_by_hop(response.headers_mut());
    if switches {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    }
}
