//! WeCom: a corp's members inside the app and on a desktop, its token, and its own way to say no.

use super::*;

const CORP: &str = "ww3333333333333333";
const GETTOKEN: &str = "/cgi-bin/gettoken";
const GETUSERINFO: &str = "/cgi-bin/auth/getuserinfo";
const GETUSERDETAIL: &str = "/cgi-bin/auth/getuserdetail";

impl Visit {
    async fn wecom(&self, path: &str, query: &str) -> Value {
        read_wecom(self.get(&format!("{}{path}?{query}", self.sim.url())).await).await
    }

    async fn corp_token(&self) -> String {
        let answer = self.wecom(GETTOKEN, &token_query()).await;
        assert_eq!((&answer["errcode"], &answer["errmsg"]), (&json!(0), &json!("ok")));
        text(&answer, "access_token").to_owned()
    }

    /// A code of somebody inside WeCom.
    async fn corp_code(&self, user: &str, scope: &str) -> String {
        let url = self.authorize_url(scope).replace(APPID, CORP) + "&agentid=1000002";
        let answer = self.get_with(&url, &[("x-simulator-user", user)]).await;
        code_in(location(&answer))
    }

    async fn userinfo(&self, token: &str, code: &str) -> Value {
        self.wecom(GETUSERINFO, &format!("access_token={token}&code={code}")).await
    }

    async fn userdetail(&self, token: &str, ticket: &str) -> Value {
        let url = format!("{}{GETUSERDETAIL}?access_token={token}", self.sim.url());
        let wanted = json!({ "user_ticket": ticket }).to_string();
        read_wecom(self.post(&url, &wanted).await).await
    }

    fn desktop_url(&self) -> String {
        let callback: String = url::form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect();
        format!(
            "{}/wwlogin/sso/login?login_type=CorpApp&appid={CORP}&agentid=1000002&redirect_uri={callback}&state=s1",
            self.sim.url()
        )
    }
}

async fn read_wecom(answer: Response) -> Value {
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json; charset=UTF-8");
    serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
}

fn token_query() -> String {
    format!("corpid={CORP}&corpsecret={}", "3".repeat(43))
}

#[tokio::test]
async fn a_member_has_a_userid_and_an_outsider_an_openid() {
    let visit = Visit::start().await;
    let token = visit.corp_token().await;
    let code = visit.corp_code("alice", "snsapi_base").await;
    let alice = visit.userinfo(&token, &code).await;
    assert_eq!(alice, json!({ "errcode": 0, "errmsg": "ok", "userid": "AliceZhang" }));
    assert_eq!(visit.sim.requests().pop().expect("a request").errcode, Some(0));
    assert_eq!(visit.userinfo(&token, &code).await["errcode"], 40029);

    let code = visit.corp_code("bob", "snsapi_base").await;
    let bob = visit.sim.world().user("bob").expect("bob");
    let outsider = visit.userinfo(&token, &code).await;
    assert_eq!(
        outsider,
        json!({
            "errcode": 0,
            "errmsg": "ok",
            "openid": bob.openid(CORP),
            "external_userid": bob.external_userid(CORP),
        })
    );

    // As it was called before.
    let code = visit.corp_code("alice", "snsapi_base").await;
    let old = "/cgi-bin/user/getuserinfo";
    let alice = visit.wecom(old, &format!("access_token={token}&code={code}")).await;
    assert_eq!((text(&alice, "UserId"), text(&alice, "DeviceId")), ("AliceZhang", ""));
    let code = visit.corp_code("bob", "snsapi_base").await;
    let outsider = visit.wecom(old, &format!("access_token={token}&code={code}")).await;
    assert_eq!(text(&outsider, "OpenId"), bob.openid(CORP));
}

