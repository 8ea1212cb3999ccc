//! The site without a gateway: what it makes of headers.

use axum::{
    body::{Body, to_bytes},
    http::{
        HeaderMap, Request, StatusCode,
        header::{CACHE_CONTROL, SET_COOKIE},
    },
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

type Headers = [(&'static str, &'static str)];

const ALICE: &Headers = &[
    ("x-wechat-subject", "wx0123456789abcdef:oAlice"),
    ("x-wechat-appid", "wx0123456789abcdef"),
    ("x-wechat-openid", "oAlice"),
    ("x-wechat-unionid", "uAlice"),
    ("x-wechat-scope", "snsapi_userinfo"),
    ("x-wechat-nickname", "%E5%B0%8F%E7%BE%8E%F0%9F%8C%B8"),
    ("x-wechat-avatar", "http://127.0.0.1:9090/avatar/alice"),
    ("x-forwarded-user", "wx0123456789abcdef:oAlice"),
    ("cookie", "cart=3; theme=dark"),
];
const BASE: &Headers = &[
    ("x-wechat-subject", "wx0123456789abcdef:oBob"),
    ("x-wechat-appid", "wx0123456789abcdef"),
    ("x-wechat-openid", "oBob"),
    ("x-wechat-scope", "snsapi_base"),
];

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn has_id(&self, id: &str) -> bool {
        self.body.matches(&format!("id=\"{id}\"")).count() == 1
    }
}

fn facts(public_url: &str) -> SiteFacts {
    SiteFacts {
        public_url: public_url.into(),
        simulator_url: "http://127.0.0.1:9090".into(),
        phone_url: "http://localhost:7070".into(),
        configuration: "[site.demo]\n".into(),
        accounts: Accounts {
            main: "wx0123456789abcdef".into(),
            website: "wx1111111111111111".into(),
            mini_program: "wx2222222222222222".into(),
        },
        people: vec![Person {
            name: "alice".into(),
            nickname: "小美🌸".into(),
            openids: vec!["oAlice".into()],
        }],
    }
}

async fn fetch(url: &str, headers: &[(&str, &str)]) -> Answer {
    fetch_at("http://127.0.0.1:8080", url, headers).await
}

async fn fetch_at(public_url: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
    let site = site(facts(public_url));
    let request = headers
        .iter()
        .fold(Request::get(url).header("host", "any.example"), |request, (name, value)| {
            request.header(*name, *value)
        })
        .body(Body::empty())
        .expect("a request");
    let answer = site.oneshot(request).await.expect("an answer");
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

fn with<'a>(base: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let others = base.iter().copied().filter(|(other, _)| *other != name);
    others.chain([(name, value)]).collect()
}

#[tokio::test]
async fn each_page_has_its_ids_in_both_languages() {
    let pages: [(&str, &Headers, &[&str]); 18] = [
        ("/", &[], &["anonymous"]),
        ("/", ALICE, &["signed-in", "nickname", "sign-out"]),
        ("/silent", BASE, &["openid", "subject", "scope", "sign-out"]),
        ("/silent", ALICE, &["openid", "subject", "scope", "nickname", "sign-out"]),
        ("/profile", ALICE, &["nickname", "openid", "subject", "scope", "sign-out"]),
        (
            "/app/",
            &[],
            &["app-user", "app-login", "nickname", "openid", "subject", "scope", "sign-out"],
        ),
        ("/scan", &[], &["take-phone", "alone"]),
        ("/scan", ALICE, &["signed-in", "sign-out"]),
        ("/desktop", BASE, &["openid", "subject", "scope", "again", "sign-out"]),
        ("/website", ALICE, &["nickname", "openid", "subject", "scope", "again", "sign-out"]),
        ("/followers", &[], &["take-phone", "alone", "follow"]),
        ("/members", BASE, &["openid", "subject", "scope", "again", "sign-out"]),
        ("/staff", BASE, &["openid", "subject", "scope", "again", "sign-out"]),
        ("/mini-program", &[], &["mini-login", "mini-open", "mini-log", "subject"]),
        ("/jssdk", &[], &["sign", "sign-foreign", "answer", "verdict"]),
        ("/configuration", &[], &["configuration"]),
        ("/phone", &[], &["camera", "finder"]),
        ("/phone/follow", ALICE, &["follow", "unfollow"]),
    ];
    for (path, headers, ids) in pages {
        let zh = fetch(path, &with(headers, "accept-language", "zh-CN,zh;q=0.9,en;q=0.8")).await;
        let en = fetch(path, &with(headers, "accept-language", "en-US,en;q=0.9,zh;q=0.8")).await;
        assert!(
            zh.body.contains("<html lang=\"zh-CN\">") && en.body.contains("<html lang=\"en\">")
        );
        assert_ne!(zh.body, en.body);
        for answer in [zh, en] {
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
            for id in ids {
                assert!(answer.has_id(id), "{path} has #{id} once");
            }
        }
    }
}

