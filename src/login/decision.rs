//! The one decision: what to do with a request. Pure: no input or output, no clock, no allocation.

use http::{HeaderMap, Method, header};

use super::policy::{Demand, Login, Outside};
use crate::{origin::Origin, wechat::Scope};

/// The endpoints of our own, below [`PREFIX`](super::PREFIX).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Starts a sign-in.
    Login,
    /// WeChat's way back.
    Callback,
    /// Ends a session.
    Logout,
    /// Who is signed in, as JSON.
    Me,
    /// The way back from another site of ours, through which people sign in.
    Accept,
    /// The script for single-page apps.
    Script,
    /// WeChat's messages to the account.
    Messages,
    /// No endpoint has this name.
    Unknown,
}

impl Endpoint {
    /// The endpoint that a path names, or none where the path is not below our prefix.
    pub(crate) fn named_by(path: &str) -> Option<Self> {
        let name = path.strip_prefix(super::PREFIX)?;
        match name {
            "/login" => Some(Self::Login),
            "/callback" => Some(Self::Callback),
            "/logout" => Some(Self::Logout),
            "/me" => Some(Self::Me),
            "/accept" => Some(Self::Accept),
            "/wx.js" => Some(Self::Script),
            "/messages" => Some(Self::Messages),
            _ if name.is_empty() || name.starts_with('/') => Some(Self::Unknown),
            _ => None,
        }
    }
}

/// What a live session is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The openid.
    Openid,
    /// The openid, nickname and avatar.
    Profile,
}

/// What is known of a request.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The endpoint of our own that the path names.
    pub endpoint: Option<Endpoint>,
    /// The request's method.
    pub method: &'a Method,
    /// The request's headers. They never change whether a request passes, only how it is refused.
    pub headers: &'a HeaderMap,
    /// The host that the request names.
    pub host: Option<&'a str>,
    /// The live session.
    pub session: Option<Known>,
    /// Whether the user of that session is among those who may come in.
    pub is_admitted: bool,
    /// Who has asked.
    pub asker: Asker,
    /// Whether the request names its session in a header, as clients do that keep no cookies and walk no redirects.
    pub has_token: bool,
    /// Where people sign in, and what they need for it.
    pub site: Site<'a>,
}

/// Who waits for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// Whoever sent the request: a person, or a script.
    Visitor,
    /// A front proxy that wants to hear yes or no, and can pass nothing else on.
    FrontProxy,
}

/// What the decision needs to know of the site.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The address that browsers know.
    pub public_url: &'a Origin,
    /// Whether any browser can sign in, not WeChat's alone.
    pub any_browser: bool,
    /// What other browsers are offered where the path does not say.
    pub outside: Outside,
    /// Other origins whose scripts may read what we tell scripts.
    pub cors_origins: &'a [Origin],
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let it through.
    Pass,
    /// Send the browser to WeChat.
    Authorize(Scope),
    /// Show the page with one button before asking WeChat for the profile.
    AskFirst,
    /// Save the fragment of the page's address first: it never reaches a server by itself.
    KeepFragment(Scope),
    /// Tell a script that somebody has to sign in.
    Unauthorized(Scope),
    /// Tell a browser that a script of a listed origin may ask.
    Preflight,
    /// Refuse a user who is signed in, and not among those who may come in.
    NotAdmitted,
    /// Send the browser to the public URL first: under another host its cookies would be lost.
    GoHome(Scope),
    /// Offer a browser that is not WeChat's what there is for it.
    NotInWeChat(Scope, Outside),
    /// Start a sign-in, or go on to the target where nobody needs to.
    Login,
    /// Finish a sign-in.
    Callback,
    /// Finish a sign-in that went through another site of ours.
    Accept,
    /// Show the sign-out button.
    AskLogout,
    /// End the session.
    Logout,
    /// Refuse to end the session: another site sent the request.
    ForeignLogout,
    /// Say who is signed in.
    Me,
    /// Give the script for single-page apps.
    Script,
    /// Take a message of WeChat's.
    Messages,
    /// Refuse a front proxy that asks about an endpoint of ours.
    NotForProxies,
    /// No such endpoint.
    NotFound,
    /// The endpoint knows other methods only.
    MethodNotAllowed,
}

