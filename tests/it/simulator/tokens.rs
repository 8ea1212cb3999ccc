//! The tokens of accounts themselves, their followers and their tickets.

use super::*;

const TOKEN: &str = "/cgi-bin/token";
const STABLE: &str = "/cgi-bin/stable_token";

impl Visit {
    /// A token as each fetch gives another.
    async fn classic(&self) -> String {
        let query = format!("grant_type=client_credential&appid={APPID}&secret={SECRET}");
        text(&self.cgi(TOKEN, &query).await, "access_token").to_owned()
    }

    /// The whole answer of a stable token.
    async fn stable(&self, force: bool) -> Value {
        let wanted = json!({
            "grant_type": "client_credential",
            "appid": APPID,
            "secret": SECRET,
            "force_refresh": force,
        });
        self.cgi_post(STABLE, &wanted.to_string()).await
    }

    /// What the follower list says about a person, to the owner of this token.
    async fn user_info(&self, token: &str, user: &str) -> Value {
        let openid = self.sim.world().user(user).expect(user).openid(APPID);
        let query = format!("access_token={token}&openid={openid}&lang=zh_CN");
        self.cgi("/cgi-bin/user/info", &query).await
    }

    async fn ticket(&self, token: &str) -> Value {
        self.cgi("/cgi-bin/ticket/getticket", &format!("access_token={token}&type=jsapi")).await
    }
}

#[tokio::test]
async fn each_fetch_gives_a_token_and_the_one_before_is_good_for_five_more_minutes() {
    let visit = Visit::start().await;
    let (first, second) = (visit.classic().await, visit.classic().await);
    assert_ne!(first, second);
    visit.sim.advance(Duration::from_secs(290));
    for token in [&first, &second] {
        assert_eq!(visit.user_info(token, "alice").await["subscribe"], 1);
    }
    visit.sim.advance(Duration::from_secs(10));
    assert_eq!(visit.user_info(&first, "alice").await["errcode"], 40001);
    assert_eq!(visit.user_info(&second, "alice").await["subscribe"], 1);

    let third = visit.classic().await;
    let fourth = visit.classic().await;
    assert_eq!(visit.user_info(&second, "alice").await["errcode"], 40001);
    assert_eq!(visit.user_info(&third, "alice").await["subscribe"], 1);
    visit.sim.advance(HOUR * 2);
    assert_eq!(visit.user_info(&fourth, "alice").await["errcode"], 42001);
}

#[tokio::test]
async fn a_stable_token_stays_until_its_last_five_minutes_and_can_be_forced() {
    let visit = Visit::start().await;
    let first = visit.stable(false).await;
    assert_eq!(first["expires_in"], 7200);
    visit.sim.advance(HOUR);
    let again = visit.stable(false).await;
    assert_eq!(again["access_token"], first["access_token"]);
    assert!((3590..=3600).contains(&again["expires_in"].as_u64().expect("a number")), "{again}");

    visit.sim.advance(Duration::from_secs(55 * 60));
    let second = visit.stable(false).await;
    for token in [&first, &second] {
        assert_eq!(visit.user_info(text(token, "access_token"), "bob").await["subscribe"], 0);
    }
    let classic = visit.classic().await;
    let forced = visit.stable(true).await;
    assert_ne!(forced["access_token"], second["access_token"]);
    assert_eq!(visit.stable(true).await["access_token"], forced["access_token"]);
    for dead in [&first, &second] {
        let info = visit.user_info(text(dead, "access_token"), "bob").await;
        assert_eq!(info["errcode"], 40001);
    }
    assert_eq!(visit.user_info(&classic, "bob").await["subscribe"], 0);

    // Far from midnight in Beijing, which starts another twenty.
    let time_of_day = visit.sim.requests().pop().expect("a request").at / 1000 % (24 * 60 * 60);
    visit.sim.advance(Duration::from_secs(2 * 24 * 60 * 60 - time_of_day));
    visit.stable(true).await;
    for _ in 0..19 {
        visit.sim.advance(Duration::from_secs(30));
        assert_eq!(visit.stable(true).await["expires_in"], 7200);
    }
    visit.sim.advance(Duration::from_secs(30));
    assert_eq!(visit.stable(true).await["errcode"], 45009);
    assert!(visit.stable(false).await["access_token"].is_string());
}

