//! The calls that an account makes for itself, against answers of every shape.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, response::IntoResponse};
use http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use wxgate::{
    Account, AppSecret, Code, Scope,
    clock::{Clock, ManualClock, SystemClock},
    secret::ServerToken,
    session::{
        KeyRing, ListQuery, MemoryStore, NewSession, Store, Subject, UserChange, UserKey,
        durable::{DurableStore, FileRecords},
    },
    wechat::{
        AnswerFault, AppId, Call, Client, ErrCode, Error, Follower, IssuedTicket, IssuedToken,
        Kind, Lang, MiniProgramSession, OpenId, Reaction, ServerTokenKind,
    },
};

use crate::{
    client::{OPENID, client, fixture, host},
    process::Folder,
    world::{self, APPID},
};

const CORPID: &str = "ww0123456789abcdef";

fn classic() -> Account {
    world::account().with_basic_token(ServerTokenKind::Classic)
}

fn corp() -> Account {
    Account::wecom(CORPID, Some(1_000_002), AppSecret::new("corp-secret")).unwrap()
}

fn server_token() -> ServerToken {
    ServerToken::new("91_token")
}

/// A client of WeChat and WeCom at one host.
fn client_of_all(host: &str) -> Client {
    Client::new(wxgate::wechat::Endpoints::all_at(host).unwrap())
}

async fn issued(name: &str) -> Result<IssuedToken, Error> {
    client(&[&host(fixture(name)).await]).server_token(&world::account(), false).await
}

async fn follower(name: &str) -> Result<Follower, Error> {
    let openid = OpenId::parse(OPENID).unwrap();
    let client = client(&[&host(fixture(name)).await]);
    client.user_info(&server_token(), &openid, Lang::ZhCn).await
}

fn mini_program() -> Account {
    Account::mini_program(APPID, AppSecret::new("mini-secret")).unwrap()
}

async fn code2session(name: &str) -> Result<MiniProgramSession, Error> {
    let client = client(&[&host(fixture(name)).await]);
    client.code2session(&mini_program(), &Code::new("0a1B")).await
}

async fn ticket(name: &str) -> Result<IssuedTicket, Error> {
    let client = client(&[&host(fixture(name)).await]);
    client.jsapi_ticket(&world::account(), &server_token()).await
}

#[tokio::test]
async fn w08_every_shape_of_a_token_is_read() {
    let token = issued("server-token.json").await.unwrap();
    assert_eq!(token.token.expose(), "91_synthetic-server-token");
    assert_eq!(token.expires_in, Duration::from_secs(7200));
    let strings = issued("server-token-strings.json").await.unwrap();
    assert_eq!(strings.expires_in, Duration::from_secs(301));
    let without = issued("server-token-without.json").await.unwrap_err();
    assert_eq!(*without.kind(), Kind::Answer(AnswerFault::Field("access_token")));
    assert!(issued("not-json.html").await.is_err());
}

#[tokio::test]
async fn w08_every_shape_of_a_follower_is_read() {
    let full = follower("user-info.json").await.unwrap();
    assert!(full.subscribe);
    assert_eq!(full.unionid.as_ref().unwrap().as_str(), "ocMvos6NjeKLIBqg5Mr9QjxrP1FA");
    assert_eq!(full.subscribe_time.unwrap().unix(), 1_382_694_957);
    assert_eq!((&*full.remark, &*full.subscribe_scene), ("老客户\u{14}", "ADD_SCENE_QR_CODE"));
    assert_eq!((full.tagid_list, full.groupid), (vec![128, 2], Some(0)));
    assert_eq!((full.qr_scene, &*full.qr_scene_str, &*full.language), (98765, "", "zh_CN"));
    let strings = follower("user-info-strings.json").await.unwrap();
    assert!(strings.subscribe && strings.subscribe_time == full.subscribe_time);
    assert_eq!(strings.qr_scene, 7);

    let stranger = follower("user-info-stranger.json").await.unwrap();
    assert!(!stranger.subscribe && stranger.unionid.is_none());
    assert_eq!((stranger.openid.as_str(), stranger.subscribe_time), (OPENID, None));
    let bound = follower("user-info-stranger-bound.json").await.unwrap();
    assert!(!bound.subscribe && bound.unionid.is_some());

    let other = follower("user-info-other-openid.json").await.unwrap_err();
    assert_eq!(*other.kind(), Kind::Answer(AnswerFault::OtherUser));
    // Nobody is told to be a follower, or not to be one, by what is not there.
    let silent = follower("user-info-without-subscribe.json").await.unwrap_err();
    assert_eq!(*silent.kind(), Kind::Answer(AnswerFault::Field("subscribe")));
}

#[tokio::test]
async fn w08_a_ticket_is_read_and_its_absence_is_an_error() {
    let good = ticket("ticket.json").await.unwrap();
    assert_eq!(good.ticket.expose(), "synthetic-jsapi-ticket");
    assert_eq!(good.expires_in, Duration::from_secs(7200));
    let without = ticket("server-token.json").await.unwrap_err();
    assert_eq!(*without.kind(), Kind::Answer(AnswerFault::Field("ticket")));
}

