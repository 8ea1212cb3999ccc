//! What single-page apps get from a gateway: steps that keep a fragment, the script, and answers for listed origins.

use http::{HeaderMap, Method, StatusCode, header};

use crate::{domains::Sites, world::Answer};

const APP: &str = "https://app.example.com";

async fn sites() -> Sites {
    Sites::start(
        r#"
        [site.one]
        public_url = "http://one.localhost:PORT"
        upstream = "APP"
        account = "main"
        cors_origins = ["https://app.example.com", "https://m.example.com:8443"]
        [[site.one.route]]
        prefix = "/app"
        fragment = true
        [[site.one.route]]
        prefix = "/profile"
        login = "userinfo"
        fragment = true
        [[site.one.route]]
        prefix = "/shop"
        account = "other"
        fragment = true
        [[site.one.route]]
        prefix = "/open"
        login = "optional"

        [site.two]
        public_url = "http://two.localhost:PORT"
        upstream = "APP"
        account = "main"
        "#,
    )
    .await
}

fn is_kept(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.headers[header::CACHE_CONTROL].to_str().unwrap().contains("no-store"));
    assert_eq!(answer.set_cookies(), [""; 0], "nothing is under way yet");
    let policy = answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    let (_, rest) = answer.body.split_once("<script nonce=\"").unwrap();
    let nonce = rest.split_once('"').unwrap().0;
    assert!(
        nonce.len() >= 32 && policy.contains(&format!("script-src 'nonce-{nonce}'")),
        "{policy}"
    );
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
}

