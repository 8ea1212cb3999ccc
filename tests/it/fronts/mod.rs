//! The gateway behind real front proxies: three sites, an account for each door, and a route of every kind.

mod caddy;
mod dialects;
mod doors;
mod haproxy;
mod malformed;
mod metadata;
mod nginx;
mod printed;
pub mod proxy;
mod question;
mod visits;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use wxgate::{
    clock::{Clock, ManualClock, SystemClock},
    gateway::{
        Gateway, Settings,
        config::Config,
        snippet::{Kind, snippet},
    },
    session::MemoryStore,
    simulator::{Simulator, World},
};

use self::proxy::{Folder, Proxy};
use crate::{
    faults::Watched,
    world::{APPID, App, Browser, WECHAT, client, free_port, http_client},
};

const OTHER_APPID: &str = "wxfedcba9876543210";
const WEBSITE: &str = "wx1111111111111111";
const MINI_PROGRAM: &str = "wx2222222222222222";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const PROOF: &str = "proof without a line's end";

const WORLD: &str = r#"
    [[accounts]]
    appid = "wx0123456789abcdef"
    secret = "0123456789abcdef0123456789abcdef"
    callback_hosts = ["h5.localhost", "shop.localhost"]

    [[accounts]]
    appid = "wxfedcba9876543210"
    secret = "0123456789abcdef0123456789abcdef"
    callback_hosts = ["desk.localhost"]

    [[accounts]]
    appid = "wx1111111111111111"
    secret = "0123456789abcdef0123456789abcdef"
    kind = "website"
    callback_hosts = ["shop.localhost"]

    [[accounts]]
    appid = "wx2222222222222222"
    secret = "0123456789abcdef0123456789abcdef"
    kind = "mini-program"

    [[users]]
    name = "alice"
    nickname = "爱丽丝🌸"
    unionid = true
    follower_of = ["wx0123456789abcdef"]

    [[users]]
    name = "bob"
    nickname = "Bob 鲍勃"
"#;

/// The sites. `shop` names its app, as the gateway may serve it too; of `h5` and `desk` the gateway knows nothing but who
/// may come in; `closed` lets no front proxy ask.
const SITES: &str = r#"
    [site.h5]
    public_url = "http://h5.localhost:PORT"
    hosts = ["www.localhost"]
    account = "main"
    forward_auth = true
    mini_programs = ["mini"]
    proof_files = ["MP_verify_abc.txt"]

    [[site.h5.route]]
    prefix = "/static"
    login = "off"

    [[site.h5.route]]
    prefix = "/feed"
    login = "optional"

    [[site.h5.route]]
    prefix = "/profile"
    login = "userinfo"

    [[site.h5.route]]
    prefix = "/staff"
    allow_openids = ["ALICE"]

    [[site.h5.route]]
    prefix = "/members"
    require = "follower"

    [[site.h5.route]]
    pattern = "/users/*/orders"
    methods = ["POST"]

    [[site.h5.route]]
    exact = "/open"
    methods = ["GET"]
    login = "off"

    [[site.h5.route]]
    prefix = "/app"
    fragment = true

    [[site.h5.route]]
    prefix = "/signed"
    inject = ["headers", "assertion"]

    [site.shop]
    public_url = "http://shop.localhost:PORT"
    account = "main"
    forward_auth = true
    upstream = "APP"
    inject = ["x-auth-request"]
    cors_origins = ["https://app.example.com"]
    website = "web"
    outside_wechat = "help"

    [[site.shop.route]]
    prefix = "/members"
    require = "follower"

    [[site.shop.route]]
    prefix = "/desktop"
    outside_wechat = "website"

    [[site.shop.route]]
    prefix = "/scanned"
    outside_wechat = "scan"

    [site.desk]
    public_url = "http://desk.localhost:PORT"
    account = "other"
    forward_auth = true

    [site.closed]
    public_url = "http://closed.localhost:PORT"
    account = "main"
    upstream = "APP"
"#;

/// The gateway with its sites and all that it needs, and perhaps a front proxy before it.
struct Fronts {
    sim: Simulator,
    app: App,
    /// Where the gateway listens.
    gateway: SocketAddr,
    /// Where browsers connect.
    port: u16,
    /// Set to true, it cuts the line to the store.
    down: Arc<AtomicBool>,
    clock: ManualClock,
    http: reqwest::Client,
    snippets: Box<dyn Fn(Kind) -> String + Send + Sync>,
    _gateway: Gateway,
    _folder: Folder,
}