#[tokio::test]
async fn what_is_private_is_asked_for_and_told_for_half_an_hour() {
    let visit = Visit::start().await;
    let token = visit.corp_token().await;
    // A person is asked, and without an agentid there is nothing to ask for.
    let url = visit.authorize_url("snsapi_privateinfo").replace(APPID, CORP);
    visit.post(&url, "user=alice").await;
    assert_eq!(visit.get(&url).await.status(), StatusCode::FOUND);
    let asked = visit.get(&format!("{url}&agentid=1000002")).await;
    assert_eq!(asked.status(), StatusCode::OK);
    assert!(asked.text().await.expect("a page").contains("获取你的头像、手机号和邮箱"));

    let code = visit.corp_code("alice", "snsapi_privateinfo").await;
    let member = visit.userinfo(&token, &code).await;
    let ticket = text(&member, "user_ticket");
    let detail = visit.userdetail(&token, ticket).await;
    let (_, mobile) = visit.sim.world().user("alice").expect("alice").phone();
    assert_eq!((&detail["errcode"], &detail["userid"]), (&json!(0), &member["userid"]));
    assert_eq!(text(&detail, "mobile"), mobile);
    assert!(text(&detail, "avatar").ends_with("/avatars/alice/132"), "{detail}");
    assert!(detail["name"].is_null(), "{detail}");

    assert_eq!(visit.userdetail(&token, "nonsense").await["errcode"], 84015);
    let path = format!("access_token={token}");
    assert_eq!(visit.wecom(GETUSERDETAIL, &path).await["errcode"], 43002);
    visit.sim.advance(Duration::from_secs(1799));
    assert_eq!(visit.userdetail(&token, ticket).await["errcode"], 0);
    visit.sim.advance(Duration::from_secs(1));
    assert_eq!(visit.userdetail(&token, ticket).await["errcode"], 84014);
}

#[tokio::test]
async fn a_corps_token_is_the_same_until_it_ends_and_a_dead_one_burns_no_code() {
    let visit = Visit::start().await;
    let token = visit.corp_token().await;
    visit.sim.advance(HOUR);
    let again = visit.wecom(GETTOKEN, &token_query()).await;
    assert_eq!(text(&again, "access_token"), token);
    assert!(again["expires_in"].as_u64().expect("a number") <= 3600, "{again}");

    let code = visit.corp_code("alice", "snsapi_base").await;
    visit.sim.fault(Fault::DeadToken, 1);
    for _ in 0..2 {
        assert_eq!(visit.userinfo(&token, &code).await["errcode"], 40014);
    }
    let next = visit.corp_token().await;
    assert_ne!(next, token);
    assert_eq!(visit.userinfo(&next, &code).await["userid"], "AliceZhang");

    visit.sim.advance(HOUR * 2);
    let code = visit.corp_code("alice", "snsapi_base").await;
    assert_eq!(visit.userinfo(&next, &code).await["errcode"], 42001);
    let last = visit.corp_token().await;
    assert_eq!(visit.userinfo(&last, &code).await["userid"], "AliceZhang");
    let ticket = visit.wecom("/cgi-bin/get_jsapi_ticket", &format!("access_token={last}")).await;
    assert_eq!(text(&ticket, "ticket").len(), 86);
}

#[tokio::test]
async fn every_mistake_has_its_errcode_and_says_where_to_look() {
    let visit = Visit::start().await;
    let token = visit.corp_token().await;
    let official = format!("grant_type=client_credential&appid={APPID}&secret={SECRET}");
    let official = visit.cgi("/cgi-bin/token", &official).await;
    let official = text(&official, "access_token");
    let good = token_query();
    let table = [
        (GETTOKEN, good.replace(CORP, ""), 41002, "corpid missing"),
        (GETTOKEN, good.replace(CORP, APPID), 40013, "invalid corpid"),
        (GETTOKEN, good.replace("corpsecret", "secret"), 41004, "corpsecret missing"),
        (GETTOKEN, good.replace(&"3".repeat(43), "wrong"), 40001, "invalid credential"),
        (GETUSERINFO, "code=x".to_owned(), 41001, "access_token missing"),
        (GETUSERINFO, format!("access_token={official}&code=x"), 40014, "invalid access_token"),
        (GETUSERINFO, format!("access_token={token}"), 41008, "missing code"),
        (GETUSERINFO, format!("access_token={token}&code=x"), 40029, "invalid code"),
        ("/cgi-bin/auth/nothing", String::new(), 40066, "invalid url"),
    ];
    for (path, query, errcode, stem) in table {
        let answer = visit.wecom(path, &query).await;
        assert_eq!(answer["errcode"], errcode, "{path}?{query}");
        let said = text(&answer, "errmsg");
        let end = format!(
            "], from ip: 127.0.0.1, more info at https://open.work.weixin.qq.com/devtool/query?e={errcode}"
        );
        assert!(said.starts_with(&format!("{stem}, hint: [")) && said.ends_with(&end), "{said}");
        assert_eq!(visit.sim.requests().pop().expect("a request").errcode, Some(errcode));
    }

    let table = [(Fault::BusyKeepsCode, -1), (Fault::Quota, 45009), (Fault::MinuteQuota, 45033)];
    for (fault, errcode) in table {
        visit.sim.faults([FaultSwitch::new(fault, 1).path(GETTOKEN)]);
        assert_eq!(visit.wecom(GETTOKEN, &good).await["errcode"], errcode);
    }
    visit.sim.fault(Fault::BusyBurnsCode, 1);
    let code = visit.corp_code("alice", "snsapi_base").await;
    assert_eq!(visit.userinfo(&token, &code).await["errcode"], -1);
    assert_eq!(visit.userinfo(&token, &code).await["errcode"], 40029);
    assert_eq!(visit.wecom(GETTOKEN, &good).await["errcode"], 0);
}

