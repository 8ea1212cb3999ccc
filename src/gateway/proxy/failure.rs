//! Why there is no answer from an upstream, or not all of it.

use std::{error::Error, io, time::Duration};

use http::StatusCode;

use super::http1::BodyTrouble;

/// Why there is no answer from the upstream.
#[derive(Debug, thiserror::Error)]
pub(in crate::gateway) enum Failure {
    #[error("it cannot be connected to: {0}")]
    Connect(String),
    #[error("connecting takes longer than {0:?}")]
    ConnectTimeout(Duration),
    #[error("it has not begun to answer within {0:?}")]
    ResponseTimeout(Duration),
    #[error("the client has stopped sending for {0:?}")]
    ClientStalled(Duration),
    #[error("the client's body is damaged or was cut off")]
    Damaged,
    #[error("the client's body is larger than {0} bytes")]
    TooLarge(u64),
    #[error(
        "WebSockets cannot be passed to an upstream of this kind: http, https and unix take them"
    )]
    NoWebSockets,
    #[error("the exchange broke off: {0}")]
    Broken(String),
    #[error("a file cannot be read: {0}")]
    File(io::Error),
}

impl Failure {
    pub(super) fn connect(error: &dyn Error) -> Self {
        Self::Connect(with_causes(error))
    }

    pub(super) fn broken(error: &dyn Error) -> Self {
        Self::Broken(with_causes(error))
    }

    pub(in crate::gateway) fn status(&self) -> StatusCode {
        match self {
            Self::Connect(_) | Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout(_) | Self::ResponseTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::ClientStalled(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Damaged => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoWebSockets => StatusCode::NOT_IMPLEMENTED,
            Self::File(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One word of a fixed set, for scripts.
    pub(in crate::gateway) fn code(&self) -> &'static str {
        match self {
            Self::Connect(_) | Self::Broken(_) | Self::File(_) => "upstream_unavailable",
            Self::ConnectTimeout(_) | Self::ResponseTimeout(_) => "upstream_timeout",
            Self::ClientStalled(_) => "request_timeout",
            Self::Damaged => "bad_request",
            Self::TooLarge(_) => "body_too_large",
            Self::NoWebSockets => "no_websockets",
        }
    }

    /// Whether it is the client's doing, so that nobody has to be woken up for it.
    pub(in crate::gateway) fn is_the_client_s(&self) -> bool {
        matches!(self, Self::ClientStalled(_) | Self::Damaged | Self::TooLarge(_))
    }
}

/// Why an answer ends before its end. Has no source on purpose: HTTP/2 would tell the client the upstream's reason for
/// a reset as if it were ours, and some reasons mean that the request may be sent again.
#[derive(Debug, thiserror::Error)]
pub(in crate::gateway) enum BodyError {
    #[error("the upstream broke off its answer: {}", with_causes(.0))]
    Upstream(hyper::Error),
    #[error("the exchange broke off within the answer: {0}")]
    Plain(BodyTrouble),
    #[error("the upstream's answer has no end")]
    Unfinished,
    #[error("a file cannot be read to its end: {0}")]
    File(String),
}

impl BodyError {
    /// Whether it is the client's doing, so that nobody has to be woken up for it.
    pub(super) fn is_the_client_s(&self) -> bool {
        matches!(self, Self::Plain(BodyTrouble::Abandoned))
    }
}

/// An error with what has led to it: hyper's own texts leave that to whoever prints them.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some repeat what is behind them.
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
