//! People who try to come in by the wrong door, or as somebody else.

use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine};
use http::{Method, StatusCode};
use serde_json::json;
use wxgate::simulator::Simulator;

use super::{CORP, MINI_PROGRAM, Place, TOKEN_SECRET, refused};
use crate::{
    command,
    process::{Folder, Process, SECRET},
    world::{APPID, App, Browser},
};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
const WEB_VIEW: &str = "Mozilla/5.0 (Linux; Android 13) MicroMessenger/8.0.42.2460(0x28002A58) miniProgram/wx2222222222222222";
const JSON: (&str, &str) = ("content-type", "application/json");

async fn token(place: &Place, user: &str) -> String {
    let code = json!({ "js_code": place.phone(user).login() });
    let login = place.post("/_wx/mini-program/login", None, &code).await;
    login.json()["token"].as_str().unwrap_or_else(|| panic!("{login:?}")).to_owned()
}

#[tokio::test]
async fn c31_a_session_of_one_account_opens_no_route_of_another() {
    let site = "mini_programs = ['mini']\nwebsite = 'web'\n[[site.h5.route]]\nprefix = '/staff'\naccount = 'corp'\n";
    let place = Place::start(site).await;
    let token = token(&place, "bob").await;
    assert_eq!(place.with_token("/page", &token).await.status, StatusCode::OK);
    let staff = place.with_token("/staff", &token).await;
    assert_eq!(refused(&staff), (StatusCode::UNAUTHORIZED, "login_required".into()));
    // Nor by a ticket that is handed to the other account's login.
    let ticket =
        place.post("/_wx/mini-program/ticket", Some(&token), &json!({ "to": "/staff" })).await;
    let url = ticket.json()["url"].as_str().unwrap().to_owned();
    let web_view = place.browser("nobody").with("user-agent", WEB_VIEW);
    let entered = web_view.get(&url.replace("?ticket", "?account=corp&ticket")).await;
    assert_eq!(entered.status, StatusCode::NOT_FOUND, "{entered:?}");
    assert_eq!(web_view.get(&url).await.status, StatusCode::SEE_OTHER, "the ticket itself is good");
    assert!(web_view.get("/staff").await.status.is_redirection());
    // A website's session sent as a token is no better.
    let desktop = place.browser("bob").with("user-agent", CHROME);
    desktop.walk("/page").await;
    let cookie = desktop.session_cookie().unwrap();
    assert_eq!(place.with_token("/staff", &cookie).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(place.app.requests(), 2, "c25: nothing of the staff's was asked for");
    let member = place.browser("alice").with("user-agent", "wxwork/4.1.30 MicroMessenger/7.0.1");
    assert_eq!(member.walk("/staff").await.received("x-wechat-appid").as_deref(), Some(CORP));
}

#[tokio::test]
async fn c32_nobody_becomes_somebody_else_by_altering_what_is_encrypted() {
    let place = Place::with("mini_programs = ['mini']", "subject = 'unionid'").await;
    // WeChat tells no unionid of him, so that one he makes up would be the first.
    let (token, openid) = (token(&place, "dave").await, place.openid("dave", MINI_PROGRAM));
    let data = serde_json::to_value(place.phone("dave").user_data().unwrap()).unwrap();
    let mut iv = BASE64_STANDARD.decode(data["iv"].as_str().unwrap()).unwrap();
    let (is, wanted) = (format!("{{\"openId\":\"{openid}"), b"{\"unionId\":\"oVIC");
    for at in 0..16 {
        iv[at] ^= is.as_bytes()[at] ^ wanted[at];
    }
    let forged =
        json!({ "encryptedData": data["encryptedData"], "iv": BASE64_STANDARD.encode(iv) });
    let answer = place.post("/_wx/mini-program/user-data", Some(&token), &forged).await;
    assert_eq!(answer.status, StatusCode::OK, "it opens, since nothing signs it: {answer:?}");
    assert!(answer.json()["user"]["unionid"].is_null(), "{answer:?}");
    let page = place.with_token("/page", &token).await;
    assert_eq!(page.received("x-wechat-subject"), Some(format!("{MINI_PROGRAM}:{openid}")));
}

#[tokio::test]
async fn an_app_with_an_sdk_hears_of_one_account_only() {
    let site = "website = 'web'\nmini_programs = ['mini']\n\
                [client.shop]\nappid = 'wxabcdefabcdefabcd'\nsite = 'h5'\nsecret_file = 'mini.txt'\n\
                redirect_uris = ['http://127.0.0.1/callback']\n";
    let place = Place::start(site).await;
    let authorize = "/connect/oauth2/authorize?appid=wxabcdefabcdefabcd&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback\
                     &response_type=code&scope=snsapi_base&state=s";
    let desktop = place.browser("alice").with("user-agent", CHROME);
    // She is signed in already, as the website knows her.
    desktop.walk("/page").await;
    let mut answer = desktop.get(authorize).await;
    while !answer.location().contains("/callback?code=") || answer.location().contains("/_wx/") {
        let next = answer.location().to_owned();
        answer = desktop.get(&next).await;
    }
    let code =
        answer.location().split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let url = format!(
        "/sns/oauth2/access_token?appid=wxabcdefabcdefabcd&secret={}&code={code}&grant_type=authorization_code",
        "2".repeat(32)
    );
    let told = place.browser("nobody").get(&url).await.json();
    assert_eq!(told["openid"].as_str(), Some(&*place.openid("alice", APPID)), "{told}");
}

#[tokio::test]
async fn signatures_are_for_pages_of_the_site_s_own_account() {
    let place = Place::start(
        "website = 'web'\njssdk = true\n[[site.h5.route]]\nprefix = '/staff'\naccount = 'corp'\n",
    )
    .await;
    let page: String = url::form_urlencoded::byte_serialize(place.url.as_bytes()).collect();
    let nobody = place.browser("nobody");
    for account in ["account=~&", "account=corp&"] {
        let answer = nobody.fetch(&format!("/_wx/jssdk?{account}url={page}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{account}");
    }
    assert!(place.sim.requests().is_empty(), "nobody's secret was sent anywhere");
    assert_eq!(nobody.fetch(&format!("/_wx/jssdk?url={page}")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_has_no_code_to_scan_is_not_made_to_wait() {
    let place = Place::start("outside_wechat = 'scan'\n").await;
    let nobody = place.browser("nobody").with("user-agent", CHROME);
    let began = Instant::now();
    nobody.send(Method::GET, "/_wx/scan/events", &[("last-event-id", ".gone")], "").await;
    assert!(began.elapsed() < Duration::from_secs(10), "a place was held for nobody");
}

#[tokio::test]
async fn w10_no_secret_of_any_door_is_in_a_log() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let folder = Folder::new();
    folder.write("mini.txt", "2".repeat(32));
    folder.write("corp.txt", "3".repeat(43));
    folder.write("token.txt", TOKEN_SECRET);
    // The first call goes to a host that is not there, and what is said of that is looked through too.
    let nowhere = crate::world::free_port();
    let text = |addr| {
        format!(
            "[wechat]\napi = ['http://{nowhere}', '{s}']\nopen = '{s}'\nwecom = '{s}'\nwecom_desktop = '{s}'\n\
             [account.mini]\nappid = '{MINI_PROGRAM}'\nsecret_file = 'mini.txt'\nkind = 'mini-program'\n\
             server_token_secret_file = 'token.txt'\n\
             [account.corp]\nappid = '{CORP}'\nsecret_file = 'corp.txt'\nkind = 'wecom'\nagentid = 1000002\n\
             [site.h5]\npublic_url = 'http://{addr}'\nupstream = '{u}'\naccount = 'main'\nmini_programs = ['mini']\n\
             jssdk = true\noutside_wechat = 'scan'\n\
             [[site.h5.route]]\nprefix = '/members'\nrequire = 'follower'\n\
             [[site.h5.route]]\nprefix = '/staff'\naccount = 'corp'\n",
            s = sim.url(),
            u = app.url()
        )
    };
    let process = Process::start_as(folder, text, "trace", |_| command::wxgate()).await;
    let url = process.url();
    let browser = Browser::new(&url, "alice");
    assert_eq!(browser.walk("/members").await.status, StatusCode::OK);
    let page: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    let signed = browser.fetch(&format!("/_wx/jssdk?url={page}")).await;
    assert_eq!(signed.status, StatusCode::OK, "{signed:?}");
    let program = Browser::new(&url, "nobody").without("user-agent");
    let phone = sim.mini_program("alice", MINI_PROGRAM).unwrap();
    let js_code = phone.login();
    let login = json!({ "js_code": js_code }).to_string();
    let login = program.send(Method::POST, "/_wx/mini-program/login", &[JSON], &login).await.json();
    let token = login["token"].as_str().unwrap().to_owned();
    let with_token = [JSON, ("x-wechat-session", &*token)];
    let number = serde_json::to_string(&phone.phone_number().unwrap()).unwrap();
    let told =
        program.send(Method::POST, "/_wx/mini-program/user-data", &with_token, &number).await;
    let number = told.json()["user"]["phone"].as_str().unwrap()[3..].to_owned();
    let ticket =
        program.send(Method::POST, "/_wx/mini-program/ticket", &with_token, "{}").await.json();
    let ticket = ticket["url"].as_str().unwrap().split("ticket=").nth(1).unwrap().to_owned();
    let member =
        Browser::new(&url, "alice").with("user-agent", "wxwork/4.1.30 MicroMessenger/7.0.1");
    assert_eq!(member.walk("/staff").await.status, StatusCode::OK);
    let desktop = Browser::new(&url, "alice").with("user-agent", CHROME);
    desktop.get("/page").await;
    let bearer = format!("Bearer {TOKEN_SECRET}");
    let other = Browser::new(&format!("http://{}", process.admin), "nobody").without("user-agent");
    let taken = other
        .send(Method::GET, "/server-token?account=mini", &[("authorization", &bearer)], "")
        .await;
    let basic =
        taken.json()["access_token"].as_str().unwrap_or_else(|| panic!("{taken:?}")).to_owned();

    let mut planted = vec![
        ("the js_code".to_owned(), js_code),
        ("the token".to_owned(), token),
        ("the phone number".to_owned(), number),
        ("the ticket".to_owned(), ticket),
        ("the mini-program's secret".to_owned(), "2".repeat(32)),
        ("the corp's secret".to_owned(), "3".repeat(43)),
        ("the app secret".to_owned(), SECRET.to_owned()),
        ("the bearer".to_owned(), TOKEN_SECRET.to_owned()),
        ("the server's token".to_owned(), basic),
    ];
    planted.extend(desktop.jar.lock().unwrap().clone());
    for request in sim.requests() {
        for (name, value) in url::form_urlencoded::parse(request.query.as_bytes()) {
            if ["access_token", "code", "secret", "corpsecret", "user_ticket"].contains(&&*name) {
                planted.push((format!("{name} of {}", request.path), value.into_owned()));
            }
        }
    }
    assert!(planted.len() > 15, "{}", planted.len());
    let (_, log) = process.stop().await;
    assert!(log.iter().any(|line| line.to_string().contains("/members")), "the log is there");
    assert!(log.iter().any(|line| line["message"] == "host unreachable"), "it was tried");
    for (name, secret) in planted {
        let found = log.iter().find(|line| line.to_string().contains(&secret));
        assert!(found.is_none(), "{name}: {found:?}");
    }
}
