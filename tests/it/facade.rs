//! Apps that sign in through a gateway as if it were WeChat.

use std::{process::Stdio, time::Duration};

use http::{HeaderMap, Method, StatusCode, header};
use serde_json::Value;
use tokio::process::Command;
use wxgate::simulator::Simulator;

use crate::{
    command::{listening, log_of, terminate},
    domains::{CLIENT_SECRET, Sites, Visitor, next},
    world::{ALICE, APPID, Answer, App, Browser, HOUR, free_port},
};

/// What the two apps call themselves.
pub const SHOP: &str = "wxabcdefabcdefabcd";
pub const FORUM: &str = "wx1111222233334444";
const BACK: &str = "http://127.0.0.1/callback";

/// A site with two apps that sign in through it. Sessions outlast every token.
pub async fn shops() -> Sites {
    let sites = r#"
        [session]
        idle = "100days"
        life = "100days"

        [site.one]
        public_url = "http://127.0.0.1:PORT"
        hosts = ["one.localhost"]
        upstream = "APP"
        account = "main"

        [client.shop]
        appid = "wxabcdefabcdefabcd"
        site = "one"
        redirect_uris = ["http://127.0.0.1/callback", "https://old.example.com/app/"]

        [client.forum]
        appid = "wx1111222233334444"
        site = "one"
        redirect_uris = ["http://127.0.0.1/forum"]
    "#;
    Sites::start(sites).await
}

fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn at(sites: &Sites, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", sites.port())
}

fn authorize_url(sites: &Sites, appid: &str, back: &str, scope: &str, state: &str) -> String {
    let (back, state) = (encode(back), encode(state));
    at(
        sites,
        &format!(
            "/connect/oauth2/authorize?appid={appid}&redirect_uri={back}&response_type=code&scope={scope}&state={state}"
        ),
    )
}

/// Walks to the app, over the button where there is one, and tells where the visitor arrives.
async fn arrival(visitor: &Visitor, url: &str) -> url::Url {
    let mut answer = visitor.walk_to(url, "//127.0.0.1/").await;
    if answer.status == StatusCode::OK {
        let (_, link) = answer.body.split_once("id=\"primary\" class=\"button\" href=\"").unwrap();
        let link = link.split_once('"').unwrap().0.replace("&#38;", "&");
        answer = visitor.walk_to(&link, "//127.0.0.1/").await;
    }
    next(&answer).parse().unwrap()
}

fn parameter(url: &url::Url, name: &str) -> String {
    url.query_pairs().find(|(known, _)| known == name).expect("it is there").1.into_owned()
}

/// The code that alice brings to the shop.
async fn code(sites: &Sites, visitor: &Visitor, scope: &str) -> String {
    let url = authorize_url(sites, SHOP, BACK, scope, "s");
    let arrival = arrival(visitor, &url).await;
    assert!(arrival.as_str().starts_with(&format!("{BACK}?code=")), "{arrival}");
    parameter(&arrival, "code")
}

/// What an app's server is told.
struct Server<'a> {
    sites: &'a Sites,
    appid: &'a str,
}

impl Server<'_> {
    async fn ask(&self, path: &str, query: &str) -> Value {
        let server = self.sites.visitor("nobody");
        let url = at(self.sites, &format!("/sns{path}?{query}"));
        let mut server = server;
        server.headers = HeaderMap::new();
        let answer = server.get(&url).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
        assert!(answer.headers[header::CACHE_CONTROL].to_str().unwrap().contains("no-store"));
        answer.json()
    }

    async fn exchange(&self, code: &str) -> Value {
        let query = format!("appid={}&secret={CLIENT_SECRET}&code={code}", self.appid);
        self.ask("/oauth2/access_token", &format!("{query}&grant_type=authorization_code")).await
    }

    async fn refresh(&self, token: &Value) -> Value {
        let query = format!("appid={}&grant_type=refresh_token", self.appid);
        let token = token["refresh_token"].as_str().unwrap();
        self.ask("/oauth2/refresh_token", &format!("{query}&refresh_token={token}")).await
    }

    /// `/userinfo` or `/auth`.
    async fn about(&self, path: &str, token: &Value) -> Value {
        let (access, openid) = (&token["access_token"], &token["openid"]);
        let (access, openid) = (access.as_str().unwrap(), openid.as_str().unwrap());
        self.ask(path, &format!("access_token={access}&openid={openid}&lang=zh_CN")).await
    }
}

