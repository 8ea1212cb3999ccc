//! What a client says of itself, and what of it comes to an app.

use futures_util::{SinkExt, StreamExt};
use http::{Method, StatusCode};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::*;

/// Every spelling under which some server would find what only we may say.
const LIES: [&str; 29] = [
    "x-wechat-openid",
    "X-WECHAT-SUBJECT",
    "x_wechat_openid",
    "X_WeChat-Openid",
    "x.wechat.openid",
    "x-forwarded-user",
    "x_forwarded_user",
    "x-wechat-assertion",
    "x-wechat-phone",
    "X_WeChat_Former-Subject",
    "x-wechat-unheard-of",
    "x-auth-request-user",
    "x_auth_request_user",
    "forwarded",
    "x-forwarded-for",
    "x_forwarded_for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x_forwarded_proto",
    "x-forwarded-prefix",
    "X_Forwarded-Uri",
    "x-real-ip",
    "x_real_ip",
    "x-original-url",
    "x_original_url",
    "x-original-method",
    "x-original-host",
    "x-rewrite-url",
    "x-request-id: a b\r\nx_request_id",
];

#[tokio::test]
async fn c11_c12_c13_no_route_of_any_kind_passes_on_who_a_client_says_it_is() {
    let sites = Sites::start().await;
    let alice = with_profile(&sites, "alice").await;
    let cookie = cookies(&alice.jar("h5"));
    let lies = LIES.map(|name| format!("{name}: spoofed\r\n")).concat();
    let named = "Connection: close, x-wechat-openid, x-wechat-subject, x-forwarded-user\r\n";
    let preflight = "Origin: https://app.example.com\r\nAccess-Control-Request-Method: POST\r\n";
    let files =
        [("/static/style.css", "", Asks::Nothing), ("/members/style.css", "", Asks::SignIn)];
    for (path, _, asks) in ROUTES.into_iter().chain(files) {
        for method in ["GET", "POST", "OPTIONS", "HEAD"] {
            for cookie in [Some(&cookie), None] {
                let more = if method == "OPTIONS" { preflight } else { "" };
                let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n"));
                let headers = format!(
                    "{lies}{named}{more}X-Kept: yes\r\n{}Content-Length: 0\r\n",
                    cookie.as_deref().unwrap_or("")
                );
                let before = sites.requests();
                let answer = sites.raw(&format!("{method} {path}"), &headers).await;
                assert!(!answer.contains("spoofed"), "{method} {path} {answer}");
                if sites.requests() == before {
                    continue;
                }
                let received = sites.app_of(path).last();
                assert!(!received.to_string().contains("spoofed"), "{method} {path} {received}");
                // For another method another route decides.
                let asks =
                    if (method, path) == ("OPTIONS", "/orders") { Asks::SignIn } else { asks };
                assert_eq!(header(&received, "x-kept"), Some("yes"), "{method} {path}");
                assert_eq!(header(&received, "x-forwarded-for"), Some("127.0.0.1"));
                if cookie.is_none() || asks == Asks::Nothing {
                    assert_eq!(header(&received, "x-wechat-subject"), None, "{method} {path}");
                } else if !path.starts_with("/html") {
                    let subject = header(&received, "x-wechat-subject").unwrap();
                    assert!(subject.starts_with(APPID), "{method} {path} {subject}");
                }
            }
        }
    }
    // A WebSocket is a request too.
    for path in ["/off/ws", "/optional/ws", "/api/ws", "/unix/ws", "/tls/ws"] {
        let url = format!("ws://127.0.0.1:{}{path}", sites.addr.port());
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("host", sites.host("h5").parse().unwrap());
        headers.insert("cookie", cookie.parse().unwrap());
        for name in LIES.into_iter().filter(|name| !name.contains(':')) {
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, "spoofed".parse().unwrap());
        }
        let stream = TcpStream::connect(sites.addr).await.unwrap();
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap(), "hello", "{path}");
        let received = sites.app_of(path).last();
        assert!(!received.to_string().contains("spoofed"), "{path} {received}");
        assert_eq!(header(&received, "x-wechat-subject").is_some(), path != "/off/ws", "{path}");
        assert_eq!(header(&received, "cookie"), None, "{path}");
    }
}