#[tokio::test]
async fn home_greets_only_whom_it_knows() {
    let stranger = fetch("/", &[]).await;
    assert!(!stranger.has_id("signed-in") && !stranger.has_id("sign-out"));
    let alice = fetch("/", ALICE).await;
    assert!(!alice.has_id("anonymous") && alice.body.contains("小美🌸"));
}

#[tokio::test]
async fn a_nickname_with_markup_is_inert_and_one_with_an_emoji_shows() {
    let script = "%3Cscript%3Ealert(%22x%22)%3C%2Fscript%3E%F0%9F%90%BC";
    for path in ["/", "/silent", "/profile", "/website"] {
        let answer = fetch(path, &with(ALICE, "x-wechat-nickname", script)).await;
        assert!(!answer.body.contains("<script"), "{path}");
        assert!(
            answer.body.contains("&#60;script&#62;alert(&#34;x&#34;)&#60;/script&#62;🐼"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn broken_utf8_in_a_nickname_is_replaced() {
    let answer = fetch("/profile", &with(ALICE, "x-wechat-nickname", "%E5%B0x%ff")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.contains("\u{fffd}x\u{fffd}"));
}

#[tokio::test]
async fn only_a_web_address_becomes_a_picture() {
    let image = "<img class=\"picture\"";
    assert!(fetch("/profile", ALICE).await.body.contains(image));
    for url in ["", "javascript:alert(1)", "data:image/svg+xml,x"] {
        let answer = fetch("/profile", &with(ALICE, "x-wechat-avatar", url)).await;
        assert!(!answer.body.contains(image), "{url}");
    }
}

#[tokio::test]
async fn the_profile_lists_what_arrived_and_nothing_else() {
    let answer = fetch("/profile", &with(ALICE, "authorization", "Basic c2VjcmV0")).await;
    for (name, value) in ALICE {
        assert!(answer.body.contains(name) && answer.body.contains(value), "{name}");
    }
    assert!(!answer.body.contains("c2VjcmV0"));
    assert!(answer.has_id("clean") && !answer.has_id("leaked"));
}

#[tokio::test]
async fn the_profile_says_when_a_cookie_of_the_gateway_arrives() {
    for cookie in ["__Host-wxgate=1", "a=b; wxgate=1", "wxgate-login-abcdefgh=1"] {
        let answer = fetch("/profile", &with(ALICE, "cookie", cookie)).await;
        assert!(answer.has_id("leaked") && !answer.has_id("clean"), "{cookie}");
    }
}

#[tokio::test]
async fn a_page_that_needs_a_user_says_so_when_there_is_none() {
    for path in
        ["/silent", "/profile", "/desktop", "/website", "/members", "/staff", "/phone/follow"]
    {
        let answer = fetch(path, &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(answer.body.contains("href=\"http://127.0.0.1:8080/\""), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_not_found() {
    for path in ["/nothing", "/app/x", "/silent/"] {
        let answer = fetch(path, ALICE).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.body.contains("404"));
    }
}

#[tokio::test]
async fn the_app_lives_under_a_folder() {
    let answer = fetch("/app", &[]).await;
    assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(answer.headers["location"], "/app/");
}

#[tokio::test]
async fn a_chosen_language_is_used_and_remembered() {
    let english = [("accept-language", "en")];
    let chosen = fetch("/?lang=zh", &english).await;
    assert!(chosen.body.contains("<html lang=\"zh-CN\">"));
    let cookie = chosen.headers[SET_COOKIE].to_str().expect("text");
    assert!(cookie.starts_with("demo-lang=zh; ") && !cookie.contains("Secure"), "{cookie}");

    let later = fetch("/", &with(&english, "cookie", "a=b; demo-lang=zh")).await;
    assert!(
        later.body.contains("<html lang=\"zh-CN\">") && !later.headers.contains_key(SET_COOKIE)
    );

    let https = fetch_at("https://h5.example.com", "/?lang=en", &[]).await;
    assert!(https.headers[SET_COOKIE].to_str().expect("text").ends_with("; Secure"));
    assert!(!fetch("/?lang=fr", &english).await.headers.contains_key(SET_COOKIE));
}

#[tokio::test]
async fn who_somebody_was_before_is_shown_beside_who_they_are() {
    let former = "wx0123456789abcdef:oAlice";
    let known = with(ALICE, "x-wechat-former-subject", former);
    for path in ["/silent", "/profile", "/desktop"] {
        let answer = fetch(path, &known).await;
        assert!(answer.has_id("former-subject") && answer.body.contains(former), "{path}");
        assert!(!fetch(path, ALICE).await.has_id("former-subject"), "{path}");
    }
}

#[tokio::test]
async fn the_website_s_page_says_whether_the_website_was_used() {
    let used = fetch("/website", &with(ALICE, "x-wechat-appid", "wx1111111111111111")).await;
    let unused = fetch("/website", ALICE).await;
    assert!(used.body.contains("用网站应用登录了") && !used.body.contains("你已经登录了"));
    assert!(unused.body.contains("你已经登录了"));
}

/// What the camera sees, and where the phone goes.
async fn seen(picture: Vec<u8>) -> (StatusCode, Value) {
    let request = Request::post("/phone/seen").body(Body::from(picture)).expect("a request");
    let answer = site(facts("http://127.0.0.1:8080")).oneshot(request).await.expect("an answer");
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    (parts.status, serde_json::from_slice(&body).unwrap_or_default())
}

fn picture_of(address: &str) -> Vec<u8> {
    let png = crate::demo::picture::code(address);
    image::load_from_memory(&png).expect("a PNG").into_luma8().into_raw()
}

#[tokio::test]
async fn the_camera_reads_codes_of_the_site_alone() {
    let (status, told) = seen(picture_of("http://127.0.0.1:8080/_wx/scan?c=abc")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(told["address"], "http://localhost:7070/_wx/scan?c=abc");
    for other in ["http://127.0.0.1:8080.evil.example/", "https://evil.example/", "javascript:1"] {
        let (status, told) = seen(picture_of(other)).await;
        assert_eq!((status, told), (StatusCode::OK, json!({ "address": null })), "{other}");
    }
    assert_eq!(seen(vec![255; 100 * 100]).await.1, json!({ "address": null }));
    for no_square in [0, 2, 101] {
        assert_eq!(seen(vec![0; no_square]).await.0, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_page_can_have_nothing_else_done_at_the_simulator() {
    for what in ["faults", "clock", "follow", "mini-program/../faults", "requests"] {
        let request = Request::post(format!("/phone/wechat/{what}")).body(Body::empty());
        let site = site(facts("http://127.0.0.1:8080"));
        let answer = site.oneshot(request.expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{what}");
    }
}
