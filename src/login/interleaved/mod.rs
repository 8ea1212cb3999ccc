//! Sign-ins at once, in every order of what they ask of the store and of WeChat: the code of this room, over both kinds of
//! store.

mod many;
mod one;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{Empty, Full};

use super::{
    callback::Flights,
    gate::{Attended, Gate, Verdict},
    layer::WechatLoginLayer,
};
use crate::{
    clock::{Clock, ManualClock, Timestamp},
    origin::Origin,
    secret::AppSecret,
    session::{
        KeyRing, ListQuery, MemoryStore, SessionId, SessionInfo, Store, UserKey,
        durable::{DurableStore, tests::InMap},
        stepped::{Lie, Stepped},
        turns::{Part, Turns},
    },
    wechat::{Account, AppId, Client, Endpoints, OpenId, played::Answering},
};

const APPID: &str = "wx0123456789abcdef";
const SITE: &str = "https://h5.example.com";
const WECHAT: &str = "Mozilla/5.0 (iPhone) MicroMessenger/8.0.31";
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What is behind the gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One store in memory. A step is an operation of the store.
    Memory,
    /// A store for each gate, over records that they share. A step is an operation on the records.
    Durable,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Memory, Kind::Durable];

/// Two gateways of one site, whose requests are played in turns.
pub(crate) struct Stage {
    pub(crate) gates: [Gate; 2],
    pub(crate) clock: ManualClock,
    wechat: Arc<Platform>,
}

/// What WeChat was asked.
#[derive(Default)]
struct Platform {
    /// Codes, one for each time that one was sent.
    exchanged: Mutex<Vec<String>>,
    fetches: Mutex<u32>,
}

impl Platform {
    /// Asked, and heard, in turns.
    fn played_in(
        self: Arc<Self>,
        turns: &Turns,
    ) -> impl Fn(&str, &[(&str, &str)]) -> Answering + use<> {
        let turns = turns.clone();
        move |path, query| {
            let (platform, turns, path) = (self.clone(), turns.clone(), path.to_owned());
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let query: Vec<(String, String)> = query.iter().map(owned).collect();
            Box::pin(async move {
                turns.turn("wechat is asked").await;
                let query: Vec<_> = query.iter().map(|(name, value)| (&**name, &**value)).collect();
                let answer = platform.answer(&path, &query);
                turns.turn("wechat answers").await;
                answer
            })
        }
    }

    /// A code is `NAME-SCOPE-NUMBER`.
    fn answer(&self, path: &str, query: &[(&str, &str)]) -> String {
        let value = |name| query.iter().find(|(own, _)| *own == name).map_or("", |(_, it)| *it);
        match path {
            "/sns/oauth2/access_token" => {
                let code = value("code").to_owned();
                let mut exchanged = self.exchanged.lock().unwrap();
                let was_used = exchanged.contains(&code);
                exchanged.push(code.clone());
                if was_used {
                    return r#"{"errcode":40163,"errmsg":"code been used"}"#.to_owned();
                }
                let mut parts = code.split('-');
                let (name, scope) = (parts.next().unwrap(), parts.next().unwrap());
                format!(
                    r#"{{"access_token":"a-{name}","refresh_token":"r-{name}","expires_in":7200,
                    "openid":"o{name}","scope":"snsapi_{scope}"}}"#
                )
            }
            "/sns/oauth2/refresh_token" => {
                let name = value("refresh_token").trim_start_matches("r-");
                format!(
                    r#"{{"access_token":"a-{name}","refresh_token":"r-{name}","expires_in":7200,
                    "openid":"o{name}","scope":"snsapi_userinfo"}}"#
                )
            }
            "/sns/userinfo" => {
                let mut fetches = self.fetches.lock().unwrap();
                *fetches += 1;
                let openid = value("openid");
                format!(r#"{{"openid":"{openid}","nickname":"n{fetches}","unionid":"u{openid}"}}"#)
            }
            other => panic!("{other}"),
        }
    }
}

/// One that all others are made of: its TLS costs far more than a run.
static LOGIN: LazyLock<WechatLoginLayer> = LazyLock::new(|| {
    let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
    let account = Account::official_account(APPID, secret).expect("an appid");
    let login = WechatLoginLayer::new(account, Origin::parse(SITE).expect("an origin"));
    login.client(Client::new(Endpoints::all_at("http://127.0.0.1:1").expect("an origin")))
});

thread_local! {
    /// What a run leaves is over for the next one, so that these are made once: caches cost far more than a run.
    static KEPT: (MemoryStore, ManualClock, [Flights; 2]) = {
        let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
        (MemoryStore::builder().clock(clock.clone()).build(), clock, [(); 2].map(|()| Flights::default()))
    };
}

impl Stage {
    pub(crate) fn new(turns: &Turns, kind: Kind, lie: Lie) -> Self {
        let (memory, clock, flights) = KEPT.with(Clone::clone);
        // Sessions, claims and leases of the run before have ended then, and its users are forgotten.
        clock.advance(100 * 24 * HOUR);
        for name in ["alice", "bob", "carol"] {
            memory
                .remove_user(&user(name))
                .now_or_never()
                .expect("it never waits")
                .expect("nor fails");
        }
        let (keys, wechat) = (KeyRing::random(), Arc::<Platform>::default());
        let stores: [Stepped; 2] = match kind {
            Kind::Memory => {
                let store = Stepped { store: Arc::new(memory), turns: turns.clone(), lie };
                [store.clone(), store]
            }
            // Records take turns by themselves. A lie is told by the store.
            Kind::Durable => {
                let records = InMap::new(clock.clone(), turns.clone());
                [(); 2].map(|()| {
                    let store = DurableStore::builder(records.clone(), keys.clone());
                    let store = Arc::new(store.clock(clock.clone()).build());
                    Stepped { store, turns: Turns::default(), lie }
                })
            }
        };
        let mut flights = flights.into_iter();
        let gates = stores.map(|store| {
            let mut gate = LOGIN.gate().clone();
            let client = gate.client().clone().played_by(wechat.clone().played_in(turns));
            let parameters = gate.parameters();
            parameters.store = Arc::new(store);
            parameters.client = client;
            parameters.keys = keys.clone();
            parameters.clock = Arc::new(clock.clone());
            parameters.flights = flights.next().expect("there are two");
            parameters.keeper = Arc::default();
            gate
        });
        Self { gates, clock, wechat }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser { gates: self.gates.clone(), jar: Arc::default() }
    }

