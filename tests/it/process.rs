//! The `wxgate` command in a process of its own: with a configuration file, signals, and a log that can be waited for.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

use crate::{
    command::{listening, wxgate},
    world,
};

pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder of its own, which goes away with it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("wxgate-it-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // In one step, as an operator's tools do it: nobody reads half of it.
        let next = self.0.join(format!(".{}", uuid::Uuid::new_v4()));
        fs::write(&next, content).unwrap();
        fs::rename(next, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A gateway's process.
pub struct Process {
    child: Child,
    pub folder: Folder,
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    log: watch::Receiver<Vec<Value>>,
}

impl Process {
    /// Starts `wxgate serve` with this text behind the addresses and one account, and waits until it serves.
    pub async fn start(folder: Folder, text: impl Fn(SocketAddr) -> String) -> Self {
        Self::start_as(folder, text, "wxgate=info,wxgate::access=info", |_| wxgate()).await
    }

    /// The same, for a run with so many requests that their lines would be in the way.
    pub async fn start_quietly(folder: Folder, text: impl Fn(SocketAddr) -> String) -> Self {
        Self::start_as(folder, text, "wxgate=info,wxgate::access=off", |_| wxgate()).await
    }

    /// The same, with a log of its own and a command that brings `wxgate` up at an address.
    pub async fn start_as(
        folder: Folder,
        text: impl Fn(SocketAddr) -> String,
        log: &str,
        command: impl FnOnce(SocketAddr) -> Command,
    ) -> Self {
        let (addr, admin) = (world::free_port(), world::free_port());
        folder.write("secret.txt", SECRET);
        folder.write("wxgate.toml", whole(addr, admin, &text(addr)));
        let mut child = command(addr)
            .args(["serve", "--config"])
            .arg(folder.path().join("wxgate.toml"))
            .env("WXGATE_LOG", log)
            .kill_on_drop(true)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (said, log) = watch::channel(Vec::new());
        tokio::spawn(follow(child.stdout.take().unwrap(), said.clone()));
        tokio::spawn(follow(child.stderr.take().unwrap(), said));
        let process = Self { child, folder, addr, admin, log };
        process.logged(1, |line| line["message"] == "serving").await;
        listening(addr).await;
        process
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Gives it another configuration, and leaves it to it whether that is noticed.
    pub fn configure(&self, text: &str) {
        self.folder.write("wxgate.toml", whole(self.addr, self.admin, text));
    }

    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(status.success());
    }

    /// What it has written into its log, so far.
    pub fn log(&self) -> Vec<Value> {
        self.log.borrow().clone()
    }

    /// Waits until `count` lines of its log are such, and returns the last of them.
    pub async fn logged(&self, count: usize, is_such: impl Fn(&Value) -> bool) -> Value {
        let mut log = self.log.clone();
        let such =
            |lines: &[Value]| lines.iter().filter(|line| is_such(line)).nth(count - 1).cloned();
        let waiting = timeout(PATIENCE, log.wait_for(|lines| such(lines).is_some()));
        let found = match waiting.await {
            Ok(Ok(lines)) => such(&lines),
            _ => None,
        };
        found.unwrap_or_else(|| panic!("it is not in the log: {:#?}", self.log()))
    }

    /// What its admin listener answers: status and body.
    pub async fn admin(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.admin);
        let answer = world::http_client().get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The value of a metric that counts, written as the scraper sees it.
    pub async fn metric(&self, name: &str) -> u64 {
        let (_, page) = self.admin("/metrics").await;
        let mut lines = page.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = lines.next().unwrap_or_else(|| panic!("there is no {name} in {page}"));
        value.parse().unwrap()
    }

    /// The most memory that it has had, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits until it has ended by itself: its exit code, and its log.
    pub async fn ended(mut self) -> (Option<i32>, Vec<Value>) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        // Both ends of its log are gone then.
        while self.log.changed().await.is_ok() {}
        (status.code(), self.log())
    }

    /// Stops it as a service manager does.
    pub async fn stop(self) -> (Option<i32>, Vec<Value>) {
        self.signal("TERM").await;
        self.ended().await
    }
}

fn whole(addr: SocketAddr, admin: SocketAddr, text: &str) -> String {
    format!(
        "listen = '{addr}'\nadmin_listen = '{admin}'\nlog_format = 'json'\n{text}\n[account.main]\nappid = '{}'\n\
         secret_file = 'secret.txt'\n",
        world::APPID
    )
}

/// Reads lines as they come. One that is no JSON is kept as it is.
async fn follow(from: impl AsyncRead + Unpin, to: watch::Sender<Vec<Value>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
        to.send_modify(|lines| lines.push(line));
    }
}
