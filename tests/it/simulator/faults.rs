//! Everything that the simulator can be told to do wrong.

use super::*;

#[tokio::test]
async fn a_busy_platform_burns_the_code_or_keeps_it() {
    let visit = Visit::start().await;
    visit.sim.fault(Fault::BusyKeepsCode, 1);
    let code = visit.code("alice", "snsapi_base").await;
    assert_eq!(visit.exchange(&code).await["errcode"], -1);
    assert_eq!(text(&visit.exchange(&code).await, "scope"), "snsapi_base");

    visit.sim.fault(Fault::BusyBurnsCode, 1);
    let code = visit.code("alice", "snsapi_base").await;
    assert_eq!(visit.exchange(&code).await["errcode"], -1);
    assert_eq!(visit.exchange(&code).await["errcode"], 40163);
}

#[tokio::test]
async fn a_dropped_answer_is_a_closed_connection_and_a_used_code() {
    let visit = Visit::start().await;
    let code = visit.code("alice", "snsapi_base").await;
    visit.sim.fault(Fault::Drop, 1);
    let url = format!(
        "{}{EXCHANGE}?appid={APPID}&secret={SECRET}&code={code}&grant_type=authorization_code",
        visit.sim.url()
    );
    let error = visit.http.get(&url).send().await.expect_err("no answer");
    assert!(error.is_request(), "{error:?}");
    let dropped = visit.sim.requests().pop().expect("a request");
    assert_eq!((dropped.status, dropped.errcode), (0, None));
    assert_eq!(visit.exchange(&code).await["errcode"], 40163);
}

#[tokio::test]
async fn a_slow_answer_comes_too_late_for_its_client() {
    let visit = Visit::start().await;
    let code = visit.code("alice", "snsapi_base").await;
    let slow = FaultSwitch::new(Fault::Slow, 1).ms(600_000).path(EXCHANGE);
    visit.sim.faults([slow]);
    let url = format!(
        "{}{EXCHANGE}?appid={APPID}&secret={SECRET}&code={code}&grant_type=authorization_code",
        visit.sim.url()
    );
    let impatient = visit.http.get(&url).timeout(Duration::from_millis(300));
    let error = impatient.send().await.expect_err("too late");
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(visit.exchange(&code).await["errcode"], 40163);
}

#[tokio::test]
async fn quotas_are_errors_that_do_nothing() {
    let visit = Visit::start().await;
    let code = visit.code("alice", "snsapi_base").await;
    visit.sim.fault(Fault::Quota, 1);
    visit.sim.fault(Fault::MinuteQuota, 1);
    assert_eq!(visit.exchange(&code).await["errcode"], 45009);
    assert_eq!(visit.exchange(&code).await["errcode"], 45011);
    assert_eq!(text(&visit.exchange(&code).await, "scope"), "snsapi_base");
}

