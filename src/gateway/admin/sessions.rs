//! `/sessions` of the admin listener: who is signed in, and the end of that.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time;
use url::form_urlencoded;

use super::{say, server_token::Counter};
use crate::{
    gateway::metrics::Metrics,
    login::{Event, Observer, Revoked},
    session::{Handle, ListQuery, SessionInfo, Store, StoreError, UserKey},
    wechat::{AppId, OpenId},
};

/// What is sent here has two short fields.
const LARGEST_BODY: usize = 8 * 1024;
const LONGEST_BODY: Duration = Duration::from_secs(15);
/// How long it may take to find out how many sessions a user has.
const LONGEST_COUNT: Duration = Duration::from_secs(1);
const USUAL_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

/// Said to whoever has asked in another way.
const FORMS: &str = r#"write one of {"session": SESSION}, {"account": ACCOUNT, "openid": OPENID} and {"account": ACCOUNT, "all": true}"#;
const PARAMETERS: &str = "parameters are account, openid, after and limit, each once";

/// What there is to know for this, as the configuration in use has it.
pub(in crate::gateway) trait Desk: fmt::Debug + Send + Sync + 'static {
    /// Where the sessions are.
    fn store(&self) -> Arc<dyn Store>;

    /// The accounts, by name.
    fn accounts(&self) -> Vec<(Box<str>, AppId)>;

    /// The account with this name, where others may take its token.
    fn counter(&self, account: &str) -> Option<Counter>;

    /// How a user stands in the log.
    fn name_in_log(&self, user: &UserKey) -> String;
}

#[derive(Clone)]
struct Sessions {
    desk: Arc<dyn Desk>,
    metrics: Metrics,
}

pub(super) fn router(metrics: Metrics, desk: Arc<dyn Desk>) -> Router {
    Router::new()
        .route("/sessions", get(list))
        .route("/sessions/revoke", post(revoke))
        .layer(middleware::from_fn(refuse_browsers))
        .with_state(Sessions { desk, metrics })
}

/// Why something was not done: a word of a fixed set, and what to do.
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) word: &'static str,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn bad(word: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, word, message: message.into() }
    }

    pub(super) fn reply(&self) -> Response {
        say(self.status, &json!({ "error": self.word, "message": self.message }))
    }
}

/// Refuses what a page could have sent through a browser on this machine: that says so in one of two headers.
async fn refuse_browsers(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        let message = "sessions are not for browsers; use curl, or `wxgate sessions`".to_owned();
        return Problem { status: StatusCode::FORBIDDEN, word: "from_a_browser", message }.reply();
    }
    next.run(request).await
}

async fn list(State(sessions): State<Sessions>, request: Request) -> Response {
    let answered = sessions.list(request.uri().query().unwrap_or_default()).await;
    answered.map_or_else(|problem| problem.reply(), |page| say(StatusCode::OK, &page))
}

async fn revoke(State(sessions): State<Sessions>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let answered = match read(&head.headers, body, FORMS).await {
        Ok(body) => sessions.revoke(&body).await,
        Err(problem) => Err(problem),
    };
    let answered = answered.map(|revoked| json!({ "revoked": revoked }));
    answered.map_or_else(|problem| problem.reply(), |revoked| say(StatusCode::OK, &revoked))
}

/// A small body of JSON. `forms` says what is wanted.
pub(super) async fn read(headers: &HeaderMap, body: Body, forms: &str) -> Result<Vec<u8>, Problem> {
    let mut kinds = headers.get_all(header::CONTENT_TYPE).iter();
    let kind = kinds.next().filter(|_| kinds.next().is_none()).and_then(|it| it.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    // No form of a page can send this kind.
    if !kind.trim().eq_ignore_ascii_case("application/json") {
        return Err(Problem {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            word: "not_json",
            message: format!("send JSON, with Content-Type: application/json; {forms}"),
        });
    }
    match time::timeout(LONGEST_BODY, to_bytes(body, LARGEST_BODY)).await {
        Ok(Ok(body)) => Ok(body.into()),
        Ok(Err(_)) => Err(Problem {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            word: "body_too_large",
            message: format!("a body has at most {LARGEST_BODY} bytes; {forms}"),
        }),
        Err(_) => Err(Problem::bad("incomplete_body", forms)),
    }
}

/// What is to be revoked, as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    session: Option<String>,
    account: Option<String>,
    openid: Option<String>,
    all: Option<bool>,
}

impl Sessions {
    async fn list(&self, query: &str) -> Result<Value, Problem> {
        let query = self.query(query)?;
        let page = self.desk.store().list(&query).await.map_err(|error| self.down(&error))?;
        let sessions: Vec<_> = page.sessions.iter().map(shown).collect();
        Ok(json!({ "sessions": sessions, "next": page.next }))
    }

