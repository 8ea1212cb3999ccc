//! The way back from WeChat, or from a sign-in site: one exchange for each sign-in, however often the browser comes.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, Uri, request::Parts};
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::sync::watch;

use super::{
    attempt::{Attempt, LIFE, Progress, Start},
    gate::Gate,
    observe::Event,
    once::{self, Once},
    pages::Page,
    request::{Twice, parameters},
    respond::Reply,
    return_to::ReturnTo,
    sign_in::{self, Proof},
    start::{self, Hint, SEALED_TARGET, login_url},
    state::State,
    ticket, wecom,
};
use crate::{
    clock::Timestamp,
    keeper::KeeperError,
    secret::Code,
    session::{OneUse, Session, SessionId, StoreError},
    wechat::{AccountKind, AppId, Call, ErrCode, Error, Kind, Reaction, Scope},
};

/// How long twins of a callback share its outcome.
const SHARED: Duration = Duration::from_secs(60);
/// How long a code stays burned: longer than anybody can come with it, who may have been let in at the last moment or by
/// an instance with another clock.
const BURNED: Duration = Duration::from_secs(2 * LIFE.as_secs());
/// Bounded, since anybody can begin a sign-in.
const MOST_FLIGHTS: u64 = 100_000;

/// Which way a browser comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From WeChat, with a code.
    Code,
    /// From the site that signs people in for this one, with a ticket.
    Ticket,
}

impl Way {
    fn parameter(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Ticket => "ticket",
        }
    }
}

/// What the redirect back carries.
#[derive(Debug)]
pub(crate) struct Query {
    pub(crate) state: Option<State>,
    /// A code or a ticket. None means that the user refused.
    pub(crate) code: Option<Code>,
    sealed_target: Option<String>,
}

/// A query that WeChat does not make: a parameter twice, or a code that is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Query {
    pub(crate) fn parse(uri: &Uri, way: Way) -> Result<Self, Malformed> {
        let names = ["state", way.parameter(), SEALED_TARGET];
        let values = parameters(uri.query().unwrap_or_default(), names);
        let [state, code, sealed_target] = values.map_err(|Twice| Malformed)?;
        let is_code = |c: &String| {
            c.len() <= 512 && c.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if !code.as_ref().is_none_or(is_code) {
            return Err(Malformed);
        }
        Ok(Self {
            state: state.as_deref().and_then(State::parse),
            code: code.filter(|code| !code.is_empty() && code != "authdeny").map(Code::new),
            sealed_target,
        })
    }
}

/// How a sign-in ended.
#[derive(Clone, Debug)]
enum Outcome {
    SignedIn(Arc<Session>),
    /// The user is on a snapshot page, where WeChat makes people up.
    Snapshot,
    /// The code was exchanged before, by somebody who is not here any more.
    Used,
    Refused(Error),
    /// WeCom says that it is nobody of the corp.
    NotAMember,
    /// WeChat could not be asked.
    Unasked,
    StoreDown(StoreError),
    /// The task that did the exchange is gone.
    Lost,
}

impl Outcome {
    /// Tells how a sign-in ended, once for all of its twins.
    fn tell(&self, gate: &Gate) {
        match self {
            Self::SignedIn(session) => gate.saw(Event::SignedIn { scope: session.scope() }),
            Self::Snapshot => gate.saw(Event::Snapshot),
            Self::Refused(error) => gate.saw(Event::failed(error)),
            // Each request that is answered with 503 tells of the store.
            Self::StoreDown(_) | Self::Unasked | Self::NotAMember | Self::Used | Self::Lost => {}
        }
    }
}

/// What other instances are told of an outcome, in front of the id of a session.
const SIGNED_IN: u8 = b's';
const SNAPSHOT: u8 = b'v';
const NOTHING: u8 = b'n';

impl Outcome {
    /// What other instances are told. None where nothing was settled.
    fn told(&self) -> Option<Vec<u8>> {
        match self {
            Self::SignedIn(session) => {
                Some([&[SIGNED_IN][..], &session.id().as_u128().to_be_bytes()].concat())
            }
            Self::Snapshot => Some(vec![SNAPSHOT]),
            // Why, is told to the browser that came first. Its twins start again as it does.
            Self::Refused(_) | Self::NotAMember | Self::Unasked | Self::Used => Some(vec![NOTHING]),
            Self::StoreDown(_) | Self::Lost => None,
        }
    }

