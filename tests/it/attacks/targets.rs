//! Targets and hosts that try to be another site, or another server.

use std::fmt::Write as _;

use super::Site;

/// The status of a head that is said, and whether the upstream has seen it.
async fn told(site: &Site, head: &str) -> (u16, usize) {
    let before = site.upstream.seen("").len();
    let mut peer = site.connect().await;
    peer.say(head.replace("{host}", &site.addr.to_string()).replace("{cookie}", &site.cookie))
        .await;
    let status = peer.answer().await.map_or(0, |told| told.status);
    (status, site.upstream.seen("").len() - before)
}

#[tokio::test]
async fn c18_c27_c28_a_request_has_one_host_and_a_path_of_it() {
    let site = Site::start().await;
    let port = site.addr.port();
    let mut wrong = String::new();
    for (line, hosts) in [
        ("GET /off/t HTTP/1.1", "Host: {host}\r\n".to_owned()),
        ("GET http://{host}/off/t HTTP/1.1", "Host: {host}\r\n".to_owned()),
        ("GET HTTP://{host}/off/t HTTP/1.1", "Host: {host}\r\n".to_owned()),
        ("GET /off/t HTTP/1.0", "Host: {host}\r\n".to_owned()),
        ("GET /off/t?u=http://evil.example/ HTTP/1.1", "Host: {host}\r\n".to_owned()),
        ("GET /off/t;a=b HTTP/1.1", "Host: {host}\r\n".to_owned()),
        // A site of one's own answers to whatever name leads to it.
        ("GET /off/t HTTP/1.1", format!("Host: localhost:{port}\r\n")),
        ("GET /off/t HTTP/1.1", format!("Host: LOCALHOST:{port}\r\n")),
    ] {
        let got = told(&site, &format!("{line}\r\n{hosts}\r\n")).await;
        if got != (200, 1) {
            writeln!(wrong, "good: {line} {hosts:?} {got:?}").unwrap();
        }
    }
    let own = "Host: {host}\r\n".to_owned();
    for (line, hosts) in [
        ("GET /off/t HTTP/1.1", String::new()),
        ("GET /off/t HTTP/1.1", "Host:\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", format!("{own}{own}")),
        ("GET /off/t HTTP/1.1", format!("{own}Host: evil.example\r\n")),
        ("GET /off/t HTTP/1.1", format!("Host: evil.example\r\n{own}")),
        ("GET /off/t HTTP/1.1", "Host: {host}, evil.example\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: {host} evil.example\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: user@{host}\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: user:pass@{host}\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: {host}/off\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: {host}?a\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: {host}#a\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: {host}\\evil.example\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: http://{host}\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: {host}\tx\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: {host}\0\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: a:b:c\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: [::1\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host: é.example\r\n".to_owned()),
        ("GET /off/t HTTP/1.1", "Host : {host}\r\n".to_owned()),
        ("GET http://evil.example/off/t HTTP/1.1", own.clone()),
        ("GET http://{host}.evil.example/off/t HTTP/1.1", own.clone()),
        ("GET http://user@{host}/off/t HTTP/1.1", own.clone()),
        ("GET http://{host}@evil.example/off/t HTTP/1.1", own.clone()),
        ("GET http:///off/t HTTP/1.1", own.clone()),
        ("GET //evil.example/off/t HTTP/1.1", "Host: evil.example\r\nHost: {host}\r\n".to_owned()),
        ("GET http://{host}/off/t HTTP/1.1", String::new()),
        ("GET http://{host}/off/t HTTP/1.1", "Host: evil.example\r\n".to_owned()),
        ("GET http:evil.example/off/t HTTP/1.1", own.clone()),
        ("GET off/t HTTP/1.1", own.clone()),
        ("GET @evil.example/off/t HTTP/1.1", own.clone()),
        ("GET \\off\\t HTTP/1.1", own.clone()),
        ("GET {host} HTTP/1.1", own.clone()),
        ("GET * HTTP/1.1", own.clone()),
        ("OPTIONS * HTTP/1.1", own.clone()),
        ("CONNECT {host} HTTP/1.1", own.clone()),
        ("CONNECT evil.example:443 HTTP/1.1", "Host: evil.example:443\r\n".to_owned()),
        ("CONNECT /off/t HTTP/1.1", own.clone()),
        ("GET /off/../page HTTP/1.1", own.clone()),
        ("GET /off/%2e%2e/page HTTP/1.1", own.clone()),
        ("GET /off/..;/page HTTP/1.1", own.clone()),
        ("GET /off%2f..%2fpage HTTP/1.1", own.clone()),
        ("GET /off\u{1}/t HTTP/1.1", own.clone()),
    ] {
        let got = told(&site, &format!("{line}\r\n{hosts}\r\n")).await;
        if !(matches!(got.0, 0 | 301..=302 | 400..=499) && got.1 == 0) {
            writeln!(wrong, "bad: {line} {hosts:?} {got:?}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(site.upstream.odd(), [""; 0]);
    // What stands in a target decides nowhere what is connected to.
    for seen in site.upstream.seen("") {
        assert!(seen.what.starts_with("GET /"), "{seen:?}");
    }
    site.neighbour_is_served().await;
}

#[tokio::test]
async fn c13_what_is_forwarded_says_where_it_came_from_whatever_it_says_itself() {
    let site = Site::start().await;
    let lies = [
        "Forwarded: for=1.2.3.4;host=evil",
        "X-Forwarded-For: 1.2.3.4",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Port: 1",
        "X-Forwarded-Prefix: /evil",
        "X-Forwarded-Uri: /evil",
        "X_Forwarded_For: 1.2.3.4",
        "X-Forwarded_Host: evil.example",
        "X-Real-IP: 1.2.3.4",
        "X-Original-URL: /evil",
        "X-Rewrite-URL: /evil",
        "X-Original-Method: EVIL",
    ];
    for (number, lie) in lies.iter().enumerate() {
        let path = format!("/page/from-{number}");
        // Named as hop-by-hop as well, so that what we say would go with what they say.
        let name = lie.split(':').next().unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {{host}}\r\n{{cookie}}{lie}\r\nConnection: {name}\r\nX-Kept: yes\r\n\r\n"
        );
        assert_eq!(told(&site, &head).await, (200, 1), "{lie}");
        let seen = &site.upstream.seen(&path)[0];
        assert!(!seen.head.contains("evil") && !seen.head.contains("1.2.3.4"), "{lie}: {seen:?}");
        assert!(
            !seen.head.contains("EVIL") && seen.header("x-forwarded-port").is_none(),
            "{seen:?}"
        );
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"), "{lie}");
        assert_eq!(seen.header("x-forwarded-proto"), Some("http"), "{lie}");
        assert_eq!(seen.header("x-kept"), Some("yes"), "{lie}");
    }
}

#[tokio::test]
async fn c35_c37_cookies_of_any_shape_are_read_and_the_app_s_own_pass() {
    let site = Site::start().await;
    let own = site.cookie.trim().strip_prefix("Cookie: ").unwrap();
    let token = own.split_once('=').unwrap().1;
    let many = (0..500)
        .map(|number| format!("wxgate-login-{number}={number}"))
        .collect::<Vec<_>>()
        .join("; ");
    for (name, lines, status, passes) in [
        ("alone", format!("Cookie: {own}\r\n"), 200, ""),
        ("with others", format!("Cookie: a=b; {own}; c=d\r\n"), 200, "a=b; c=d"),
        ("in two lines", format!("Cookie: a=b\r\nCookie: {own}\r\n"), 200, "a=b"),
        ("empty pairs", format!("Cookie: ;; ;{own};;=;\r\n"), 200, "?"),
        ("no value", format!("Cookie: wxgate; {own}\r\n"), 200, "?"),
        ("odd bytes", format!("Cookie: a=\"\\x,\t{{}}; {own}\r\n"), 200, "?"),
        ("cut short", format!("Cookie: wxgate={}\r\n", &token[1..]), 302, ""),
        ("too long", format!("Cookie: {own}a\r\n"), 302, ""),
        ("another case", format!("Cookie: WXGATE={token}\r\n"), 302, ""),
        ("empty", "Cookie: wxgate=\r\n".to_owned(), 302, ""),
        ("many of ours", format!("Cookie: {many}; {own}\r\n"), 200, ""),
        ("many of ours alone", format!("Cookie: {many}\r\n"), 302, ""),
        ("a long one", format!("Cookie: a={}; {own}\r\n", "x".repeat(30_000)), 200, "?"),
    ] {
        let path = format!("/page/cookie-{}/", name.replace(' ', "-"));
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {{host}}\r\nSec-Fetch-Mode: navigate\r\nUser-Agent: MicroMessenger/8.0\r\n{lines}\r\n"
        );
        let got = told(&site, &head).await;
        assert_eq!(got, (status, usize::from(status == 200)), "{name}");
        let Some(seen) = site.upstream.seen(&path).pop() else { continue };
        assert!(
            !seen.head.contains(token) && !seen.head.contains("wxgate-login"),
            "{name}: {seen:?}"
        );
        if passes != "?" {
            assert_eq!(seen.header("cookie").unwrap_or_default(), passes, "{name}");
        }
    }
}
