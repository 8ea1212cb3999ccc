//! What is a yes and what is a no, in every dialect.

use super::{
    Fronts, Raw,
    question::{Question, VERDICTS, WAYS, Way, assert_good},
};
use crate::world::APPID;

pub(super) fn is_success(answer: &Raw) -> bool {
    (200..300).contains(&answer.status)
}

#[tokio::test]
async fn c14_only_a_listed_peer_is_a_front_proxy() {
    for (trusted, is_listed) in [
        ("", false),
        ("trusted_proxies = ['10.0.0.0/8']", false),
        ("trusted_proxies = ['127.0.0.0/8']", true),
    ] {
        let fronts = Fronts::without_proxy(trusted).await;
        let session = fronts.session("h5", "alice", "base").await;
        let openid = fronts.openid("alice", APPID);
        for way in WAYS {
            for path in ["/page", "/static/x"] {
                let question = Question::about(way, &fronts, "GET", path).with("cookie", &session);
                let claim = question.clone().with("x-real-ip", "10.0.0.1");
                let claim = claim.with("forwarded", "for=10.0.0.1");
                if is_listed {
                    if path == "/page" {
                        assert_good(way, &question.ask(&fronts).await, &openid);
                        assert_good(way, &claim.ask(&fronts).await, &openid);
                    }
                    continue;
                }
                let lies = claim.clone().with("x-forwarded-for", "10.0.0.1");
                for question in [question, claim, lies] {
                    let answer = question.ask(&fronts).await;
                    assert_eq!(answer.status, 403, "{question:?} {answer:?}");
                    assert_eq!(answer.header("x-wechat-openid"), None);
                }
            }
        }
    }
}

#[tokio::test]
async fn c24_no_header_but_the_session_changes_a_verdict() {
    let fronts = Fronts::trusting().await;
    let session = fronts.session("h5", "alice", "base").await;
    for way in VERDICTS {
        for (name, value) in [
            ("user-agent", "GoogleHC/1.0"),
            ("user-agent", "kube-probe/1.29"),
            ("user-agent", "ELB-HealthChecker/2.0"),
            ("accept", "application/json"),
            ("authorization", "Bearer x"),
            ("authorization", "Basic YTpi"),
            ("x-forwarded-user", "alice"),
            ("x-wechat-openid", "alice"),
            ("x-wechat-subject", "alice"),
            ("x-auth-request-user", "alice"),
            ("x-original-uri", "/static/x"),
            ("x-rewrite-url", "/static/x"),
            ("x-http-method-override", "OPTIONS"),
            ("x-forwarded-prefix", "/static"),
            ("origin", "http://h5.localhost"),
            ("sec-fetch-site", "same-origin"),
            ("purpose", "prefetch"),
            ("range", "bytes=0-0"),
            ("if-none-match", "*"),
        ] {
            let asked = Question::about(way, &fronts, "GET", "/page").without(name);
            let asked = asked.with(name, value);
            let answer = asked.ask(&fronts).await;
            assert!(!is_success(&answer), "{way:?} {name}: {value} {answer:?}");
            let known = asked.with("cookie", &session).ask(&fronts).await;
            assert_eq!(known.status, 200, "{way:?} {name}: {value} {known:?}");
        }
        // What others answer for whoever looks after a machine.
        for path in ["/healthz", "/readyz", "/health", "/ping", "/metrics", "/robots.txt"] {
            let asked = Question::about(way, &fronts, "GET", path);
            let asked = asked.without("user-agent").with("user-agent", "kube-probe/1.29");
            let answer = asked.ask(&fronts).await;
            assert!(!is_success(&answer), "{way:?} {path} {answer:?}");
            let known = asked.with("cookie", &session).ask(&fronts).await;
            assert_eq!(known.status, 200, "{way:?} {path} {known:?}");
        }
        // A description in the words of another dialect counts for nothing, and where both are understood, they have
        // to agree.
        let other = match way {
            Way::Auth => [("x-forwarded-uri", "/static/x"), ("x-forwarded-method", "GET")],
            Way::ExtAuthz => [
                ("x-original-url", "http://h5.localhost/static/x"),
                ("x-forwarded-uri", "/static/x"),
            ],
            Way::Forward => {
                [("x-original-url", "http://h5.localhost/static/x"), ("x-original-method", "GET")]
            }
            _ => continue,
        };
        let mut asked = Question::about(way, &fronts, "GET", "/page");
        for (name, value) in other {
            asked = asked.with(name, value);
        }
        assert!(!is_success(&asked.ask(&fronts).await), "{way:?}");
        let known = asked.with("cookie", &session).ask(&fronts).await.status;
        assert_eq!(known, if matches!(way, Way::Auth) { 403 } else { 200 }, "{way:?}");
    }
}