    /// What another instance has told.
    async fn heard(gate: &Gate, told: &[u8]) -> Self {
        let (kind, id) = told.split_first().unwrap_or((&NOTHING, &[]));
        match (*kind, id.first_chunk()) {
            (SNAPSHOT, _) => Self::Snapshot,
            (SIGNED_IN, Some(id)) => {
                let id = SessionId::from_u128(u128::from_be_bytes(*id));
                match gate.store().load(id).await {
                    Ok(Some(session)) => Self::SignedIn(session),
                    Ok(None) => Self::Used,
                    Err(error) => Self::StoreDown(error),
                }
            }
            _ => Self::Used,
        }
    }
}

/// A sign-in that is being finished, or was.
#[derive(Clone, Debug)]
struct Flight {
    began_at: Timestamp,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// The sign-ins that are being finished, and those that were within the last minute.
#[derive(Clone, Debug)]
pub(crate) struct Flights(Cache<(AppId, Box<str>), Flight>);

impl Default for Flights {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(MOST_FLIGHTS)
            .time_to_live(2 * SHARED) // frees memory only, by a clock of its own
            .eviction_policy(EvictionPolicy::lru());
        Self(cache.build())
    }
}

/// Answers a callback. `live` is the browser's session, if it has one.
pub(crate) async fn answer(
    gate: &Gate,
    head: &Parts,
    way: Way,
    live: Option<&Arc<Session>>,
) -> Reply {
    let Ok(query) = Query::parse(&head.uri, way) else {
        return Reply::page(Page::Malformed);
    };
    let attempts = gate.attempts();
    let attempt = query.state.as_ref().and_then(|state| attempts.find(&head.headers, state));
    let Some(attempt) = attempt else {
        // Somebody else's link, or one that is over. Nothing happens; who is signed in goes on.
        return match live {
            Some(_) => Reply::back(&ReturnTo::home()),
            None => Reply::page(Page::Meaningless),
        };
    };
    let sealed = query.sealed_target.as_deref();
    let Some(target) = attempts.target(&attempt, sealed) else {
        return Reply::page(Page::Malformed);
    };
    let Some(code) = query.code else {
        gate.saw(Event::Returned);
        gate.saw(Event::Refused);
        let retry = login_url(gate, attempt.scope, &target, Hint::Again);
        // The sign-in stays open: somebody who goes back and allows it after all comes with a fresh code.
        return Reply::page(Page::Refused { retry });
    };
    let came = Came { gate, head, attempt, target, live };
    // A sign-in that was finished is not finished again, but its twins are answered alike.
    match finish(gate, &came, way, code).await {
        Outcome::SignedIn(session) => came.welcome(&session).await,
        Outcome::Used => came.start_again(None),
        Outcome::Refused(error) => came.explain(error),
        Outcome::Snapshot => {
            let retry = login_url(gate, came.attempt.scope, &came.target, Hint::Again);
            Reply::page(Page::Snapshot { retry }).with_cookie(attempts.forget(&came.attempt))
        }
        Outcome::NotAMember => {
            let retry = login_url(gate, came.attempt.scope, &came.target, Hint::Again);
            Reply::page(Page::NotAMember { retry }).with_cookie(attempts.forget(&came.attempt))
        }
        Outcome::Unasked => {
            let retry = login_url(gate, came.attempt.scope, &came.target, Hint::Again);
            Reply::page(Page::WechatDown { retry })
        }
        Outcome::StoreDown(error) => gate.store_down(&error),
        Outcome::Lost => Reply::page(Page::Broken),
    }
}

