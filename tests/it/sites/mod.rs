//! A gateway made from a configuration: three sites, two accounts, upstreams of every kind, and people who visit them.

mod app;
mod person;

use std::net::SocketAddr;

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixListener},
};
use wxgate::{
    gateway::{Gateway, Settings, config::Config},
    simulator::{Simulator, World},
};

pub use app::App;
pub use person::Person;

use app::{Authority, Speaks};

use crate::{
    process::{Folder, SECRET},
    world::{self, APPID},
};

/// The second account.
pub const OTHER_APPID: &str = "wxfedcba9876543210";
pub const UNIONID_OF_BOB: &str = "o6_bmjrPTlm6_2sgVt7hMZOPfL2M";
/// Not what an editor would leave in a text file.
pub const PROOF: &[u8] = b"0123456789abcdef\r\n\0 \xff";

const PEOPLE: &str = r#"
    [[accounts]]
    appid = "wx0123456789abcdef"
    secret = "0123456789abcdef0123456789abcdef"
    callback_hosts = ["h5.localhost"]
    [[accounts]]
    appid = "wxfedcba9876543210"
    secret = "0123456789abcdef0123456789abcdef"
    callback_hosts = ["h5.localhost", "shop.localhost"]
    [[users]]
    name = "alice"
    nickname = "爱丽丝🌸</script>"
    [[users]]
    name = "bob"
    nickname = "Bob"
    unionid = "o6_bmjrPTlm6_2sgVt7hMZOPfL2M"
"#;

/// Three sites: `h5` has routes of every kind, `shop` signs people in with another account, and `blog` signs them in
/// through `h5`.
pub struct Sites {
    pub sim: Simulator,
    pub addr: SocketAddr,
    /// An app over HTTP/1.1, which most routes lead to.
    pub app: App,
    pub unix: App,
    pub https: App,
    pub h2c: App,
    pub folder: Folder,
    _gateway: Gateway,
}

impl Sites {
    pub async fn start() -> Self {
        Self::with(|text| text).await
    }

