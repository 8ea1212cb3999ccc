//! Calls over HTTP: those of a user's login, and the limits that keep a single-use code single-use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Response;

use super::{
    endpoints::Endpoints,
    errcode::{ErrCode, Reaction},
    error::{AnswerFault, Call, Error, Kind},
    types::{Account, Grant, Lang, OpenId, Userinfo},
    wire::{Answer, Failed, field},
};
use crate::{
    origin::Origin,
    secret::{Code, RefreshToken, UserToken},
    trust,
};

/// An answer is a few hundred bytes; anything above this is not WeChat's.
const LARGEST_ANSWER: usize = 64 * 1024;

/// A client for the platform. Clones share connections.
///
/// Connecting takes at most 2 s and a call at most 5 s. Redirects are not followed and proxies of the
/// environment are not used. A call goes to the next API host where none could be connected to; an exchange
/// is otherwise never repeated, whatever became of it, because its code is burned by the first try.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoints: Arc<Endpoints>,
    /// The host that answered last. Going back to a dead one would cost every call its connect timeout.
    preferred: Arc<AtomicUsize>,
    backoff: Backoff,
    #[cfg(test)]
    pub(super) played: Option<super::played::Played>,
}

/// How often, and how far apart, a call is repeated that WeChat was too busy to answer.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// How many times a call is made in all. Default 3.
    pub tries: u32,
    /// The pause before the second try; it doubles before each further one. Default 200 ms.
    pub first: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { tries: 3, first: Duration::from_millis(200) }
    }
}

/// Builds a [`Client`] with other limits than the default ones.
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    endpoints: Endpoints,
    backoff: Backoff,
    connect_timeout: Duration,
    timeout: Duration,
}

impl ClientBuilder {
    /// How often a busy answer is retried.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How long connecting may take. Default 2 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long a whole call may take. Default 5 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// The client.
    pub fn build(self) -> Client {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(trust::public())
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .user_agent(concat!("wxgate/", env!("CARGO_PKG_VERSION")))
            .build()
            .expect("TLS is set up already, and nothing else of this can fail");
        Client {
            http,
            endpoints: Arc::new(self.endpoints),
            preferred: Arc::default(),
            backoff: self.backoff,
            #[cfg(test)]
            played: None,
        }
    }
}

impl Client {
    /// A client with the default limits.
    pub fn new(endpoints: Endpoints) -> Self {
        Self::builder(endpoints).build()
    }

