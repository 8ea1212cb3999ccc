//! The login of one site: what it is made of, and how a request is judged by it.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use http::{HeaderValue, Method, Response, StatusCode, Uri, header, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tokio::{runtime::Handle, time::timeout};
use url::form_urlencoded;

use super::{
    LOGOUT, PREFIX,
    attempt::{Attempts, Begun, Loop, Start},
    callback::{self, Flights},
    decision::{self, Decision, Endpoint, Facts, Known, Site},
    identity::WechatUser,
    pages::{Page, Pages},
    path,
    policy::{Login, Policy},
    refresh,
    respond::{Look, Reply},
    return_to::ReturnTo,
};
use crate::{
    clock::{Clock, Timestamp},
    origin::Origin,
    session::{KeyRing, Lookup, Session, SessionId, Store, StoreError, cookie::Cookies},
    wechat::{Account, AccountKind, AuthorizeUrl, Client, Lang, Scope},
};

/// A form of ours holds two short fields.
const LARGEST_FORM: usize = 8 * 1024;
const LONGEST_FORM: Duration = Duration::from_secs(30);

/// The login of one site. Clones are the same login.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Parameters>);

/// What a login is made of. The layer is the builder of it.
#[derive(Clone, Debug)]
pub(crate) struct Parameters {
    pub(crate) account: Account,
    pub(crate) public_url: Origin,
    pub(crate) policy: Policy,
    pub(crate) client: Client,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: KeyRing,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pages: Arc<dyn Pages>,
    pub(crate) lang: Lang,
    pub(crate) profile_life: Duration,
    pub(crate) runtime: Option<Handle>,
    pub(crate) flights: Flights,
}

/// The verdict on a request.
#[derive(Debug)]
pub enum Verdict {
    /// It passes. `None` where nobody is signed in, which the path's policy allows.
    Pass(Option<WechatUser>),
    /// It is answered here.
    Answer(Response<Full<Bytes>>),
    /// It cannot be judged without waiting: go on with [`Gate::attend`].
    Wait(Pending),
}

/// What there is to wait for.
#[derive(Debug)]
pub struct Pending(Wait);

#[derive(Debug)]
enum Wait {
    Load(SessionId),
    Callback(Option<Arc<Session>>),
    Logout(Option<Arc<Session>>),
}

/// What became of a request that had to wait.
#[derive(Debug)]
pub enum Attended<B> {
    /// It passes, with its body.
    Pass(Option<WechatUser>, B),
    /// It is answered.
    Answer(Response<Full<Bytes>>),
}

/// How a request stands before any answer is made of it.
enum Standing {
    Pass(Option<WechatUser>),
    Reply(Reply),
    Wait(Wait),
}

impl Gate {
    /// The parameter of the way back that holds a long target under our seal.
    pub(crate) const SEALED_TARGET: &'static str = "t";

    pub(crate) fn new(parameters: Parameters) -> Self {
        Self(Arc::new(parameters))
    }

    /// Judges a request without waiting. Brings its path into canonical form first, so that what was judged is what
    /// is served.
    pub fn admit(&self, head: &mut Parts) -> Verdict {
        if canonicalise(head).is_err() {
            return Verdict::Answer(self.respond(Reply::page(Page::BadPath), head));
        }
        let standing = match self.0.policy.of(full_uri(head).path()) {
            Login::Off if Endpoint::named_by(full_uri(head).path()).is_none() => {
                Standing::Pass(None)
            }
            _ => match self.cookies().session_id(&head.headers) {
                None => self.judge(head, None),
                Some(id) => match self.0.store.peek(id) {
                    Lookup::Hit(session) => self.judge(head, Some(session)),
                    Lookup::Absent => self.judge(head, None),
                    Lookup::Unknown => Standing::Wait(Wait::Load(id)),
                },
            },
        };
        match standing {
            Standing::Pass(user) => Verdict::Pass(user),
            Standing::Reply(reply) => Verdict::Answer(self.respond(reply, head)),
            Standing::Wait(wait) => Verdict::Wait(Pending(wait)),
        }
    }

    /// Judges a request that has to wait: for the store, for WeChat, or for its own body.
    pub async fn attend<B: Body>(&self, pending: Pending, head: &Parts, body: B) -> Attended<B> {
        let wait = match pending.0 {
            Wait::Load(id) => match self.0.store.load(id).await {
                Ok(session) => match self.judge(head, session) {
                    Standing::Pass(user) => return Attended::Pass(user, body),
                    Standing::Reply(reply) => return Attended::Answer(self.respond(reply, head)),
                    Standing::Wait(wait) => wait,
                },
                Err(error) => return Attended::Answer(self.respond(store_down(&error), head)),
            },
            wait => wait,
        };
        let reply = match wait {
            Wait::Callback(session) => callback::answer(self, head, session.as_ref()).await,
            Wait::Logout(session) => self.log_out(head, body, session).await,
            Wait::Load(_) => Reply::page(Page::Broken), // A loaded session is never loaded again.
        };
        Attended::Answer(self.respond(reply, head))
    }