#[tokio::test]
async fn profiles_can_be_malformed() {
    let visit = Visit::start().await;
    let token = visit.signed_in("alice", "snsapi_userinfo").await;
    let url = format!(
        "{}/sns/userinfo?access_token={}&openid={}",
        visit.sim.url(),
        text(&token, "access_token"),
        text(&token, "openid")
    );
    let body = async || visit.get(&url).await.bytes().await.expect("a body");
    let has = |body: &[u8], part: &[u8]| body.windows(part.len()).any(|window| window == part);

    visit.sim.fault(Fault::ControlCharacters, 1);
    assert!(has(&body().await, b"\x14\x07\",\"sex\":0,"));
    visit.sim.fault(Fault::BrokenUtf8, 1);
    assert!(std::str::from_utf8(&body().await).is_err());
    visit.sim.fault(Fault::SexAsString, 1);
    assert!(has(&body().await, br#","sex":"1","#));
    let whole = body().await;
    assert!(serde_json::from_slice::<Value>(&whole).is_ok());
    assert!(has(&whole, br#""headimgurl":"http:\/\/127.0.0.1"#));
}

#[tokio::test]
async fn a_user_can_lack_the_unionid_or_be_a_snapshot_for_once() {
    let visit = Visit::start().await;
    visit.sim.fault(Fault::NoUnionid, 1);
    let token = visit.signed_in("alice", "snsapi_userinfo").await;
    assert!(token["unionid"].is_null(), "{token}");
    let user = visit.about("/sns/userinfo", &token).await;
    assert!(user["unionid"].is_null(), "{user}");

    visit.sim.fault(Fault::Snapshot, 1);
    let flagged = visit.signed_in("alice", "snsapi_userinfo").await;
    visit.sim.fault(Fault::SnapshotUnflagged, 1);
    let unflagged = visit.signed_in("alice", "snsapi_userinfo").await;
    let usual = visit.signed_in("alice", "snsapi_userinfo").await;
    assert_eq!(flagged["is_snapshotuser"], 1);
    assert!(unflagged["is_snapshotuser"].is_null(), "{unflagged}");
    assert_eq!(flagged["openid"], unflagged["openid"]);
    assert_ne!(usual["openid"], unflagged["openid"]);
    assert!(usual["unionid"].is_string(), "{usual}");
}

#[tokio::test]
async fn a_twin_has_the_same_code_or_another() {
    let visit = Visit::start().await;
    visit.sim.fault(Fault::TwinSameCode, 1);
    let answer = visit.authorized("alice", "snsapi_base").await;
    assert_eq!(answer.headers()["x-simulator-twin"], location(&answer));

    visit.sim.fault(Fault::TwinNewCode, 1);
    let answer = visit.authorized("alice", "snsapi_base").await;
    let twin = answer.headers()["x-simulator-twin"].to_str().expect("ASCII");
    assert_ne!(twin, location(&answer));
    for url in [twin, location(&answer)] {
        let token = visit.exchange(&code_in(url)).await;
        assert_eq!(text(&token, "scope"), "snsapi_base");
    }

    let answer = visit.authorized("alice", "snsapi_base").await;
    assert!(answer.headers().get("x-simulator-twin").is_none());
}

#[tokio::test]
async fn a_browser_gets_a_page_that_opens_the_callback_twice() {
    let visit = Visit::start().await;
    visit.sim.fault(Fault::TwinNewCode, 1);
    let url = visit.authorize_url("snsapi_base");
    let browser = [("x-simulator-user", "alice"), ("sec-fetch-mode", "navigate")];
    let answer = visit.get_with(&url, &browser).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let page = answer.text().await.expect("a page");
    assert_eq!(page.matches("/cb?code=").count(), 3, "{page}");
    let answer = visit.get_with(&url, &browser).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn a_replay_comes_three_hours_later_without_cookies() {
    let visit = Visit::start().await;
    let site = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = site.local_addr().expect("an address").port();
    let heard = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = site.accept().await.expect("a connection");
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.expect("a request");
        let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("a reader");
        String::from_utf8_lossy(&request[..length]).into_owned()
    });

    visit.sim.fault(Fault::ReplayLater, 1);
    let url = visit.authorize_url("snsapi_base");
    let url = url.replace("127.0.0.1%3A1%2F", &format!("127.0.0.1%3A{port}%2F"));
    let answer = visit.get_with(&url, &[("x-simulator-user", "alice")]).await;
    let code = code_in(location(&answer));
    visit.sim.advance(Duration::from_secs(179 * 60));
    visit.sim.settle().await;
    assert_eq!(visit.sim.requests().len(), 1);

    visit.sim.advance(Duration::from_secs(120));
    visit.sim.settle().await;
    let request = heard.await.expect("a request");
    assert!(request.starts_with(&format!("GET /cb?code={code}&state=s1 ")), "{request}");
    assert!(!request.to_ascii_lowercase().contains("cookie"), "{request}");
    let replay = visit.sim.requests().pop().expect("the replay");
    assert_eq!((&*replay.method, replay.status), ("REPLAY", 400));
    assert_eq!(replay.path, format!("http://127.0.0.1:{port}/cb"));
}

#[tokio::test]
async fn w13_a_replay_goes_nowhere_but_to_loopback() {
    let world = include_str!("../../../src/simulator/builtin.toml");
    // 192.0.2.0/24 is for documentation: nobody is there.
    let visit = Visit::in_world(&world.replace("\"localhost\"", "\"192.0.2.1\"")).await;
    visit.sim.fault(Fault::ReplayLater, 2);
    let url = visit.authorize_url("snsapi_base");
    for host in ["127.0.0.1", "192.0.2.1"] {
        let url = url.replace("127.0.0.1%3A1%2F", &format!("{host}%3A1%2F"));
        visit.get_with(&url, &[("x-simulator-user", "alice")]).await;
        visit.sim.advance(HOUR * 3);
        visit.sim.settle().await;
    }
    let replays: Vec<_> =
        visit.sim.requests().into_iter().filter(|one| one.method.starts_with("REPLAY")).collect();
    assert_eq!(replays[0].method, "REPLAY", "{replays:?}");
    assert_eq!(replays[1].method, "REPLAY_REFUSED", "{replays:?}");
    assert_eq!(replays[1].path, "http://192.0.2.1:1/cb");
}
