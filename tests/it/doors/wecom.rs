//! WeCom: members of a corp, inside WeCom and on a desktop.

use std::time::Duration;

use http::StatusCode;
use wxgate::simulator::{Fault, FaultSwitch};

use super::{CORP, Place};
use crate::world::{Browser, HOUR};

const SITE: &str = "[[site.h5.route]]\nprefix = '/staff'\naccount = 'corp'\n\
                    [[site.h5.route]]\nprefix = '/staff/profile'\naccount = 'corp'\nlogin = 'userinfo'\n";
const WXWORK: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh";
const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const GETTOKEN: &str = "/cgi-bin/gettoken";
const GETUSERINFO: &str = "/cgi-bin/auth/getuserinfo";
const DESKTOP: &str = "/wwlogin/sso/login";

impl Place {
    fn member(&self, user: &str) -> Browser {
        self.browser(user).with("user-agent", WXWORK)
    }
}

#[tokio::test]
async fn a_member_signs_in_and_the_userid_is_the_subject() {
    let place = Place::start(SITE).await;
    let alice = place.member("alice");
    let page = alice.walk("/staff?a=1").await;
    assert_eq!((page.status, page.url.as_str()), (StatusCode::OK, &*alice.at("/staff?a=1")));
    assert_eq!(page.received("x-wechat-subject"), Some(format!("{CORP}:AliceZhang")));
    assert_eq!(page.received("x-wechat-openid").as_deref(), Some("AliceZhang"));
    assert_eq!(page.received("x-wechat-nickname"), None);
    for _ in 0..3 {
        place.member("alice").walk("/staff").await;
    }
    assert_eq!(place.sim.count(GETTOKEN), 1, "one token for all sign-ins");
    assert_eq!(place.sim.count(GETUSERINFO), 4);
}

#[tokio::test]
async fn a_desktop_is_sent_to_wecom_s_page_for_desktops() {
    let place = Place::start(SITE).await;
    let desktop = place.browser("alice").with("user-agent", CHROME);
    let page = desktop.walk("/staff").await;
    assert_eq!(page.received("x-wechat-openid").as_deref(), Some("AliceZhang"), "{page:?}");
    assert_eq!(place.sim.count(DESKTOP), 1);
}

#[tokio::test]
async fn what_a_member_grants_is_told() {
    let place = Place::start(SITE).await;
    let alice = place.member("alice");
    let asked = alice.walk("/staff/profile").await;
    assert!(asked.body.contains("scope=userinfo"), "one tap first: {asked:?}");
    let login = "/_wx/login?account=corp&scope=userinfo&to=/staff/profile";
    let page = alice.walk(login).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert!(
        page.received("x-wechat-nickname").is_some() || page.received("x-wechat-avatar").is_some(),
        "{page:?}"
    );
    assert_eq!(page.received("x-wechat-scope").as_deref(), Some("snsapi_userinfo"));
}

#[tokio::test]
async fn c31_somebody_who_is_no_member_does_not_come_in() {
    let place = Place::start(SITE).await;
    let bob = place.member("bob");
    let page = bob.walk("/staff").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
    assert!(page.body.contains("你不是企业成员"), "{page:?}");
    assert_eq!((bob.session_cookie(), place.app.requests()), (None, 0));
    assert_eq!(place.member("alice").walk("/staff").await.status, StatusCode::OK);
}

#[tokio::test]
async fn w04_a_code_is_used_once_though_the_corp_s_token_was_dead() {
    let place = Place::start(SITE).await;
    place.member("alice").walk("/staff").await;
    place.sim.faults([FaultSwitch::new(Fault::DeadToken, 1).path(GETUSERINFO)]);
    let page = place.member("alice").walk("/staff").await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(place.sim.count(GETTOKEN), 2);
    place.advance(3 * HOUR);
    assert_eq!(place.member("alice").walk("/staff").await.status, StatusCode::OK);
    // A code that was sent is burned, whatever became of it: another try has another one.
    place.clock.advance(Duration::from_secs(61));
    place.sim.clear_requests();
    place.sim.faults([FaultSwitch::new(Fault::Drop, 1).path(GETUSERINFO)]);
    let page = place.member("alice").walk("/staff").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{page:?}");
    assert_eq!(place.member("alice").walk("/staff").await.status, StatusCode::OK);
    let codes: Vec<_> = place
        .sim
        .requests()
        .into_iter()
        .filter(|request| request.path == GETUSERINFO)
        .map(|request| request.query.split("code=").nth(1).unwrap_or_default().to_owned())
        .collect();
    assert!(codes.len() == 2 && codes[0] != codes[1], "{codes:?}");
}
