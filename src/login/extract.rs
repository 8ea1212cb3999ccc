//! `WechatUser` as an axum extractor.

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{Extensions, StatusCode, header, request::Parts};

use super::{identity::WechatUser, service::Nobody};

/// Why there is no user to extract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoUser {
    /// Nobody is signed in, which the path's policy allows: 401.
    #[error("nobody is signed in")]
    Anonymous,
    /// The path's policy is `off`, so nobody was looked for: 500, since the handler can never work.
    #[error(
        "the path's login policy is `off`, so that nobody is looked up: make it `optional`, `base` or `userinfo`"
    )]
    Off,
    /// No layer has seen the request: 500.
    #[error(
        "no `WechatLoginLayer` has seen the request: add `.layer(WechatLoginLayer::new(..))` to the router, \
         after the routes that it should cover"
    )]
    NoLayer,
}

impl IntoResponse for NoUser {
    fn into_response(self) -> Response {
        let (status, word) = match self {
            Self::Anonymous => (StatusCode::UNAUTHORIZED, "login_required"),
            Self::Off | Self::NoLayer => {
                tracing::error!(reason = %self, "a handler wants a `WechatUser` and cannot have one");
                (StatusCode::INTERNAL_SERVER_ERROR, "login_not_configured")
            }
        };
        let body = format!("{{\"error\":\"{word}\"}}");
        (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

fn find(extensions: &Extensions) -> Result<WechatUser, NoUser> {
    if let Some(user) = extensions.get::<WechatUser>() {
        return Ok(user.clone());
    }
    Err(match extensions.get::<Nobody>() {
        Some(Nobody::Anonymous) => NoUser::Anonymous,
        Some(Nobody::Off) => NoUser::Off,
        None => NoUser::NoLayer,
    })
}

impl<S: Sync> FromRequestParts<S> for WechatUser {
    type Rejection = NoUser;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, NoUser> {
        find(&head.extensions)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for WechatUser {
    type Rejection = NoUser;

    /// `None` where nobody is signed in. A layer that is missing, or that does not look, is still an error.
    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Option<Self>, NoUser> {
        match find(&head.extensions) {
            Ok(user) => Ok(Some(user)),
            Err(NoUser::Anonymous) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
