//! What every front proxy has to do right, told once for all of them.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::{WebSocketUpgrade, ws::WebSocket},
    response::IntoResponse,
    routing::get,
};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Method, StatusCode};
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};
use wxgate::gateway::snippet::Kind;

use super::{
    Behind, Fronts, OTHER_APPID, PROOF,
    proxy::Proxy,
    question::{Question, Way},
    raw,
};
use crate::{
    browser::Chromium,
    world::{self, ALICE, APPID, Answer, Browser, WECHAT, userinfo_login},
};

/// What a page of ours has where a person is to press a button: nginx shows it as it is, while others take every
/// success for a yes.
fn page_of_ours(kind: Kind) -> StatusCode {
    if kind == Kind::Nginx { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

#[track_caller]
pub fn is_html(answer: &Answer) {
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{answer:?}");
    assert!(answer.headers["content-security-policy"].to_str().unwrap().contains("'none'"));
}

pub async fn signed_in(fronts: &Fronts, site: &str, user: &str) -> Browser {
    let browser = fronts.browser(site, user);
    let page = browser.walk("/page").await;
    assert_eq!((page.status, page.url.as_str()), (StatusCode::OK, &*browser.at("/page")));
    browser
}

/// People of each site sign in with its account, come back to where they were going, and sign out.
pub async fn signing_in(kind: Kind) {
    let fronts = Fronts::behind(kind).await;
    for (site, appid) in [("h5", APPID), ("shop", APPID), ("desk", OTHER_APPID)] {
        let browser = fronts.browser(site, "alice");
        // The other one is ours too: a session with another account.
        for name in ["app", "wxgate-ww3333333333333333"] {
            browser.jar.lock().unwrap().insert(name.into(), "1".into());
        }
        let target = "/page?a=b%20c&d=/x//y&e=%2F%3F&f=http://g/";
        let page = browser.walk(target).await;
        assert_eq!((page.status, &*page.url), (StatusCode::OK, &*browser.at(target)), "{site}");
        assert_eq!(page.json()["uri"], target);
        let openid = fronts.openid("alice", appid);
        let subject = format!("{appid}:{openid}");
        if site == "shop" {
            assert_eq!(page.received("x-auth-request-user"), Some(subject));
            assert_eq!(page.received("x-wechat-openid"), None);
        } else {
            assert_eq!(page.received("x-wechat-openid"), Some(openid));
            assert_eq!(page.received("x-wechat-appid").as_deref(), Some(appid));
            assert_eq!(page.received("x-wechat-scope").as_deref(), Some("snsapi_base"));
            assert_eq!(page.received("x-wechat-subject").as_ref(), Some(&subject));
            assert_eq!(page.received("x-forwarded-user"), Some(subject));
            assert_eq!(page.received("x-auth-request-user"), None);
        }
        // c21: the session stays between the browser and us, and everything else passes.
        assert_eq!(page.received("cookie").unwrap().trim_end_matches([';', ' ']), "app=1");
        assert_eq!(page.received("host").unwrap(), format!("{site}.localhost:{}", fronts.port));
        assert_eq!(page.received("x-forwarded-proto").as_deref(), Some("http"));

        let order = browser.send(Method::POST, "/order?x", &[], "two of them").await;
        assert_eq!(order.json()["method"], "POST");
        assert_eq!(order.json()["body"], "two of them");
        assert!(browser.get("/_wx/me").await.body.contains(appid));

        let before = fronts.app.requests();
        let out = browser.log_out("?to=/page").await;
        assert_eq!((out.status, out.location()), (StatusCode::SEE_OTHER, "/page"));
        assert_eq!(browser.session_cookie(), None);
        assert_eq!(browser.get("/page").await.status, StatusCode::FOUND);
        assert_eq!(fronts.app.requests(), before, "c25");
    }
    // The other name of a site leads home first.
    let other = fronts.browser("www", "alice").get("/page?x").await;
    assert_eq!(other.status, StatusCode::FOUND);
    assert!(other.location().starts_with(&fronts.url("h5")), "{other:?}");
    // An address as long as we take one.
    let long = format!("/page?{}", "x".repeat(2_000));
    let page = fronts.browser("h5", "bob").walk(&long).await;
    assert_eq!((page.status, page.json()["uri"].as_str()), (StatusCode::OK, Some(&*long)));
}

/// Each kind of route lets in whom it should, and says the rest what they can understand.
pub async fn routes(kind: Kind) {
    let fronts = Fronts::behind(kind).await;
    let nobody = || fronts.browser("h5", "alice");
    let (alice, bob) =
        (signed_in(&fronts, "h5", "alice").await, signed_in(&fronts, "h5", "bob").await);

    let passed = fronts.app.requests();
    for (method, path) in
        [(Method::GET, "/static/x"), (Method::GET, "/feed"), (Method::GET, "/open")]
    {
        let page = nobody().send(method, path, &[], "").await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert_eq!(page.received("x-wechat-openid").unwrap_or_default(), "", "{path}");
    }
    assert_eq!(fronts.app.requests(), passed + 3);
    let openid = alice.get("/feed").await.received("x-wechat-openid");
    assert_eq!(openid, Some(fronts.openid("alice", APPID)));

    let before = fronts.app.requests();
    for path in ["/page", "/staff", "/users/1/orders", "/signed"] {
        assert_eq!(nobody().get(path).await.status, StatusCode::FOUND, "{path}");
    }
    for (method, path) in [
        (Method::POST, "/page"),
        (Method::POST, "/users/1/orders"),
        (Method::POST, "/open"),
        (Method::DELETE, "/staff"),
        (Method::OPTIONS, "/page"),
    ] {
        let answer = nobody().send(method, path, &[], "body").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(answer.json()["error"], "login_required");
    }
    let script = nobody().fetch("/page").await;
    assert_eq!(script.status, StatusCode::UNAUTHORIZED);
    assert_eq!(script.headers["content-type"], "application/json");
    assert!(script.headers["cache-control"].to_str().unwrap().contains("no-store"), "c44");
    assert!(script.headers.get_all("vary").iter().any(|vary| vary == "Cookie"), "c44");
    let login_url = script.json()["login_url"].as_str().unwrap().to_owned();
    assert!(login_url.starts_with(&fronts.url("h5")), "{login_url}");

    // The page with one button, and the one that keeps a fragment.
    for (path, mark) in [("/profile", "/_wx/login?scope=userinfo"), ("/app/", "location.hash")] {
        let page = nobody().get(path).await;
        assert_eq!(page.status, page_of_ours(kind), "{path}");
        is_html(&page);
        assert!(page.body.contains(mark), "{page:?}");
    }
    // c29: who is signed in and not listed.
    let page = bob.get("/staff").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    is_html(&page);
    let script = bob.fetch("/staff").await;
    assert_eq!(
        (script.status, &*script.body),
        (StatusCode::FORBIDDEN, r#"{"error":"not_admitted"}"#)
    );
    assert_eq!(fronts.app.requests(), before, "c25");
    assert_eq!(alice.get("/staff").await.status, StatusCode::OK);
    assert_eq!(bob.send(Method::POST, "/users/1/orders", &[], "").await.json()["method"], "POST");

    let signed = alice.get("/signed").await.received("x-wechat-assertion").unwrap();
    assert_eq!(signed.split('.').count(), 3, "{signed}");
    assert_eq!(alice.get("/page").await.received("x-wechat-assertion").unwrap_or_default(), "");
    let profile = nobody().walk(&userinfo_login("/profile")).await;
    assert_eq!(profile.received("x-wechat-nickname").as_deref(), Some(ALICE));
    assert!(profile.received("x-wechat-avatar").unwrap().starts_with("http"));
    assert!(profile.received("x-wechat-unionid").is_some());

    // Whatever we say of somebody, the snippet passes it on.
    let session = fronts.session("h5", "alice", "userinfo").await;
    let host = format!("h5.localhost:{}", fronts.port);
    let question = Question::at(Way::Forward, &host, "GET", "/signed").with("cookie", &session);
    let said = question.ask(&fronts).await;
    let lines = [("host", &*host), ("cookie", &*session)];
    let received = raw(fronts.front(), "GET", "/signed", &lines).await;
    let told = said.lines.iter().filter(|(name, _)| name.starts_with("x-wechat-"));
    let told: Vec<_> = told.filter(|(name, _)| name != "x-wechat-assertion").collect();
    assert_eq!(told.len(), 7, "{said:?}");
    for (name, value) in told {
        let line = format!(r#""{name}":"{value}""#);
        assert!(received.body.contains(&line), "{line} {received:?}");
    }
}

/// The names by which a client could pose as somebody.
const IDENTITY: [&str; 10] = [
    "X-WeChat-Subject",
    "X-WeChat-Openid",
    "X-WeChat-Unionid",
    "X-WeChat-Nickname",
    "X-WeChat-Phone",
    "X-WeChat-Former-Subject",
    "X-WeChat-Assertion",
    "X-Forwarded-User",
    "X-Auth-Request-User",
    "X-Auth-Request-Preferred-Username",
];

/// Every spelling that some app takes for the same name.
pub fn spellings(name: &str) -> [String; 7] {
    let first = name.replacen('-', "_", 1);
    let last = name.rsplit_once('-').map(|(a, b)| format!("{a}_{b}")).unwrap();
    let all = name.replace('-', "_");
    let dots = name.replace('-', ".");
    [name.to_lowercase(), name.to_uppercase(), first, last, all.to_uppercase(), all, dots]
}

pub async fn spoofed_headers(kind: Kind) {
    let fronts = Fronts::behind(kind).await;
    for (site, user) in [("h5", "alice"), ("shop", "bob")] {
        let browser = signed_in(&fronts, site, user).await;
        let host = format!("{site}.localhost:{}", fronts.port);
        let session = format!("wxgate={}", browser.session_cookie().unwrap());
        let openid = fronts.openid(user, APPID);
        let visits = match site {
            "h5" => {
                vec![("/static/x", ""), ("/feed", ""), ("/feed", &*session), ("/page", &*session)]
            }
            _ => vec![("/page", &*session)],
        };
        for (path, cookie) in visits {
            for name in IDENTITY.iter().flat_map(|name| spellings(name)) {
                let lines = [
                    ("host", &*host),
                    ("cookie", cookie),
                    ("user-agent", WECHAT),
                    (&*name, "spoofed"),
                    ("x-passes", "by"),
                ];
                let answer = raw(fronts.front(), "GET", path, &lines).await;
                assert_eq!(answer.status, 200, "{name} {path} {answer:?}");
                assert!(!answer.body.contains("spoofed"), "{name} {path} {answer:?}");
                assert!(answer.body.contains(r#""x-passes":"by""#), "{answer:?}");
                let is_known = !cookie.is_empty();
                assert_eq!(answer.body.contains(&openid), is_known, "{name} {path} {answer:?}");
            }
        }
    }
}

/// What does not look the same to everybody is refused, whoever it comes from.
pub async fn odd_paths(kind: Kind) {
    let fronts = Fronts::behind(kind).await;
    let host = format!("h5.localhost:{}", fronts.port);
    let lines = [("host", &*host), ("user-agent", WECHAT)];
    let good = raw(fronts.front(), "GET", "/static/x", &lines).await;
    assert_eq!((good.status, fronts.app.requests()), (200, 1));
    for path in [
        "/static/../page",
        "/static/%2e%2e/page",
        "/static/.%2E/page",
        "/static//../../page",
        "//page",
        "//static/../page",
        "/static/./../page",
        "/static%2f..%2fpage",
        "/static/..%2fpage",
        "/static/%2e%2e%2fpage",
        "/static/..%5cpage",
        "/static\\..\\page",
        "/static/..;/page",
        "/static/..;x=1/page",
        "/static;/../page",
        "/static#/../page",
        "/static%23/../page",
        "/static/%00/../page",
        "/static/%zz/../page",
        "/open/../page",
        "/page/../page",
        "/page",
    ] {
        let answer = raw(fronts.front(), "GET", path, &lines).await;
        assert!(!(200..300).contains(&answer.status), "{path} {answer:?}");
        assert_eq!(fronts.app.requests(), 1, "{path} {answer:?}");
    }
    // A query may hold anything.
    let good = raw(fronts.front(), "GET", "/static/x?/../page//%2f;", &lines).await;
    assert_eq!((good.status, fronts.app.requests()), (200, 2), "{good:?}");
}

/// Nobody asks in the front proxy's name, and its peer is not taken for a front proxy.
pub async fn questions_from_outside(kind: Kind) {
    let fronts = Fronts::behind(kind).await;
    let browser = signed_in(&fronts, "h5", "alice").await;
    let before = fronts.app.requests();
    let url = format!("{}/page", fronts.url("h5"));
    let host = format!("h5.localhost:{}", fronts.port);
    let metadata = [
        ("x-original-url", &*url),
        ("x-original-method", "GET"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", &*host),
        ("x-forwarded-uri", "/page"),
    ];
    for path in ["/_wx/auth", "/_wx/refusal", "/_wx/forward-auth", "/_wx/ext-authz/page"] {
        let answer = browser.send(Method::GET, path, &metadata, "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path} {answer:?}");
        assert!(!answer.headers.contains_key("x-wechat-openid"), "{path} {answer:?}");
    }
    // Forged metadata changes no verdict either.
    for path in ["/page", "/staff"] {
        let mut forged = metadata;
        forged[0].1 = "http://h5.localhost/static/x";
        forged[5].1 = "/static/x";
        let nobody = fronts.browser("h5", "alice");
        let answer = nobody.send(Method::GET, path, &forged, "").await;
        assert_eq!(answer.status, StatusCode::FOUND, "{path} {answer:?}");
    }
    assert_eq!(fronts.app.requests(), before);
    // c24
    for agent in ["GoogleHC/1.0 MicroMessenger", "kube-probe/1.29 MicroMessenger"] {
        let probe = fronts.browser("h5", "alice").with("user-agent", agent);
        assert_eq!(probe.get("/page").await.status, StatusCode::FOUND);
    }
    // w14
    let proof = fronts.browser("h5", "alice").get("/MP_verify_abc.txt").await;
    assert_eq!((proof.status, &*proof.body), (StatusCode::OK, PROOF));
    assert_eq!(
        fronts.browser("desk", "alice").get("/MP_verify_abc.txt").await.status,
        StatusCode::FOUND
    );
}

/// With the store down nobody gets in, nobody is signed out, and everybody is told the same.
pub async fn store_down(kind: Kind) {
    let fronts = Fronts::behind(kind).await;
    let browser = signed_in(&fronts, "h5", "alice").await;
    let before = fronts.app.requests();
    fronts.cut_store(true);
    let page = browser.get("/page").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.set_cookies(), [""; 0]);
    is_html(&page);
    let script = browser.send(Method::POST, "/page", &[], "body").await;
    assert_eq!(script.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(script.json()["error"], "store_unavailable");
    assert_eq!(fronts.app.requests(), before);
    assert_eq!(browser.get("/static/x").await.status, StatusCode::OK);
    fronts.cut_store(false);
    assert_eq!(browser.get("/page").await.status, StatusCode::OK);
}

/// Scripts of another origin: what they may know, and that their preflights are no way in.
pub async fn preflights(kind: Kind) {
    let fronts = Fronts::behind(kind).await;
    for origin in ["https://app.example.com", "https://evil.example"] {
        let lines = [("origin", origin), ("access-control-request-method", "GET")];
        let browser = fronts.browser("shop", "alice");
        let answer = browser.send(Method::OPTIONS, "/page", &lines, "").await;
        let listed = origin == "https://app.example.com";
        let status = if listed && kind == Kind::Nginx {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::UNAUTHORIZED
        };
        assert_eq!(answer.status, status, "{origin}");
        let allowed =
            answer.headers.get("access-control-allow-origin").map(|it| it.to_str().unwrap());
        assert_eq!(allowed, listed.then_some(origin));
    }
    assert_eq!(fronts.app.requests(), 0);
    let browser = signed_in(&fronts, "shop", "alice").await;
    let preflight = browser.send(Method::OPTIONS, "/page", &[], "").await;
    assert_eq!(preflight.json()["method"], "OPTIONS");
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

pub async fn websockets(kind: Kind) {
    let received = Arc::new(Mutex::new(HeaderMap::new()));
    let seen = received.clone();
    let answer = async move |headers: HeaderMap, upgrade: WebSocketUpgrade| {
        *seen.lock().unwrap() = headers;
        upgrade.on_upgrade(echo).into_response()
    };
    let app = world::serve(Router::new().route("/page", get(answer))).await.to_string();
    let fronts = Fronts::trusting().await;
    let known = fronts.app.url().replace("http://", "");
    let text = (fronts.snippets)(kind).replace(&known, &app);
    let _proxy = Proxy::start(kind, &text, fronts.port).await;

    let request = |cookie: &str| {
        let url = format!("ws://{}/page", fronts.front());
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("host", format!("h5.localhost:{}", fronts.port).parse().unwrap());
        headers.insert("cookie", format!("{cookie}; app=1").parse().unwrap());
        headers.insert("sec-fetch-mode", "websocket".parse().unwrap());
        headers.insert("x-wechat-openid", "spoofed".parse().unwrap());
        request
    };
    let refused = tokio_tungstenite::connect_async(request("a=b")).await.unwrap_err();
    let tungstenite::Error::Http(refused) = refused else { panic!("{refused}") };
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(received.lock().unwrap().is_empty());

    let session = fronts.session("h5", "alice", "base").await;
    let (mut socket, _) = tokio_tungstenite::connect_async(request(&session)).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap(), "hello");
    let headers = received.lock().unwrap().clone();
    assert_eq!(headers["x-wechat-openid"], *fronts.openid("alice", APPID));
    assert_eq!(headers["cookie"].to_str().unwrap().trim_end_matches([';', ' ']), "app=1");
}

/// A person with a real browser: silently first, then with one tap for the profile.
pub async fn in_chromium(kind: Kind) {
    let fronts: Behind = Fronts::behind(kind).await;
    let at = |path: &str| format!("{}{path}", fronts.url("h5"));
    let browser = Chromium::wechat().await;
    browser.open(&at("/page?a=b&c=/d")).await;
    browser.tap("#user-alice").await;
    browser.arrive(&at("/page?a=b&c=/d")).await;
    assert!(browser.see("body").await.contains(&fronts.openid("alice", APPID)));
    browser.open(&at("/app/#/orders/1?x=y")).await;
    browser.arrive(&at("/app/#/orders/1?x=y")).await;

    browser.open(&at("/profile")).await;
    browser.tap("#primary").await;
    browser.tap("#allow").await;
    browser.arrive(&at("/profile")).await;
    assert!(browser.see("body").await.contains(ALICE));

    browser.open(&at("/_wx/logout")).await;
    browser.tap("#primary").await;
    browser.until_heading("已退出登录").await;
    // The way back to a hash router's page leads through WeChat.
    browser.open(&at("/app/#/orders/2?x=y")).await;
    browser.arrive(&at("/app/#/orders/2?x=y")).await;
    assert!(browser.see("body").await.contains(&fronts.openid("alice", APPID)));
    browser.quit().await;
}
