//! The client's calls for the other ways in: mini-programs, websites and WeCom.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::response::IntoResponse;
use wxgate::{
    Account, AppSecret, Code, Scope,
    clock::{Clock, SystemClock},
    keeper::{KeeperError, ServerTokens},
    secret::{ServerToken, UserTicket},
    session::MemoryStore,
    simulator::{Fault, FaultSwitch, Simulator},
    wechat::{
        AnswerFault, AuthorizeUrl, BadOpenData, Call, Client, Endpoints, ErrCode, Error, Expected,
        Kind, Lang, OpenData, OpenId, Reaction, UserData, Userinfo, WecomUser,
    },
};

use crate::{
    client::{OPENID, answering, fixture, host},
    world,
};

#[tokio::test]
async fn what_a_mini_program_sends_at_the_simulator_is_read_and_alterations_are_not() {
    const MINI: &str = "wx2222222222222222";
    let sim = Simulator::start().await;
    let client = world::client(&sim);
    let account = Account::mini_program(MINI, AppSecret::new("2".repeat(32))).unwrap();
    let phone = sim.mini_program("alice", MINI).unwrap();
    let code = Code::new(phone.login());
    let session = client.code2session(&account, &code).await.unwrap();
    let again = client.code2session(&account, &code).await.unwrap_err();
    assert_eq!(again.reaction(), Reaction::StartAgain);

    let key = &session.session_key;
    let expected = Expected {
        appid: account.appid(),
        openid: &session.openid,
        now: SystemClock.now(),
        max_age: Duration::from_secs(60),
    };
    let sent = phone.user_data().unwrap();
    let signed = UserData::signed(key, &sent.raw_data, &sent.signature).unwrap();
    assert_eq!(signed.nickname, "爱丽丝🌸");
    let data = OpenData { encrypted_data: &sent.sealed.encrypted_data, iv: &sent.sealed.iv };
    let user = data.user(key, &expected).unwrap();
    assert_eq!(user.openid.as_ref(), Some(&session.openid));
    assert_eq!((user.unionid, user.nickname), (session.unionid.clone(), signed.nickname));
    let sealed = phone.phone_number().unwrap();
    let data = OpenData { encrypted_data: &sealed.encrypted_data, iv: &sealed.iv };
    assert_eq!(data.phone(key, &expected).unwrap().country_code, "86");

    for (fault, bad) in [
        (Fault::ForeignWatermark, BadOpenData::OtherAccount),
        (Fault::OldWatermark, BadOpenData::TooOld),
    ] {
        sim.faults([FaultSwitch::new(fault, 1)]);
        let sealed = phone.phone_number().unwrap();
        let data = OpenData { encrypted_data: &sealed.encrypted_data, iv: &sealed.iv };
        assert_eq!(data.phone(key, &expected), Err(bad));
    }
    sim.faults([FaultSwitch::new(Fault::BadSignature, 1)]);
    let sent = phone.user_data().unwrap();
    let signed = UserData::signed(key, &sent.raw_data, &sent.signature);
    assert_eq!(signed, Err(BadOpenData::Signature));

    // The next login has another key, and the old one opens nothing that is sent from then on.
    let next = client.code2session(&account, &Code::new(phone.login())).await.unwrap();
    let sealed = phone.phone_number().unwrap();
    let data = OpenData { encrypted_data: &sealed.encrypted_data, iv: &sealed.iv };
    assert!(data.phone(&next.session_key, &expected).is_ok());
    assert_eq!(data.phone(key, &expected), Err(BadOpenData::Sealed));
}

const CORP: &str = "ww3333333333333333";
const BACK: &str = "http://127.0.0.1:1/cb";

fn corp() -> Account {
    Account::wecom(CORP, Some(1_000_002), AppSecret::new("3".repeat(43))).unwrap()
}

/// The code that somebody comes back with from a page of the simulator.
async fn code(user: &str, url: &str) -> Code {
    let answer = world::Browser::new("http://127.0.0.1:1", user).get(url).await;
    let back = url::Url::parse(answer.location()).unwrap();
    let code = back.query_pairs().find(|(name, _)| name == "code");
    Code::new(code.expect("it was allowed").1)
}

