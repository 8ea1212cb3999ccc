//! Website applications: people who are not in WeChat sign in with one, into the same session.

use http::StatusCode;

use super::{Place, WEBSITE};
use crate::{
    tickets::parameter,
    world::{APPID, Answer, Browser, EXCHANGE, USERINFO},
};

const SITE: &str = "website = 'web'\n\
                    [[site.h5.route]]\nprefix = '/wechat-only'\noutside_wechat = 'help'\n\
                    [[site.h5.route]]\nprefix = '/profile'\nlogin = 'userinfo'\n";
const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const QRCONNECT: &str = "/connect/qrconnect";

impl Place {
    fn desktop(&self, user: &str) -> Browser {
        self.browser(user).with("user-agent", CHROME)
    }
}

fn subject(page: &Answer) -> String {
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    page.received("x-wechat-subject").unwrap()
}

#[tokio::test]
async fn a_desktop_signs_in_with_the_website_and_a_phone_with_the_account() {
    let place = Place::start(SITE).await;
    let desktop = place.desktop("alice");
    let page = desktop.walk("/page?a=1").await;
    assert_eq!((page.status, page.url.as_str()), (StatusCode::OK, &*desktop.at("/page?a=1")));
    assert_eq!(page.received("x-wechat-appid").as_deref(), Some(WEBSITE));
    assert_eq!(page.received("x-wechat-openid"), Some(place.openid("alice", WEBSITE)));
    assert_eq!(page.received("x-wechat-unionid"), Some(place.unionid("alice")));
    assert_eq!(page.received("x-wechat-scope").as_deref(), Some("snsapi_login"));
    assert_eq!(page.received("x-wechat-nickname").as_deref(), Some(crate::world::ALICE));
    assert_eq!(place.sim.count(QRCONNECT), 1);
    assert!(desktop.session_cookie().is_some(), "in the one cookie of the site");
    // A profile is known already.
    assert_eq!(desktop.get("/profile").await.status, StatusCode::OK);
    let told = desktop.fetch("/_wx/me").await.json();
    assert_eq!(told["appid"], WEBSITE);

    let phone = place.browser("alice");
    let page = phone.walk("/page").await;
    assert_eq!(page.received("x-wechat-appid").as_deref(), Some(APPID));
    assert_eq!(place.sim.count(QRCONNECT), 1);
}

#[tokio::test]
async fn a_path_can_be_for_wechat_alone() {
    let place = Place::start(SITE).await;
    let desktop = place.desktop("alice");
    let page = desktop.walk("/wechat-only").await;
    // The simulator stands for WeChat here, so it is where everybody is sent.
    assert_eq!(page.received("x-wechat-appid").as_deref(), Some(APPID));
    assert_eq!(place.sim.count(QRCONNECT), 0);
}

#[tokio::test]
async fn the_way_back_is_of_the_website_and_of_the_browser_that_went() {
    let place = Place::start(SITE).await;
    let desktop = place.desktop("alice");
    let callback = desktop.callback_url("/page").await;
    assert_eq!(parameter(&callback, "account"), "~");
    // w03: the same address in another browser does nothing.
    let other = place.desktop("bob");
    assert_eq!(other.get(&callback).await.status, StatusCode::BAD_REQUEST);
    assert_eq!((place.sim.count(EXCHANGE), other.session_cookie()), (0, None));
    // c40: nor does the state of one account's sign-in open the other's.
    let foreign = callback.replace("account=%7E&", "").replace("account=~&", "");
    assert_ne!(foreign, callback);
    assert_eq!(desktop.get(&foreign).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(place.sim.count(EXCHANGE), 0);
    assert_eq!(desktop.get(&callback).await.status, StatusCode::SEE_OTHER);
    assert_eq!(desktop.get("/page").await.status, StatusCode::OK);
    // Going back is no second sign-in.
    assert_eq!(desktop.get(&callback).await.status, StatusCode::SEE_OTHER);
    assert_eq!(place.sim.count(EXCHANGE), 1);
}

#[tokio::test]
async fn w07_who_says_no_gets_a_page_that_leads_to_the_same_way() {
    let place = Place::start(SITE).await;
    let desktop = place.desktop("alice").with("x-simulator-consent", "deny");
    let page = desktop.walk("/page").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "{page:?}");
    assert!(page.body.contains("account=~"), "{page:?}");
    assert_eq!(place.sim.count(EXCHANGE), 0);
    let link = page.body.split("href=\"").find(|rest| rest.contains("/_wx/login")).unwrap();
    let link = link.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let desktop = place.desktop("alice");
    assert_eq!(
        subject(&desktop.walk(&link).await),
        format!("{WEBSITE}:{}", place.openid("alice", WEBSITE))
    );
}

#[tokio::test]
async fn a_script_is_sent_to_the_way_of_its_browser() {
    let place = Place::start(SITE).await;
    let desktop = place.desktop("alice");
    let told = desktop.fetch("/page").await;
    assert_eq!(told.status, StatusCode::UNAUTHORIZED);
    let login = told.json()["login_url"].as_str().unwrap().to_owned();
    let page = desktop.walk(&login).await;
    assert_eq!(page.received("x-wechat-appid").as_deref(), Some(WEBSITE), "{page:?}");
}

#[tokio::test]
async fn a_profile_of_the_website_is_refreshed_with_the_website_s_tokens() {
    let place = Place::start(SITE).await;
    let desktop = place.desktop("alice");
    desktop.walk("/page").await;
    assert_eq!(place.sim.count(USERINFO), 1);
    place.clock.advance(std::time::Duration::from_secs(25 * 60 * 60));
    // The idle life is 24 hours by default: the session has ended, and the next one is silent to nobody.
    let page = desktop.walk("/page").await;
    assert_eq!(page.received("x-wechat-appid").as_deref(), Some(WEBSITE));
    assert_eq!(place.sim.count(USERINFO), 2);
}

#[tokio::test]
async fn a_path_that_the_website_can_never_be_enough_for_does_not_offer_it() {
    let site = "website = 'web'\n[[site.h5.route]]\nprefix = '/members'\nrequire = 'follower'\n\
                [[site.h5.route]]\nprefix = '/staff'\naccount = 'corp'\n";
    let place = Place::start(site).await;
    // The simulator stands for WeChat here, so help is to be sent there.
    let desktop = place.desktop("alice");
    let members = desktop.walk("/members").await;
    assert_eq!(members.status, StatusCode::OK, "{members:?}");
    assert_eq!(members.received("x-wechat-appid").as_deref(), Some(APPID));
    let staff = desktop.walk("/staff").await;
    assert_eq!(staff.received("x-wechat-openid").as_deref(), Some("AliceZhang"), "{staff:?}");
    assert_eq!(place.sim.count(QRCONNECT), 0);
    let page = place.desktop("alice").walk("/page").await;
    assert_eq!(page.received("x-wechat-appid").as_deref(), Some(WEBSITE));
}
