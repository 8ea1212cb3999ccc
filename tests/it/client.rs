//! The client against answers of every shape, and against hosts that misbehave.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, response::IntoResponse};
use http::{StatusCode, Uri};
use serde_json::Value;
use wxgate::{
    Code, Scope,
    secret::{RefreshToken, UserToken},
    simulator::{Fault, FaultSwitch, Simulator},
    wechat::{
        AnswerFault, Backoff, Client, Endpoints, ErrCode, Error, Grant, Kind, Lang, OpenId, Rid,
        Userinfo,
    },
};

use crate::world;

pub const OPENID: &str = "o6_bmjrPTlm6_2sgVt7hMZOPfL2M";

pub fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wechat").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A host that answers everything with one body, as WeChat does.
pub async fn host(body: impl Into<Vec<u8>>) -> String {
    let body = body.into();
    answering(move |_| {
        (StatusCode::OK, [("content-type", "text/plain")], body.clone()).into_response()
    })
    .await
}

pub async fn answering<F>(answer: F) -> String
where
    F: Fn(Uri) -> axum::response::Response + Clone + Send + Sync + 'static,
{
    let router = Router::new().fallback(move |uri: Uri| async move { answer(uri) });
    format!("http://{}", world::serve(router).await)
}

pub fn client(hosts: &[&str]) -> Client {
    let endpoints = Endpoints::default().with_api(hosts).unwrap();
    let backoff = Backoff { tries: 3, first: Duration::from_millis(1) };
    Client::builder(endpoints).backoff(backoff).timeout(Duration::from_millis(500)).build()
}

async fn exchange(client: &Client) -> Result<Grant, Error> {
    client.exchange(&world::account(), &Code::new("071AdBVI1ZHOd509MKUI1jwjVI1AdBVV")).await
}

async fn userinfo(client: &Client) -> Result<Userinfo, Error> {
    let openid = OpenId::parse(OPENID).unwrap();
    client.userinfo(&UserToken::new("75_token"), &openid, Lang::ZhCn).await
}

async fn exchanged(name: &str) -> Result<Grant, Error> {
    exchange(&client(&[&host(fixture(name)).await])).await
}

async fn described(name: &str) -> Result<Userinfo, Error> {
    userinfo(&client(&[&host(fixture(name)).await])).await
}

#[tokio::test]
async fn w08_every_shape_of_a_grant_is_read() {
    let base = exchanged("grant-base.json").await.unwrap();
    assert_eq!((base.openid.as_str(), base.scope, base.unionid), (OPENID, Scope::Base, None));
    assert_eq!(base.expires_in, Duration::from_secs(7200));
    assert!(!base.is_snapshot_user);
    let full = exchanged("grant-userinfo.json").await.unwrap();
    assert_eq!(full.scope, Scope::Userinfo);
    assert_eq!(full.unionid.unwrap().as_str(), "ocMvos6NjeKLIBqg5Mr9QjxrP1FA");
    assert_eq!(full.access_token.expose(), "75_synthetic-access-token");
    assert_eq!(full.refresh_token.unwrap().expose(), "75_synthetic-refresh-token");
    assert!(exchanged("grant-snapshot.json").await.unwrap().is_snapshot_user);
    assert!(exchanged("grant-snapshot-flag-first.json").await.unwrap().is_snapshot_user);
    let strings = exchanged("grant-numbers-as-strings.json").await.unwrap();
    assert_eq!((strings.expires_in, strings.scope), (Duration::from_secs(7200), Scope::Userinfo));
    assert_eq!(exchanged("grant-two-scopes.json").await.unwrap().scope, Scope::Userinfo);
    assert!(exchanged("grant-errcode-zero.json").await.is_ok());
}

