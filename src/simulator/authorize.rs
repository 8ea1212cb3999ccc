//! Whether an authorize URL is one that WeChat accepts, and the error pages for those that it does not.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use super::params::Params;
use super::world::{Account, AccountKind, World};

/// The five that the platform's regular expression wants in this order.
const CORE: [&str; 5] = ["appid", "redirect_uri", "response_type", "scope", "state"];
const KNOWN_SCOPES: [&str; 4] =
    ["snsapi_base", "snsapi_userinfo", "snsapi_privateinfo", "snsapi_login"];
const STATE_LIMIT: usize = 128;

/// What cannot stand in a `Location` header; percent signs stay, since the URI is encoded already.
const NOT_IN_LOCATION: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');

/// An authorize request that is in order.
#[derive(Debug)]
pub(super) struct Authorize<'w> {
    pub(super) account: &'w Account,
    /// As it was given, fit for a header.
    pub(super) redirect_uri: String,
    pub(super) scope: String,
    pub(super) state: String,
    pub(super) force_popup: bool,
}

/// A page that ends the sign-in inside WeChat: the site never hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageError {
    RedirectHost,
    Banned,
    ScopeNotOwned,
    MustFollow,
    TooOften,
    NoScope,
    NoRedirectUri,
    NoAppid,
    NoState,
    NoComponent,
    WebsiteAppid,
    Order,
    UnknownAppid,
    BadRedirectUri,
    BadResponseType,
    UnknownScope,
    StateTooLong,
    OutsideWechat,
}

impl PageError {
    /// What WeChat writes on the page.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::RedirectHost => "redirect_uri域名与后台配置不一致，错误码:10003",
            Self::Banned => "此公众号被封禁，错误码:10004",
            Self::ScopeNotOwned => "此公众号并没有这些scope的权限，错误码:10005",
            Self::MustFollow => "必须关注此测试号，错误码:10006",
            Self::TooOften => "操作太频繁了,请稍后重试，错误码:10009",
            Self::NoScope => "scope不能为空，错误码:10010",
            Self::NoRedirectUri => "redirect_uri不能为空，错误码:10011",
            Self::NoAppid => "appid不能为空，错误码:10012",
            Self::NoState => "state不能为空，错误码:10013",
            Self::NoComponent => "公众号未授权第三方平台,请检查授权状态，错误码:10015",
            Self::WebsiteAppid => "不支持微信开放平台的Appid,请使用公众号Appid，错误码:10016",
            Self::Order => "该链接无法访问",
            Self::UnknownAppid => "appid 参数错误",
            Self::BadRedirectUri => "redirect_uri 参数错误",
            Self::BadResponseType => "response_type 参数错误",
            Self::UnknownScope => "Scope 参数错误或没有 Scope 权限",
            Self::StateTooLong => "state参数过长",
            Self::OutsideWechat => "请在微信客户端打开链接",
        }
    }

    /// What the developer in front of the simulator should look at.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::RedirectHost => {
                "The host of redirect_uri is not one of the account's callback_hosts."
            }
            Self::Banned => "The world file says banned = true.",
            Self::ScopeNotOwned => "The account's scopes do not include what was asked for.",
            Self::MustFollow => "A sandbox account signs in its followers only.",
            Self::TooOften => {
                "More visits in a minute than authorizes_per_minute; often a redirect loop."
            }
            Self::NoScope => "The parameter scope is missing or empty.",
            Self::NoRedirectUri => "The parameter redirect_uri is missing or empty.",
            Self::NoAppid => "The parameter appid is missing or empty.",
            Self::NoState => "The parameter state is missing or empty.",
            Self::NoComponent => {
                "component_appid was given; no third-party platform manages this account."
            }
            Self::WebsiteAppid => {
                "This appid belongs to a website application, not to an official account."
            }
            Self::Order => {
                "The order must be appid, redirect_uri, response_type, scope, state, and only then anything else."
            }
            Self::UnknownAppid => "No account of this world has this appid.",
            Self::BadRedirectUri => {
                "redirect_uri must be an http or https URL, percent-encoded exactly once."
            }
            Self::BadResponseType => "response_type must be the word code.",
            Self::UnknownScope => "There is no such scope.",
            Self::StateTooLong => "state must not be longer than 128 bytes.",
            Self::OutsideWechat => "The user agent is not WeChat's, and require_wechat_ua is on.",
        }
    }
}

impl<'w> Authorize<'w> {
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
        let scope = scope(&params, account)?;
        let state = params.required("state", PageError::NoState)?;
        if state.len() > STATE_LIMIT {
            return Err(PageError::StateTooLong);
        }
        Ok(Self {
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

fn redirect_uri(params: &Params, account: &Account) -> Result<String, PageError> {
    let given = params.required("redirect_uri", PageError::NoRedirectUri)?;
    // Encoded before it is looked at, so that what is checked is what is sent.
    let given = utf8_percent_encode(given, NOT_IN_LOCATION).to_string();
    let parsed = Url::parse(&given).map_err(|_| PageError::BadRedirectUri)?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(PageError::BadRedirectUri);
    }
    let host = parsed.host_str().unwrap_or_default();
    if account.callback_hosts.iter().any(|it| it.eq_ignore_ascii_case(host)) {
        Ok(given)
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

/// Where the browser goes next: `code`, if there is one, then `state`, after an existing query and before a fragment.
pub(super) fn callback_url(redirect_uri: &str, code: Option<&str>, state: &str) -> String {
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
    }
}
