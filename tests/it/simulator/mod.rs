//! The simulated WeChat, seen from outside: what its pages and its API answer.

mod api;
mod authorize;
mod faults;
mod mini_program;
mod tokens;
mod website;
mod wecom;

use std::net::SocketAddr;
use std::sync::Once;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;
use wxgate::simulator::{Fault, FaultSwitch, Simulator, StartError, World};

const APPID: &str = "wx0123456789abcdef";
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const CALLBACK: &str = "http://127.0.0.1:1/cb";
const EXCHANGE: &str = "/sns/oauth2/access_token";
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A simulator, and an HTTP client that follows nothing and keeps cookies.
struct Visit {
    sim: Simulator,
    http: Client,
}

impl Visit {
    async fn start() -> Self {
        Self::at(Simulator::start().await)
    }

    async fn in_world(toml: &str) -> Self {
        let world = World::from_toml(toml).expect("a world");
        let sim = Simulator::builder().world(world).start().await;
        Self::at(sim.expect("a simulator"))
    }

    fn at(sim: Simulator) -> Self {
        Self { sim, http: client() }
    }

    fn authorize_url(&self, scope: &str) -> String {
        let callback: String = url::form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect();
        format!(
            "{}/connect/oauth2/authorize?appid={APPID}&redirect_uri={callback}&response_type=code&scope={scope}&state=s1",
            self.sim.url()
        )
    }

    async fn get(&self, url: &str) -> Response {
        self.http.get(url).send().await.expect("an answer")
    }

    async fn get_with(&self, url: &str, headers: &[(&'static str, &str)]) -> Response {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name = reqwest::header::HeaderName::from_static(name);
                (name, value.parse().expect("a header value"))
            })
            .collect();
        let request = self.http.get(url).headers(headers);
        request.send().await.expect("an answer")
    }

    async fn post(&self, url: &str, form: &str) -> Response {
        let request = self.http.post(url).body(form.to_owned());
        request.send().await.expect("an answer")
    }

    /// The answer of the authorize page to a script that is `user`.
    async fn authorized(&self, user: &str, scope: &str) -> Response {
        let url = self.authorize_url(scope);
        self.get_with(&url, &[("x-simulator-user", user)]).await
    }

    async fn code(&self, user: &str, scope: &str) -> String {
        let answer = self.authorized(user, scope).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        code_in(location(&answer))
    }

    async fn api(&self, path: &str, query: &str) -> Value {
        let answer = self.get(&format!("{}{path}?{query}", self.sim.url())).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/plain");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    }

    /// A call of `/cgi-bin` or `/wxa`.
    async fn cgi(&self, path: &str, query: &str) -> Value {
        read_cgi(self.get(&format!("{}{path}?{query}", self.sim.url())).await).await
    }

    async fn cgi_post(&self, path: &str, body: &str) -> Value {
        read_cgi(self.post(&format!("{}{path}", self.sim.url()), body).await).await
    }

    async fn exchange(&self, code: &str) -> Value {
        let query =
            format!("appid={APPID}&secret={SECRET}&code={code}&grant_type=authorization_code");
        self.api(EXCHANGE, &query).await
    }

    async fn refresh(&self, token: &Value) -> Value {
        let refresh = text(token, "refresh_token");
        let query = format!("appid={APPID}&grant_type=refresh_token&refresh_token={refresh}");
        self.api("/sns/oauth2/refresh_token", &query).await
    }

    async fn about(&self, path: &str, token: &Value) -> Value {
        let (access, openid) = (text(token, "access_token"), text(token, "openid"));
        let query = format!("access_token={access}&openid={openid}&lang=zh_CN");
        self.api(path, &query).await
    }

    async fn signed_in(&self, user: &str, scope: &str) -> Value {
        let code = self.code(user, scope).await;
        let token = self.exchange(&code).await;
        assert!(token["errcode"].is_null(), "{token}");
        token
    }
}

async fn read_cgi(answer: Response) -> Value {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json; encoding=utf-8");
    serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes everything");
        text
    })
}

