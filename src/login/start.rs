//! The start of a sign-in: sends browsers to WeChat, and tells everybody else where to go.

use http::{StatusCode, Uri, header, request::Parts};

use super::{
    PREFIX,
    attempt::{Begun, Loop, Start},
    decision::{self, Decision, Facts, Known},
    gate::Gate,
    observe::Event,
    pages::Page,
    policy::Outside,
    request::{encode, full_uri, host, parameter},
    respond::Reply,
    return_to::ReturnTo,
    ticket,
};
use crate::{
    session::Session,
    wechat::{AccountKind, AuthorizeUrl, InvalidAuthorizeUrl, Scope},
};

/// The parameter of the way back that holds a long target under our seal.
pub(super) const SEALED_TARGET: &str = "t";
/// The parameter that names the account, where an endpoint is to speak of another than the site's own.
pub(crate) const ACCOUNT: &str = "account";
/// The parameter that says what a browser outside WeChat is offered, where that is not the site's own offer.
const OUTSIDE: &str = "outside";

/// Sends the browser to WeChat, or to the site that signs people in for this one; or stops it where that has been tried
/// too often.
pub(super) fn begin(
    gate: &Gate,
    head: &Parts,
    scope: Scope,
    target: &ReturnTo,
    start: Start<'_>,
) -> Reply {
    let scope = match gate.account().kind() {
        AccountKind::OfficialAccount | AccountKind::MiniProgram | AccountKind::Wecom => scope,
        AccountKind::Website => Scope::Login,
    };
    let fits = |target: &ReturnTo| !is_too_far(gate, target);
    let page = Some(target.without_fragment()).filter(fits).unwrap_or_else(ReturnTo::home);
    let target = if fits(target) { target } else { &page };
    match gate.attempts().begin(&head.headers, scope, target, start) {
        Ok(begun) => match way(gate, head, scope, &begun) {
            Ok(way) => {
                gate.saw(Event::Started { scope });
                Reply::go(way).with_cookies(begun.cookies)
            }
            Err(error) => {
                tracing::error!(%error, "nobody can sign in here with this account");
                Reply::page(Page::Broken)
            }
        },
        Err(Loop { last }) => {
            gate.saw(Event::Looped);
            tracing::warn!(?last, "a sign-in was repeated too often and has been stopped");
            let retry = login_url(gate, scope, target, Hint::Again);
            Reply::page(Page::Loop { last, retry })
        }
    }
}

/// Whether a target does not fit into the way to the site that signs people in for this one.
fn is_too_far(gate: &Gate, target: &ReturnTo) -> bool {
    gate.sign_in_at().is_some() && target.as_str().len() > ticket::LONGEST_TARGET
}

/// Whether a sign-in would come back to this very request.
#[cfg(feature = "gateway")]
pub(super) fn comes_back_to(gate: &Gate, head: &Parts) -> bool {
    let here = here(gate, head);
    here.as_str().starts_with(full_uri(head).path()) && !is_too_far(gate, &here)
}

/// The address that a sign-in goes to, with the way back in it. An error where the account is of the wrong kind for it.
fn way(
    gate: &Gate,
    head: &Parts,
    scope: Scope,
    begun: &Begun,
) -> Result<String, InvalidAuthorizeUrl> {
    let (state, sealed_target) = (&begun.attempt.state, begun.sealed_target.as_deref());
    if let Some(site) = gate.sign_in_at() {
        let site = ticket::Request::url(site, gate.public_url(), scope, state, sealed_target);
        return Ok(site);
    }
    let sealed_target = sealed_target.map(|sealed| (SEALED_TARGET, sealed));
    let back = url(gate, "/callback", sealed_target);
    let url = AuthorizeUrl::new(gate.account(), &back, scope, state.as_str());
    let is_wecom = gate.account().kind() == AccountKind::Wecom;
    let is_desktop = is_wecom && !decision::is_inside(&head.headers, is_wecom);
    (if is_desktop { url.desktop() } else { url }).build(gate.client().endpoints())
}

/// `/_wx/login`: who is signed in goes on, everybody else is sent to WeChat.
pub(super) fn log_in(
    gate: &Gate,
    head: &Parts,
    facts: &Facts<'_>,
    session: Option<&Session>,
) -> Reply {
    let uri = full_uri(head);
    let query = LoginQuery::of(uri, gate);
    let Ok(asked) = ticket::Request::of(uri, gate.partners()) else {
        return Reply::page(Page::Malformed);
    };
    let known_enough = match query.scope {
        Scope::Base => facts.session.is_some(),
        _ => facts.session == Some(Known::Profile),
    };
    if let Some(session) = session.filter(|_| known_enough) {
        return match asked {
            Some(request) => Reply::go(request.grant(gate, session)),
            None => Reply::see(&query.to),
        };
    }
    // Once somebody is signed in, the same address gives the ticket.
    let to = if asked.is_some() { here(gate, head) } else { query.to };
    match decision::start(facts, query.scope, query.outside) {
        Decision::NotInWeChat(scope, outside) => outside_wechat(gate, head, scope, outside, &to),
        // Behind a proxy that rewrites the host, being sent home once has to be enough.
        Decision::GoHome(scope) if !query.moved => Reply::go(home_url(gate, scope, &to)),
        _ if query.ask && query.scope.has_userinfo() => ask_first(gate, &to),
        _ => {
            let start = if query.again { Start::ByHand } else { Start::ByItself };
            begin(gate, head, query.scope, &to, start)
        }
    }
}

