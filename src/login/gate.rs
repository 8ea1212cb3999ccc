//! The login of one site: how a request is judged by it.

mod accounts;
mod doors;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::Full;

use super::{
    attempt::{Attempts, Start},
    callback::{self, Flights, Way},
    decision::{self, Asker, Decision, Endpoint, Facts, Site},
    follower,
    identity::WechatUser,
    log_out,
    me::Me,
    messages,
    observe::Event,
    pages::Page,
    parameters::Parameters,
    policy::{Demand, Login},
    refresh,
    request::{canonicalise, full_uri, host},
    respond::{Look, Reply, share_with},
    start,
    ticket::SignInSite,
};
use crate::{
    clock::{Clock, Timestamp},
    keeper::{Keeper, ServerTokens},
    origin::Origin,
    session::{KeyRing, Lookup, Session, SessionId, Store, StoreError, cookie::Cookies, token},
    wechat::{Account, AccountKind, AppId, Client, Lang, Scope},
};

/// The login of one site with one account. Clones are the same login.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Parameters>);

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
    Load(SessionId, Demand, Asker),
    Callback(Way, Option<Arc<Session>>),
    Logout(Option<Arc<Session>>),
    Message,
    Follower(Arc<Session>, Demand, Asker),
    Door(Option<WechatUser>),
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
        let demand = match canonicalise(head) {
            Ok(()) => self.0.policy.of(full_uri(head).path()),
            Err(_) => return self.refuse(Page::BadPath, head),
        };
        match demand {
            Ok(demand) => self.admit_by(head, demand, Asker::Visitor),
            Err(_) => self.refuse(Page::BadPath, head),
        }
    }

    /// Judges a request with a canonical path by what that path asks.
    pub(crate) fn admit_by(&self, head: &Parts, demand: &Demand, asker: Asker) -> Verdict {
        match self.spoken_of(head) {
            Some(website) => website.judge_by(head, demand, asker),
            None => self.judge_by(head, demand, asker),
        }
    }

    fn judge_by(&self, head: &Parts, demand: &Demand, asker: Asker) -> Verdict {
        let standing = if demand.login() == Login::Off
            && Endpoint::named_by(full_uri(head).path()).is_none()
        {
            Standing::Pass(Visitor::Unasked)
        } else {
            match self.session_id(head) {
                None => self.judge(head, demand, asker, None),
                Some(id) => match self.0.store.peek(id) {
                    Lookup::Hit(session) => {
                        self.judge(head, demand, asker, self.looked(Some(session)))
                    }
                    Lookup::Absent => self.judge(head, demand, asker, self.looked(None)),
                    Lookup::Unknown => Standing::Wait(Wait::Load(id, demand.clone(), asker)),
                },
            }
        };
        match standing {
            Standing::Pass(visitor) => Verdict::Pass(visitor),
            Standing::Reply(reply) => Verdict::Answer(self.respond(reply, head)),
            Standing::Wait(wait) => Verdict::Wait(Pending(wait)),
        }
    }

    fn refuse(&self, page: Page, head: &Parts) -> Verdict {
        Verdict::Answer(self.respond(Reply::page(page), head))
    }

    /// A page of ours, or its word for a script.
    #[cfg(feature = "gateway")]
    pub(crate) fn page(&self, page: Page, head: &Parts) -> Response<Full<Bytes>> {
        self.respond(Reply::page(page), head)
    }

    /// Sends a browser that came with an app's sign-in back to the app, to an address that has been checked.
    #[cfg(feature = "gateway")]
    pub(crate) fn send_back(&self, url: &str, head: &Parts) -> Response<Full<Bytes>> {
        self.respond(Reply::back_to_app(url.to_owned()), head)
    }

    /// Whether a sign-in would come back to this very request.
    #[cfg(feature = "gateway")]
    pub(crate) fn comes_back_to(&self, head: &Parts) -> bool {
        start::comes_back_to(self, head)
    }

    /// The user who has sent a request, or the answer that leads to one.
    #[cfg(feature = "gateway")]
    pub(crate) async fn visitor(
        &self,
        head: &Parts,
        demand: &Demand,
    ) -> Result<WechatUser, Response<Full<Bytes>>> {
        let visitor = match self.admit_by(head, demand, Asker::Visitor) {
            Verdict::Pass(visitor) => visitor,
            Verdict::Answer(answer) => return Err(answer),
            Verdict::Wait(pending) => {
                match self.attend(pending, head, http_body_util::Empty::<Bytes>::new()).await {
                    Attended::Pass(visitor, _) => visitor,
                    Attended::Answer(answer) => return Err(answer),
                }
            }
        };
        match visitor {
            Visitor::SignedIn(user) => Ok(user),
            Visitor::Unasked | Visitor::Anonymous => Err(self.page(Page::Broken, head)),
        }
    }

    /// Judges a request that has to wait: for the store, for WeChat, or for its own body.
    pub async fn attend<B: Body>(&self, pending: Pending, head: &Parts, body: B) -> Attended<B> {
        match self.spoken_of(head) {
            Some(website) => website.attend_to(pending, head, body).await,
            None => self.attend_to(pending, head, body).await,
        }
    }

    async fn attend_to<B: Body>(&self, pending: Pending, head: &Parts, body: B) -> Attended<B> {
        let mut wait = pending.0;
        let reply = loop {
            let standing = match wait {
                Wait::Load(id, demand, asker) => match self.0.store.load(id).await {
                    Ok(session) => self.judge(head, &demand, asker, self.looked(session)),
                    Err(error) => break self.cannot_look(&error, head),
                },
                Wait::Follower(session, demand, asker) => {
                    match follower::follows(self, head, &session).await {
                        Ok(follows) => {
                            self.judge_knowing(head, &demand, asker, Some(session), Some(follows))
                        }
                        Err(reply) => break reply,
                    }
                }
                Wait::Callback(way, session) => {
                    break callback::answer(self, head, way, session.as_ref()).await;
                }
                Wait::Logout(session) => break log_out::finish(self, head, body, session).await,
                Wait::Message => break messages::answer(self, head, body).await,
                Wait::Door(user) => break self.open_door(head, body, user).await,
            };
            match standing {
                Standing::Pass(visitor) => return Attended::Pass(visitor, body),
                Standing::Reply(reply) => break reply,
                Standing::Wait(next) => wait = next,
            }
        };
        Attended::Answer(self.respond(reply, head))
    }

    /// The answer to a request whose session cannot be looked up.
    fn cannot_look(&self, error: &StoreError, head: &Parts) -> Reply {
        let reply = self.store_down(error);
        let asks_who_it_is = Endpoint::named_by(full_uri(head).path()) == Some(Endpoint::Me);
        if asks_who_it_is { reply.for_programs() } else { reply }
    }

    /// How pages look here.
    pub fn look(&self) -> Look<'_> {
        Look {
            pages: &*self.0.pages,
            site: self.0.public_url.authority(),
            wechat: self.0.client.endpoints().open().as_str(),
            sign_in_at: self.0.sign_in_at.as_ref().map(|site| site.url.as_str()),
        }
    }

    fn judge(
        &self,
        head: &Parts,
        demand: &Demand,
        asker: Asker,
        session: Option<Arc<Session>>,
    ) -> Standing {
        self.judge_knowing(head, demand, asker, session, None)
    }

    /// The same where it has been found out whether the user follows the account.
    fn judge_knowing(
        &self,
        head: &Parts,
        demand: &Demand,
        asker: Asker,
        session: Option<Arc<Session>>,
        follows: Option<bool>,
    ) -> Standing {
        let uri = full_uri(head);
        let is_own = |appid: &AppId| *self.0.account.appid() == *appid;
        let is_ours = |session: &Arc<Session>| {
            let appid = &session.user().key().appid;
            // A browser can be sent to sign in with the other account. A client with a token has no other.
            is_own(appid)
                || (self.accepts(appid)
                    && (token::is_in(&head.headers) || !demand.is_for_own_account()))
        };
        let user = session.filter(is_ours).map(|session| self.user(session));
        let facts = Facts {
            endpoint: Endpoint::named_by(uri.path()),
            method: &head.method,
            headers: &head.headers,
            host: host(head),
            session: user.as_ref().map(WechatUser::known),
            is_admitted: user.as_ref().is_none_or(|user| {
                demand.admits(user) && (!demand.is_for_own_account() || is_own(user.appid()))
            }),
            follows: follows.or_else(|| {
                let user = user.as_ref().filter(|_| demand.is_for_followers())?;
                self.keeper().followers.peek(user.session().user().key())
            }),
            asker,
            site: self.site(),
        };
        let session = || user.as_ref().map(|user| user.session().clone());
        let here = || start::here(self, head);
        let reply = match decision::decide(&facts, demand) {
            Decision::Pass => {
                if let Some(user) = &user {
                    refresh::when_due(self, user);
                }
                return Standing::Pass(user.map_or(Visitor::Anonymous, Visitor::SignedIn));
            }
            Decision::Callback => return Standing::Wait(Wait::Callback(Way::Code, session())),
            Decision::Accept if self.0.sign_in_at.is_some() => {
                return Standing::Wait(Wait::Callback(Way::Ticket, session()));
            }
            Decision::Logout => return Standing::Wait(Wait::Logout(session())),
            Decision::Messages if messages::are_taken(self) => {
                return Standing::Wait(Wait::Message);
            }
            Decision::Authorize(scope) => start::begin(self, head, scope, &here(), Start::ByItself),
            Decision::AskFirst => start::ask_first(self, &here()),
            Decision::GoHome(scope) => Reply::go(start::home_url(self, scope, &here())),
            Decision::NotInWeChat(scope, outside) => {
                start::outside_wechat(self, head, scope, outside, &here())
            }
            Decision::KeepFragment(scope) => {
                start::keep_fragment(self, head, scope, demand.outside())
            }
            Decision::Unauthorized(scope) => {
                start::unauthorized(self, head, scope, demand.outside())
            }
            Decision::Preflight => Reply::preflight(&head.headers),
            Decision::NotAdmitted => Reply::page(Page::NotAdmitted { logout: log_out::page(self) }),
            Decision::LookWhoFollows => match session() {
                Some(session) => {
                    return Standing::Wait(Wait::Follower(session, demand.clone(), asker));
                }
                None => Reply::page(Page::Broken), // Nobody asks whether nobody follows.
            },
            Decision::Follow => follower::ask_to_follow(self, &here()),
            Decision::Login => start::log_in(self, head, &facts, session().as_deref()),
            Decision::Me => match &user {
                Some(user) => Reply::json(StatusCode::OK, &Me::of(user)),
                None => start::unauthorized(self, head, Scope::Base, None),
            },
            Decision::Script => Reply::script(),
            Decision::AskLogout => log_out::ask(self, uri, user.is_some()),
            Decision::ForeignLogout => {
                Reply::page(Page::ForeignLogout { logout: log_out::page(self) })
            }
            Decision::NotForProxies => Reply::page(Page::NotForProxies),
            Decision::NotFound if self.door(uri.path()).is_some() => {
                return Standing::Wait(Wait::Door(user));
            }
            Decision::NotFound | Decision::Accept | Decision::Messages => {
                Reply::page(Page::NotFound)
            }
            Decision::MethodNotAllowed => Reply::page(Page::MethodNotAllowed),
        };
        Standing::Reply(reply)
    }

    fn respond(&self, reply: Reply, head: &Parts) -> Response<Full<Bytes>> {
        let origin = self.site().listed_origin(&head.headers);
        let mut response = reply.into_response(&head.method, &head.headers, self.look());
        if !self.0.cors_origins.is_empty() {
            share_with(origin, response.headers_mut());
        }
        response
    }

    pub(crate) fn session_cookie(&self, session: &Session) -> HeaderValue {
        let life = session.ends_at(&self.0.store.lifetimes()).since(self.now());
        self.cookies().set(self.cookies().session_name(), &session.id().expose(), life)
    }

    pub(crate) fn attempts(&self) -> Attempts<'_> {
        Attempts {
            cookies: self.cookies(),
            keys: &self.0.keys,
            site: &self.0.public_url,
            appid: self.0.account.appid(),
            now: self.now(),
        }
    }

    /// Whether there is another way in than our own pages.
    #[cfg(feature = "gateway")]
    pub(crate) fn has_doors(&self) -> bool {
        !self.0.doors.is_empty()
    }

    fn site(&self) -> Site<'_> {
        let kind = self.0.account.kind();
        let every = kind == AccountKind::Website
            || self.0.sign_in_at.as_ref().is_some_and(|site| site.any_browser)
            || (self.0.client.endpoints().open().is_loopback() && kind != AccountKind::Wecom);
        let is_wecom = kind == AccountKind::Wecom;
        // WeCom's page for desktops tells who somebody is, and nothing more.
        let silent = is_wecom && self.0.account.agentid().is_some();
        let any_browser = every.then_some(Scope::Login).or(silent.then_some(Scope::Base));
        let Parameters { public_url, cors_origins, outside, .. } = &*self.0;
        Site { public_url, any_browser, is_wecom, outside: *outside, cors_origins }
    }

    /// The session that a request names, by its token or else by its cookie.
    fn session_id(&self, head: &Parts) -> Option<SessionId> {
        if token::is_in(&head.headers) {
            token::named_in(&head.headers)
        } else {
            self.cookies().session_id(&head.headers)
        }
    }

    /// The user of a session, as this login names people.
    pub(crate) fn user(&self, session: Arc<Session>) -> WechatUser {
        WechatUser::new(session, self.0.subject)
    }

    pub(crate) fn cookies(&self) -> Cookies<'_> {
        Cookies::new(self.0.public_url.is_secure(), &self.0.session_name)
    }

    /// Runs work that has to outlive the request.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        match &self.0.runtime {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        };
    }

    /// Runs work that has to outlive the request, and waits for what comes of it. None where it broke.
    #[cfg(feature = "doors")]
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, outcome) = tokio::sync::oneshot::channel();
        self.spawn(async move {
            // Nobody waits any more where this fails.
            sender.send(work.await).ok();
        });
        outcome.await.ok()
    }

    /// Tells the observer, if there is one.
    pub(crate) fn saw(&self, event: Event) {
        if let Some(observer) = &self.0.observer {
            observer.saw(event);
        }
    }

    fn looked(&self, session: Option<Arc<Session>>) -> Option<Arc<Session>> {
        self.saw(Event::SessionLooked { found: session.is_some() });
        session
    }

    /// The answer while the store is down.
    pub(crate) fn store_down(&self, error: &StoreError) -> Reply {
        self.saw(Event::StoreDown);
        Reply::store_down(error)
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

    #[cfg(feature = "gateway")]
    pub(crate) fn policy(&self) -> &super::policy::Policy {
        &self.0.policy
    }

    pub(crate) fn account_name(&self) -> Option<&str> {
        self.0.account_name.as_deref()
    }

    pub(crate) fn sign_in_at(&self) -> Option<&SignInSite> {
        self.0.sign_in_at.as_ref()
    }

    pub(crate) fn partners(&self) -> &[Origin] {
        &self.0.partners
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.0.keys
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    /// What the account has in common for all of its users.
    pub(crate) fn keeper(&self) -> &Keeper {
        let Parameters { keeper, client, store, clock, runtime, .. } = &*self.0;
        keeper.get_or_init(|| {
            let tokens = ServerTokens::new(client.clone(), store.clone(), clock.clone());
            Keeper::new(match runtime {
                Some(runtime) => tokens.on_runtime(runtime.clone()),
                None => tokens,
            })
        })
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.0.store
    }

    #[cfg(feature = "gateway")]
    pub(crate) fn shared_store(&self) -> Arc<dyn Store> {
        self.0.store.clone()
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

#[cfg(all(test, feature = "memory"))]
mod tests;
