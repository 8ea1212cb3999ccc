//! Plants secrets, makes everything go wrong that can, and searches whatever leaves the gateway for them.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State};
use http::{Method, Uri};
use serde_json::Value;
use tokio::process::Command;
use wxgate::simulator::{Fault, FaultSwitch, Simulator};

use crate::{
    command::{listening, log_of, terminate},
    world::{self, Answer, App, Browser},
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// WeChat's API with somebody who listens: keeps every answer.
#[derive(Clone)]
struct Wire {
    api: String,
    answers: Arc<Mutex<Vec<String>>>,
}

async fn relay(State(wire): State<Wire>, uri: Uri) -> String {
    let answer = world::http_client().get(format!("{}{uri}", wire.api)).send().await;
    let body = match answer {
        Ok(answer) => answer.text().await.unwrap_or_default(),
        Err(_) => String::new(),
    };
    wire.answers.lock().unwrap().push(body.clone());
    body
}

async fn told_to_the_operator(admin: SocketAddr) -> [Answer; 3] {
    let operator = Browser::new(&format!("http://{admin}"), "nobody");
    [
        operator.get("/metrics").await,
        operator.get("/sessions?account=main").await,
        operator.get("/readyz").await,
    ]
}

/// The headers and bodies of answers, but for the cookies that are meant for their browser.
fn written(answers: &[Answer]) -> String {
    let written = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("set-cookie");
        format!("{headers:?}\n{}\n", answer.body)
    };
    answers.iter().map(written).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn c50_c51_w10_no_secret_is_in_any_log_page_or_upstream_header() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let wire = Wire { api: sim.url(), answers: Arc::default() };
    let api = world::serve(Router::new().fallback(relay).with_state(wire.clone())).await;
    let (listen, admin) = (world::free_port(), world::free_port());
    let url = format!("http://{listen}");
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_wxgate"))
        .args(["serve", "--appid", world::APPID, "--public-url", &url, "--upstream", &app.url()])
        .args(["--listen", &listen.to_string(), "--admin-listen", &admin.to_string()])
        .args(["--wechat-api", &format!("http://{api}"), "--wechat-open", &sim.url()])
        .env("WXGATE_SECRET", SECRET)
        .env("WXGATE_LOG", "trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = log_of(&mut gateway);
    listening(listen).await;

    let mut left = Vec::<Answer>::new();
    let mut sessions = Vec::new();
    // Whatever is answered to a browser, but for the cookies that are meant for it.
    let visit = async |browser: &Browser, path: &str, left: &mut Vec<Answer>| {
        let page = browser.walk(path).await;
        left.push(page);
        browser.session_cookie()
    };
    let login = "/_wx/login?scope=userinfo&again=1&to=/page";
    for user in ["alice", "bob", "carol", "dave"] {
        let browser = Browser::new(&url, user);
        for path in
            ["/page/control-c157", login, "/_wx/me", "/_wx/logout", "/_wx/nothing", "/a%2fb"]
        {
            sessions.extend(visit(&browser, path, &mut left).await);
        }
        left.push(
            browser.send(Method::POST, "/page", &[("x-control", "control-c157")], "body").await,
        );
        browser.log_out("?to=/page").await;
    }
    for fault in [
        FaultSwitch::new(Fault::BusyBurnsCode, 2),
        FaultSwitch::new(Fault::Drop, 1),
        FaultSwitch::new(Fault::Quota, 1),
        FaultSwitch::new(Fault::Drop, 1).path(world::USERINFO),
        FaultSwitch::new(Fault::Quota, 1).path(world::USERINFO),
        FaultSwitch::new(Fault::Snapshot, 1),
        FaultSwitch::new(Fault::DenyStateOnly, 1),
        FaultSwitch::new(Fault::BrokenUtf8, 1),
    ] {
        sim.faults([fault]);
        let browser = Browser::new(&url, "alice");
        visit(&browser, login, &mut left).await;
        sim.clear_faults();
    }
    let used = Browser::new(&url, "alice");
    let callback = used.callback_url("/page").await;
    left.push(Browser::new(&url, "bob").get(&callback).await);
    left.push(used.get(&callback).await);
    left.push(used.get(&callback).await);
    sessions.extend(used.session_cookie());
    left.extend(told_to_the_operator(admin).await);
    assert_eq!(terminate(gateway).await, Some(0));
    let log = log.await;

    // What must not be found.
    let mut planted = vec![SECRET.to_owned()];
    planted.extend(sessions);
    for request in sim.requests() {
        let query = url::form_urlencoded::parse(request.query.as_bytes());
        planted.extend(query.filter(|(name, _)| name == "code").map(|(_, code)| code.into_owned()));
    }
    for body in wire.answers.lock().unwrap().iter() {
        let Ok(answer) = serde_json::from_str::<Value>(body) else { continue };
        let tokens =
            ["access_token", "refresh_token"].map(|name| answer[name].as_str().map(str::to_owned));
        planted.extend(tokens.into_iter().flatten());
    }
    planted.sort();
    planted.dedup();
    assert!(planted.len() > 30, "{}", planted.len());

    let pages = written(&left);
    for secret in &planted {
        assert!(!log.contains(secret.as_str()), "a log line has {secret}");
        assert!(!pages.contains(secret.as_str()), "an answer has {secret}");
    }
    // What must be found, so that the search is known to search: in the logs, and in what the app received.
    assert!(log.contains("TRACE") && log.contains("45009"), "{log}");
    let rid = pages.split("rid").nth(1).and_then(|text| {
        text.split(|c: char| !(c.is_ascii_hexdigit() || c == '-')).find(|word| word.len() == 26)
    });
    assert!(log.contains(rid.unwrap()), "{rid:?}");
    assert!(
        pages.contains("\"uri\":\"/page/control-c157\"")
            && pages.contains("\"x-control\":\"control-c157\"")
            && pages.contains("# TYPE wxgate_")
            && pages.contains("\"session\":\"")
    );
}
