//! What every front proxy has to do right for the other ways in, told once for all of them.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use wxgate::{
    gateway::snippet::Kind,
    simulator::{Fault, FaultSwitch},
};

use super::{
    Fronts, MINI_PROGRAM, raw,
    visits::{is_html, signed_in, spellings},
};
use crate::world::{APPID, Answer, Browser, WECHAT, userinfo_login};

pub const USER_INFO: &str = "/cgi-bin/user/info";

impl Fronts {
    /// A mini-program that finds the site `h5` at this port: it keeps no cookies.
    pub fn mini_program(&self, port: u16) -> Program {
        let browser = Browser::new(&format!("http://h5.localhost:{port}"), "nobody");
        let browser = browser.without("x-simulator-user").without("user-agent");
        Program(browser.through(self.http.clone()))
    }

    /// The token of a user of that mini-program.
    pub async fn token(&self, program: &Program, user: &str) -> String {
        let phone = self.sim.mini_program(user, MINI_PROGRAM).expect("they live there");
        let code = json!({ "js_code": phone.login() });
        let answer = program.post("/_wx/mini-program/login", None, &code).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.set_cookies(), [""; 0]);
        answer.json()["token"].as_str().expect("a token").to_owned()
    }
}

pub struct Program(Browser);

impl Program {
    pub async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        let mut lines = vec![("content-type", "application/json")];
        lines.extend(token.map(|token| ("x-wechat-session", token)));
        self.0.send(Method::POST, path, &lines, &body.to_string()).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.0.send(Method::GET, path, &[("x-wechat-session", token)], "").await
    }
}

/// A token that nobody was given.
pub fn made_up(token: &str) -> String {
    let (first, rest) = token.split_at(1);
    format!("{}{rest}", if first == "0" { "1" } else { "0" })
}