/// Shows the page with one button before WeChat is asked for the profile.
pub(super) fn ask_first(gate: &Gate, target: &ReturnTo) -> Reply {
    // A person presses the button, so that is no loop.
    Reply::page(Page::AskFirst { go: login_url(gate, Scope::Userinfo, target, Hint::Again) })
}

/// Lets the browser save the fragment of the page's address, which no server sees, and go on from there.
pub(super) fn keep_fragment(
    gate: &Gate,
    head: &Parts,
    scope: Scope,
    outside: Option<Outside>,
) -> Reply {
    let hint = if scope.has_userinfo() { Hint::AskFirst } else { Hint::None };
    Reply::keep_fragment(login_url_for(gate, scope, &here(gate, head), hint, outside))
}

/// Tells a script that somebody has to sign in, and where.
pub(super) fn unauthorized(
    gate: &Gate,
    head: &Parts,
    scope: Scope,
    outside: Option<Outside>,
) -> Reply {
    // A script's own address is no place to come back to; the page that it runs in is.
    let page = head.headers.get(header::REFERER).and_then(|page| page.to_str().ok());
    let page = ReturnTo::parse(page.unwrap_or_default(), gate.public_url());
    let (error, hint) = match scope {
        Scope::Base => ("login_required", Hint::None),
        // Nobody has tapped anything for it yet.
        _ => ("userinfo_required", Hint::AskFirst),
    };
    let login_url = login_url_for(gate, scope, &page, hint, outside);
    Reply::json(
        StatusCode::UNAUTHORIZED,
        &serde_json::json!({ "error": error, "login_url": login_url }),
    )
}

/// Offers a browser that is not WeChat's what there is for it.
pub(super) fn outside_wechat(
    gate: &Gate,
    head: &Parts,
    scope: Scope,
    outside: Outside,
    target: &ReturnTo,
) -> Reply {
    let offered = match outside {
        Outside::Help => None,
        // Under another name of the site, its cookies would be lost.
        _ if !host(head).is_some_and(|host| gate.public_url().is_named_by(host)) => {
            let hint = Hint::None;
            Some(Reply::go(login_url_for(gate, scope, target, hint, Some(outside))))
        }
        Outside::Scan => gate.offer(head, scope, target),
        Outside::Website => {
            gate.website().map(|website| begin(&website, head, scope, target, Start::ByItself))
        }
    };
    offered.unwrap_or_else(|| {
        if outside != Outside::Help {
            tracing::error!(
                ?outside,
                "the login is not set up for what a path offers outside of WeChat"
            );
        }
        Reply::page(Page::NotInWeChat { url: format!("{}{target}", gate.public_url()) })
    })
}

/// The page that the browser wanted.
pub(super) fn here(gate: &Gate, head: &Parts) -> ReturnTo {
    let wanted = full_uri(head).path_and_query().map_or("/", |wanted| wanted.as_str());
    ReturnTo::parse(wanted, gate.public_url())
}

/// What else the address of a sign-in says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    None,
    /// A person has asked for another try.
    Again,
    /// Where WeChat would ask for consent, our own page with one button has to come first.
    AskFirst,
}

/// The address that starts a sign-in. Ends in the target, unless a person is to press it, so that a fragment may be added.
pub(super) fn login_url(gate: &Gate, scope: Scope, target: &ReturnTo, hint: Hint) -> String {
    login_url_for(gate, scope, target, hint, None)
}

/// The same, for a path that offers browsers outside of WeChat something of its own.
fn login_url_for(
    gate: &Gate,
    scope: Scope,
    target: &ReturnTo,
    hint: Hint,
    outside: Option<Outside>,
) -> String {
    let scope = if scope.has_userinfo() { "userinfo" } else { "base" };
    let (before, after) = match hint {
        Hint::None => ("", ""),
        Hint::Again => ("", "&again=1"),
        Hint::AskFirst => ("&ask=1", ""),
    };
    let outside = outside.map(|outside| (OUTSIDE, outside.as_str()));
    let start = url(gate, "/login", [("scope", scope)].into_iter().chain(outside));
    format!("{start}{before}&to={}{after}", encode(target.as_str()))
}