/// Joins the sign-in's flight, or is the first of it. The first one's work goes on when its client hangs up:
/// the code is burned either way, and a twin may still be waiting.
async fn finish(gate: &Gate, came: &Came<'_>, way: Way, code: Code) -> Outcome {
    let appid = gate.account().appid();
    let key = (appid.clone(), Box::from(came.attempt.state.as_str()));
    let mut started = None;
    let entry = gate.flights().0.entry(key.clone()).or_insert_with(|| {
        let (sender, outcome) = watch::channel(None);
        started = Some(sender);
        Flight { began_at: gate.now(), outcome }
    });
    let was_done = came.attempt.progress == Progress::Done;
    match started {
        Some(sender) if !was_done => {
            let replaces = gate.cookies().session_id(&came.head.headers);
            let (gate, state) = (gate.clone(), came.attempt.state.clone());
            gate.clone().spawn(async move {
                let outcome = land(&gate, &state, way, &code, replaces).await;
                sender.send_replace(Some(outcome));
            });
        }
        Some(sender) => {
            gate.saw(Event::Twin);
            sender.send_replace(Some(Outcome::Used));
        }
        None => gate.saw(Event::Twin),
    }
    let mut flight = entry.into_value();
    if gate.now().since(flight.began_at) >= SHARED {
        return Outcome::Used;
    }
    let outcome = flight.outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
    let outcome = outcome.ok().flatten().unwrap_or(Outcome::Lost);
    if matches!(outcome, Outcome::StoreDown(_) | Outcome::Lost) {
        // Nothing was settled, so the next one to come tries anew. What was sent is burned by its claim.
        gate.flights().0.invalidate(&key);
    }
    outcome
}

/// Finishes a sign-in, or learns how another instance has.
async fn land(
    gate: &Gate,
    state: &State,
    way: Way,
    code: &Code,
    replaces: Option<SessionId>,
) -> Outcome {
    let (once, life, brought) = match way {
        Way::Code => (OneUse::exchange(gate.account().appid(), code), BURNED, None),
        Way::Ticket => match ticket::open(gate, state, code.expose()) {
            Some((id, once, life)) => (once, life, Some(id)),
            None => return Outcome::Used,
        },
    };
    let work = async || {
        gate.saw(Event::Returned);
        let outcome = match brought {
            None => exchange(gate, code, replaces).await,
            Some(id) => redeem(gate, id, replaces).await,
        };
        outcome.tell(gate);
        outcome
    };
    let (told, shared) = (|outcome: &Outcome| outcome.told(), once.under(state.as_str()));
    match once::among_all(gate.store(), &once, life, &shared, work, told).await {
        Ok(Once::Done(outcome)) => outcome,
        Ok(Once::Told(told)) => {
            gate.saw(Event::Twin);
            Outcome::heard(gate, &told).await
        }
        Ok(Once::Used) => {
            gate.saw(Event::Twin);
            Outcome::Used
        }
        Err(error) => {
            gate.saw(Event::Returned);
            Outcome::StoreDown(error)
        }
    }
}

async fn exchange(gate: &Gate, code: &Code, replaces: Option<SessionId>) -> Outcome {
    let appid = gate.account().appid();
    if gate.account().kind() == AccountKind::Wecom {
        return match wecom::exchange(gate, code).await {
            Ok(Some(proof)) => sign_in(gate, proof, replaces).await,
            Ok(None) => Outcome::NotAMember,
            Err(KeeperError::Store(error)) => Outcome::StoreDown(error),
            Err(KeeperError::Wechat(error)) => Outcome::Refused(error),
            Err(error) => {
                tracing::warn!(%error, "wecom cannot be asked who came back");
                Outcome::Unasked
            }
        };
    }
    let grant = match gate.client().exchange(gate.account(), code).await {
        Ok(grant) => grant,
        Err(error) => return Outcome::Refused(error),
    };
    gate.saw(Event::Exchanged);
    if grant.is_snapshot_user {
        return Outcome::Snapshot;
    }
    let user = if grant.scope.has_userinfo() {
        match gate.client().userinfo(&grant.access_token, &grant.openid, gate.lang()).await {
            // The flag that came late.
            Ok(user) if user.is_snapshot_user => return Outcome::Snapshot,
            Ok(user) if user.contradicts(&grant) => {
                return Outcome::Refused(Error::other_user(Call::Userinfo));
            }
            Ok(user) => Some(user),
            Err(error) => return Outcome::Refused(error),
        }
    } else {
        None
    };
    sign_in(gate, Proof::new(appid, grant, user, gate.now()), replaces).await
}