    fn query(&self, text: &str) -> Result<ListQuery, Problem> {
        let mut values = [const { None }; 4];
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let at = ["account", "openid", "after", "limit"].iter().position(|it| *it == name);
            let twice = at.is_none_or(|at| values[at].replace(value.into_owned()).is_some());
            if twice {
                return Err(Problem::bad("bad_parameters", PARAMETERS));
            }
        }
        let [account, openid, after, limit] = values.map(|it| it.filter(|it| !it.is_empty()));
        let limit = match limit.map(|limit| limit.parse()) {
            None => USUAL_PAGE,
            Some(Ok(limit)) if (1..=LARGEST_PAGE).contains(&limit) => limit,
            Some(_) => {
                let message = format!("limit is a whole number from 1 to {LARGEST_PAGE}");
                return Err(Problem::bad("bad_limit", message));
            }
        };
        Ok(ListQuery {
            appid: account.map(|account| self.account(&account)).transpose()?,
            openid: openid.map(|openid| parse_openid(&openid)).transpose()?,
            after,
            limit,
        })
    }

    async fn revoke(&self, body: &[u8]) -> Result<Value, Problem> {
        let wanted: Wanted = serde_json::from_slice(body)
            .map_err(|error| Problem::bad("bad_request", format!("{error}; {FORMS}")))?;
        let (what, revoked) = match wanted {
            Wanted { session: Some(session), account: None, openid: None, all: None } => {
                (Revoked::Session, self.revoke_one(&session).await?)
            }
            Wanted { session: None, account: Some(account), openid: Some(openid), all: None } => {
                let key =
                    UserKey { appid: self.account(&account)?, openid: parse_openid(&openid)? };
                (Revoked::User, self.revoke_user(key).await?)
            }
            Wanted { session: None, account: Some(account), openid: None, all: Some(true) } => {
                (Revoked::Account, self.revoke_account(&account).await?)
            }
            _ => return Err(Problem::bad("bad_request", FORMS)),
        };
        self.metrics.saw(Event::Revoked { what });
        Ok(revoked)
    }

    async fn revoke_one(&self, session: &str) -> Result<Value, Problem> {
        let handle = Handle::parse(session).ok_or_else(|| {
            let message = "a session is 32 hexadecimal digits, as GET /sessions tells them";
            Problem::bad("bad_session", message)
        })?;
        let ended = self.desk.store().remove_by_handle(handle).await;
        if !ended.map_err(|error| self.down(&error))? {
            return Err(Problem {
                status: StatusCode::NOT_FOUND,
                word: "no_such_session",
                message: "there is no such session; it may have ended by itself".to_owned(),
            });
        }
        tracing::info!(session = %handle, "a session was revoked");
        Ok(json!({ "session": session }))
    }

    async fn revoke_user(&self, key: UserKey) -> Result<Value, Problem> {
        // How many they were is good to know. To end them it is not needed, and of many people's it may take long to tell.
        let count = time::timeout(LONGEST_COUNT, self.count(&key)).await.ok().and_then(Result::ok);
        let (desk, user) = (self.desk.clone(), key.clone());
        // Whoever has asked for it may not wait for the answer.
        let ending = tokio::spawn(async move { desk.store().remove_all_of(&user).await });
        let ended = ending.await.unwrap_or_else(|error| {
            Err(StoreError::new("end a user's sessions", error.to_string()))
        });
        ended.map_err(|error| self.down(&error))?;
        let user = self.desk.name_in_log(&key);
        tracing::info!(user, sessions = count, "all sessions of a user were revoked");
        let UserKey { appid, openid } = &key;
        Ok(json!({ "appid": appid.as_str(), "openid": openid.as_str(), "sessions": count }))
    }

    async fn count(&self, key: &UserKey) -> Result<usize, StoreError> {
        let mut query = ListQuery {
            appid: Some(key.appid.clone()),
            openid: Some(key.openid.clone()),
            after: None,
            limit: LARGEST_PAGE,
        };
        let mut count = 0;
        loop {
            let page = self.desk.store().list(&query).await?;
            count += page.sessions.len();
            query.after = page.next;
            if query.after.is_none() {
                return Ok(count);
            }
        }
    }

    async fn revoke_account(&self, account: &str) -> Result<Value, Problem> {
        let appid = self.account(account)?;
        let ended = self.desk.store().remove_all_of_account(&appid).await;
        ended.map_err(|error| self.down(&error))?;
        tracing::info!(%appid, "all sessions of an account were revoked");
        Ok(json!({ "appid": appid.as_str(), "all": true }))
    }

    /// The account with this name or appid.
    fn account(&self, wanted: &str) -> Result<AppId, Problem> {
        let accounts = self.desk.accounts();
        let found =
            accounts.iter().find(|(name, appid)| **name == *wanted || appid.as_str() == wanted);
        found.map(|(_, appid)| appid.clone()).ok_or_else(|| {
            let known: Vec<_> =
                accounts.iter().map(|(name, appid)| format!("{name} ({appid})")).collect();
            let message = format!("there is no account {wanted:?}; there is {}", known.join(", "));
            Problem::bad("unknown_account", message)
        })
    }

    fn down(&self, error: &StoreError) -> Problem {
        self.metrics.saw(Event::StoreDown);
        tracing::error!(%error, "sessions can neither be told of nor revoked");
        Problem {
            status: StatusCode::SERVICE_UNAVAILABLE,
            word: "store_down",
            message: "the session store does not answer; the log says why; try again".to_owned(),
        }
    }
}

fn parse_openid(text: &str) -> Result<OpenId, Problem> {
    OpenId::parse(text).map_err(|error| Problem::bad("bad_openid", error.to_string()))
}

fn shown(session: &SessionInfo) -> Value {
    json!({
        "session": session.handle.to_string(),
        "appid": session.user.appid.as_str(),
        "openid": session.user.openid.as_str(),
        "subject": session.user.to_string(),
        "scope": session.scope.as_str(),
        "signed_in_at": session.signed_in_at.unix(),
        "last_used": session.last_used.unix(),
    })
}
