//! Mini-programs: codes, session keys, and what is signed and encrypted with them.

use aes::cipher::{BlockModeDecrypt as _, KeyIvInit as _, block_padding::Pkcs7};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};
use wxgate::simulator::TellError;

use super::*;

const MINI: &str = "wx2222222222222222";
const CODE2SESSION: &str = "/sns/jscode2session";
const CHECKSESSION: &str = "/wxa/checksession";

impl Visit {
    fn phone(&self, user: &str) -> wxgate::simulator::MiniProgramPhone {
        self.sim.mini_program(user, MINI).expect("a mini-program")
    }

    async fn code2session(&self, code: &str) -> Value {
        self.api(CODE2SESSION, &session_query(code)).await
    }

    /// Signs in with the phone: openid, unionid and session key.
    async fn mini_session(&self, user: &str) -> Value {
        let session = self.code2session(&self.phone(user).login()).await;
        assert!(session["errcode"].is_null(), "{session}");
        session
    }

    /// Asks the simulator over HTTP as a script does.
    async fn control(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let url = format!("{}/_simulator/{path}", self.sim.url());
        let answer = self.post(&url, &body.to_string()).await;
        let status = answer.status();
        let body = answer.bytes().await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }
}

fn session_query(code: &str) -> String {
    let secret = "2".repeat(32);
    format!("appid={MINI}&secret={secret}&js_code={code}&grant_type=authorization_code")
}

fn open(session_key: &str, sealed: &Value) -> Option<Value> {
    let decode = |text: &str| STANDARD.decode(text).expect("base64");
    let key = decode(session_key);
    let iv = decode(text(sealed, "iv"));
    let cipher = cbc::Decryptor::<aes::Aes128>::new_from_slices(&key, &iv).expect("16 bytes");
    let plain = cipher.decrypt_padded_vec::<Pkcs7>(&decode(text(sealed, "encryptedData"))).ok()?;
    serde_json::from_slice(&plain).ok()
}

fn sha1_hex(text: &str) -> String {
    hex(&Sha1::digest(text))
}