#[tokio::test]
async fn a_corp_can_list_the_addresses_that_may_use_its_token() {
    let world = include_str!("../../../src/simulator/builtin.toml");
    for (ip, errcode) in [("10.0.0.1", 60020), ("127.0.0.1", 40029)] {
        let kind = format!("ip_list = [\"{ip}\"]\nkind = \"wecom\"");
        let visit = Visit::in_world(&world.replace("kind = \"wecom\"", &kind)).await;
        let token = visit.corp_token().await;
        assert_eq!(visit.userinfo(&token, "x").await["errcode"], errcode);
    }
}

#[tokio::test]
async fn members_sign_in_on_a_desktop_and_outsiders_do_not() {
    let visit = Visit::start().await;
    let url = visit.desktop_url();
    let answer = visit.get_with(&url, &[("x-simulator-user", "alice")]).await;
    let code = code_in(location(&answer));
    assert_eq!(location(&answer), format!("{CALLBACK}?code={code}&state=s1"));
    let token = visit.corp_token().await;
    assert_eq!(visit.userinfo(&token, &code).await["userid"], "AliceZhang");

    let outsider = visit.get_with(&url, &[("x-simulator-user", "bob")]).await;
    assert_eq!(outsider.status(), StatusCode::OK);
    assert!(outsider.text().await.expect("a page").contains("你不是该企业的成员"));

    let page = visit.get(&url).await.text().await.expect("a page");
    assert!(page.contains("企业微信登录") && page.contains("id=\"user-alice\""), "{page}");
    let wrong = visit.get(&url.replace("agentid=1000002", "agentid=7")).await;
    assert!(wrong.text().await.expect("a page").contains("agentid 参数错误"));
    let elsewhere = visit.get(&url.replace("127.0.0.1%3A1%2F", "evil.example%2F")).await;
    assert!(elsewhere.text().await.expect("a page").contains("错误码:50001"));
}

#[tokio::test]
async fn a_desktop_of_wecom_waits_for_a_members_phone() {
    let visit = Visit::start().await;
    let page = visit.get(&visit.desktop_url()).await.text().await.expect("a page");
    let (_, rest) = page.split_once("/connect/qrcode/").expect("a QR code");
    let uuid = &rest[..16];
    let confirm = format!("{}/connect/confirm?uuid={uuid}", visit.sim.url());
    let outsider = visit.get_with(&confirm, &[("x-simulator-user", "bob")]).await;
    assert!(outsider.text().await.expect("a page").contains("你不是该企业的成员"));
    visit.get_with(&confirm, &[("x-simulator-user", "alice")]).await;
    let poll = format!("{}/connect/l/qrconnect?uuid={uuid}&_=1", visit.sim.url());
    let news = visit.get(&poll).await.text().await.expect("a body");
    let (_, code) = news.split_once("wx_errcode=405;window.wx_code='").expect("confirmed");
    let token = visit.corp_token().await;
    let member = visit.userinfo(&token, code.trim_end_matches("';")).await;
    assert_eq!(member["userid"], "AliceZhang");
}
