//! Tests of how a login judges requests, without a server: whose sessions it takes, and whom it sends where.

use async_trait::async_trait;

use super::*;
use crate::{
    login::{
        WechatLoginLayer,
        door::{Call, Door, Doorway},
        policy::Outside,
    },
    secret::AppSecret,
    session::{MemoryStore, NewSession, UserChange, UserKey},
    wechat::OpenId,
};

const OWN: &str = "wx0123456789abcdef";
const WEBSITE: &str = "wxfedcba9876543210";
const WECHAT: &str = "MicroMessenger/8.0.31";
const DESKTOP: &str = "Mozilla/5.0 (Windows NT 10.0) Chrome/140";

fn secret() -> AppSecret {
    AppSecret::new("0123456789abcdef0123456789abcdef")
}

fn layer_of(account: Account) -> WechatLoginLayer {
    WechatLoginLayer::new(account, Origin::parse("https://h5.example.com").unwrap())
}

fn layer() -> WechatLoginLayer {
    layer_of(Account::official_account(OWN, secret()).unwrap())
}

fn with_website() -> WechatLoginLayer {
    layer().website(Account::website(WEBSITE, secret()).unwrap())
}

fn appid(text: &str) -> AppId {
    AppId::parse(text).unwrap()
}

fn head(agent: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let request = http::Request::get(uri).header("host", "h5.example.com");
    let request = request.header("user-agent", agent);
    let request =
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0
}

