//! The pages that people see, as responses.

use askama::Template;
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

use super::Shared;
use super::authorize::{Authorize, PageError};
use super::world::{Account, User};

/// Nothing is loaded from anywhere; only the page of a twin callback runs a script.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
const TWIN_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src *; \
                           base-uri 'none'; frame-ancestors 'none'";

/// Who visits, and how the visit came about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visitor<'w> {
    pub(super) user: &'w User,
    pub(super) from_menu: bool,
}

#[derive(Template)]
#[template(path = "simulator/picker.html")]
struct Picker<'a> {
    account: &'a Account,
    users: Vec<Face<'a>>,
}

#[derive(Template)]
#[template(path = "simulator/consent.html")]
struct Consent<'a> {
    account: &'a Account,
    face: Face<'a>,
    target: &'a str,
}

#[derive(Template)]
#[template(path = "simulator/error.html")]
struct Error<'a> {
    text: &'a str,
    hint: &'a str,
}

#[derive(Template)]
#[template(path = "simulator/blank.html")]
struct Blank;

#[derive(Template)]
#[template(path = "simulator/twin.html")]
struct Twin<'a> {
    location: &'a str,
    twin: &'a str,
}

#[derive(Template)]
#[template(path = "simulator/home.html")]
struct Home<'a> {
    url: &'a str,
    now: u64,
    accounts: &'a [Account],
    users: Vec<Face<'a>>,
    current: Option<&'a str>,
}

/// A person in a list.
struct Face<'a> {
    name: &'a str,
    nickname: &'a str,
    initial: char,
    notes: Vec<&'static str>,
}

impl<'a> Face<'a> {
    fn of(user: &'a User, follows: bool) -> Self {
        let mut notes =
            vec![if follows { "已关注 follower" } else { "未关注 not a follower" }];
        if user.snapshot {
            notes.push("快照页 snapshot page");
        }
        if user.unionid().is_none() {
            notes.push("无 unionid");
        }
        if user.avatar.as_deref() == Some("") {
            notes.push("无头像 no avatar");
        }
        Self {
            name: &user.name,
            nickname: &user.nickname,
            initial: user.nickname.chars().next().unwrap_or('?'),
            notes,
        }
    }
}

/// Who are you?
pub(super) fn picker(sim: &Shared, authorize: &Authorize<'_>) -> Response<Body> {
    let account = authorize.account;
    let face = |user| Face::of(user, sim.follows(user, &account.appid));
    html(&Picker { account, users: sim.world.users.iter().map(face).collect() })
}

/// May the account have your profile?
pub(super) fn consent(
    sim: &Shared,
    authorize: &Authorize<'_>,
    visitor: &Visitor<'_>,
) -> Response<Body> {
    let account = authorize.account;
    html(&Consent {
        account,
        face: Face::of(visitor.user, sim.follows(visitor.user, &account.appid)),
        target: &authorize.redirect_uri,
    })
}

/// An error inside WeChat, HTTP 200 like all of them.
pub(super) fn error(error: PageError) -> Response<Body> {
    html(&Error { text: error.text(), hint: error.hint() })
}

/// What is left after a refusal that nobody hears of.
pub(super) fn blank() -> Response<Body> {
    html(&Blank)
}

/// Opens the callback twice, from a browser that runs scripts.
pub(super) fn twin(location: &str, twin: &str) -> Response<Body> {
    let mut response = html(&Twin { location, twin });
    set(&mut response, header::CONTENT_SECURITY_POLICY, TWIN_POLICY);
    response
}

/// What this is, and who lives here.
pub(super) fn home(sim: &Shared, current: Option<&str>) -> Response<Body> {
    let follows = |user: &User| sim.world.accounts.iter().any(|it| sim.follows(user, &it.appid));
    html(&Home {
        url: &sim.url,
        now: sim.clock.seconds(),
        accounts: &sim.world.accounts,
        users: sim.world.users.iter().map(|user| Face::of(user, follows(user))).collect(),
        current,
    })
}

/// 302, the way WeChat sends people back.
pub(super) fn found(location: &str) -> Response<Body> {
    let mut response = empty(StatusCode::FOUND);
    set(&mut response, header::LOCATION, location);
    response
}

/// 303 with cookies, after a form.
pub(super) fn see_other(location: &str, cookies: &[String]) -> Response<Body> {
    let mut response = empty(StatusCode::SEE_OTHER);
    set(&mut response, header::LOCATION, location);
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            response.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    response
}

/// 400: a script asked for something that the simulator does not have.
pub(super) fn bad_request(text: &str) -> Response<Body> {
    plain(StatusCode::BAD_REQUEST, text)
}

/// 404.
pub(super) async fn not_found() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "the simulator has no such page; / lists what it has")
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = empty(status);
    set(&mut response, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    *response.body_mut() = Body::from(format!("{text}\n"));
    response
}

fn html(page: &impl Template) -> Response<Body> {
    let text = page.render().expect("these templates cannot fail");
    let mut response = empty(StatusCode::OK);
    set(&mut response, header::CONTENT_TYPE, "text/html; charset=utf-8");
    set(&mut response, header::CONTENT_SECURITY_POLICY, POLICY);
    *response.body_mut() = Body::from(text);
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    set(&mut response, header::CACHE_CONTROL, "no-store");
    response
}

fn set(response: &mut Response<Body>, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