fn is_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.url);
    assert!(!answer.headers.contains_key(header::LOCATION), "{answer:?}");
    assert!(answer.body.contains("redirect_uri"), "{}", answer.body);
}

#[tokio::test]
async fn an_app_is_told_what_wechat_would_tell_it() {
    let sites = shops().await;
    let (alice, shop) = (sites.visitor("alice"), Server { sites: &sites, appid: SHOP });
    let token = shop.exchange(&code(&sites, &alice, "snsapi_userinfo").await).await;
    let openid = sites.openid("alice", APPID);
    let names: Vec<_> = token.as_object().unwrap().keys().map(String::as_str).collect();
    let wanted = ["access_token", "expires_in", "refresh_token", "openid", "scope", "unionid"];
    assert_eq!(names, wanted);
    assert_eq!((&token["expires_in"], &token["scope"]), (&7200.into(), &"snsapi_userinfo".into()));
    assert_eq!(token["openid"], openid);

    let user = shop.about("/userinfo", &token).await;
    let nickname = percent_encoding::percent_decode_str(ALICE).decode_utf8().unwrap();
    assert_eq!((&user["openid"], &user["nickname"]), (&openid.into(), &(*nickname).into()));
    assert_eq!(user["unionid"], token["unionid"]);
    assert!(user["headimgurl"].is_string() && user["privilege"].is_array(), "{user}");
    assert_eq!(shop.about("/auth", &token).await["errcode"], 0);

    // A silent sign-in tells the openid and nothing else.
    let bob = sites.visitor("bob");
    let token = shop.exchange(&code(&sites, &bob, "snsapi_base").await).await;
    assert_eq!(token["scope"], "snsapi_base");
    assert!(token.get("unionid").is_none(), "{token}");
    assert_eq!(shop.about("/auth", &token).await["errcode"], 0);
    assert_eq!(shop.about("/userinfo", &token).await["errcode"], 48001);

    // WeChat's own tokens and the account's secret stay here.
    let told = format!("{token}{user}");
    assert!(!told.contains("0123456789abcdef0123456789abcdef"));
    assert_eq!(sites.sim.count("/sns/oauth2/access_token"), 2);
}

#[tokio::test]
async fn who_is_signed_in_is_sent_on_at_once_and_who_is_not_comes_back_to_the_app() {
    let sites = shops().await;
    let alice = sites.visitor("alice");
    let url = authorize_url(&sites, SHOP, BACK, "snsapi_base", "s");
    arrival(&alice, &url).await;
    let before = sites.sim.requests().len();
    let answer = alice.get(&url).await;
    assert!(answer.location().starts_with(BACK), "{answer:?}");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    assert_eq!(sites.sim.requests().len(), before);
    // A browser hands WeChat's own fragment on, unless it is told another.
    let browser = alice.twin().with("sec-fetch-mode", "navigate");
    assert!(browser.get(&url).await.location().ends_with("&state=s#"));

    // A script is told who has to come.
    let told = sites.visitor("bob").fetch(&url).await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
    assert_eq!(told.json()["error"], "login_required");
    // Under another of the site's names it works as well.
    let bob = sites.visitor("bob");
    let other = url.replace("127.0.0.1:", "one.localhost:");
    assert!(arrival(&bob, &other).await.as_str().starts_with(BACK));
}