#[tokio::test]
async fn every_mistake_with_a_token_has_its_errcode_and_a_rid_without_a_comma() {
    let visit = Visit::start().await;
    let good = format!("grant_type=client_credential&appid={APPID}&secret={SECRET}");
    let token = visit.classic().await;
    let mini_program = good.replace(APPID, "wx2222222222222222").replace(SECRET, &"2".repeat(32));
    let foreign = visit.cgi(TOKEN, &mini_program).await;
    let foreign = text(&foreign, "access_token");
    let persons = visit.signed_in("alice", "snsapi_base").await;
    let persons = text(&persons, "access_token");
    let alice = visit.sim.world().user("alice").expect("alice");
    let openid = alice.openid(APPID);
    let elsewhere = alice.openid("wx1111111111111111");
    let info = "/cgi-bin/user/info";
    let ticket = "/cgi-bin/ticket/getticket";
    let table = [
        (TOKEN, good.replace(APPID, ""), 41002),
        (TOKEN, good.replace(SECRET, ""), 41004),
        (TOKEN, good.replace("client_credential", "password"), 40002),
        (TOKEN, good.replace(APPID, "wx0"), 40013),
        (TOKEN, good.replace(APPID, "wx1111111111111111"), 40013),
        (TOKEN, good.replace(SECRET, "0"), 40125),
        (STABLE, good.clone(), 43002),
        (info, format!("openid={openid}"), 41001),
        (info, format!("access_token={token}"), 41009),
        (info, format!("access_token=nonsense&openid={openid}"), 40001),
        (info, format!("access_token={persons}&openid={openid}"), 40001),
        (info, format!("access_token={foreign}&openid={openid}"), 48001),
        (info, format!("access_token={token}&openid={elsewhere}"), 40003),
        (ticket, format!("access_token={token}&type=other"), 40097),
        (ticket, "access_token=nonsense&type=jsapi".to_owned(), 40001),
        ("/cgi-bin/nothing", String::new(), 40066),
    ];
    for (path, query, errcode) in table {
        let answer = visit.cgi(path, &query).await;
        assert_eq!(answer["errcode"], errcode, "{path}?{query}");
        let (before, rid) = text(&answer, "errmsg").split_once(" rid: ").expect("a rid");
        assert!(!before.ends_with(','), "{before}");
        assert!(u64::from_str_radix(&rid[..8], 16).is_ok(), "{rid}");
        let noted = visit.sim.requests().pop().expect("a request");
        assert_eq!((&*noted.path, noted.errcode), (path, Some(errcode)));
    }
    let bodies = [
        (good.clone(), 47001),
        (json!({}).to_string(), 41002),
        (json!({ "appid": APPID }).to_string(), 41004),
        (json!({ "appid": APPID, "secret": SECRET }).to_string(), 40002),
    ];
    for (body, errcode) in bodies {
        assert_eq!(visit.cgi_post(STABLE, &body).await["errcode"], errcode, "{body}");
    }
    assert_eq!(visit.user_info(&token, "alice").await["subscribe"], 1);
    // As a form, too.
    assert_eq!(visit.cgi_post(TOKEN, &good).await["expires_in"], 7200);

    let world = include_str!("../../../src/simulator/builtin.toml");
    let switched = format!("{world}\n[switches]\nwrong_secret_is_40001 = true\n");
    let visit = Visit::in_world(&switched).await;
    let wrong = format!("grant_type=client_credential&appid={APPID}&secret=0");
    assert_eq!(visit.cgi(TOKEN, &wrong).await["errcode"], 40001);
}

