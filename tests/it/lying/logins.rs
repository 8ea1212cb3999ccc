//! Whole logins through a gateway whose platform lies: who comes in, and what the others see.

use std::{
    ffi::OsString,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use serde_json::json;
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    gateway::{Gateway, Settings, config::Config},
    session::MemoryStore,
};

use super::{
    all_of,
    calls::client,
    endpoints::{CORP, Endpoint, openid},
    fields::about_fields,
    is_all,
    lies::{Row, Told, about_http, made_for},
    panics,
    platform::{Lie, Platform, Step, honest},
};
use crate::world::{self, APPID, App, Browser, WECHAT};

const MINI_PROGRAM: &str = "wx2222222222222222";
/// How long the gateway waits for the platform.
const PATIENCE: Duration = Duration::from_secs(4);
const WXWORK: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) wxwork/4.1.30 MicroMessenger/7.0.1";

/// How somebody's login ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Signed in, as whom the app is told.
    In(String),
    /// Sent to WeChat once more.
    Again,
    /// A page that explains.
    Page(u16),
}

/// A gateway between browsers and a platform that lies. `/staff` is for members of a corp.
#[derive(Clone)]
pub struct Place {
    pub platform: Platform,
    _app: Arc<App>,
    pub clock: ManualClock,
    pub url: String,
    next: Arc<AtomicUsize>,
    _gateway: Arc<Gateway>,
}

impl Place {
    pub async fn start() -> Self {
        let (platform, app) = (Platform::start().await, App::start().await);
        let addr = world::free_port();
        let clock = ManualClock::new(SystemClock.now());
        let text = format!(
            "listen = '{addr}'\ncores = 1\nrate_limit = 0\n\
             [wechat]\napi = ['{p}']\nopen = '{p}'\nwecom = '{p}'\nwecom_desktop = '{p}'\n\
             [account.main]\nappid = '{APPID}'\n\
             [account.mini]\nappid = '{MINI_PROGRAM}'\nkind = 'mini-program'\n\
             [account.corp]\nappid = '{CORP}'\nkind = 'wecom'\nagentid = 1000002\n\
             [site.h5]\npublic_url = 'http://{addr}'\nupstream = '{}'\naccount = 'main'\nmini_programs = ['mini']\n\
             [[site.h5.route]]\nprefix = '/staff'\naccount = 'corp'\n",
            app.url(),
            p = platform.url(),
        );
        // The platform reads from it which case it is asked in, where nothing says more.
        let secret =
            |name: &str| name.ends_with("_SECRET").then(|| OsString::from("secret-case00000x"));
        let config = Config::from_toml(&text, Path::new("/nowhere"), &secret);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let store = MemoryStore::builder().clock(clock.clone()).build();
        let settings = Settings::from_config(config).client(client(&platform, PATIENCE));
        let gateway = Gateway::start(settings.clock(clock.clone()).store(store)).unwrap();
        Self {
            platform,
            _app: Arc::new(app),
            clock,
            url: format!("http://{addr}"),
            next: Arc::new(AtomicUsize::new(1)),
            _gateway: Arc::new(gateway),
        }
    }

