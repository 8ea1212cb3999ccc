//! Tests of the one decision: who passes, and how everybody else is refused.

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
    follows: Option<bool>,
    asker: Asker,
    is_wecom: bool,
    any_browser: Option<Scope>,
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
            follows: None,
            asker: Asker::Visitor,
            is_wecom: false,
            any_browser: None,
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
        let site = Site {
            public_url: &public_url,
            any_browser: self.any_browser,
            is_wecom: self.is_wecom,
            outside,
            cors_origins,
        };
        let facts = Facts {
            endpoint: self.endpoint,
            method: &self.method,
            headers: &self.headers,
            host: Some(self.host),
            session: self.session,
            is_admitted: self.is_admitted,
            follows: self.follows,
            asker: self.asker,
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
        assert_eq!(Case::page().with(name, value).decide(Login::Base), decision, "{name}: {value}");
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
            let known = Case { session: Some(Known::Profile), ..Case::page() };
            assert_eq!(known.with(name, value).decide(login), Decision::Pass, "{name}: {value}");
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
    let wecom = Case { is_wecom: true, ..Case::page() };
    let wecom = wecom.with("user-agent", "Mozilla/5.0 wxwork/4.1.30 MicroMessenger/7.0.1");
    assert_eq!(wecom.decide(Login::Base), Decision::Authorize(Scope::Base));
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
fn c29_who_does_not_follow_is_shown_how_to_and_kept_out() {
    let demand = Demand::from(Login::Off).followers_only();
    let known = || Case { session: Some(Known::Openid), ..Case::page() };
    for (follows, decision) in [
        (Some(true), Decision::Pass),
        (Some(false), Decision::Follow),
        (None, Decision::LookWhoFollows),
    ] {
        assert_eq!(Case { follows, ..known() }.decide_for(&demand), decision);
        assert_eq!(Case { follows, ..known() }.decide(Login::Base), Decision::Pass);
        let unlisted = Case { follows, is_admitted: false, ..known() };
        assert_eq!(unlisted.decide_for(&demand), Decision::NotAdmitted);
        let by_website = demand.clone().outside_wechat(Outside::Website);
        let desktop = Case { follows, ..Case::page() }.with("user-agent", "Chrome/140");
        let help = Decision::NotInWeChat(Scope::Base, Outside::Help);
        assert_eq!(desktop.decide_for(&by_website), help, "a sign-in that could never be enough");
        let stranger = Case { follows, ..Case::page() };
        assert_eq!(stranger.decide_for(&demand), Decision::Authorize(Scope::Base));
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
    let endpoints =
        [Endpoint::Login, Endpoint::Callback, Endpoint::Me, Endpoint::Messages, Endpoint::Unknown];
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
    let of = |method, asks: bool| {
        let case = Case::page().method(method).with("origin", "https://app.example.com");
        if asks { case.with("access-control-request-method", "POST") } else { case }
    };
    for (endpoint, decision) in [
        (None, Decision::Preflight),
        (Some(Endpoint::Me), Decision::Preflight),
        (Some(Endpoint::Logout), Decision::MethodNotAllowed),
    ] {
        let case = Case { endpoint, ..of(Method::OPTIONS, true) };
        assert_eq!(case.decide(Login::Base), decision, "{endpoint:?}");
    }
    for (method, asks) in [(Method::OPTIONS, false), (Method::POST, true), (Method::POST, false)] {
        let refused = of(method, asks).decide(Login::Base);
        assert_eq!(refused, Decision::Unauthorized(Scope::Base));
    }
}

#[test]
fn another_host_is_sent_home_before_anything_starts() {
    let case = Case { host: "10.0.0.1", ..Case::page() };
    assert_eq!(case.decide(Login::Base), Decision::GoHome(Scope::Base));
    assert_eq!(case.decide(Login::Userinfo), Decision::AskFirst);
    assert_eq!(Case { session: Some(Known::Openid), ..case }.decide(Login::Base), Decision::Pass);
}

#[test]
fn only_our_own_page_can_sign_somebody_out() {
    let post = || Case::endpoint(Endpoint::Logout).method(Method::POST);
    let own = "https://h5.example.com";
    assert_eq!(post().with("origin", own).decide(Login::Off), Decision::Logout);
    assert_eq!(post().with("sec-fetch-site", "same-origin").decide(Login::Off), Decision::Logout);
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://h5.example.com"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "none"),
    ] {
        assert_eq!(post().with(name, value).decide(Login::Off), Decision::ForeignLogout, "{value}");
    }
    assert_eq!(post().decide(Login::Off), Decision::ForeignLogout);
    let lying = post().with("origin", own).with("sec-fetch-site", "cross-site");
    assert_eq!(lying.decide(Login::Off), Decision::ForeignLogout);
    assert_eq!(Case::endpoint(Endpoint::Logout).decide(Login::Off), Decision::AskLogout);
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let other = post().method(method).with("origin", own).decide(Login::Off);
        assert_eq!(other, Decision::MethodNotAllowed);
    }
}

#[test]
fn a_client_with_a_token_is_told_and_never_sent_anywhere() {
    let asked = Case::page().with("x-wechat-session", "token");
    assert_eq!(asked.decide(Login::Base), Decision::Unauthorized(Scope::Base));
    let known = Case { session: Some(Known::Openid), ..asked };
    assert_eq!(known.decide(Login::Base), Decision::Pass);
    let logout = Case::endpoint(Endpoint::Logout).method(Method::POST);
    let logout = logout.with("origin", "https://evil.example.com");
    assert_eq!(logout.decide(Login::Off), Decision::ForeignLogout);
    assert_eq!(logout.with("x-wechat-session", "token").decide(Login::Off), Decision::Logout);
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

#[test]
fn any_browser_is_asked_for_as_much_as_it_can_give() {
    let desktop = |any_browser| {
        Case { any_browser, ..Case::page() }.with("user-agent", "Mozilla/5.0 Chrome/140")
    };
    for (most, login, decision) in [
        (Some(Scope::Base), Login::Base, Decision::Authorize(Scope::Base)),
        (Some(Scope::Base), Login::Userinfo, Decision::NotInWeChat(Scope::Userinfo, Outside::Help)),
        (Some(Scope::Userinfo), Login::Base, Decision::Authorize(Scope::Base)),
        (Some(Scope::Login), Login::Userinfo, Decision::AskFirst),
        (None, Login::Base, Decision::NotInWeChat(Scope::Base, Outside::Help)),
    ] {
        assert_eq!(desktop(most).decide(login), decision, "{most:?} {login:?}");
    }
}

#[test]
fn messages_are_read_and_posted_and_nothing_else() {
    for (method, decision) in [
        (Method::GET, Decision::Messages),
        (Method::POST, Decision::Messages),
        (Method::PUT, Decision::MethodNotAllowed),
        (Method::DELETE, Decision::MethodNotAllowed),
    ] {
        let case = Case::endpoint(Endpoint::Messages).method(method);
        assert_eq!(case.decide(Login::Off), decision);
    }
}