#[tokio::test]
async fn an_address_that_is_not_on_the_list_is_named_in_the_error() {
    let world = include_str!("../../../src/simulator/builtin.toml");
    // Of the official account and of the mini-program.
    let with_list = |list: &str| {
        let listed = |kind: &str| format!("ip_list = [{list}]\n{kind}");
        world.replacen("name = \"本地", &listed("name = \"本地"), 1).replacen(
            "kind = \"mini-program\"",
            &listed("kind = \"mini-program\""),
            1,
        )
    };
    let visit = Visit::in_world(&with_list("\"10.0.0.1\", \"::1\"")).await;
    let query = format!("grant_type=client_credential&appid={APPID}&secret={SECRET}");
    for refused in [visit.cgi(TOKEN, &query).await, visit.stable(false).await] {
        assert_eq!(refused["errcode"], 40164);
        let expected = "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist rid: ";
        assert!(text(&refused, "errmsg").starts_with(expected), "{refused}");
    }
    let mini_program = query.replace(APPID, "wx2222222222222222").replace(SECRET, &"2".repeat(32));
    assert!(visit.cgi(TOKEN, &mini_program).await["access_token"].is_string());
    assert!(visit.signed_in("alice", "snsapi_base").await["access_token"].is_string());

    let visit = Visit::in_world(&with_list("\"127.0.0.1\"")).await;
    assert!(visit.cgi(TOKEN, &query).await["access_token"].is_string());
    assert!(visit.stable(false).await["access_token"].is_string());
    visit.sim.fault(Fault::IpNotListed, 1);
    assert_eq!(visit.stable(false).await["errcode"], 40164);
    assert!(visit.stable(false).await["access_token"].is_string());
}

#[tokio::test]
async fn a_follower_has_every_field_and_a_stranger_next_to_none() {
    let visit = Visit::start().await;
    let token = visit.classic().await;
    let alice = visit.sim.world().user("alice").expect("alice");
    let (openid, unionid) = (alice.openid(APPID), alice.unionid().expect("a unionid"));
    let url = format!("{}/cgi-bin/user/info?access_token={token}&openid={openid}", visit.sim.url());
    let body = visit.get(&url).await.text().await.expect("a body");
    assert_eq!(
        body,
        format!(
            r#"{{"subscribe":1,"openid":"{openid}","nickname":"","sex":0,"language":"zh_CN","city":"","province":"","country":"","headimgurl":"","subscribe_time":1577808000,"unionid":"{unionid}","remark":"","groupid":0,"tagid_list":[],"subscribe_scene":"ADD_SCENE_SEARCH","qr_scene":0,"qr_scene_str":""}}"#
        )
    );
    let bob = visit.sim.world().user("bob").expect("bob");
    let expected = json!({ "subscribe": 0, "openid": bob.openid(APPID), "unionid": bob.unionid() });
    assert_eq!(visit.user_info(&token, "bob").await, expected);
    let dave = visit.sim.world().user("dave").expect("dave");
    let expected = json!({ "subscribe": 0, "openid": dave.openid(APPID) });
    assert_eq!(visit.user_info(&token, "dave").await, expected);
}

#[tokio::test]
async fn people_begin_and_cease_to_follow() {
    let visit = Visit::start().await;
    let token = visit.classic().await;
    let follow = json!({ "user": "bob", "appid": APPID, "follow": true }).to_string();
    let control = format!("{}/_simulator/follow", visit.sim.url());
    assert_eq!(visit.post(&control, &follow).await.status(), StatusCode::OK);
    let bob = visit.user_info(&token, "bob").await;
    let followed = visit.sim.requests().pop().expect("a request").at / 1000;
    assert_eq!(bob["subscribe"], 1);
    assert!(bob["subscribe_time"].as_u64().expect("a time").abs_diff(followed) <= 1, "{bob}");
    // Whoever follows and comes from the menu is not asked.
    let profile = visit.authorize_url("snsapi_userinfo");
    visit.post(&profile, "user=bob&from=menu").await;
    assert_eq!(visit.get(&profile).await.status(), StatusCode::FOUND);

    visit.sim.follow("bob", APPID, false).expect("bob and the account");
    assert_eq!(visit.user_info(&token, "bob").await["subscribe"], 0);
    assert_eq!(visit.get(&profile).await.status(), StatusCode::OK);
    visit.sim.follow("alice", APPID, false).expect("alice and the account");
    assert_eq!(visit.user_info(&token, "alice").await["subscribe"], 0);

    for (user, appid) in [("mallory", APPID), ("bob", "wx0"), ("bob", "wx1111111111111111")] {
        let follow = follow.replace("bob", user).replace(APPID, appid);
        let refused = visit.post(&control, &follow).await;
        assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{follow}");
        assert!(visit.sim.follow(user, appid, true).is_err());
    }
}

