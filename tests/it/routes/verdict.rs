//! What decides whether a request may pass, and what does not.

use http::{Method, StatusCode};

use super::*;
use crate::sites::{UNIONID_OF_BOB, raw};

#[tokio::test]
async fn c18_c23_on_each_route_the_path_that_was_judged_is_the_path_that_is_sent() {
    let sites = Sites::start().await;
    for (path, seen, _) in ROUTES.into_iter().filter(|(.., asks)| *asks == Asks::Nothing) {
        let straight = path.split('?').next().unwrap();
        for way in [format!("/api/..{path}"), format!("//{}", &path[1..]), format!("/.{path}")] {
            let answer = sites.raw(&format!("GET {way}"), "").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{way} {answer}");
            assert_eq!(sites.app.last()["uri"], seen, "{way}");
        }
        let before = sites.requests();
        for bad in [
            "%2f..%2fapi",
            "/..%5capi",
            "/..;/api",
            "/%2e%2e;x/api",
            "%00",
            "%23/x",
            "%3f",
            "\\..\\api",
            "%",
        ] {
            let answer = sites.raw(&format!("GET {straight}{bad}"), "").await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{straight}{bad} {answer}");
        }
        // What leads out of an open route is private.
        for out in ["/../../api", "/../%2e%2e/api", "/..//../api/x"] {
            let answer = sites.raw(&format!("GET {straight}{out}"), "").await;
            assert!(answer.starts_with("HTTP/1.1 302"), "{straight}{out} {answer}");
        }
        assert_eq!(sites.requests(), before, "{path}");
    }
    // Files: nothing beside the folder, whoever asks.
    let alice = sites.signed_in("alice").await;
    let cookie = format!("Cookie: {}\r\n", cookies(&alice.jar("h5")));
    for route in ["/static", "/spa", "/members"] {
        for way in [
            "/../secret.txt",
            "/%2e%2e/secret.txt",
            "/..%2fsecret.txt",
            "/..%5csecret.txt",
            "/.//../secret.txt",
            "/..;/secret.txt",
        ] {
            let answer = sites.raw(&format!("GET {route}{way}"), &cookie).await;
            assert!(!answer.contains(crate::process::SECRET), "{route}{way} {answer}");
        }
    }
    assert!(sites.raw("GET /static/./style.css", "").await.ends_with("body {}"));
}

#[tokio::test]
async fn c22_c24_c25_nothing_but_the_session_changes_the_verdict() {
    let sites = Sites::start().await;
    let alice = sites.signed_in("alice").await;
    let session = alice.jar("h5")["wxgate"].clone();
    let flipped = {
        let last = session.chars().last().unwrap();
        format!("{}{}", &session[..session.len() - 1], if last == '0' { '1' } else { '0' })
    };
    let tries = [
        ("GET /api/x?to=/off", String::new()),
        ("GET /api/x?/off", String::new()),
        ("GET /api/x;/off", String::new()),
        ("HEAD /api/x", String::new()),
        ("GET /api/x", "User-Agent: kube-probe/1.30\r\n".to_owned()),
        ("GET /api/x", "User-Agent: GoogleHC/1.0\r\n".to_owned()),
        (
            "GET /api/x",
            "X-Original-Url: /off\r\nX-Rewrite-Url: /off\r\nX-Forwarded-Uri: /off\r\n".to_owned(),
        ),
        (
            "GET /api/x",
            "X-HTTP-Method-Override: OPTIONS\r\nX-Forwarded-Method: OPTIONS\r\n".to_owned(),
        ),
        ("GET /api/x", "Authorization: Bearer x\r\nX-WeChat-Subject: x\r\n".to_owned()),
        ("GET /api/x", "Cookie: wxgate=\r\n".to_owned()),
        ("GET /api/x", format!("Cookie: wxgate={flipped}\r\n")),
        ("GET /api/x", format!("Cookie: wxgate={}\r\n", &session[..session.len() - 1])),
        ("GET /api/x", format!("Cookie: wxgate={session}; wxgate={session}\r\n")),
        ("GET /api/x", format!("Cookie: wxgate-{OTHER_APPID}={session}\r\n")),
        ("GET /desk", format!("Cookie: wxgate={session}\r\n")),
        ("GET /desk", format!("Cookie: wxgate-{OTHER_APPID}={session}\r\n")),
    ];
    let before = sites.requests();
    for (line, headers) in &tries {
        let answer = sites.raw(line, headers).await;
        // To the sign-in, or none of its meanings is right.
        let refused = answer.starts_with("HTTP/1.1 302") || answer.starts_with("HTTP/1.1 400");
        assert!(refused, "{line} {headers} {answer}");
        assert!(answer.to_lowercase().contains("cache-control: no-store"), "{line} {answer}");
    }
    for method in ["POST", "OPTIONS", "PUT", "DELETE", "PROPFIND"] {
        let answer = sites.raw(&format!("{method} /api/x"), "Content-Length: 0\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{method} {answer}");
    }
    assert_eq!(sites.requests(), before);
    let good = sites.raw("GET /api/x?to=/off", &format!("Cookie: wxgate={session}\r\n")).await;
    assert!(good.starts_with("HTTP/1.1 200"), "{good}");
}