async fn sign_in(gate: &Gate, proof: Proof, replaces: Option<SessionId>) -> Outcome {
    match sign_in::sign_in(gate.store(), proof, replaces, gate.now()).await {
        Ok(session) => Outcome::SignedIn(session),
        Err(error) => Outcome::StoreDown(error),
    }
}

/// Takes over the session that a ticket brings.
async fn redeem(gate: &Gate, id: SessionId, replaces: Option<SessionId>) -> Outcome {
    let store = gate.store();
    let taken_over = async {
        let Some(session) = store.load(id).await? else { return Ok(None) };
        if !gate.accepts(&session.user().key().appid) {
            return Ok(None);
        }
        sign_in::carry_over(store, &session, replaces, gate.now()).await
    };
    match taken_over.await {
        Ok(Some(session)) => Outcome::SignedIn(session),
        Ok(None) => Outcome::Used,
        Err(error) => Outcome::StoreDown(error),
    }
}

/// A browser that came back with a sign-in of its own.
struct Came<'a> {
    gate: &'a Gate,
    head: &'a Parts,
    attempt: Attempt,
    target: ReturnTo,
    live: Option<&'a Arc<Session>>,
}

impl Came<'_> {
    async fn welcome(&self, session: &Arc<Session>) -> Reply {
        // A twin that comes late must not bring back what was ended in between.
        match self.gate.store().load(session.id()).await {
            Ok(Some(session)) => Reply::back(&self.target)
                .with_cookie(self.gate.session_cookie(&session))
                .with_cookie(self.remember(Progress::Done)),
            Ok(None) => self.start_again(None),
            Err(error) => self.gate.store_down(&error),
        }
    }

    fn explain(&self, error: Error) -> Reply {
        tracing::warn!(%error, fault = ?fault(&error), "a sign-in failed");
        match (error.kind(), error.reaction()) {
            (Kind::Refused(..), Reaction::StartAgain) => self.start_again(Some(error)),
            _ => self.give_up(error),
        }
    }

    /// The code was of no use. Who is signed in as far as this was to go goes on; everybody else is sent to WeChat
    /// once more, and once only.
    fn start_again(&self, error: Option<Error>) -> Reply {
        let is_stale = error.as_ref().is_none_or(is_stale);
        let goes_on = |session: &Arc<Session>| is_stale || satisfies(session, self.attempt.scope);
        if self.live.is_some_and(goes_on) {
            return Reply::back(&self.target);
        }
        if self.attempt.is_last_of_its_row() {
            let Some(error) = error else {
                self.gate.saw(Event::Looped);
                let retry = login_url(self.gate, self.attempt.scope, &self.target, Hint::Again);
                let last = match self.attempt.progress {
                    // It did come back, and what it brought was used before.
                    Progress::Sent => Progress::Failed(Some(ErrCode::CODE_BEEN_USED)),
                    known => known,
                };
                return Reply::page(Page::Loop { last, retry });
            };
            return self.give_up(error);
        }
        start::begin(
            self.gate,
            self.head,
            self.attempt.scope,
            &self.target,
            Start::After(&self.attempt),
        )
    }

    fn give_up(&self, error: Error) -> Reply {
        let code = match error.kind() {
            Kind::Refused(code, _) => Some(*code),
            _ => None,
        };
        let retry = login_url(self.gate, self.attempt.scope, &self.target, Hint::Again);
        Reply::page(Page::Failed { error, retry })
            .with_cookie(self.remember(Progress::Failed(code)))
    }

    fn remember(&self, progress: Progress) -> HeaderValue {
        self.gate.attempts().keep(&self.attempt.at(progress))
    }
}

/// Whether the code was simply used or too old, as it is when somebody comes back to an old address.
fn is_stale(error: &Error) -> bool {
    const AT_WECOM: ErrCode = ErrCode::wecom(ErrCode::INVALID_CODE.number());
    const STALE: [ErrCode; 3] = [ErrCode::INVALID_CODE, ErrCode::CODE_BEEN_USED, AT_WECOM];
    matches!(error.kind(), Kind::Refused(code, _) if STALE.contains(code))
}