#[tokio::test]
async fn c21_no_cookie_of_ours_comes_to_any_app() {
    let sites = Sites::start().await;
    let alice = with_profile(&sites, "alice").await;
    alice.walk("/desk").await;
    // Begun, and not finished.
    alice.get(&format!("http://{}/x", sites.host("shop"))).await;
    alice.walk(&format!("http://{}/x", sites.host("blog"))).await;
    let nobody = sites.person("bob");
    nobody.get("/api").await;
    let mut all = nobody.jar("h5");
    for site in ["h5", "shop", "blog"] {
        all.extend(alice.jar(site));
    }
    let kinds = |part: &str| all.keys().filter(|name| name.contains(part)).count();
    assert!(all.contains_key("wxgate") && all.contains_key(&format!("wxgate-{OTHER_APPID}")));
    assert!(kinds("wxgate-login-") >= 2, "{all:?}");
    // Under the names that they have on https as well.
    let secure: Vec<_> = all.iter().map(|(name, value)| format!("__Host-{name}={value}")).collect();
    let line = format!("app=1; {}; {}; b=2", cookies(&all), secure.join("; "));
    for (path, ..) in ROUTES {
        let before = sites.requests();
        let page = alice
            .send(Method::GET, path, &[("cookie", &line), ("authorization", "Bearer app")], "")
            .await;
        assert_eq!(page.status, StatusCode::OK, "{path} {page:?}");
        assert_eq!(sites.requests(), before + 1, "{path}");
        let received = sites.app_of(path).last();
        assert_eq!(header(&received, "cookie"), Some("app=1; b=2"), "{path}");
        assert_eq!(header(&received, "authorization"), Some("Bearer app"), "{path}");
        for value in all.values() {
            assert!(!received.to_string().contains(&**value), "{path} {received}");
        }
    }
}

#[tokio::test]
async fn c13_c15_c16_only_a_trusted_proxy_is_believed_about_the_client() {
    let strangers = Sites::start().await;
    let asked = async |sites: &Sites, list: &str| {
        let answer = sites
            .raw("GET /off", &format!("X-Forwarded-For: {list}\r\nX-Forwarded-Proto: https\r\n"))
            .await;
        let status = answer.split(' ').nth(1).unwrap().to_owned();
        (
            status,
            header(&sites.app.last(), "x-forwarded-for").map(str::to_owned),
            header(&sites.app.last(), "x-real-ip").map(str::to_owned),
        )
    };
    let own = |list: &str, ip: &str| ("200".to_owned(), Some(list.to_owned()), Some(ip.to_owned()));
    for list in ["1.2.3.4", "nonsense", "127.0.0.1", ""] {
        assert_eq!(asked(&strangers, list).await, own("127.0.0.1", "127.0.0.1"), "{list}");
    }
    let trusting = |text: String| {
        text.replace(
            "rate_limit = 0",
            "rate_limit = 2\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]",
        )
    };
    let sites = Sites::with(trusting).await;
    assert_eq!(asked(&sites, "1.2.3.4").await, own("1.2.3.4, 127.0.0.1", "1.2.3.4"));
    assert_eq!(
        asked(&sites, "6.6.6.6, 1.2.3.4, 10.0.0.2").await,
        own("1.2.3.4, 10.0.0.2, 127.0.0.1", "1.2.3.4")
    );
    assert_eq!(asked(&sites, "nonsense, 1.2.3.4").await, own("1.2.3.4, 127.0.0.1", "1.2.3.4"));
    let before = sites.requests();
    assert_eq!(asked(&sites, "1.2.3.4, nonsense").await.0, "400");
    assert_eq!(sites.requests(), before);
    // So each of their clients has a measure of its own, which no forged beginning makes larger.
    for (client, status) in [
        ("7.7.7.7", "302"),
        ("1.1.1.1, 7.7.7.7", "302"),
        ("2.2.2.2, 7.7.7.7", "429"),
        ("8.8.8.8", "302"),
    ] {
        let answer =
            sites.raw("GET /_wx/login?to=/", &format!("X-Forwarded-For: {client}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{client} {answer}");
    }
}

#[tokio::test]
async fn c14_whatever_a_trusted_proxy_passes_on_the_path_that_decides_is_the_request_s_own() {
    let trusted = "rate_limit = 0\ntrusted_proxies = [\"127.0.0.1\"]";
    let sites = Sites::with(|text| text.replace("rate_limit = 0", trusted)).await;
    let claims = |path: &str| {
        format!(
            "X-Forwarded-Uri: {path}\r\nX-Original-Url: http://{}{path}\r\nX-Original-Uri: {path}\r\n\
             X-Rewrite-Url: {path}\r\nX-Forwarded-Prefix: {path}\r\nX-Forwarded-Method: OPTIONS\r\n\
             X-Original-Method: OPTIONS\r\nX-Forwarded-Host: {}\r\n",
            sites.host("h5"),
            sites.host("shop"),
        )
    };
    let private = sites.raw("GET /api/x", &claims("/off/x")).await;
    assert!(private.starts_with("HTTP/1.1 302"), "{private}");
    assert_eq!(sites.requests(), 0);
    let open = sites.raw("GET /off/x", &claims("/api/x")).await;
    assert!(open.starts_with("HTTP/1.1 200"), "{open}");
    let received = sites.app.last();
    assert_eq!((&received["uri"], &received["method"]), (&"/off/x".into(), &"GET".into()));
    assert_eq!(header(&received, "x-forwarded-host"), Some(&*sites.host("h5")));
    assert_eq!(header(&received, "x-forwarded-uri"), None);
}
