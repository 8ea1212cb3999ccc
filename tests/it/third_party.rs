//! Clients that others wrote, which sign in at the simulator with nothing but their hosts changed.

use std::path::{Path, PathBuf};

use tokio::process::Command;
use wxgate::simulator::Simulator;

#[tokio::test]
async fn wechatpy_signs_in() {
    let clients = clients();
    let python = clients.join("python/bin/python");
    signs_in(python, "wechatpy_login.py", &clients, "OK wechatpy").await;
}

#[tokio::test]
async fn co_wechat_oauth_signs_in() {
    let script = "co_wechat_oauth_login.mjs";
    signs_in("node", script, &clients(), "OK co-wechat-oauth").await;
}

async fn signs_in(program: impl AsRef<Path>, script: &str, clients: &Path, ok: &str) {
    let sim = Simulator::start().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let output = Command::new(program.as_ref())
        .arg(script)
        .arg(sim.url())
        .current_dir(clients)
        .env("PYTHONIOENCODING", "utf-8")
        .env("NO_PROXY", "*")
        .output()
        .await
        .expect("tests/clients/setup.sh installed it");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.starts_with(ok), "{said}{complained}");
    // The second exchange is the one that shows a used code.
    assert_eq!(sim.count("/sns/oauth2/access_token"), 2);
    assert_eq!(sim.count("/sns/userinfo"), 1);
}

/// Where `tests/clients/setup.sh` puts them: in the target directory, wherever that is.
fn clients() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target directory");
    let clients = target.join("clients");
    assert!(
        clients.join(".pins").exists(),
        "{} is missing: run tests/all.sh, it installs the third-party clients",
        clients.display()
    );
    clients
}