/// Decides. `demand` is what the request's path asks.
pub fn decide(facts: &Facts<'_>, demand: &Demand) -> Decision {
    if let Some(endpoint) = facts.endpoint {
        return attend(facts, endpoint);
    }
    let missing = match (demand.login(), facts.session) {
        (Login::Off | Login::Optional, _)
        | (Login::Base, Some(_))
        | (Login::Userinfo, Some(Known::Profile)) => None,
        (Login::Base, None) => Some(Scope::Base),
        (Login::Userinfo, _) => Some(Scope::Userinfo),
    };
    match missing {
        Some(scope) => refuse(facts, demand, scope),
        None if facts.is_admitted => Decision::Pass,
        None => Decision::NotAdmitted,
    }
}

fn refuse(facts: &Facts<'_>, demand: &Demand, scope: Scope) -> Decision {
    if facts.asker == Asker::FrontProxy {
        return Decision::Unauthorized(scope);
    }
    if is_preflight(facts) {
        return Decision::Preflight;
    }
    if facts.has_token || !is_navigation(facts.method, facts.headers) {
        return Decision::Unauthorized(scope);
    }
    if demand.keeps_fragment() {
        return Decision::KeepFragment(scope);
    }
    match start(facts, scope, demand.outside()) {
        // Its button leads to the public URL, so the page itself may stand anywhere.
        Decision::Authorize(Scope::Userinfo) | Decision::GoHome(Scope::Userinfo) => {
            Decision::AskFirst
        }
        decision => decision,
    }
}

/// How a browser's sign-in starts.
pub(crate) fn start(facts: &Facts<'_>, scope: Scope, outside: Option<Outside>) -> Decision {
    let outside = outside.unwrap_or(facts.site.outside);
    let goes_on = facts.site.any_browser && outside == Outside::Help;
    if !goes_on && !is_wechat(facts.headers) {
        return Decision::NotInWeChat(scope, outside);
    }
    if !facts.host.is_some_and(|host| facts.site.public_url.is_named_by(host)) {
        return Decision::GoHome(scope);
    }
    Decision::Authorize(scope)
}

fn attend(facts: &Facts<'_>, endpoint: Endpoint) -> Decision {
    if facts.asker == Asker::FrontProxy {
        return Decision::NotForProxies;
    }
    let reads = matches!(*facts.method, Method::GET | Method::HEAD);
    match endpoint {
        Endpoint::Unknown => Decision::NotFound,
        Endpoint::Login if reads => Decision::Login,
        Endpoint::Callback if reads => Decision::Callback,
        Endpoint::Accept if reads => Decision::Accept,
        Endpoint::Me if reads => Decision::Me,
        Endpoint::Me if is_preflight(facts) => Decision::Preflight,
        Endpoint::Script if reads => Decision::Script,
        Endpoint::Messages if reads || *facts.method == Method::POST => Decision::Messages,
        Endpoint::Logout if reads => Decision::AskLogout,
        Endpoint::Logout if *facts.method == Method::POST => {
            // No other site can make a browser send a token.
            if facts.has_token || is_same_origin(facts.headers, facts.site.public_url) {
                Decision::Logout
            } else {
                Decision::ForeignLogout
            }
        }
        _ => Decision::MethodNotAllowed,
    }
}

/// Whether a browser asks if a script of a listed origin may send a request.
fn is_preflight(facts: &Facts<'_>) -> bool {
    *facts.method == Method::OPTIONS
        && facts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && facts.site.listed_origin(facts.headers).is_some()
}

impl<'a> Site<'a> {
    /// The origin of the script that sent the request, if it is one of those that may read our answers.
    pub(crate) fn listed_origin(&self, headers: &HeaderMap) -> Option<&'a Origin> {
        let origin = headers.get(header::ORIGIN)?;
        self.cors_origins.iter().find(|listed| origin == listed.as_str())
    }
}

/// Whether a person waits for a page, so that a redirect or a page is the right answer.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) || headers.contains_key(header::UPGRADE) {
        return false;
    }
    if let Some(mode) = headers.get("sec-fetch-mode") {
        return mode == "navigate";
    }
    // Only this value: WeChat's old browser on Android sends its package name in the same header.
    if headers.get("x-requested-with").is_some_and(|with| with == "XMLHttpRequest") {
        return false;
    }
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    let takes_pages = |value: &http::HeaderValue| {
        let text = value.as_bytes().to_ascii_lowercase();
        ["text/html", "*/*"].iter().any(|kind| memchr(&text, kind.as_bytes()))
    };
    if is_mini_program(headers) {
        return false;
    }
    accepted.peek().is_none() || accepted.any(takes_pages)
}