impl Fronts {
    /// Without a front proxy, and with these lines about whom to trust and other things.
    async fn without_proxy(trusted: &str) -> Self {
        let sim = Simulator::builder().world(World::from_toml(WORLD).unwrap());
        let sim = sim.start().await.unwrap();
        let app = App::start().await;
        let (gateway, port) = (free_port(), free_port().port());
        let folder = Folder::new();
        folder.write("MP_verify_abc.txt", PROOF);

        let alice = sim.world().user("alice").expect("she lives there").openid(APPID);
        let sites = SITES.replace("PORT", &port.to_string());
        let sites = sites.replace("ALICE", &alice).replace("APP", &app.url());
        let url = sim.url();
        let text = format!(
            "listen = '{gateway}'\ncores = 1\nrate_limit = 0\n{trusted}\n\
             [wechat]\napi = ['{url}']\nopen = '{url}'\n\
             [account.main]\nappid = '{APPID}'\n[account.other]\nappid = '{OTHER_APPID}'\n\
             [account.web]\nappid = '{WEBSITE}'\nkind = 'website'\n\
             [account.mini]\nappid = '{MINI_PROGRAM}'\nkind = 'mini-program'\n{sites}"
        );
        let is_app_secret =
            |name: &str| name.ends_with("_SECRET") && !name.contains("_SERVER_TOKEN_");
        let env = |name: &str| is_app_secret(name).then(|| SECRET.into());
        let config = Config::from_toml(&text, folder.path(), &env);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));

        let clock = ManualClock::new(SystemClock.now());
        let store = Watched::new(MemoryStore::builder().clock(clock.clone()).build());
        let down = store.down();
        let settings = Settings::from_config(config.clone()).clock(clock.clone());
        let running = Gateway::start(settings.store(store).client(client(&sim))).unwrap();
        let app_addr = app.url().replace("http://", "");
        let snippets = move |kind| {
            let text = snippet(kind, &config).expect("its sites answer front proxies");
            text.replace("127.0.0.1:3000", &app_addr)
        };
        Self {
            sim,
            app,
            gateway,
            port,
            down,
            clock,
            http: client_here(),
            snippets: Box::new(snippets),
            _gateway: running,
            _folder: folder,
        }
    }

    async fn trusting() -> Self {
        Self::trusting_with("").await
    }

    /// With these lines more in its configuration.
    async fn trusting_with(more: &str) -> Self {
        Self::without_proxy(&format!("trusted_proxies = ['127.0.0.1']\n{more}")).await
    }

    /// With a real front proxy before it.
    async fn behind(kind: Kind) -> Behind {
        Self::trusting().await.standing_behind(kind).await
    }

    /// Puts a real front proxy before it.
    async fn standing_behind(self, kind: Kind) -> Behind {
        let proxy = Proxy::start(kind, &(self.snippets)(kind), self.port).await;
        Behind { fronts: self, _proxy: proxy }
    }

    fn url(&self, site: &str) -> String {
        format!("http://{site}.localhost:{}", self.port)
    }

    fn browser(&self, site: &str, user: &str) -> Browser {
        Browser::new(&self.url(site), user).through(self.http.clone())
    }

    fn openid(&self, user: &str, appid: &str) -> String {
        self.sim.world().user(user).expect("they live there").openid(appid)
    }

    fn cut_store(&self, cut: bool) {
        self.down.store(cut, Ordering::SeqCst);
    }

    /// Where the front proxy listens.
    fn front(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The session cookie of somebody who has signed in at a gateway that no proxy stands before.
    async fn session(&self, site: &str, user: &str, scope: &str) -> String {
        let host = format!("{site}.localhost:{}", self.port);
        let mut cookies = Vec::<String>::new();
        let mut ask = async |target: &str| {
            let cookie = cookies.join("; ");
            let lines = [("host", &*host), ("cookie", &*cookie), ("user-agent", WECHAT)];
            let answer = raw(self.gateway, "GET", target, &lines).await;
            cookies.extend(answer.all("set-cookie").map(|line| {
                line.split(';').next().expect("there is always a first part").to_owned()
            }));
            answer.header("location").unwrap_or_else(|| panic!("{answer:?}")).to_owned()
        };
        let authorize = ask(&format!("/_wx/login?scope={scope}&again=1&to=/")).await;
        let consent = self.http.get(&authorize).header("x-simulator-user", user).send().await;
        let back = consent.unwrap().headers()["location"].to_str().unwrap().to_owned();
        let back = url::Url::parse(&back).unwrap();
        ask(&back[url::Position::BeforePath..url::Position::AfterQuery]).await;
        cookies.into_iter().rfind(|cookie| cookie.starts_with("wxgate=")).expect("a session")
    }
}

/// A gateway behind a front proxy.
struct Behind {
    fronts: Fronts,
    _proxy: Proxy,
}

impl std::ops::Deref for Behind {
    type Target = Fronts;

    fn deref(&self) -> &Fronts {
        &self.fronts
    }
}

/// A client that finds our sites on this machine.
fn client_here() -> reqwest::Client {
    http_client();
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let none = reqwest::redirect::Policy::none();
    let sites = ["h5", "www", "shop", "desk"].map(|site| format!("{site}.localhost"));
    let client = reqwest::Client::builder().redirect(none).no_proxy();
    sites.iter().fold(client, |client, host| client.resolve(host, here)).build().unwrap()
}

/// What came back over a socket of our own.
#[derive(Debug)]
struct Raw {
    status: u16,
    lines: Vec<(String, String)>,
    body: String,
}

impl Raw {
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }
}

/// Sends a request exactly as it is written.
async fn raw(addr: SocketAddr, method: &str, target: &str, lines: &[(&str, &str)]) -> Raw {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    for (name, value) in lines.iter().copied() {
        head.extend([name, ": ", value, "\r\n"]);
    }
    written(addr, format!("{head}connection: close\r\n\r\n").as_bytes()).await
}

async fn written(addr: SocketAddr, request: &[u8]) -> Raw {
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    stream.write_all(request).await.expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let mut head = head.lines();
    let status = head.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let lines = head.filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    });
    Raw {
        status: status.unwrap_or_else(|| panic!("no status in {answer:?}")),
        lines: lines.collect(),
        body: body.to_owned(),
    }
}
