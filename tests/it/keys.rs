//! The keys that seal: `wxgate keys`, and gateways that read them from a file, rotate them and restart.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use http::StatusCode;
use tokio::process::{Child, Command};
use wxgate::simulator::Simulator;

use crate::{
    command::{ended, listening, terminate, wxgate},
    process::{Folder, Process, SECRET},
    reload,
    world::{self, App, Browser},
};

pub const FILE: &str = "wxgate.keys";

/// Runs `wxgate keys` in a folder: its exit code, and what it said on standard output and on standard error.
async fn keys(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = wxgate();
    command.arg("keys").args(arguments).current_dir(folder.path());
    let output = command.output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The same where all goes well: what it said.
pub async fn said(folder: &Folder, arguments: &[&str]) -> String {
    let (code, out, errors) = keys(folder, arguments).await;
    assert_eq!((code, &*errors), (Some(0), ""), "{arguments:?}");
    out
}

/// The ids in the order of the file.
pub fn ids(folder: &Folder) -> Vec<String> {
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("wxgate-key-1 "));
    lines.map(|line| line[..8].to_owned()).collect()
}

/// With names for ids, and a word for every time.
fn plain(mut text: String, names: &BTreeMap<String, &str>) -> String {
    for (id, name) in names {
        text = text.replace(id, name);
    }
    let is_time = |word: &&str| word.len() == 20 && humantime::parse_rfc3339(word).is_ok();
    let times: Vec<_> = text.split([' ', '\n']).filter(is_time).map(str::to_owned).collect();
    times.iter().fold(text, |text, time| text.replace(time, "TIME"))
}

#[tokio::test]
async fn keys_are_made_rotated_and_listed_word_by_word() {
    let folder = Folder::new();
    let made = said(&folder, &["new", FILE]).await;
    let [a, b] = &ids(&folder)[..] else { panic!("{made}") };
    let mut names = BTreeMap::from([(a.clone(), "AAAAAAAA"), (b.clone(), "BBBBBBBB")]);
    assert_eq!(
        plain(made, &names),
        "id        role   made                  sealed until\n\
         AAAAAAAA  seals  TIME\n\
         BBBBBBBB  next   TIME\n\n\
         wxgate.keys is made. Name it in the configuration, as key_file in [session], or with --key-file. Gateways that \
         share a store need the same keys: give each a copy. Keep one with the backups of the store, which is worth \
         nothing without it.\n"
    );
    let rotated = said(&folder, &["rotate", FILE, "--drop-older-than", "60d"]).await;
    names.insert(ids(&folder)[1].clone(), "CCCCCCCC");
    let listed = "id        role   made                  sealed until\n\
                  BBBBBBBB  seals  TIME\n\
                  CCCCCCCC  next   TIME\n\
                  AAAAAAAA  opens  TIME  TIME\n";
    assert_eq!(
        plain(rotated, &names),
        format!(
            "{listed}\n\
             Nobody is signed out. A gateway that has wxgate.keys in use notices the change by itself, or is told with \
             SIGHUP. Copy the file to the other gateways of the store, and rotate again only when all of them have it.\n"
        )
    );
    assert_eq!(plain(said(&folder, &["list", FILE]).await, &names), listed);

    // One that stopped sealing long ago.
    let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
    let last = text.lines().last().unwrap();
    let old = format!("{} 2020-01-01T00:00:00Z", last.rsplit_once(' ').unwrap().0);
    write_keys(&folder, &text.replace(last, &old));
    let kept = said(&folder, &["rotate", FILE]).await;
    assert!(ids(&folder).contains(a) && !kept.contains("is gone"), "{kept}");
    let dropped = said(&folder, &["rotate", FILE, "--drop-older-than", "60d"]).await;
    let gone = format!("\n{a} is gone: who was last here while it sealed signs in again\n");
    assert!(!ids(&folder).contains(a) && dropped.ends_with(&gone), "{dropped}");
}

