//! What is sealed, how large a code becomes, and how many requests are held.

use std::{net::IpAddr, time::Duration};

use http::{HeaderMap, Request, header, request::Parts};
use qrcode::{EcLevel, QrCode, Version};
use tokio::sync::Semaphore;

use super::{
    browser::Browser,
    code::{self, Code, LIFE, Scan},
    desktop,
    pages::{CodePage, ConfirmPage, News, ScanPage},
    record::Verdict,
};
use crate::{
    clock::{ManualClock, Timestamp},
    login::{Call, ClientAddr, DoorPage, Gate, ReturnTo, Tongue, WechatLoginLayer},
    origin::Origin,
    secret::AppSecret,
    session::{KeyRing, MemoryStore, SessionId},
    wechat::{Account, Scope},
};

const START: u64 = 1_700_000_000;

fn gate_at(site: &str, appid: &str, keys: &KeyRing) -> (Gate, ManualClock) {
    let secret = AppSecret::new("0123456789abcdef0123456789abcdef");
    let account = Account::official_account(appid, secret).unwrap();
    let clock = ManualClock::new(Timestamp::from_unix(START));
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let login = WechatLoginLayer::with_store(account, Origin::parse(site).unwrap(), store);
    (login.clock(clock.clone()).keys(keys.clone()).gate().clone(), clock)
}

fn gate() -> (Gate, ManualClock) {
    gate_at("https://h5.example.com", "wx0123456789abcdef", &KeyRing::random())
}

fn code(gate: &Gate, addr: Option<&str>) -> Code {
    let scan = Scan::new(gate.now(), Scope::Base);
    let addr = addr.map(|addr| ClientAddr(addr.parse::<IpAddr>().unwrap()));
    Code { scan, browser: Browser::of(&HeaderMap::new()), addr }
}

fn request(cookie: &str) -> Parts {
    let request = Request::builder().uri("/_wx/scan/events").header(header::COOKIE, cookie);
    request.body(()).unwrap().into_parts().0
}