fn satisfies(session: &Session, scope: Scope) -> bool {
    !scope.has_userinfo() || session.user().record().fetched_at().is_some()
}

fn fault(error: &Error) -> Option<crate::wechat::Fault> {
    match error.kind() {
        Kind::Refused(code, _) => Some(code.fault()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Query, Malformed> {
        Query::parse(&format!("/_wx/callback?{query}").parse().unwrap(), Way::Code)
    }

    #[test]
    fn c47_a_parameter_that_comes_twice_is_refused() {
        let state = "a".repeat(32);
        assert!(parse(&format!("code=x&state={state}")).is_ok());
        for bad in
            ["code=x&code=y", "code=x&code=x", "state=a&state=a", "t=a&t=b", "code=x&%63ode=y"]
        {
            assert_eq!(parse(bad).unwrap_err(), Malformed, "{bad}");
        }
    }

    #[test]
    fn w07_no_code_or_authdeny_is_a_refusal() {
        for refusal in ["state=a", "code=&state=a", "code=authdeny&state=a"] {
            assert!(parse(refusal).unwrap().code.is_none(), "{refusal}");
        }
        assert!(parse("code=authdeny1").unwrap().code.is_some());
    }

    #[test]
    fn a_code_has_the_characters_of_one() {
        let long = "a".repeat(512);
        for good in ["071AdBVI1ZHOd509MKUI1jwjVI1AdBVV", "a-_", &long] {
            assert_eq!(parse(&format!("code={good}")).unwrap().code.unwrap().expose(), good);
        }
        for bad in ["a%20b", "a%0d%0a", "%3Cscript%3E", &format!("{long}a")] {
            assert_eq!(parse(&format!("code={bad}")).unwrap_err(), Malformed, "{bad}");
        }
    }

    #[cfg(feature = "memory")]
    #[tokio::test]
    async fn c40_a_ticket_brings_no_session_of_another_account() {
        use crate::{
            login::WechatLoginLayer,
            origin::Origin,
            secret::AppSecret,
            session::{MemoryStore, NewSession, Store, UserChange, UserKey},
            wechat::{Account, OpenId},
        };
        let own = "wx0123456789abcdef";
        let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
        let account = Account::official_account(own, secret).unwrap();
        let site = Origin::parse("https://h5.example.com").unwrap();
        let store = MemoryStore::new();
        let layer = WechatLoginLayer::with_store(account, site, store.clone());
        let gate = layer.gate();
        for (appid, is_ours) in [(own, true), ("wxfedcba9876543210", false)] {
            let openid = OpenId::parse("o6_alice").unwrap();
            let key = UserKey { appid: AppId::parse(appid).unwrap(), openid };
            let user = store.put_user(key, UserChange::default()).await.unwrap();
            let (scope, now) = (Scope::Base, gate.now());
            let new = NewSession { user, scope, signed_in_at: now, begins_at: now };
            let session = store.create(new).await.unwrap();
            match redeem(gate, session.id(), None).await {
                Outcome::SignedIn(new) => assert!(is_ours && new.id() != session.id()),
                Outcome::Used => assert!(!is_ours),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_session_is_good_for_a_profile_only_where_it_has_one() {
        use crate::session::{AccountSlot, NewSession, Profile, UserChange, UserKey, UserSlot};
        use crate::wechat::OpenId;
        let session = |profile: Option<Profile>| {
            let openid = OpenId::parse("o6_alice").unwrap();
            let key = UserKey { appid: AppId::parse("wx0123456789abcdef").unwrap(), openid };
            let at = Timestamp::from_unix(1);
            let change = UserChange {
                profile: profile.map(|profile| (profile, at)),
                ..UserChange::default()
            };
            let user = Arc::new(UserSlot::new(key, Arc::new(AccountSlot::new(1)), change));
            Session::begin(NewSession { user, scope: Scope::Base, signed_in_at: at, begins_at: at })
        };
        let known = session(Some(Profile { nickname: "alice".into(), avatar: None }));
        let unknown = session(None);
        assert!(satisfies(&known, Scope::Base) && satisfies(&known, Scope::Userinfo));
        assert!(satisfies(&unknown, Scope::Base) && !satisfies(&unknown, Scope::Userinfo));
    }
}