#[tokio::test]
async fn c17_c26_without_a_whole_session_no_answer_is_a_success() {
    let fronts = Fronts::trusting().await;
    let session = fronts.session("h5", "alice", "base").await;
    let value = session.strip_prefix("wxgate=").unwrap();
    let flipped = |at: usize| {
        let mut bytes = value.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        format!("wxgate={}", String::from_utf8(bytes).unwrap())
    };
    let mut cookies: Vec<String> = (0..value.len()).map(flipped).collect();
    cookies.extend((0..value.len()).map(|end| format!("wxgate={}", &value[..end])));
    cookies.extend([
        String::new(),
        format!("{session}; {session}"),
        format!("{session}x"),
        format!("wxgate=\"{value}\";;;=; wxgate"),
        format!("WXGATE={value}"),
        format!("__Host-wxgate={value}"),
        format!("wxgate-login={value}"),
        "wxgate".to_owned(),
        "=".to_owned(),
    ]);
    for way in VERDICTS {
        for cookie in &cookies {
            let asked = Question::about(way, &fronts, "GET", "/page").with("cookie", cookie);
            let answer = asked.ask(&fronts).await;
            assert!(!is_success(&answer), "{way:?} {cookie} {answer:?}");
        }
        // Whatever is asked about, and however: pages of ours are no yes.
        for path in [
            "/page",
            "/profile",
            "/staff",
            "/app/",
            "/signed",
            "/users/1/orders",
            "/page?x=/static/x",
        ] {
            for method in ["GET", "HEAD", "POST", "OPTIONS", "PROPFIND"] {
                for mode in ["navigate", "cors"] {
                    let asked = Question::about(way, &fronts, method, path);
                    let answer = asked.with("sec-fetch-mode", mode).ask(&fronts).await;
                    assert!(!is_success(&answer), "{way:?} {method} {path} {answer:?}");
                }
            }
        }
        let shop = format!("shop.localhost:{}", fronts.port);
        let preflight = Question::at(way, &shop, "OPTIONS", "/page");
        let preflight = preflight.with("origin", "https://app.example.com");
        let preflight = preflight.with("access-control-request-method", "GET").ask(&fronts).await;
        assert_eq!(preflight.status, 401, "{way:?} {preflight:?}");
        // Endpoints of ours, with and without a session: they have no verdict.
        for path in [
            "/_wx/me",
            "/_wx/login",
            "/_wx/wx.js",
            "/_wx/logout",
            "/_wx/callback?code=1&state=2",
            "/_wx/x",
        ] {
            for cookie in ["a=b", &session] {
                let asked = Question::about(way, &fronts, "GET", path).with("cookie", cookie);
                let answer = asked.ask(&fronts).await;
                assert_eq!(answer.status, 403, "{way:?} {path} {answer:?}");
                assert_eq!(answer.header("set-cookie"), None);
            }
        }
        for (host, method, path, status) in [
            ("h5", "GET", "/page", 200),
            ("h5", "POST", "/users/1/orders", 200),
            ("h5", "GET", "/static/x", 200),
            ("H5", "GET", "/page", 200),
            ("www", "GET", "/page", 200),
            // The session is one of the account that both use, as each has the cookie of its own host.
            ("shop", "GET", "/page", 200),
            // c40: of another account.
            (
                "desk",
                "GET",
                "/page",
                if matches!(way, Way::Auth | Way::AuthForwarded) { 401 } else { 302 },
            ),
            ("closed", "GET", "/page", 403),
            ("evil", "GET", "/static/x", 403),
        ] {
            let host = format!("{host}.localhost:{}", fronts.port);
            let asked = Question::at(way, &host, method, path).with("cookie", &session);
            let answer = asked.ask(&fronts).await;
            assert_eq!(answer.status, status, "{way:?} {host} {path} {answer:?}");
        }
    }
}

