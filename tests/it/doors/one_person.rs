//! One person at several doors: one subject, from the day on which WeChat tells the unionid.

use http::StatusCode;
use serde_json::json;

use super::{MINI_PROGRAM, Place, WEBSITE};
use crate::world::{APPID, Browser};

const SITE: &str = "website = 'web'\nmini_programs = ['mini']\n\
                    [[site.h5.route]]\nprefix = '/profile'\nlogin = 'userinfo'\n";
const BY_UNIONID: &str = "subject = 'unionid'";
const CHROME: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const SUBJECT: &str = "x-wechat-subject";
const FORMER: &str = "x-wechat-former-subject";

impl Place {
    /// What the app is told at three doors: the account's, the website's and the mini-program's.
    async fn subjects(&self, user: &str) -> [String; 3] {
        let phone = self.browser(user);
        // Nobody is known by a unionid who has not granted it.
        phone.walk(&crate::world::userinfo_login("/page")).await;
        let desktop = self.browser(user).with("user-agent", CHROME);
        let js_code = self.phone(user).login();
        let login =
            self.post("/_wx/mini-program/login", None, &json!({ "js_code": js_code })).await;
        let token = login.json()["token"].as_str().unwrap().to_owned();
        let pages = [
            phone.walk("/page").await,
            desktop.walk("/page").await,
            self.with_token("/page", &token).await,
        ];
        let appids = pages.each_ref().map(|page| page.received("x-wechat-appid").unwrap());
        assert_eq!(appids, [APPID, WEBSITE, MINI_PROGRAM]);
        pages.map(|page| {
            assert_eq!(page.received(SUBJECT), page.received("x-forwarded-user"));
            page.received(SUBJECT).unwrap()
        })
    }
}

#[tokio::test]
async fn c32_one_person_at_three_doors_is_one_subject_where_the_operator_says_so() {
    let place = Place::with(SITE, BY_UNIONID).await;
    let alice = place.unionid("alice");
    assert_eq!(place.subjects("alice").await, [(); 3].map(|()| alice.clone()));
    assert_ne!(place.subjects("bob").await[0], alice);

    let place = Place::with(SITE, "").await;
    let own = [APPID, WEBSITE, MINI_PROGRAM]
        .map(|appid| format!("{appid}:{}", place.openid("alice", appid)));
    assert_eq!(place.subjects("alice").await, own);
}

#[tokio::test]
async fn the_day_the_unionid_appears_the_app_is_told_who_it_was_before() {
    let place = Place::with(SITE, BY_UNIONID).await;
    let (unionid, account) =
        (place.unionid("alice"), format!("{APPID}:{}", place.openid("alice", APPID)));
    let alice = place.browser("alice");
    let before = alice.walk("/page").await;
    assert_eq!(before.received(SUBJECT), Some(account.clone()));
    assert_eq!(before.received(FORMER), None);
    // Another browser of hers, which stays signed in.
    let other = place.browser("alice");
    other.walk("/page").await;

    let page = alice.walk(&crate::world::userinfo_login("/page")).await;
    assert_eq!(page.received(SUBJECT), Some(unionid.clone()));
    assert_eq!(page.received(FORMER), Some(account.clone()), "never silently");
    let page = other.get("/page").await;
    assert_eq!(
        (page.received(SUBJECT), page.received(FORMER)),
        (Some(unionid.clone()), Some(account.clone()))
    );
    let told = other.fetch("/_wx/me").await.json();
    assert_eq!(
        (told["subject"].as_str(), told["former_subject"].as_str()),
        (Some(&*unionid), Some(&*account))
    );

    // A silent sign-in later tells no unionid, and changes nothing.
    let silent = place.browser("alice");
    let page = silent.walk("/page").await;
    assert_eq!(
        (page.received(SUBJECT), page.received(FORMER)),
        (Some(unionid.clone()), Some(account))
    );
    // Whoever was never anybody else has no former name.
    let desktop = place.browser("alice").with("user-agent", CHROME);
    let page = desktop.walk("/page").await;
    assert_eq!((page.received(SUBJECT), page.received(FORMER)), (Some(unionid), None));
}

#[tokio::test]
async fn who_has_no_unionid_stays_who_they_are() {
    let place = Place::with(SITE, BY_UNIONID).await;
    let account = format!("{APPID}:{}", place.openid("dave", APPID));
    let dave = place.browser("dave");
    for path in ["/page".to_owned(), crate::world::userinfo_login("/page")] {
        let page = dave.walk(&path).await;
        assert_eq!((page.received(SUBJECT), page.received(FORMER)), (Some(account.clone()), None));
    }
}

#[tokio::test]
async fn c11_nobody_can_say_who_they_were() {
    let place = Place::with(SITE, BY_UNIONID).await;
    let bob = place.browser("bob");
    bob.walk("/page").await;
    let lies =
        [(FORMER, "somebody"), ("x_wechat_former_subject", "somebody"), ("x-wechat-phone", "1")];
    let page = bob.send(http::Method::GET, "/page", &lies, "").await;
    assert_eq!(page.status, StatusCode::OK);
    for (name, _) in lies {
        assert_eq!(page.received(name), None, "{name}");
    }
}

#[tokio::test]
async fn a_list_of_unionids_holds_at_every_door() {
    let site = |unionid: &str| {
        format!("{SITE}[[site.h5.route]]\nprefix = '/vip'\nallow_unionids = ['{unionid}']\n")
    };
    let unionid = Place::start(SITE).await.unionid("alice");
    let place = Place::start(&site(&unionid)).await;
    for (user, status) in [("alice", StatusCode::OK), ("bob", StatusCode::FORBIDDEN)] {
        let desktop: Browser = place.browser(user).with("user-agent", CHROME);
        assert_eq!(desktop.walk("/vip").await.status, status, "{user}");
        let code = json!({ "js_code": place.phone(user).login() });
        let login = place.post("/_wx/mini-program/login", None, &code).await.json();
        let token = login["token"].as_str().unwrap();
        assert_eq!(place.with_token("/vip", token).await.status, status, "{user}");
    }
}
