//! Gateways whose sessions outlive them: nobody is signed out by a restart, and nothing starts without what it needs.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use serde_json::Value;
use tokio::process::Command;
use wxgate::simulator::Simulator;

use crate::{
    command::{ended, listening, log_of, terminate, wxgate},
    keys::{FILE, Flags, ids, said, text, write_keys},
    process::{Folder, Process, SECRET},
    reload,
    world::{self, App, Browser},
};

const STORE: &str = "file:sessions.db";

#[tokio::test]
async fn a_restart_and_a_rotation_sign_nobody_out() {
    let (sim, app, folder) = (Simulator::start().await, App::start().await, Folder::new());
    let gateway = Flags::new(&folder, &sim, &app, &["--store", STORE]);
    let mut command = gateway.command();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let log = log_of(&mut child);
    listening(gateway.addr).await;
    let (alice, bob) = (gateway.browser("alice"), gateway.browser("bob"));
    assert_eq!(alice.walk("/page").await.json()["uri"], "/page");
    let callback = bob.callback_url("/page").await;
    assert_eq!(terminate(child).await, Some(0));

    // The keys were made, for the owner alone, and that was said once; reading them is no change of the configuration.
    let keys = folder.path().join("sessions.db.keys");
    assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    let log = log.await;
    let made = log.lines().filter(|line| line.contains("made the keys of the store"));
    assert_eq!(made.count(), 1, "{log}");
    assert!(!log.contains("is in force"), "{log}");

    let exchanges = sim.count(world::EXCHANGE);
    for round in 0..3 {
        let child = gateway.start().await;
        let page = alice.get("/page").await;
        assert!(page.received("x-wechat-openid").is_some(), "round {round}: {page:?}");
        assert_eq!(terminate(child).await, Some(0));
        said(&folder, &["rotate", "sessions.db.keys", "--drop-older-than", "60d"]).await;
    }
    assert_eq!(sim.count(world::EXCHANGE), exchanges);
    let child = gateway.start().await;
    assert_eq!(bob.get(&callback).await.location(), "/page");
    assert_eq!(terminate(child).await, Some(0));

    // A store whose keys are lost is not served, rather than everybody signed out.
    fs::rename(&keys, folder.path().join("backup")).unwrap();
    let output = ended(gateway.command()).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("put it back from a backup") && !keys.exists(), "{said}");
    fs::rename(folder.path().join("backup"), &keys).unwrap();
    let child = gateway.start().await;
    assert!(alice.get("/page").await.received("x-wechat-openid").is_some());
    assert_eq!(terminate(child).await, Some(0));
}

fn stays(line: &Value) -> bool {
    line["message"] == "the old configuration stays"
}

fn is_in_force(line: &Value) -> bool {
    line["message"].as_str().is_some_and(|message| message.ends_with("is in force"))
}

#[tokio::test]
async fn c30_keys_that_would_sign_everybody_out_are_refused_while_it_runs() {
    let (sim, app) = (Simulator::start().await, reload::app("a").await);
    let folder = Folder::new();
    said(&folder, &["new", FILE]).await;
    let session = "store = 'file:sessions.db'\nkey_file = 'wxgate.keys'";
    let process = Process::start(folder, |addr| text(&sim, addr, app, session)).await;
    let (folder, alice) = (&process.folder, Browser::new(&process.url(), "alice"));
    assert_eq!(alice.walk("/private").await.body, "a /private");

    let good = fs::read_to_string(folder.path().join(FILE)).unwrap();
    said(folder, &["new", "foreign"]).await;
    write_keys(folder, &fs::read_to_string(folder.path().join("foreign")).unwrap());
    let line = process.logged(1, stays).await;
    assert!(line["error"].as_str().unwrap().contains("the key that seals at present"), "{line}");
    assert_eq!(alice.get("/private").await.body, "a /private");
    // Those of a rotation are not.
    write_keys(folder, &good);
    process.logged(1, is_in_force).await;
    said(folder, &["rotate", FILE]).await;
    process.logged(2, is_in_force).await;
    assert_eq!(alice.get("/private").await.body, "a /private");
    assert_eq!(ids(folder).len(), 3);
    let bob = Browser::new(&process.url(), "bob");
    assert_eq!(bob.walk("/private").await.body, "a /private");
    assert_eq!(process.stop().await.0, Some(0));
}

