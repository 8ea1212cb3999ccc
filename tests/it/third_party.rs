//! Clients that others wrote, which sign in and call the API with nothing but their hosts changed: at the simulator, and at
//! a gateway that plays WeChat for them. And WeChat's messages, as one of them writes them.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use wxgate::simulator::Simulator;

use crate::{
    domains::CLIENT_SECRET,
    facade::{SHOP, shops},
    revocation::{self, Place},
    world::APPID,
};

/// The clients: a program, a script, and what it says when all went well.
fn wechatpy() -> (PathBuf, &'static str, &'static str) {
    (clients().join("python/bin/python"), "wechatpy_login.py", "OK wechatpy")
}

fn co_wechat_oauth() -> (PathBuf, &'static str, &'static str) {
    ("node".into(), "co_wechat_oauth_login.mjs", "OK co-wechat-oauth")
}

#[tokio::test]
async fn wechatpy_signs_in() {
    at_the_simulator(wechatpy()).await;
}

#[tokio::test]
async fn co_wechat_oauth_signs_in() {
    at_the_simulator(co_wechat_oauth()).await;
}

async fn at_the_simulator(client: (PathBuf, &str, &str)) {
    let sim = Simulator::start().await;
    runs(client, &[&sim.url()]).await;
    // The second exchange is the one that shows a used code.
    assert_eq!(sim.count("/sns/oauth2/access_token"), 2);
    assert_eq!(sim.count("/sns/userinfo"), 1);
}

#[tokio::test]
async fn wechatpy_calls_as_an_account_a_mini_program_and_a_corp() {
    let sim = Simulator::start().await;
    let (python, ..) = wechatpy();
    runs((python, "wechatpy_server.py", "OK wechatpy"), &[&sim.url()]).await;
    // Two tokens of the account, and one with a wrong secret; one of the mini-program.
    assert_eq!(sim.count("/cgi-bin/token"), 4);
    assert_eq!(sim.count("/sns/jscode2session"), 2);
    assert_eq!(sim.count("/cgi-bin/user/getuserinfo"), 3);
}

#[tokio::test]
async fn co_wechat_api_calls_as_an_account_and_a_mini_program() {
    let sim = Simulator::start().await;
    let client = ("node".into(), "co_wechat_api_server.mjs", "OK co-wechat-api");
    runs(client, &[&sim.url()]).await;
    assert_eq!(sim.count("/cgi-bin/token"), 3);
    assert_eq!(sim.count("/cgi-bin/ticket/getticket"), 1);
    assert_eq!(sim.count("/sns/jscode2session"), 2);
}

#[tokio::test]
async fn wechatpy_signs_in_through_a_gateway_that_it_takes_for_wechat() {
    through_a_gateway(wechatpy()).await;
}

#[tokio::test]
async fn co_wechat_oauth_signs_in_through_a_gateway_that_it_takes_for_wechat() {
    through_a_gateway(co_wechat_oauth()).await;
}

async fn through_a_gateway(client: (PathBuf, &str, &str)) {
    let sites = shops().await;
    runs(client, &[&format!("http://127.0.0.1:{}", sites.port()), SHOP, CLIENT_SECRET]).await;
    // WeChat was asked once, by the gateway.
    assert_eq!(sites.sim.count("/sns/oauth2/access_token"), 1);
    assert_eq!(sites.sim.count("/sns/userinfo"), 1);
    assert_eq!(sites.sim.count("/sns/auth"), 0);
}

#[tokio::test]
async fn what_wechatpy_signs_and_encrypts_is_believed() {
    let (python, ..) = wechatpy();
    for (account, aes_key) in [(revocation::OPEN, "-"), (revocation::SEALED, revocation::AES_KEY)] {
        let place = Place::start(account).await;
        let (alice, openid) = (place.signed_in("alice").await, place.openid("alice"));
        let url = format!("{}/_wx/messages", place.url);
        let arguments = [&*url, revocation::TOKEN, aes_key, APPID, &openid];
        let client = (python.clone(), "wechatpy_push.py", "OK wechatpy");
        runs(client, &arguments).await;
        assert!(!revocation::is_in(&alice).await, "{account}");
    }
}

async fn runs((program, script, ok): (PathBuf, &str, &str), arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let output = Command::new(program)
        .arg(script)
        .args(arguments)
        .current_dir(clients())
        .env("PYTHONIOENCODING", "utf-8")
        .env("NO_PROXY", "*")
        .output()
        .await
        .expect("tests/clients/setup.sh installed it");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.starts_with(ok), "{said}{complained}");
}

/// Where `tests/clients/setup.sh` puts them: in the target directory, wherever that is.
pub fn clients() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory");
    let clients = target.join("clients");
    assert!(
        clients.join(".pins").exists(),
        "{} is missing: run tests/all.sh, it installs the third-party clients",
        clients.display()
    );
    clients
}