#[tokio::test]
async fn w08_every_shape_of_a_profile_is_read() {
    let user = described("userinfo.json").await.unwrap();
    assert_eq!((&*user.nickname, user.sex), ("小明😀", 0));
    let avatar = "https://thirdwx.qlogo.cn/mmopen/vi_32/synthetic/132";
    assert_eq!(user.headimgurl.as_deref(), Some(avatar));
    assert_eq!(described("userinfo-sex-string.json").await.unwrap().sex, 1);
    assert_eq!(
        described("userinfo-control-characters.json").await.unwrap().nickname,
        "小\u{14}明\u{7}"
    );
    let broken = described("userinfo-broken-utf8.json").await.unwrap().nickname;
    assert!(broken.starts_with('小') && broken.contains('\u{fffd}'), "{broken}");
    let bare = described("userinfo-bare.json").await.unwrap();
    assert_eq!((&*bare.nickname, bare.headimgurl, bare.unionid), ("", None, None));
    assert_eq!(described("userinfo-privileges.json").await.unwrap().privilege, ["chinaunicom"]);
    let other = described("userinfo-other-openid.json").await.unwrap_err();
    assert_eq!(*other.kind(), Kind::Answer(AnswerFault::OtherUser));
}

#[tokio::test]
async fn w09_every_shape_of_an_error_is_read_by_its_code() {
    for (name, code, rid) in [
        ("error-rid.json", 40163, Some("6206378a-793424c0-2e4091cc")),
        ("error-rid-without-comma.json", 40001, Some("65420000-793424c0-2e4091cc")),
        ("error-hints.json", 40163, Some("s3ClBa0052th26")),
        ("error-hint.json", 40029, Some("xxxx")),
        ("error-code-as-string.json", 40029, None),
        ("error-busy.json", -1, None),
        ("error-misleading-message.json", 40125, None),
    ] {
        let error = exchanged(name).await.unwrap_err();
        let Kind::Refused(errcode, found) = error.kind() else { panic!("{name}: {error}") };
        assert_eq!((errcode.number(), found.as_ref().map(Rid::as_str)), (code, rid), "{name}");
        assert!(error.to_string().contains(&code.to_string()), "{error}");
    }
}

#[tokio::test]
async fn w08_what_is_not_an_answer_of_wechat_s_is_an_error() {
    for name in [
        "not-an-object.json",
        "not-json.html",
        "grant-without-openid.json",
        "grant-bad-openid.json",
        "empty.json",
    ] {
        let error = exchanged(name).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Answer(_)), "{name} {error}");
    }
}

#[tokio::test]
async fn every_fixture_is_read_by_some_test() {
    let source = concat!(
        include_str!("client.rs"),
        include_str!("client_account.rs"),
        include_str!("client_doors.rs")
    );
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wechat");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(source.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[tokio::test]
async fn c52_an_answer_of_more_than_64_kib_is_refused() {
    let padded = |length: usize| {
        let mut body = fixture("grant-base.json");
        body.resize(length, b' ');
        body
    };
    assert!(exchange(&client(&[&host(padded(64 * 1024)).await])).await.is_ok());
    let error = exchange(&client(&[&host(padded(64 * 1024 + 1)).await])).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Answer(AnswerFault::TooLarge));
}

#[tokio::test]
async fn c52_a_compressed_answer_is_not_unpacked() {
    let host = answering(|_| {
        let head = [("content-encoding", "gzip"), ("content-type", "text/plain")];
        (head, vec![0x1f, 0x8b, 8, 0]).into_response()
    })
    .await;
    let error = exchange(&client(&[&host])).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Answer(AnswerFault::NotAnObject));
    // What only says so of itself is read as it is, whatever it calls itself.
    let host = answering(|_| {
        let head = [("content-encoding", "gzip"), ("content-type", "image/png")];
        (head, fixture("grant-base.json")).into_response()
    })
    .await;
    assert!(exchange(&client(&[&host])).await.is_ok());
}

#[tokio::test]
async fn redirects_are_not_followed_and_other_statuses_are_refused() {
    let hits = Arc::<AtomicUsize>::default();
    let elsewhere = {
        let hits = hits.clone();
        answering(move |_| {
            hits.fetch_add(1, Ordering::SeqCst);
            fixture("grant-base.json").into_response()
        })
        .await
    };
    for status in [302, 307, 400, 404, 500, 502] {
        let location = elsewhere.clone();
        let host = answering(move |_| {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [("location", location.clone())], fixture("grant-base.json")).into_response()
        })
        .await;
        let error = exchange(&client(&[&host])).await.unwrap_err();
        assert_eq!(*error.kind(), Kind::Answer(AnswerFault::Status(status)));
    }
    assert_eq!(hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn w04_an_exchange_goes_to_the_next_host_only_while_nothing_was_sent() {
    let good = host(fixture("grant-base.json")).await;
    let dead = format!("http://{}", world::free_port());
    assert!(exchange(&client(&[&dead, &dead, &good])).await.is_ok());
    assert_eq!(*exchange(&client(&[&dead, &dead])).await.unwrap_err().kind(), Kind::Unreachable);

    // A host that takes the request and hangs up may have burned the code.
    let sim = Simulator::start().await;
    sim.fault(Fault::Drop, 1);
    let error = exchange(&client(&[&sim.url(), &good])).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Interrupted);
    assert_eq!(sim.count(world::EXCHANGE), 1);
}

