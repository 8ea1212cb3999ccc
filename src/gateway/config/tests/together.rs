//! Tests of what keys are to each other: conflicts, inheritance, precedence, warnings.

use std::time::Duration;

use super::{super::PathRule, ACCOUNT, SITE, good, with, wrong};
use crate::login::Login;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_does_not_go_together_is_refused() {
    let two = "[account.two]\nappid = 'wxfedcba9876543210'\n";
    let second = "[site.b]\npublic_url = 'https://b.example.com'\nupstream = 'http://b:1'\n";
    let route = |lines: &str| format!("{ACCOUNT}{SITE}[[site.h5.route]]\n{lines}");
    for (text, hint) in [
        (
            format!(
                "{ACCOUNT}{SITE}[site.b]\npublic_url = 'https://H5.example.com'\nupstream = 'http://b:1'\n"
            ),
            "leads to site \"h5\" already",
        ),
        // Cookies know no ports.
        (
            format!(
                "{ACCOUNT}{SITE}[site.b]\npublic_url = 'https://h5.example.com:8443'\nupstream = 'http://b:1'\n"
            ),
            "whatever the port",
        ),
        (with("site.*", "hosts = ['h5.example.com']"), "leads here already"),
        (with("site.*", "allow_openids = []"), "nobody could come in"),
        (route("prefix = '/a'\nallow_openids = []\nallow_unionids = []\n"), "nobody could come in"),
        (route("prefix = '/a'\nlogin = 'off'\ninject = ['html']\n"), "login = \"optional\""),
        (route("pattern = '/**'\n[[site.h5.route]]\nprefix = '/'\n"), "same paths"),
        (
            route("prefix = '/a'\n[[site.h5.route]]\nprefix = '/a/'\n"),
            "site.h5.route[0] is for the same paths",
        ),
        (
            route(
                "prefix = '/a'\nmethods = ['GET', 'POST']\n[[site.h5.route]]\nprefix = '/a'\nmethods = ['HEAD']\n",
            ),
            "same paths",
        ),
        (route("prefix = '/a'\nexact = '/a'\n"), "has prefix already"),
        (route("login = 'off'\n"), "which paths"),
        (route("exact = '/a'\nrewrite = '/b'\n"), "takes the place of a prefix"),
        (route("prefix = '/a'\nlogin = 'optional'\nallow_openids = ['o1']\n"), "keep nobody out"),
        (with("site.*", "login = 'off'\nallow_unionids = ['u1']"), "keep nobody out"),
        (with("site.*", "upstream_ca = 'ca.pem'"), "only an https upstream"),
        (with("site.*", "fallback = 'index.html'"), "only a file: upstream"),
        (route("prefix = '/a'\nupstream = 'file:nowhere'\n"), "there is no folder"),
        (
            route("prefix = '/a'\nupstream = 'file:public'\nfallback = 'main.html'\n"),
            "there is no file \"main.html\"",
        ),
        (
            route("prefix = '/a'\nupstream = 'file:public'\nfallback = '../secret.txt'\n"),
            "leads out of the folder",
        ),
        (with("site.*", "sign_in_at = 'h5'"), "this site itself"),
        (
            format!(
                "{ACCOUNT}{SITE}sign_in_at = 'b'\n{second}sign_in_at = 'c'\n[site.c]\npublic_url = 'https://c.example.com'\n"
            ),
            "write \"c\"",
        ),
        (
            format!("{ACCOUNT}[site.h5]\npublic_url = 'https://h5.example.com'\n"),
            "nothing behind it",
        ),
        (
            format!(
                "{ACCOUNT}[site.h5]\npublic_url = 'https://h5.example.com'\n[[site.h5.route]]\nprefix = '/a'\n"
            ),
            "here and in the site",
        ),
        (format!("{ACCOUNT}{two}{SITE}"), "several accounts"),
        (
            format!(
                "{ACCOUNT}[account.two]\nappid = 'wx0123456789abcdef'\n{SITE}account = 'main'\n"
            ),
            "account \"main\" already",
        ),
        (
            format!(
                "{}[client.old-shop]\nappid = 'wxabcdefabcdefabcd'\nsecret_file = 'old-shop.txt'\nsite = 'h5'\nredirect_uris = ['https://a.example']\n",
                with("client.*", "site = 'h5'")
            ),
            "client \"shop\" already",
        ),
        (with("client.*", "redirect_uris = []"), "empty"),
        (with("tls", "certificate = 'cert.pem'"), "tls.key: it is missing"),
        (with("tls", "key = 'key.pem'"), "tls.certificate: it is missing"),
        (with("", "listen = ['127.0.0.1:1', '127.0.0.1:1']"), "twice"),
        (with("", "listen = []"), "empty"),
        (SITE.to_owned(), "there is no account; write [account.main]"),
        (ACCOUNT.to_owned(), "there is no site; write [site.main]"),
        (with("site.*", "proof_files = ['MP_verify_empty.txt']"), "is empty"),
        (with("site.*", "proof_files = ['WW_verify_abc.txt', './WW_verify_abc.txt']"), "twice"),
        (with("site.*.route", "methods = []"), "empty"),
    ] {
        let said = wrong(&text);
        assert!(said.iter().any(|said| said.contains(hint)), "{hint}\n{text}\n{said:?}");
        assert_eq!(said.len(), 1, "{hint}: {said:?}");
    }
}