#[tokio::test]
async fn a_code_becomes_an_openid_and_a_session_key_once() {
    let visit = Visit::start().await;
    let who = json!({ "user": "alice", "appid": MINI });
    let (status, login) = visit.control("mini-program", &who).await;
    assert_eq!(status, StatusCode::OK, "{login}");
    let code = text(&login, "js_code");
    let url = format!("{}{CODE2SESSION}", visit.sim.url());
    let body = visit.post(&url, &session_query(code)).await.text().await.expect("a body");
    let session: Value = serde_json::from_str(&body).expect("JSON");
    let alice = visit.sim.world().user("alice").expect("alice");
    let (key, openid) = (text(&session, "session_key"), alice.openid(MINI));
    let unionid = alice.unionid().expect("a unionid");
    assert_eq!(
        body,
        format!(r#"{{"session_key":"{key}","openid":"{openid}","unionid":"{unionid}"}}"#)
    );
    assert_eq!(STANDARD.decode(key).map(|key| key.len()), Ok(16));
    assert_ne!(openid, alice.openid(APPID));
    assert_eq!(visit.code2session(code).await["errcode"], 40163);

    let dave = visit.mini_session("dave").await;
    assert!(dave["unionid"].is_null(), "{dave}");
}

#[tokio::test]
async fn every_mistake_with_a_code_has_its_errcode() {
    let visit = Visit::start().await;
    let code = visit.phone("alice").login();
    let good = session_query(&code);
    let table = [
        (good.replace(MINI, ""), 41002),
        (good.replace(MINI, APPID), 40013),
        (good.replace(&"2".repeat(32), ""), 41004),
        (good.replace(&"2".repeat(32), "2"), 40125),
        (good.replace("authorization_code", "code"), 40002),
        (good.replace(&code, ""), 41008),
        (good.replace(&code, "nonsense"), 40029),
    ];
    for (query, errcode) in table {
        let answer = visit.api(CODE2SESSION, &query).await;
        assert_eq!(answer["errcode"], errcode, "{query}");
        assert!(text(&answer, "errmsg").contains(", rid: "), "{answer}");
    }
    // An official account's code is none of a mini-program, and the other way round.
    let authorized = visit.code("alice", "snsapi_base").await;
    assert_eq!(visit.code2session(&authorized).await["errcode"], 40029);
    assert_eq!(visit.exchange(&code).await["errcode"], 40029);

    visit.sim.fault(Fault::CodeBlocked, 1);
    visit.sim.fault(Fault::BusyKeepsCode, 1);
    visit.sim.fault(Fault::MinuteQuota, 1);
    let errcodes = [45011, -1, 40226];
    for errcode in errcodes {
        assert_eq!(visit.api(CODE2SESSION, &good).await["errcode"], errcode);
    }
    assert!(visit.api(CODE2SESSION, &good).await["openid"].is_string());

    let late = visit.phone("alice").login();
    visit.sim.advance(Duration::from_secs(5 * 60));
    assert_eq!(visit.code2session(&late).await["errcode"], 40029);
    visit.sim.fault(Fault::BusyBurnsCode, 1);
    let burned = visit.phone("alice").login();
    assert_eq!(visit.code2session(&burned).await["errcode"], -1);
    assert_eq!(visit.code2session(&burned).await["errcode"], 40163);
}

#[tokio::test]
async fn a_switch_limits_how_often_somebody_signs_in() {
    let world = include_str!("../../../src/simulator/builtin.toml");
    let limited = format!("{world}\n[switches]\ncode2sessions_per_minute = 2\n");
    let visit = Visit::in_world(&limited).await;
    visit.mini_session("alice").await;
    visit.mini_session("alice").await;
    let third = visit.code2session(&visit.phone("alice").login()).await;
    assert_eq!(third["errcode"], 45011);
    visit.mini_session("bob").await;
    visit.sim.advance(Duration::from_secs(60));
    visit.mini_session("alice").await;
}

#[tokio::test]
async fn user_data_is_signed_and_encrypted_with_the_current_key() {
    let visit = Visit::start().await;
    let who = json!({ "user": "alice", "appid": MINI });
    let early = visit.control("mini-program/user-data", &who).await;
    assert_eq!(early.0, StatusCode::BAD_REQUEST);
    assert!(text(&early.1, "error").contains("exchange a js_code first"), "{early:?}");

    let session = visit.mini_session("alice").await;
    let key = text(&session, "session_key");
    let (status, data) = visit.control("mini-program/user-data", &who).await;
    assert_eq!(status, StatusCode::OK);
    let raw = text(&data, "rawData");
    assert_eq!(text(&data, "signature"), sha1_hex(&format!("{raw}{key}")));
    let profile: Value = serde_json::from_str(raw).expect("JSON");
    assert_eq!(profile["nickName"], "爱丽丝🌸");
    let whole = open(key, &data).expect("it opens");
    assert_eq!(whole["nickName"], "爱丽丝🌸");
    assert_eq!((&whole["openId"], &whole["unionId"]), (&session["openid"], &session["unionid"]));
    let now = visit.sim.requests().pop().expect("a request").at / 1000;
    assert_eq!(whole["watermark"]["appid"], MINI);
    assert!(whole["watermark"]["timestamp"].as_u64().expect("a time").abs_diff(now) <= 2);

    // The next sign-in changes the key, here and for nobody else.
    let bob = visit.mini_session("bob").await;
    let next = visit.mini_session("alice").await;
    let (_, data) = visit.control("mini-program/user-data", &who).await;
    assert!(open(key, &data).is_none());
    assert!(open(text(&next, "session_key"), &data).is_some());
    let bobs = serde_json::to_value(visit.phone("bob").user_data().expect("a session"));
    assert!(open(text(&bob, "session_key"), &bobs.expect("JSON")).is_some());
}

#[tokio::test]
async fn a_phone_number_is_encrypted_too_and_abroad_it_has_its_country() {
    let world = include_str!("../../../src/simulator/builtin.toml");
    let abroad = world.replace("name = \"bob\"", "name = \"bob\"\nphone = \"+852 91234567\"");
    let visit = Visit::in_world(&abroad).await;
    let table = [("alice", "86", ""), ("bob", "852", "+852")];
    for (user, country, before) in table {
        let session = visit.mini_session(user).await;
        let who = json!({ "user": user, "appid": MINI });
        let (status, data) = visit.control("mini-program/phone", &who).await;
        assert_eq!(status, StatusCode::OK);
        let phone = open(text(&session, "session_key"), &data).expect("it opens");
        let pure = text(&phone, "purePhoneNumber");
        assert_eq!(text(&phone, "phoneNumber"), format!("{before}{pure}"));
        assert_eq!(phone["countryCode"], country);
        assert_eq!(phone["watermark"]["appid"], MINI);
    }
}

#[tokio::test]
async fn what_a_phone_sends_can_be_wrong_for_once() {
    let visit = Visit::start().await;
    let session = visit.mini_session("alice").await;
    let key = text(&session, "session_key");
    let phone = visit.phone("alice");
    visit.sim.fault(Fault::BadSignature, 1);
    let bad = phone.user_data().expect("a session");
    let good = phone.user_data().expect("a session");
    assert_eq!(bad.raw_data, good.raw_data);
    assert_ne!(bad.signature, good.signature);
    assert_eq!(good.signature, sha1_hex(&format!("{}{key}", good.raw_data)));

    let opened = |sealed: Value| open(key, &sealed).expect("it opens")["watermark"].clone();
    visit.sim.fault(Fault::ForeignWatermark, 1);
    visit.sim.fault(Fault::OldWatermark, 1);
    let wrong = phone.phone_number().expect("a session");
    let wrong = opened(serde_json::to_value(wrong).expect("JSON"));
    let right = phone.user_data().expect("a session");
    let right = opened(serde_json::to_value(right).expect("JSON"));
    assert_ne!(wrong["appid"], MINI);
    assert_eq!(right["appid"], MINI);
    let time = |watermark: &Value| watermark["timestamp"].as_u64().expect("a time");
    assert!(time(&right).abs_diff(time(&wrong) + 2 * 24 * 60 * 60) <= 1, "{wrong} {right}");
}

#[tokio::test]
async fn a_server_can_ask_whether_its_key_is_the_current_one() {
    let visit = Visit::start().await;
    let secret = "2".repeat(32);
    let query = format!("grant_type=client_credential&appid={MINI}&secret={secret}");
    let token = visit.cgi("/cgi-bin/token", &query).await;
    let token = text(&token, "access_token");
    let openid = visit.sim.world().user("alice").expect("alice").openid(MINI);
    // HMAC-SHA256 of nothing, by another implementation than the simulator's.
    let sign = |key: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
        let tag = ring::hmac::sign(&key, b"");
        hex(tag.as_ref())
    };
    let check = async |openid: &str, key: &str, method: &str| {
        let query = format!(
            "access_token={token}&openid={openid}&signature={}&sig_method={method}",
            sign(key)
        );
        visit.cgi(CHECKSESSION, &query).await["errcode"].clone()
    };
    assert_eq!(check(&openid, "", "hmac_sha256").await, 87009);
    let first = visit.mini_session("alice").await;
    let first = text(&first, "session_key");
    assert_eq!(check(&openid, first, "hmac_sha256").await, 0);
    assert_eq!(check(&openid, first, "md5").await, 40097);
    assert_eq!(check("o", first, "hmac_sha256").await, 40003);
    let second = visit.mini_session("alice").await;
    assert_eq!(check(&openid, first, "hmac_sha256").await, 87009);
    assert_eq!(check(&openid, text(&second, "session_key"), "hmac_sha256").await, 0);
}

#[tokio::test]
async fn a_phone_needs_a_person_and_a_mini_program() {
    let visit = Visit::start().await;
    let error = |user: &str, appid: &str| visit.sim.mini_program(user, appid).expect_err("none");
    assert_eq!(error("mallory", MINI), TellError::NoUser("mallory".to_owned()));
    assert_eq!(error("alice", "wx0"), TellError::NoAccount("wx0".to_owned()));
    let told = error("alice", APPID).to_string();
    assert_eq!(told, format!("the account {APPID:?} is no mini-program"));
    let nothing = visit.control("mini-program", &json!({ "user": "alice" })).await;
    assert_eq!(nothing.0, StatusCode::BAD_REQUEST);
    // Nor can a mini-program ask on a page.
    let page = visit.authorize_url("snsapi_base").replace(APPID, MINI);
    let page = visit.get(&page).await.text().await.expect("a page");
    assert!(page.contains("错误码:10005"), "{page}");
    assert!(visit.sim.mini_program("alice", MINI).is_ok());
}
