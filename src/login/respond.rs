//! Turns what a sign-in has to say into responses: the one place where that happens.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;

use super::{
    decision::is_navigation,
    pages::{DoorPage, Page, PageView, Pages, Tongue},
    return_to::ReturnTo,
};
use crate::{
    origin::Origin,
    session::{StoreError, token},
};

/// Something to say, and cookies to say it with.
#[derive(Debug)]
pub(crate) struct Reply {
    say: Say,
    cookies: Vec<HeaderValue>,
}

#[derive(Debug)]
enum Say {
    Go(StatusCode, String),
    Back(StatusCode, String),
    Page(Page),
    #[cfg_attr(not(feature = "doors"), allow(dead_code))]
    DoorPage(Box<dyn DoorPage>),
    KeepFragment(String),
    Preflight(Vec<(HeaderName, HeaderValue)>),
    Script,
    Json(StatusCode, Vec<u8>),
    #[cfg(feature = "doors")]
    Picture(HeaderValue, Bytes),
    #[cfg(any(feature = "doors", feature = "messages"))]
    Text(&'static str, String),
}

impl Reply {
    /// Sends a browser that was reading elsewhere.
    pub(crate) fn go(url: String) -> Self {
        Self::new(Say::Go(StatusCode::FOUND, url))
    }

    /// Sends a browser to the page that it wanted, whatever it did to get there.
    pub(crate) fn see(target: &ReturnTo) -> Self {
        Self::new(Say::Go(StatusCode::SEE_OTHER, target.as_str().to_owned()))
    }

    /// Sends a browser that has come back from WeChat to the page that it wanted.
    pub(crate) fn back(target: &ReturnTo) -> Self {
        Self::new(Say::Back(StatusCode::SEE_OTHER, target.as_str().to_owned()))
    }

    /// Sends a browser back to the app that has sent it as if to WeChat.
    #[cfg(feature = "gateway")]
    pub(crate) fn back_to_app(url: String) -> Self {
        Self::new(Say::Back(StatusCode::FOUND, url))
    }

    /// Shows a page, or tells a script the page's word.
    pub(crate) fn page(page: Page) -> Self {
        Self::new(Say::Page(page))
    }

    /// Goes on to `login_url`, which ends in a target, with the fragment of the page's address added to it.
    pub(crate) fn keep_fragment(login_url: String) -> Self {
        Self::new(Say::KeepFragment(login_url))
    }

    /// Allows a script of a listed origin whatever it wants to send.
    pub(crate) fn preflight(asked: &HeaderMap) -> Self {
        let allowed = [
            (header::ACCESS_CONTROL_REQUEST_METHOD, header::ACCESS_CONTROL_ALLOW_METHODS),
            (header::ACCESS_CONTROL_REQUEST_HEADERS, header::ACCESS_CONTROL_ALLOW_HEADERS),
        ];
        let answers = allowed.into_iter();
        let answers = answers.filter_map(|(asks, allows)| Some((allows, asked.get(asks)?.clone())));
        Self::new(Say::Preflight(answers.collect()))
    }

    /// The script for single-page apps.
    pub(crate) fn script() -> Self {
        Self::new(Say::Script)
    }

    /// The one answer to a store that fails: nothing is known, so nothing is changed.
    pub(crate) fn store_down(error: &StoreError) -> Self {
        tracing::error!(%error, "a request is answered with 503");
        Self::page(Page::StoreDown)
    }

    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let body = serde_json::to_vec(value).expect("our own types can be written as JSON");
        Self::new(Say::Json(status, body))
    }

    /// An image of this kind. The same for everybody.
    #[cfg(feature = "doors")]
    pub(crate) fn picture(kind: HeaderValue, image: Bytes) -> Self {
        Self::new(Say::Picture(kind, image))
    }

    /// A word for a program.
    #[cfg(feature = "messages")]
    pub(crate) fn text(text: String) -> Self {
        Self::new(Say::Text("text/plain; charset=utf-8", text))
    }

    /// Events for a script, all of them at once.
    #[cfg(feature = "doors")]
    pub(crate) fn events(events: String) -> Self {
        Self::new(Say::Text("text/event-stream", events))
    }