#[test]
fn c29_what_looks_like_those_and_is_right_passes() {
    let route = |lines: &str| format!("{ACCOUNT}{SITE}[[site.h5.route]]\n{lines}");
    for text in [
        route("prefix = '/a'\n[[site.h5.route]]\nprefix = '/a'\nmethods = ['POST']\n"),
        route(
            "prefix = '/a'\nmethods = ['GET']\n[[site.h5.route]]\nprefix = '/a'\nmethods = ['POST']\n",
        ),
        route(
            "prefix = '/a'\n[[site.h5.route]]\nexact = '/a'\n[[site.h5.route]]\npattern = '/a/*'\n",
        ),
        route("prefix = '/a'\nupstream = 'file:public'\nfallback = 'index.html'\n"),
        format!(
            "{ACCOUNT}{SITE}sign_in_at = 'b'\n[site.b]\npublic_url = 'https://b.example.com'\n"
        ),
        format!("{ACCOUNT}[site.h5]\npublic_url = 'https://h5.example.com'\nforward_auth = true\n"),
        route("pattern = '/**'\n"),
        route("prefix = '/a'\nallow_openids = ['o1']\nallow_unionids = []\n"),
        route("prefix = '/a'\nlogin = 'optional'\ninject = ['html']\n"),
        with("site.*", "upstream = 'https://app'\nupstream_ca = 'ca.pem'"),
        with("session", "life = '1h'"),
    ] {
        good(&text);
    }
}

#[test]
fn routes_inherit_from_their_site_and_stand_in_the_order_of_precedence() {
    let text = format!(
        "{ACCOUNT}{SITE}login = 'userinfo'\nallow_openids = ['o1']\nconnect_timeout = '1s'\n\
         [[site.h5.route]]\nprefix = '/users'\n\
         [[site.h5.route]]\npattern = '/users/*/orders'\nmethods = ['POST']\n\
         [[site.h5.route]]\npattern = '/users/*/orders'\n\
         [[site.h5.route]]\nprefix = '/users/me'\nlogin = 'off'\nconnect_timeout = '2s'\n\
         [[site.h5.route]]\nexact = '/users/me'\nupstream = 'https://me.example.com'\n"
    );
    let config = good(&text);
    let routes = &config.sites["h5"].routes;
    let order: Vec<_> = routes
        .iter()
        .map(|route| match &route.path {
            PathRule::Prefix(path) => format!("prefix {path}"),
            PathRule::Exact(path) => format!("exact {path}"),
            PathRule::Pattern(path) => format!("pattern {path} {}", route.methods.len()),
        })
        .collect();
    let wanted = [
        "exact /users/me",
        "prefix /users/me",
        "pattern /users/*/orders 1",
        "pattern /users/*/orders 0",
        "prefix /users",
        "prefix /",
    ];
    assert_eq!(order, wanted);
    let upstream = |index: usize| routes[index].upstream.as_ref().unwrap().url.to_string();
    assert_eq!(upstream(0), "https://me.example.com:443");
    assert_eq!(upstream(1), "http://127.0.0.1:3000");
    assert_eq!((routes[0].login, routes[1].login), (Login::Userinfo, Login::Off));
    assert_eq!((routes[0].connect_timeout, routes[1].connect_timeout), (SECOND, 2 * SECOND));
    // Who asks nobody keeps nobody out.
    assert_eq!((routes[0].allow_openids.len(), routes[1].allow_openids.len()), (1, 0));
}

