//! Starts everything on free ports: a simulator, an app that tells what it received, and the gateway between them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, extract::State};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use wxgate::{
    Account, AppSecret, Login, Origin, WechatLoginLayer,
    clock::{Clock, ManualClock, SystemClock},
    gateway::{Gateway, Settings},
    login::Policy,
    session::{MemoryStore, Store},
    simulator::Simulator,
    wechat::{Backoff, Client, Endpoints},
};

pub const APPID: &str = "wx0123456789abcdef";
pub const EXCHANGE: &str = "/sns/oauth2/access_token";
pub const REFRESH: &str = "/sns/oauth2/refresh_token";
pub const USERINFO: &str = "/sns/userinfo";
/// The nickname of the simulator's alice, as an app receives it.
pub const ALICE: &str = "%E7%88%B1%E4%B8%BD%E4%B8%9D%F0%9F%8C%B8";
pub const HOUR: Duration = Duration::from_secs(60 * 60);
pub const WECHAT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Mobile/15E148 MicroMessenger/8.0.31(0x18001f2f) NetType/WIFI Language/zh_CN";

/// The address that asks for the profile and then goes to `to`.
pub fn userinfo_login(to: &str) -> String {
    format!("/_wx/login?scope=userinfo&to={to}")
}

/// A running world. `/off` asks for nothing, `/optional` for nothing but tells, `/profile` for userinfo, the rest for a
/// silent sign-in.
pub struct World {
    pub sim: Simulator,
    pub app: App,
    pub clock: ManualClock,
    pub url: String,
    _gateway: Gateway,
}

impl World {
    pub async fn start() -> Self {
        Self::with_store(|clock| MemoryStore::builder().clock(clock).build()).await
    }

    pub async fn with_store<S: Store>(store: impl FnOnce(ManualClock) -> S) -> Self {
        let sim = Simulator::start().await;
        let clock = ManualClock::new(SystemClock.now());
        let (url, login) = login(&sim, clock.clone(), store(clock.clone()));
        let app = App::start().await;
        let gateway = gateway(&url, login, &app.url());
        Self { sim, app, clock, url, _gateway: gateway }
    }

    pub fn browser(&self, user: &str) -> Browser {
        Browser::new(&self.url, user)
    }

    /// A browser that is signed in, silently.
    pub async fn signed_in(&self, user: &str) -> Browser {
        let browser = self.browser(user);
        let page = browser.walk("/page").await;
        assert_eq!((page.status, page.url.as_str()), (StatusCode::OK, &*browser.at("/page")));
        browser
    }

    /// How often a code was exchanged at the simulator.
    pub fn exchanges(&self) -> usize {
        self.sim.count(EXCHANGE)
    }
}

/// A login at the simulator for a gateway on a free port, and the address of that.
pub fn login(sim: &Simulator, clock: ManualClock, store: impl Store) -> (String, WechatLoginLayer) {
    let url = format!("http://{}", free_port());
    let layer = WechatLoginLayer::with_store(account(), Origin::parse(&url).unwrap(), store)
        .clock(clock)
        .client(client(sim))
        .policy(
            Policy::all(Login::Base)
                .path("/off", Login::Off)
                .path("/optional", Login::Optional)
                .path("/profile", Login::Userinfo),
        );
    (url, layer)
}

pub fn gateway(url: &str, login: WechatLoginLayer, upstream: &str) -> Gateway {
    let listen = url.strip_prefix("http://").unwrap().parse().unwrap();
    let settings = Settings::new(login, upstream.parse().unwrap());
    let settings = settings.listen(listen).cores(1).rate_limit(0);
    Gateway::start(settings).expect("the port is free")
}

pub fn account() -> Account {
    let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
    Account::official_account(APPID, secret).unwrap()
}

/// A client of the simulator that does not wait between tries.
pub fn client(sim: &Simulator) -> Client {
    let endpoints = Endpoints::all_at(&sim.url()).unwrap();
    let backoff = Backoff { first: Duration::from_millis(1), ..Backoff::default() };
    Client::builder(endpoints).backoff(backoff).build()
}

/// An address that nobody listens on yet. Each call gives another port, below those that the system gives to whoever asks
/// for any: else another test could be given it before it is taken.
pub fn free_port() -> SocketAddr {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    const FIRST: usize = 10_000;
    const COUNT: usize = 20_000;
    let first = std::process::id() as usize * 499;
    std::iter::repeat_with(|| FIRST + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .map(|port| SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap())))
        // Not by listening there: a process that another test starts at this moment would hold the socket for a while.
        .find(|addr| std::net::TcpStream::connect(addr).is_err())
        .expect("some port is free")
}

