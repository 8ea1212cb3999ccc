//! Real front proxies from Debian's packages, as processes of a test, with what `wxgate snippet` prints for them.

use std::{
    env, fs,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{net::TcpStream, time::Instant};
use wxgate::gateway::snippet::Kind;

/// How long a server may take to come up: machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(20);

/// A running front proxy with a folder for what it keeps. Both go away when it is dropped.
pub struct Proxy {
    child: Child,
    folder: Folder,
}

impl Proxy {
    /// Starts one, and waits until it listens on `port`.
    pub async fn start(kind: Kind, snippet: &str, port: u16) -> Self {
        let folder = Folder::new();
        let command = match kind {
            Kind::Nginx => nginx(&folder, snippet),
            Kind::Caddy => caddy(&folder, snippet),
            Kind::Haproxy => haproxy(&folder, snippet),
            Kind::Traefik | Kind::Envoy => panic!("Debian has no {kind}"),
        };
        Self::run(kind.name(), command, folder, port).await
    }

    /// Starts any other server in the same way.
    pub async fn run(name: &str, mut command: Command, folder: Folder, port: u16) -> Self {
        let log = fs::File::create(folder.log()).expect("the folder is ours");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("files can be shared"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{name} is missing ({error}): run tests/all.sh, it installs it")
            });
        let mut proxy = Self { child, folder };
        proxy.listens(name, port).await;
        proxy
    }

    async fn listens(&mut self, name: &str, port: u16) {
        let deadline = Instant::now() + PATIENCE;
        let mut glances = tokio::time::interval(GLANCE);
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        while TcpStream::connect(addr).await.is_err() {
            glances.tick().await;
            let ended = self.child.try_wait().expect("it is a child of ours");
            let may_come = ended.is_none() && Instant::now() < deadline;
            assert!(may_come, "{name} does not listen ({ended:?}): {}", self.log());
        }
    }

    /// What it has said.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.log()).unwrap_or_default()).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            writeln!(io::stderr(), "the front proxy's log:\n{}", self.log()).ok();
        }
    }
}

/// One process that needs no root: all its files are in the folder.
fn nginx(folder: &Folder, snippet: &str) -> Command {
    let at = folder.0.display();
    folder.write(
        "nginx.conf",
        &format!(
            "daemon off;\nmaster_process off;\npid {at}/nginx.pid;\nerror_log stderr notice;\n\
             events {{}}\nhttp {{\naccess_log off;\nclient_body_temp_path {at}/body;\n\
             proxy_temp_path {at}/proxy;\nfastcgi_temp_path {at}/fastcgi;\nuwsgi_temp_path {at}/uwsgi;\n\
             scgi_temp_path {at}/scgi;\ninclude {at}/wxgate.conf;\n}}\n"
        ),
    );
    folder.write("wxgate.conf", snippet);
    // Where it is installed is not in everybody's search path.
    let installed = Path::new("/usr/sbin/nginx");
    let mut nginx = Command::new(if installed.exists() { installed } else { Path::new("nginx") });
    nginx.args(["-e", "stderr", "-p"]).arg(&folder.0).arg("-c").arg(folder.0.join("nginx.conf"));
    nginx
}

fn caddy(folder: &Folder, snippet: &str) -> Command {
    folder.write("Caddyfile", &format!("{{\n\tadmin off\n\tauto_https off\n}}\n{snippet}"));
    let mut caddy = Command::new("caddy");
    caddy
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(folder.0.join("Caddyfile"))
        .env("HOME", &folder.0)
        .env("XDG_DATA_HOME", &folder.0)
        .env("XDG_CONFIG_HOME", &folder.0);
    caddy
}

fn haproxy(folder: &Folder, snippet: &str) -> Command {
    const LUA: &str = "/etc/haproxy/wxgate.lua";
    let script = folder.0.join("wxgate.lua").display().to_string();
    let (settings, lua) =
        snippet.split_once(&format!("# ---- {LUA}\n")).expect("the snippet is two files");
    folder.write("haproxy.cfg", &settings.replace(LUA, &script));
    folder.write("wxgate.lua", lua);
    let installed = Path::new("/usr/sbin/haproxy");
    let mut haproxy =
        Command::new(if installed.exists() { installed } else { Path::new("haproxy") });
    haproxy.arg("-db").arg("-f").arg(folder.0.join("haproxy.cfg"));
    haproxy
}

/// A folder of a test's own.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("wxgate-front-{}-{count}", process::id()));
        fs::create_dir(&folder).expect("the name is free");
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("the folder is ours");
    }

    fn log(&self) -> PathBuf {
        self.0.join("log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
