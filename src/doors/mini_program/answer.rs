//! What a mini-program is told that is refused.

use http::StatusCode;
use serde_json::json;

use crate::{
    login::{Event, Gate, Reply},
    session::StoreError,
    wechat::{BadOpenData, ErrCode, Error, Fault, Kind, Reaction},
};

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The body is not the JSON that is wanted: this field of it is missing, or has the wrong form.
    Malformed(&'static str),
    /// No mini-program with this appid signs in here.
    UnknownAppid,
    /// Nobody is signed in with a mini-program.
    NotSignedIn,
    /// The code was used before.
    CodeUsed,
    /// WeChat has refused.
    Wechat(Error),
    /// The data of the user is not what WeChat has given to the mini-program.
    UserData(BadOpenData),
    StoreDown(StoreError),
}

impl Refusal {
    /// The answer.
    pub(super) fn reply(self, gate: &Gate) -> Reply {
        let (status, word) = match &self {
            Self::Malformed(field) => {
                let told = json!({ "error": "malformed_request", "field": field });
                return Reply::json(StatusCode::BAD_REQUEST, &told);
            }
            Self::UnknownAppid => (StatusCode::BAD_REQUEST, "unknown_appid"),
            Self::NotSignedIn => (StatusCode::UNAUTHORIZED, "login_required"),
            Self::CodeUsed => (StatusCode::UNAUTHORIZED, "invalid_code"),
            Self::UserData(error) => {
                // An old key or another appid is the mini-program's own mistake, and its developer looks for it here.
                tracing::warn!(%error, "the user data of a mini-program is refused");
                (StatusCode::BAD_REQUEST, "bad_user_data")
            }
            Self::StoreDown(error) => return gate.store_down(error).for_programs(),
            Self::Wechat(error) => return refused(gate, error),
        };
        Reply::json(status, &json!({ "error": word }))
    }
}

/// What WeChat has refused.
fn refused(gate: &Gate, error: &Error) -> Reply {
    gate.saw(Event::failed(error));
    tracing::warn!(%error, "a mini-program's sign-in failed");
    let (code, rid) = match error.kind() {
        Kind::Refused(code, rid) => (Some(*code), rid.as_ref()),
        _ => (None, None),
    };
    let (status, word) = match (error.reaction(), code.map(ErrCode::fault)) {
        (Reaction::StartAgain, Some(Fault::Stale)) => (StatusCode::UNAUTHORIZED, "invalid_code"),
        (Reaction::Refuse, _) => (StatusCode::FORBIDDEN, "login_blocked"),
        (Reaction::RetryAfter(_), _) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
        (Reaction::Operator, Some(_)) => (StatusCode::BAD_GATEWAY, "login_failed"),
        // The code is gone in any case.
        _ => (StatusCode::SERVICE_UNAVAILABLE, "wechat_unavailable"),
    };
    let mut told = json!({ "error": word });
    if let Some(code) = code {
        told["errcode"] = code.number().into();
    }
    if let Some(rid) = rid {
        told["rid"] = rid.as_str().into();
    }
    Reply::json(status, &told)
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::StoreDown(error)
    }
}

impl From<BadOpenData> for Refusal {
    fn from(error: BadOpenData) -> Self {
        Self::UserData(error)
    }
}