#[tokio::test]
async fn the_first_answer_to_a_page_saves_its_fragment_and_later_ones_are_the_page() {
    let sites = sites().await;
    let alice = sites.visitor("alice");
    let wanted = sites.at("one", "/app/?a=1&b='\"<>");
    let first = alice.get(&wanted).await;
    is_kept(&first);
    assert_ne!(first.body, alice.get(&wanted).await.body, "a nonce is new each time");
    // Where scripts are off, the page goes on by itself.
    let (_, rest) = first.body.split_once("content=\"0;url=").unwrap();
    let login = rest.split_once('"').unwrap().0.replace("&amp;", "&");
    let page = alice.walk(&login).await;
    assert!(sites.is(&page, "alice"), "{page:?}");
    assert_eq!(page.url, sites.at("one", "/app/?a=1&b=%27%22%3C%3E"));
    assert!(sites.is(&alice.get(&wanted).await, "alice"));

    // A script has no fragment to save, and other pages are not asked for theirs.
    let bob = sites.visitor("bob");
    assert_eq!(bob.fetch(&wanted).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(bob.get(&sites.at("one", "/page")).await.status, StatusCode::FOUND);
    // The page before a consent comes after that step, with the account that the route names.
    let login = |body: &str| {
        let (_, rest) = body.split_once("location.replace(\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let step = bob.get(&sites.at("one", "/profile")).await;
    is_kept(&step);
    let tap = bob.get(&format!("{}%23%2Fme", login(&step.body))).await;
    assert!(tap.status == StatusCode::OK && tap.body.contains("id=\"primary\""), "{tap:?}");
    assert!(tap.body.contains("%23%2Fme"), "{}", tap.body);
    let step = bob.get(&sites.at("one", "/shop")).await;
    assert!(login(&step.body).contains("account=other"), "{}", step.body);
}

#[tokio::test]
async fn c53_an_address_cannot_break_out_of_the_step_that_saves_its_fragment() {
    let sites = sites().await;
    let visitor = sites.visitor("alice");
    for hostile in [
        "\"-alert(1)-\"",
        "</script><script>alert(1)</script>",
        "';alert(1);'",
        "\\\"-alert(1)-\"",
        "&quot;\"><script>",
        "${alert(1)}`",
        "%22%3E%3Cscript%3E",
    ] {
        let step = visitor.get(&sites.at("one", &format!("/app/?q={hostile}"))).await;
        is_kept(&step);
        assert_eq!(step.body.matches("<script").count(), 1, "{}", step.body);
        assert!(!step.body.contains("alert(1)"), "{}", step.body);
    }
}

#[tokio::test]
async fn the_script_is_small_the_same_for_everybody_and_may_be_kept() {
    let sites = sites().await;
    let script = sites.visitor("alice").get(&sites.at("one", "/_wx/wx.js")).await;
    assert_eq!(script.status, StatusCode::OK);
    assert_eq!(script.headers[header::CONTENT_TYPE], "text/javascript; charset=utf-8");
    assert_eq!(script.headers[header::CACHE_CONTROL], "public, max-age=3600");
    assert_eq!(script.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(script.set_cookies(), [""; 0]);
    assert!(script.body.len() < 1000, "{}", script.body.len());
    let post = sites.visitor("alice").send(Method::POST, &sites.at("one", "/_wx/wx.js"), &[]).await;
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
}

fn shared_with(headers: &HeaderMap) -> Option<&str> {
    let origin = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN)?;
    assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
    Some(origin.to_str().unwrap())
}

fn varies_by_origin(answer: &Answer) -> bool {
    let mut all = answer.headers.get_all(header::VARY).iter();
    all.any(|value| value == "Origin")
}

#[tokio::test]
async fn our_answers_to_scripts_are_shared_with_listed_origins_only() {
    let sites = sites().await;
    let (alice, stranger) = (sites.visitor("alice"), sites.visitor("bob"));
    alice.walk(&sites.at("one", "/page")).await;
    let ask = async |origin: &str| {
        let headers = [("origin", origin), ("sec-fetch-mode", "cors")];
        let answers = [
            stranger.send(Method::GET, &sites.at("one", "/api"), &headers).await,
            stranger.send(Method::POST, &sites.at("one", "/api"), &headers).await,
            stranger.send(Method::GET, &sites.at("one", "/_wx/me"), &headers).await,
            alice.send(Method::GET, &sites.at("one", "/_wx/me"), &headers).await,
        ];
        let statuses = answers.each_ref().map(|answer| answer.status.as_u16());
        assert_eq!(statuses, [401, 401, 401, 200]);
        assert!(answers.iter().all(varies_by_origin), "{answers:?}");
        answers.map(|answer| shared_with(&answer.headers).map(str::to_owned))
    };
    for listed in [APP, "https://m.example.com:8443"] {
        assert_eq!(ask(listed).await, [const { Some(()) }; 4].map(|_| Some(listed.to_owned())));
    }
    for other in [
        "https://evil.example",
        "https://evil-app.example.com",
        "https://app.example.com.evil.example",
        "https://app.example.com:99",
        "https://m.example.com",
        "http://app.example.com",
        "https://APP.example.com",
        "https://sub.app.example.com",
        "https://app.example.com/",
        "https://app.example.com, https://evil.example",
        "null",
        "*",
        "",
    ] {
        assert_eq!(ask(other).await, [None, None, None, None], "{other}");
    }
    // A cache may not mix up who has asked, though nobody has said so.
    let plain = alice.fetch(&sites.at("one", "/_wx/me")).await;
    assert!(varies_by_origin(&plain) && shared_with(&plain.headers).is_none());
    // A site that lists nobody shares with nobody.
    let headers = [("origin", APP), ("sec-fetch-mode", "cors")];
    let two = stranger.send(Method::GET, &sites.at("two", "/api"), &headers).await;
    assert!(shared_with(&two.headers).is_none());
    // What the app says of itself is its own.
    let open = stranger.send(Method::GET, &sites.at("one", "/open"), &headers).await;
    assert!(open.status == StatusCode::OK && shared_with(&open.headers).is_none());
}

#[tokio::test]
async fn a_listed_origin_may_send_what_it_likes_and_others_are_told_nothing() {
    let sites = sites().await;
    let visitor = sites.visitor("alice");
    let ask = async |path: &str, origin: &str| {
        let headers = [
            ("origin", origin),
            ("sec-fetch-mode", "cors"),
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", "content-type,x-own"),
        ];
        visitor.send(Method::OPTIONS, &sites.at("one", path), &headers).await
    };
    for path in ["/api", "/_wx/me", "/app/x"] {
        let answer = ask(path, APP).await;
        assert_eq!(
            (answer.status, shared_with(&answer.headers)),
            (StatusCode::NO_CONTENT, Some(APP))
        );
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_METHODS], "DELETE");
        assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_HEADERS], "content-type,x-own");
        assert!(varies_by_origin(&answer), "{answer:?}");
        let other = ask(path, "https://evil.example").await;
        assert!(other.status.is_client_error() && shared_with(&other.headers).is_none());
        assert!(!other.headers.contains_key(header::ACCESS_CONTROL_ALLOW_METHODS), "{other:?}");
    }
    // Where the app is open to everybody, it answers for itself.
    let open = ask("/open", APP).await;
    assert_eq!(open.json()["method"], "OPTIONS");
}