#[tokio::test]
async fn a_host_that_answered_is_asked_first_the_next_time() {
    let good = host(fixture("grant-base.json")).await;
    let dead = world::free_port();
    let client = client(&[&format!("http://{dead}"), &good]);
    assert!(exchange(&client).await.is_ok());
    // Somebody else listens on the dead address by now, and is not asked.
    let listener = tokio::net::TcpListener::bind(dead).await.unwrap();
    assert!(exchange(&client).await.is_ok());
    tokio::select! {
        biased;
        _ = listener.accept() => panic!("the dead host was asked"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn w04_a_slow_exchange_times_out_and_is_not_repeated() {
    let sim = Simulator::start().await;
    sim.faults([FaultSwitch::new(Fault::Slow, 1).ms(60_000)]);
    let error = exchange(&client(&[&sim.url()])).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Interrupted);
    assert_eq!(sim.count(world::EXCHANGE), 1);
}

#[tokio::test]
async fn busy_is_asked_again_for_everything_but_an_exchange() {
    let busy_once = |good: &'static str| {
        let calls = Arc::<AtomicUsize>::default();
        let counted = calls.clone();
        let host = async move {
            answering(move |_| {
                let call = counted.fetch_add(1, Ordering::SeqCst);
                fixture(if call == 0 { "error-busy.json" } else { good }).into_response()
            })
            .await
        };
        (host, calls)
    };
    let (host, calls) = busy_once("userinfo.json");
    assert!(userinfo(&client(&[&host.await])).await.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 2);

    let (host, calls) = busy_once("grant-userinfo.json");
    let token = RefreshToken::new("75_refresh");
    assert!(client(&[&host.await]).refresh(&world::account(), &token).await.is_ok());
    assert_eq!(calls.load(Ordering::SeqCst), 2);

    let (host, calls) = busy_once("grant-base.json");
    let error = exchange(&client(&[&host.await])).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Refused(ErrCode::SYSTEM_BUSY, _)));
    assert_eq!(calls.load(Ordering::SeqCst), 1);

    let always = host_counting("error-busy.json").await;
    assert!(userinfo(&client(&[&always.0])).await.is_err());
    assert_eq!(always.1.load(Ordering::SeqCst), 3);
}

async fn host_counting(name: &'static str) -> (String, Arc<AtomicUsize>) {
    let calls = Arc::<AtomicUsize>::default();
    let counted = calls.clone();
    let host = answering(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        fixture(name).into_response()
    });
    (host.await, calls)
}

#[tokio::test]
async fn calls_send_what_the_protocol_names() {
    let seen = Arc::new(Mutex::new(Vec::<String>::new()));
    let noted = seen.clone();
    let host = answering(move |uri| {
        noted.lock().unwrap().push(uri.to_string());
        let name =
            if uri.path() == world::USERINFO { "userinfo.json" } else { "grant-errcode-zero.json" };
        fixture(name).into_response()
    })
    .await;
    let client = client(&[&host]);
    exchange(&client).await.unwrap();
    client.refresh(&world::account(), &RefreshToken::new("75_a+b")).await.unwrap();
    userinfo(&client).await.unwrap();
    client.auth(&UserToken::new("75_token"), &OpenId::parse(OPENID).unwrap()).await.unwrap();
    let appid = world::APPID;
    assert_eq!(
        *seen.lock().unwrap(),
        [
            format!(
                "/sns/oauth2/access_token?appid={appid}&secret=0123456789abcdef0123456789abcdef\
                 &code=071AdBVI1ZHOd509MKUI1jwjVI1AdBVV&grant_type=authorization_code"
            ),
            format!(
                "/sns/oauth2/refresh_token?appid={appid}&grant_type=refresh_token&refresh_token=75_a%2Bb"
            ),
            format!("/sns/userinfo?access_token=75_token&openid={OPENID}&lang=zh_CN"),
            format!("/sns/auth?access_token=75_token&openid={OPENID}"),
        ]
    );
}