    /// How pages look here.
    pub fn look(&self) -> Look<'_> {
        Look {
            pages: &*self.0.pages,
            site: self.0.public_url.authority(),
            wechat: self.0.client.endpoints().open().as_str(),
        }
    }

    fn judge(&self, head: &Parts, session: Option<Arc<Session>>) -> Standing {
        let uri = full_uri(head);
        let user = session.map(WechatUser::new);
        let facts = Facts {
            endpoint: Endpoint::named_by(uri.path()),
            method: &head.method,
            headers: &head.headers,
            host: host(head),
            session: user.as_ref().map(WechatUser::known),
            site: self.site(),
        };
        let session = || user.as_ref().map(|user| user.session().clone());
        let reply = match decision::decide(&facts, self.0.policy.of(uri.path())) {
            Decision::Pass => {
                if let Some(user) = &user {
                    refresh::when_due(self, user);
                }
                return Standing::Pass(user);
            }
            Decision::Callback => return Standing::Wait(Wait::Callback(session())),
            Decision::Logout => return Standing::Wait(Wait::Logout(session())),
            Decision::Authorize(scope) => {
                self.begin(head, scope, &self.here(head), Start::ByItself)
            }
            Decision::AskFirst => {
                // A person presses the button, so that is no loop.
                let go = self.login_url(Scope::Userinfo, &self.here(head), true);
                Reply::page(Page::AskFirst { go })
            }
            Decision::GoHome(scope) => Reply::go(self.home_url(scope, &self.here(head))),
            Decision::NotInWeChat => self.not_in_wechat(&self.here(head)),
            Decision::Unauthorized(scope) => self.unauthorized(head, scope),
            Decision::Login => self.log_in(head, &facts),
            Decision::Me => match &user {
                Some(user) => Reply::json(StatusCode::OK, &Me::of(user)),
                None => self.unauthorized(head, Scope::Base),
            },
            Decision::AskLogout => self.ask_logout(uri, user.is_some()),
            Decision::Forbidden => Reply::page(Page::ForeignLogout),
            Decision::NotFound => Reply::page(Page::NotFound),
            Decision::MethodNotAllowed => Reply::page(Page::MethodNotAllowed),
        };
        Standing::Reply(reply)
    }

    /// Sends the browser to WeChat, or stops it where that has been tried too often.
    pub(crate) fn begin(
        &self,
        head: &Parts,
        scope: Scope,
        target: &ReturnTo,
        start: Start<'_>,
    ) -> Reply {
        let scope = match self.0.account.kind() {
            AccountKind::OfficialAccount => scope,
            AccountKind::Website => Scope::Login,
        };
        match self.attempts().begin(&head.headers, scope, target, start) {
            Ok(Begun { attempt, cookies, sealed_target }) => {
                let back = match sealed_target {
                    Some(sealed) => {
                        format!("{}?{}={sealed}", self.url("/callback"), Self::SEALED_TARGET)
                    }
                    None => self.url("/callback"),
                };
                let state = attempt.state.as_str();
                let url = AuthorizeUrl::new(&self.0.account, &back, scope, state)
                    .build(self.0.client.endpoints())
                    .expect("our own state, scope and way back are what WeChat takes");
                Reply::go(url).with_cookies(cookies)
            }
            Err(Loop { last }) => {
                tracing::warn!(?last, "a sign-in was repeated too often and has been stopped");
                let retry = self.login_url(scope, target, true);
                Reply::page(Page::Loop { last, retry })
            }
        }
    }

    /// `/_wx/login`: who is signed in goes on, everybody else is sent to WeChat.
    fn log_in(&self, head: &Parts, facts: &Facts<'_>) -> Reply {
        let query = LoginQuery::of(full_uri(head), &self.0.public_url);
        let known_enough = match query.scope {
            Scope::Base => facts.session.is_some(),
            _ => facts.session == Some(Known::Profile),
        };
        if known_enough {
            return Reply::see(&query.to);
        }
        match decision::start(facts, query.scope) {
            Decision::NotInWeChat => self.not_in_wechat(&query.to),
            // Behind a proxy that rewrites the host, being sent home once has to be enough.
            Decision::GoHome(scope) if !query.moved => Reply::go(self.home_url(scope, &query.to)),
            _ => {
                let start = if query.again { Start::ByHand } else { Start::ByItself };
                self.begin(head, query.scope, &query.to, start)
            }
        }
    }

    fn unauthorized(&self, head: &Parts, scope: Scope) -> Reply {
        // A script's own address is no place to come back to; the page that it runs in is.
        let page = head.headers.get(header::REFERER).and_then(|page| page.to_str().ok());
        let page = ReturnTo::parse(page.unwrap_or_default(), &self.0.public_url);
        let error = if scope == Scope::Base { "login_required" } else { "userinfo_required" };
        let login_url = self.login_url(scope, &page, false);
        Reply::json(
            StatusCode::UNAUTHORIZED,
            &serde_json::json!({ "error": error, "login_url": login_url }),
        )
    }

    fn not_in_wechat(&self, target: &ReturnTo) -> Reply {
        Reply::page(Page::NotInWeChat { url: format!("{}{target}", self.0.public_url) })
    }

    fn ask_logout(&self, uri: &Uri, signed_in: bool) -> Reply {
        if !signed_in {
            return Reply::page(Page::SignedOut);
        }
        let to = parameter(uri.query().unwrap_or_default(), "to")
            .map(|to| ReturnTo::parse(&to, &self.0.public_url));
        let to = to.map(|to| format!("to={}&", encode(to.as_str()))).unwrap_or_default();
        let here = format!("{LOGOUT}?{to}everywhere=0");
        let everywhere = format!("{LOGOUT}?{to}everywhere=1");
        Reply::page(Page::AskLogout { here, everywhere })
    }

    /// Ends the session, or all of the user's, and makes the browser forget every cookie of ours.
    async fn log_out<B: Body>(
        &self,
        head: &Parts,
        body: B,
        session: Option<Arc<Session>>,
    ) -> Reply {
        let form = if is_form(head) {
            match timeout(LONGEST_FORM, read_form(body)).await {
                Ok(Some(form)) => form,
                Ok(None) | Err(_) => return Reply::page(Page::Malformed),
            }
        } else {
            Vec::new()
        };
        let query = full_uri(head).query().unwrap_or_default();
        let form = std::str::from_utf8(&form).unwrap_or_default();
        let field = |name| parameter(query, name).or_else(|| parameter(form, name));
        let everywhere = field("everywhere").is_some_and(|value| value == "1");
        if everywhere && session.is_none() {
            return Reply::page(Page::NobodyToEnd);
        }
        if let Some(session) = session {
            let store = &self.0.store;
            let ended = match store.remove(session.id()).await {
                Ok(()) if everywhere => store.remove_all_of(session.user().key()).await,
                ended => ended,
            };
            if let Err(error) = ended {
                return store_down(&error);
            }
        }
        let to = field("to").map(|to| ReturnTo::parse(&to, &self.0.public_url));
        let reply = match to {
            Some(to) => Reply::see(&to),
            // A protected page would sign in again without a word.
            None => Reply::see(&ReturnTo::sealed(LOGOUT)),
        };
        reply
            .with_cookie(self.cookies().expire(self.cookies().session_name()))
            .with_cookies(self.attempts().forget_all(&head.headers))
    }

    fn respond(&self, reply: Reply, head: &Parts) -> Response<Full<Bytes>> {
        reply.into_response(&head.method, &head.headers, self.look())
    }

    /// The page that the browser wanted.
    fn here(&self, head: &Parts) -> ReturnTo {
        let wanted = full_uri(head).path_and_query().map_or("/", |wanted| wanted.as_str());
        ReturnTo::parse(wanted, &self.0.public_url)
    }

    fn url(&self, endpoint: &str) -> String {
        format!("{}{PREFIX}{endpoint}", self.0.public_url)
    }

    /// The address that starts a sign-in. `again` says that a person has asked for another try.
    pub(crate) fn login_url(&self, scope: Scope, target: &ReturnTo, again: bool) -> String {
        let scope = if scope.has_userinfo() { "userinfo" } else { "base" };
        let again = if again { "&again=1" } else { "" };
        format!("{}?scope={scope}&to={}{again}", self.url("/login"), encode(target.as_str()))
    }

    fn home_url(&self, scope: Scope, target: &ReturnTo) -> String {
        format!("{}&moved=1", self.login_url(scope, target, false))
    }

    pub(crate) fn session_cookie(&self, session: &Session) -> HeaderValue {
        let life = session.ends_at(&self.0.store.lifetimes()).since(self.now());
        self.cookies().set(self.cookies().session_name(), &session.id().expose(), life)
    }

    pub(crate) fn attempts(&self) -> Attempts<'_> {
        Attempts {
            cookies: self.cookies(),
            keys: &self.0.keys,
            appid: self.0.account.appid(),
            now: self.now(),
        }
    }

    fn site(&self) -> Site<'_> {
        let any_browser = self.0.account.kind() == AccountKind::Website
            || self.0.client.endpoints().open().is_loopback();
        Site { public_url: &self.0.public_url, any_browser }
    }

    pub(crate) fn cookies(&self) -> Cookies {
        Cookies::new(self.0.public_url.is_secure())
    }

    /// Runs work that has to outlive the request.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        match &self.0.runtime {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        };
    }

    pub(crate) fn parameters(&mut self) -> &mut Parameters {
        Arc::make_mut(&mut self.0)
    }

    pub(crate) fn account(&self) -> &Account {
        &self.0.account
    }

    /// The address that browsers know.
    pub fn public_url(&self) -> &Origin {
        &self.0.public_url
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    /// The app's own session data of a request.
    #[cfg(feature = "tower-sessions")]
    pub(crate) fn app_session(&self, user: Option<&WechatUser>) -> tower_sessions_core::Session {
        crate::session::app_data::open(&self.0.store, user.map(WechatUser::session))
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.0.flights
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn lang(&self) -> Lang {
        self.0.lang
    }

    pub(crate) fn profile_life(&self) -> Duration {
        self.0.profile_life
    }

    /// How long the user's session can last at the most.
    #[cfg(feature = "gateway")]
    pub(crate) fn time_left(&self, user: &WechatUser) -> Duration {
        user.session().ends_at(&self.0.store.lifetimes()).since(self.now())
    }

    /// Whether the path's policy looks for nobody.
    pub(crate) fn is_off(&self, head: &Parts) -> bool {
        self.0.policy.of(full_uri(head).path()) == Login::Off
    }
}

/// Who is signed in, as `/_wx/me` tells it.
#[derive(Serialize)]
struct Me<'a> {
    subject: &'a str,
    appid: &'a str,
    openid: &'a str,
    unionid: Option<&'a str>,
    scope: &'a str,
    nickname: Option<&'a str>,
    avatar: Option<&'a str>,
    signed_in_at: u64,
}

