//! The `wxgate` command and the examples, run as a person would run them.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use axum::{Router, routing::get};
use http::StatusCode;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    net::{TcpStream, UnixDatagram},
    process::{Child, Command},
};
use wxgate::simulator::Simulator;

use crate::world::{self, App, Browser};

pub fn wxgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wxgate"));
    command
        .env_remove("WXGATE_SECRET")
        .env_remove("WXGATE_LOG")
        .env_remove("RUST_LOG")
        .kill_on_drop(true);
    command
}

/// Runs a command that is to end by itself. One that serves instead is a failure soon, and not a test without end.
pub async fn ended(mut command: Command) -> Output {
    let output = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    output.expect("it ends by itself").unwrap()
}

async fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = wxgate();
    command.args(arguments);
    let output = ended(command).await;
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Waits until somebody listens.
pub async fn listening(addr: SocketAddr) {
    let trying = async {
        while TcpStream::connect(addr).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), trying).await.expect("it listens");
}

/// Stops a command as a service manager does.
pub async fn terminate(mut child: Child) -> Option<i32> {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("sh").args(["-c", "kill \"$0\"", &id]).status().await.unwrap().success());
    tokio::time::timeout(Duration::from_secs(60), child.wait()).await.unwrap().unwrap().code()
}

const SERVE: [&str; 5] =
    ["serve", "--appid", world::APPID, "--public-url", "https://h5.example.com"];