/// An app that answers with what it received.
pub struct App {
    addr: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl App {
    pub async fn start() -> Self {
        let requests = Arc::<AtomicUsize>::default();
        let router = Router::new().fallback(tell).with_state(requests.clone());
        Self { addr: serve(router).await, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many requests it has received.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn tell(
    State(requests): State<Arc<AtomicUsize>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Json<Value> {
    requests.fetch_add(1, Ordering::SeqCst);
    let mut received = BTreeMap::<_, Vec<_>>::new();
    for (name, value) in &headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        received.entry(name.to_string()).or_default().push(value);
    }
    let headers: BTreeMap<_, _> =
        received.into_iter().map(|(name, values)| (name, values.join(", "))).collect();
    Json(
        json!({ "method": method.as_str(), "uri": uri.to_string(), "headers": headers, "body": body }),
    )
}

/// Serves a router on a free port for as long as the test's runtime lives.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// A browser: follows redirects when told to, keeps the cookies of one site, and is `user` to the simulator.
pub struct Browser {
    http: reqwest::Client,
    site: String,
    pub jar: Mutex<BTreeMap<String, String>>,
    pub headers: HeaderMap,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub url: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn location(&self) -> &str {
        let location = self.headers.get(header::LOCATION).unwrap_or_else(|| panic!("{self:?}"));
        location.to_str().unwrap()
    }

    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|c| c.to_str().unwrap()).collect()
    }

    /// What the app received under this name.
    pub fn received(&self, name: &str) -> Option<String> {
        self.json()["headers"][name].as_str().map(str::to_owned)
    }
}

impl Browser {
    pub fn new(site: &str, user: &str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("x-simulator-user", user.parse().unwrap());
        headers.insert(header::USER_AGENT, WECHAT.parse().unwrap());
        let site = site.to_owned();
        Self { http: http_client(), site, jar: Mutex::default(), headers }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// With another client, such as one that finds hosts where none is.
    pub fn through(mut self, http: reqwest::Client) -> Self {
        self.http = http;
        self
    }

    pub fn without(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Another browser window with the same cookies.
    pub fn twin(&self) -> Self {
        Self {
            http: self.http.clone(),
            site: self.site.clone(),
            jar: Mutex::new(self.jar.lock().unwrap().clone()),
            headers: self.headers.clone(),
        }
    }

    /// The same at another address of the site.
    pub fn at_site(mut self, site: &str) -> Self {
        site.clone_into(&mut self.site);
        self
    }

    pub fn at(&self, path: &str) -> String {
        if path.starts_with('/') { format!("{}{path}", self.site) } else { path.to_owned() }
    }

    pub fn cookie_names(&self) -> Vec<String> {
        self.jar.lock().unwrap().keys().cloned().collect()
    }

    pub fn session_cookie(&self) -> Option<String> {
        self.jar.lock().unwrap().get("wxgate").cloned()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    /// As a script of the site's own page.
    pub async fn fetch(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[("sec-fetch-mode", "cors")], "").await
    }

    pub async fn log_out(&self, query: &str) -> Answer {
        let origin = self.site.clone();
        let headers = [("origin", &*origin), ("accept", "text/html")];
        self.send(Method::POST, &format!("/_wx/logout{query}"), &headers, "").await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Answer {
        self.try_send(method, path, headers, body).await.unwrap()
    }

    /// For a server that may be gone. A cookie that has arrived is kept, even where the rest of its answer does not follow.
    pub async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> reqwest::Result<Answer> {
        let url = self.at(path);
        let is_site = url.starts_with(&self.site);
        let mut request = self.http.request(method, &url).headers(self.headers.clone());
        let mut own = HeaderMap::new();
        for (name, value) in headers {
            own.append(*name, value.parse().unwrap());
        }
        request = request.headers(own);
        let cookies: Vec<_> = self
            .jar
            .lock()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if is_site && !cookies.is_empty() {
            request = request.header(header::COOKIE, cookies.join("; "));
        }
        let answer = request.body(body.to_owned()).send().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if is_site {
            self.keep(&headers);
        }
        let body = String::from_utf8_lossy(&answer.bytes().await?).into_owned();
        Ok(Answer { url, status, headers, body })
    }

    fn keep(&self, headers: &HeaderMap) {
        for line in headers.get_all(header::SET_COOKIE) {
            let cookie = cookie::Cookie::parse(line.to_str().unwrap().to_owned()).unwrap();
            let mut jar = self.jar.lock().unwrap();
            if cookie.max_age() == Some(cookie::time::Duration::ZERO) {
                jar.remove(cookie.name());
            } else {
                jar.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
    }

    /// Goes where redirects lead.
    pub async fn walk(&self, path: &str) -> Answer {
        self.try_walk(path).await.unwrap()
    }

    /// For a server that may be gone.
    pub async fn try_walk(&self, path: &str) -> reqwest::Result<Answer> {
        let mut answer = self.try_send(Method::GET, path, &[], "").await?;
        for _ in 0..20 {
            if !answer.status.is_redirection() {
                return Ok(answer);
            }
            let next = url::Url::parse(&answer.url).unwrap().join(answer.location()).unwrap();
            answer = self.try_send(Method::GET, next.as_str(), &[], "").await?;
        }
        panic!("redirected without end: {answer:?}");
    }

    /// Starts a sign-in and comes as far as the callback's address.
    pub async fn callback_url(&self, path: &str) -> String {
        let start = self.get(path).await;
        let authorize = start.location().to_owned();
        self.get(&authorize).await.location().to_owned()
    }
}

pub fn http_client() -> reqwest::Client {
    http_client_for(&["h5.localhost", "www.localhost", "shop.localhost", "blog.localhost"])
}

/// One that finds these hosts on this machine.
pub fn http_client_for(hosts: &[&str]) -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().ok();
    });
    let none = reqwest::redirect::Policy::none();
    let client = reqwest::Client::builder().redirect(none).no_proxy();
    let here = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0));
    hosts.iter().fold(client, |client, host| client.resolve(host, here)).build().unwrap()
}