#[tokio::test]
async fn where_sessions_are_kept_changes_with_a_restart_only() {
    let (sim, app) = (Simulator::start().await, reload::app("a").await);
    let folder = Folder::new();
    said(&folder, &["new", FILE]).await;
    folder.write("redis.txt", "one");
    let session = "store = 'redis://127.0.0.1:1'\nkey_file = 'wxgate.keys'\nstore_password_file = 'redis.txt'";
    let process = Process::start(folder, |addr| text(&sim, addr, app, session)).await;
    let store = |session: &str| text(&sim, process.addr, app, session);
    process.configure(&store(&session.replace(":1'", ":2'")));
    let line = process.logged(1, stays).await;
    assert_eq!(line["error"], "session.store can only be changed by a restart");
    process.configure(&store(session));
    process.logged(1, is_in_force).await;
    process.folder.write("redis.txt", "two");
    let line = process.logged(2, stays).await;
    assert_eq!(line["error"], "session.store_password_file can only be changed by a restart");
    // Nobody listens there: it runs all the same, and says that it is not ready.
    let (status, said) = process.admin("/readyz").await;
    assert_eq!((status, said.contains("store_down")), (503, true), "{said}");
    let (_, log) = process.stop().await;
    assert!(!format!("{log:?}").contains("two"), "{log:?}");
}

/// Runs `wxgate check --online`: its exit code, and all that it said.
async fn check(folder: &Path) -> (Option<i32>, String) {
    let mut command: Command = wxgate();
    let output = command.args(["check", "--online"]).current_dir(folder).output().await.unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn check_online_asks_the_store_and_makes_nothing() {
    let (sim, app, folder) = (Simulator::start().await, App::start().await, Folder::new());
    folder.write("secret.txt", SECRET);
    said(&folder, &["new", FILE]).await;
    let app_addr: SocketAddr = app.url().trim_start_matches("http://").parse().unwrap();
    let file = |session: &str| {
        let account = "[account.main]\nappid = 'wx0123456789abcdef'\nsecret_file = 'secret.txt'\n";
        let listen = SocketAddr::from(([127, 0, 0, 1], 8080));
        folder.write("wxgate.toml", format!("{}{account}", text(&sim, listen, app_addr, session)));
    };
    file("store = 'file:sessions.db'");
    let (code, said) = check(folder.path()).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("sessions.db is not there yet, and can be made"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);

    let gateway = Flags::new(&folder, &sim, &app, &["--store", STORE]);
    let child = gateway.start().await;
    let (code, said) = check(folder.path()).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("in use by another process, such as a running gateway"), "{said}");
    assert_eq!(terminate(child).await, Some(0));
    let (code, said) = check(folder.path()).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("sessions.db answers"), "{said}");

    let nobody = world::free_port();
    folder.write("other.db", "something else entirely, which is no store of anybody's sessions");
    for (store, hint) in [
        ("file:nowhere/sessions.db", "nowhere/sessions.db cannot be made: No such file"),
        ("file:other.db", "other.db: "),
        (&format!("redis://{nobody}"), "refused"),
    ] {
        file(&format!("store = '{store}'\nkey_file = 'wxgate.keys'"));
        let (code, said) = check(folder.path()).await;
        assert_eq!(code, Some(69), "{said}");
        assert!(
            said.contains("the store cannot be used: ") && said.contains(hint),
            "{hint}: {said}"
        );
        // WeChat is asked all the same.
        assert!(said.contains("takes the secret"), "{said}");
    }
}
