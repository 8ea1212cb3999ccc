//! A gateway with several sites, as a configuration describes it, and visitors whose cookies know one host from another.

use std::{collections::BTreeMap, ffi::OsString, path::Path, sync::Mutex};

use http::{HeaderMap, Method, header};
use url::Url;
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    gateway::{Gateway, Settings, config::Config},
    simulator::{Simulator, World},
};

use crate::world::{APPID, Answer, App, WECHAT, client, free_port, http_client_for};

pub const OTHER_APPID: &str = "wxfedcba9876543210";
pub const CLIENT_SECRET: &str = "5f0e1d2c3b4a59687786950413223140";

const WORLD: &str = r#"
    [[accounts]]
    appid = "wx0123456789abcdef"
    secret = "0123456789abcdef0123456789abcdef"
    name = "一号店"
    callback_hosts = ["127.0.0.1", "one.localhost", "two.localhost", "three.localhost"]

    [[accounts]]
    appid = "wxfedcba9876543210"
    secret = "fedcba9876543210fedcba9876543210"
    name = "二号店"
    callback_hosts = ["127.0.0.1", "one.localhost", "two.localhost", "three.localhost"]

    [[users]]
    name = "alice"
    nickname = "爱丽丝🌸"
    follower_of = ["wx0123456789abcdef"]

    [[users]]
    name = "bob"
    nickname = "Bob 鲍勃"

    [[users]]
    name = "carol"
    nickname = "卡罗尔"
    snapshot = true
"#;

/// What a configuration has besides its sites. The second account is called `other`.
const TOP: &str = r#"
    listen = "127.0.0.1:PORT"
    cores = 2
    wechat = { api = ["SIM"], open = "SIM" }
    account.main.appid = "wx0123456789abcdef"
    account.other.appid = "wxfedcba9876543210"
"#;

/// A running gateway with sites such as `one.localhost`, in front of one app and a simulator.
pub struct Sites {
    pub sim: Simulator,
    pub app: App,
    pub clock: ManualClock,
    port: u16,
    http: reqwest::Client,
    _gateway: Gateway,
}

impl Sites {
    /// With these sites and no limit to sign-ins. `PORT` stands for the gateway's port, `APP` for the app's address, `OPENID_OF_ALICE` for
    /// hers.
    pub async fn start(sites: &str) -> Self {
        Self::with("rate_limit = 0", sites).await
    }

    /// With these keys besides.
    pub async fn with(keys: &str, sites: &str) -> Self {
        Self::with_settings(keys, sites, |settings, _| settings).await
    }

    /// With these settings besides.
    pub async fn with_settings(
        keys: &str,
        sites: &str,
        set: impl FnOnce(Settings, ManualClock) -> Settings,
    ) -> Self {
        let (sim, app, listen) = (simulator().await, App::start().await, free_port());
        let port = listen.port();
        let alice = sim.world().user("alice").expect("she lives there").openid(APPID);
        let text = format!("{TOP}\n{keys}\n{sites}")
            .replace("OPENID_OF_ALICE", &alice)
            .replace("PORT", &port.to_string())
            .replace("SIM", &sim.url())
            .replace("APP", &app.url());
        let config = Config::from_toml(&text, Path::new("."), &secrets);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let clock = ManualClock::new(SystemClock.now());
        let settings = Settings::from_config(config).clock(clock.clone()).client(client(&sim));
        let gateway = Gateway::start(set(settings, clock.clone())).expect("the port is free");
        let http = http_client_for(&["one.localhost", "two.localhost", "three.localhost"]);
        Self { sim, app, clock, port, http, _gateway: gateway }
    }