fn client() -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    Client::builder()
        .redirect(Policy::none())
        .cookie_store(true)
        .no_proxy()
        .build()
        .expect("a client")
}

fn location(answer: &Response) -> &str {
    answer.headers()["location"].to_str().expect("ASCII")
}

fn code_in(url: &str) -> String {
    let url = Url::parse(url).expect("a URL");
    let (_, code) = url.query_pairs().find(|(name, _)| name == "code").expect("a code");
    code.into_owned()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

#[tokio::test]
async fn w13_it_listens_on_loopback_only_unless_told_so_by_name() {
    let everywhere: SocketAddr = "0.0.0.0:0".parse().expect("an address");
    let refused = Simulator::builder().listen(everywhere).start().await;
    let error = refused.expect_err("reachable from elsewhere");
    assert!(matches!(error, StartError::NotLoopback(_)), "{error}");
    assert!(error.to_string().contains("insecure_listen"), "{error}");

    let builder = Simulator::builder().listen(everywhere);
    assert!(builder.insecure_listen(true).start().await.is_ok());
    let loopback: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    assert!(Simulator::builder().listen(loopback).start().await.is_ok());
}

#[tokio::test]
async fn a_stopped_simulator_closes_its_connections_and_frees_its_port() {
    let visit = Visit::start().await;
    assert_eq!(visit.get(&visit.sim.url()).await.status(), StatusCode::OK);
    visit.sim.stop().await;
    assert!(visit.http.get(visit.sim.url()).send().await.is_err());

    let again = Simulator::builder().listen(visit.sim.addr()).start().await;
    assert!(again.is_ok(), "{again:?}");
    assert_eq!(visit.get(&visit.sim.url()).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_dropped_simulator_stops() {
    let (url, http) = {
        let visit = Visit::start().await;
        assert_eq!(visit.get(&visit.sim.url()).await.status(), StatusCode::OK);
        (visit.sim.url(), visit.http)
    };
    // The task that serves notices at its next turn.
    while http.get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn scripts_control_it_over_http() {
    let visit = Visit::start().await;
    let control = |name: &str| format!("{}/_simulator/{name}", visit.sim.url());
    let read = async |answer: Response| -> Value {
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    };

    let switches = r#"[{"fault":"quota","times":2},{"fault":"slow","ms":1,"path":"/sns/auth"}]"#;
    let added = read(visit.post(&control("faults"), switches).await).await;
    assert_eq!(added.as_array().map(Vec::len), Some(2));
    assert_eq!(read(visit.get(&control("faults")).await).await, added);
    let unknown = visit.post(&control("faults"), r#"[{"fault":"gremlins"}]"#).await;
    assert_eq!(unknown.status(), StatusCode::BAD_REQUEST);
    assert!(text(&read(unknown).await, "error").contains("twin_same_code"));
    let cleared = visit.http.delete(control("faults")).send().await;
    assert_eq!(read(cleared.expect("an answer")).await, json!([]));

    let before = read(visit.get(&control("clock")).await).await["now"].as_u64();
    let after = visit.post(&control("clock"), r#"{"advance_seconds":7200}"#).await;
    let after = read(after).await["now"].as_u64();
    assert!(after >= before.map(|now| now + 7200), "{before:?} {after:?}");

    visit.exchange("nonsense").await;
    let requests = read(visit.get(&control("requests")).await).await;
    assert_eq!(requests.as_array().map(Vec::len), Some(1));
    let one = &requests[0];
    assert_eq!((text(one, "method"), text(one, "path")), ("GET", EXCHANGE));
    assert!(text(one, "query").contains(SECRET));
    assert_eq!((&one["status"], &one["errcode"]), (&json!(200), &json!(40029)));
    assert!(one["at"].is_u64());
    let cleared = visit.http.delete(control("requests")).send().await;
    assert_eq!(read(cleared.expect("an answer")).await, json!([]));
}
