//! WeChat's own addresses, for an app with a WeChat SDK: it changes one base URL and signs in through us.
//!
//! The app has an appid and a secret of ours, and gets codes and tokens of ours. They are sealed and name a session, so
//! nothing is kept for them, and they end with it. The app never sees WeChat's tokens or the account's secret.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode, request::Parts};
use http_body_util::Full;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use url::Url;

use crate::{
    clock::Timestamp,
    login::{Demand, Gate, Login, Page, WechatUser, json_reply, parameter, parameters},
    secret::AppSecret,
    session::{OneUse, Purpose, SessionId, StoreError},
    wechat::{AppId, ErrCode, Scope, UnionId},
};

const AUTHORIZE: &str = "/connect/oauth2/authorize";
const ACCESS_TOKEN: &str = "/sns/oauth2/access_token";
const REFRESH_TOKEN: &str = "/sns/oauth2/refresh_token";
const USERINFO: &str = "/sns/userinfo";
const AUTH: &str = "/sns/auth";
/// All of them.
pub(crate) const PATHS: [&str; 5] = [AUTHORIZE, ACCESS_TOKEN, REFRESH_TOKEN, USERINFO, AUTH];

const CODE_LIFE: Duration = Duration::from_secs(5 * 60);
const TOKEN_LIFE: Duration = Duration::from_secs(2 * 60 * 60);
const REFRESH_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// An app that signs in through us.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// How it names itself to us. Not the account's appid.
    pub(crate) appid: AppId,
    pub(crate) secret: AppSecret,
    /// Where its codes may go: an origin, and a path that the address's has to begin with, by whole segments.
    pub(crate) redirect_uris: Vec<Url>,
}

/// The apps that sign in through one site.
#[derive(Debug)]
pub(crate) struct Facade {
    gate: Gate,
    demand: Demand,
    clients: Vec<Client>,
}

/// What was asked for, where it is one of the five addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Authorize,
    AccessToken,
    RefreshToken,
    Userinfo,
    Auth,
}

impl Call {
    /// The call that a path names.
    pub(crate) fn named_by(path: &str) -> Option<Self> {
        match path {
            AUTHORIZE => Some(Self::Authorize),
            ACCESS_TOKEN => Some(Self::AccessToken),
            REFRESH_TOKEN => Some(Self::RefreshToken),
            USERINFO => Some(Self::Userinfo),
            AUTH => Some(Self::Auth),
            _ => None,
        }
    }
}

/// An answer in WeChat's words, or why there is none.
type Answer = Result<Value, Refusal>;