impl<'a> Me<'a> {
    fn of(user: &'a WechatUser) -> Self {
        Self {
            subject: user.subject(),
            appid: user.appid().as_str(),
            openid: user.openid().as_str(),
            unionid: user.unionid().map(crate::wechat::UnionId::as_str),
            scope: user.scope().as_str(),
            nickname: user.nickname(),
            avatar: user.avatar(),
            signed_in_at: user.signed_in_at().unix(),
        }
    }
}

/// What `/_wx/login` was asked for.
struct LoginQuery {
    to: ReturnTo,
    scope: Scope,
    again: bool,
    moved: bool,
}

impl LoginQuery {
    fn of(uri: &Uri, site: &Origin) -> Self {
        let value = |name| parameter(uri.query().unwrap_or_default(), name);
        let is = |name, wanted| value(name).is_some_and(|value| value == wanted);
        Self {
            to: value("to").map_or_else(ReturnTo::home, |to| ReturnTo::parse(&to, site)),
            scope: if is("scope", "userinfo") { Scope::Userinfo } else { Scope::Base },
            again: is("again", "1"),
            moved: is("moved", "1"),
        }
    }
}

fn store_down(error: &StoreError) -> Reply {
    tracing::error!(%error, "a request could not be judged");
    Reply::page(Page::StoreDown)
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

fn encode(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

/// The body of a form, unless it is cut off or far too long.
async fn read_form<B: Body>(body: B) -> Option<Vec<u8>> {
    let mut form = Vec::new();
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        let Ok(mut data) = frame.ok()?.into_data() else { continue };
        if form.len() + data.remaining() > LARGEST_FORM {
            return None;
        }
        while data.has_remaining() {
            let chunk = data.chunk();
            form.extend_from_slice(chunk);
            let read = chunk.len();
            data.advance(read);
        }
    }
    Some(form)
}

fn is_form(head: &Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    head.method == Method::POST
        && kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded"))
}

/// Brings the path into canonical form, where this request's can still be changed.
fn canonicalise(head: &mut Parts) -> Result<(), path::BadPath> {
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>() {
        // axum has routed by the path as it came, so another form of it is too late now.
        return path::check(original.path());
    }
    path::canonicalise(head)
}

/// The address as it came, also inside a nested router.
fn full_uri(head: &Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = head.extensions.get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    &head.uri
}

fn host(head: &Parts) -> Option<&str> {
    let named = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    head.uri.authority().map(http::uri::Authority::as_str).or(named)
}