    /// The address of a site: `http://one.localhost:PORT` and a path.
    pub fn at(&self, site: &str, path: &str) -> String {
        format!("http://{site}.localhost:{}{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn openid(&self, user: &str, appid: &str) -> String {
        self.sim.world().user(user).expect("it lives there").openid(appid)
    }

    /// Whom the app was told of, for the first account.
    pub fn is(&self, page: &Answer, user: &str) -> bool {
        page.status.is_success()
            && page.received("x-wechat-openid") == Some(self.openid(user, APPID))
    }

    pub fn visitor(&self, user: &str) -> Visitor {
        let mut headers = HeaderMap::new();
        headers.insert("x-simulator-user", user.parse().unwrap());
        headers.insert(header::USER_AGENT, WECHAT.parse().unwrap());
        headers.insert(header::ACCEPT, "text/html".parse().unwrap());
        Visitor { http: self.http.clone(), jar: Mutex::default(), headers }
    }
}

/// A simulator with two accounts that take every site of these tests.
pub async fn simulator() -> Simulator {
    let world = World::from_toml(WORLD).unwrap();
    Simulator::builder().world(world).start().await.unwrap()
}

fn secrets(name: &str) -> Option<OsString> {
    let secret = match name {
        "WXGATE_ACCOUNT_MAIN_SECRET" => "0123456789abcdef0123456789abcdef",
        "WXGATE_ACCOUNT_OTHER_SECRET" => "fedcba9876543210fedcba9876543210",
        "WXGATE_CLIENT_SHOP_SECRET" | "WXGATE_CLIENT_FORUM_SECRET" => CLIENT_SECRET,
        _ => return None,
    };
    Some(secret.into())
}

/// Somebody with WeChat's browser: keeps cookies for each host, and goes where redirects lead when told to.
pub struct Visitor {
    http: reqwest::Client,
    /// By host and name.
    pub jar: Mutex<BTreeMap<(String, String), String>>,
    pub headers: HeaderMap,
}

impl Visitor {
    /// Another window of the same browser.
    pub fn twin(&self) -> Self {
        Self {
            http: self.http.clone(),
            jar: Mutex::new(self.jar.lock().unwrap().clone()),
            headers: self.headers.clone(),
        }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// A cookie that the browser keeps for a site.
    pub fn cookie(&self, site: &str, name: &str) -> Option<String> {
        let key = (format!("{site}.localhost"), name.to_owned());
        self.jar.lock().unwrap().get(&key).cloned()
    }

    pub fn keep(&self, site: &str, name: &str, value: &str) {
        let key = (format!("{site}.localhost"), name.to_owned());
        self.jar.lock().unwrap().insert(key, value.to_owned());
    }

    pub fn forget(&self, site: &str, name: &str) {
        self.jar.lock().unwrap().remove(&(format!("{site}.localhost"), name.to_owned()));
    }

    pub async fn get(&self, url: &str) -> Answer {
        self.send(Method::GET, url, &[]).await
    }

    /// As a script of a page.
    pub async fn fetch(&self, url: &str) -> Answer {
        self.send(Method::GET, url, &[("sec-fetch-mode", "cors")]).await
    }

    pub async fn log_out(&self, logout: &str) -> Answer {
        let origin = Url::parse(logout).unwrap().origin().ascii_serialization();
        self.send(Method::POST, logout, &[("origin", &origin)]).await
    }

    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        self.send_body(method, url, headers, "").await
    }

    pub async fn send_body(
        &self,
        method: Method,
        url: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Answer {
        let host = Url::parse(url).unwrap().host_str().unwrap().to_owned();
        let mut own = self.headers.clone();
        for (name, value) in headers {
            own.insert(*name, value.parse().unwrap());
        }
        let cookies: Vec<_> = self
            .jar
            .lock()
            .unwrap()
            .iter()
            .filter(|((of, _), _)| *of == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            own.insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        let request = self.http.request(method, url).headers(own).body(body.to_owned());
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        for line in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie::Cookie::parse(line.to_str().unwrap().to_owned()).unwrap();
            let key = (host.clone(), cookie.name().to_owned());
            let mut jar = self.jar.lock().unwrap();
            if cookie.max_age() == Some(cookie::time::Duration::ZERO) {
                jar.remove(&key);
            } else {
                jar.insert(key, cookie.value().to_owned());
            }
        }
        let body = String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned();
        Answer { url: url.to_owned(), status, headers, body }
    }

    /// Goes where redirects lead.
    pub async fn walk(&self, url: &str) -> Answer {
        self.walk_to(url, "nowhere").await
    }

    /// Goes where redirects lead, as far as an address with this part, which is not visited.
    pub async fn walk_to(&self, url: &str, part: &str) -> Answer {
        let mut answer = self.get(url).await;
        for _ in 0..20 {
            if !answer.status.is_redirection() || answer.location().contains(part) {
                return answer;
            }
            answer = self.get(&next(&answer)).await;
        }
        panic!("redirected without end: {answer:?}");
    }
}

/// Where a redirect leads.
pub fn next(answer: &Answer) -> String {
    Url::parse(&answer.url).unwrap().join(answer.location()).unwrap().into()
}