    /// A client whose limits can be set.
    pub fn builder(endpoints: Endpoints) -> ClientBuilder {
        ClientBuilder {
            endpoints,
            backoff: Backoff::default(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
        }
    }

    /// The addresses in use.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Exchanges a code for the user's openid and tokens. One try: the code is burned by it.
    pub async fn exchange(&self, account: &Account, code: &Code) -> Result<Grant, Error> {
        let query = [
            ("appid", account.appid().as_str()),
            ("secret", account.secret().expose()),
            ("code", code.expose()),
            ("grant_type", "authorization_code"),
        ];
        let call = Call::Exchange;
        let answer = self.call(Ask::get(call, "/sns/oauth2/access_token", &query)).await?;
        answer.grant().map_err(|kind| Error::new(call, kind))
    }

    /// Exchanges a refresh token for a fresh access token. A busy platform is asked again, see [`Backoff`].
    pub async fn refresh(&self, account: &Account, token: &RefreshToken) -> Result<Grant, Error> {
        let query = [
            ("appid", account.appid().as_str()),
            ("grant_type", "refresh_token"),
            ("refresh_token", token.expose()),
        ];
        let call = Call::Refresh;
        let answer = self.patient_call(Ask::get(call, "/sns/oauth2/refresh_token", &query)).await?;
        answer.grant().map_err(|kind| Error::new(call, kind))
    }

    /// Fetches the user's nickname and avatar. A busy platform is asked again, see [`Backoff`].
    ///
    /// # Errors
    /// Also when the answer is about another user than `openid`.
    pub async fn userinfo(
        &self,
        token: &UserToken,
        openid: &OpenId,
        lang: Lang,
    ) -> Result<Userinfo, Error> {
        let query = [
            ("access_token", token.expose()),
            ("openid", openid.as_str()),
            ("lang", lang.as_str()),
        ];
        let answer = self.patient_call(Ask::get(Call::Userinfo, "/sns/userinfo", &query)).await?;
        let fail = |kind| Error::new(Call::Userinfo, kind);
        let user = answer.userinfo().map_err(fail)?;
        if user.openid != *openid {
            return Err(fail(Kind::Answer(AnswerFault::OtherUser)));
        }
        Ok(user)
    }

    /// Whether an access token is still good for this user.
    pub async fn auth(&self, token: &UserToken, openid: &OpenId) -> Result<bool, Error> {
        let query = [("access_token", token.expose()), ("openid", openid.as_str())];
        match self.patient_call(Ask::get(Call::Auth, "/sns/auth", &query)).await {
            // Nobody's token is good by what is not said.
            Ok(answer) if answer.number("errcode") != Some(0) => {
                Err(Error::new(Call::Auth, field("errcode")))
            }
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                Kind::Refused(code, _) if code.is_dead_token() => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// A call that is repeated, see [`Backoff`], where WeChat was too busy. Not for what burns a code.
    pub(super) async fn patient_call(&self, ask: Ask<'_>) -> Result<Answer, Error> {
        let mut pause = self.backoff.first;
        let mut tries = 1;
        loop {
            match self.call(ask).await {
                Err(error) if tries < self.backoff.tries && is_busy(&error) => {
                    tracing::debug!(call = %ask.call, tries, %error, "asking again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// One call, on the first host that can be connected to.
    pub(super) async fn call(&self, ask: Ask<'_>) -> Result<Answer, Error> {
        let Ask { call, platform, path, query, json } = ask;
        #[cfg(test)]
        if let Some(played) = &self.played {
            let body = played.answer(path, query).await;
            return Answer::read(body.as_bytes(), ErrCode::new).map_err(|failed| failed.of(call));
        }
        let (hosts, preferred) = self.hosts(platform);
        let first = preferred.map_or(0, |index| index.load(Ordering::Relaxed));
        for turn in 0..hosts.len() {
            let index = (first + turn) % hosts.len();
            let mut url = url::Url::parse(&format!("{}{path}", hosts[index]))
                .expect("an endpoint is a checked origin");
            if !query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            let request = match json {
                None => self.http.get(url),
                Some(body) => self
                    .http
                    .post(url)
                    .header(http::header::CONTENT_TYPE, "application/json")
                    .body(body.to_string()),
            };
            match request.send().await {
                // Nothing was sent, so even a code is still good at the next host.
                Err(error) if error.is_connect() => {
                    tracing::warn!(%call, host = %hosts[index], "host unreachable");
                }
                Err(_) => return Err(Error::new(call, Kind::Interrupted)),
                Ok(response) => {
                    if let Some(preferred) = preferred {
                        preferred.store(index, Ordering::Relaxed);
                    }
                    let code = match platform {
                        Platform::Wechat => ErrCode::new,
                        Platform::Wecom => ErrCode::wecom,
                    };
                    return read(response, code).await.map_err(|failed| failed.of(call));
                }
            }
        }
        Err(Error::new(call, Kind::Unreachable))
    }

    fn hosts(&self, platform: Platform) -> (&[Origin], Option<&AtomicUsize>) {
        match platform {
            Platform::Wechat => (self.endpoints.api(), Some(&self.preferred)),
            Platform::Wecom => (std::slice::from_ref(self.endpoints.wecom()), None),
        }
    }
}

/// Whose hosts are called, and whose words their error codes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    Wechat,
    Wecom,
}

/// What is to be asked.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    call: Call,
    platform: Platform,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    json: Option<&'a serde_json::Value>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(call: Call, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { call, platform: Platform::Wechat, path, query, json: None }
    }

    pub(super) fn post(call: Call, path: &'a str, json: &'a serde_json::Value) -> Self {
        Self { call, platform: Platform::Wechat, path, query: &[], json: Some(json) }
    }

    pub(super) fn with_query(self, query: &'a [(&'a str, &'a str)]) -> Self {
        Self { query, ..self }
    }

    pub(super) fn of_wecom(self) -> Self {
        Self { platform: Platform::Wecom, ..self }
    }
}

/// Only WeChat's own "busy" is worth asking again at once: a lost connection has used up the user's patience.
fn is_busy(error: &Error) -> bool {
    matches!(error.kind(), Kind::Refused(..)) && error.reaction() == Reaction::Retry
}

async fn read(mut response: Response, code: fn(i64) -> ErrCode) -> Result<Answer, Failed> {
    if !response.status().is_success() {
        return Err(Kind::Answer(AnswerFault::Status(response.status().as_u16())).into());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| Kind::Interrupted)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(Kind::Answer(AnswerFault::TooLarge).into());
        }
        body.extend_from_slice(&chunk);
    }
    Answer::read(&body, code)
}
