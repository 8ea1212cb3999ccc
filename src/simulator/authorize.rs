//! Whether an authorize URL is one that WeChat accepts, and the error pages for those that it does not.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use super::page_error::PageError;
use super::params::Params;
use super::world::{Account, AccountKind, World};

/// The five that the platform's regular expression wants in this order.
const CORE: [&str; 5] = ["appid", "redirect_uri", "response_type", "scope", "state"];
const KNOWN_SCOPES: [&str; 4] =
    ["snsapi_base", "snsapi_userinfo", "snsapi_privateinfo", "snsapi_login"];
const STATE_LIMIT: usize = 128;

/// What cannot stand in a `Location` header; percent signs stay, since the URI is encoded already.
const NOT_IN_LOCATION: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// The pages that a site sends people to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Inside WeChat, and inside WeCom.
    Authorize,
    /// A website's, on a desktop.
    Qrconnect,
    /// WeCom's, on a desktop.
    WecomLogin,
}

/// A request for a sign-in that is in order.
#[derive(Debug)]
pub(super) struct Authorize<'w> {
    pub(super) door: Door,
    pub(super) account: &'w Account,
    /// As it was given, fit for a header.
    pub(super) redirect_uri: String,
    pub(super) scope: String,
    pub(super) state: String,
    pub(super) force_popup: bool,
}

impl Door {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Authorize => "/connect/oauth2/authorize",
            Self::Qrconnect => "/connect/qrconnect",
            Self::WecomLogin => "/wwlogin/sso/login",
        }
    }
}

impl<'w> Authorize<'w> {
    /// Where the browser goes next, with a code or without.
    pub(super) fn way_back(&self, code: Option<&str>) -> String {
        match self.door {
            Door::Qrconnect => appended(&self.redirect_uri, code, &self.state),
            Door::Authorize | Door::WecomLogin => {
                callback_url(&self.redirect_uri, code, &self.state)
            }
        }
    }

    /// Reads the query of an authorize URL as WeChat does.
    pub(super) fn check(query: &str, world: &'w World) -> Result<Self, PageError> {
        let params = Params::parse(query.as_bytes());
        if !world.switches.lenient_order && !in_order(&params) {
            return Err(PageError::Order);
        }
        let account = account(&params, world)?;
        let redirect_uri = redirect_uri(&params, account)?;
        if params.first("response_type") != Some("code") {
            return Err(PageError::BadResponseType);
        }
        let scope = match account.kind {
            AccountKind::Wecom => wecom_scope(&params, account)?,
            _ => scope(&params, account)?,
        };
        let state = params.required("state", PageError::NoState)?;
        if state.len() > STATE_LIMIT {
            return Err(PageError::StateTooLong);
        }
        Ok(Self {
            door: Door::Authorize,
            account,
            redirect_uri,
            scope,
            state: state.to_owned(),
            force_popup: params.first("forcePopup") == Some("true"),
        })
    }
}

/// Missing ones have error pages of their own; those that are there must be in order, and before anything else.
fn in_order(params: &Params) -> bool {
    let rank = |name: &str| CORE.iter().position(|core| *core == name);
    let mut last = None;
    let mut others = false;
    params.names().all(|name| match rank(name) {
        None => {
            others = true;
            true
        }
        Some(rank) => !others && last.replace(rank).is_none_or(|last| last < rank),
    })
}

fn account<'w>(params: &Params, world: &'w World) -> Result<&'w Account, PageError> {
    let appid = params.required("appid", PageError::NoAppid)?;
    let account = world.account(appid).ok_or(PageError::UnknownAppid)?;
    if account.kind == AccountKind::Website {
        Err(PageError::WebsiteAppid)
    } else if account.kind == AccountKind::MiniProgram {
        Err(PageError::ScopeNotOwned)
    } else if account.banned {
        Err(PageError::Banned)
    } else if params.first("component_appid").is_some() {
        Err(PageError::NoComponent)
    } else {
        Ok(account)
    }
}

