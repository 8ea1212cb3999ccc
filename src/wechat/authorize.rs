//! The authorize URL: the address that a browser is sent to, in the one order that WeChat takes.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use super::{
    endpoints::Endpoints,
    types::{Account, AccountKind, Lang, Scope},
};

/// Everything but RFC 3986's unreserved characters.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// WeChat shows "state参数过长" above this and sends nobody back.
const LONGEST_STATE: usize = 128;

/// Builds an authorize URL.
///
/// WeChat checks the order of the parameters, so the URL is put together by hand:
/// `appid, redirect_uri, response_type, scope, state`, then the optional ones, then `#wechat_redirect`.
/// A website application's address (`qrconnect`) and those of a WeCom corp come out of the same builder.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizeUrl<'a> {
    account: &'a Account,
    redirect_uri: &'a str,
    scope: Scope,
    state: &'a str,
    force_popup: bool,
    connect_redirect: bool,
    lang: Option<Lang>,
    desktop: bool,
}

impl<'a> AuthorizeUrl<'a> {
    /// `redirect_uri` is where the browser comes back to, not encoded; `state` comes back with it.
    pub fn new(account: &'a Account, redirect_uri: &'a str, scope: Scope, state: &'a str) -> Self {
        Self {
            account,
            redirect_uri,
            scope,
            state,
            force_popup: false,
            connect_redirect: false,
            lang: None,
            desktop: false,
        }
    }

    /// Asks for consent even where WeChat would grant silently. Official accounts only.
    pub fn force_popup(mut self) -> Self {
        self.force_popup = true;
        self
    }

    /// Adds the undocumented `connect_redirect=1`, which some SDKs send against doubled callbacks.
    /// Official accounts only.
    pub fn connect_redirect(mut self) -> Self {
        self.connect_redirect = true;
        self
    }

    /// The language of the page with the code to scan. Website applications only; Chinese by default.
    pub fn lang(mut self, lang: Lang) -> Self {
        self.lang = Some(lang);
        self
    }

    /// The page with the code to scan, for a browser outside of WeCom. WeCom corps only, with the scope `snsapi_base`, and
    /// the app's `agentid` is needed.
    pub fn desktop(mut self) -> Self {
        self.desktop = true;
        self
    }

    /// The URL. At a WeCom corp [`Scope::Userinfo`] is written as its `snsapi_privateinfo`, which the app's `agentid` is
    /// needed for.
    ///
    /// # Errors
    /// When WeChat would show an error page instead of sending the user back.
    pub fn build(self, endpoints: &Endpoints) -> Result<String, InvalidAuthorizeUrl> {
        self.check()?;
        let Self { account, state, .. } = self;
        let (appid, agentid) = (account.appid(), account.agentid());
        let back = utf8_percent_encode(self.redirect_uri, COMPONENT);
        if let (true, Some(agentid)) = (self.desktop, agentid) {
            let desktop = endpoints.wecom_desktop();
            return Ok(format!(
                "{desktop}/wwlogin/sso/login?login_type=CorpApp&appid={appid}&agentid={agentid}\
                 &redirect_uri={back}&state={state}"
            ));
        }
        let page = match account.kind() {
            AccountKind::Website => "/connect/qrconnect",
            _ => "/connect/oauth2/authorize",
        };
        let scope = match (account.kind(), self.scope) {
            (AccountKind::Wecom, Scope::Userinfo) => "snsapi_privateinfo",
            (_, scope) => scope.as_str(),
        };
        let open = endpoints.open();
        let mut url = format!(
            "{open}{page}?appid={appid}&redirect_uri={back}&response_type=code&scope={scope}&state={state}"
        );
        if self.force_popup {
            url.push_str("&forcePopup=true");
        }
        if self.connect_redirect {
            url.push_str("&connect_redirect=1");
        }
        if let Some(lang) = self.lang {
            url.push_str(if lang == Lang::En { "&lang=en" } else { "&lang=cn" });
        }
        if let Some(agentid) = agentid {
            url.push_str("&agentid=");
            url.push_str(&agentid.to_string());
        }
        url.push_str("#wechat_redirect");
        Ok(url)
    }