#[tokio::test]
async fn c28_a_site_is_asked_about_under_each_form_of_its_host_and_no_other() {
    let fronts = Fronts::trusting().await;
    let session = fronts.session("h5", "alice", "base").await;
    let port = fronts.port;
    for way in VERDICTS {
        for host in [
            format!("H5.LocalHost:{port}"),
            format!("h5.localhost.:{port}"),
            "H5.LOCALHOST.".to_owned(),
            "h5.localhost".to_owned(),
            "WWW.localhost".to_owned(),
        ] {
            let asked = Question::at(way, &host, "GET", "/page");
            let stranger = asked.ask(&fronts).await;
            assert!(!is_success(&stranger), "{way:?} {host} {stranger:?}");
            let known = asked.with("cookie", &session).ask(&fronts).await;
            assert_eq!(known.status, 200, "{way:?} {host} {known:?}");
        }
        for host in ["xh5.localhost", "h5.localhost.evil.example", "h5.localhost..", "localhost"] {
            let asked = Question::at(way, host, "GET", "/static/x").with("cookie", &session);
            let answer = asked.ask(&fronts).await;
            assert!((400..404).contains(&answer.status), "{way:?} {host} {answer:?}");
        }
    }
}

#[tokio::test]
async fn c21_a_yes_names_the_cookies_that_are_not_ours() {
    let fronts = Fronts::trusting().await;
    let session = fronts.session("h5", "alice", "base").await;
    for way in VERDICTS {
        for (sent, left) in [
            (session.clone(), ""),
            (format!("a=1; {session}; b=2"), "a=1; b=2"),
            (format!("{session}; wxgate-login-scan=x; b=\"2; c"), "b=\"2; c"),
        ] {
            let asked = Question::about(way, &fronts, "GET", "/page").with("cookie", &sent);
            let answer = asked.ask(&fronts).await;
            assert_eq!(
                (answer.status, answer.all("cookie").collect::<Vec<_>>()),
                (200, vec![left])
            );
        }
        let public = Question::about(way, &fronts, "GET", "/static/x").with("cookie", "a=1");
        assert_eq!(public.ask(&fronts).await.header("cookie"), Some("a=1"));
    }
}

#[tokio::test]
async fn c44_no_answer_may_be_kept() {
    #[track_caller]
    fn check(question: &Question, answer: &Raw, statuses: &[u16]) {
        assert!(statuses.contains(&answer.status), "{question:?} {answer:?}");
        assert!(answer.header("cache-control").unwrap().contains("no-store"), "{answer:?}");
        assert!(answer.all("vary").any(|vary| vary == "Cookie"), "{answer:?}");
        if matches!(question.way, Way::Auth | Way::AuthForwarded) {
            assert_eq!(answer.body, "", "nginx has no use for it");
        }
    }
    let nobody = Fronts::without_proxy("").await;
    let fronts = Fronts::trusting().await;
    let alice = fronts.session("h5", "alice", "base").await;
    let bob = fronts.session("h5", "bob", "base").await;
    for way in WAYS {
        let about = |path: &str| Question::about(way, &fronts, "GET", path);
        for (question, statuses) in [
            (about("/page").with("cookie", &alice), &[200, 503][..]),
            (about("/static/x"), &[200, 503]),
            (about("/page"), &[302, 401]),
            (about("/page").with("sec-fetch-mode", "cors"), &[401]),
            (about("/profile"), &[200, 401]),
            (about("/app/"), &[200, 401]),
            (about("/staff").with("cookie", &bob), &[403]),
            (about("/_wx/me"), &[403]),
            (about("//page"), &[400, 403]),
            (Question::at(way, "evil.example", "GET", "/page"), &[403]),
        ] {
            check(&question, &question.ask(&fronts).await, statuses);
        }
        let question = Question::about(way, &nobody, "GET", "/page");
        check(&question, &question.ask(&nobody).await, &[403]);
        fronts.cut_store(true);
        let question = about("/page").with("cookie", &alice);
        check(&question, &question.ask(&fronts).await, &[503]);
        fronts.cut_store(false);
    }
}