enum Refusal {
    Code(ErrCode, &'static str),
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

const fn refuse(code: i64, message: &'static str) -> Refusal {
    Refusal::Code(ErrCode::new(code), message)
}

const INVALID_TOKEN: Refusal =
    refuse(40001, "invalid credential, access_token is invalid or not latest");

/// What a code or a token of ours says.
struct Sealed {
    session: SessionId,
    scope: Scope,
    ends_at: Timestamp,
}

impl Facade {
    /// For those people whom `demand` lets in.
    pub(crate) fn new(gate: Gate, demand: Demand, clients: Vec<Client>) -> Self {
        Self { gate, demand, clients }
    }

    /// Answers one of the calls.
    pub(crate) async fn answer(&self, call: Call, head: &Parts) -> Response<Full<Bytes>> {
        if !matches!(head.method, Method::GET | Method::HEAD | Method::POST) {
            return self.gate.page(Page::MethodNotAllowed, head);
        }
        let query = head.uri.query().unwrap_or_default();
        let answer = match call {
            Call::Authorize => return self.authorize(head, query).await,
            Call::AccessToken => self.access_token(query).await,
            Call::RefreshToken => self.refresh_token(query).await,
            Call::Userinfo => self.userinfo(query).await,
            Call::Auth => self.auth(query).await,
        };
        let answer = answer.unwrap_or_else(|refusal| match refusal {
            Refusal::Code(code, message) => {
                json!({ "errcode": code.number(), "errmsg": message })
            }
            Refusal::Store(error) => {
                tracing::error!(%error, "an app that signs in through us has to wait");
                json!({ "errcode": -1, "errmsg": "system error" })
            }
        });
        json_reply(StatusCode::OK, answer.to_string().into_bytes())
    }

    /// Signs the visitor in, as far as the app wants, and sends them back to it with a code.
    async fn authorize(&self, head: &Parts, query: &str) -> Response<Full<Bytes>> {
        let wanted = Wanted::of(query);
        let client = wanted.as_ref().and_then(|wanted| self.client(&wanted.appid));
        let (Some(wanted), Some(client)) = (wanted, client) else {
            return self.gate.page(Page::UnknownClient, head);
        };
        if !client.redirect_uris.iter().any(|listed| leads_below(&wanted.redirect_uri, listed)) {
            let asked = &wanted.redirect_uri[..url::Position::AfterPath];
            tracing::warn!(client = %client.appid, asked, "an app asks for a code to an address that is not in its redirect_uris");
            return self.gate.page(Page::UnknownClient, head);
        }
        if !self.gate.comes_back_to(head) {
            tracing::warn!(client = %client.appid, "an app's request for a code is longer than a sign-in can carry");
            return self.gate.page(Page::UnknownClient, head);
        }
        let login = if wanted.scope.has_userinfo() { Login::Userinfo } else { Login::Base };
        let user = match self.gate.visitor(head, &self.demand.clone().at_least(login)).await {
            Ok(user) => user,
            Err(answer) => return answer,
        };
        let sealed =
            self.seal(Purpose::ClientCode, client, user.session().id(), wanted.scope, CODE_LIFE);
        let mut back = wanted.redirect_uri;
        back.query_pairs_mut().append_pair("code", &sealed).append_pair("state", &wanted.state);
        self.gate.send_back(back.as_str(), head)
    }

    async fn access_token(&self, query: &str) -> Answer {
        let client = self.client(&parameter(query, "appid").unwrap_or_default());
        let client = client.ok_or(refuse(40013, "invalid appid"))?;
        let secret = parameter(query, "secret").unwrap_or_default();
        if !bool::from(secret.as_bytes().ct_eq(client.secret.expose().as_bytes())) {
            return Err(refuse(40125, "invalid appsecret"));
        }
        if parameter(query, "grant_type").as_deref() != Some("authorization_code") {
            return Err(refuse(40002, "invalid grant_type"));
        }
        let code = parameter(query, "code").ok_or(refuse(41008, "missing code"))?;
        let sealed = self.open(Purpose::ClientCode, client, &code);
        let sealed = sealed.ok_or(refuse(40029, "invalid code"))?;
        let once = OneUse::sealed("client-code", &code);
        if !self.gate.store().claim(&once, 2 * CODE_LIFE).await? {
            return Err(refuse(40163, "code been used"));
        }
        if sealed.ends_at <= self.gate.now() {
            return Err(refuse(40029, "invalid code"));
        }
        let user = self.user(&sealed).await?.ok_or(refuse(40029, "invalid code"))?;
        let id = user.session().id();
        let refresh = self.seal(Purpose::ClientRefresh, client, id, sealed.scope, REFRESH_LIFE);
        Ok(self.tokens(client, &user, sealed.scope, &refresh))
    }

    async fn refresh_token(&self, query: &str) -> Answer {
        let client = self.client(&parameter(query, "appid").unwrap_or_default());
        let client = client.ok_or(refuse(40013, "invalid appid"))?;
        if parameter(query, "grant_type").as_deref() != Some("refresh_token") {
            return Err(refuse(40002, "invalid grant_type"));
        }
        let token =
            parameter(query, "refresh_token").ok_or(refuse(41003, "missing refresh_token"))?;
        let sealed = self.open(Purpose::ClientRefresh, client, &token);
        let sealed = sealed.ok_or(refuse(40030, "invalid refresh_token"))?;
        if sealed.ends_at <= self.gate.now() {
            return Err(refuse(42002, "refresh_token expired"));
        }
        let user = self.user(&sealed).await?.ok_or(refuse(40030, "invalid refresh_token"))?;
        // As WeChat's, it is not made to live longer by being used.
        Ok(self.tokens(client, &user, sealed.scope, &token))
    }

    async fn userinfo(&self, query: &str) -> Answer {
        let (user, scope) = self.bearer(query).await?;
        if !scope.has_userinfo() {
            return Err(refuse(48001, "api unauthorized"));
        }
        let mut answer = json!({
            "openid": user.openid().as_str(),
            "nickname": user.nickname().unwrap_or_default(),
            "sex": 0,
            "language": "",
            "city": "",
            "province": "",
            "country": "",
            "headimgurl": user.avatar().unwrap_or_default(),
            "privilege": [],
        });
        name_union(&mut answer, &user);
        Ok(answer)
    }

    /// Whether an access token is good for a user.
    async fn auth(&self, query: &str) -> Answer {
        self.bearer(query).await?;
        Ok(json!({ "errcode": 0, "errmsg": "ok" }))
    }

    /// Whose access token it is that was sent, together with their openid, and what it is good for.
    async fn bearer(&self, query: &str) -> Result<(WechatUser, Scope), Refusal> {
        let token =
            parameter(query, "access_token").ok_or(refuse(41001, "missing access_token"))?;
        let mut clients = self.clients.iter();
        let sealed = clients.find_map(|client| self.open(Purpose::ClientToken, client, &token));
        let sealed = sealed.ok_or(INVALID_TOKEN)?;
        if sealed.ends_at <= self.gate.now() {
            return Err(refuse(42001, "access_token expired"));
        }
        let user = self.user(&sealed).await?.ok_or(INVALID_TOKEN)?;
        if parameter(query, "openid").as_deref() != Some(user.openid().as_str()) {
            return Err(refuse(40003, "invalid openid"));
        }
        Ok((user, sealed.scope))
    }

    fn tokens(
        &self,
        client: &Client,
        user: &WechatUser,
        scope: Scope,
        refresh_token: &str,
    ) -> Value {
        let id = user.session().id();
        let mut answer = json!({
            "access_token": self.seal(Purpose::ClientToken, client, id, scope, TOKEN_LIFE),
            "expires_in": TOKEN_LIFE.as_secs(),
            "refresh_token": refresh_token,
            "openid": user.openid().as_str(),
            "scope": scope.as_str(),
        });
        if scope.has_userinfo() {
            name_union(&mut answer, user);
        }
        answer
    }

    fn client(&self, appid: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.appid.as_str() == appid)
    }

    /// The user of a session that has not ended.
    async fn user(&self, sealed: &Sealed) -> Result<Option<WechatUser>, StoreError> {
        let session = self.gate.store().load(sealed.session).await?;
        Ok(session.map(|session| self.gate.user(session)))
    }

    fn seal(
        &self,
        purpose: Purpose,
        client: &Client,
        session: SessionId,
        scope: Scope,
        life: Duration,
    ) -> String {
        let ends_at = (self.gate.now() + life).unix().to_be_bytes();
        let session = session.as_u128().to_be_bytes();
        let plain = [&session[..], &ends_at, &[u8::from(scope.has_userinfo())]].concat();
        self.gate.keys().seal(purpose, client.appid.as_str(), &plain)
    }

    fn open(&self, purpose: Purpose, client: &Client, sealed: &str) -> Option<Sealed> {
        let plain = self.gate.keys().open(purpose, client.appid.as_str(), sealed).ok()?;
        let (session, rest) = plain.split_first_chunk::<16>()?;
        let (ends_at, rest) = rest.split_first_chunk::<8>()?;
        Some(Sealed {
            session: SessionId::from_u128(u128::from_be_bytes(*session)),
            ends_at: Timestamp::from_unix(u64::from_be_bytes(*ends_at)),
            scope: if rest == [1] { Scope::Userinfo } else { Scope::Base },
        })
    }
}

fn name_union(answer: &mut Value, user: &WechatUser) {
    if let Some(unionid) = user.unionid().map(UnionId::as_str) {
        answer["unionid"] = unionid.into();
    }
}

/// What an app wants of a visitor, where it has said so as WeChat wants to hear it.
struct Wanted {
    appid: String,
    redirect_uri: Url,
    scope: Scope,
    state: String,
}

impl Wanted {
    fn of(query: &str) -> Option<Self> {
        let names = ["appid", "redirect_uri", "response_type", "scope", "state"];
        let [appid, redirect_uri, response_type, scope, state] = parameters(query, names).ok()?;
        let scope = match scope?.as_str() {
            "snsapi_base" => Scope::Base,
            "snsapi_userinfo" => Scope::Userinfo,
            _ => return None,
        };
        if response_type? != "code" {
            return None;
        }
        Some(Self {
            appid: appid?,
            redirect_uri: Url::parse(&redirect_uri?).ok()?,
            scope,
            state: state.unwrap_or_default(),
        })
    }
}

/// Whether an address lies below a listed one: the same origin, nobody's name in it, and the listed path, by whole
/// segments.
pub(crate) fn leads_below(url: &Url, listed: &Url) -> bool {
    let anonymous = url.username().is_empty() && url.password().is_none();
    let below = url.path().strip_prefix(listed.path().trim_end_matches('/'));
    let ambiguous = ["%2f", "%5c", "%2e", "\\", "//"];
    let path = url.path().to_ascii_lowercase();
    // Java servers cut off what follows a semicolon, and climb after that.
    let is_odd =
        |segment: &str| [".;", "..;", ".%3b", "..%3b"].iter().any(|it| segment.starts_with(it));
    let climbs = path.split('/').any(is_odd);
    url.origin() == listed.origin()
        && url.origin().is_tuple()
        && anonymous
        && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        && !ambiguous.iter().any(|odd| path.contains(odd))
        && !climbs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c05_a_code_goes_to_listed_addresses_only() {
        let listed = Url::parse("https://old.example.com/app/").unwrap();
        let leads = |url: &str| Url::parse(url).is_ok_and(|url| leads_below(&url, &listed));
        for good in [
            "https://old.example.com/app",
            "https://old.example.com/app/",
            "https://old.example.com/app/wx?next=%2Fa",
            "https://OLD.example.com:443/app/wx#x",
            "https://old.example.com/app/wx;v=1/..a;/b",
        ] {
            assert!(leads(good), "{good}");
        }
        for bad in [
            "https://old.example.com/",
            "https://old.example.com/apple",
            "https://old.example.com/app/../x",
            "https://old.example.com/app/%2e%2e%2fx",
            "https://old.example.com/app/..;/x",
            "https://old.example.com/app/..%3B/x",
            "https://old.example.com/app/.;v=1/..;v=1/x",
            "https://old.example.com//app/",
            "https://old.example.com:8443/app/",
            "http://old.example.com/app/",
            "https://old.example.com.evil.example/app/",
            "https://evil-old.example.com/app/",
            "https://old.example.com@evil.example/app/",
            "https://user@old.example.com/app/",
            "javascript:alert(1)",
        ] {
            assert!(!leads(bad), "{bad}");
        }
    }
}