/// What a browser sends of a cookie that it was given.
fn pair(cookie: &http::HeaderValue) -> String {
    cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn a_code_opens_as_it_was_and_stays_small() {
    let (gate, _) = gate();
    for addr in [None, Some("203.0.113.7"), Some("2001:db8::1")].repeat(20) {
        let code = code(&gate, addr);
        let sealed = code.seal(&gate);
        assert_eq!(Code::open(&gate, &sealed), Some(code));
        let url = gate.endpoint("/scan", [("c", &*sealed)]);
        let drawn = QrCode::with_error_correction_level(&url, EcLevel::M).unwrap();
        // 49 dots wide. Which version it is depends a little on what the letters happen to be.
        let Version::Normal(version) = drawn.version() else { panic!("{url}") };
        assert!((6..=8).contains(&version), "{version} for {} in {url}", url.len());
    }
}

#[test]
fn c40_a_code_is_no_cookie_and_a_cookie_is_no_code_and_neither_is_another_site_s() {
    let keys = KeyRing::random();
    let (gate, _) = gate_at("https://h5.example.com", "wx0123456789abcdef", &keys);
    let code = code(&gate, None);
    let sealed = code.seal(&gate);
    let cookie = code::keep(&gate, &code.scan);
    let headers = |value: &str| request(value).headers;
    let cookie = pair(&cookie);
    let (name, value) = cookie.split_once('=').unwrap();
    assert_eq!(name, "__Host-wxgate-login-scan");
    assert_eq!(code::kept(&gate, &headers(&cookie)), Some(code.scan));

    assert_eq!(code::kept(&gate, &headers(&format!("{name}={sealed}"))), None);
    assert_eq!(Code::open(&gate, value), None);
    assert_eq!(code::open_way(&gate, value), None);
    assert_eq!(code::kept(&gate, &headers(&format!("{cookie}; {cookie}"))), None);
    for (site, appid) in [
        ("https://shop.example.com", "wx0123456789abcdef"),
        ("https://h5.example.com", "wxfedcba9876543210"),
    ] {
        let (other, _) = gate_at(site, appid, &keys);
        assert_eq!(Code::open(&other, &sealed), None, "{site} {appid}");
        assert_eq!(code::kept(&other, &headers(&cookie)), None, "{site} {appid}");
    }
}

#[test]
fn c09_one_changed_character_and_nothing_opens() {
    let (gate, _) = gate();
    let code = code(&gate, Some("203.0.113.7"));
    let target = ReturnTo::parse("/orders?id=1", gate.public_url());
    let way = code::seal_way(&gate, &target, Scope::Userinfo);
    assert_eq!(code::open_way(&gate, &way), Some((target, Scope::Userinfo)));
    let cookie = pair(&code::keep(&gate, &code.scan));
    let (name, value) = cookie.split_once('=').unwrap();
    let kept = |value: &str| code::kept(&gate, &request(&format!("{name}={value}")).headers);
    assert_eq!(kept(value), Some(code.scan));
    let damage = |text: &str, at: usize| {
        let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let sealed = code.seal(&gate);
    for at in 0..sealed.len() {
        assert_eq!(Code::open(&gate, &damage(&sealed, at)), None, "{at}");
        assert_eq!(Code::open(&gate, &sealed[..at]), None, "{at}");
    }
    for at in 0..value.len() {
        assert_eq!(kept(&damage(value, at)), None, "{at}");
    }
    for at in 0..way.len() {
        assert_eq!(code::open_way(&gate, &damage(&way, at)), None, "{at}");
    }
}

#[test]
fn a_code_is_shown_again_while_it_is_worth_it_and_finished_a_minute_after_its_end() {
    let (gate, clock) = gate();
    let scan = Scan::new(gate.now(), Scope::Base);
    let headers = request(&pair(&code::keep(&gate, &scan))).headers;
    let serves = |scope| scan.serves(gate.now(), scope);
    assert!(serves(Scope::Base) && !serves(Scope::Userinfo), "it does not bring the profile");
    assert!(Scan::new(gate.now(), Scope::Userinfo).serves(gate.now(), Scope::Base));
    clock.advance(Duration::from_secs(120));
    assert!(serves(Scope::Base));
    clock.advance(Duration::from_secs(1));
    assert!(!serves(Scope::Base) && !scan.is_over(gate.now()));
    clock.advance(Duration::from_secs(LIFE.as_secs() - 121));
    assert!(scan.is_over(gate.now()) && code::kept(&gate, &headers).is_some());
    clock.advance(Duration::from_secs(60));
    assert_eq!(code::kept(&gate, &headers), None);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_room_to_wait_a_script_is_answered_at_once_and_told_to_come_later() {
    let (gate, _) = gate();
    let scan = Scan::new(gate.now(), Scope::Base);
    let head = request(&pair(&code::keep(&gate, &scan)));
    let room = Semaphore::new(1);
    let ask = async || {
        let began = tokio::time::Instant::now();
        let call = Call { head: &head, body: Vec::new(), user: None };
        let reply = desktop::events(&gate, &call, &room).await;
        (format!("{reply:?}"), began.elapsed().as_secs())
    };
    let (held, took) = ask().await;
    assert!(held.contains("retry: 300\\n") && (18..=20).contains(&took), "{took} {held}");
    let place = room.try_acquire().unwrap();
    let (told, took) = ask().await;
    assert!(told.contains("retry: 2000\\n") && took == 0, "{took} {told}");
    drop(place);
    let (held, took) = ask().await;
    assert!(held.contains("waiting") && took >= 18, "the place was given back: {held}");
}

/// Each page, with something hostile wherever there is room for it.
fn every_page() -> Vec<ScanPage> {
    let evil = || "<script>alert(1)</script>\"'&".to_owned();
    let news = News { state: "waiting", code: evil(), number: Some(evil()) };
    let shown = CodePage {
        news,
        picture: format!("data:{}", evil()),
        events: evil(),
        fresh: evil(),
        done: evil(),
        wait: evil(),
        again: evil(),
    };
    let asked = ConfirmPage {
        browser: Browser::of(&HeaderMap::new()),
        desktop: None,
        phone: None,
        numbers: [1, 2, 3].map(|number| (number, evil())),
        cancel: evil(),
    };
    let pages = vec![
        ScanPage::Code(shown),
        ScanPage::Refused { verdict: Verdict::WrongNumber, again: evil() },
        ScanPage::Over { again: evil() },
        ScanPage::Confirm(asked),
        ScanPage::Decided(Verdict::Confirmed(SessionId::new())),
        ScanPage::Taken,
        ScanPage::Expired,
        ScanPage::Unknown,
        ScanPage::InWeChat,
        ScanPage::CrossSite { back: evil() },
    ];
    // A page that is missing here does not compile.
    let place = |page: &ScanPage| match page {
        ScanPage::Code(_) => 0,
        ScanPage::Refused { .. } => 1,
        ScanPage::Over { .. } => 2,
        ScanPage::Confirm(_) => 3,
        ScanPage::Decided(_) => 4,
        ScanPage::Taken => 5,
        ScanPage::Expired => 6,
        ScanPage::Unknown => 7,
        ScanPage::InWeChat => 8,
        ScanPage::CrossSite { .. } => 9,
    };
    assert!(pages.iter().map(place).eq(0..10));
    pages
}

#[test]
fn c53_every_page_of_both_screens_is_inert_and_says_what_may_be_done_with_it() {
    let (gate, _) = gate();
    for page in every_page() {
        let view = page.view(Tongue::English, "h5.example.com", "bm9uY2U");
        let (is_live, has_form) = (view.live.is_some(), matches!(page, ScanPage::Confirm(_)));
        let html = gate.look().pages.render(&view);
        // The page's own script, whose data is in an attribute.
        let scripts = html.matches("<script nonce=\"bm9uY2U\">").count();
        assert_eq!((scripts, html.matches("<script").count()), (is_live.into(), is_live.into()));
        let text = html.split("<script").next().unwrap();
        assert!(!text.contains("alert(1)<") && !text.contains("\"'&"), "{page:?} {text}");
        let answer = gate.look().page(page.status(), &view);
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        let policy = header("content-security-policy");
        for part in ["default-src 'none'; style-src 'nonce-bm9uY2U';", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{page:?} {policy}");
        }
        assert_eq!(policy.contains("script-src 'nonce-bm9uY2U'; connect-src 'self';"), is_live);
        assert_eq!(policy.contains("script-src"), is_live, "{page:?} {policy}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("x-frame-options"), "DENY");
        assert!(header("cache-control").contains("no-store"));
        let referrer = if has_form { "same-origin" } else { "no-referrer" };
        assert_eq!(header("referrer-policy"), referrer, "{page:?}");
    }
}