#[tokio::test]
async fn w08_every_shape_of_a_mini_program_s_session_is_read() {
    let full = code2session("mini-program-session.json").await.unwrap();
    assert_eq!(full.openid.as_str(), OPENID);
    assert_eq!(full.unionid.as_ref().unwrap().as_str(), "ocMvos6NjeKLIBqg5Mr9QjxrP1FA");
    assert_eq!(full.session_key.expose(), "c3ludGhldGljLWtleS0xNg==");
    assert!(!format!("{full:?}").contains("c3ludGhl"), "{full:?}");
    assert!(code2session("mini-program-session-old.json").await.unwrap().unionid.is_none());
    let without = code2session("mini-program-session-without-key.json").await.unwrap_err();
    assert_eq!(*without.kind(), Kind::Answer(AnswerFault::Field("session_key")));
}

#[tokio::test]
async fn w04_a_js_code_is_exchanged_once_whatever_comes_of_it() {
    for (errcode, reaction) in [
        (-1, Reaction::StartAgain),
        (40029, Reaction::StartAgain),
        (40163, Reaction::StartAgain),
        (40226, Reaction::Refuse),
        (45011, Reaction::RetryAfter(Duration::from_secs(60))),
        (40013, Reaction::Operator),
    ] {
        let calls = Arc::<AtomicUsize>::default();
        let counted = calls.clone();
        let host = crate::client::answering(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            format!(r#"{{"errcode":{errcode},"errmsg":"no, rid: 6206378a-1-2"}}"#).into_response()
        });
        let client = client(&[&host.await]);
        let error = client.code2session(&mini_program(), &Code::new("0a1")).await.unwrap_err();
        assert_eq!((error.call(), error.reaction()), (Call::Code2Session, reaction), "{errcode}");
        assert_eq!(calls.load(Ordering::SeqCst), 1, "{errcode}");
    }
}

#[tokio::test]
async fn w09_a_refused_address_is_told_to_the_operator() {
    let error = issued("error-address.json").await.unwrap_err();
    assert_eq!((error.call(), error.reaction()), (Call::ServerToken, Reaction::Operator));
    assert_eq!(error.refused_address(), Some("203.0.113.7".parse().unwrap()));
    let text = error.to_string();
    for part in ["40164", "65420000-793424c0-2e4091cc", "203.0.113.7", "IP白名单"] {
        assert!(text.contains(part), "{text}");
    }

    let wecom = client_of_all(&host(fixture("error-wecom-address.json")).await);
    let error = wecom.server_token(&corp(), false).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("wecom answered 60020") && text.contains("put 203.0.113.7"), "{text}");
    assert!(text.contains("hint 1700000000_ts_synthetic"), "{text}");

    let wecom = client_of_all(&host(fixture("error-wecom.json")).await);
    let error = wecom.server_token(&corp(), false).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Refused(code, Some(_)) if *code == ErrCode::wecom(40029)));
    assert!(!error.to_string().contains("203.0.113.7"), "{error}");
}

#[tokio::test]
async fn calls_send_what_the_protocol_names() {
    let seen = Arc::new(Mutex::new(Vec::<String>::new()));
    let noted = seen.clone();
    let note = move |method: Method, uri: Uri, body: String| {
        // In the order of their names: that of the fields means nothing.
        let fields = serde_json::from_str::<BTreeMap<String, Value>>(&body).unwrap_or_default();
        let body = if fields.is_empty() { body } else { json!(fields).to_string() };
        noted.lock().unwrap().push(format!("{method} {uri} {body}").trim().to_owned());
        let name = match uri.path() {
            "/cgi-bin/user/info" => "user-info.json",
            "/sns/jscode2session" => "mini-program-session.json",
            path if path.contains("ticket") => "ticket.json",
            _ => "server-token.json",
        };
        async move { (StatusCode::OK, fixture(name)).into_response() }
    };
    let host = format!("http://{}", world::serve(Router::new().fallback(note)).await);
    let client = client_of_all(&host);
    for force in [false, true] {
        client.server_token(&world::account(), force).await.unwrap();
    }
    client.server_token(&classic(), false).await.unwrap();
    client.server_token(&corp(), false).await.unwrap();
    client.code2session(&mini_program(), &Code::new("0a1-B_")).await.unwrap();
    let openid = OpenId::parse(OPENID).unwrap();
    client.user_info(&server_token(), &openid, Lang::En).await.unwrap();
    client.jsapi_ticket(&world::account(), &server_token()).await.unwrap();
    client.jsapi_ticket(&corp(), &server_token()).await.unwrap();
    let secret = "0123456789abcdef0123456789abcdef";
    let stable = |force: bool| {
        format!(
            "POST /cgi-bin/stable_token {{\"appid\":\"{APPID}\",\"force_refresh\":{force},\
             \"grant_type\":\"client_credential\",\"secret\":\"{secret}\"}}"
        )
    };
    assert_eq!(
        *seen.lock().unwrap(),
        [
            stable(false),
            stable(true),
            format!(
                "GET /cgi-bin/token?grant_type=client_credential&appid={APPID}&secret={secret}"
            ),
            format!("GET /cgi-bin/gettoken?corpid={CORPID}&corpsecret=corp-secret"),
            format!(
                "GET /sns/jscode2session?appid={APPID}&secret=mini-secret&js_code=0a1-B_\
                 &grant_type=authorization_code"
            ),
            format!("GET /cgi-bin/user/info?access_token=91_token&openid={OPENID}&lang=en"),
            "GET /cgi-bin/ticket/getticket?access_token=91_token&type=jsapi".to_owned(),
            "GET /cgi-bin/get_jsapi_ticket?access_token=91_token".to_owned(),
        ]
    );
}