    /// The same as [`page`](Self::page) for a page of a door's own.
    #[cfg(feature = "doors")]
    pub(crate) fn door_page(page: impl DoorPage) -> Self {
        Self::new(Say::DoorPage(Box::new(page)))
    }

    /// The same for a program, whatever it says that it takes.
    pub(crate) fn for_programs(self) -> Self {
        match self.say {
            Say::Page(page) => {
                Self { say: Say::Json(page.status(), word(page.code())), cookies: self.cookies }
            }
            _ => self,
        }
    }

    fn new(say: Say) -> Self {
        Self { say, cookies: Vec::new() }
    }

    pub(crate) fn with_cookie(mut self, cookie: HeaderValue) -> Self {
        self.cookies.push(cookie);
        self
    }

    pub(crate) fn with_cookies(mut self, cookies: Vec<HeaderValue>) -> Self {
        self.cookies.extend(cookies);
        self
    }

    /// The response to a request with this method and these headers.
    pub(crate) fn into_response(
        self,
        method: &Method,
        headers: &HeaderMap,
        look: Look<'_>,
    ) -> Response<Full<Bytes>> {
        let mut response = match self.say {
            Say::Go(status, url) => go(status, &url),
            Say::Back(status, target) => go(status, &own_fragment(&target, headers)),
            Say::Json(status, body) => json(status, body),
            #[cfg(any(feature = "doors", feature = "messages"))]
            Say::Text(kind, text) => {
                let mut response = bare(StatusCode::OK, text.into());
                let kind = HeaderValue::from_static(kind);
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            #[cfg(feature = "doors")]
            Say::Picture(kind, image) => return for_everybody(kind, image),
            Say::KeepFragment(url) => keep_fragment(&url),
            Say::Preflight(answers) => {
                let mut response = bare(StatusCode::NO_CONTENT, Bytes::new());
                response.headers_mut().extend(answers);
                response
            }
            Say::Script => return script(),
            Say::Page(page) if is_for_people(method, headers) => {
                let nonce = nonce();
                look.page(page.status(), &page.view(Tongue::of(headers), look.site, &nonce))
            }
            Say::Page(page) => json(page.status(), word(page.code())),
            Say::DoorPage(page) if is_for_people(method, headers) => {
                let nonce = nonce();
                look.page(page.status(), &page.view(Tongue::of(headers), look.site, &nonce))
            }
            Say::DoorPage(page) => json(page.status(), word(page.code())),
        };
        let own = response.headers_mut();
        for cookie in self.cookies {
            own.append(header::SET_COOKIE, cookie);
        }
        own.append(header::VARY, HeaderValue::from_static("Cookie"));
        response
    }
}

/// The target with a fragment of its own. A browser hands the fragment of an address on to the one that it is
/// redirected to, unless that has one: `#wechat_redirect` would end up in the page's address, and a hash router would
/// take it for a route. Only browsers do so, and they say that they are one.
fn own_fragment(target: &str, headers: &HeaderMap) -> String {
    let is_browser = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    let end = if is_browser && !target.contains('#') { "#" } else { "" };
    format!("{target}{end}")
}

/// Whether a person waits for a page. Nobody does who names the session in a header.
fn is_for_people(method: &Method, headers: &HeaderMap) -> bool {
    !token::is_in(headers) && (is_navigation(method, headers) || is_form(headers))
}

/// A browser's own form, as the sign-out button is one: a person waits for a page.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => headers
            .get(header::ACCEPT)
            .is_some_and(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html"))),
    }
}

/// How pages look, and whose they are.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Draws them.
    pub pages: &'a dyn Pages,
    /// The host name of the site.
    pub site: &'a str,
    /// Where a form may lead in the end: to our own site, and to WeChat where its target needs a sign-in.
    pub wechat: &'a str,
    /// And, on the way there, to the site that signs people in for this one.
    pub sign_in_at: Option<&'a str>,
}