/// Where the site wants people back, if the account may have them there.
pub(super) fn redirect_uri(params: &Params, account: &Account) -> Result<String, PageError> {
    let given = params.required("redirect_uri", PageError::NoRedirectUri)?;
    // Encoded before it is looked at, so that what is checked is what is sent.
    let given = utf8_percent_encode(given, NOT_IN_LOCATION).to_string();
    let parsed = Url::parse(&given).map_err(|_| PageError::BadRedirectUri)?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(PageError::BadRedirectUri);
    }
    if account.has_callback_host(&parsed) {
        Ok(given)
    } else if account.kind == AccountKind::Wecom {
        Err(PageError::WecomRedirectHost)
    } else {
        Err(PageError::RedirectHost)
    }
}

fn scope(params: &Params, account: &Account) -> Result<String, PageError> {
    let scope = params.required("scope", PageError::NoScope)?;
    if !scope.split(',').all(|one| KNOWN_SCOPES.contains(&one)) {
        return Err(PageError::UnknownScope);
    }
    let owned = |one: &str| account.scopes.iter().any(|scope| scope == one);
    if !scope.split(',').all(owned) {
        return Err(PageError::ScopeNotOwned);
    }
    Ok(scope.to_owned())
}

/// Without an `agentid` nothing private can be asked for, and the silent scope is what is left.
fn wecom_scope(params: &Params, account: &Account) -> Result<String, PageError> {
    let agentid = params.first("agentid");
    if agentid.is_some_and(|agentid| agentid != account.agentid().to_string()) {
        return Err(PageError::Agent);
    }
    match params.required("scope", PageError::NoScope)? {
        "snsapi_privateinfo" if agentid.is_some() => Ok("snsapi_privateinfo".to_owned()),
        "snsapi_base" | "snsapi_privateinfo" => Ok("snsapi_base".to_owned()),
        _ => Err(PageError::UnknownScope),
    }
}

/// As the script of a website's QR page puts it together: behind everything, even behind a fragment.
fn appended(redirect_uri: &str, code: Option<&str>, state: &str) -> String {
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    let code = code.map(|code| format!("code={code}&")).unwrap_or_default();
    let state = utf8_percent_encode(state, UNRESERVED_ONLY);
    format!("{redirect_uri}{separator}{code}state={state}")
}

/// Where the browser goes next: `code`, if there is one, then `state`, after an existing query and before a fragment.
fn callback_url(redirect_uri: &str, code: Option<&str>, state: &str) -> String {
    let (target, fragment) = match redirect_uri.split_once('#') {
        Some((target, fragment)) => (target, Some(fragment)),
        None => (redirect_uri, None),
    };
    let mut url = target.to_owned();
    if !target.contains('?') {
        url.push('?');
    } else if !target.ends_with(['?', '&']) {
        url.push('&');
    }
    let state = utf8_percent_encode(state, UNRESERVED_ONLY);
    if let Some(code) = code {
        url.extend(["code=", code, "&"]);
    }
    url.push_str("state=");
    url.extend(state);
    if let Some(fragment) = fragment {
        url.extend(["#", fragment]);
    }
    url
}

