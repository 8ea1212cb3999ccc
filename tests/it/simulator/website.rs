//! Website applications: a QR code on a desktop, the phone that scans it, and the sign-in that comes of it.

use super::*;

const WEBSITE: &str = "wx1111111111111111";
const AS_ALICE: (&str, &str) = ("x-simulator-user", "alice");

impl Visit {
    fn qrconnect_url(&self) -> String {
        let callback: String = url::form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect();
        format!(
            "{}/connect/qrconnect?appid={WEBSITE}&redirect_uri={callback}&response_type=code&scope=snsapi_login&state=s1",
            self.sim.url()
        )
    }

    async fn website_exchange(&self, code: &str) -> Value {
        let secret = "1".repeat(32);
        let query =
            format!("appid={WEBSITE}&secret={secret}&code={code}&grant_type=authorization_code");
        self.api(EXCHANGE, &query).await
    }

    /// The page, and the uuid of its QR code.
    async fn qr_page(&self, url: &str) -> (String, String) {
        let answer = self.get(url).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let page = answer.text().await.expect("a page");
        let (_, rest) = page.split_once("src=\"/connect/qrcode/").expect("a QR code");
        let uuid = rest.split('"').next().expect("a uuid").to_owned();
        (page, uuid)
    }

    /// The `wx_errcode` and the `wx_code` of a long poll.
    async fn poll(&self, uuid: &str, last: &str) -> (String, String) {
        let base = self.sim.url();
        let answer = self.get(&format!("{base}/connect/l/qrconnect?uuid={uuid}&_=1{last}")).await;
        assert_eq!(answer.headers()["content-type"], "text/javascript");
        let body = answer.text().await.expect("a body");
        let rest = body.strip_prefix("window.wx_errcode=").expect("JavaScript");
        let (errcode, rest) = rest.split_once(";window.wx_code='").expect("JavaScript");
        let code = rest.strip_suffix("';").expect("JavaScript");
        (errcode.to_owned(), code.to_owned())
    }

    fn confirm_url(&self, uuid: &str) -> String {
        format!("{}/connect/confirm?uuid={uuid}", self.sim.url())
    }
}

/// Where the buttons of a page lead.
fn action(page: &str, base: &str, path: &str) -> String {
    let (_, rest) = page.split_once(" action=\"").expect("a form");
    let query = rest.split('"').next().expect("an action").replace("&#38;", "&");
    format!("{base}{path}{query}")
}

#[tokio::test]
async fn a_script_signs_in_to_a_website_and_is_another_openid_with_the_same_unionid() {
    let visit = Visit::start().await;
    let answer = visit.get_with(&visit.qrconnect_url(), &[AS_ALICE]).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
    let code = code_in(location(&answer));
    assert_eq!(location(&answer), format!("{CALLBACK}?code={code}&state=s1"));

    let token = visit.website_exchange(&code).await;
    let alice = visit.sim.world().user("alice").expect("alice");
    assert_eq!(text(&token, "scope"), "snsapi_login");
    assert_eq!(token["openid"], alice.openid(WEBSITE));
    assert_ne!(token["openid"], alice.openid(APPID));
    assert_eq!(token["unionid"], json!(alice.unionid()));
    let user = visit.about("/sns/userinfo", &token).await;
    assert_eq!(user["nickname"], "爱丽丝🌸");
    assert_eq!(user["unionid"], token["unionid"]);
    let official = visit.signed_in("alice", "snsapi_userinfo").await;
    assert_eq!(official["unionid"], token["unionid"]);
    assert_eq!(visit.website_exchange(&code).await["errcode"], 40163);

    // A desktop has no snapshot pages.
    let carol = visit.get_with(&visit.qrconnect_url(), &[("x-simulator-user", "carol")]).await;
    let token = visit.website_exchange(&code_in(location(&carol))).await;
    assert!(token["is_snapshotuser"].is_null(), "{token}");
}