#[tokio::test]
async fn c28_a_site_is_found_under_each_form_of_its_host_and_no_other() {
    let sites = Sites::start().await;
    let port = sites.addr.port();
    let asked = async |host: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        raw(sites.addr, request.as_bytes()).await
    };
    for host in [
        format!("h5.localhost:{port}"),
        format!("H5.LocalHost:{port}"),
        format!("h5.localhost.:{port}"),
        "h5.localhost".to_owned(),
        format!("www.localhost:{port}"),
        "WWW.LOCALHOST.".to_owned(),
    ] {
        let answer = asked(&host, "/off").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{host} {answer}");
        // And none of its forms opens what is closed.
        let answer = asked(&host, "/api").await;
        assert!(answer.starts_with("HTTP/1.1 302"), "{host} {answer}");
    }
    let before = sites.requests();
    for host in [
        "localhost",
        "127.0.0.1",
        "evil.example",
        "xh5.localhost",
        "h5.localhost.evil.example",
        "h5.localhost..",
        "localhost.h5",
    ] {
        let answer = asked(host, "/off").await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{host} {answer}");
        let answer = asked(host, "/MP_verify_abc.txt").await;
        assert!(answer.starts_with("HTTP/1.1 421"), "{host} {answer}");
    }
    assert_eq!(sites.requests(), before);
    // Another site's routes are not this one's.
    assert!(asked(&sites.host("shop"), "/off").await.starts_with("HTTP/1.1 302"));
    assert!(asked(&sites.host("shop"), "/MP_verify_abc.txt").await.starts_with("HTTP/1.1 302"));
}

#[tokio::test]
async fn c29_each_rule_of_a_route_keeps_somebody_out() {
    let sites = Sites::start().await;
    let (alice, bob) = (with_profile(&sites, "alice").await, with_profile(&sites, "bob").await);
    for (path, alice_s, bob_s) in
        [("/openids", 200, 403), ("/unionids", 403, 200), ("/api", 200, 200)]
    {
        let before = sites.app.received().len();
        assert_eq!(alice.get(path).await.status.as_u16(), alice_s, "{path}");
        assert_eq!(bob.get(path).await.status.as_u16(), bob_s, "{path}");
        let passed = [alice_s, bob_s].iter().filter(|status| **status == 200).count();
        assert_eq!(sites.app.received().len() - before, passed, "{path}");
    }
    assert_eq!(sites.app.last()["headers"]["x-wechat-unionid"], UNIONID_OF_BOB);
    // Methods: what the route is not for, the one behind it decides.
    let nobody = sites.person("nobody");
    for (method, status) in [
        (Method::GET, 200),
        (Method::POST, 200),
        (Method::HEAD, 200),
        (Method::PUT, 401),
        (Method::DELETE, 401),
    ] {
        let answer = nobody.send(method.clone(), "/orders", &[], "").await;
        assert_eq!(answer.status.as_u16(), status, "{method}");
    }
    assert_eq!(nobody.get("/orders/1").await.status, StatusCode::FOUND);
    assert_eq!(nobody.get("/users/7/orders/1").await.status, StatusCode::FOUND);
    assert_eq!(nobody.get("/users/7/8/orders").await.status, StatusCode::FOUND);
    // Bodies: said beforehand or found out on the way.
    let before = sites.app.received().len();
    for (size, status) in [(1024, 200), (1025, 413)] {
        let answer = nobody.send(Method::POST, "/limited", &[], &"x".repeat(size)).await;
        assert_eq!(answer.status.as_u16(), status, "{size}");
        let chunked = format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size));
        let headers = "Transfer-Encoding: chunked\r\n";
        let request = format!(
            "POST /limited HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n{chunked}",
            sites.host("h5")
        );
        let answer = raw(sites.addr, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{size} {answer}");
    }
    let whole = sites.app.received();
    let whole = whole[before..].iter().filter(|one| one["body"].as_str().unwrap().len() == 1024);
    assert_eq!(whole.count(), 2);
}

