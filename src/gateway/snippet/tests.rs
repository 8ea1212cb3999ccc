//! Snippets for configurations of every shape.

use std::path::Path;

use super::*;
use crate::{
    clock::Timestamp,
    session::{Profile, Subject, UserChange, UserKey, UserRecord},
    wechat::{AppId, OpenId, UnionId},
};

const ACCOUNTS: &str = "[account.main]\nappid = 'wx0123456789abcdef'\n\
                        [account.other]\nappid = 'wxfedcba9876543210'\n";

fn config(top: &str, sites: &str) -> Config {
    let env =
        |name: &str| name.ends_with("_SECRET").then(|| "0123456789abcdef0123456789abcdef".into());
    let text = format!("{top}\n{ACCOUNTS}\n{sites}");
    Config::from_toml(&text, Path::new("."), &env).unwrap_or_else(|bad| panic!("{bad}"))
}

fn site(lines: &str) -> String {
    format!(
        "[site.h5]\npublic_url = 'https://h5.example.com'\naccount = 'main'\nforward_auth = true\n{lines}"
    )
}

fn printed(kind: Kind, config: &Config) -> String {
    snippet(kind, config).unwrap()
}

#[test]
fn each_kind_has_a_name() {
    for kind in Kind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
    }
    let unknown = "apache".parse::<Kind>().unwrap_err();
    assert!(unknown.to_string().contains("\"apache\" is not one of nginx,"), "{unknown}");
}

#[test]
fn the_gateway_is_asked_where_it_listens() {
    for (listen, addr) in [
        ("'127.0.0.1:8080'", "127.0.0.1:8080"),
        ("'0.0.0.0:9000'", "127.0.0.1:9000"),
        ("'[::]:9000'", "[::1]:9000"),
        ("['10.0.0.1:80', '127.0.0.1:8081']", "127.0.0.1:8081"),
        ("'10.0.0.1:80'", "10.0.0.1:80"),
    ] {
        let config = config(&format!("listen = {listen}"), &site(""));
        for kind in [Kind::Nginx, Kind::Caddy, Kind::Haproxy, Kind::Traefik] {
            assert!(printed(kind, &config).contains(addr), "{kind} {addr}");
        }
        let (ip, port) = addr.rsplit_once(':').unwrap();
        let envoy = printed(Kind::Envoy, &config);
        let ip = ip.trim_matches(['[', ']']);
        assert!(envoy.contains(&format!("address: \"{ip}\", port_value: {port}")), "{envoy}");
    }
}

#[test]
fn c14_a_gateway_that_trusts_nobody_is_named_as_such() {
    for kind in Kind::ALL {
        let nobody = printed(kind, &config("", &site("")));
        assert!(nobody.contains("# MISSING in wxgate.toml: trusted_proxies ="), "{kind} {nobody}");
        let some = config("trusted_proxies = ['127.0.0.1', '10.0.0.0/8']", &site(""));
        let some = printed(kind, &some);
        assert!(some.contains("now [\"127.0.0.1\", \"10.0.0.0/8\"]"), "{kind} {some}");
        assert!(!some.contains("MISSING"), "{kind}");
    }
}

#[test]
fn c11_what_no_route_asks_for_is_removed_and_the_rest_is_replaced() {
    for (inject, used) in [
        ("['headers']", &["X-WeChat-Openid", "X-Forwarded-User"][..]),
        ("['x-auth-request']", &["X-Auth-Request-User"]),
        ("['headers', 'assertion']", &["X-WeChat-Openid", "X-WeChat-Assertion"]),
        ("[]", &[]),
    ] {
        let config = config("", &site(&format!("inject = {inject}\n")));
        let (nginx, caddy) = (printed(Kind::Nginx, &config), printed(Kind::Caddy, &config));
        for name in
            ["X-WeChat-Openid", "X-Forwarded-User", "X-WeChat-Assertion", "X-Auth-Request-User"]
        {
            let is_used = used.contains(&name) || (name == "X-Forwarded-User" && used.len() == 2);
            let var = name.to_lowercase().replace('-', "_");
            let set = format!("proxy_set_header {name} ${var};");
            assert_eq!(nginx.contains(&set), is_used, "{name} {inject} {nginx}");
            let removed = format!("proxy_set_header {name} \"\";");
            assert_eq!(nginx.contains(&removed), !is_used, "{name} {inject} {nginx}");
            let copied = caddy.lines().any(|line| {
                line.trim_start().starts_with("copy_headers ") && line.contains(&format!(" {name}"))
            });
            assert_eq!(copied, is_used, "{name} {inject} {caddy}");
        }
        assert_eq!(caddy.contains("copy_headers"), !used.is_empty(), "{caddy}");
    }
}

#[test]
fn c11_all_that_an_app_is_told_of_somebody_is_in_every_snippet() {
    let key = UserKey {
        appid: AppId::parse("wx0123456789abcdef").unwrap(),
        openid: OpenId::parse("o_alice").unwrap(),
    };
    let profile = Profile { nickname: "Alice".into(), avatar: Some("https://a.example/1".into()) };
    let known = UserChange {
        unionid: Some(UnionId::parse("u_alice").unwrap()),
        profile: Some((profile, Timestamp::default())),
        phone: Some("+8613800138000".into()),
        ..UserChange::default()
    };
    let record = UserRecord::new(&key, None, UserChange::default());
    let record = UserRecord::new(&key, Some(&record), known);
    let mut told: Vec<_> =
        record.headers(Subject::Unionid).map(|(name, _)| name.as_str().to_owned()).collect();
    told.push("x-wechat-scope".to_owned());
    assert_eq!(told.len(), 10, "{told:?}");
    for (inject, is_told) in [("['headers']", true), ("[]", false)] {
        let config = config("", &site(&format!("inject = {inject}\n")));
        for name in &told {
            let var = name.replace('-', "_");
            let set = if is_told { format!("${var};") } else { "\"\";".to_owned() };
            let nginx = printed(Kind::Nginx, &config).to_lowercase();
            assert!(nginx.contains(&format!("proxy_set_header {name} {set}")), "{name} {nginx}");
            let envoy = printed(Kind::Envoy, &config);
            assert!(envoy.contains(&format!("- remove: {name}\n")), "{name} {envoy}");
            assert!(envoy.contains(&format!("- exact: {name}\n")), "{name} {envoy}");
            let caddy = printed(Kind::Caddy, &config).to_lowercase();
            assert_eq!(caddy.contains(&format!("request_header @no_{var} -{name}\n")), is_told);
        }
    }
}