#[tokio::test]
async fn state_query_and_fragment_of_the_app_come_back_unchanged() {
    let sites = shops().await;
    let alice = sites.visitor("alice");
    for (state, back) in [
        ("", BACK.to_owned()),
        ("8d0f1c6be2a94375", format!("{BACK}?from=home")),
        ("a b+c&d=e%26#f订单\"'", format!("{BACK}/订单?a=%2F&b=c+d&e=%E8%AE%A2#/route?x=1")),
        (&"x".repeat(128), "http://127.0.0.1/callback?code=planted&state=planted".to_owned()),
    ] {
        let arrived =
            arrival(&alice, &authorize_url(&sites, SHOP, &back, "snsapi_base", state)).await;
        let back: url::Url = back.parse().unwrap();
        assert_eq!(arrived.path(), back.path());
        assert_eq!(arrived.fragment().filter(|own| !own.is_empty()), back.fragment());
        let own = back.query().unwrap_or_default();
        assert!(arrived.query().unwrap().starts_with(own), "{arrived}");
        let last: Vec<_> = arrived.query_pairs().collect();
        let [.., (code, _), (name, value)] = &last[..] else { panic!("{arrived}") };
        assert_eq!((&**code, &**name, &**value), ("code", "state", state));
    }
}

#[tokio::test]
async fn c05_c07_a_code_goes_to_listed_addresses_only() {
    let sites = shops().await;
    let (alice, stranger) = (sites.visitor("alice"), sites.visitor("bob"));
    alice.walk(&at(&sites, "/page")).await;
    let ask = |appid: &str, back: &str| authorize_url(&sites, appid, back, "snsapi_base", "s");
    for good in [BACK, "http://127.0.0.1/callback/x?y", "https://OLD.example.com/app"] {
        let answer = alice.get(&ask(SHOP, good)).await;
        assert_eq!(answer.status, StatusCode::FOUND, "{good}");
    }
    let good = ask(SHOP, BACK);
    let mut bad: Vec<_> = [
        "https://evil.example/callback",
        "http://127.0.0.1/callbacks",
        "http://127.0.0.1/",
        "http://127.0.0.1:8080/callback",
        "https://127.0.0.1/callback",
        "http://127.0.0.1/callback/../x",
        "http://127.0.0.1/callback/%2e%2e/x",
        "http://127.0.0.1/callback/..%2fx",
        "http://127.0.0.1/callback\\..\\x",
        "http://127.0.0.1@evil.example/callback",
        "http://evil.example#@127.0.0.1/callback",
        "http://evil.example\\@127.0.0.1/callback",
        "http://user@127.0.0.1/callback",
        "http://127.0.0.1.evil.example/callback",
        "https://old.example.com.evil.example/app/",
        "https://evil-old.example.com/app/",
        "https://old.example.com/other",
        "//127.0.0.1/callback",
        "/callback",
        "javascript:alert(1)",
        "data:text/html,x",
        "",
        // Another app's.
        "http://127.0.0.1/forum",
    ]
    .map(|back| ask(SHOP, back))
    .into();
    bad.extend([
        ask(FORUM, BACK),
        ask("wx9999999999999999", BACK),
        // The account's own appid is no app's.
        ask(APPID, BACK),
        ask("", BACK),
        good.replace("snsapi_base", "snsapi_login"),
        good.replace("=code", "=token"),
        good.replace("&scope=snsapi_base", ""),
        // C47: nobody knows which of two is meant.
        format!("{good}&redirect_uri={}", encode(BACK)),
        format!("{good}&redirect_uri=https://evil.example/"),
        format!("{good}&appid={SHOP}"),
        format!("{good}&state=s"),
        // What a sign-in could not come back to, it does not begin.
        format!("{good}&x={}", "x".repeat(2000)),
    ]);
    for url in bad {
        is_refused(&alice.get(&url).await);
        is_refused(&stranger.get(&url).await);
    }
    assert_eq!(sites.sim.count("/sns/oauth2/access_token"), 1);
}