/// A mini-program's token is taken as the cookie is, and stays between the client and us.
pub async fn tokens(kind: Kind) {
    let fronts = Fronts::behind(kind).await;
    let program = fronts.mini_program(fronts.port);
    let token = fronts.token(&program, "alice").await;
    let openid = fronts.openid("alice", MINI_PROGRAM);
    let host = format!("h5.localhost:{}", fronts.port);
    let ask = async |path: &str, lines: &[(&str, &str)]| {
        let lines = [&[("host", &*host), ("x-passes", "by")], lines].concat();
        raw(fronts.front(), "GET", path, &lines).await
    };
    let assert_passed = |answer: &super::Raw, token: &str, is_known: bool| {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains(r#""x-passes":"by""#), "{answer:?}");
        assert_eq!(answer.body.contains(&openid), is_known, "{answer:?}");
        let body = answer.body.to_ascii_lowercase();
        assert!(!body.contains(&token.to_ascii_lowercase()), "{answer:?}");
        assert!(!body.contains("session") && !body.contains("wxgate"), "{answer:?}");
    };
    for name in ["X-WeChat-Session", "x-wechat-session", "X-WECHAT-SESSION"] {
        for (path, is_known) in [("/page", true), ("/feed", true), ("/static/x", false)] {
            let answer = ask(path, &[(name, &token)]).await;
            assert_passed(&answer, &token, is_known);
        }
    }
    let order = program.post("/order?x", Some(&token), &json!({ "pieces": 2 })).await;
    assert_eq!(order.json()["body"], r#"{"pieces":2}"#);
    assert_eq!(order.received("x-wechat-appid").as_deref(), Some(MINI_PROGRAM));
    assert_eq!(program.get("/_wx/me", &token).await.json()["openid"], openid);
    // Under no other name is it a token, nor does the app see it there.
    let names = spellings("X-WeChat-Session").into_iter();
    let names = names.filter(|name| !name.eq_ignore_ascii_case("x-wechat-session"));
    let names = names.chain(["x!wechat!session", "X~WeChat-Session"].map(str::to_owned));
    // Caddy's own name for it is no way to bring one either.
    let names = names.chain((kind == Kind::Caddy).then(|| "wxgate-token".to_owned()));
    for name in names {
        assert_passed(&ask("/feed", &[(&name, &token)]).await, &token, false);
    }

    // A token that is wrong, doubled or damaged is nobody's, though the cookie beside it is good.
    let person = signed_in(&fronts, "h5", "bob").await;
    let cookie = format!("wxgate={}", person.session_cookie().unwrap());
    let made_up = made_up(&token);
    let before = fronts.app.requests();
    for tokens in [
        &[&*made_up][..],
        &["x"],
        &[&token[1..]],
        &[&token, &token],
        &[&token, &made_up],
        &[&made_up, &token],
    ] {
        let mut lines = vec![
            ("cookie", &*cookie),
            ("user-agent", WECHAT),
            ("accept", "text/html"),
            ("sec-fetch-mode", "navigate"),
        ];
        lines.extend(tokens.iter().map(|token| ("x-wechat-session", *token)));
        let answer = ask("/page", &lines).await;
        assert_eq!((answer.status, answer.header("location")), (401, None), "{answer:?}");
        let told: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(told["error"], "login_required", "{answer:?}");
        assert_eq!(answer.header("set-cookie"), None, "{answer:?}");
    }
    assert_eq!(fronts.app.requests(), before, "c25");
    assert_passed(&ask("/feed", &[("x-wechat-session", &made_up)]).await, &made_up, false);
    assert_eq!(person.get("/page").await.status, StatusCode::OK);

    // What a mini-program's user has given is told, and where nothing was given, nothing is.
    assert_eq!(program.get("/page", &token).await.received("x-wechat-phone"), None);
    let phone = fronts.sim.mini_program("alice", MINI_PROGRAM).unwrap();
    let number = serde_json::to_value(phone.phone_number().unwrap()).unwrap();
    let given = program.post("/_wx/mini-program/user-data", Some(&token), &number).await;
    let given = given.json()["user"]["phone"].as_str().expect("a number").to_owned();
    assert!(given.starts_with("+86"), "{given}");
    let spoofed = [("x-wechat-session", &*token), ("x-wechat-phone", "spoofed")];
    let answer = ask("/page", &spoofed).await;
    assert!(answer.body.contains(&format!(r#""x-wechat-phone":"{given}""#)), "{answer:?}");
    let out = program.post("/_wx/logout", Some(&token), &json!({})).await;
    assert!(out.status.is_redirection(), "{out:?}");
    assert_eq!(program.get("/page", &token).await.status, StatusCode::UNAUTHORIZED);
}

/// Who follows comes in; everybody else sees how to, and nobody passes while WeChat does not say.
pub async fn followers(kind: Kind) {
    let fronts = Fronts::behind(kind).await;
    let alice = signed_in(&fronts, "h5", "alice").await;
    let bob = signed_in(&fronts, "h5", "bob").await;
    let before = fronts.app.requests();
    fronts.sim.faults([FaultSwitch::new(Fault::Quota, 1).path(USER_INFO)]);
    let page = alice.get("/members").await;
    assert!(page.status.is_server_error(), "c30: {page:?}");
    is_html(&page);
    let nobody = fronts.browser("h5", "bob").get("/members").await;
    assert_eq!(nobody.status, StatusCode::FOUND);
    let page = bob.get("/members/x").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    is_html(&page);
    assert!(page.body.contains("请先关注公众号"), "{page:?}");
    for (method, body) in [(Method::GET, ""), (Method::POST, "body")] {
        let script = [("sec-fetch-mode", "cors")];
        let script = bob.send(method, "/members", &script, body).await;
        assert_eq!(
            (script.status, &*script.body),
            (StatusCode::FORBIDDEN, r#"{"error":"not_a_follower"}"#)
        );
    }
    assert_eq!(fronts.app.requests(), before, "c25");
    assert_eq!(bob.get("/page").await.status, StatusCode::OK);
    let page = alice.get("/members").await;
    assert_eq!(page.received("x-wechat-openid"), Some(fronts.openid("alice", APPID)));

    fronts.sim.follow("bob", APPID, true).unwrap();
    fronts.clock.advance(std::time::Duration::from_secs(3));
    assert_eq!(bob.get("/members").await.status, StatusCode::OK);
}

/// Where the subject is the unionid, which was not known at first.
pub async fn former_subjects(kind: Kind) {
    let fronts = Fronts::trusting_with("[session]\nsubject = 'unionid'").await;
    let fronts = fronts.standing_behind(kind).await;
    let alice = signed_in(&fronts, "h5", "alice").await;
    let page = alice.get("/page").await;
    let former = format!("{APPID}:{}", fronts.openid("alice", APPID));
    assert_eq!(page.received("x-wechat-subject").as_ref(), Some(&former));
    assert_eq!(page.received("x-wechat-former-subject"), None);
    let page = alice.walk(&userinfo_login("/page")).await;
    let unionid = page.received("x-wechat-unionid").expect("she has one");
    assert_eq!(page.received("x-wechat-subject").as_ref(), Some(&unionid));
    assert_eq!(page.received("x-forwarded-user").as_ref(), Some(&unionid));
    assert_eq!(page.received("x-wechat-former-subject"), Some(former));
}
