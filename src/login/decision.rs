//! The one decision: what to do with a request. Pure: no input or output, no clock, no allocation.

use http::{HeaderMap, Method, header};

use super::policy::{Demand, Login, Outside};
use crate::{origin::Origin, session::token, wechat::Scope};

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
    /// Whether that user follows the account, where that is known.
    pub follows: Option<bool>,
    /// Who has asked.
    pub asker: Asker,
    /// Where people sign in, and what they need for it.
    pub site: Site<'a>,
}

impl Facts<'_> {
    /// Whether the request names its session in a header, as clients do that keep no cookies and walk no redirects.
    fn has_token(&self) -> bool {
        token::is_in(self.headers)
    }
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
    /// The most that any browser can be asked for, not WeChat's alone. None where only WeChat's can sign in.
    pub any_browser: Option<Scope>,
    /// Whether people sign in inside WeCom.
    pub is_wecom: bool,
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
    /// Find out whether the user follows the account, and decide again.
    LookWhoFollows,
    /// Show a user how to follow the account.
    Follow,
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
        None if !facts.is_admitted => Decision::NotAdmitted,
        None if !demand.is_for_followers() => Decision::Pass,
        None => match facts.follows {
            Some(true) => Decision::Pass,
            Some(false) => Decision::Follow,
            None => Decision::LookWhoFollows,
        },
    }
}

fn refuse(facts: &Facts<'_>, demand: &Demand, scope: Scope) -> Decision {
    if facts.asker == Asker::FrontProxy {
        return Decision::Unauthorized(scope);
    }
    if is_preflight(facts) {
        return Decision::Preflight;
    }
    if facts.has_token() || !is_navigation(facts.method, facts.headers) {
        return Decision::Unauthorized(scope);
    }
    if demand.keeps_fragment() {
        return Decision::KeepFragment(scope);
    }
    let outside = demand.outside().or(Some(facts.site.outside));
    // Who comes by the website does not come with the login's own account.
    let leads_back = demand.is_for_own_account() && outside == Some(Outside::Website);
    match start(facts, scope, if leads_back { Some(Outside::Help) } else { outside }) {
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
    let any_browser = facts.site.any_browser.is_some_and(|most| scope <= most);
    let goes_on = any_browser && outside == Outside::Help;
    if !goes_on && !is_inside(facts.headers, facts.site.is_wecom) {
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
            if facts.has_token() || is_same_origin(facts.headers, facts.site.public_url) {
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

/// Whether the browser says that it is the one in which people sign in: WeChat's own, or WeCom's. A hint for the right
/// page, never a proof.
pub(crate) fn is_inside(headers: &HeaderMap, is_wecom: bool) -> bool {
    let says = |mark| agent_says(headers, mark);
    // WeCom says "MicroMessenger" too, and cannot sign in with WeChat. WeChat can with WeCom.
    says(b"micromessenger") && (is_wecom || !says(b"wxwork"))
}

/// Whether the browser's name for itself has these letters in it, large or small.
pub(crate) fn agent_says(headers: &HeaderMap, mark: &[u8]) -> bool {
    headers.get(header::USER_AGENT).is_some_and(|agent| {
        agent.as_bytes().windows(mark.len()).any(|part| part.eq_ignore_ascii_case(mark))
    })
}

/// Whether our own page has sent the request. A browser says so in one of two headers; without both, nobody knows.
pub(crate) fn is_same_origin(headers: &HeaderMap, public_url: &Origin) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    headers.get(header::ORIGIN).is_some_and(|origin| origin == public_url.as_str())
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