pub fn write_keys(folder: &Folder, text: &str) {
    let file = folder.write(FILE, text);
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test]
async fn c30_what_is_no_key_file_is_an_error_and_stays_as_it_is() {
    let folder = Folder::new();
    let planted = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    folder.write("open.keys", format!("wxgate-key-1 0000000a {planted} 2026-01-31T08:30:00Z\n"));
    write_keys(&folder, &format!("wxgate-key-1 0000000a {planted}\n"));
    for (arguments, hint) in [
        (
            &["new", FILE][..],
            "is there already, and is left as it is; `wxgate keys rotate wxgate.keys`",
        ),
        (&["new", "nowhere/x.keys"], "nowhere/x.keys cannot be written: No such file"),
        (&["list", "none.keys"], "none.keys is missing: put it back if it was there, "),
        (&["rotate", "none.keys"], "none.keys is missing"),
        (&["list", FILE], "wxgate.keys, line 1: the date behind the key is missing"),
        (&["rotate", FILE], "line 1: the date behind the key is missing"),
        (&["list", "open.keys"], "run `chmod 600 open.keys`"),
        (&["rotate", "open.keys"], "run `chmod 600 open.keys`"),
        (&["list", "."], "cannot be read: is a directory"),
        (&["rotate", FILE, "--drop-older-than", "soon"], "--drop-older-than"),
        (&["rotate"], "FILE"),
    ] {
        let before = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let (code, out, errors) = keys(&folder, arguments).await;
        assert_eq!((code, &*out), (Some(64), ""), "{arguments:?}: {errors}");
        assert!(errors.contains(hint) && !errors.contains(&planted[..8]), "{hint}: {errors}");
        assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), before);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    let help = said(&folder, &["rotate", "--help"]).await;
    assert!(help.contains("--drop-older-than") && help.contains("session.life"), "{help}");
}

/// A gateway that is started with flags, again and again at one address.
pub struct Flags<'a> {
    folder: &'a Folder,
    pub addr: SocketAddr,
    arguments: Vec<String>,
}

impl<'a> Flags<'a> {
    pub fn new(folder: &'a Folder, sim: &Simulator, app: &App, more: &[&str]) -> Self {
        folder.write("secret.txt", SECRET);
        let addr = world::free_port();
        let url = format!("http://{addr}");
        let flags = [
            ("--appid", world::APPID),
            ("--secret-file", "secret.txt"),
            ("--public-url", &url),
            ("--upstream", &app.url()),
            ("--listen", &addr.to_string()),
            ("--wechat-api", &sim.url()),
            ("--wechat-open", &sim.url()),
        ];
        let flags =
            flags.iter().flat_map(|(flag, value)| [*flag, *value]).chain(more.iter().copied());
        Self { folder, addr, arguments: flags.map(str::to_owned).collect() }
    }

    pub fn command(&self) -> Command {
        let mut command = wxgate();
        command.arg("serve").args(&self.arguments).current_dir(self.folder.path());
        command
    }

    pub async fn start(&self) -> Child {
        let child = self.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        listening(self.addr).await;
        // It listens before it has opened its store, and answers after that.
        self.browser("alice").get("/_wx/me").await;
        child
    }

    pub fn browser(&self, user: &str) -> Browser {
        Browser::new(&format!("http://{}", self.addr), user)
    }
}

#[tokio::test]
async fn a_login_that_was_begun_before_a_restart_completes_after_it() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    for has_keys in [true, false] {
        let folder = Folder::new();
        said(&folder, &["new", FILE]).await;
        let more = if has_keys { &["--key-file", FILE][..] } else { &[] };
        let gateway = Flags::new(&folder, &sim, &app, more);
        let child = gateway.start().await;
        let alice = gateway.browser("alice");
        let callback = alice.callback_url("/page").await;
        assert_eq!(terminate(child).await, Some(0));
        let child = gateway.start().await;
        let answer = alice.get(&callback).await;
        if has_keys {
            assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/page"));
            assert!(alice.get("/page").await.received("x-wechat-openid").is_some());
        } else {
            assert_ne!(answer.status, StatusCode::SEE_OTHER, "{answer:?}");
            assert_eq!(alice.session_cookie(), None);
        }
        assert_eq!(terminate(child).await, Some(0));
    }
}

/// The id of the key that seals the sign-in which begins now.
async fn sealing(browser: &Browser) -> String {
    browser.get("/_wx/login?to=/").await.location();
    let jar = std::mem::take(&mut *browser.jar.lock().unwrap());
    let (_, sealed) = jar.iter().find(|(name, _)| name.starts_with("wxgate-login-")).unwrap();
    let sealed = BASE64.decode(sealed).unwrap();
    format!("{:08x}", u32::from_be_bytes(*sealed.first_chunk().unwrap()))
}