    /// With a configuration that was changed.
    pub async fn with(change: impl FnOnce(String) -> String) -> Self {
        let people = World::from_toml(PEOPLE).unwrap();
        let sim = Simulator::builder().world(people).start().await.unwrap();
        let folder = Folder::new();
        folder.write("secret.txt", SECRET);
        folder.write("MP_verify_abc.txt", PROOF);
        folder.write("WW_verify_def.txt", "def");
        folder.write("MP_verify_unlisted.txt", "not for anybody");
        folder.write("static/style.css", "body {}");
        folder.write("static/page.html", "<html><head><title>static</title></head></html>");
        folder.write("spa/index.html", "<html><head></head><body>the app</body></html>");

        let (app, unix, https, h2c) = (App::new(), App::new(), App::new(), App::new());
        let plain = app.serve_tcp(Speaks::Http1).await;
        let socket = folder.path().join("app.sock");
        unix.serve_unix(UnixListener::bind(&socket).unwrap());
        let authority = Authority::new();
        folder.write("ca.pem", authority.0.pem());
        let tls = https.serve_tls(authority.acceptor("localhost")).await;
        let clear = h2c.serve_tcp(Speaks::Http2).await;

        let addr = world::free_port();
        let port = addr.port();
        let static_files = folder.path().join("static");
        let spa = folder.path().join("spa");
        let alice = &sim.world().user("alice").unwrap().openid(APPID);
        let text = format!(
            r#"
listen = "{addr}"
cores = 2
rate_limit = 0

[wechat]
api = ["{sim}"]
open = "{sim}"

[account.main]
appid = "{APPID}"
secret_file = "secret.txt"

[account.other]
appid = "{OTHER_APPID}"
secret_file = "secret.txt"

[site.h5]
public_url = "http://h5.localhost:{port}"
hosts = ["www.localhost:{port}"]
account = "main"
upstream = "http://{plain}"
proof_files = ["MP_verify_abc.txt", "WW_verify_def.txt"]
cors_origins = ["https://app.example.com"]

[[site.h5.route]]
prefix = "/off"
login = "off"
[[site.h5.route]]
prefix = "/static"
upstream = "file:{static_files}"
rewrite = "/"
login = "off"
[[site.h5.route]]
prefix = "/members"
upstream = "file:{static_files}"
rewrite = "/"
[[site.h5.route]]
prefix = "/spa"
upstream = "file:{spa}"
rewrite = "/"
fallback = "index.html"
login = "off"
[[site.h5.route]]
prefix = "/optional"
login = "optional"
[[site.h5.route]]
prefix = "/api"
rewrite = "/v2/people"
[[site.h5.route]]
prefix = "/profile"
login = "userinfo"
[[site.h5.route]]
exact = "/orders"
methods = ["GET", "POST"]
login = "off"
[[site.h5.route]]
pattern = "/users/*/orders"
login = "optional"
upstream = "unix:{socket}"
[[site.h5.route]]
prefix = "/openids"
allow_openids = ["{alice}"]
[[site.h5.route]]
prefix = "/unionids"
login = "userinfo"
allow_unionids = ["{UNIONID_OF_BOB}"]
[[site.h5.route]]
prefix = "/limited"
login = "off"
body_limit = "1KiB"
[[site.h5.route]]
prefix = "/html"
inject = ["html"]
[[site.h5.route]]
prefix = "/signed"
inject = ["headers", "assertion"]
[[site.h5.route]]
prefix = "/familiar"
inject = ["x-auth-request"]
[[site.h5.route]]
prefix = "/own"
preserve_host = false
[[site.h5.route]]
prefix = "/unix"
upstream = "unix:{socket}"
[[site.h5.route]]
prefix = "/tls"
upstream = "https://localhost:{tls_port}"
upstream_ca = "ca.pem"
[[site.h5.route]]
prefix = "/h2c"
upstream = "h2c://{clear}"
[[site.h5.route]]
prefix = "/desk"
account = "other"

[site.shop]
public_url = "http://shop.localhost:{port}"
account = "other"
upstream = "http://{plain}"

[site.blog]
public_url = "http://blog.localhost:{port}"
sign_in_at = "h5"
account = "main"
upstream = "http://{plain}"
"#,
            sim = sim.url(),
            static_files = static_files.display(),
            spa = spa.display(),
            socket = socket.display(),
            tls_port = tls.port(),
        );
        let text = change(text);
        let config = Config::from_toml(&text, folder.path(), &|_| None);
        let config = config.unwrap_or_else(|problems| panic!("{problems}"));
        let settings = Settings::from_config(config).client(world::client(&sim));
        let gateway = Gateway::start(settings).unwrap();
        Self { sim, addr, app, unix, https, h2c, folder, _gateway: gateway }
    }

    /// The app that a path of `h5` leads to.
    pub fn app_of(&self, path: &str) -> &App {
        match path {
            _ if path.starts_with("/unix") || path.starts_with("/users/") => &self.unix,
            _ if path.starts_with("/tls") => &self.https,
            _ if path.starts_with("/h2c") => &self.h2c,
            _ => &self.app,
        }
    }

    pub fn host(&self, site: &str) -> String {
        format!("{site}.localhost:{}", self.addr.port())
    }

    /// A person who has been nowhere yet, and begins at `h5`.
    pub fn person(&self, name: &str) -> Person {
        Person::new(self.addr, name)
    }

    /// A person who is signed in silently at `h5`, whom no app knows yet.
    pub async fn signed_in(&self, name: &str) -> Person {
        let person = self.person(name);
        let page = person.walk("/members/style.css").await;
        assert_eq!((page.status, &*page.body), (StatusCode::OK, "body {}"), "{page:?}");
        person
    }

    /// How many requests have come as far as any app.
    pub fn requests(&self) -> usize {
        [&self.app, &self.unix, &self.https, &self.h2c].map(|app| app.received().len()).iter().sum()
    }

    /// Sends a request as it is, as a client of `h5` that closes the connection, and reads the whole answer.
    pub async fn raw(&self, line: &str, headers: &str) -> String {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
            self.host("h5")
        );
        raw(self.addr, request.as_bytes()).await
    }
}

/// Sends bytes and reads until the other side closes.
pub async fn raw(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
