//! A gateway's sites with one person signed in, made once for all targets that need one.

use std::{
    ffi::OsString,
    path::Path,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{Response, request::Parts};
use http_body_util::{BodyExt, Empty, Full};
use tokio::runtime::{Builder, Runtime};

use crate::{
    clock::{Clock, ManualClock, Timestamp},
    gateway::{
        config::Config,
        metrics::Metrics,
        plan::{Plan, Shared},
        site::{Found, Site, Sites},
    },
    login::{Asker, Attended, Demand, Gate, Login, Verdict, canonicalise},
    session::{KeyRing, MemoryStore, NewSession, SessionId, Store, UserChange, UserKey},
    wechat::{AppId, OpenId, Scope},
};

/// Nobody listens where WeChat would be: no target may need it.
const CONFIG: &str = r#"
[wechat]
api = ["http://127.0.0.1:9"]

[account.main]
appid = "wx0123456789abcdef"

[account.mini]
kind = "mini-program"
appid = "wx00000000000000aa"

[site.h5]
public_url = "https://h5.example.com"
upstream = "http://127.0.0.1:9"
forward_auth = true
mini_programs = ["mini"]
outside_wechat = "scan"

[[site.h5.route]]
prefix = "/open"
login = "off"

[[site.h5.route]]
prefix = "/private/maybe"
login = "optional"

[[site.h5.route]]
prefix = "/private"

[[site.h5.route]]
exact = "/exact"
login = "off"

[[site.h5.route]]
pattern = "/users/*/avatar"
login = "off"

[[site.h5.route]]
prefix = "/profile"
login = "userinfo"

[[site.h5.route]]
prefix = "/staff"
allow_openids = ["o-nobody"]

[site.shop]
public_url = "https://shop.example.com"
upstream = "http://127.0.0.1:9"
forward_auth = true
sign_in_at = "h5"

[client.old]
appid = "wx00000000000000bb"
site = "h5"
redirect_uris = ["https://old.example.com/app/"]
"#;

/// The secret of every account in it.
pub(super) const SECRET: &str = "5ec2e7000000000000000000000000ab";

/// A gateway's sites, and who is signed in there.
pub(super) struct World {
    runtime: Runtime,
    pub(super) sites: Sites,
    pub(super) keys: KeyRing,
    /// Of a user of the account `main`, who has granted the openid.
    pub(super) session: SessionId,
    pub(super) openid: OpenId,
}

impl World {
    /// The one that all share.
    pub(super) fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(Self::new)
    }

    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the system gives a runtime");
        let known = ["ACCOUNT_MAIN", "ACCOUNT_MINI", "CLIENT_OLD"];
        let known = known.map(|whose| format!("WXGATE_{whose}_SECRET"));
        let env = |name: &str| known.iter().any(|it| it == name).then(|| OsString::from(SECRET));
        let config = Config::from_toml(CONFIG, Path::new("."), &env)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let clock = ManualClock::new(Timestamp::from_unix(1_700_000_000));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::builder().clock(clock.clone()).build());
        let keys = KeyRing::random();
        let openid = OpenId::parse("o-somebody").expect("it is an openid");
        let session = runtime.block_on(sign_in(&*store, openid.clone(), clock.now()));
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let handle = runtime.handle().clone();
        let shared = Shared::new(store, keys.clone(), clock, None, handle, Metrics::new());
        let plan = Plan::of_config(&config, &shared, None).expect("it names no files");
        Self { runtime, sites: plan.sites, keys, session, openid }
    }

    /// The site at `h5.example.com`.
    pub(super) fn site(&self) -> &Site {
        self.sites.named("h5.example.com").expect("it is configured")
    }

    /// Its login.
    pub(super) fn gate(&self) -> &Gate {
        &self.site().gate
    }

    /// Waits.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The body of an answer.
    pub(super) fn whole(&self, answer: Response<Full<Bytes>>) -> Bytes {
        let Ok(body) = self.wait(answer.into_body().collect());
        body.to_bytes()
    }

    /// What an endpoint of our own answers at `h5.example.com`.
    pub(super) fn own_answer(&self, mut head: Parts) -> Response<Full<Bytes>> {
        canonicalise(&mut head).expect("the addresses of our own are plain");
        let Ok(Found::Endpoint(gate)) = self.site().find(&head) else { panic!("{}", head.uri) };
        let demand = Demand::from(Login::Off);
        let pending = match gate.admit_by(&head, &demand, Asker::Visitor) {
            Verdict::Answer(answer) => return answer,
            Verdict::Wait(pending) => pending,
            Verdict::Pass(_) => panic!("{} has no answer of its own", head.uri),
        };
        match self.wait(gate.attend(pending, &head, Empty::<Bytes>::new())) {
            Attended::Answer(answer) => answer,
            Attended::Pass(..) => panic!("{} has no answer of its own", head.uri),
        }
    }
}

async fn sign_in(store: &dyn Store, openid: OpenId, now: Timestamp) -> SessionId {
    let appid = AppId::parse("wx0123456789abcdef").expect("it is an appid");
    let key = UserKey { appid, openid };
    let user = store.put_user(key, UserChange::default()).await.expect("memory fails never");
    let new = NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now };
    store.create(new).await.expect("memory fails never").id()
}