#[tokio::test]
async fn people_of_a_corp_sign_in_at_the_simulator() {
    let sim = Simulator::start().await;
    let client = wecom(&sim.url());
    let tokens = ServerTokens::new(client.clone(), Arc::new(MemoryStore::new()), SystemClock);
    let account = corp();
    let user_of = async |code: &Code| {
        tokens.with(&account, async |token| client.wecom_user(&token, code).await).await
    };
    let page =
        |scope| AuthorizeUrl::new(&account, BACK, scope, "s1").build(client.endpoints()).unwrap();
    let member = code("alice", &page(Scope::Base)).await;
    let user = user_of(&member).await.unwrap();
    let WecomUser::Member { userid, user_ticket: None } = user else { panic!("{user:?}") };
    assert_eq!(userid.as_str(), "AliceZhang");
    let KeeperError::Wechat(again) = user_of(&member).await.unwrap_err() else { panic!() };
    assert_eq!(again.reaction(), Reaction::StartAgain);

    let user = user_of(&code("bob", &page(Scope::Base)).await).await.unwrap();
    assert!(matches!(user, WecomUser::Outsider { external_userid: Some(_), .. }), "{user:?}");

    // A dead token burns no code.
    sim.fault(Fault::DeadToken, 1);
    let user = user_of(&code("alice", &page(Scope::Userinfo)).await).await.unwrap();
    let WecomUser::Member { userid, user_ticket: Some(ticket) } = user else { panic!("{user:?}") };
    let told =
        tokens.with(&account, async |token| client.wecom_detail(&token, &ticket, &userid).await);
    assert_eq!(told.await.unwrap().openid, userid);

    let desktop = AuthorizeUrl::new(&account, BACK, Scope::Base, "s1").desktop();
    let desktop = desktop.build(client.endpoints()).unwrap();
    let user = user_of(&code("alice", &desktop).await).await.unwrap();
    assert!(matches!(user, WecomUser::Member { .. }), "{user:?}");
}

#[tokio::test]
async fn people_of_a_website_sign_in_at_the_simulator() {
    let sim = Simulator::start().await;
    let client = wecom(&sim.url());
    let account = Account::website("wx1111111111111111", AppSecret::new("1".repeat(32))).unwrap();
    let url = AuthorizeUrl::new(&account, BACK, Scope::Login, "s1").lang(Lang::En);
    let code = code("alice", &url.build(client.endpoints()).unwrap()).await;
    let grant = client.exchange(&account, &code).await.unwrap();
    assert!(grant.scope == Scope::Login && grant.unionid.is_some());
    let user = client.userinfo(&grant.access_token, &grant.openid, Lang::ZhCn).await.unwrap();
    assert_eq!(user.nickname, "爱丽丝🌸");
}

fn wecom(host: &str) -> Client {
    Client::new(Endpoints::all_at(host).unwrap())
}

async fn came_back(name: &str) -> Result<WecomUser, Error> {
    let client = wecom(&host(fixture(name)).await);
    client.wecom_user(&ServerToken::new("token"), &Code::new("code")).await
}

async fn detail(name: &str) -> Result<Userinfo, Error> {
    let client = wecom(&host(fixture(name)).await);
    let (token, ticket) = (ServerToken::new("token"), UserTicket::new("ticket"));
    client.wecom_detail(&token, &ticket, &OpenId::parse("AliceZhang").unwrap()).await
}

#[tokio::test]
async fn w08_every_shape_of_a_wecom_user_is_read() {
    for (name, expected, has_ticket) in [
        ("wecom-member.json", "AliceZhang", false),
        ("wecom-member-old.json", "AliceZhang", false),
        ("wecom-member-ticket.json", "zhang.san@corp-1", true),
    ] {
        let user = came_back(name).await.unwrap();
        let WecomUser::Member { userid, user_ticket } = &user else { panic!("{name}: {user:?}") };
        assert_eq!((userid.as_str(), user_ticket.is_some()), (expected, has_ticket), "{name}");
        assert!(!format!("{user:?}").contains("synthetic"), "{user:?}");
    }
    for (name, external) in [
        ("wecom-outsider.json", Some("wmSynthetic00000000000000000000")),
        ("wecom-outsider-old.json", None),
    ] {
        let user = came_back(name).await.unwrap();
        let WecomUser::Outsider { openid, external_userid } = user else { panic!("{name}") };
        let external_userid = external_userid.as_ref().map(OpenId::as_str);
        assert_eq!((openid.as_str(), external_userid), (OPENID, external), "{name}");
    }
    for name in ["wecom-nobody.json", "wecom-bad-userid.json", "empty.json"] {
        let error = came_back(name).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Answer(_)), "{name} {error}");
        assert_eq!(error.reaction(), Reaction::StartAgain);
    }
}

