//! The pages that people see, as responses.

use askama::Template;
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};

use super::Shared;
use super::authorize::{Authorize, Door};
use super::page_error::PageError;
use super::world::{Account, AccountKind, User};

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

/// The page of a QR code asks for news of it, and may stand in a frame.
const QR_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self' 'unsafe-inline'; \
                         img-src 'self'; base-uri 'none'";

#[derive(Template)]
#[template(path = "simulator/picker.html")]
struct Picker<'a> {
    account: &'a Account,
    asks_for_menu: bool,
    users: Vec<Face<'a>>,
}

#[derive(Template)]
#[template(path = "simulator/consent.html")]
struct Consent<'a> {
    account: &'a Account,
    face: Face<'a>,
    target: &'a str,
    /// What the account is to get, in Chinese and in English.
    wanted: (&'static str, &'static str),
    /// Where the buttons lead; empty: to the page itself.
    action: &'a str,
}

#[derive(Template)]
#[template(path = "simulator/qr.html")]
struct Qr<'a> {
    account: &'a Account,
    uuid: &'a str,
    users: Vec<Face<'a>>,
    action: &'a str,
    in_wecom: bool,
    /// The way back, before and after the code.
    back: (&'a str, &'a str),
    denied: &'a str,
}

#[derive(Template)]
#[template(path = "simulator/done.html")]
struct Done {
    confirmed: bool,
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

const NO_UNIONID: &str = "无 unionid";

/// A person in a list.
struct Face<'a> {
    name: &'a str,
    nickname: &'a str,
    initial: char,
    notes: Vec<&'static str>,
}

impl<'a> Face<'a> {
    /// As an account sees the person.
    fn at(sim: &Shared, user: &'a User, account: &Account) -> Self {
        match account.kind {
            AccountKind::OfficialAccount => Self::of(user, sim.follows(user, &account.appid)),
            AccountKind::Wecom if user.userid.is_some() => {
                Self::with(user, vec!["企业成员 member"])
            }
            AccountKind::Wecom => Self::with(user, vec!["非企业成员 outsider"]),
            AccountKind::Website | AccountKind::MiniProgram => Self::with(
                user,
                user.unionid().is_none().then_some(NO_UNIONID).into_iter().collect(),
            ),
        }
    }

    /// As an official account does, whichever it is.
    fn of(user: &'a User, follows: bool) -> Self {
        let mut notes =
            vec![if follows { "已关注 follower" } else { "未关注 not a follower" }];
        if user.snapshot {
            notes.push("快照页 snapshot page");
        }
        if user.unionid().is_none() {
            notes.push(NO_UNIONID);
        }
        if user.avatar.as_deref() == Some("") {
            notes.push("无头像 no avatar");
        }
        Self::with(user, notes)
    }

    fn with(user: &'a User, notes: Vec<&'static str>) -> Self {
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
    let asks_for_menu = account.kind == AccountKind::OfficialAccount;
    let face = |user| Face::at(sim, user, account);
    html(&Picker { account, asks_for_menu, users: sim.world.users.iter().map(face).collect() })
}

/// May the account have what it asks for?
pub(super) fn consent(sim: &Shared, authorize: &Authorize<'_>, user: &User) -> Response<Body> {
    html(&asked(authorize, Face::at(sim, user, authorize.account), ""))
}

/// The page of a QR code.
pub(super) fn qr(
    sim: &Shared,
    authorize: &Authorize<'_>,
    uuid: &str,
    action: &str,
) -> Response<Body> {
    // Where the page's script puts the code.
    let back = authorize.way_back(Some(uuid));
    let page = Qr {
        account: authorize.account,
        uuid,
        users: sim.world.users.iter().map(|user| Face::at(sim, user, authorize.account)).collect(),
        action,
        in_wecom: authorize.door == Door::WecomLogin,
        back: back.split_once(uuid).unwrap_or((&back, "")),
        denied: &authorize.way_back(None),
    };
    let mut response = html(&page);
    set(&mut response, header::CONTENT_SECURITY_POLICY, QR_POLICY);
    response
}

/// The same page when its own phone has scanned the QR code, and the person is asked.
pub(super) fn scanned(
    sim: &Shared,
    authorize: &Authorize<'_>,
    user: &User,
    action: &str,
) -> Response<Body> {
    html(&asked(authorize, Face::at(sim, user, authorize.account), action))
}

fn asked<'a>(authorize: &'a Authorize<'_>, face: Face<'a>, action: &'a str) -> Consent<'a> {
    let wanted = match authorize.account.kind {
        _ if authorize.door != Door::Authorize => ("登录", "to sign you in"),
        AccountKind::Wecom => {
            ("获取你的头像、手机号和邮箱", "your avatar, phone number and mail address")
        }
        _ => ("获取你的昵称、头像", "your nickname and avatar"),
    };
    Consent { account: authorize.account, face, target: &authorize.redirect_uri, wanted, action }
}

/// What a phone shows when its person has answered.
pub(super) fn done(confirmed: bool) -> Response<Body> {
    html(&Done { confirmed })
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