impl Look<'_> {
    /// A page as a response: not to be kept, and able to run nothing but a script of ours where it has one.
    pub fn page(&self, status: StatusCode, view: &PageView<'_>) -> Response<Full<Bytes>> {
        let forms: Vec<_> =
            [Some("'self'"), Some(self.wechat), self.sign_in_at].into_iter().flatten().collect();
        let nonce = view.nonce;
        let is_ours =
            view.picture.as_ref().is_some_and(|picture| !picture.src.starts_with("data:"));
        let images = if is_ours { "'self' data:" } else { "data:" };
        let script = match view.live {
            Some(_) => format!("script-src 'nonce-{nonce}'; connect-src 'self'; "),
            None => String::new(),
        };
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; {script}img-src {images}; form-action {}; \
             frame-ancestors 'none'; base-uri 'none'",
            forms.join(" ")
        );
        let mut response = html(status, self.pages.render(view), &policy);
        if view.has_form() {
            // Without a referrer a form's `Origin` is "null", and nobody could tell it from a foreign one.
            let policy = HeaderValue::from_static("same-origin");
            response.headers_mut().insert(header::REFERRER_POLICY, policy);
        }
        response
    }
}

/// A fresh nonce for a content security policy.
pub(crate) fn nonce() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// JSON as a response that is not to be kept.
pub(crate) fn json(status: StatusCode, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = bare(status, body.into());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Lets scripts of a listed origin read our answer, and tells caches that it depends on who has asked.
pub(crate) fn share_with(origin: Option<&Origin>, headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    let origin = HeaderValue::from_str(origin.as_str()).expect("an origin is plain ASCII");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let yes = HeaderValue::from_static("true");
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
}

/// `/_wx/wx.js`: what single-page apps need.
const WX_JS: &str = include_str!("wx.js");
/// The same without what is for its readers here.
static SERVED: LazyLock<Bytes> = LazyLock::new(|| {
    let lines = WX_JS.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n").into()
});

fn script() -> Response<Full<Bytes>> {
    let kind = HeaderValue::from_static("text/javascript; charset=utf-8");
    for_everybody(kind, SERVED.clone())
}

/// What is the same for everybody, kept for an hour, so that an update arrives within one.
fn for_everybody(kind: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = bare(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    let keep = HeaderValue::from_static("public, max-age=3600");
    headers.insert(header::CACHE_CONTROL, keep);
    response
}

/// A page that shows nothing: it takes the address's fragment along, or goes on without it where scripts are off.
fn keep_fragment(login_url: &str) -> Response<Full<Bytes>> {
    let nonce = nonce();
    // Our own addresses hold letters, digits, `%`, and what divides them.
    let in_attribute = login_url.replace('&', "&amp;");
    let page = format!(
        "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title></title><script nonce=\"{nonce}\">location.replace(\"{login_url}\"+encodeURIComponent(location.hash))\
         </script><noscript><meta http-equiv=\"refresh\" content=\"0;url={in_attribute}\"></noscript></head></html>"
    );
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; frame-ancestors 'none'; base-uri 'none'"
    );
    html(StatusCode::OK, page, &policy)
}

fn html(status: StatusCode, page: String, policy: &str) -> Response<Full<Bytes>> {
    let policy = HeaderValue::try_from(policy).expect("a nonce is plain ASCII");
    let mut response = bare(status, page.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}

fn go(status: StatusCode, url: &str) -> Response<Full<Bytes>> {
    let mut response = bare(status, Bytes::new());
    let location = HeaderValue::try_from(url).expect("a validated target is plain ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    // The address of the way back holds a code until this response has replaced it.
    let policy = HeaderValue::from_static("no-referrer");
    response.headers_mut().insert(header::REFERRER_POLICY, policy);
    response
}

/// Spelled out in full: WeChat's browser has kept pages that said less.
const KEEP_NOTHING: HeaderValue =
    HeaderValue::from_static("no-store, no-cache, must-revalidate, max-age=0");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");

fn bare(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, KEEP_NOTHING);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    response
}

/// A page in one word.
fn word(code: &str) -> Vec<u8> {
    serde_json::json!({ "error": code }).to_string().into_bytes()
}

#[cfg(test)]
mod tests;
