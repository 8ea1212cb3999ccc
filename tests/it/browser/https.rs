//! Cookie rules between two sites on https, under a certificate authority of our own.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, response::Html};
use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use thirtyfour::{Cookie, common::cookie::SameSite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};
use wxgate::{
    Login, Origin, WechatLoginLayer,
    gateway::Gateway,
    login::Policy,
    simulator::{Simulator, World},
    wechat::{Client, Endpoints},
};

use super::{Chromium, Options};
use crate::world::{APPID, App, EXCHANGE, account, free_port, gateway, serve};

const SITE: &str = "https://h5.gate.test";
const WORLD: &str = r#"
    [[accounts]]
    appid = "wx0123456789abcdef"
    secret = "0123456789abcdef0123456789abcdef"
    callback_hosts = ["h5.gate.test"]

    [[users]]
    name = "alice"
"#;
/// Tries to sign visitors of another site out, without asking them.
const EVIL: &str = "<form method='post' action='https://h5.gate.test/_wx/logout'></form>
    <script>onload = () => document.forms[0].submit()</script>";

/// A gateway on `h5.gate.test`, WeChat on `open.wechat.test` and somebody else on `evil.test`. `/optional` asks for
/// nothing, the rest for a silent sign-in.
struct Sites {
    sim: Simulator,
    app: App,
    mappings: Vec<String>,
    authority: String,
    _gateway: Gateway,
}

impl Sites {
    async fn start() -> Self {
        let world = World::from_toml(WORLD).unwrap();
        let sim = Simulator::builder().world(world).start().await.unwrap();
        let app = App::start().await;
        let listen = free_port();
        let gateway = gateway(&format!("http://{listen}"), login(&sim), &app.url());
        let evil = serve(Router::new().fallback(|| async { Html(EVIL) })).await;

        let authority = Authority::new();
        let mut mappings = vec![format!("MAP h5.gate.test:80 {listen}")];
        for (host, site) in
            [("h5.gate.test", listen), ("open.wechat.test", sim.addr()), ("evil.test", evil)]
        {
            let relay = relay(authority.acceptor(host), site).await;
            mappings.push(format!("MAP {host}:443 {relay}"));
        }
        Self { sim, app, mappings, authority: authority.fingerprint(), _gateway: gateway }
    }

    /// A browser that finds the sites and trusts their authority.
    async fn browser(&self, options: Options) -> Chromium {
        let options = options
            .arg(format!("--host-resolver-rules={}", self.mappings.join(",")))
            .arg(format!("--ignore-certificate-errors-spki-list={}", self.authority));
        Chromium::start(&options).await
    }

    fn openid(&self) -> String {
        self.sim.world().users[0].openid(APPID)
    }

    /// Walks alice's sign-in from one site to the other and back.
    async fn sign_in(&self, browser: &Chromium) {
        browser.open(&format!("{SITE}/page")).await;
        browser.tap("#user-alice").await;
        browser.arrive(&format!("{SITE}/page")).await;
        assert!(browser.see("body").await.contains(&self.openid()));
    }
}

fn login(sim: &Simulator) -> WechatLoginLayer {
    let endpoints = Endpoints::default().with_open("https://open.wechat.test").unwrap();
    let endpoints = endpoints.with_api([sim.url()]).unwrap();
    WechatLoginLayer::new(account(), Origin::parse(SITE).unwrap())
        .client(Client::new(endpoints))
        .policy(Policy::all(Login::Base).path("/optional", Login::Optional))
}

/// A certificate authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn acceptor(&self, host: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let chain = vec![
            params.signed_by(&key, &self.0).unwrap().der().clone(),
            self.0.as_ref().der().clone(),
        ];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config).into()
    }

    /// How Chromium names a key that it is to trust.
    fn fingerprint(&self) -> String {
        BASE64_STANDARD.encode(Sha256::digest(self.0.key().subject_public_key_info()))
    }
}

/// Ends https in front of a site. Lives as long as the test's runtime.
async fn relay(acceptor: TlsAcceptor, site: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A browser opens connections that it never uses, and hangs up as it likes.
                let mut outside = acceptor.accept(stream).await.ok()?;
                let mut inside = TcpStream::connect(site).await.ok()?;
                tokio::io::copy_bidirectional(&mut outside, &mut inside).await.ok()
            });
        }
    });
    addr
}