    fn check(&self) -> Result<(), InvalidAuthorizeUrl> {
        if self.state.is_empty() {
            return Err(InvalidAuthorizeUrl::EmptyState);
        }
        if self.state.len() > LONGEST_STATE {
            return Err(InvalidAuthorizeUrl::LongState(self.state.len()));
        }
        if !self.state.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(InvalidAuthorizeUrl::ForeignState);
        }
        let redirect = Url::parse(self.redirect_uri);
        let reachable = redirect
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none());
        if !reachable {
            return Err(InvalidAuthorizeUrl::RedirectUri);
        }
        let kind = self.account.kind();
        let is_for_kind = match kind {
            AccountKind::Wecom if self.desktop => self.scope == Scope::Base,
            AccountKind::OfficialAccount | AccountKind::Wecom => self.scope != Scope::Login,
            AccountKind::Website => self.scope == Scope::Login,
            AccountKind::MiniProgram => false,
        };
        if !is_for_kind {
            return Err(InvalidAuthorizeUrl::Scope(self.scope, kind));
        }
        if kind != AccountKind::OfficialAccount && (self.force_popup || self.connect_redirect) {
            return Err(InvalidAuthorizeUrl::Option("forcePopup and connect_redirect", kind));
        }
        if kind != AccountKind::Website && self.lang.is_some() {
            return Err(InvalidAuthorizeUrl::Option("lang", kind));
        }
        if kind != AccountKind::Wecom && self.desktop {
            return Err(InvalidAuthorizeUrl::Option("the page for a desktop", kind));
        }
        let asks_app = kind == AccountKind::Wecom && (self.desktop || self.scope != Scope::Base);
        if asks_app && self.account.agentid().is_none() {
            return Err(InvalidAuthorizeUrl::Agentid);
        }
        Ok(())
    }
}

