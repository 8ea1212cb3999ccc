//! Sessions that end because somebody else than their user says so: the operator, or WeChat.

mod command;
mod messages;
mod operator;

use std::net::SocketAddr;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    gateway::{Gateway, Settings, config::Config},
    session::{MemoryStore, Store},
    simulator::{self, Simulator},
};

use crate::{
    process::{Folder, SECRET},
    world::{self, APPID, Answer, App, Browser},
};

/// The second account, which has the path `/shop`.
pub const OTHER_APPID: &str = "wxfedcba9876543210";
pub const TOKEN: &str = "spring2026";
/// An account that takes messages as they are.
pub const OPEN: &str = "message_token_file = 'token.txt'";
/// An account that takes encrypted messages only.
pub const SEALED: &str = "message_token_file = 'token.txt'\nmessage_aes_key_file = 'aes.txt'";
/// Two bits of its last character are more than 32 bytes.
pub const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

const PEOPLE: &str = r#"
    [[accounts]]
    appid = "wx0123456789abcdef"
    secret = "0123456789abcdef0123456789abcdef"
    callback_hosts = ["127.0.0.1"]
    [[accounts]]
    appid = "wxfedcba9876543210"
    secret = "0123456789abcdef0123456789abcdef"
    callback_hosts = ["127.0.0.1"]
    [[users]]
    name = "alice"
    nickname = "爱丽丝🌸"
    [[users]]
    name = "bob"
    nickname = "Bob"
"#;

/// A gateway with two accounts, a simulator and an app.
pub struct Place {
    pub sim: Simulator,
    pub app: App,
    pub clock: ManualClock,
    pub url: String,
    admin: SocketAddr,
    _gateway: Gateway,
}

impl Place {
    /// `messages` stands below `[account.main]`.
    pub async fn start(messages: &str) -> Self {
        Self::with_store(messages, |store| store).await
    }

    pub async fn with_store<S: Store>(
        messages: &str,
        store: impl FnOnce(MemoryStore) -> S,
    ) -> Self {
        Self::limited(messages, 0, store).await
    }

    /// With so many sign-ins a minute.
    pub async fn limited<S: Store>(
        messages: &str,
        rate_limit: u32,
        store: impl FnOnce(MemoryStore) -> S,
    ) -> Self {
        let people = simulator::World::from_toml(PEOPLE).unwrap();
        let sim = Simulator::builder().world(people).start().await.unwrap();
        let app = App::start().await;
        let addr = world::free_port();
        let folder = Folder::new();
        folder.write("secret.txt", SECRET);
        folder.write("token.txt", TOKEN);
        folder.write("other.txt", "winter");
        folder.write("aes.txt", AES_KEY);
        let text = format!(
            "listen = '{addr}'\nadmin_listen = '127.0.0.1:0'\ncores = 1\nrate_limit = {rate_limit}\n\
             [wechat]\napi = ['{sim}']\nopen = '{sim}'\n\
             [account.main]\nappid = '{APPID}'\nsecret_file = 'secret.txt'\n{messages}\n\
             [account.other]\nappid = '{OTHER_APPID}'\nsecret_file = 'secret.txt'\n\
             message_token_file = 'other.txt'\n\
             [site.h5]\npublic_url = 'http://{addr}'\nupstream = '{app}'\naccount = 'main'\n\
             [[site.h5.route]]\nprefix = '/shop'\naccount = 'other'\n",
            sim = sim.url(),
            app = app.url(),
        );
        let config = Config::from_toml(&text, folder.path(), &|_| None);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let clock = ManualClock::new(SystemClock.now());
        let store = store(MemoryStore::builder().clock(clock.clone()).build());
        let settings = Settings::from_config(config).client(world::client(&sim));
        let gateway = Gateway::start(settings.clock(clock.clone()).store(store)).unwrap();
        let admin = gateway.admin_addr().unwrap();
        Self { sim, app, clock, url: format!("http://{addr}"), admin, _gateway: gateway }
    }

    pub fn browser(&self, user: &str) -> Browser {
        Browser::new(&self.url, user)
    }

    /// A browser that is signed in, silently.
    pub async fn signed_in(&self, user: &str) -> Browser {
        let browser = self.browser(user);
        assert_eq!(browser.walk("/page").await.status, StatusCode::OK);
        browser
    }

    pub fn openid(&self, user: &str) -> String {
        self.sim.world().user(user).unwrap().openid(APPID)
    }

    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.admin);
        world::http_client().get(url).send().await.unwrap().text().await.unwrap()
    }

    /// What the admin listener answers.
    pub async fn admin(&self, path: &str) -> (u16, Value) {
        let answer = world::http_client().get(format!("http://{}{path}", self.admin)).send().await;
        read(answer.unwrap()).await
    }

    pub async fn revoke(&self, body: &Value) -> (u16, Value) {
        let url = format!("http://{}/sessions/revoke", self.admin);
        let request = world::http_client().post(url).header("content-type", "application/json");
        read(request.body(body.to_string()).send().await.unwrap()).await
    }

    /// Lets the simulator send a message: what came back.
    pub async fn push(&self, event: &str, user: &str, more: &Value) -> (u64, String) {
        let mut push = json!({
            "event": event,
            "appid": APPID,
            "user": user,
            "url": format!("{}/_wx/messages", self.url),
            "token": TOKEN,
        });
        push.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let url = format!("{}/_simulator/push", self.sim.url());
        let answer = world::http_client().post(url).body(push.to_string()).send().await.unwrap();
        let (status, pushed) = read(answer).await;
        assert_eq!(status, 200, "{pushed}");
        (pushed["status"].as_u64().unwrap(), pushed["body"].as_str().unwrap().to_owned())
    }

    /// Sends something to the message server, as nobody in particular.
    pub async fn send(&self, method: Method, query: &str, body: &str) -> Answer {
        let browser = self.browser("nobody");
        browser.send(method, &format!("/_wx/messages{query}"), &[], body).await
    }
}

async fn read(answer: reqwest::Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

/// Whether a browser is still signed in.
pub async fn is_in(browser: &Browser) -> bool {
    match browser.fetch("/page").await.status {
        StatusCode::OK => true,
        StatusCode::UNAUTHORIZED => false,
        status => panic!("{status}"),
    }
}