fn answer(gate: &Gate, mut head: Parts) -> Response<Full<Bytes>> {
    match gate.admit(&mut head) {
        Verdict::Answer(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// Where a page's visitor is sent.
fn location(layer: &WechatLoginLayer, agent: &str) -> String {
    let answer = answer(layer.gate(), head(agent, "/page", &[]));
    let location = answer.headers().get("location").map(|it| it.to_str().unwrap().to_owned());
    location.unwrap_or_default()
}

/// A door that neither vouches for anybody nor offers anything.
#[derive(Debug)]
struct Plain;

#[async_trait]
impl Doorway for Plain {
    fn is_at(&self, path: &str) -> bool {
        path == "/plain"
    }

    async fn answer(&self, _: &Gate, _: Call<'_>) -> Reply {
        Reply::page(Page::NotFound)
    }
}

#[test]
fn c32_a_login_takes_sessions_of_its_own_accounts_alone() {
    let plain = layer();
    assert!(plain.gate().accepts(&appid(OWN)) && !plain.gate().accepts(&appid(WEBSITE)));
    let both = with_website();
    assert!(both.gate().accepts(&appid(OWN)) && both.gate().accepts(&appid(WEBSITE)));
    let website = both.gate().website().unwrap();
    assert!(website.accepts(&appid(OWN)) && website.accepts(&appid(WEBSITE)));
    assert!(website.website().is_none());
    for gate in [both.gate(), &website] {
        assert!(!gate.accepts(&appid("wx0000000000000000")));
    }
}

#[cfg(feature = "doors")]
#[test]
fn a_door_that_says_nothing_of_it_vouches_for_nobody_and_offers_nothing() {
    let layer = layer().door(Door::new(Plain));
    let gate = layer.gate();
    assert!(gate.door("/_wx/plain").is_some() && gate.door("/plain").is_none());
    assert!(!gate.accepts(&appid(WEBSITE)));
    assert!(gate.can_offer(Outside::Help) && !gate.can_offer(Outside::Scan));
    assert!(!gate.can_offer(Outside::Website) && with_website().gate().can_offer(Outside::Website));
}

#[test]
fn a_user_s_tokens_are_used_with_their_own_account() {
    let both = with_website();
    for own in [OWN, WEBSITE] {
        let gate = both.gate().of_account(&appid(own)).unwrap();
        assert_eq!(gate.account().appid(), &appid(own));
    }
    assert!(both.gate().of_account(&appid("wx0000000000000000")).is_none());
    assert!(layer().gate().of_account(&appid(WEBSITE)).is_none());
}

#[test]
fn the_website_is_spoken_of_at_endpoints_and_by_its_own_name() {
    let both = with_website();
    let is_website = |uri| both.gate().spoken_of(&head(DESKTOP, uri, &[])).is_some();
    assert!(is_website("/_wx/login?account=~") && is_website("/_wx/me?to=/a&account=~"));
    for other in ["/page?account=~", "/_wx/login", "/_wx/login?account=main", "/_wx/login?account="]
    {
        assert!(!is_website(other), "{other}");
    }
}

#[test]
fn w15_only_a_login_that_can_sends_other_browsers_than_wechat_s_to_sign_in() {
    let wecom = |agentid| Account::wecom("ww0123456789abcdef", agentid, secret()).unwrap();
    let website = || layer_of(Account::website(WEBSITE, secret()).unwrap());
    assert!(location(&layer(), WECHAT).starts_with("https://open.weixin.qq.com/connect/oauth2/"));
    assert_eq!(location(&layer(), DESKTOP), "");
    assert!(
        location(&website(), DESKTOP).starts_with("https://open.weixin.qq.com/connect/qrconnect")
    );
    assert_eq!(location(&layer_of(wecom(None)), DESKTOP), "");
    assert!(location(&layer_of(wecom(Some(1))), DESKTOP).starts_with("https://"));
    // Its page for desktops tells no profile.
    let profile = layer_of(wecom(Some(1))).login(Login::Userinfo);
    let page = answer(profile.gate(), head(DESKTOP, "/page", &[]));
    assert_eq!(page.status(), answer(layer().gate(), head(DESKTOP, "/page", &[])).status());
    let asks_first = answer(layer().login(Login::Userinfo).gate(), head(WECHAT, "/page", &[]));
    assert!(!asks_first.headers().contains_key("location"));
}

#[tokio::test]
async fn c26_who_names_a_session_by_a_token_is_not_known_by_a_cookie_too() {
    let store = MemoryStore::new();
    let site = Origin::parse("https://h5.example.com").unwrap();
    let account = Account::official_account(OWN, secret()).unwrap();
    let layer = WechatLoginLayer::with_store(account, site, store.clone());
    let gate = layer.gate();
    let key = UserKey { appid: appid(OWN), openid: OpenId::parse("o6_alice").unwrap() };
    let user = store.put_user(key, UserChange::default()).await.unwrap();
    let (scope, now) = (Scope::Base, gate.now());
    let new = NewSession { user, scope, signed_in_at: now, begins_at: now };
    let id = store.create(new).await.unwrap().id().expose();
    let cookie = format!("__Host-wxgate={id}");
    let passes = |headers: &[(&str, &str)]| {
        let mut head = head(WECHAT, "/page", headers);
        matches!(gate.admit(&mut head), Verdict::Pass(Visitor::SignedIn(_)))
    };
    assert!(passes(&[("cookie", &cookie)]) && passes(&[("x-wechat-session", &id)]));
    assert!(!passes(&[("cookie", &cookie), ("x-wechat-session", "damaged")]));
    assert!(!passes(&[("cookie", &cookie), ("x-wechat-session", &id), ("x-wechat-session", &id)]));
}

#[test]
fn c53_a_page_of_ours_runs_nothing_is_framed_nowhere_and_kept_by_nobody() {
    let layer = layer();
    let pages = [(); 2].map(|()| answer(layer.gate(), head(DESKTOP, "/page", &[])));
    let policies = pages.each_ref().map(|page| {
        let of = |name| page.headers()[name].to_str().unwrap();
        assert!(of("cache-control").contains("no-store"));
        assert_eq!((of("x-content-type-options"), of("x-frame-options")), ("nosniff", "DENY"));
        assert_eq!(of("referrer-policy"), "no-referrer");
        let policy = of("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
        assert!(policy.contains("; img-src data:; ") && !policy.contains("script-src"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'; base-uri 'none'"), "{policy}");
        policy
    });
    assert_ne!(policies[0], policies[1], "each page has a nonce of its own");
}

#[test]
fn the_scope_of_a_layer_is_what_its_paths_ask_for() {
    assert!(location(&layer().scope(Scope::Base), WECHAT).contains("scope=snsapi_base"));
    assert_eq!(location(&layer().scope(Scope::Userinfo), WECHAT), "", "our own page comes first");
}

#[tokio::test]
async fn a_sign_out_reads_nothing_but_a_form() {
    let layer = layer();
    for (kind, is_read) in [("application/x-www-form-urlencoded", true), ("text/plain", false)] {
        let headers = [("origin", "https://h5.example.com"), ("content-type", kind)];
        let mut head = head(WECHAT, "/_wx/logout", &headers);
        head.method = http::Method::POST;
        let Verdict::Wait(pending) = layer.gate().admit(&mut head) else { panic!("no answer yet") };
        let body = Full::new(Bytes::from_static(b"everywhere=1"));
        let Attended::Answer(answer) = layer.gate().attend(pending, &head, body).await else {
            panic!("it is answered")
        };
        // Nobody is signed in, so "everywhere" cannot be done, and anything else is done already.
        assert_eq!(answer.status() == StatusCode::SEE_OTHER, !is_read, "{kind}");
    }
}
