//! The login of one site: what it is made of, and how a request is judged by it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::Full;
use tokio::runtime::Handle;

use super::{
    attempt::{Attempts, Start},
    callback::{self, Flights},
    decision::{self, Decision, Endpoint, Facts, Site},
    identity::WechatUser,
    log_out,
    me::Me,
    pages::{Page, Pages},
    policy::{Login, Policy},
    refresh,
    request::{canonicalise, full_uri, host},
    respond::{Look, Reply},
    start,
};
use crate::{
    clock::{Clock, Timestamp},
    origin::Origin,
    session::{KeyRing, Lookup, Session, SessionId, Store, cookie::Cookies},
    wechat::{Account, AccountKind, Client, Lang, Scope},
};

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
    /// It passes.
    Pass(Visitor),
    /// It is answered here.
    Answer(Response<Full<Bytes>>),
    /// It cannot be judged without waiting: go on with [`Gate::attend`].
    Wait(Pending),
}

/// Who sent a request that passes.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// The path's policy is `off`, so nobody was looked for.
    Unasked,
    /// Nobody is signed in.
    Anonymous,
    /// Somebody is.
    SignedIn(WechatUser),
}

impl Visitor {
    /// The user, if one is known.
    pub fn user(&self) -> Option<&WechatUser> {
        match self {
            Self::SignedIn(user) => Some(user),
            Self::Unasked | Self::Anonymous => None,
        }
    }
}

/// What there is to wait for.
#[derive(Debug)]
pub struct Pending(Wait);

#[derive(Debug)]
enum Wait {
    Load(SessionId, Login),
    Callback(Option<Arc<Session>>),
    Logout(Option<Arc<Session>>),
}

/// What became of a request that had to wait.
#[derive(Debug)]
pub enum Attended<B> {
    /// It passes, with its body.
    Pass(Visitor, B),
    /// It is answered.
    Answer(Response<Full<Bytes>>),
}

/// How a request stands before any answer is made of it.
enum Standing {
    Pass(Visitor),
    Reply(Reply),
    Wait(Wait),
}

impl Gate {
    pub(crate) fn new(parameters: Parameters) -> Self {
        Self(Arc::new(parameters))
    }

    /// Judges a request without waiting. Brings its path into canonical form first, so that what was judged is what
    /// is served.
    pub fn admit(&self, head: &mut Parts) -> Verdict {
        if canonicalise(head).is_err() {
            return Verdict::Answer(self.respond(Reply::page(Page::BadPath), head));
        }
        let path = full_uri(head).path();
        let login = self.0.policy.of(path);
        let standing = if login == Login::Off && Endpoint::named_by(path).is_none() {
            Standing::Pass(Visitor::Unasked)
        } else {
            match self.cookies().session_id(&head.headers) {
                None => self.judge(head, login, None),
                Some(id) => match self.0.store.peek(id) {
                    Lookup::Hit(session) => self.judge(head, login, Some(session)),
                    Lookup::Absent => self.judge(head, login, None),
                    Lookup::Unknown => Standing::Wait(Wait::Load(id, login)),
                },
            }
        };
        match standing {
            Standing::Pass(visitor) => Verdict::Pass(visitor),
            Standing::Reply(reply) => Verdict::Answer(self.respond(reply, head)),
            Standing::Wait(wait) => Verdict::Wait(Pending(wait)),
        }
    }

    /// Judges a request that has to wait: for the store, for WeChat, or for its own body.
    pub async fn attend<B: Body>(&self, pending: Pending, head: &Parts, body: B) -> Attended<B> {
        let wait = match pending.0 {
            Wait::Load(id, login) => match self.0.store.load(id).await {
                Ok(session) => match self.judge(head, login, session) {
                    Standing::Pass(visitor) => return Attended::Pass(visitor, body),
                    Standing::Reply(reply) => return Attended::Answer(self.respond(reply, head)),
                    Standing::Wait(wait) => wait,
                },
                Err(error) => {
                    return Attended::Answer(self.respond(Reply::store_down(&error), head));
                }
            },
            wait => wait,
        };
        let reply = match wait {
            Wait::Callback(session) => callback::answer(self, head, session.as_ref()).await,
            Wait::Logout(session) => log_out::finish(self, head, body, session).await,
            Wait::Load(..) => Reply::page(Page::Broken), // A loaded session is never loaded again.
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

    fn judge(&self, head: &Parts, login: Login, session: Option<Arc<Session>>) -> Standing {
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
        let here = || start::here(self, head);
        let reply = match decision::decide(&facts, login) {
            Decision::Pass => {
                if let Some(user) = &user {
                    refresh::when_due(self, user);
                }
                return Standing::Pass(user.map_or(Visitor::Anonymous, Visitor::SignedIn));
            }
            Decision::Callback => return Standing::Wait(Wait::Callback(session())),
            Decision::Logout => return Standing::Wait(Wait::Logout(session())),
            Decision::Authorize(scope) => start::begin(self, head, scope, &here(), Start::ByItself),
            Decision::AskFirst => {
                // A person presses the button, so that is no loop.
                let go = start::login_url(self, Scope::Userinfo, &here(), true);
                Reply::page(Page::AskFirst { go })
            }
            Decision::GoHome(scope) => Reply::go(start::home_url(self, scope, &here())),
            Decision::NotInWeChat => start::not_in_wechat(self, &here()),
            Decision::Unauthorized(scope) => start::unauthorized(self, head, scope),
            Decision::Login => start::log_in(self, head, &facts),
            Decision::Me => match &user {
                Some(user) => Reply::json(StatusCode::OK, &Me::of(user)),
                None => start::unauthorized(self, head, Scope::Base),
            },
            Decision::AskLogout => log_out::ask(self, uri, user.is_some()),
            Decision::Forbidden => Reply::page(Page::ForeignLogout),
            Decision::NotFound => Reply::page(Page::NotFound),
            Decision::MethodNotAllowed => Reply::page(Page::MethodNotAllowed),
        };
        Standing::Reply(reply)
    }

    fn respond(&self, reply: Reply, head: &Parts) -> Response<Full<Bytes>> {
        reply.into_response(&head.method, &head.headers, self.look())
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
}