/// Where the token goes on the way to wxgate, and that it goes no further.
#[test]
fn c21_each_snippet_keeps_the_token_from_the_app() {
    let config = config("", &site(""));
    let printed = |kind| printed(kind, &config);
    let nginx = printed(Kind::Nginx);
    let removal = "    proxy_set_header X-WeChat-Session \"\";\n";
    assert_eq!(nginx.matches(removal).count(), 1, "a question brings the token: {nginx}");
    let (server, locations) = nginx.split_once("    location / {").unwrap();
    assert!(server.contains(removal) && !locations.contains("X-WeChat-Session"), "{nginx}");

    let envoy = printed(Kind::Envoy);
    assert!(envoy.contains("                          - exact: x-wechat-session\n"), "{envoy}");
    assert!(!envoy.contains("- remove: x-wechat-session"), "{envoy}");
    let routes = |line: &str| envoy.matches(line).count();
    assert_eq!(routes("cluster: app_h5 }\n"), 1, "{envoy}");
    let route = "route: { cluster: app_h5 }\n                          # wxgate alone";
    assert_eq!(routes(route), 1, "{envoy}");
    assert_eq!(routes("request_headers_to_remove: [x-wechat-session]\n"), 1, "{envoy}");

    // Traefik's question has all headers, and its answer replaces all those that the expression fits.
    let traefik = printed(Kind::Traefik);
    assert!(!traefik.contains("authRequestHeaders"), "{traefik}");
    assert!(traefik.contains("authResponseHeadersRegex: (?i)^x[^a-z0-9](wechat[^a-z0-9].*|"));

    let haproxy = printed(Kind::Haproxy);
    let asked = haproxy.find("httpclient():get").unwrap();
    let removed = haproxy.find("req_del_header(\"x-wechat-session\")").unwrap();
    assert!(asked < removed, "{haproxy}");
    let caddy = printed(Kind::Caddy);
    let asked = caddy.find("forward_auth ").unwrap();
    let removed = caddy.find("request_header -X-WeChat-Session\n").unwrap();
    assert!(asked < removed && removed < caddy.find("# the app\n").unwrap(), "{caddy}");
}

#[test]
fn sites_have_their_hosts_ports_apps_and_own_paths() {
    let sites = "[site.h5]\npublic_url = 'https://h5.example.com:8443'\naccount = 'main'\n\
                 hosts = ['www.example.com']\nforward_auth = true\n\
                 upstream = 'http://10.0.0.5:4000'\n\
                 [site.desk]\npublic_url = 'http://127.0.0.1:8000'\naccount = 'other'\nforward_auth = true\n\
                 [site.closed]\npublic_url = 'https://closed.example.com'\naccount = 'main'\n\
                 upstream = 'http://127.0.0.1:3001'\n\
                 [client.old]\nappid = 'wxabcdefabcdefabcd'\nsite = 'h5'\nredirect_uris = ['https://old.example.com/']\n";
    let config = config("", sites);
    let nginx = printed(Kind::Nginx, &config);
    for line in [
        "listen 8443 ssl;",
        "listen 8000;",
        "server_name h5.example.com www.example.com;",
        "server_name 127.0.0.1;",
        "X-Original-URL https://$host:8443$request_uri;",
        "X-Original-URL http://$host:8000$request_uri;",
        "proxy_pass http://10.0.0.5:4000;",
        "proxy_pass http://127.0.0.1:3000;",
        "location = /connect/oauth2/authorize {",
    ] {
        assert!(nginx.contains(line), "{line}: {nginx}");
    }
    let caddy = printed(Kind::Caddy, &config);
    assert!(caddy.contains("\nhttps://h5.example.com:8443, https://www.example.com:8443 {\n"));
    assert!(caddy.contains("\nhttp://127.0.0.1:8000 {\n"), "{caddy}");
    assert_eq!(caddy.matches("/sns/oauth2/access_token").count(), 1);
    for kind in Kind::ALL {
        let text = printed(kind, &config);
        assert!(!text.contains("closed.example.com") && !text.contains("3001"), "{kind} {text}");
        assert!(text.contains("4000") && text.contains("/sns/userinfo"), "{kind} {text}");
    }
}

#[test]
fn where_nothing_would_work_there_is_no_snippet() {
    let closed = "[site.h5]\npublic_url = 'https://h5.example.com'\naccount = 'main'\n\
                  upstream = 'http://127.0.0.1:3000'\n";
    assert_eq!(snippet(Kind::Nginx, &config("", closed)), Err(NoSnippet::NoSite));
    let mut with_tls = config("", &site(""));
    assert!(snippet(Kind::Nginx, &with_tls).is_ok());
    with_tls.tls = Some(crate::gateway::config::TlsFiles {
        certificate: "cert.pem".into(),
        key: "key.pem".into(),
    });
    assert_eq!(snippet(Kind::Nginx, &with_tls), Err(NoSnippet::Tls));
}