#[tokio::test]
async fn a_code_is_good_once_for_its_own_app_with_its_secret_and_for_five_minutes() {
    let sites = shops().await;
    let alice = sites.visitor("alice");
    let (shop, forum) =
        (Server { sites: &sites, appid: SHOP }, Server { sites: &sites, appid: FORUM });
    let refused = |appid: &str, secret: &str, code: &str| {
        format!("appid={appid}&secret={secret}&code={code}&grant_type=authorization_code")
    };
    let first = code(&sites, &alice, "snsapi_base").await;
    let path = "/oauth2/access_token";
    // None of these burns it.
    assert_eq!(forum.exchange(&first).await["errcode"], 40029);
    for (secret, errcode) in [("", 40125), ("x", 40125), (&CLIENT_SECRET[1..], 40125)] {
        let answer = shop.ask(path, &refused(SHOP, secret, &first)).await;
        assert_eq!(answer["errcode"], errcode, "{answer}");
    }
    for appid in [APPID, "wx9999999999999999", ""] {
        let answer = shop.ask(path, &refused(appid, CLIENT_SECRET, &first)).await;
        assert_eq!(answer["errcode"], 40013, "{appid}");
    }
    let query = refused(SHOP, CLIENT_SECRET, &first);
    let other = query.replace("authorization_code", "client_credential");
    assert_eq!(shop.ask(path, &other).await["errcode"], 40002);
    assert_eq!(shop.ask(path, &query.replace("&code=", "&no=")).await["errcode"], 41008);
    assert_eq!(shop.exchange("071AdBVI1ZHOd509MKUI1jwjVI1AdBVV").await["errcode"], 40029);

    assert_eq!(shop.exchange(&first).await["openid"], sites.openid("alice", APPID));
    assert_eq!(shop.exchange(&first).await["errcode"], 40163);

    // At once, from many of the app's servers: one gets it.
    let raced = code(&sites, &alice, "snsapi_base").await;
    let answers = futures_util::future::join_all((0..20).map(|_| shop.exchange(&raced))).await;
    let won = answers.iter().filter(|answer| answer["openid"].is_string()).count();
    let lost = answers.iter().filter(|answer| answer["errcode"] == 40163).count();
    assert_eq!((won, lost), (1, 19));

    let (early, late) =
        (code(&sites, &alice, "snsapi_base").await, code(&sites, &alice, "snsapi_base").await);
    sites.clock.advance(Duration::from_secs(5 * 60 - 1));
    assert!(shop.exchange(&early).await["openid"].is_string());
    sites.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.exchange(&late).await["errcode"], 40029);
    assert_eq!(shop.exchange(&early).await["errcode"], 40163);
}

#[tokio::test]
async fn tokens_live_as_long_as_wechat_s_and_refreshing_does_not_renew_the_refresh_token() {
    let sites = shops().await;
    let (alice, shop) = (sites.visitor("alice"), Server { sites: &sites, appid: SHOP });
    let token = shop.exchange(&code(&sites, &alice, "snsapi_userinfo").await).await;
    sites.clock.advance(Duration::from_secs(2 * HOUR.as_secs() - 1));
    assert!(shop.about("/userinfo", &token).await["nickname"].is_string());
    sites.clock.advance(Duration::from_secs(1));
    for path in ["/userinfo", "/auth"] {
        assert_eq!(shop.about(path, &token).await["errcode"], 42001);
    }
    let fresh = shop.refresh(&token).await;
    assert_eq!(fresh["refresh_token"], token["refresh_token"]);
    assert!(shop.about("/userinfo", &fresh).await["nickname"].is_string());
    sites.clock.advance(Duration::from_secs((30 * 24 - 2) * HOUR.as_secs() - 1));
    assert!(shop.refresh(&fresh).await["access_token"].is_string());
    sites.clock.advance(Duration::from_secs(1));
    assert_eq!(shop.refresh(&fresh).await["errcode"], 42002);
}