#[tokio::test]
async fn c31_a_list_takes_whole_openids_only() {
    for change in [
        |openid: &str| openid.to_uppercase(),
        |openid: &str| openid.to_lowercase(),
        |openid: &str| format!("{openid}x"),
        |openid: &str| openid[..openid.len() - 1].to_owned(),
    ] {
        let sites = Sites::with(|text| {
            let listed = text.split("allow_openids = [\"").nth(1).unwrap();
            let openid = listed.split('"').next().unwrap().to_owned();
            text.replace(&format!("[\"{openid}\"]"), &format!("[\"{}\"]", change(&openid)))
        })
        .await;
        let alice = sites.signed_in("alice").await;
        assert_eq!(alice.get("/openids").await.status, StatusCode::FORBIDDEN);
        assert_eq!(alice.get("/api").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn c31_a_list_takes_whole_unionids_only() {
    for (listed, status) in [
        (UNIONID_OF_BOB.to_owned(), StatusCode::OK),
        (UNIONID_OF_BOB.to_uppercase(), StatusCode::FORBIDDEN),
        (UNIONID_OF_BOB.to_lowercase(), StatusCode::FORBIDDEN),
        (format!("{UNIONID_OF_BOB}x"), StatusCode::FORBIDDEN),
        (format!("x{UNIONID_OF_BOB}"), StatusCode::FORBIDDEN),
        (UNIONID_OF_BOB[..UNIONID_OF_BOB.len() - 1].to_owned(), StatusCode::FORBIDDEN),
    ] {
        let sites = Sites::with(|text| {
            text.replace(&format!("[\"{UNIONID_OF_BOB}\"]"), &format!("[\"{listed}\"]"))
        })
        .await;
        let bob = with_profile(&sites, "bob").await;
        assert_eq!(bob.get("/unionids").await.status, status, "{listed}");
        assert_eq!(bob.get("/api").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn c43_a_session_counts_on_the_site_where_it_was_made() {
    let sites = Sites::start().await;
    let alice = sites.signed_in("alice").await;
    let session = alice.jar("h5")["wxgate"].clone();
    let at = |site: &str, path: &str| format!("http://{}{path}", sites.host(site));
    let cookie = format!("wxgate={session}");
    // Another account's site.
    let shop = alice.send(Method::GET, &at("shop", "/x"), &[("cookie", &cookie)], "").await;
    assert_eq!(shop.status, StatusCode::FOUND, "{shop:?}");
    let blog = alice.walk(&at("blog", "/x?y=1")).await;
    assert_eq!((blog.status, &*blog.url), (StatusCode::OK, &*at("blog", "/x?y=1")));
    assert_eq!(blog.received("uri"), None);
    assert_eq!(blog.json()["uri"], "/x?y=1");
    let shop = alice.walk(&at("shop", "/x")).await;
    assert_eq!(shop.received("x-wechat-appid").as_deref(), Some(OTHER_APPID));
    assert_eq!(alice.get("/api").await.received("x-wechat-appid").as_deref(), Some(APPID));
}
