//! `/server-token` of the admin listener: an account's own `access_token`, for its other servers.
//!
//! There is one such token for all who use the account, and each that is fetched may end the one before it. So one place
//! fetches it, and the others ask here. They prove themselves with a secret of their own and never see the app secret.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::get,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    say,
    sessions::{Desk, Problem, read},
};
use crate::{
    clock::Clock,
    keeper::{KeeperError, ServerTokens},
    login,
    secret::{ServerToken, ServerTokenSecret},
    wechat::Account,
};

const FORM: &str = r#"send {"dead": TOKEN} with the token that WeChat has refused"#;

/// An account whose token others may take, and how they prove themselves.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Counter {
    pub(in crate::gateway) account: Account,
    pub(in crate::gateway) secret: ServerTokenSecret,
    pub(in crate::gateway) tokens: ServerTokens,
    pub(in crate::gateway) clock: Arc<dyn Clock>,
}

impl Counter {
    /// The token, or another one than one that is dead, as WeChat would answer it.
    async fn serve(&self, dead: Option<&ServerToken>) -> Result<Value, Problem> {
        let held = match dead {
            None => self.tokens.get(&self.account).await,
            Some(dead) => self.tokens.replace(&self.account, dead).await,
        };
        let held = held.map_err(|error| failed(&error))?;
        let left = held.ends_at.since(self.clock.now());
        Ok(json!({ "access_token": held.token.expose(), "expires_in": left.as_secs() }))
    }
}

pub(super) fn router(desk: Arc<dyn Desk>) -> Router {
    Router::new().route("/server-token", get(take).post(replace)).with_state(desk)
}

async fn take(State(desk): State<Arc<dyn Desk>>, request: Request) -> Response {
    answer(match counter(&*desk, &request) {
        Ok(counter) => counter.serve(None).await,
        Err(problem) => Err(problem),
    })
}

async fn replace(State(desk): State<Arc<dyn Desk>>, request: Request) -> Response {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sent {
        dead: String,
    }
    let replaced = async {
        let counter = counter(&*desk, &request)?;
        let (head, body) = request.into_parts();
        let body = read(&head.headers, body, FORM).await?;
        let sent: Sent =
            serde_json::from_slice(&body).map_err(|_| Problem::bad("malformed_body", FORM))?;
        counter.serve(Some(&ServerToken::new(sent.dead))).await
    };
    answer(replaced.await)
}

/// The account that is asked about, by somebody who may.
fn counter(desk: &dyn Desk, request: &Request) -> Result<Counter, Problem> {
    let query = request.uri().query().unwrap_or_default();
    let Ok([Some(name)]) = login::parameters(query, ["account"]) else {
        return Err(Problem::bad(
            "bad_parameters",
            "write ?account=NAME, as the configuration calls it",
        ));
    };
    let unauthorized = || Problem {
        status: StatusCode::UNAUTHORIZED,
        word: "unauthorized",
        message:
            "send Authorization: Bearer and the secret in the account's server_token_secret_file"
                .to_owned(),
    };
    // Whoever does not know the secret learns nothing of which accounts there are.
    let counter = desk.counter(&name).ok_or_else(unauthorized)?;
    let given = bearer(request.headers()).ok_or_else(unauthorized)?;
    if counter.secret.is(given) { Ok(counter) } else { Err(unauthorized()) }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (only, None) = (given.next()?.as_bytes(), given.next()) else { return None };
    let (scheme, secret) = only.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
}

fn answer(answered: Result<Value, Problem>) -> Response {
    match answered {
        Ok(told) => say(StatusCode::OK, &told),
        Err(problem) => {
            let mut response = problem.reply();
            if problem.status == StatusCode::UNAUTHORIZED {
                let how = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, how);
            }
            response
        }
    }
}

fn failed(error: &KeeperError) -> Problem {
    let word = match error {
        KeeperError::Store(_) => "store_unavailable",
        _ => "wechat_unavailable",
    };
    Problem { status: StatusCode::SERVICE_UNAVAILABLE, word, message: error.to_string() }
}
