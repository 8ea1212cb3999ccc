//! A gateway's process that keeps its sessions in a file, and that is ended without warning and started again.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};
use wxgate::simulator::Simulator;

use crate::{
    command::wxgate,
    process::{Folder, SECRET},
    world::{self, App, Browser},
};

/// Far longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits a moment, for what another process does. Panics with `what` once that takes too long.
pub async fn wait(since: Instant, what: impl FnOnce() -> String) {
    assert!(since.elapsed() < PATIENCE, "{}", what());
    tokio::time::sleep(Duration::from_millis(2)).await;
}

pub struct Restarted {
    pub folder: Folder,
    addr: SocketAddr,
    /// What brings `wxgate` up, with its arguments behind it.
    launch: Vec<String>,
    child: Option<Child>,
    log: Arc<Mutex<String>>,
}

impl Restarted {
    /// One that does not run yet. `store` is a path in its folder; `launch` starts what is given behind it.
    pub fn new(
        folder: Folder,
        store: &str,
        launch: Vec<String>,
        (sim, app): (&Simulator, &App),
    ) -> Self {
        let addr = world::free_port();
        folder.write("secret.txt", SECRET);
        folder.write(
            "wxgate.toml",
            format!(
                "listen = '{addr}'\nrate_limit = 0\n[session]\nstore = 'file:{store}'\n\
                 [wechat]\napi = ['{sim}']\nopen = '{sim}'\n\
                 [site.h5]\npublic_url = 'http://{addr}'\nupstream = '{app}'\n\
                 [account.main]\nappid = '{appid}'\nsecret_file = 'secret.txt'\n",
                sim = sim.url(),
                app = app.url(),
                appid = world::APPID,
            ),
        );
        Self { folder, addr, launch, child: None, log: Arc::default() }
    }

    /// One that makes a connection for each request: those of the last process are worth nothing to the next one.
    pub fn browser(&self, user: &str) -> Browser {
        let browser = Browser::new(&format!("http://{}", self.addr), user);
        let none = reqwest::redirect::Policy::none();
        let client = reqwest::Client::builder().redirect(none).no_proxy().pool_max_idle_per_host(0);
        browser.through(client.build().unwrap())
    }

    /// What it has said since its start.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().and_then(Child::id).expect("it runs")
    }

    fn spawn(&mut self) -> &mut Child {
        let wxgate = wxgate();
        let program = wxgate.as_std().get_program();
        let mut command = match self.launch.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .args(["serve", "--config"])
            .arg(self.folder.path().join("wxgate.toml"))
            .env_remove("WXGATE_SECRET")
            .env_remove("RUST_LOG")
            .env("WXGATE_LOG", "wxgate=info,wxgate::access=off")
            .kill_on_drop(true)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.child.insert(command.spawn().unwrap());
        tokio::spawn(follow(child.stdout.take().unwrap(), self.log.clone()));
        tokio::spawn(follow(child.stderr.take().unwrap(), self.log.clone()));
        child
    }

    /// Starts it, and waits until it serves.
    pub async fn start(&mut self) {
        self.log.lock().unwrap().clear();
        self.spawn();
        let since = Instant::now();
        while !self.log().contains("serving") {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            assert!(ended.is_none(), "{ended:?}: {}", self.log());
            wait(since, || self.log()).await;
        }
    }

    /// Starts it where it cannot start, and returns what it said.
    pub async fn refuses_to_start(&mut self) -> String {
        self.log.lock().unwrap().clear();
        let status = tokio::time::timeout(PATIENCE, self.spawn().wait()).await;
        assert!(!status.expect("it ends").unwrap().success());
        self.child = None;
        let since = Instant::now();
        while !self.log().contains("store") {
            wait(since, || self.log()).await;
        }
        self.log()
    }

    /// Ends it as `kill -9` does.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().await.unwrap();
    }
}

async fn follow(from: impl AsyncRead + Unpin, to: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = to.lock().unwrap();
        log.push_str(&line);
        log.push('\n');
    }
}
