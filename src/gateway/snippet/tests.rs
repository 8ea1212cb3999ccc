//! Snippets for configurations of every shape.

use std::path::Path;

use super::*;

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