    /// A browser that is signed in.
    pub(crate) async fn signed_in(&self, name: &str, scope: &str) -> Browser {
        let browser = self.browser();
        let back = browser.begin(&format!("{name}-{scope}-0"), scope).await;
        assert_eq!(browser.get(0, &back).await.status(), StatusCode::SEE_OTHER);
        browser
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.gates[0].store()
    }

    pub(crate) fn exchanges(&self, code: &str) -> usize {
        self.wechat.exchanged.lock().unwrap().iter().filter(|sent| *sent == code).count()
    }

    pub(crate) async fn sessions(&self) -> Vec<SessionInfo> {
        let query = ListQuery { appid: None, openid: None, after: None, limit: 100 };
        let page = self.store().list(&query).await.expect("the store is there");
        let mut good = page.sessions;
        // Records tell of what nobody can use any more.
        let mut alive = Vec::new();
        for session in good.drain(..) {
            if self.store().user(&session.user).await.expect("the store is there").is_some() {
                alive.push(session);
            }
        }
        alive
    }
}

pub(crate) fn user(name: &str) -> UserKey {
    UserKey {
        appid: AppId::parse(APPID).expect("an appid"),
        openid: OpenId::parse(&format!("o{name}")).expect("an openid"),
    }
}

/// A browser, or several windows of one. Each answer's cookies are kept at once.
#[derive(Clone)]
pub(crate) struct Browser {
    gates: [Gate; 2],
    jar: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Browser {
    /// The same cookies as they are now, in another place.
    pub(crate) fn twin(&self) -> Self {
        let jar = self.jar.lock().unwrap().clone();
        Self { gates: self.gates.clone(), jar: Arc::new(Mutex::new(jar)) }
    }

    /// Starts a sign-in: the way back, with this code.
    pub(crate) async fn begin(&self, code: &str, scope: &str) -> String {
        let started = self.get(0, &format!("/_wx/login?scope={scope}&to=/page")).await;
        let way = started.headers()[header::LOCATION].to_str().expect("text");
        let state = way.split("state=").nth(1).expect("a state");
        let state = state.split(['&', '#']).next().expect("a state");
        format!("/_wx/callback?code={code}&state={state}")
    }

    pub(crate) async fn get(&self, gate: usize, path: &str) -> Response<Full<Bytes>> {
        self.send(gate, Method::GET, path).await
    }

    pub(crate) async fn send(
        &self,
        gate: usize,
        method: Method,
        path: &str,
    ) -> Response<Full<Bytes>> {
        let cookies: Vec<_> = self
            .jar
            .lock()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "h5.example.com")
            .header(header::USER_AGENT, WECHAT)
            .header(header::ORIGIN, SITE)
            .header("sec-fetch-mode", "navigate")
            .header(header::COOKIE, cookies.join("; "));
        let (mut head, ()) = request.body(()).expect("a request").into_parts();
        let gate = &self.gates[gate];
        let passed = || Response::new(Full::new(Bytes::from_static(b"the app")));
        let answer = match gate.admit(&mut head) {
            Verdict::Pass(_) => passed(),
            Verdict::Answer(answer) => answer,
            Verdict::Wait(pending) => {
                match gate.attend(pending, &head, Empty::<Bytes>::new()).await {
                    Attended::Pass(..) => passed(),
                    Attended::Answer(answer) => answer,
                }
            }
        };
        for line in answer.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().expect("text");
            let (name, value) =
                line.split(';').next().unwrap_or_default().split_once('=').expect("=");
            let mut jar = self.jar.lock().unwrap();
            if line.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// What it is signed in with.
    pub(crate) fn session(&self) -> Option<SessionId> {
        SessionId::parse(self.jar.lock().unwrap().get("__Host-wxgate")?)
    }

    /// Whether that is good, and whose it is.
    pub(crate) async fn is(&self) -> Option<String> {
        let session = self.gates[0].store().load(self.session()?).await;
        let session = session.expect("the store is there")?;
        Some(session.user().key().openid.as_str().to_owned())
    }

    /// A part that asks one thing.
    pub(crate) fn asks(&self, gate: usize, path: &str) -> Part {
        let (browser, path) = (self.clone(), path.to_owned());
        Box::pin(async move {
            let answer = browser.get(gate, &path).await;
            assert!(!answer.status().is_server_error(), "{answer:?}");
        })
    }

    pub(crate) fn signs_out(&self, gate: usize, query: &'static str) -> Part {
        let browser = self.clone();
        Box::pin(async move {
            browser.send(gate, Method::POST, &format!("/_wx/logout{query}")).await;
        })
    }
}

/// A promise that was kept, or the words for one that was not.
pub(crate) fn promise(is_kept: bool, what: impl Into<String>) -> Result<(), String> {
    if is_kept { Ok(()) } else { Err(what.into()) }
}

fn now(stage: &Stage) -> Timestamp {
    stage.clock.now()
}