#[tokio::test]
async fn w08_every_shape_of_a_wecom_detail_is_read() {
    let full = detail("wecom-detail.json").await.unwrap();
    assert_eq!((&*full.nickname, full.sex), ("张丽", 2));
    assert_eq!(full.headimgurl.as_deref(), Some("https://wework.qpic.cn/synthetic/0"));
    let bare = detail("wecom-detail-bare.json").await.unwrap();
    assert_eq!((&*bare.nickname, bare.headimgurl), ("", None));
    let other = detail("wecom-detail-other.json").await.unwrap_err();
    assert_eq!(*other.kind(), Kind::Answer(AnswerFault::OtherUser));
}

#[tokio::test]
async fn wecom_s_errors_mean_what_they_mean_there() {
    for (number, reaction) in [
        (-1, Reaction::StartAgain),
        (40029, Reaction::StartAgain),
        (40014, Reaction::Refresh),
        (42001, Reaction::Refresh),
        (40001, Reaction::Operator),
        (50001, Reaction::Operator),
        (50002, Reaction::Refuse),
        (40163, Reaction::Operator),
    ] {
        let body = format!(
            r#"{{"errcode":{number},"errmsg":"no, hint: [1700000000_ts_1], from ip: 203.0.113.7, more info at https://open.work.weixin.qq.com/devtool/query?e={number}"}}"#
        );
        let client = wecom(&host(body).await);
        let error =
            client.wecom_user(&ServerToken::new("token"), &Code::new("code")).await.unwrap_err();
        assert_eq!((error.call(), error.reaction()), (Call::WecomUser, reaction), "{number}");
        let text = error.to_string();
        assert!(text.contains(&format!("wecom answered {number} (")), "{text}");
        assert!(text.ends_with(", hint 1700000000_ts_1"), "{text}");
    }
}

/// A WeCom whose first token is dead and whose codes work once, and what it was asked.
async fn strict_wecom(first_is: i64) -> (Client, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::<String>::new()));
    let noted = asked.clone();
    let host = answering(move |uri| {
        let mut asked = noted.lock().unwrap();
        asked.push(uri.to_string());
        let count = |path: &str| asked.iter().filter(|it| it.starts_with(path)).count();
        let tokens = count("/cgi-bin/gettoken");
        if uri.path() == "/cgi-bin/gettoken" {
            return format!(r#"{{"errcode":0,"access_token":"token-{tokens}","expires_in":7200}}"#)
                .into_response();
        }
        match count("/cgi-bin/auth/getuserinfo") {
            1 => format!(r#"{{"errcode":{first_is},"errmsg":"no"}}"#).into_response(),
            _ => fixture("wecom-member.json").into_response(),
        }
    });
    (wecom(&host.await), asked)
}

async fn sign_in(client: &Client) -> Result<WecomUser, KeeperError> {
    let account =
        Account::wecom("ww0123456789abcdef", Some(1_000_002), AppSecret::new("s")).unwrap();
    let tokens = ServerTokens::new(client.clone(), Arc::new(MemoryStore::new()), SystemClock);
    let code = Code::new("071AdBVI1ZHOd509");
    tokens.with(&account, async |token| client.wecom_user(&token, &code).await).await
}

#[tokio::test]
async fn w04_a_wecom_code_is_sent_again_only_where_the_token_was_refused_before_it() {
    for dead in [40014, 42001] {
        let (client, asked) = strict_wecom(dead).await;
        assert!(matches!(sign_in(&client).await, Ok(WecomUser::Member { .. })));
        let asked = asked.lock().unwrap();
        let exchange = "/cgi-bin/auth/getuserinfo?access_token=token";
        assert_eq!(asked.len(), 4);
        assert_eq!(asked[1], format!("{exchange}-1&code=071AdBVI1ZHOd509"));
        assert_eq!(asked[3], format!("{exchange}-2&code=071AdBVI1ZHOd509"));
    }
    for burned in [-1, 40029, 40001, 50001] {
        let (client, asked) = strict_wecom(burned).await;
        let error = sign_in(&client).await.unwrap_err();
        let KeeperError::Wechat(error) = error else { panic!("{error}") };
        assert!(matches!(error.kind(), Kind::Refused(code, _) if *code == ErrCode::wecom(burned)));
        assert_eq!(asked.lock().unwrap().len(), 2, "{burned}");
    }
}