#[tokio::test]
async fn a_refusal_is_a_state_alone_or_silence_on_a_desktop_too() {
    let visit = Visit::start().await;
    let url = visit.qrconnect_url();
    let with = async |consent: &str| {
        visit.get_with(&url, &[AS_ALICE, ("x-simulator-consent", consent)]).await
    };
    assert_eq!(location(&with("deny").await), format!("{CALLBACK}?state=s1"));
    assert_eq!(with("silence").await.status(), StatusCode::OK);
    assert_eq!(with("perhaps").await.status(), StatusCode::BAD_REQUEST);
    let unknown = visit.get_with(&url, &[("x-simulator-user", "mallory")]).await;
    assert_eq!(unknown.status(), StatusCode::BAD_REQUEST);

    visit.sim.fault(Fault::DenyStateOnly, 1);
    assert_eq!(location(&with("allow").await), format!("{CALLBACK}?state=s1"));
    visit.sim.faults([FaultSwitch::new(Fault::TwinNewCode, 1).path("/connect/qrconnect")]);
    assert_eq!(visit.code("alice", "snsapi_base").await.len(), 32);
    let twins = with("allow").await;
    let twin = twins.headers()["x-simulator-twin"].to_str().expect("ASCII");
    assert_ne!(code_in(twin), code_in(location(&twins)));
}

