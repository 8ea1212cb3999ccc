//! The API under `/sns`: its bodies, its errors and how long things live.

use super::*;

#[tokio::test]
async fn the_bodies_look_like_captures() {
    let visit = Visit::start().await;
    let code = visit.code("dave", "snsapi_userinfo").await;
    let url = format!("{}{EXCHANGE}", visit.sim.url());
    let form = format!("grant_type=authorization_code&code={code}&secret={SECRET}&appid={APPID}");
    let body = visit.post(&url, &form).await.text().await.expect("a body");
    let token: Value = serde_json::from_str(&body).expect("JSON");
    let (access, refresh) = (text(&token, "access_token"), text(&token, "refresh_token"));
    let openid = visit.sim.world().user("dave").expect("dave").openid(APPID);
    assert_eq!(
        body,
        format!(
            r#"{{"access_token":"{access}","expires_in":7200,"refresh_token":"{refresh}","openid":"{openid}","scope":"snsapi_userinfo"}}"#
        )
    );

    let query = format!("access_token={access}&openid={openid}");
    let url = format!("{}/sns/userinfo?{query}", visit.sim.url());
    let body = visit.get(&url).await.text().await.expect("a body");
    assert_eq!(
        body,
        format!(
            r#"{{"openid":"{openid}","nickname":"戴夫","sex":0,"language":"","city":"","province":"","country":"","headimgurl":"","privilege":[]}}"#
        )
    );
}

#[tokio::test]
async fn a_unionid_comes_with_the_profile_scope_only() {
    let visit = Visit::start().await;
    let alice = visit.sim.world().user("alice").expect("alice");
    let base = visit.signed_in("alice", "snsapi_base").await;
    assert!(base["unionid"].is_null(), "{base}");
    assert_eq!(visit.about("/sns/userinfo", &base).await["errcode"], 48001);
    assert_eq!(visit.about("/sns/auth", &base).await["errcode"], 0);

    let token = visit.signed_in("alice", "snsapi_userinfo").await;
    assert_eq!(token["unionid"], json!(alice.unionid()));
    let user = visit.about("/sns/userinfo", &token).await;
    assert_eq!(user["nickname"], "爱丽丝🌸");
    assert_eq!(user["unionid"], token["unionid"]);
}

#[tokio::test]
async fn an_avatar_can_be_seen_without_a_network() {
    let visit = Visit::start().await;
    let token = visit.signed_in("alice", "snsapi_userinfo").await;
    let user = visit.about("/sns/userinfo", &token).await;
    let picture = visit.get(text(&user, "headimgurl")).await;
    assert_eq!(picture.headers()["content-type"], "image/svg+xml");
    assert!(picture.text().await.expect("a body").contains('爱'));
}

#[tokio::test]
async fn a_snapshot_user_is_virtual_and_says_so() {
    let visit = Visit::start().await;
    let carol = visit.sim.world().user("carol").expect("carol");
    let base = visit.signed_in("carol", "snsapi_base").await;
    assert_eq!(base["openid"], carol.openid(APPID));
    assert!(base["is_snapshotuser"].is_null(), "{base}");

    let token = visit.signed_in("carol", "snsapi_userinfo").await;
    assert_eq!(token["is_snapshotuser"], 1);
    assert_eq!(token["openid"], carol.virtual_openid(APPID));
    let user = visit.about("/sns/userinfo", &token).await;
    assert_eq!(user["nickname"], "微信用户");
}

#[tokio::test]
async fn every_mistake_has_its_errcode_and_a_rid_with_the_time() {
    let visit = Visit::start().await;
    let token = visit.signed_in("alice", "snsapi_userinfo").await;
    let (access, openid) = (text(&token, "access_token"), text(&token, "openid"));
    let unknown = format!("75_{}", "A".repeat(86));
    let exchange = format!("appid={APPID}&secret={SECRET}&grant_type=authorization_code");
    let refresh = format!("appid={APPID}&grant_type=refresh_token");
    let table = [
        (EXCHANGE, exchange.replace(APPID, ""), 41002),
        (EXCHANGE, exchange.replace(APPID, "wx0"), 40013),
        (EXCHANGE, exchange.replace(SECRET, ""), 41004),
        (EXCHANGE, exchange.replace(SECRET, "0"), 40125),
        (EXCHANGE, exchange.replace("authorization_code", "password"), 40002),
        (EXCHANGE, exchange.clone(), 41008),
        (EXCHANGE, format!("{exchange}&code=nonsense"), 40029),
        ("/sns/oauth2/refresh_token", refresh.clone(), 41003),
        ("/sns/oauth2/refresh_token", format!("{refresh}&refresh_token=x"), 40030),
        ("/sns/userinfo", format!("openid={openid}"), 41001),
        ("/sns/userinfo", format!("access_token={access}"), 41009),
        ("/sns/userinfo", format!("access_token=x&openid={openid}"), 40014),
        ("/sns/userinfo", format!("access_token={unknown}&openid={openid}"), 40001),
        ("/sns/auth", format!("access_token={access}&openid=o"), 40003),
        ("/sns/nothing", String::new(), 40066),
    ];
    for (path, query, errcode) in table {
        let answer = visit.api(path, &query).await;
        assert_eq!(answer["errcode"], errcode, "{path}?{query}");
        let (_, rid) = text(&answer, "errmsg").split_once(", rid: ").expect("a rid");
        let at = u64::from_str_radix(&rid[..8], 16).expect("hexadecimal");
        let noted = visit.sim.requests().pop().expect("a request");
        assert!(at.abs_diff(noted.at / 1000) <= 1, "{rid}");
        assert_eq!(noted.errcode, Some(errcode));
    }
    assert_eq!(visit.about("/sns/auth", &token).await["errcode"], 0);
}

#[tokio::test]
async fn codes_and_tokens_die_of_age() {
    let visit = Visit::start().await;
    let code = visit.code("alice", "snsapi_base").await;
    visit.sim.advance(Duration::from_secs(5 * 60));
    assert_eq!(visit.exchange(&code).await["errcode"], 40029);

    let code = visit.code("alice", "snsapi_userinfo").await;
    let token = visit.exchange(&code).await;
    assert_eq!(visit.exchange(&code).await["errcode"], 40163);
    assert_eq!(visit.refresh(&token).await["access_token"], token["access_token"]);
    visit.sim.advance(HOUR * 2);
    assert_eq!(visit.about("/sns/userinfo", &token).await["errcode"], 42001);
    let refreshed = visit.refresh(&token).await;
    assert_ne!(refreshed["access_token"], token["access_token"]);
    assert_eq!(visit.about("/sns/auth", &refreshed).await["errcode"], 0);
    visit.sim.advance(DAY * 30);
    assert_eq!(visit.refresh(&token).await["errcode"], 42002);
}

#[tokio::test]
async fn of_many_exchanges_at_once_one_gets_the_tokens() {
    let visit = std::sync::Arc::new(Visit::start().await);
    let code = visit.code("alice", "snsapi_base").await;
    let mut exchanges = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (visit, code) = (visit.clone(), code.clone());
        exchanges.spawn(async move { visit.exchange(&code).await["errcode"].clone() });
    }
    let errcodes = exchanges.join_all().await;
    assert_eq!(errcodes.iter().filter(|it| it.is_null()).count(), 1);
    assert_eq!(errcodes.iter().filter(|it| **it == 40163).count(), 49);
    assert_eq!(visit.sim.count(EXCHANGE), 50);
}