#[tokio::test]
async fn c40_each_thing_is_good_for_what_it_is_and_for_whom_only() {
    let sites = shops().await;
    let (alice, shop) = (sites.visitor("alice"), Server { sites: &sites, appid: SHOP });
    let forum = Server { sites: &sites, appid: FORUM };
    let spare = code(&sites, &alice, "snsapi_userinfo").await;
    let token = shop.exchange(&code(&sites, &alice, "snsapi_userinfo").await).await;
    assert!(shop.refresh(&token).await["access_token"].is_string());
    assert_eq!(forum.refresh(&token).await["errcode"], 40030);
    let text = |name: &str| token[name].as_str().unwrap().to_owned();
    let as_token = |value: &str| {
        let openid = text("openid");
        serde_json::json!({ "access_token": value, "refresh_token": value, "openid": openid })
    };
    for other in [text("refresh_token"), spare, "x".to_owned()] {
        assert_eq!(shop.about("/userinfo", &as_token(&other)).await["errcode"], 40001);
        assert_eq!(shop.about("/auth", &as_token(&other)).await["errcode"], 40001);
    }
    assert_eq!(shop.refresh(&as_token(&text("access_token"))).await["errcode"], 40030);
    assert_eq!(shop.exchange(&text("access_token")).await["errcode"], 40029);
    // Somebody else's openid.
    let mut other = token.clone();
    other["openid"] = sites.openid("bob", APPID).into();
    assert_eq!(shop.about("/userinfo", &other).await["errcode"], 40003);
    assert_eq!(shop.about("/auth", &other).await["errcode"], 40003);
    // None of it is a session, or another site's ticket.
    let stranger = sites.visitor("bob").with("cookie", &format!("wxgate={}", text("access_token")));
    assert_eq!(stranger.fetch(&at(&sites, "/page")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn tokens_and_codes_end_with_the_session_that_they_come_from() {
    let sites = shops().await;
    let shop = Server { sites: &sites, appid: SHOP };
    for logout in ["/_wx/logout", "/_wx/logout?everywhere=1"] {
        let alice = sites.visitor("alice");
        let token = shop.exchange(&code(&sites, &alice, "snsapi_userinfo").await).await;
        let unused = code(&sites, &alice, "snsapi_userinfo").await;
        assert!(shop.about("/userinfo", &token).await["nickname"].is_string());
        alice.log_out(&at(&sites, logout)).await;
        assert_eq!(shop.about("/userinfo", &token).await["errcode"], 40001);
        assert_eq!(shop.about("/auth", &token).await["errcode"], 40001);
        assert_eq!(shop.refresh(&token).await["errcode"], 40030);
        assert_eq!(shop.exchange(&unused).await["errcode"], 40029);
    }
}

#[tokio::test]
async fn only_a_site_that_has_apps_plays_wechat() {
    let sites = Sites::start(
        r#"
        [site.one]
        public_url = "http://one.localhost:PORT"
        upstream = "APP"
        account = "main"
        login = "off"
        "#,
    )
    .await;
    let visitor = sites.visitor("alice");
    for path in ["/connect/oauth2/authorize?appid=x", "/sns/userinfo?access_token=x"] {
        let page = visitor.get(&sites.at("one", path)).await;
        assert_eq!(page.json()["uri"], path, "the app's own");
    }
    let sites = shops().await;
    let post = sites.visitor("alice").send(Method::DELETE, &at(&sites, "/sns/userinfo"), &[]).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn w10_neither_an_app_s_secret_nor_its_codes_and_tokens_are_in_the_log() {
    let (sim, app, listen) = (Simulator::start().await, App::start().await, free_port());
    let folder = std::env::temp_dir().join(format!("wxgate-facade-{}", listen.port()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = format!(
        r#"
        listen = "{listen}"
        wechat = {{ api = ["{sim}"], open = "{sim}" }}
        account.main.appid = "wx0123456789abcdef"
        site.one = {{ public_url = "http://{listen}", upstream = "{}" }}
        client.shop = {{ appid = "{SHOP}", site = "one", redirect_uris = ["{BACK}"] }}
        "#,
        app.url(),
        sim = sim.url(),
    );
    std::fs::write(folder.join("wxgate.toml"), config).unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_wxgate"))
        .args(["serve", "--config"])
        .arg(folder.join("wxgate.toml"))
        .env("WXGATE_ACCOUNT_MAIN_SECRET", "0123456789abcdef0123456789abcdef")
        .env("WXGATE_CLIENT_SHOP_SECRET", CLIENT_SECRET)
        .env("WXGATE_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = log_of(&mut gateway);
    listening(listen).await;

    let site = format!("http://{listen}");
    let browser = Browser::new(&site, "alice");
    let authorize = format!(
        "/connect/oauth2/authorize?appid={SHOP}&redirect_uri={}&response_type=code&scope=snsapi_base&state=s",
        encode(BACK)
    );
    browser.walk("/page").await;
    let back = browser.get(&authorize).await;
    let code = back.location().split_once("code=").unwrap().1.split_once('&').unwrap().0.to_owned();
    let mut planted =
        vec![CLIENT_SECRET.to_owned(), browser.session_cookie().unwrap(), code.clone()];
    for (secret, grant) in [("wrong", "authorization_code"), (CLIENT_SECRET, "x")] {
        let query = format!("appid={SHOP}&secret={secret}&code={code}&grant_type={grant}");
        browser.get(&format!("/sns/oauth2/access_token?{query}")).await;
    }
    let query =
        format!("appid={SHOP}&secret={CLIENT_SECRET}&code={code}&grant_type=authorization_code");
    let token = browser.get(&format!("/sns/oauth2/access_token?{query}")).await.json();
    for name in ["access_token", "refresh_token"] {
        planted.push(token[name].as_str().unwrap().to_owned());
    }
    let (access, refresh) = (planted[3].clone(), planted[4].clone());
    for path in ["userinfo", "auth"] {
        browser.get(&format!("/sns/{path}?access_token={access}&openid=o1")).await;
    }
    let query = format!("appid={SHOP}&grant_type=refresh_token&refresh_token={refresh}");
    let token = browser.get(&format!("/sns/oauth2/refresh_token?{query}")).await.json();
    planted.push(token["access_token"].as_str().unwrap().to_owned());
    // An address that is not listed is told of, without what came with it.
    browser.get(&authorize.replace("callback", "other%3Fx%3Dplanted-7c1e")).await;
    planted.push("planted-7c1e".to_owned());

    assert_eq!(terminate(gateway).await, Some(0));
    let log = log.await;
    std::fs::remove_dir_all(folder).unwrap();
    for secret in planted {
        assert!(!log.contains(&secret), "a log line has {secret}");
    }
    // The search is known to search.
    for said in ["TRACE", "/sns/oauth2/access_token", "is not in its redirect_uris", SHOP] {
        assert!(log.contains(said), "{said}");
    }
}

#[tokio::test]
async fn c29_the_list_of_a_site_holds_for_its_apps_too() {
    let site = r#"
        [site.one]
        public_url = "http://127.0.0.1:PORT"
        hosts = ["one.localhost"]
        upstream = "APP"
        account = "main"
        allow_openids = ["OPENID_OF_ALICE"]

        [client.shop]
        appid = "wxabcdefabcdefabcd"
        site = "one"
        redirect_uris = ["http://127.0.0.1/callback"]
    "#;
    let sites = Sites::start(site).await;
    let back = "http://127.0.0.1/callback";
    let url = authorize_url(&sites, "wxabcdefabcdefabcd", back, "snsapi_base", "s");
    let arrived = arrival(&sites.visitor("alice"), &url).await;
    assert!(arrived.as_str().starts_with(&format!("{back}?code=")), "{arrived}");
    let answer = sites.visitor("bob").walk_to(&url, "//127.0.0.1/").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{answer:?}");
}