const UNRESERVED_ONLY: &AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "appid=wx0123456789abcdef&redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcb&response_type=code\
                        &scope=snsapi_base&state=abc";

    fn check(query: &str) -> Result<(), PageError> {
        Authorize::check(query, &World::builtin()).map(|_| ())
    }

    #[test]
    fn the_canonical_url_is_accepted_with_anything_after_it() {
        assert_eq!(check(GOOD), Ok(()));
        assert_eq!(
            check(&format!("{GOOD}&forcePopup=true&connect_redirect=1&uin=1&key=2&pass_ticket=3")),
            Ok(())
        );
    }

    #[test]
    fn any_other_order_cannot_be_visited_unless_lenient() {
        let swapped = GOOD.replace("scope=snsapi_base&state=abc", "state=abc&scope=snsapi_base");
        let interleaved = GOOD.replace("&scope", "&forcePopup=true&scope");
        let twice = format!("{GOOD}&state=abc");
        for query in [&swapped, &interleaved, &twice] {
            assert_eq!(check(query), Err(PageError::Order), "{query}");
        }
        let mut lenient = World::builtin();
        lenient.switches.lenient_order = true;
        assert!(Authorize::check(&swapped, &lenient).is_ok());
    }

    #[test]
    fn every_parameter_has_its_error_page() {
        let table = [
            ("appid=wx0123456789abcdef&", "", PageError::NoAppid),
            ("wx0123456789abcdef", "wxffffffffffffffff", PageError::UnknownAppid),
            (
                "redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fcb",
                "redirect_uri=",
                PageError::NoRedirectUri,
            ),
            (
                "http%3A%2F%2F127.0.0.1%3A8080%2Fcb",
                "http%253A%252F%252F127.0.0.1%252Fcb",
                PageError::BadRedirectUri,
            ),
            ("127.0.0.1%3A8080", "www.127.0.0.1.example", PageError::RedirectHost),
            ("127.0.0.1%3A8080", "127.0.0.1%40evil.example", PageError::RedirectHost),
            ("127.0.0.1%3A8080", "evil.example%5C%40127.0.0.1", PageError::RedirectHost),
            ("response_type=code", "response_type=token", PageError::BadResponseType),
            ("snsapi_base", "", PageError::NoScope),
            ("snsapi_base", "openid", PageError::UnknownScope),
            ("snsapi_base", "snsapi_privateinfo", PageError::ScopeNotOwned),
            ("&state=abc", "", PageError::NoState),
            ("&state=abc", "&state=abc&component_appid=wx0", PageError::NoComponent),
        ];
        for (part, instead, expected) in table {
            assert!(GOOD.contains(part), "{part}");
            assert_eq!(check(&GOOD.replace(part, instead)), Err(expected), "{instead}");
        }
    }

    #[test]
    fn a_state_may_have_128_bytes_and_no_more() {
        let with =
            |length| check(&GOOD.replace("state=abc", &format!("state={}", "s".repeat(length))));
        assert_eq!(with(128), Ok(()));
        assert_eq!(with(129), Err(PageError::StateTooLong));
    }

    #[test]
    fn the_account_must_be_one_that_signs_people_in() {
        let with = |key: &str| {
            let world = include_str!("builtin.toml")
                .replace("name = \"本地", &format!("{key}\nname = \"本地"));
            let world = World::from_toml(&world).expect("a world");
            Authorize::check(GOOD, &world).map(|_| ())
        };
        assert_eq!(with(""), Ok(()));
        assert_eq!(with("banned = true"), Err(PageError::Banned));
        assert_eq!(with("kind = \"website\""), Err(PageError::WebsiteAppid));
        assert_eq!(with("scopes = [\"snsapi_userinfo\"]"), Err(PageError::ScopeNotOwned));
    }

    #[test]
    fn the_callback_keeps_its_query_and_its_fragment() {
        let table = [
            ("http://h/p", "http://h/p?code=C&state=S"),
            ("http://h/p?a=b", "http://h/p?a=b&code=C&state=S"),
            ("http://h/p?", "http://h/p?code=C&state=S"),
            ("http://h/p/#/route?x=1", "http://h/p/?code=C&state=S#/route?x=1"),
        ];
        for (redirect_uri, expected) in table {
            assert_eq!(callback_url(redirect_uri, Some("C"), "S"), expected);
        }
        assert_eq!(callback_url("http://h/", None, "a b&c"), "http://h/?state=a%20b%26c");
        let qr = appended("http://h/p/#/route", Some("C"), "a b");
        assert_eq!(qr, "http://h/p/#/route?code=C&state=a%20b");
        assert_eq!(appended("http://h/p?a=b", None, "S"), "http://h/p?a=b&state=S");
    }

    #[test]
    fn a_corp_has_scopes_of_its_own_and_an_agent() {
        let corp = GOOD.replace("wx0123456789abcdef", "ww3333333333333333");
        let scope = |query: &str| {
            Authorize::check(query, &World::builtin()).map(|authorize| authorize.scope)
        };
        let with_agent = format!("{corp}&agentid=1000002");
        let private = |query: &str| query.replace("snsapi_base", "snsapi_privateinfo");
        assert_eq!(scope(&corp).as_deref(), Ok("snsapi_base"));
        assert_eq!(scope(&private(&with_agent)).as_deref(), Ok("snsapi_privateinfo"));
        assert_eq!(scope(&private(&corp)).as_deref(), Ok("snsapi_base"));
        assert_eq!(scope(&with_agent.replace("1000002", "7")), Err(PageError::Agent));
        let userinfo = corp.replace("snsapi_base", "snsapi_userinfo");
        assert_eq!(scope(&userinfo), Err(PageError::UnknownScope));
        let elsewhere = corp.replace("127.0.0.1", "evil.example");
        assert_eq!(scope(&elsewhere), Err(PageError::WecomRedirectHost));
    }
}