/// What an attribute of a `__Host-` cookie of ours has to be; the domain is a host without a leading dot.
fn assert_is_ours(cookie: &Cookie) {
    assert_eq!(cookie.secure, Some(true), "{cookie:?}");
    assert_eq!(cookie.http_only, Some(true), "{cookie:?}");
    assert_eq!(cookie.same_site, Some(SameSite::Lax), "{cookie:?}");
    assert_eq!(cookie.path.as_deref(), Some("/"), "{cookie:?}");
    assert_eq!(cookie.domain.as_deref(), Some("h5.gate.test"), "{cookie:?}");
}

#[tokio::test]
async fn c45_cookies_of_ours_are_host_bound_and_survive_the_way_back_from_another_site() {
    let sites = Sites::start().await;
    let browser = sites.browser(Options::wechat()).await;
    sites.sign_in(&browser).await;

    let cookies = browser.cookies().await;
    cookies.iter().for_each(assert_is_ours);
    let mut names: Vec<_> = cookies.iter().map(|cookie| cookie.name.as_str()).collect();
    names.sort_by_key(|name| name.len());
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[0], "__Host-wxgate");
    let pending = names[1].strip_prefix("__Host-wxgate-login-").unwrap();
    assert_eq!(pending.len(), 8);
    assert_eq!(browser.run("return document.cookie;", "").await, "");

    // From a link on another site the session goes along, and no second sign-in is needed.
    browser.open("https://open.wechat.test/").await;
    browser.run("location.href = arguments[0];", &format!("{SITE}/page?again")).await;
    browser.arrive(&format!("{SITE}/page?again")).await;
    assert!(browser.see("body").await.contains(&sites.openid()));
    assert_eq!(sites.sim.count(EXCHANGE), 1);
    browser.quit().await;
}

#[tokio::test]
async fn plain_http_keeps_no_cookie_and_sees_none() {
    let sites = Sites::start().await;
    let browser = sites.browser(Options::wechat()).await;
    browser.open("http://h5.gate.test/page").await;
    browser.tap("#user-alice").await;
    // The pending login was set over plain http, so the browser did not take it.
    browser.until_heading("这个登录链接无效").await;
    assert_eq!(browser.status().await, 400);
    assert!(browser.cookies().await.is_empty());
    assert_eq!((sites.sim.count(EXCHANGE), sites.app.requests()), (0, 0));

    // A session of https stays there.
    browser.open(&format!("{SITE}/page")).await;
    assert!(browser.see("body").await.contains(&sites.openid()));
    browser.open("http://h5.gate.test/optional").await;
    browser.arrive("http://h5.gate.test/optional").await;
    let received = browser.see("body").await;
    assert!(received.contains("/optional") && !received.contains(&sites.openid()), "{received}");
    browser.open(&format!("{SITE}/optional")).await;
    assert!(browser.see("body").await.contains(&sites.openid()));
    browser.quit().await;
}

#[tokio::test]
async fn another_site_signs_nobody_out() {
    let sites = Sites::start().await;
    let browser = sites.browser(Options::wechat()).await;
    sites.sign_in(&browser).await;

    browser.open("https://evil.test/").await;
    browser.until_heading("没有退出登录").await;
    assert_eq!(browser.status().await, 403);
    browser.open(&format!("{SITE}/page")).await;
    assert!(browser.see("body").await.contains(&sites.openid()));
    assert_eq!(sites.sim.count(EXCHANGE), 1);

    // Our own button does.
    browser.open(&format!("{SITE}/_wx/logout")).await;
    browser.tap("#primary").await;
    browser.until_heading("已退出登录").await;
    assert!(browser.cookies().await.is_empty());
    browser.quit().await;
}

#[tokio::test]
async fn w15_outside_wechat_a_page_helps_and_stays() {
    let sites = Sites::start().await;
    let browser = sites.browser(Options::desktop()).await;
    browser.open(&format!("{SITE}/page?a=b")).await;
    browser.until_heading("请在微信中打开").await;
    assert_eq!(browser.status().await, 403);
    assert_eq!(browser.address().await, format!("{SITE}/page?a=b"));
    assert!(browser.see("dl").await.contains(&format!("{SITE}/page?a=b")));
    assert!(browser.cookies().await.is_empty());
    assert_eq!((sites.sim.requests().len(), sites.app.requests()), (0, 0));
    browser.quit().await;
}