#[tokio::test]
async fn a_wrong_link_to_the_qr_page_is_an_error_page() {
    let visit = Visit::start().await;
    let good = visit.qrconnect_url();
    let table = [
        (WEBSITE, APPID, "Scope 参数错误或没有 Scope 权限"),
        ("snsapi_login", "snsapi_base", "Scope 参数错误或没有 Scope 权限"),
        ("127.0.0.1%3A1%2F", "evil.example%2F", "redirect_uri 参数错误"),
        (WEBSITE, "wx0", "appid 参数错误"),
    ];
    for (part, instead, expected) in table {
        let url = good.replacen(part, instead, 1);
        assert_ne!(url, good);
        let answer = visit.get_with(&url, &[AS_ALICE]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let page = answer.text().await.expect("a body");
        assert!(page.contains(expected), "{expected} is not in {page}");
    }
    // And a website cannot ask inside WeChat.
    let inside = visit.authorize_url("snsapi_base").replace(APPID, WEBSITE);
    let page = visit.get(&inside).await.text().await.expect("a page");
    assert!(page.contains("错误码:10016"), "{page}");
    let (_, uuid) = visit.qr_page(&format!("{good}{}", "s".repeat(500))).await;
    assert_eq!(uuid.len(), 16);
}

#[tokio::test]
async fn the_page_hears_of_the_phone_by_its_long_poll() {
    let visit = Visit::start().await;
    let (page, uuid) = visit.qr_page(&visit.qrconnect_url()).await;
    assert!(page.contains(&format!("data-before=\"{CALLBACK}?code=\"")), "{page}");
    let picture = visit.get(&format!("{}/connect/qrcode/{uuid}", visit.sim.url())).await;
    assert_eq!(picture.headers()["content-type"], "image/svg+xml");
    assert!(picture.text().await.expect("a picture").contains("<svg"));

    // Another device: it has cookies of its own.
    let phone = Visit { http: client(), sim: Simulator::start().await };
    let url = visit.confirm_url(&uuid);
    let picker = phone.get(&url).await.text().await.expect("a page");
    assert!(picker.contains("id=\"user-bob\"") && !picker.contains("from-menu"), "{picker}");
    let (scanned, chosen) = tokio::join!(visit.poll(&uuid, ""), async {
        assert_eq!(phone.post(&url, "user=bob").await.status(), StatusCode::SEE_OTHER);
        phone.get(&url).await.text().await.expect("a page")
    });
    assert!(chosen.contains("id=\"allow\""), "{chosen}");
    assert_eq!(scanned.0, "404");
    let (confirmed, done) = tokio::join!(visit.poll(&uuid, "&last=404"), async {
        phone.post(&url, "consent=allow").await.text().await.expect("a page")
    });
    assert!(done.contains("已确认登录"), "{done}");
    assert_eq!(confirmed.0, "405");
    let polled = visit.sim.requests();
    let polled = polled.iter().rfind(|one| one.path == "/connect/l/qrconnect").expect("a poll");
    assert_eq!(polled.errcode, Some(405));
    let token = visit.website_exchange(&confirmed.1).await;
    let bob = visit.sim.world().user("bob").expect("bob");
    assert_eq!(token["openid"], bob.openid(WEBSITE));
    // Nobody can scan it again.
    let again = phone.get(&url).await.text().await.expect("a page");
    assert!(again.contains("二维码已过期"), "{again}");
}

#[tokio::test]
async fn a_phone_that_is_a_script_confirms_at_once_or_cancels() {
    let visit = Visit::start().await;
    let (_, first) = visit.qr_page(&visit.qrconnect_url()).await;
    let (_, second) = visit.qr_page(&visit.qrconnect_url()).await;
    assert_ne!(first, second);
    visit.get_with(&visit.confirm_url(&first), &[AS_ALICE]).await;
    assert_eq!(visit.poll(&first, "").await.0, "405");
    let deny = [AS_ALICE, ("x-simulator-consent", "deny")];
    let page = visit.get_with(&visit.confirm_url(&second), &deny).await;
    assert!(page.text().await.expect("a page").contains("已取消登录"));
    assert_eq!(visit.poll(&second, "&last=404").await, ("403".to_owned(), String::new()));

    // Silence: scanned, and nothing more.
    let (_, third) = visit.qr_page(&visit.qrconnect_url()).await;
    let silence = [AS_ALICE, ("x-simulator-consent", "silence")];
    visit.get_with(&visit.confirm_url(&third), &silence).await;
    assert_eq!(visit.poll(&third, "").await.0, "404");
    let (expired, ()) = tokio::join!(visit.poll(&third, "&last=404"), async {
        visit.sim.advance(Duration::from_secs(5 * 60));
    });
    assert_eq!(expired.0, "402");
    let page = visit.get_with(&visit.confirm_url(&third), &[AS_ALICE]).await;
    assert!(page.text().await.expect("a page").contains("二维码已过期"));
    assert_eq!(visit.poll("unknown", "").await.0, "402");
}

#[tokio::test]
async fn the_page_plays_the_phone_too() {
    let visit = Visit::start().await;
    let url = visit.qrconnect_url();
    let base = visit.sim.url();
    let (page, uuid) = visit.qr_page(&url).await;
    let form = action(&page, &base, "/connect/qrconnect");
    let scanned = visit.post(&form, "user=alice").await;
    assert_eq!(scanned.status(), StatusCode::SEE_OTHER);
    assert_eq!(visit.poll(&uuid, "").await.0, "404");
    let sheet = visit.get(&format!("{base}{}", location(&scanned))).await;
    let sheet = sheet.text().await.expect("a page");
    assert!(sheet.contains("id=\"allow\"") && sheet.contains("爱丽丝"), "{sheet}");
    assert_eq!(action(&sheet, &base, "/connect/qrconnect"), form);

    // Somebody else after all.
    visit.post(&form, "switch=1").await;
    let (_, same) = visit.qr_page(&form).await;
    assert_eq!(same, uuid);
    // Without a scan nothing is allowed.
    let early = visit.post(&form, "consent=allow").await;
    assert_eq!(early.status(), StatusCode::SEE_OTHER);
    visit.post(&form, "user=bob").await;
    let allowed = visit.post(&form, "consent=allow").await;
    assert_eq!(allowed.status(), StatusCode::FOUND);
    let token = visit.website_exchange(&code_in(location(&allowed))).await;
    let bob = visit.sim.world().user("bob").expect("bob");
    assert_eq!(token["openid"], bob.openid(WEBSITE));

    // The QR code is used up: another tap, or the Back key, leads to another one.
    assert_eq!(visit.poll(&uuid, "").await.0, "402");
    let late = visit.post(&form, "consent=allow").await;
    assert_eq!(late.status(), StatusCode::SEE_OTHER);
    assert_eq!(format!("{base}{}", location(&late)), url);
    let (page, another) = visit.qr_page(&form).await;
    assert_ne!(another, uuid);
    let form = action(&page, &base, "/connect/qrconnect");
    visit.post(&form, "user=alice").await;
    let denied = visit.post(&form, "consent=deny").await;
    assert_eq!(location(&denied), format!("{CALLBACK}?state=s1"));
}