/// Waits until sign-ins are sealed with this key.
async fn becomes(browser: &Browser, id: &str) {
    let began = Instant::now();
    while sealing(browser).await != id {
        assert!(began.elapsed() < Duration::from_secs(30), "{id} does not seal");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_rotation_is_noticed_and_takes_no_sign_in_away() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let folder = Folder::new();
    said(&folder, &["new", FILE]).await;
    let gateway = Flags::new(&folder, &sim, &app, &["--key-file", FILE]);
    let child = gateway.start().await;
    let first = ids(&folder);
    let (alice, bob, probe) =
        (gateway.browser("alice"), gateway.browser("bob"), gateway.browser("bob"));
    alice.walk("/page").await;
    let callback = bob.callback_url("/page").await;
    assert_eq!(sealing(&probe).await, first[0]);

    said(&folder, &["rotate", FILE]).await;
    becomes(&probe, &first[1]).await;
    assert!(alice.get("/page").await.received("x-wechat-openid").is_some());
    assert_eq!(bob.get(&callback).await.location(), "/page");
    // And once more: what the first key has sealed still opens.
    let carol = gateway.browser("carol");
    let callback = carol.callback_url("/page").await;
    said(&folder, &["rotate", FILE]).await;
    becomes(&probe, &ids(&folder)[0]).await;
    assert!(!first.contains(&ids(&folder)[0]));
    assert_eq!(carol.get(&callback).await.location(), "/page");
    assert!(bob.get("/page").await.received("x-wechat-openid").is_some());
    assert_eq!(terminate(child).await, Some(0));
}

/// A configuration with something in `[session]`.
pub fn text(sim: &Simulator, addr: SocketAddr, app: SocketAddr, session: &str) -> String {
    format!("{}[session]\n{session}\n", reload::text(sim, addr, app, 0))
}

#[tokio::test]
async fn c30_a_key_file_that_breaks_changes_nothing_and_is_logged() {
    let (sim, app) = (Simulator::start().await, reload::app("a").await);
    let folder = Folder::new();
    said(&folder, &["new", FILE]).await;
    let process =
        Process::start(folder, |addr| text(&sim, addr, app, "key_file = 'wxgate.keys'")).await;
    let browser = Browser::new(&process.url(), "alice");
    let good = fs::read_to_string(process.folder.path().join(FILE)).unwrap();
    let first = ids(&process.folder);
    let stays = |line: &serde_json::Value| line["message"] == "the old configuration stays";
    let mut count = 0;
    for (bad, hint) in [
        (String::new(), "holds no key"),
        (good.replace("wxgate-key-1", "wxgate-key"), "line 3: it does not begin"),
        (good.lines().take(3).collect::<Vec<_>>().join("\n").replace('T', " "), "line 3: "),
    ] {
        write_keys(&process.folder, &bad);
        count += 1;
        let line = process.logged(count, stays).await;
        let problem = line["problem"].as_str().unwrap();
        assert!(problem.contains("session.key_file: ") && problem.contains(hint), "{line}");
        assert_eq!(sealing(&browser).await, first[0]);
    }
    fs::remove_file(process.folder.path().join(FILE)).unwrap();
    let line = process.logged(count + 1, stays).await;
    assert!(line["problem"].as_str().unwrap().contains("is missing"), "{line}");
    assert_eq!(sealing(&browser).await, first[0]);
    let failed = process.metric("wxgate_reloads_total{result=\"failed\"}").await;
    assert_eq!(failed, u64::try_from(count).unwrap() + 1);
    // Mended, it is in force at once.
    write_keys(&process.folder, &good);
    said(&process.folder, &["rotate", FILE]).await;
    becomes(&browser, &first[1]).await;
    let (_, log) = process.stop().await;
    let log = format!("{log:?}");
    let keys =
        good.lines().filter_map(|line| line.strip_prefix("wxgate-key-1 ")?.split(' ').nth(1));
    let keys: Vec<_> = keys.collect();
    assert!(keys.len() == 2 && !keys.iter().any(|key| log.contains(key)), "{log}");
}

#[tokio::test]
async fn c30_a_gateway_without_its_keys_does_not_start() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let folder = Folder::new();
    for (more, hint) in [
        (&["--key-file", FILE][..], "wxgate: --key-file: the key file wxgate.keys is missing"),
        (&["--store", "redis://127.0.0.1:1"], "wxgate: --key-file: it is missing"),
        (&["--store", "redis://u:planted@127.0.0.1:1"], "wxgate: --store: a password has no place"),
        (&["--store", "sqlite:x"], "wxgate: --store: \"sqlite:x\" is not a store"),
    ] {
        let gateway = Flags::new(&folder, &sim, &app, more);
        let output = ended(gateway.command()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(hint) && !said.contains("planted"), "{hint}: {said}");
    }
    assert!(!Path::new(&folder.path().join(FILE)).exists());
}
