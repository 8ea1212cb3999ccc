//! The app's own session data of a request: opened before it, saved after it.

use http::{Response, StatusCode, request::Parts};
use tower_sessions_core::Session;

use super::{body::LoginBody, future::Boxed, gate::Gate, identity::WechatUser, respond::json};

/// What has to be seen to after a request that passed.
pub(super) struct Passed {
    app: Session,
}

impl Passed {
    pub(super) fn new(gate: &Gate, head: &mut Parts, user: Option<&WechatUser>) -> Self {
        let app = gate.app_session(user);
        head.extensions.insert(app.clone());
        Self { app }
    }

    /// The response itself, or one that is ready when the app's data is saved. After a failure nothing is saved.
    pub(super) fn save_after<R: Send + 'static>(
        &self,
        response: Response<R>,
    ) -> Result<Response<LoginBody<R>>, Boxed<Response<LoginBody<R>>>> {
        let response = response.map(LoginBody::inner);
        if !self.app.is_modified() || response.status().is_server_error() {
            return Ok(response);
        }
        let app = self.app.clone();
        Err(Box::pin(async move {
            let Err(error) = app.save().await else { return response };
            tracing::error!(%error, "the app's session data was not saved, so its response is withheld");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let word = br#"{"error":"session_data_not_saved"}"#.to_vec();
            json(status, word).map(LoginBody::own)
        }))
    }
}
