//! Stands in for the app's own session data where the feature `tower-sessions` is off.

use http::{Response, request::Parts};

use super::{body::LoginBody, future::Boxed, gate::Gate, identity::WechatUser};

/// Nothing has to be seen to after a request that passed.
pub(super) struct Passed;

impl Passed {
    pub(super) fn new(_: &Gate, _: &mut Parts, _: Option<&WechatUser>) -> Self {
        Self
    }

    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // The shape that it has with the feature.
    pub(super) fn save_after<R>(
        &self,
        response: Response<R>,
    ) -> Result<Response<LoginBody<R>>, Boxed<Response<LoginBody<R>>>> {
        Ok(response.map(LoginBody::inner))
    }
}
