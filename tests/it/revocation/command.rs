//! `wxgate sessions`, against a gateway in a process of its own.

use serde_json::Value;
use wxgate::simulator::Simulator;

use super::is_in;
use crate::{
    command::wxgate,
    process::{Folder, Process},
    reload::{app, text},
    world::{self, APPID, Browser},
};

/// Exit code, standard output and standard error of `wxgate sessions`.
async fn sessions(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = wxgate().arg("sessions").args(arguments).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_by_command() {
    let (sim, app) = (Simulator::start().await, app("app").await);
    let process = Process::start(Folder::new(), |addr| text(&sim, addr, app, 0)).await;
    let admin = process.admin.to_string();
    let file = process.folder.path().join("wxgate.toml");
    let file = file.to_str().unwrap();
    let list = async |more: &[&str]| sessions(&[&["list", "--admin", &admin], more].concat()).await;
    let revoke =
        async |more: &[&str]| sessions(&[&["revoke", "--admin", &admin], more].concat()).await;

    assert_eq!(list(&[]).await, (Some(0), "nobody is signed in\n".to_owned(), String::new()));
    let mut browsers = Vec::new();
    for user in ["alice", "alice", "bob", "dave"] {
        let browser = Browser::new(&process.url(), user);
        browser.walk("/page").await;
        browsers.push(browser);
    }
    let [phone, desk, bob, dave] = &browsers[..] else { panic!("there are four") };
    let openid = |user: &str| sim.world().user(user).unwrap().openid(APPID);
    let (alice, bob_s) = (openid("alice"), openid("bob"));

    // A table with aligned columns, and times in UTC.
    let (code, out, said) = sessions(&["list", "--config", file]).await;
    assert_eq!((code, &*said), (Some(0), ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 5, "{out}");
    for head in ["SESSION", "APPID", "OPENID", "SCOPE", "SIGNED IN (UTC)", "LAST USED (UTC)"] {
        let at = lines[0].find(head).unwrap_or_else(|| panic!("{head}: {out}"));
        assert!(at == 0 || lines.iter().all(|line| line[..at].ends_with("  ")), "{head}: {out}");
    }
    let at = lines[0].find("SIGNED IN").unwrap();
    let time = lines[1][at..at + 19].replace(' ', "T");
    assert!(humantime::parse_rfc3339(&format!("{time}Z")).is_ok(), "{out}");
    let (_, out, said) = list(&["--limit", "3"]).await;
    assert!(out.lines().count() == 4 && said.contains("--limit 30"), "{out}{said}");

    let json = async |more: &[&str]| {
        let (code, out, said) = list(&[&["--json"], more].concat()).await;
        assert_eq!((code, &*said), (Some(0), ""));
        let page: Value = serde_json::from_str(&out).unwrap();
        page["sessions"].as_array().unwrap().clone()
    };
    assert_eq!(json(&[]).await.len(), 4);
    assert_eq!(json(&["--account", "main", "--openid", &alice]).await.len(), 2);
    assert_eq!(json(&["--account", APPID, "--openid", "nobody"]).await.len(), 0);

    // One session.
    let of_bob = &json(&["--openid", &bob_s]).await[0];
    let handle = of_bob["session"].as_str().unwrap();
    assert!(is_in(bob).await);
    let (code, out, _) = revoke(&["--session", handle]).await;
    assert_eq!((code, &*out), (Some(0), "revoked the session\n"));
    assert!(!is_in(bob).await && is_in(phone).await);
    // All of a user's, with and without the account's name.
    for account in [&[][..], &["--account", "main"]] {
        phone.walk("/page").await;
        desk.walk("/page").await;
        let (code, out, said) = revoke(&[&["--openid", &alice], account].concat()).await;
        assert_eq!(code, Some(0), "{said}");
        assert!(out.starts_with("revoked 2 of the user's sessions"), "{out}");
        assert!(!is_in(phone).await && !is_in(desk).await && is_in(dave).await);
    }
    // All of an account's.
    let (code, _, _) = revoke(&["--account", "main", "--all"]).await;
    assert_eq!(code, Some(0));
    assert!(!is_in(dave).await);

    // What is not there is not revoked, and a script can tell.
    for nothing in [
        &["--session", handle][..],
        &["--openid", &alice],
        &["--openid", &alice, "--account", APPID],
    ] {
        let (code, out, said) = revoke(nothing).await;
        assert_eq!((code, &*out), (Some(1), ""), "{nothing:?} {said}");
        assert!(said.starts_with("wxgate: nothing to revoke: "), "{said}");
    }
    for (wrong, hint) in [
        (&["--account", "mian", "--all"][..], "there is main (wx0123456789abcdef)"),
        (&["--account", "main"], "--session"),
        (&["--all"], "--account"),
        (&[], "--session"),
        (&["--session", handle, "--all"], "cannot be used with"),
        (&["--session", "x"], "32 hexadecimal digits"),
        (&["--openid", "a b", "--account", "main"], "not an openid"),
    ] {
        let (code, _, said) = revoke(wrong).await;
        assert!(code == Some(64) && said.contains(hint), "{wrong:?} {code:?} {said}");
    }
    let (code, _, said) = list(&["--account", "mian"]).await;
    assert!(code == Some(64) && said.contains("there is main"), "{said}");

    // The log says who it was, and not by openid.
    let user =
        process.logged(1, |line| line["message"] == "all sessions of a user were revoked").await;
    assert_eq!((user["level"].as_str(), user["sessions"].as_u64()), (Some("INFO"), Some(2)));
    let named = user["user"].as_str().unwrap();
    let (_, log) = process.stop().await;
    let access =
        log.iter().find(|line| line["user"] == named && line["target"] == "wxgate::access");
    assert!(access.is_some(), "the access log calls the user the same");
    let log = format!("{log:?}");
    assert!(!log.contains(&alice) && log.contains("a session was revoked"), "{log}");
}

#[tokio::test]
async fn a_gateway_that_cannot_be_asked_is_said_to_be_so() {
    let nobody = world::free_port().to_string();
    for command in [&["list"][..], &["revoke", "--account", "main", "--all"]] {
        let (code, _, said) = sessions(&[command, &["--admin", &nobody]].concat()).await;
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains(&nobody) && said.contains("is the gateway running"), "{said}");
    }
    // Something else listens there.
    let other = app("other").await.to_string();
    let (code, _, said) = sessions(&["list", "--admin", &other]).await;
    assert!(code == Some(69) && said.contains("admin_listen"), "{said}");

    let folder = Folder::new();
    folder.write("secret.txt", crate::process::SECRET);
    let text = format!(
        "[account.main]\nappid = '{APPID}'\nsecret_file = 'secret.txt'\n\
         [site.h5]\npublic_url = 'https://h5.example.com'\nupstream = 'http://127.0.0.1:3000'\n"
    );
    let file = folder.write("wxgate.toml", &text);
    let (code, _, said) = sessions(&["list", "--config", file.to_str().unwrap()]).await;
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("admin_listen = \"127.0.0.1:9101\""), "{said}");
}