/// The same under the public URL, for a browser that came under another name. Once is enough.
pub(super) fn home_url(gate: &Gate, scope: Scope, target: &ReturnTo) -> String {
    format!("{}&moved=1", login_url(gate, scope, target, Hint::None))
}

/// One of our endpoints, with the account that it is to speak of, where that is not the site's own.
pub(super) fn url<'a>(
    gate: &'a Gate,
    endpoint: &str,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let account = gate.account_name().map(|name| (ACCOUNT, name));
    let mut url = format!("{}{PREFIX}{endpoint}", gate.public_url());
    for (at, (name, value)) in account.into_iter().chain(parameters).enumerate() {
        url.push(if at == 0 { '?' } else { '&' });
        url.extend([name, "=", value]);
    }
    url
}

/// The same without the site, for a page of our own.
pub(super) fn path(gate: &Gate, endpoint: &str) -> String {
    let account = gate.account_name().map(|name| format!("?{ACCOUNT}={name}"));
    format!("{PREFIX}{endpoint}{}", account.unwrap_or_default())
}

/// What `/_wx/login` was asked for.
struct LoginQuery {
    to: ReturnTo,
    scope: Scope,
    outside: Option<Outside>,
    again: bool,
    ask: bool,
    moved: bool,
}

impl LoginQuery {
    fn of(uri: &Uri, gate: &Gate) -> Self {
        let value = |name| parameter(uri.query().unwrap_or_default(), name);
        let is = |name, wanted| value(name).is_some_and(|value| value == wanted);
        let to = value("to").map(|to| ReturnTo::parse(&to, gate.public_url()));
        Self {
            to: to.unwrap_or_else(ReturnTo::home),
            scope: if is("scope", "userinfo") { Scope::Userinfo } else { Scope::Base },
            outside: value(OUTSIDE)
                .and_then(|name| Outside::named(&name))
                .filter(|outside| gate.can_offer(*outside)),
            again: is("again", "1"),
            ask: is("ask", "1"),
            moved: is("moved", "1"),
        }
    }
}

#[cfg(all(test, feature = "memory"))]
mod tests {
    use http::Response;
    use http_body_util::{BodyExt, Full};

    use crate::{
        login::{Demand, Login, Verdict, WechatLoginLayer},
        origin::Origin,
        secret::AppSecret,
        wechat::Account,
    };

    const HOME: &str = "h5.example.com";

    fn layer() -> WechatLoginLayer {
        let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
        let account = Account::official_account("wx0123456789abcdef", secret).unwrap();
        WechatLoginLayer::new(account, Origin::parse("https://h5.example.com").unwrap())
    }

    fn answer(layer: &WechatLoginLayer, host: &str, uri: &str) -> Response<Full<bytes::Bytes>> {
        let request = http::Request::get(uri).header("host", host);
        let request = request.header("user-agent", "MicroMessenger/8.0.31");
        match layer.gate().admit(&mut request.body(()).unwrap().into_parts().0) {
            Verdict::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn location(answer: &Response<Full<bytes::Bytes>>) -> &str {
        answer.headers().get("location").map_or("", |location| location.to_str().unwrap())
    }

    fn goes_to_wechat(answer: &Response<Full<bytes::Bytes>>) -> bool {
        location(answer).starts_with("https://open.weixin.qq.com/connect/oauth2/authorize?")
    }

    #[test]
    fn who_comes_under_another_name_is_sent_home_once() {
        let sent = answer(&layer(), "other.example.com", "/_wx/login?to=/a");
        let home = "https://h5.example.com/_wx/login?scope=base&to=%2Fa&moved=1";
        assert_eq!(location(&sent), home);
        let path = home.strip_prefix("https://h5.example.com").unwrap();
        assert!(goes_to_wechat(&answer(&layer(), "other.example.com", path)), "once is enough");
        assert!(goes_to_wechat(&answer(&layer(), HOME, "/_wx/login?to=/a")));
    }

    #[test]
    fn our_own_page_comes_first_only_where_it_was_asked_for_and_wechat_would_ask() {
        let goes = |query| goes_to_wechat(&answer(&layer(), HOME, &format!("/_wx/login?{query}")));
        assert!(!goes("scope=userinfo&ask=1&to=/a"));
        assert!(goes("scope=userinfo&to=/a") && goes("scope=base&ask=1&to=/a"));
    }

    #[tokio::test]
    async fn a_fragment_is_kept_on_the_way_to_the_sign_in_that_a_path_needs() {
        for (login, way) in
            [(Login::Base, "scope=base&to="), (Login::Userinfo, "scope=userinfo&ask=1&to=")]
        {
            let layer = layer().login(Demand::from(login).keep_fragment(true));
            let answer = answer(&layer, HOME, "/a");
            assert_eq!(location(&answer), "");
            let page = answer.into_body().collect().await.unwrap().to_bytes();
            let page = String::from_utf8(page.to_vec()).unwrap();
            assert!(page.contains(way), "{page}");
        }
    }
}