#[tokio::test]
async fn a_ticket_stays_until_it_ends_and_signs_pages() {
    let visit = Visit::start().await;
    let token = visit.classic().await;
    let first = visit.ticket(&token).await;
    assert_eq!((&first["errcode"], &first["errmsg"]), (&json!(0), &json!("ok")));
    assert_eq!(visit.sim.requests().pop().expect("a request").errcode, Some(0));
    visit.sim.advance(HOUR);
    let again = visit.ticket(&token).await;
    assert_eq!(again["ticket"], first["ticket"]);
    assert!(again["expires_in"].as_u64().expect("a number") <= 3600, "{again}");

    let url = "http://127.0.0.1:8080/page?a=b";
    let signed = {
        use sha1::{Digest as _, Sha1};
        let ticket = text(&first, "ticket");
        let text = format!("jsapi_ticket={ticket}&noncestr=n&timestamp=1414587457&url={url}");
        hex(&Sha1::digest(text))
    };
    let config = async |url: &str, signature: &str| {
        let config = json!({
            "appid": APPID, "url": url, "timestamp": 1_414_587_457, "nonceStr": "n",
            "signature": signature,
        });
        let control = format!("{}/_simulator/js-sdk", visit.sim.url());
        let answer = visit.post(&control, &config.to_string()).await;
        let body = answer.bytes().await.expect("a body");
        let verdict: Value = serde_json::from_slice(&body).expect("JSON");
        text(&verdict, "errMsg").to_owned()
    };
    assert_eq!(config(&format!("{url}#/route"), &signed).await, "config:ok");
    assert_eq!(config(&format!("{url}c"), &signed).await, "config:invalid signature");
    assert_eq!(config("http://evil.example/", &signed).await, "config:invalid url domain");

    visit.sim.advance(HOUR);
    let token = visit.classic().await;
    assert_ne!(visit.ticket(&token).await["ticket"], first["ticket"]);
    assert_eq!(config(url, &signed).await, "config:invalid signature");
}

#[tokio::test]
async fn a_token_can_die_early_and_calls_can_fail() {
    let visit = Visit::start().await;
    let token = visit.stable(false).await;
    let token = text(&token, "access_token");
    visit.sim.fault(Fault::DeadToken, 1);
    // A token that was never good is not what the fault is about.
    assert_eq!(visit.user_info("nonsense", "alice").await["errcode"], 40001);
    assert_eq!(visit.sim.pending_faults().len(), 1);
    for _ in 0..2 {
        assert_eq!(visit.user_info(token, "alice").await["errcode"], 40001);
    }
    assert_eq!(visit.stable(false).await["access_token"], token);
    let forced = visit.stable(true).await;
    let token = text(&forced, "access_token");
    assert_eq!(visit.user_info(token, "alice").await["subscribe"], 1);

    let info = "/cgi-bin/user/info";
    let faults = [(Fault::BusyKeepsCode, -1), (Fault::Quota, 45009), (Fault::MinuteQuota, 45011)];
    for (fault, errcode) in faults {
        visit.sim.faults([FaultSwitch::new(fault, 1).path(info)]);
        assert_eq!(visit.user_info(token, "alice").await["errcode"], errcode);
        assert_eq!(visit.user_info(token, "alice").await["subscribe"], 1);
    }
    visit.sim.faults([FaultSwitch::new(Fault::Drop, 1).path(info)]);
    let openid = visit.sim.world().user("alice").expect("alice").openid(APPID);
    let url = format!("{}{info}?access_token={token}&openid={openid}", visit.sim.url());
    assert!(visit.http.get(&url).send().await.is_err());
    visit.sim.faults([FaultSwitch::new(Fault::Slow, 1).path(info).ms(600_000)]);
    let impatient = visit.http.get(&url).timeout(Duration::from_millis(300)).send().await;
    assert!(impatient.expect_err("too late").is_timeout());
    assert_eq!(visit.user_info(token, "alice").await["subscribe"], 1);
}