    pub fn case(&self) -> usize {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    fn browser(&self, agent: &str) -> Browser {
        Browser::new(&self.url, "nobody").without("x-simulator-user").with("user-agent", agent)
    }

    /// A login by the door that leads to this endpoint, and the browser that it was made with.
    pub async fn login(&self, endpoint: Endpoint, case: usize) -> (Ended, Browser) {
        match endpoint {
            Endpoint::CorpUser | Endpoint::CorpDetail => {
                let browser = self.browser(WXWORK);
                let begun = browser.get("/_wx/login?account=corp&scope=userinfo&to=%2Fstaff").await;
                (
                    self.come_back(&browser, begun.location(), "/_wx/callback?account=corp&", case)
                        .await,
                    browser,
                )
            }
            Endpoint::Code2Session => self.mini_program(case).await,
            _ => {
                let browser = self.browser(WECHAT);
                let begun = browser.get("/page").await;
                (self.come_back(&browser, begun.location(), "/_wx/callback?", case).await, browser)
            }
        }
    }

    async fn come_back(
        &self,
        browser: &Browser,
        authorize: &str,
        callback: &str,
        case: usize,
    ) -> Ended {
        let authorize = url::Url::parse(authorize).unwrap();
        let named = |name: &str| {
            let value = authorize.query_pairs().find(|(key, _)| key == name);
            value.unwrap_or_else(|| panic!("{authorize}")).1.into_owned()
        };
        // Where the platform was told to send people back to.
        let back = named("redirect_uri");
        assert!(back.starts_with(&format!("{}/_wx/callback", self.url)), "{back} {callback}");
        let joint = if back.contains('?') { '&' } else { '?' };
        let state = named("state");
        let answer =
            browser.get(&format!("{back}{joint}code=code-case{case:0>5}x&state={state}")).await;
        if answer.status == StatusCode::SEE_OTHER {
            let page = browser.get(answer.location()).await;
            assert_eq!(page.status, StatusCode::OK, "{page:?}");
            return Ended::In(page.received("x-wechat-openid").unwrap());
        }
        if answer.status.is_redirection() {
            assert!(answer.location().starts_with(&self.platform.url()), "{answer:?}");
            return Ended::Again;
        }
        assert!(answer.body.contains("</html>"), "{answer:?}");
        // C50: whatever WeChat has said, and what was said to it, is not for a page.
        for secret in
            ["secret-", "user-token", "refresh-", "corp-token", "user-ticket", "code-case"]
        {
            assert!(!answer.body.contains(secret), "{answer:?}");
        }
        Ended::Page(answer.status.as_u16())
    }

    async fn mini_program(&self, case: usize) -> (Ended, Browser) {
        let program = self.browser("mini-program");
        let asked = json!({ "js_code": format!("code-case{case:0>5}x") }).to_string();
        let headers = [("content-type", "application/json")];
        let answer = program.send(Method::POST, "/_wx/mini-program/login", &headers, &asked).await;
        let Some(token) = answer.json()["token"].as_str().map(str::to_owned) else {
            return (Ended::Page(answer.status.as_u16()), program);
        };
        let headers = [("x-wechat-session", &*token)];
        let page = program.send(Method::GET, "/page", &headers, "").await;
        (Ended::In(page.received("x-wechat-openid").unwrap()), program)
    }

    /// Lies once, looks what becomes of the login, and whether the next one to come is well received.
    async fn try_out(
        &self,
        endpoint: Endpoint,
        case: usize,
        lie: Lie,
        wanted: Ended,
    ) -> Result<(), String> {
        self.platform.lie(endpoint, case, lie);
        let (ended, browser) = self.login(endpoint, case).await;
        if ended != wanted {
            return Err(format!("{ended:?} instead of {wanted:?}"));
        }
        if !matches!(ended, Ended::In(_)) {
            let page = browser.fetch("/page").await;
            if browser.session_cookie().is_some() || page.status != StatusCode::UNAUTHORIZED {
                return Err(format!("there is a session: {page:?}"));
            }
        }
        for burns in [Endpoint::Exchange, Endpoint::Code2Session, Endpoint::CorpUser] {
            let asked = self.platform.asked(burns, case);
            if asked > 1 || (endpoint == burns && asked == 0) {
                return Err(format!("{burns:?} was asked {asked} times for one code"));
            }
        }
        if !case.is_multiple_of(4) {
            return Ok(());
        }
        let next = self.case();
        match self.login(endpoint, next).await.0 {
            Ended::In(who) if who == openid(next) => Ok(()),
            other => Err(format!("and then {other:?}")),
        }
    }
}

/// Where a login ends that the client is told this in.
fn ended(endpoint: Endpoint, row: &Row, case: usize) -> Ended {
    match row.told {
        // At WeCom this number is about a quota that frees itself.
        Told::Refused(45009) if matches!(endpoint, Endpoint::CorpUser | Endpoint::CorpDetail) => {
            Ended::Page(503)
        }
        Told::Refused(_) => Ended::Page(502),
        Told::Good => said(endpoint, &row.lie, case),
        _ => Ended::Page(503),
    }
}

/// Where it ends when the client has believed it.
#[allow(clippy::match_same_arms)] // One line for each reason.
fn said(endpoint: Endpoint, lie: &str, case: usize) -> Ended {
    let words = ["absent", "null", "empty", "zero"];
    match (endpoint, lie) {
        // The profile that belongs to it is somebody else's.
        (Endpoint::Exchange, "openid is other text" | "unionid is other text") => Ended::Page(503),
        (Endpoint::Userinfo, "unionid is other text") => Ended::Page(503),
        (
            Endpoint::CorpUser,
            "userid is other text"
            | "user_ticket is other text"
            | "user_ticket is text with a line break",
        ) => Ended::Page(503),
        (Endpoint::Code2Session, "openid is other text") => Ended::In("somebody-else".to_owned()),
        // W06: anything that may mean a snapshot user does, early or late.
        (_, lie) => match lie.strip_prefix("is_snapshotuser is ") {
            Some(value) if !words.contains(&value) => Ended::Page(403),
            _ => Ended::In(openid(case)),
        },
    }
}

/// Whether a lie is about something that decides who comes in, and is not much like another one.
fn decides(lie: &str) -> bool {
    let fields = [
        "openid ",
        "unionid ",
        "userid ",
        "is_snap",
        "errcode ",
        "access_",
        "session_",
        "user_ticket ",
        "scope ",
    ];
    let alike = ["negative", "a fraction", "1e99", "the largest number", "70 KiB", "an object"];
    fields.iter().any(|field| lie.starts_with(field))
        && (lie.starts_with("is_snap") || !alike.iter().any(|value| lie.ends_with(value)))
}

#[tokio::test]
#[allow(clippy::print_stdout)] // For who asks to see the table.
async fn c50_c55_w04_w06_w08_no_lie_signs_anybody_in_as_somebody_else() {
    assert_eq!(panics(), [""; 0]);
    let place = Place::start().await;
    let mut cases = Vec::new();
    let doors = [
        Endpoint::Exchange,
        Endpoint::Userinfo,
        Endpoint::Code2Session,
        Endpoint::CorpUser,
        Endpoint::CorpDetail,
    ];
    for (turn, endpoint) in doors.into_iter().enumerate() {
        let case = place.case();
        assert_eq!(place.login(endpoint, case).await.0, Ended::In(openid(case)), "{endpoint:?}");
        let fields = about_fields(endpoint, || place.case()).into_iter();
        let fields = fields.filter(|(_, row)| is_all() || decides(&row.lie));
        cases.extend(fields.map(|(case, row)| (endpoint, case, row)));
        let from = place.case();
        let mut rows = about_http(&endpoint.honest(from).to_string(), "http://127.0.0.1:1");
        // On a busy machine drops may take longer than this gateway waits.
        rows.retain(|row| !row.steps.iter().any(|step| matches!(step, Step::Trickle(_))));
        // The client has met them all: a few of each kind will do, others at each door.
        let every = if is_all() { 1 } else { 2 * doors.len() };
        let some =
            rows.into_iter().enumerate().filter(|(number, _)| number % every == turn % every);
        cases.extend(some.map(|(_, row)| {
            let case = place.case();
            (endpoint, case, made_for(row, from, case))
        }));
    }
    let count = cases.len();
    let tried = cases.into_iter().map(|(endpoint, case, row)| {
        let (place, wanted) = (place.clone(), ended(endpoint, &row, case));
        async move {
            let line = format!("{:32} {:40} -> {wanted:?}", endpoint.path(), row.lie);
            match place.try_out(endpoint, case, row.steps, wanted).await {
                Ok(()) => (true, line),
                Err(why) => (false, format!("{line}: {why}")),
            }
        }
    });
    let lines = all_of(50, tried).await;
    let wrong: Vec<_> = lines.iter().filter(|(good, _)| !good).map(|(_, line)| &**line).collect();
    for (_, line) in &lines {
        println!("{line}");
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(place.platform.strange(), [""; 0]);
    assert_eq!(panics(), [""; 0]);
}

#[tokio::test]
async fn c52_a_second_answer_signs_nobody_in() {
    let place = Place::start().await;
    for turn in 0..8 {
        for endpoint in [Endpoint::Exchange, Endpoint::Userinfo] {
            let (case, next) = (place.case(), place.case());
            let thief = honest(&endpoint.honest(99_999).to_string());
            let mut steps = honest(&endpoint.honest(case).to_string());
            steps.extend(thief);
            if turn % 2 == 0 {
                let bytes = steps.into_iter().map(|step| match step {
                    Step::Write(bytes) => bytes,
                    other => panic!("{other:?}"),
                });
                steps = vec![Step::Write(bytes.flatten().collect())];
            }
            place.platform.lie(endpoint, case, steps);
            assert_eq!(place.login(endpoint, case).await.0, Ended::In(openid(case)));
            assert_eq!(place.login(endpoint, next).await.0, Ended::In(openid(next)));
        }
    }
}