/// Why WeChat would refuse an authorize URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAuthorizeUrl {
    /// WeChat's page error 10013.
    #[error("the state is empty")]
    EmptyState,
    /// WeChat's page error "state参数过长".
    #[error("the state has {0} characters, WeChat takes 128 at most")]
    LongState(usize),
    /// WeChat documents `a-zA-Z0-9`.
    #[error("the state has a character outside a-z, A-Z, 0-9")]
    ForeignState,
    /// WeChat needs a host that it can compare with the registered one, and puts its own parameters at the end.
    #[error("the redirect_uri is not an absolute http or https URL without a fragment")]
    RedirectUri,
    /// WeChat's page errors 10005 and 10016.
    #[error("the scope {scope} is not for an account of the kind {kind:?}", scope = .0.as_str(), kind = .1)]
    Scope(Scope, AccountKind),
    /// A parameter of another kind of account.
    #[error("{0} is not for an account of the kind {1:?}")]
    Option(&'static str, AccountKind),
    /// WeCom would tell no more than the userid, or show an error.
    #[error(
        "the agentid of the WeCom app is needed for names and avatars, and for the page for a desktop"
    )]
    Agentid,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::AppSecret;

    const BACK: &str = "https://h5.example.com/_wx/callback?a=1&名=é";
    const STATE: &str = "a1B2c3";

    fn official() -> Account {
        Account::official_account("wx0123456789abcdef", AppSecret::new("s")).unwrap()
    }

    fn website() -> Account {
        Account::website("wx0123456789abcdef", AppSecret::new("s")).unwrap()
    }

    #[test]
    fn w12_the_parameters_stand_in_the_canonical_order_and_the_redirect_is_encoded_once() {
        let url = |scope| {
            AuthorizeUrl::new(&official(), BACK, scope, STATE).build(&Endpoints::default()).unwrap()
        };
        let expected = "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx0123456789abcdef\
            &redirect_uri=https%3A%2F%2Fh5.example.com%2F_wx%2Fcallback%3Fa%3D1%26%E5%90%8D%3D%C3%A9\
            &response_type=code&scope=snsapi_base&state=a1B2c3#wechat_redirect";
        assert_eq!(url(Scope::Base), expected);
        assert_eq!(url(Scope::Userinfo), expected.replace("snsapi_base", "snsapi_userinfo"));
    }

    #[test]
    fn w12_optional_parameters_come_after_the_five_and_before_the_fragment() {
        let url = AuthorizeUrl::new(&official(), "https://h5.example.com/", Scope::Base, STATE)
            .connect_redirect()
            .force_popup()
            .build(&Endpoints::default())
            .unwrap();
        assert!(
            url.ends_with("&state=a1B2c3&forcePopup=true&connect_redirect=1#wechat_redirect"),
            "{url}"
        );
    }

    #[test]
    fn a_website_application_gets_the_page_with_the_code_to_scan() {
        let url = AuthorizeUrl::new(&website(), "https://h5.example.com/", Scope::Login, STATE)
            .lang(Lang::En)
            .build(&Endpoints::default())
            .unwrap();
        assert_eq!(
            url,
            "https://open.weixin.qq.com/connect/qrconnect?appid=wx0123456789abcdef\
             &redirect_uri=https%3A%2F%2Fh5.example.com%2F&response_type=code&scope=snsapi_login\
             &state=a1B2c3&lang=en#wechat_redirect"
        );
    }

    #[test]
    fn w12_a_wecom_corp_s_app_stands_before_the_fragment() {
        let corp =
            |agentid| Account::wecom("ww0123456789abcdef", agentid, AppSecret::new("s")).unwrap();
        let (app, no_app) = (corp(Some(1_000_002)), corp(None));
        let url = |account, scope| {
            AuthorizeUrl::new(account, "https://h5.example.com/", scope, STATE)
                .build(&Endpoints::default())
        };
        let silent = "https://open.weixin.qq.com/connect/oauth2/authorize?appid=ww0123456789abcdef\
             &redirect_uri=https%3A%2F%2Fh5.example.com%2F&response_type=code&scope=snsapi_base\
             &state=a1B2c3&agentid=1000002#wechat_redirect";
        assert_eq!(url(&app, Scope::Base).unwrap(), silent);
        assert_eq!(url(&no_app, Scope::Base).unwrap(), silent.replace("&agentid=1000002", ""));
        let full = silent.replace("snsapi_base", "snsapi_privateinfo");
        assert_eq!(url(&app, Scope::Userinfo).unwrap(), full);
        assert_eq!(url(&no_app, Scope::Userinfo), Err(InvalidAuthorizeUrl::Agentid));
        assert!(matches!(url(&app, Scope::Login), Err(InvalidAuthorizeUrl::Scope(..))));
    }

    #[test]
    fn a_wecom_corp_s_people_on_a_desktop_scan_a_code() {
        let corp =
            |agentid| Account::wecom("ww0123456789abcdef", agentid, AppSecret::new("s")).unwrap();
        let url = |account: &Account, scope| {
            AuthorizeUrl::new(account, BACK, scope, STATE).desktop().build(&Endpoints::default())
        };
        assert_eq!(
            url(&corp(Some(1_000_002)), Scope::Base).unwrap(),
            "https://login.work.weixin.qq.com/wwlogin/sso/login?login_type=CorpApp\
             &appid=ww0123456789abcdef&agentid=1000002\
             &redirect_uri=https%3A%2F%2Fh5.example.com%2F_wx%2Fcallback%3Fa%3D1%26%E5%90%8D%3D%C3%A9\
             &state=a1B2c3"
        );
        assert_eq!(url(&corp(None), Scope::Base), Err(InvalidAuthorizeUrl::Agentid));
        let userinfo = url(&corp(Some(1)), Scope::Userinfo);
        assert!(matches!(userinfo, Err(InvalidAuthorizeUrl::Scope(..))));
        assert!(matches!(url(&official(), Scope::Base), Err(InvalidAuthorizeUrl::Option(..))));
    }

    #[test]
    fn a_mini_program_has_no_page_to_send_people_to() {
        let account = Account::mini_program("wx0123456789abcdef", AppSecret::new("s")).unwrap();
        for scope in [Scope::Base, Scope::Userinfo, Scope::Login] {
            let url = AuthorizeUrl::new(&account, BACK, scope, STATE).build(&Endpoints::default());
            assert!(matches!(url, Err(InvalidAuthorizeUrl::Scope(..))));
        }
    }

    #[test]
    fn w01_what_wechat_would_refuse_is_an_error_here() {
        let state = |state: &str| {
            AuthorizeUrl::new(&official(), BACK, Scope::Base, state).build(&Endpoints::default())
        };
        assert!(state(&"a".repeat(128)).is_ok());
        assert_eq!(state(""), Err(InvalidAuthorizeUrl::EmptyState));
        assert_eq!(state(&"a".repeat(129)), Err(InvalidAuthorizeUrl::LongState(129)));
        for foreign in ["a-b", "a b", "a%20", "状态"] {
            assert_eq!(state(foreign), Err(InvalidAuthorizeUrl::ForeignState), "{foreign}");
        }

        let redirect = |to: &str| {
            AuthorizeUrl::new(&official(), to, Scope::Base, STATE).build(&Endpoints::default())
        };
        for bad in ["", "/callback", "javascript:alert(1)", "https://h5.example.com/#x"] {
            assert_eq!(redirect(bad), Err(InvalidAuthorizeUrl::RedirectUri), "{bad}");
        }

        let scope = |account: &Account, scope| {
            AuthorizeUrl::new(account, BACK, scope, STATE).build(&Endpoints::default())
        };
        assert!(scope(&website(), Scope::Login).is_ok());
        assert!(matches!(scope(&website(), Scope::Base), Err(InvalidAuthorizeUrl::Scope(..))));
        assert!(matches!(scope(&official(), Scope::Login), Err(InvalidAuthorizeUrl::Scope(..))));
        let website = website();
        let popup = AuthorizeUrl::new(&website, BACK, Scope::Login, STATE).force_popup();
        assert!(matches!(popup.build(&Endpoints::default()), Err(InvalidAuthorizeUrl::Option(..))));
    }
}