#[test]
fn a_site_signs_in_with_the_account_of_the_site_it_signs_in_at() {
    let text = "[account.main]\nappid = 'wx0123456789abcdef'\n[account.two]\nappid = 'wxfedcba9876543210'\n\
                [site.a]\npublic_url = 'https://a.example.com'\nupstream = 'http://a:1'\nsign_in_at = 'b'\n\
                [site.b]\npublic_url = 'https://b.example.com'\naccount = 'two'\n";
    let config = good(text);
    assert_eq!(config.sites["a"].routes[0].account, "two");
    assert_eq!(config.callback_hosts()["two"], ["b.example.com"]);
    assert!(config.is_called_back("b") && !config.is_called_back("a"));
}

#[test]
fn what_may_not_be_meant_is_warned_of() {
    let three = ["a", "b", "c"].map(|name| format!("[site.{name}]\npublic_url = 'https://{name}.example.com'\nupstream = 'http://{name}:1'\n")).concat();
    for (text, hint) in [
        (with("", "admin_listen = '10.0.0.1:9101'"), "no password"),
        (with("", "listen = '0.0.0.0:8080'"), "without TLS"),
        (with("", "log_openid = true"), "personal data"),
        (with("site.*", "forward_auth = true"), "answered with 403"),
        (format!("{ACCOUNT}{three}"), "sign_in_at"),
        (format!("{ACCOUNT}kind = 'website'\n{SITE}login = 'base'\n"), "scanning a code"),
        (
            format!(
                "{ACCOUNT}{SITE}login = 'off'\n[[site.h5.route]]\nprefix = '/vip'\nlogin = 'base'\nallow_openids = ['o1']\n"
            ),
            "under another path",
        ),
        (
            format!(
                "{ACCOUNT}[account.two]\nappid = 'wxfedcba9876543210'\n{SITE}account = 'main'\n"
            ),
            "nobody signs in with this account",
        ),
        (with("site.*", "public_url = 'https://h5.example.com:8443'"), "without a port"),
        (
            with("account.*", "secret_file = 'secret.txt'"),
            "WXGATE_ACCOUNT_MAIN_SECRET is set as well",
        ),
        (with("account.*", "secret_file = 'cert.pem'"), "does not look like an app secret"),
    ] {
        let warnings = good(&text).warnings;
        assert!(
            warnings.iter().any(|warning| warning.message.contains(hint)),
            "{hint}: {warnings:?}"
        );
    }
    for text in [
        with("", "admin_listen = '127.0.0.1:9101'"),
        with("", "listen = '0.0.0.0:8080'\ntrusted_proxies = ['10.0.0.0/8']"),
        with("", "listen = '192.168.1.2:8080'"),
        format!("{ACCOUNT}kind = 'website'\n{SITE}"),
        format!(
            "[wechat]\nopen = 'http://127.0.0.1:9090'\n{}",
            with("site.*", "public_url = 'http://127.0.0.1:8080'\nlogin = 'off'")
        ),
    ] {
        assert_eq!(good(&text).warnings, [], "{text}");
    }
}

#[test]
fn a_route_with_a_list_of_its_own_is_not_open_to_those_of_its_site() {
    let lines = "allow_unionids = ['staff']\n[[site.h5.route]]\nprefix = '/boss'\nallow_openids = ['boss']\n\
                 [[site.h5.route]]\nprefix = '/staff'\n";
    let config = good(&format!("{ACCOUNT}{SITE}{lines}"));
    let lists = |path: &str| {
        let route = config.sites["h5"].routes.iter().find(|route| route.path.text() == path);
        let route = route.unwrap();
        (route.allow_openids.len(), route.allow_unionids.len())
    };
    assert_eq!((lists("/boss"), lists("/staff")), ((1, 0), (0, 1)));
}