/// Whether a mini-program has sent the request, which takes any kind of answer and shows none.
fn is_mini_program(headers: &HeaderMap) -> bool {
    let page = headers.get(header::REFERER).map(http::HeaderValue::as_bytes);
    page.is_some_and(|page| page.starts_with(b"https://servicewechat.com/"))
}

fn memchr(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Whether the browser says that it is WeChat's own. A hint for the right page, never a proof.
pub(crate) fn is_wechat(headers: &HeaderMap) -> bool {
    let says = |mark: &[u8]| {
        headers.get(header::USER_AGENT).is_some_and(|agent| {
            agent.as_bytes().windows(mark.len()).any(|part| part.eq_ignore_ascii_case(mark))
        })
    };
    // WeCom says "MicroMessenger" too, and cannot sign in with WeChat.
    says(b"micromessenger") && !says(b"wxwork")
}

/// Whether our own page has sent the request. A browser says so in one of two headers; without both, nobody knows.
pub(crate) fn is_same_origin(headers: &HeaderMap, public_url: &Origin) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    headers.get(header::ORIGIN).is_some_and(|origin| origin == public_url.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WECHAT: &str =
        "Mozilla/5.0 (iPhone) Mobile/15E148 MicroMessenger/8.0.31(0x18001f2f) NetType/WIFI";

    struct Case {
        endpoint: Option<Endpoint>,
        method: Method,
        headers: HeaderMap,
        host: &'static str,
        session: Option<Known>,
        is_admitted: bool,
        asker: Asker,
        has_token: bool,
    }

    impl Case {
        fn page() -> Self {
            Self {
                endpoint: None,
                method: Method::GET,
                headers: HeaderMap::new(),
                host: "h5.example.com",
                session: None,
                is_admitted: true,
                asker: Asker::Visitor,
                has_token: false,
            }
            .with("user-agent", WECHAT)
        }

        fn endpoint(endpoint: Endpoint) -> Self {
            Self { endpoint: Some(endpoint), ..Self::page() }
        }

        fn with(mut self, name: &'static str, value: &str) -> Self {
            self.headers.insert(name, value.parse().unwrap());
            self
        }

        fn method(self, method: Method) -> Self {
            Self { method, ..self }
        }

        fn decide(&self, login: Login) -> Decision {
            self.decide_for(&login.into())
        }

        fn decide_for(&self, demand: &Demand) -> Decision {
            let public_url = Origin::parse("https://h5.example.com").unwrap();
            let cors_origins = &[Origin::parse("https://app.example.com").unwrap()];
            let outside = Outside::Help;
            let site = Site { public_url: &public_url, any_browser: false, outside, cors_origins };
            let facts = Facts {
                endpoint: self.endpoint,
                method: &self.method,
                headers: &self.headers,
                host: Some(self.host),
                session: self.session,
                is_admitted: self.is_admitted,
                asker: self.asker,
                has_token: self.has_token,
                site,
            };
            decide(&facts, demand)
        }
    }

    #[test]
    fn each_policy_lets_in_whom_it_should() {
        use Decision::{AskFirst, Authorize, Pass};
        for (session, login, decision) in [
            (None, Login::Off, Pass),
            (None, Login::Optional, Pass),
            (None, Login::Base, Authorize(Scope::Base)),
            (None, Login::Userinfo, AskFirst),
            (Some(Known::Openid), Login::Optional, Pass),
            (Some(Known::Openid), Login::Base, Pass),
            (Some(Known::Openid), Login::Userinfo, AskFirst),
            (Some(Known::Profile), Login::Base, Pass),
            (Some(Known::Profile), Login::Userinfo, Pass),
        ] {
            let case = Case { session, ..Case::page() };
            assert_eq!(case.decide(login), decision, "{session:?} {login:?}");
        }
    }

    #[test]
    fn only_a_navigation_is_redirected() {
        let script = Decision::Unauthorized(Scope::Base);
        let page = Decision::Authorize(Scope::Base);
        for (name, value, decision) in [
            ("accept", "*/*", page),
            ("accept", "text/html,application/xhtml+xml", page),
            ("accept", "application/json", script),
            ("sec-fetch-mode", "navigate", page),
            ("sec-fetch-mode", "cors", script),
            ("sec-fetch-mode", "no-cors", script),
            ("sec-fetch-mode", "websocket", script),
            ("x-requested-with", "XMLHttpRequest", script),
            ("x-requested-with", "com.tencent.mm", page),
            ("upgrade", "websocket", script),
        ] {
            assert_eq!(
                Case::page().with(name, value).decide(Login::Base),
                decision,
                "{name}: {value}"
            );
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert_eq!(Case::page().method(method).decide(Login::Base), script);
        }
        assert_eq!(Case::page().method(Method::HEAD).decide(Login::Base), page);
        let fetch = Case::page().with("sec-fetch-mode", "cors").with("accept", "text/html");
        assert_eq!(fetch.decide(Login::Base), script);
    }

    #[test]
    fn c24_no_header_lets_a_request_in_without_a_session() {
        for (name, value) in [
            ("user-agent", "GoogleHC/1.0"),
            ("user-agent", "kube-probe/1.29"),
            ("x-wechat-openid", "o1"),
            ("x-forwarded-user", "admin"),
            ("x-forwarded-uri", "/public"),
            ("x-original-url", "/public"),
            ("authorization", "Bearer x"),
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://h5.example.com"),
            ("host", "localhost"),
        ] {
            for login in [Login::Base, Login::Userinfo] {
                let decision = Case::page().with(name, value).decide(login);
                assert_ne!(decision, Decision::Pass, "{name}: {value}");
            }
        }
    }

    #[test]
    fn w15_a_browser_outside_wechat_gets_a_page_that_helps() {
        for agent in
            ["Mozilla/5.0 (Windows NT 10.0) Chrome/140", "wxwork/4.1.30 MicroMessenger/7.0.1", ""]
        {
            let case = Case::page().with("user-agent", agent);
            for (login, scope) in [(Login::Base, Scope::Base), (Login::Userinfo, Scope::Userinfo)] {
                let offered = Decision::NotInWeChat(scope, Outside::Help);
                assert_eq!(case.decide(login), offered, "{agent}");
                for outside in [Outside::Scan, Outside::Website] {
                    let demand = Demand::from(login).outside_wechat(outside);
                    let offered = Decision::NotInWeChat(scope, outside);
                    assert_eq!(case.decide_for(&demand), offered, "{agent}");
                }
            }
        }
        let demand = Demand::from(Login::Base).outside_wechat(Outside::Scan);
        assert_eq!(Case::page().decide_for(&demand), Decision::Authorize(Scope::Base));
        let old = Case::page().with("user-agent", "… micromessenger/6.0");
        assert_eq!(old.decide(Login::Base), Decision::Authorize(Scope::Base));
    }

    #[test]
    fn c29_who_is_not_listed_is_refused_though_signed_in() {
        for known in [Known::Openid, Known::Profile] {
            let listed = Case { session: Some(known), ..Case::page() };
            assert_eq!(listed.decide(Login::Base), Decision::Pass);
            let other = Case { is_admitted: false, ..listed };
            assert_eq!(other.decide(Login::Base), Decision::NotAdmitted);
        }
    }

    #[test]
    fn a_front_proxy_hears_yes_or_no() {
        let asked = || Case { asker: Asker::FrontProxy, ..Case::page() };
        let signed_in = || Case { session: Some(Known::Openid), ..asked() };
        assert_eq!(signed_in().decide(Login::Base), Decision::Pass);
        assert_eq!(asked().decide(Login::Off), Decision::Pass);
        assert_eq!(asked().decide(Login::Base), Decision::Unauthorized(Scope::Base));
        let more = signed_in().decide(Login::Userinfo);
        assert_eq!(more, Decision::Unauthorized(Scope::Userinfo));
        let endpoints = [
            Endpoint::Login,
            Endpoint::Callback,
            Endpoint::Me,
            Endpoint::Messages,
            Endpoint::Unknown,
        ];
        for endpoint in endpoints {
            let case = Case { endpoint: Some(endpoint), ..signed_in() };
            assert_eq!(case.decide(Login::Off), Decision::NotForProxies, "{endpoint:?}");
        }
    }

    #[test]
    fn a_fragment_is_saved_only_where_that_is_asked_for() {
        let demand = Demand::from(Login::Base).keep_fragment(true);
        assert_eq!(Case::page().decide_for(&demand), Decision::KeepFragment(Scope::Base));
        let script = Case::page().with("sec-fetch-mode", "cors").decide_for(&demand);
        assert_eq!(script, Decision::Unauthorized(Scope::Base));
        let signed_in = Case { session: Some(Known::Openid), ..Case::page() };
        assert_eq!(signed_in.decide_for(&demand), Decision::Pass);
        assert_eq!(Case::page().decide(Login::Base), Decision::Authorize(Scope::Base));
    }

    #[test]
    fn a_preflight_is_answered_for_listed_origins_only() {
        let preflight = |origin| {
            Case::page()
                .method(Method::OPTIONS)
                .with("origin", origin)
                .with("access-control-request-method", "POST")
                .decide(Login::Base)
        };
        assert_eq!(preflight("https://app.example.com"), Decision::Preflight);
        for other in ["https://evil.example", "https://xapp.example.com", "null"] {
            assert_eq!(preflight(other), Decision::Unauthorized(Scope::Base), "{other}");
        }
    }

    #[test]
    fn another_host_is_sent_home_before_anything_starts() {
        let case = Case { host: "10.0.0.1", ..Case::page() };
        assert_eq!(case.decide(Login::Base), Decision::GoHome(Scope::Base));
        assert_eq!(case.decide(Login::Userinfo), Decision::AskFirst);
        assert_eq!(
            Case { session: Some(Known::Openid), ..case }.decide(Login::Base),
            Decision::Pass
        );
    }

    #[test]
    fn only_our_own_page_can_sign_somebody_out() {
        let post = || Case::endpoint(Endpoint::Logout).method(Method::POST);
        let own = "https://h5.example.com";
        assert_eq!(post().with("origin", own).decide(Login::Off), Decision::Logout);
        assert_eq!(
            post().with("sec-fetch-site", "same-origin").decide(Login::Off),
            Decision::Logout
        );
        for (name, value) in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("origin", "http://h5.example.com"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(
                post().with(name, value).decide(Login::Off),
                Decision::ForeignLogout,
                "{value}"
            );
        }
        assert_eq!(post().decide(Login::Off), Decision::ForeignLogout);
        let lying = post().with("origin", own).with("sec-fetch-site", "cross-site");
        assert_eq!(lying.decide(Login::Off), Decision::ForeignLogout);
        assert_eq!(Case::endpoint(Endpoint::Logout).decide(Login::Off), Decision::AskLogout);
    }

    #[test]
    fn a_client_with_a_token_is_told_and_never_sent_anywhere() {
        let asked = Case { has_token: true, ..Case::page() };
        assert_eq!(asked.decide(Login::Base), Decision::Unauthorized(Scope::Base));
        let known = Case { session: Some(Known::Openid), ..asked };
        assert_eq!(known.decide(Login::Base), Decision::Pass);
        let logout = Case::endpoint(Endpoint::Logout).method(Method::POST);
        assert_eq!(Case { has_token: true, ..logout }.decide(Login::Off), Decision::Logout);
        let page = "https://servicewechat.com/wx0123456789abcdef/0/page-frame.html";
        let mini_program = Case::page().with("referer", page).with("accept", "*/*");
        assert_eq!(mini_program.decide(Login::Base), Decision::Unauthorized(Scope::Base));
    }

    #[test]
    fn endpoints_know_their_names_and_methods() {
        assert_eq!(Endpoint::named_by("/_wx/callback"), Some(Endpoint::Callback));
        assert_eq!(Endpoint::named_by("/_wx"), Some(Endpoint::Unknown));
        assert_eq!(Endpoint::named_by("/_wx/callback/"), Some(Endpoint::Unknown));
        assert_eq!(Endpoint::named_by("/_wxx/callback"), None);
        assert_eq!(Endpoint::named_by("/a/_wx/callback"), None);
        for (endpoint, decision) in [
            (Endpoint::Login, Decision::Login),
            (Endpoint::Callback, Decision::Callback),
            (Endpoint::Me, Decision::Me),
            (Endpoint::Accept, Decision::Accept),
            (Endpoint::Script, Decision::Script),
            (Endpoint::Unknown, Decision::NotFound),
        ] {
            assert_eq!(Case::endpoint(endpoint).decide(Login::Base), decision);
            let post = Case::endpoint(endpoint).method(Method::POST).decide(Login::Base);
            let refused = matches!(post, Decision::MethodNotAllowed | Decision::NotFound);
            assert!(refused, "{endpoint:?}");
        }
    }
}
