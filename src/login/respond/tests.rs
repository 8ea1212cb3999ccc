//! Tests of what every answer of ours carries, whatever it says.

use super::*;
use crate::{
    login::{PlainPages, attempt::Progress},
    wechat::{AnswerFault, Call, ErrCode, Error, Kind},
};

const EVIL: &str = "<script>alert(1)</script>\"'&";

/// Its place in [`every_page`]. A page that is missing here does not compile.
fn place(page: &Page) -> usize {
    match page {
        Page::AskFirst { .. } => 0,
        Page::NotInWeChat { .. } => 1,
        Page::Refused { .. } => 2,
        Page::Snapshot { .. } => 3,
        Page::Meaningless => 4,
        Page::Malformed => 5,
        Page::Loop { .. } => 6,
        Page::Failed { .. } => 7,
        Page::WechatDown { .. } => 8,
        Page::StoreDown => 9,
        Page::Broken => 10,
        Page::AskLogout { .. } => 11,
        Page::SignedOut => 12,
        Page::NobodyToEnd => 13,
        Page::ForeignLogout { .. } => 14,
        Page::NotAdmitted { .. } => 15,
        Page::NotAMember { .. } => 16,
        Page::Follow { .. } => 17,
        Page::NotForProxies => 18,
        Page::UnknownClient => 19,
        Page::TooMany => 20,
        Page::BadPath => 21,
        Page::NotFound => 22,
        Page::MethodNotAllowed => 23,
    }
}

/// Each page, and those that say different things more than once, with something hostile wherever there is room for it.
fn every_page() -> Vec<Page> {
    let evil = || EVIL.to_owned();
    let failed = |kind| Page::Failed { error: Error::new(Call::Exchange, kind), retry: evil() };
    let refused = |code| failed(Kind::Refused(ErrCode::new(code), None));
    let loops = [Progress::Sent, Progress::Done, Progress::Failed(Some(ErrCode::new(40029)))];
    let mut pages = vec![
        Page::AskFirst { go: evil() },
        Page::NotInWeChat { url: evil() },
        Page::Refused { retry: evil() },
        Page::Snapshot { retry: evil() },
        Page::Meaningless,
        Page::Malformed,
        refused(-1),
        refused(40125),
        refused(48001),
        failed(Kind::Interrupted),
        failed(Kind::Unreachable),
        failed(Kind::Answer(AnswerFault::NotAnObject)),
        Page::WechatDown { retry: evil() },
        Page::StoreDown,
        Page::Broken,
        Page::AskLogout { here: evil(), everywhere: evil() },
        Page::SignedOut,
        Page::NobodyToEnd,
        Page::ForeignLogout { logout: evil() },
        Page::NotAdmitted { logout: evil() },
        Page::NotAMember { retry: evil() },
        Page::Follow { code: None, retry: evil() },
        Page::Follow { code: Some(evil()), retry: evil() },
        Page::NotForProxies,
        Page::UnknownClient,
        Page::TooMany,
        Page::BadPath,
        Page::NotFound,
        Page::MethodNotAllowed,
    ];
    pages.extend(loops.map(|last| Page::Loop { last, retry: evil() }));
    pages
}

fn look(pages: &dyn Pages) -> Look<'_> {
    let (site, wechat) = ("h5.example.com", "https://open.weixin.qq.com");
    Look { pages, site, wechat, sign_in_at: Some("https://login.example.com") }
}

fn asked(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

fn header<'a>(response: &'a Response<Full<Bytes>>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn body(response: Response<Full<Bytes>>) -> String {
    use http_body_util::BodyExt;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn c53_every_page_of_ours_is_inert_and_says_what_may_be_done_with_it() {
    let mut places: Vec<_> = every_page().iter().map(place).collect();
    places.sort_unstable();
    places.dedup();
    assert!(places.iter().copied().eq(0..24), "each page is looked at: {places:?}");
    for language in ["zh-CN", "en"] {
        for page in every_page() {
            let (name, status) = (format!("{page:?}"), page.status());
            let headers = asked(&[("sec-fetch-mode", "navigate"), ("accept-language", language)]);
            let reply = Reply::page(page);
            let answer = reply.into_response(&Method::GET, &headers, look(&PlainPages));
            assert_eq!(answer.status(), status, "{name}");
            let policy = header(&answer, "content-security-policy").to_owned();
            let nonce = policy.split("style-src 'nonce-").nth(1).unwrap().split('\'').next();
            let nonce = nonce.unwrap().to_owned();
            for part in ["default-src 'none';", "frame-ancestors 'none';", "base-uri 'none'"] {
                assert!(policy.contains(part), "{name}: {policy}");
            }
            for weak in ["unsafe", "script-src", "connect-src", "*", "http:"] {
                assert!(!policy.contains(weak), "{name}: {policy}");
            }
            assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8", "{name}");
            assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{name}");
            assert_eq!(header(&answer, "x-frame-options"), "DENY", "{name}");
            assert!(header(&answer, "cache-control").contains("no-store"), "{name}");
            assert_eq!(header(&answer, "vary"), "Cookie", "{name}");
            let has_form = name.starts_with("AskLogout");
            let referrer = if has_form { "same-origin" } else { "no-referrer" };
            assert_eq!(header(&answer, "referrer-policy"), referrer, "{name}");
            let html = body(answer).await;
            assert!(html.contains(&format!("nonce=\"{nonce}\"")), "{name}");
            assert!(!html.contains("<script") && !html.contains("\"'&"), "{name}: {html}");
        }
    }
}

#[tokio::test]
async fn c20_c53_a_script_is_told_one_word_of_a_fixed_set() {
    for page in every_page() {
        let (name, code) = (format!("{page:?}"), page.code());
        let headers = asked(&[("sec-fetch-mode", "cors")]);
        let answer = Reply::page(page).into_response(&Method::GET, &headers, look(&PlainPages));
        assert_eq!(header(&answer, "content-type"), "application/json", "{name}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff", "{name}");
        assert!(header(&answer, "cache-control").contains("no-store"), "{name}");
        let fixed = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(fixed && !code.is_empty(), "{name}: {code}");
        assert_eq!(body(answer).await, format!("{{\"error\":\"{code}\"}}"), "{name}");
    }
}

#[test]
fn c53_two_pages_never_share_a_nonce() {
    let policy = || {
        let headers = asked(&[("sec-fetch-mode", "navigate")]);
        let answer =
            Reply::page(Page::NotFound).into_response(&Method::GET, &headers, look(&PlainPages));
        header(&answer, "content-security-policy").to_owned()
    };
    assert!(policy().contains("'nonce-"));
    assert_ne!(policy(), policy());
}

#[tokio::test]
async fn c53_the_step_that_keeps_a_fragment_may_run_its_own_script_and_no_other() {
    let headers = asked(&[("sec-fetch-mode", "navigate")]);
    let reply = Reply::keep_fragment("/_wx/login?to=/a%22%3E".to_owned());
    let answer = reply.into_response(&Method::GET, &headers, look(&PlainPages));
    let policy = header(&answer, "content-security-policy").to_owned();
    let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    assert!(header(&answer, "cache-control").contains("no-store"));
    let html = body(answer).await;
    assert_eq!(html.matches("<script").count(), 1, "{html}");
    assert!(html.contains(&format!("<script nonce=\"{nonce}\">")), "{html}");
}
