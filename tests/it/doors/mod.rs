//! The other ways in, and what pages may ask for, as a configured gateway has them.

mod documented;
mod follower;
mod jssdk;
mod layer;
mod lies;
mod mini_program;
mod one_person;
mod server_token;
mod website;
mod wecom;

use std::{net::SocketAddr, time::Duration};

use http::{Method, StatusCode};
use serde_json::Value;
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    gateway::{Gateway, Settings, config::Config},
    session::MemoryStore,
    simulator::{MiniProgramPhone, Simulator},
    wechat::{Backoff, Client, Endpoints},
};

use crate::{
    process::{Folder, SECRET},
    world::{self, APPID, Answer, App, Browser},
};

pub const WEBSITE: &str = "wx1111111111111111";
pub const MINI_PROGRAM: &str = "wx2222222222222222";
pub const CORP: &str = "ww3333333333333333";
/// What other servers of the account prove themselves with.
pub const TOKEN_SECRET: &str = "another server of ours";

/// What WeChat signs its messages with.
pub const MESSAGE_TOKEN: &str = "spring2026";

/// A gateway with every kind of account, an app behind it, and a simulator.
pub struct Place {
    pub sim: Simulator,
    pub app: App,
    pub clock: ManualClock,
    pub url: String,
    pub admin: SocketAddr,
    _gateway: Gateway,
}

impl Place {
    /// `site` stands below `[site.h5]`, whose own account is the official one.
    pub async fn start(site: &str) -> Self {
        Self::with(site, "").await
    }

    /// `session` stands below `[session]`.
    pub async fn with(site: &str, session: &str) -> Self {
        let clock = ManualClock::new(SystemClock.now());
        let store = MemoryStore::builder().clock(clock.clone()).build();
        Self::over(Simulator::start().await, site, session, store, clock).await
    }

    /// Another gateway at the same simulator, over the same store.
    pub async fn over(
        sim: Simulator,
        site: &str,
        session: &str,
        store: MemoryStore,
        clock: ManualClock,
    ) -> Self {
        let app = App::start().await;
        let (gateway, addr) = gateway(&sim, &app.url(), site, session, store, clock.clone());
        let admin = gateway.admin_addr().unwrap();
        Self { sim, app, clock, url: format!("http://{addr}"), admin, _gateway: gateway }
    }

    pub fn browser(&self, user: &str) -> Browser {
        Browser::new(&self.url, user)
    }

    pub fn phone(&self, user: &str) -> MiniProgramPhone {
        self.sim.mini_program(user, MINI_PROGRAM).unwrap()
    }

    pub fn openid(&self, user: &str, appid: &str) -> String {
        self.sim.world().user(user).unwrap().openid(appid)
    }

    pub fn unionid(&self, user: &str) -> String {
        self.sim.world().user(user).unwrap().unionid().unwrap()
    }

    /// Moves the time of gateway and simulator.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
        self.sim.advance(by);
    }

    /// Sends JSON as a program does that is no browser.
    pub async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(token.map(|token| ("x-wechat-session", token)));
        let program = self.browser("nobody").without("x-simulator-user").without("user-agent");
        program.send(Method::POST, path, &headers, &body.to_string()).await
    }

    pub async fn with_token(&self, path: &str, token: &str) -> Answer {
        let program = self.browser("nobody").without("x-simulator-user").without("user-agent");
        program.send(Method::GET, path, &[("x-wechat-session", token)], "").await
    }
}

/// A gateway of its own at the simulator.
pub fn gateway(
    sim: &Simulator,
    upstream: &str,
    site: &str,
    session: &str,
    store: MemoryStore,
    clock: ManualClock,
) -> (Gateway, SocketAddr) {
    let addr = world::free_port();
    let folder = Folder::new();
    folder.write("secret.txt", SECRET);
    folder.write("web.txt", "1".repeat(32));
    folder.write("mini.txt", "2".repeat(32));
    folder.write("corp.txt", "3".repeat(43));
    folder.write("token.txt", TOKEN_SECRET);
    folder.write("messages.txt", MESSAGE_TOKEN);
    folder.write("follow.png", b"\x89PNG\r\n\x1a\n and so on");
    let text = format!(
        "listen = '{addr}'\nadmin_listen = '127.0.0.1:0'\ncores = 1\nrate_limit = {}\n\
         [session]\n{session}\n\
         [wechat]\napi = ['{sim}']\nopen = '{sim}'\nwecom = '{sim}'\nwecom_desktop = '{sim}'\n\
         [account.main]\nappid = '{APPID}'\nsecret_file = 'secret.txt'\nserver_token_secret_file = 'token.txt'\n\
         follow_code_file = 'follow.png'\nmessage_token_file = 'messages.txt'\n\
         [account.web]\nappid = '{WEBSITE}'\nsecret_file = 'web.txt'\nkind = 'website'\n\
         [account.mini]\nappid = '{MINI_PROGRAM}'\nsecret_file = 'mini.txt'\nkind = 'mini-program'\n\
         [account.corp]\nappid = '{CORP}'\nsecret_file = 'corp.txt'\nkind = 'wecom'\nagentid = 1000002\n\
         [site.h5]\npublic_url = 'http://{addr}'\nupstream = '{upstream}'\naccount = 'main'\n{site}\n",
        // As many sign-ins a minute as no test makes, but the one that is about that.
        if site.contains("# few") { 2 } else { 0 },
        sim = sim.url(),
    );
    let config = Config::from_toml(&text, folder.path(), &|_| None);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    let endpoints = Endpoints::all_at(&sim.url()).unwrap();
    let backoff = Backoff { first: Duration::from_millis(1), ..Backoff::default() };
    let client = Client::builder(endpoints).backoff(backoff).build();
    let settings = Settings::from_config(config).client(client).clock(clock).store(store);
    (Gateway::start(settings).unwrap(), addr)
}

/// What an answer says is wrong.
pub fn refused(answer: &Answer) -> (StatusCode, String) {
    (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
}
