//! What the measurements share: people as WeChat tells of them, a login that needs no WeChat, and requests.
#![allow(dead_code)] // Each measurement uses a part of it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{Empty, Full};
use tower::{Layer, Service, service_fn};
use wxgate::{
    Account, AppSecret, Origin, Scope, WechatLoginLayer, WechatUser,
    clock::{Clock, SystemClock},
    login::WechatLogin,
    secret::{RefreshToken, UserToken},
    session::{
        MemoryStore, NewSession, Profile, Session, SessionId, Store, TokenChange, Tokens,
        UserChange, UserKey,
    },
    wechat::{AppId, OpenId, UnionId},
};

pub(crate) const APPID: &str = "wx0123456789abcdef";
pub(crate) const SITE: &str = "https://h5.example.com";

/// How much is known of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// What a silent sign-in tells: the openid.
    Openid,
    /// What `userinfo` tells, with the tokens that it takes: 400 bytes of text, of the lengths that WeChat's have.
    Whole,
}

/// A user, one for each number.
pub(crate) fn key(number: usize) -> UserKey {
    UserKey {
        appid: AppId::parse(APPID).unwrap(),
        openid: OpenId::parse(&format!("o6_{number:025}")).unwrap(),
    }
}

/// What WeChat tells of a user.
pub(crate) fn change(number: usize, known: Known) -> UserChange {
    if known == Known::Openid {
        return UserChange::default();
    }
    let now = SystemClock.now();
    let nickname = "春风十里不如";
    let avatar = format!("https://thirdwx.qlogo.cn/mmopen/vi_32/{number:0>92}/132");
    UserChange {
        unionid: Some(UnionId::parse(&format!("oU_{number:025}")).unwrap()),
        profile: Some((Profile { nickname: nickname.into(), avatar: Some(avatar.into()) }, now)),
        tokens: TokenChange::Replace(Tokens {
            access: UserToken::new(format!("82_{number:0>93}")),
            access_ends_at: now + Duration::from_secs(2 * 60 * 60),
            refresh: Some(RefreshToken::new(format!("82_{number:0>93}"))),
            refresh_ends_at: now + Duration::from_secs(30 * 24 * 60 * 60),
        }),
        ..UserChange::default()
    }
}

/// How many bytes of text there are in a record.
pub(crate) fn text_of(number: usize, known: Known) -> usize {
    let UserChange { unionid, profile, tokens, .. } = change(number, known);
    let unionid = unionid.map_or(0, |unionid| unionid.as_str().len());
    let profile = profile.map_or(0, |(profile, _)| {
        profile.nickname.len() + profile.avatar.map_or(0, |avatar| avatar.len())
    });
    let tokens = match tokens {
        TokenChange::Replace(tokens) => {
            tokens.access.expose().len() + tokens.refresh.map_or(0, |it| it.expose().len())
        }
        _ => 0,
    };
    key(number).openid.as_str().len() + unionid + profile + tokens
}

/// Signs a user in as a login does: the user's record, then a session.
pub(crate) fn sign_in(store: &MemoryStore, number: usize, known: Known) -> Arc<Session> {
    let user = at_once(store.put_user(key(number), change(number, known))).unwrap();
    let scope = if known == Known::Whole { Scope::Userinfo } else { Scope::Base };
    let now = SystemClock.now();
    at_once(store.create(NewSession { user, scope, signed_in_at: now, begins_at: now })).unwrap()
}

/// What comes of something that never waits.
pub(crate) fn at_once<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("what is in memory is there")
}

/// A login of one site, at which nobody answers as WeChat.
pub(crate) fn login(store: MemoryStore) -> WechatLoginLayer {
    let account = Account::official_account(APPID, AppSecret::new("0".repeat(32))).unwrap();
    WechatLoginLayer::with_store(account, Origin::parse(SITE).unwrap(), store)
}

pub(crate) type Asked = Request<Empty<Bytes>>;
pub(crate) type Answer = Response<Full<Bytes>>;

/// An app that answers with nothing, and so costs nothing that could be taken for the login's.
pub(crate) fn app()
-> impl Service<Asked, Response = Answer, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    service_fn(|_: Asked| std::future::ready(Ok(Response::new(Full::default()))))
}

/// The app behind the login, and the headers of somebody who is signed in.
pub(crate) fn signed_in() -> (
    WechatLogin<
        impl Service<Asked, Response = Answer, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    >,
    HeaderMap,
) {
    let store = MemoryStore::new();
    let headers = headers(sign_in(&store, 1, Known::Whole).id());
    (login(store).layer(app()), headers)
}

/// The user whom an app is told of.
pub(crate) fn user() -> WechatUser {
    let store = MemoryStore::new();
    let headers = headers(sign_in(&store, 1, Known::Whole).id());
    let found = Arc::<std::sync::Mutex<Option<WechatUser>>>::default();
    let kept = found.clone();
    let mut service = login(store).layer(service_fn(move |request: Asked| {
        *kept.lock().unwrap() = request.extensions().get().cloned();
        std::future::ready(Ok::<_, Infallible>(Answer::default()))
    }));
    at_once(service.call(request(&headers))).unwrap();
    found.lock().unwrap().take().expect("the login tells who it is")
}

/// What WeChat's browser sends, with two cookies of the app's own beside the session.
pub(crate) fn headers(session: SessionId) -> HeaderMap {
    let cookie = format!("_ga=GA1.1.1; lang=zh-CN; __Host-wxgate={}", session.expose());
    [
        ("host", "h5.example.com"),
        (
            "user-agent",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             Mobile/15E148 MicroMessenger/8.0.31(0x18001f2f) NetType/WIFI Language/zh_CN",
        ),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "zh-CN,zh-Hans;q=0.9"),
        ("accept-encoding", "gzip, deflate, br"),
        ("connection", "keep-alive"),
        ("cookie", &cookie),
    ]
    .into_iter()
    .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
    .collect()
}

/// A request with these headers.
pub(crate) fn request(headers: &HeaderMap) -> Asked {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static("/orders?id=1");
    *request.headers_mut() = headers.clone();
    request
}
