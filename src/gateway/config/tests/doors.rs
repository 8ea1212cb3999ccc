//! Tests of what sites say of accounts of several kinds, and of browsers outside WeChat.

use super::{ACCOUNT, SITE, good, wrong};
use crate::{login::Outside, secret::ServerTokenSecret};

/// One account of each kind, beside the official one.
const OTHERS: &str = "[account.web]\nappid = 'wx1111111111111111'\nsecret_file = 'secret.txt'\nkind = 'website'\n\
                      [account.mini]\nappid = 'wx2222222222222222'\nsecret_file = 'secret.txt'\nkind = 'mini-program'\n\
                      [account.corp]\nappid = 'ww3333333333333333'\nsecret_file = 'secret.txt'\nkind = 'wecom'\n";

fn with(site: &str) -> String {
    let site = if site.starts_with("account =") {
        site.to_owned()
    } else {
        format!("account = 'main'\n{site}")
    };
    format!("{ACCOUNT}{OTHERS}{SITE}{site}\n")
}

#[test]
fn c29_an_account_of_the_wrong_kind_is_refused_where_it_cannot_do_what_it_should() {
    for (line, hint) in [
        (
            "website = 'mini'",
            "an account of kind \"website\", and account \"mini\" is of kind \"mini-program\"",
        ),
        ("mini_programs = ['web']", "an account of kind \"mini-program\""),
        ("account = 'mini'", "name it in mini_programs"),
        ("account = 'web'\njssdk = true", "an account of kind \"official-account\""),
        ("account = 'corp'\noutside_wechat = 'scan'", "an account of kind \"official-account\""),
        (
            "account = 'web'\n[[site.h5.route]]\nprefix = '/a'\nrequire = 'follower'",
            "has followers",
        ),
        (
            "website = 'web'\n[[site.h5.route]]\nprefix = '/a'\naccount = 'corp'\noutside_wechat = 'website'",
            "leave account out",
        ),
        ("account = 'corp'\nlogin = 'userinfo'", "an agentid only"),
        ("outside_wechat = 'website'", "no website account"),
        (
            "[[site.h5.route]]\nprefix = '/a'\nlogin = 'off'\nrequire = 'follower'",
            "write login = \"base\"",
        ),
    ] {
        let said = wrong(&with(line));
        assert!(said.iter().any(|said| said.contains(hint)), "{line}: {said:?}");
        assert_eq!(said.len(), 1, "{line}: {said:?}");
    }
    for line in [
        "website = 'web'\nmini_programs = ['mini']\njssdk = true\nrequire = 'follower'",
        "account = 'corp'",
        "account = 'web'",
        "outside_wechat = 'scan'",
        "website = 'web'\noutside_wechat = 'website'",
        "website = 'web'\n[[site.h5.route]]\nprefix = '/a'\naccount = 'corp'",
    ] {
        good(&with(line));
    }
}

#[test]
fn a_corpid_has_to_be_one_of_wecom() {
    let account =
        |kind: &str| format!("[account.main]\nappid = 'ww3333333333333333'\n{kind}\n{SITE}");
    let said = wrong(&account(""));
    assert!(said[0].contains("write kind = \"wecom\""), "{said:?}");
    good(&account("kind = 'wecom'"));
}

#[test]
fn a_site_without_an_account_takes_the_one_with_which_people_can_sign_in() {
    let others = OTHERS.split("[account.corp]").next().unwrap();
    let config = good(&format!("{ACCOUNT}{others}{SITE}"));
    assert_eq!(config.sites["h5"].account, "main");
    let said = wrong(&format!("{ACCOUNT}{OTHERS}{SITE}"));
    assert!(said[0].contains("one of main, corp"), "{said:?}");
    let mini = format!("[account.mini]{}{SITE}", others.split("[account.mini]").nth(1).unwrap());
    let said = wrong(&mini);
    assert!(said[0].contains("mini-programs alone"), "{said:?}");
}

#[test]
fn what_a_site_offers_outside_wechat_is_its_website_unless_it_says_otherwise() {
    let offered = |line| good(&with(line)).sites["h5"].outside_wechat;
    assert_eq!(offered("jssdk = true"), Outside::Help);
    assert_eq!(offered("website = 'web'"), Outside::Website);
    assert_eq!(offered("website = 'web'\noutside_wechat = 'scan'"), Outside::Scan);
}

#[test]
fn a_setting_that_serves_nobody_yet_is_warned_of() {
    let warned = |text: &str, hint: &str| {
        good(text).warnings.iter().any(|warning| warning.message.contains(hint))
    };
    let asked = "server_token_secret_file = 'server-token-secret.txt'\n";
    let alone = format!("{ACCOUNT}{asked}{SITE}");
    assert!(warned(&alone, "admin_listen"));
    assert!(!warned(&format!("admin_listen = '127.0.0.1:9101'\n{alone}"), "admin_listen"));
    let by_unionid = format!("[session]\nsubject = 'unionid'\n{ACCOUNT}{SITE}");
    assert!(warned(&by_unionid, "a start forgets the unionids"));
    let kept = by_unionid.replace("subject", "store = 'file:s.db'\nsubject");
    assert!(!warned(&kept, "a start forgets the unionids"));
    assert!(warned(&with(""), "nobody signs in with this account"));
    let all = with(
        "website = 'web'\nmini_programs = ['mini']\n[[site.h5.route]]\nprefix = '/a'\naccount = 'corp'",
    );
    assert!(!warned(&all, "nobody signs in with this account"));
}

#[test]
fn w10_the_secret_for_the_server_token_does_not_show() {
    let text = format!("{ACCOUNT}server_token_secret_file = 'server-token-secret.txt'\n{SITE}");
    let config = good(&text);
    assert!(!format!("{config:?}").contains("0123456789abcdef\n"));
    let secret: &ServerTokenSecret = &config.server_token_secrets["main"];
    assert!(secret.is(b"0123456789abcdef") && !secret.is(b"0123456789abcdeF"));
    assert_eq!(format!("{secret:?}"), "ServerTokenSecret([redacted])");
}