fn serve(rest: &[&'static str]) -> Vec<&'static str> {
    [&SERVE[..], &["--upstream", "http://127.0.0.1:1"], rest].concat()
}

#[tokio::test]
async fn c51_a_secret_on_the_command_line_is_refused_and_not_repeated() {
    for arguments in
        [serve(&["--secret", "planted-9f86d081"]), serve(&["--secret=planted-9f86d081"])]
    {
        let (code, said) = run(&arguments).await;
        assert_eq!(code, Some(64));
        assert!(said.contains("--secret-file") && said.contains("WXGATE_SECRET"), "{said}");
        assert!(!said.contains("planted"), "{said}");
    }
    let (code, help) = run(&["serve", "--help"]).await;
    assert_eq!(code, Some(0));
    assert!(help.contains("--secret-file") && !help.contains("--secret "), "{help}");
}

#[tokio::test]
async fn c30_a_secret_that_is_missing_or_empty_stops_the_start() {
    let (code, said) = run(&serve(&[])).await;
    assert_eq!(code, Some(64));
    assert!(said.contains("the app secret is missing"), "{said}");
    let (code, said) = run(&serve(&["--secret-file", "/nowhere/secret"])).await;
    assert_eq!(code, Some(64));
    assert!(said.contains("/nowhere/secret"), "{said}");
    let (code, said) = run(&serve(&["--secret-file", "/dev/null"])).await;
    assert_eq!(code, Some(64));
    assert!(said.contains("/dev/null is empty"), "{said}");
}

#[tokio::test]
async fn wrong_settings_are_named_with_what_to_write_instead() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (name, value, hint) in [
        ("--appid", "gh_0123456789", "wx and 16 hexadecimal digits"),
        ("--public-url", "http://h5.example.com", "https://"),
        ("--public-url", "h5.example.com", "https://h5.example.com"),
        ("--public-url", "https://h5.example.com/app", "only scheme, host and port"),
        ("--upstream", "127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("--wechat-api", "http://api.example.com", "https://"),
        ("--wechat-open", "http://10.0.0.1", "loopback"),
        ("--login", "off", "base"),
        ("--session-idle", "soon", "--session-idle"),
        ("--session-life", "0s", "one second"),
        ("--session-idle", "2000years", "400 days"),
    ] {
        let mut arguments = serve(&["--secret-file", file]);
        if let Some(at) = arguments.iter().position(|argument| *argument == name) {
            arguments.drain(at..=at + 1);
        }
        arguments.extend([name, value]);
        let (code, said) = run(&arguments).await;
        assert_eq!(code, Some(64), "{name} {value} {said}");
        assert!(said.contains(hint), "{name} {value} {said}");
    }
}

#[tokio::test]
async fn a_log_level_that_is_none_stops_the_start() {
    for name in ["WXGATE_LOG", "RUST_LOG"] {
        let output = wxgate()
            .args(serve(&[]))
            .env("WXGATE_SECRET", "0123456789abcdef0123456789abcdef")
            .env(name, "wxgate=loud")
            .output()
            .await
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains(name) && said.contains("wxgate=loud"), "{said}");
    }
}

#[tokio::test]
async fn w13_the_simulator_listens_elsewhere_only_when_told_so_by_name() {
    let (code, said) = run(&["simulator", "--listen", "0.0.0.0:0"]).await;
    assert_eq!(code, Some(69));
    assert!(said.contains("insecure"), "{said}");
    let (code, said) = run(&["demo", "--listen", "0.0.0.0:0"]).await;
    assert_eq!(code, Some(69));
    assert!(said.contains("127.0.0.1"), "{said}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let app = App::start().await;
    let taken = app.url().replace("http://", "");
    let mut arguments =
        serve(&["--secret-file", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    arguments.extend(["--listen", &taken]);
    let output = wxgate().args(&arguments).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains(&taken), "{said}");
}

#[tokio::test]
async fn serve_signs_people_in_and_stops_in_good_order() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let listen = world::free_port();
    let url = format!("http://{listen}");
    let child = wxgate()
        .args(["serve", "--appid", world::APPID, "--public-url", &url, "--upstream", &app.url()])
        .args(["--listen", &listen.to_string(), "--login", "userinfo"])
        .args(["--wechat-api", &sim.url(), "--wechat-open", &sim.url()])
        .env("WXGATE_SECRET", "0123456789abcdef0123456789abcdef")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    listening(listen).await;
    let browser = Browser::new(&url, "alice");
    assert_eq!(browser.get("/").await.headers["content-type"], "text/html; charset=utf-8");
    let page = browser.walk("/_wx/login?scope=userinfo&to=/page").await;
    assert!(page.received("x-wechat-nickname").is_some());
    assert_eq!(terminate(child).await, Some(0));
}

#[tokio::test]
async fn the_demo_says_what_to_try_and_all_of_it_works() {
    let mut child = wxgate()
        .args(["demo", "--listen", "127.0.0.1:0", "--simulator-listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let is_last = line.starts_with("Ctrl-C");
        said.push(line);
        if is_last {
            break;
        }
    }
    let is_command = |line: &&String| line.trim_start().starts_with("curl ");
    let pages: Vec<_> = said
        .iter()
        .filter(|line| !is_command(line))
        .filter_map(|line| line.split_whitespace().last())
        .filter(|word| word.starts_with("http://127.0.0.1:"))
        .collect();
    assert_eq!(pages.len(), 5, "{said:?}");
    let site = pages[0].trim_end_matches('/');
    for page in pages {
        let answer = Browser::new(site, "alice").walk(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}");
    }
    let folder = std::env::temp_dir().join(format!("wxgate-demo-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let mut answers = Vec::new();
    for line in said.iter().filter(is_command) {
        let output =
            Command::new("sh").args(["-c", line]).current_dir(&folder).output().await.unwrap();
        assert!(output.status.success(), "{line}");
        answers.push(String::from_utf8(output.stdout).unwrap());
    }
    std::fs::remove_dir_all(folder).unwrap();
    let [profile, me, refused] = &answers[..] else { panic!("{answers:?}") };
    assert!(profile.contains("爱丽丝🌸"), "{profile}");
    assert!(me.contains("\"nickname\":\"爱丽丝🌸\""), "{me}");
    assert!(refused.contains("你取消了登录"), "{refused}");
    assert_eq!(terminate(child).await, Some(0));
}

#[tokio::test]
async fn the_examples_run() {
    let examples: PathBuf = Path::new(env!("CARGO_BIN_EXE_wxgate")).with_file_name("examples");
    let sim = Simulator::start().await;
    for (name, path) in [("axum", "/me"), ("tower_only", "/me")] {
        let listen = world::free_port();
        let program = examples.join(name);
        assert!(
            program.exists(),
            "{} is missing: run all tests, that builds it",
            program.display()
        );
        let _child = Command::new(program)
            .args([listen.to_string(), sim.url()])
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        listening(listen).await;
        let browser = Browser::new(&format!("http://{listen}"), "alice");
        let page = browser.walk(path).await;
        assert!(page.body.starts_with("hello wx0123456789abcdef:o"), "{name} {page:?}");
        if name == "axum" {
            assert_eq!(
                browser.walk("/_wx/login?scope=userinfo&to=/profile").await.body,
                "hello 爱丽丝🌸"
            );
            for n in 1..3 {
                let visit = browser.send(http::Method::POST, "/me/visits", &[], "").await;
                assert_eq!(visit.body, format!("visit {n}"));
            }
        }
    }
}

#[tokio::test]
async fn w10_each_line_of_the_log_is_json_and_none_holds_a_query() {
    let (sim, app) = (Simulator::start().await, App::start().await);
    let listen = world::free_port();
    let url = format!("http://{listen}");
    let mut child = wxgate()
        .args(["serve", "--appid", world::APPID, "--public-url", &url, "--upstream", &app.url()])
        .args(["--listen", &listen.to_string()])
        .args(["--wechat-api", &sim.url(), "--wechat-open", &sim.url()])
        .env("WXGATE_SECRET", "0123456789abcdef0123456789abcdef")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = log_of(&mut child);
    listening(listen).await;
    let browser = Browser::new(&url, "alice");
    browser.walk("/page?planted=in-the-query").await;
    sim.fault(wxgate::simulator::Fault::Quota, 1);
    browser.walk("/_wx/login?scope=userinfo&to=/page?planted").await;
    assert_eq!(terminate(child).await, Some(0));
    let log = log.await;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        let time = line["timestamp"].as_str().unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{line}");
        assert!(line["level"].is_string() && line["target"].is_string(), "{line}");
    }
    let serving = lines.iter().find(|line| line["message"] == "serving").expect("it says so");
    assert_eq!(serving["addr"], listen.to_string());
    let failed = lines.iter().find(|line| line["message"] == "a sign-in failed");
    assert!(failed.expect("it says so")["error"].as_str().unwrap().contains("45009"));
    assert!(!log.contains("planted"), "{log}");
}

#[tokio::test]
async fn systemd_is_told_when_it_serves_and_when_it_stops() {
    let path = std::env::temp_dir().join(format!("wxgate-notify-{}", uuid::Uuid::new_v4()));
    let socket = UnixDatagram::bind(&path).unwrap();
    let told = async || {
        let mut buffer = [0; 256];
        let receiving = tokio::time::timeout(Duration::from_secs(60), socket.recv(&mut buffer));
        let length = receiving.await.expect("it tells").unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let listen = world::free_port().to_string();
    let child = wxgate()
        .args(serve(&["--listen"]))
        .arg(&listen)
        .env("WXGATE_SECRET", "0123456789abcdef0123456789abcdef")
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(told().await, "READY=1");
    // Whoever is told so can connect.
    TcpStream::connect(&listen).await.expect("it listens");
    assert_eq!(terminate(child).await, Some(0));
    assert_eq!(told().await, "STOPPING=1");
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn health_is_an_exit_code() {
    async fn health(router: Router) -> (Option<i32>, String) {
        let admin = world::serve(router).await.to_string();
        run(&["health", "--admin", &admin]).await
    }
    let well = Router::new().route("/healthz", get(async || "ok\n"));
    assert_eq!(health(well).await, (Some(0), String::new()));
    // Something else listens there.
    let (code, said) = health(Router::new()).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("404") && said.contains("admin_listen"), "{said}");
    let nobody = world::free_port().to_string();
    let (code, said) = run(&["health", "--admin", &nobody]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains(&nobody) && said.contains("refused"), "{said}");
}

/// What a command has said on standard output and on standard error, once it has stopped.
pub fn log_of(child: &mut Child) -> impl Future<Output = String> + use<> {
    async fn read(mut from: impl AsyncRead + Unpin) -> String {
        let mut text = Vec::new();
        from.read_to_end(&mut text).await.unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }
    let (out, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reading = tokio::spawn(async move {
        let (out, errors) = tokio::join!(read(out), read(errors));
        format!("{out}{errors}")
    });
    async { reading.await.unwrap() }
}