#[tokio::test]
async fn a_token_is_alive_or_not_and_everything_else_is_an_error() {
    let auth = async |body: &'static [u8]| {
        let client = client(&[&host(body).await]);
        client.auth(&UserToken::new("75_token"), &OpenId::parse(OPENID).unwrap()).await
    };
    assert!(auth(br#"{"errcode":0,"errmsg":"ok"}"#).await.unwrap());
    for dead in [
        &br#"{"errcode":40001}"#[..],
        br#"{"errcode":40003}"#,
        br#"{"errcode":40014}"#,
        br#"{"errcode":42001}"#,
    ] {
        assert!(!auth(dead).await.unwrap());
    }
    assert!(
        auth(br#"{"errcode":45009,"errmsg":"reach max api daily quota limit"}"#).await.is_err()
    );
}

#[tokio::test]
async fn c51_w10_no_error_shows_a_url_a_body_or_a_secret() {
    let planted = "planted-5d41402a";
    let body =
        format!(r#"{{"errcode":40029,"errmsg":"{planted}, rid: 6206378a-793424c0-2e4091cc"}}"#);
    let dead = format!("http://{}", world::free_port());
    let answers = [
        host(body).await,
        host(planted).await,
        host(format!(r#"{{"openid":"{planted}"}}"#)).await,
        answering(|_| (StatusCode::FOUND, [("location", "/planted-5d41402a")]).into_response())
            .await,
        answering(|_| {
            Body::from_stream(futures_util::stream::iter([Err::<bytes::Bytes, _>(
                std::io::Error::other("planted-5d41402a"),
            )]))
            .into_response()
        })
        .await,
        dead,
    ];
    for host in answers {
        let error = exchange(&client(&[&host])).await.unwrap_err();
        let shown = format!("{error} {error:?} {error:#?}");
        for secret in [planted, "http", "0123456789abcdef0123456789abcdef", "071AdBVI", "secret="] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_whole_grant_works_at_the_simulator() {
    let sim = Simulator::start().await;
    let client = world::client(&sim);
    let account = world::account();
    let back = "http://127.0.0.1:1/cb";
    let url = wxgate::wechat::AuthorizeUrl::new(&account, back, Scope::Userinfo, "s1")
        .build(client.endpoints())
        .unwrap();
    let browser = world::Browser::new("http://127.0.0.1:1", "alice");
    let code = |location: &str| {
        Code::new(location.split("code=").nth(1).unwrap().split('&').next().unwrap())
    };
    let code = code(browser.get(&url).await.location());

    let grant = client.exchange(&account, &code).await.unwrap();
    let user = client.userinfo(&grant.access_token, &grant.openid, Lang::En).await.unwrap();
    assert_eq!(user.nickname, "爱丽丝🌸");
    assert!(client.auth(&grant.access_token, &grant.openid).await.unwrap());
    let again = client.exchange(&account, &code).await.unwrap_err();
    assert!(matches!(again.kind(), Kind::Refused(ErrCode::CODE_BEEN_USED, Some(_))), "{again}");

    sim.advance(3 * world::HOUR);
    assert!(!client.auth(&grant.access_token, &grant.openid).await.unwrap());
    let refreshed = client.refresh(&account, &grant.refresh_token.unwrap()).await.unwrap();
    assert_eq!(refreshed.openid, grant.openid);
    assert!(client.auth(&refreshed.access_token, &grant.openid).await.unwrap());
}

#[test]
fn fixtures_are_synthetic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wechat");
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        if let Ok(Value::Object(fields)) = serde_json::from_slice(&bytes) {
            for name in ["access_token", "refresh_token"] {
                let value = fields.get(name).and_then(Value::as_str);
                assert!(value.is_none_or(|value| value.contains("synthetic")), "{value:?}");
            }
        }
    }
}