#[tokio::test]
async fn the_next_host_is_asked_where_one_is_down_and_wecom_has_but_one() {
    let good = host(fixture("server-token.json")).await;
    let dead = format!("http://{}", world::free_port());
    assert!(client(&[&dead, &good]).server_token(&world::account(), false).await.is_ok());
    let endpoints = wxgate::wechat::Endpoints::all_at(&good).unwrap().with_wecom(&dead).unwrap();
    let client = Client::new(endpoints);
    let error = client.server_token(&corp(), false).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Unreachable);
    assert!(client.server_token(&world::account(), false).await.is_ok());
}

#[tokio::test]
async fn c51_w10_no_error_of_the_account_s_calls_shows_a_secret() {
    let planted = "planted-5d41402a";
    let account = Account::official_account(APPID, AppSecret::new(planted)).unwrap();
    let token = ServerToken::new(planted);
    let openid = OpenId::parse(OPENID).unwrap();
    let dead = format!("http://{}", world::free_port());
    let strange =
        format!(r#"{{"errcode":40164,"errmsg":"invalid ip {planted}, rid: <{planted}>"}}"#);
    let cut =
        crate::client::answering(|_| (StatusCode::BAD_GATEWAY, "planted-5d41402a").into_response());
    for host in [dead, host(strange).await, host(planted).await, cut.await] {
        let client = client_of_all(&host);
        let errors = [
            client.server_token(&account, false).await.unwrap_err(),
            client.server_token(&classic(), false).await.unwrap_err(),
            client.user_info(&token, &openid, Lang::ZhCn).await.unwrap_err(),
            client.jsapi_ticket(&account, &token).await.unwrap_err(),
            client.code2session(&account, &Code::new(planted)).await.unwrap_err(),
        ];
        for error in errors {
            let shown = format!("{error} {error:?} {error:#?}");
            for secret in [planted, "http:", "access_token=", "secret"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
}

#[tokio::test]
async fn a_wecom_userid_goes_wherever_an_openid_goes() {
    let folder = Folder::new();
    let clock = ManualClock::new(SystemClock.now());
    let records = FileRecords::open(folder.path().join("sessions.db"), clock.clone()).unwrap();
    let stores: [Arc<dyn Store>; 2] = [
        Arc::new(MemoryStore::builder().clock(clock.clone()).build()),
        Arc::new(DurableStore::builder(records, KeyRing::random()).clock(clock.clone()).build()),
    ];
    for store in stores {
        let member = |userid: &str| UserKey {
            appid: AppId::parse(CORPID).unwrap(),
            openid: OpenId::parse(userid).unwrap(),
        };
        let longest = "u".repeat(60) + ".-_@";
        for userid in ["zhang.san@corp-1_x", "ZhangSan", &longest] {
            let user = store.put_user(member(userid), UserChange::default()).await.unwrap();
            let subject = format!("{CORPID}:{userid}");
            assert_eq!(user.record().subject(Subject::Account), subject);
            let record = user.record();
            let header = |name: &str| {
                let mut headers = record.headers(Subject::Account);
                let (_, value) = headers.find(|(header, _)| header == name).expect("it is set");
                value.to_str().unwrap().to_owned()
            };
            assert_eq!(header("x-wechat-subject"), subject);
            assert_eq!(header("x-wechat-openid"), userid);
            let now = clock.now();
            let new = NewSession { user, scope: Scope::Base, signed_in_at: now, begins_at: now };
            let id = store.create(new).await.unwrap().id();
            let found = store.load(id).await.unwrap().expect("it is signed in");
            assert_eq!(*found.user().key(), member(userid));
            let query = ListQuery {
                appid: None,
                openid: Some(OpenId::parse(userid).unwrap()),
                after: None,
                limit: 10,
            };
            assert_eq!(store.list(&query).await.unwrap().sessions.len(), 1);
            store.remove_all_of(&member(userid)).await.unwrap();
            assert!(store.load(id).await.unwrap().is_none());
        }
    }
}
