//! Whether the URL of a page with a QR code is one that WeChat accepts.

use crate::simulator::authorize::{Authorize, Door, redirect_uri};
use crate::simulator::page_error::PageError;
use crate::simulator::params::Params;
use crate::simulator::world::{Account, AccountKind, World};

const LOGIN: &str = "snsapi_login";

/// Reads the query. The order is free here, and a `state` may be long or missing.
pub(super) fn check<'w>(
    door: Door,
    query: &str,
    world: &'w World,
) -> Result<Authorize<'w>, PageError> {
    let params = Params::parse(query.as_bytes());
    let account = params.first("appid").and_then(|appid| world.account(appid));
    let account = account.ok_or(PageError::UnknownAppid)?;
    let (redirect_uri, scope) = match door {
        Door::WecomLogin => wecom(&params, account)?,
        Door::Qrconnect | Door::Authorize => website(&params, account)?,
    };
    Ok(Authorize {
        door,
        account,
        redirect_uri,
        scope,
        state: params.first("state").unwrap_or_default().to_owned(),
        force_popup: false,
    })
}

fn website(params: &Params, account: &Account) -> Result<(String, String), PageError> {
    if account.kind != AccountKind::Website {
        return Err(PageError::UnknownScope);
    }
    if account.banned {
        return Err(PageError::Banned);
    }
    // This page has one text for whatever is wrong with it.
    let target = redirect_uri(params, account).map_err(|_| PageError::BadRedirectUri)?;
    if params.first("response_type") != Some("code") {
        return Err(PageError::BadResponseType);
    }
    let scope = params.first("scope").unwrap_or_default();
    let mut scopes = scope.split(',');
    // Some clients ask for the profile besides, which is part of it already.
    if !scopes.clone().any(|one| one == LOGIN)
        || !scopes.all(|one| one == LOGIN || one == "snsapi_userinfo")
    {
        return Err(PageError::UnknownScope);
    }
    Ok((target, scope.to_owned()))
}

fn wecom(params: &Params, account: &Account) -> Result<(String, String), PageError> {
    if params.first("login_type") != Some("CorpApp") {
        return Err(PageError::LoginType);
    }
    if account.kind != AccountKind::Wecom {
        return Err(PageError::UnknownAppid);
    }
    if params.first("agentid") != Some(&*account.agentid().to_string()) {
        return Err(PageError::Agent);
    }
    Ok((redirect_uri(params, account)?, "snsapi_base".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBSITE: &str = "appid=wx1111111111111111&redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcb&response_type=code\
                           &scope=snsapi_login&state=abc";
    const CORP: &str = "login_type=CorpApp&appid=ww3333333333333333&agentid=1000002\
                        &redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcb&state=abc";

    fn refused(door: Door, query: &str) -> Option<PageError> {
        check(door, query, &World::builtin()).err()
    }

    fn expect(door: Door, good: &str, table: &[(&str, &str, Option<PageError>)]) {
        assert_eq!(refused(door, good), None);
        for (part, instead, expected) in table {
            assert!(good.contains(part), "{part}");
            assert_eq!(refused(door, &good.replace(part, instead)), *expected, "{instead}");
        }
    }

    #[test]
    fn a_website_has_its_errors_and_some_freedom() {
        let long = format!("state={}", "s".repeat(2000));
        let table = [
            ("state=abc", &*long, None),
            ("&state=abc", "", None),
            ("snsapi_login", "snsapi_login,snsapi_userinfo", None),
            ("appid=wx1111111111111111&", "lang=en&", Some(PageError::UnknownAppid)),
            ("wx1111111111111111", "wx0123456789abcdef", Some(PageError::UnknownScope)),
            ("wx1111111111111111", "wx2222222222222222", Some(PageError::UnknownScope)),
            ("snsapi_login", "snsapi_base", Some(PageError::UnknownScope)),
            ("snsapi_login", "snsapi_userinfo", Some(PageError::UnknownScope)),
            ("snsapi_login", "", Some(PageError::UnknownScope)),
            ("127.0.0.1%3A8080", "evil.example", Some(PageError::BadRedirectUri)),
            ("127.0.0.1%3A8080", "127.0.0.1%40evil.example", Some(PageError::BadRedirectUri)),
            ("redirect_uri", "redirect", Some(PageError::BadRedirectUri)),
            ("response_type=code", "response_type=token", Some(PageError::BadResponseType)),
        ];
        expect(Door::Qrconnect, WEBSITE, &table);
        let (appid, rest) = WEBSITE.split_once('&').expect("more than one");
        assert_eq!(refused(Door::Qrconnect, &format!("{rest}&{appid}&login_type=jssdk")), None);
    }

    #[test]
    fn a_corp_has_its_errors() {
        let table = [
            ("&state=abc", "", None),
            ("CorpApp", "ServiceApp", Some(PageError::LoginType)),
            ("ww3333333333333333", "wx1111111111111111", Some(PageError::UnknownAppid)),
            ("1000002", "1000003", Some(PageError::Agent)),
            ("&agentid=1000002", "", Some(PageError::Agent)),
            ("127.0.0.1%3A8080", "evil.example", Some(PageError::WecomRedirectHost)),
        ];
        expect(Door::WecomLogin, CORP, &table);
    }

    #[test]
    fn in_wecom_a_host_with_a_port_is_good_for_that_port_alone() {
        let world = include_str!("../builtin.toml").replace("\"127.0.0.1\"", "\"127.0.0.1:8080\"");
        let (start, corp) = world.split_once("name = \"演示企业\"").expect("the corp");
        let start = start.replace("127.0.0.1:8080", "127.0.0.1");
        let world = World::from_toml(&format!("{start}{corp}")).expect("a world");
        let with = |port: &str| check(Door::WecomLogin, &CORP.replace("8080", port), &world).err();
        assert_eq!(with("8080"), None);
        assert_eq!(with("8081"), Some(PageError::WecomRedirectHost));
    }
}
