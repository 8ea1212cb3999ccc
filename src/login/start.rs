//! The start of a sign-in: sends browsers to WeChat, and tells everybody else where to go.

use http::{StatusCode, Uri, header, request::Parts};

use super::{
    PREFIX,
    attempt::{Begun, Loop, Start},
    decision::{self, Decision, Facts, Known},
    gate::Gate,
    pages::Page,
    request::{encode, full_uri, parameter},
    respond::Reply,
    return_to::ReturnTo,
};
use crate::{
    origin::Origin,
    wechat::{AccountKind, AuthorizeUrl, Scope},
};

/// The parameter of the way back that holds a long target under our seal.
pub(super) const SEALED_TARGET: &str = "t";

/// Sends the browser to WeChat, or stops it where that has been tried too often.
pub(super) fn begin(
    gate: &Gate,
    head: &Parts,
    scope: Scope,
    target: &ReturnTo,
    start: Start<'_>,
) -> Reply {
    let scope = match gate.account().kind() {
        AccountKind::OfficialAccount => scope,
        AccountKind::Website => Scope::Login,
    };
    match gate.attempts().begin(&head.headers, scope, target, start) {
        Ok(Begun { attempt, cookies, sealed_target }) => {
            let back = match sealed_target {
                Some(sealed) => {
                    format!("{}?{}={sealed}", url(gate, "/callback"), SEALED_TARGET)
                }
                None => url(gate, "/callback"),
            };
            let state = attempt.state.as_str();
            let url = AuthorizeUrl::new(gate.account(), &back, scope, state)
                .build(gate.client().endpoints())
                .expect("our own state, scope and way back are what WeChat takes");
            Reply::go(url).with_cookies(cookies)
        }
        Err(Loop { last }) => {
            tracing::warn!(?last, "a sign-in was repeated too often and has been stopped");
            let retry = login_url(gate, scope, target, true);
            Reply::page(Page::Loop { last, retry })
        }
    }
}

/// `/_wx/login`: who is signed in goes on, everybody else is sent to WeChat.
pub(super) fn log_in(gate: &Gate, head: &Parts, facts: &Facts<'_>) -> Reply {
    let query = LoginQuery::of(full_uri(head), gate.public_url());
    let known_enough = match query.scope {
        Scope::Base => facts.session.is_some(),
        _ => facts.session == Some(Known::Profile),
    };
    if known_enough {
        return Reply::see(&query.to);
    }
    match decision::start(facts, query.scope) {
        Decision::NotInWeChat => not_in_wechat(gate, &query.to),
        // Behind a proxy that rewrites the host, being sent home once has to be enough.
        Decision::GoHome(scope) if !query.moved => Reply::go(home_url(gate, scope, &query.to)),
        _ => {
            let start = if query.again { Start::ByHand } else { Start::ByItself };
            begin(gate, head, query.scope, &query.to, start)
        }
    }
}

/// Tells a script that somebody has to sign in, and where.
pub(super) fn unauthorized(gate: &Gate, head: &Parts, scope: Scope) -> Reply {
    // A script's own address is no place to come back to; the page that it runs in is.
    let page = head.headers.get(header::REFERER).and_then(|page| page.to_str().ok());
    let page = ReturnTo::parse(page.unwrap_or_default(), gate.public_url());
    let error = if scope == Scope::Base { "login_required" } else { "userinfo_required" };
    let login_url = login_url(gate, scope, &page, false);
    Reply::json(
        StatusCode::UNAUTHORIZED,
        &serde_json::json!({ "error": error, "login_url": login_url }),
    )
}

/// Helps a browser that cannot sign in.
pub(super) fn not_in_wechat(gate: &Gate, target: &ReturnTo) -> Reply {
    Reply::page(Page::NotInWeChat { url: format!("{}{target}", gate.public_url()) })
}

/// The page that the browser wanted.
pub(super) fn here(gate: &Gate, head: &Parts) -> ReturnTo {
    let wanted = full_uri(head).path_and_query().map_or("/", |wanted| wanted.as_str());
    ReturnTo::parse(wanted, gate.public_url())
}

/// The address that starts a sign-in. `again` says that a person has asked for another try.
pub(super) fn login_url(gate: &Gate, scope: Scope, target: &ReturnTo, again: bool) -> String {
    let scope = if scope.has_userinfo() { "userinfo" } else { "base" };
    let again = if again { "&again=1" } else { "" };
    format!("{}?scope={scope}&to={}{again}", url(gate, "/login"), encode(target.as_str()))
}

/// The same under the public URL, for a browser that came under another name. Once is enough.
pub(super) fn home_url(gate: &Gate, scope: Scope, target: &ReturnTo) -> String {
    format!("{}&moved=1", login_url(gate, scope, target, false))
}

fn url(gate: &Gate, endpoint: &str) -> String {
    format!("{}{PREFIX}{endpoint}", gate.public_url())
}

/// What `/_wx/login` was asked for.
struct LoginQuery {
    to: ReturnTo,
    scope: Scope,
    again: bool,
    moved: bool,
}

impl LoginQuery {
    fn of(uri: &Uri, site: &Origin) -> Self {
        let value = |name| parameter(uri.query().unwrap_or_default(), name);
        let is = |name, wanted| value(name).is_some_and(|value| value == wanted);
        Self {
            to: value("to").map_or_else(ReturnTo::home, |to| ReturnTo::parse(&to, site)),
            scope: if is("scope", "userinfo") { Scope::Userinfo } else { Scope::Base },
            again: is("again", "1"),
            moved: is("moved", "1"),
        }
    }
}
