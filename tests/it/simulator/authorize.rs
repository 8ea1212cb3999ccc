//! The authorize page: who is it, may the account know, and what was wrong with the link.

use super::*;

#[tokio::test]
async fn a_script_signs_in_with_one_header() {
    let visit = Visit::start().await;
    for scope in ["snsapi_base", "snsapi_userinfo"] {
        let answer = visit.authorized("bob", scope).await;
        assert_eq!(answer.status(), StatusCode::FOUND);
        let code = code_in(location(&answer));
        assert_eq!(code.len(), 32);
        assert_eq!(location(&answer), format!("{CALLBACK}?code={code}&state=s1"));
    }
}

#[tokio::test]
async fn an_unknown_user_is_refused_with_the_names_that_exist() {
    let visit = Visit::start().await;
    let answer = visit.authorized("mallory", "snsapi_base").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let text = answer.text().await.expect("a body");
    assert!(text.contains("mallory") && text.contains("alice"), "{text}");
    let answer = visit.authorized("alice", "snsapi_base").await;
    assert_eq!(answer.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn a_wrong_link_is_an_error_page_and_never_a_redirect() {
    let visit = Visit::start().await;
    let good = visit.authorize_url("snsapi_base");
    let table = [
        ("127.0.0.1%3A1%2F", "evil.example%2F", "错误码:10003"),
        ("snsapi_base", "snsapi_login", "错误码:10005"),
        ("snsapi_base", "", "错误码:10010"),
        (APPID, "", "错误码:10012"),
        ("state=s1", "state=", "错误码:10013"),
        ("state=s1", &format!("state={}", "s".repeat(129)), "state参数过长"),
        ("scope=snsapi_base&state=s1", "state=s1&scope=snsapi_base", "该链接无法访问"),
    ];
    for (part, instead, expected) in table {
        let url = good.replacen(part, instead, 1);
        assert_ne!(url, good);
        let answer = visit.get_with(&url, &[("x-simulator-user", "alice")]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers().get("location").is_none());
        let page = answer.text().await.expect("a body");
        assert!(page.contains(expected), "{expected} is not in {page}");
    }
    let answer = visit.authorized("alice", "snsapi_base").await;
    assert_eq!(answer.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn a_person_chooses_once_and_is_asked_for_the_profile_once() {
    let visit = Visit::start().await;
    let base = visit.authorize_url("snsapi_base");
    let picker = visit.get(&base).await.text().await.expect("a page");
    assert!(picker.contains(r#"id="user-bob""#), "{picker}");

    let chosen = visit.post(&base, "user=bob").await;
    assert_eq!(chosen.status(), StatusCode::SEE_OTHER);
    let cookie = chosen.headers()["set-cookie"].to_str().expect("ASCII");
    assert!(cookie.starts_with("wxsim-user=bob; Path=/; HttpOnly"), "{cookie}");
    // Silent from here on, for base.
    assert_eq!(visit.get(&base).await.status(), StatusCode::FOUND);

    let profile = visit.authorize_url("snsapi_userinfo");
    let sheet = visit.get(&profile).await.text().await.expect("a page");
    assert!(sheet.contains(r#"id="allow""#) && sheet.contains(r#"id="deny""#), "{sheet}");
    let denied = visit.post(&profile, "consent=deny").await;
    assert_eq!(location(&denied), format!("{CALLBACK}?state=s1"));
    // A refusal is not remembered; a consent is, for 30 days.
    assert_eq!(visit.get(&profile).await.status(), StatusCode::OK);
    let allowed = visit.post(&profile, "consent=allow").await;
    assert_eq!(code_in(location(&allowed)).len(), 32);
    assert_eq!(visit.get(&profile).await.status(), StatusCode::FOUND);

    let forced = format!("{profile}&forcePopup=true");
    assert_eq!(visit.get(&forced).await.status(), StatusCode::OK);
    visit.sim.advance(DAY * 30);
    assert_eq!(visit.get(&profile).await.status(), StatusCode::OK);

    let switched = visit.post(&profile, "switch=1").await;
    assert_eq!(switched.status(), StatusCode::SEE_OTHER);
    let picker = visit.get(&base).await.text().await.expect("a page");
    assert!(picker.contains(r#"id="user-bob""#), "{picker}");
}

#[tokio::test]
async fn a_follower_from_the_menu_is_not_asked() {
    let visit = Visit::start().await;
    let profile = visit.authorize_url("snsapi_userinfo");
    for (user, from_menu) in [("alice", StatusCode::FOUND), ("bob", StatusCode::OK)] {
        visit.post(&profile, &format!("user={user}")).await;
        assert_eq!(visit.get(&profile).await.status(), StatusCode::OK);
        let elsewhere = [("x-simulator-from", "elsewhere")];
        assert_eq!(visit.get_with(&profile, &elsewhere).await.status(), StatusCode::BAD_REQUEST);
        let menu = [("x-simulator-from", "menu")];
        assert_eq!(visit.get_with(&profile, &menu).await.status(), from_menu);
        visit.post(&profile, &format!("user={user}&from=menu")).await;
        assert_eq!(visit.get(&profile).await.status(), from_menu);
    }
}

#[tokio::test]
async fn a_refusal_is_a_state_alone_or_silence() {
    let visit = Visit::start().await;
    let url = visit.authorize_url("snsapi_userinfo");
    let as_alice = ("x-simulator-user", "alice");
    let deny = [as_alice, ("x-simulator-consent", "deny")];
    let denied = visit.get_with(&url, &deny).await;
    assert_eq!(location(&denied), format!("{CALLBACK}?state=s1"));
    let silence = [as_alice, ("x-simulator-consent", "silence")];
    let silent = visit.get_with(&url, &silence).await;
    assert_eq!(silent.status(), StatusCode::OK);
    let unclear = [as_alice, ("x-simulator-consent", "perhaps")];
    let unclear = visit.get_with(&url, &unclear).await;
    assert_eq!(unclear.status(), StatusCode::BAD_REQUEST);

    visit.sim.fault(Fault::DenyStateOnly, 1);
    visit.sim.fault(Fault::DenySilent, 1);
    let denied = visit.authorized("alice", "snsapi_userinfo").await;
    assert_eq!(location(&denied), format!("{CALLBACK}?state=s1"));
    let silent = visit.authorized("alice", "snsapi_userinfo").await;
    assert_eq!(silent.status(), StatusCode::OK);
    let allowed = visit.authorized("alice", "snsapi_userinfo").await;
    assert_eq!(code_in(location(&allowed)).len(), 32);
}

#[tokio::test]
async fn a_world_can_be_stricter() {
    let world = include_str!("../../../src/simulator/builtin.toml");
    let sandbox = world.replacen("name =", "sandbox = true\nname =", 1);
    let visit = Visit::in_world(&sandbox).await;
    let page = visit.authorized("bob", "snsapi_base").await.text().await;
    assert!(page.expect("a page").contains("错误码:10006"));
    assert_eq!(visit.code("alice", "snsapi_base").await.len(), 32);

    let limited = format!("{world}\n[switches]\nauthorizes_per_minute = 2\n");
    let visit = Visit::in_world(&limited).await;
    visit.code("alice", "snsapi_base").await;
    visit.code("alice", "snsapi_base").await;
    let page = visit.authorized("alice", "snsapi_base").await.text().await;
    assert!(page.expect("a page").contains("错误码:10009"));
    visit.sim.advance(Duration::from_secs(61));
    visit.code("alice", "snsapi_base").await;

    let wechat_only = format!("{world}\n[switches]\nrequire_wechat_ua = true\n");
    let visit = Visit::in_world(&wechat_only).await;
    let url = visit.authorize_url("snsapi_base");
    let page = visit.get(&url).await.text().await.expect("a page");
    assert!(page.contains("请在微信客户端打开链接"), "{page}");
    let wechat =
        [("user-agent", "Mozilla/5.0 MicroMessenger/8.0.42"), ("x-simulator-user", "alice")];
    let answer = visit.get_with(&url, &wechat).await;
    assert_eq!(answer.status(), StatusCode::FOUND);
}
