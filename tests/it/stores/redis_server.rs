//! Real Redis servers from Debian's package, as processes of a test: one, with sentinels, or a cluster.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    time::Duration,
};

use ::redis::{Client, Cmd, FromRedisValue, aio::MultiplexedConnection, cmd};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tokio::time::{Instant, sleep};

use crate::{process::Folder, world::free_port};

pub const PASSWORD: &str = "pass word/@:%";
/// The same as it is written in a url.
pub const ENCODED: &str = "pass%20word%2F%40%3A%25";
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(10);

/// Waits until something is so. Everything that is waited for here happens in another process.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: it has not come to that");
        sleep(GLANCE).await;
    }
}

/// A server with a folder for what it keeps. Both go away when it is dropped.
pub struct Server {
    child: Child,
    folder: Folder,
    args: Vec<String>,
    pub port: u16,
    /// Empty where it has none.
    password: &'static str,
}

impl Server {
    /// One that keeps everything in memory.
    pub async fn start() -> Self {
        Self::start_with(&["--requirepass", PASSWORD], PASSWORD).await
    }

    /// One that has on disk what it has acknowledged.
    pub async fn start_durable() -> Self {
        let args = ["--requirepass", PASSWORD, "--appendonly", "yes", "--appendfsync", "always"];
        Self::start_with(&args, PASSWORD).await
    }

    pub async fn start_with(args: &[&str], password: &'static str) -> Self {
        let (folder, port) = (Folder::new(), free_port().port());
        let mut all = vec!["--port".to_owned(), port.to_string()];
        all.extend(["--bind", "127.0.0.1", "--save", ""].map(str::to_owned));
        all.extend(args.iter().map(|arg| (*arg).to_owned()));
        Self::spawn(folder, all, port, password).await
    }

    async fn spawn(folder: Folder, args: Vec<String>, port: u16, password: &'static str) -> Self {
        let child = run(&folder, &args);
        let mut server = Self { child, folder, args, port, password };
        server.answers().await;
        server
    }

    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn url(&self) -> String {
        format!("redis://:{ENCODED}@{}", self.addr())
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it is a child of ours");
        self.child.wait().expect("it was killed");
    }

    /// Starts it again where it was.
    pub async fn restart(&mut self) {
        self.child = run(&self.folder, &self.args);
        self.answers().await;
    }

    /// Lets it neither answer nor end.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("every system has `kill`").success());
    }

    async fn answers(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.try_ask::<String>(&cmd("PING")).await.is_none() {
            let ended = self.child.try_wait().expect("it is a child of ours");
            let may_come = ended.is_none() && Instant::now() < deadline;
            assert!(may_come, "redis does not answer ({ended:?}): {}", self.log());
            sleep(GLANCE).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub async fn connection(&self) -> Option<MultiplexedConnection> {
        let login = if self.password.is_empty() { "" } else { &format!(":{ENCODED}@") };
        let client = Client::open(format!("redis://{login}{}", self.addr())).unwrap();
        client.get_multiplexed_async_connection().await.ok()
    }

    /// The answer to a command.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let mut connection = self.connection().await.expect("redis is up");
        command.query_async(&mut connection).await.unwrap()
    }

    /// The same for what takes longer than a client waits by default.
    pub async fn ask_for_long<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let mut connection = self.connection().await.expect("redis is up");
        connection.set_response_timeout(PATIENCE);
        command.query_async(&mut connection).await.unwrap()
    }

    async fn try_ask<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        command.query_async(&mut self.connection().await?).await.ok()
    }

    /// A number that `INFO` tells.
    pub async fn info(&self, name: &str) -> u64 {
        let info: String = self.ask(&cmd("INFO")).await;
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name}: {info}")).parse().unwrap()
    }

    pub async fn keys(&self) -> usize {
        self.ask(&cmd("DBSIZE")).await
    }

    /// Takes a span from the life of every record of ours.
    pub async fn fast_forward(&self, by: Duration) {
        // In more than the first database, where there is more than one.
        const SCRIPT: &str = "for db = 0, 2 do if not redis.pcall('SELECT', db).err then \
            for _, key in ipairs(redis.call('KEYS', 'wxgate:*')) do \
                local life = redis.call('PTTL', key) \
                if life > ARGV[1] + 0 then redis.call('PEXPIRE', key, life - ARGV[1]) \
                elseif life >= 0 then redis.call('DEL', key) end \
            end end end return 1";
        let by = u64::try_from(by.as_millis()).unwrap();
        let _: u64 = self.ask(cmd("EVAL").arg(SCRIPT).arg(0).arg(by)).await;
    }

    pub async fn forget_everything(&self) {
        let _: String = self.ask(&cmd("FLUSHALL")).await;
    }
}

fn run(folder: &Folder, args: &[String]) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.path().join("log"));
    Command::new("redis-server")
        .args(args)
        .arg("--dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(log.expect("the folder is ours"))
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("redis-server is missing ({error}): run tests/all.sh, it installs it")
        })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            println!("the log of redis at {}:\n{}", self.port, self.log());
        }
    }
}

/// A server that speaks TLS on one port and not on another, and the url of the first.
pub async fn start_tls() -> (Server, String) {
    let folder = Folder::new();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let ca = folder.write("ca.pem", issuer.pem()).display().to_string();
    let certificate = folder.write("cert.pem", certificate.pem()).display().to_string();
    let key = folder.write("key.pem", key.serialize_pem()).display().to_string();
    let (port, tls) = (free_port().port(), free_port().port());
    let args = [
        ["--port", &port.to_string()],
        ["--tls-port", &tls.to_string()],
        ["--bind", "127.0.0.1"],
        ["--save", ""],
        ["--requirepass", PASSWORD],
        ["--tls-cert-file", &certificate],
        ["--tls-key-file", &key],
        ["--tls-ca-cert-file", &ca],
        ["--tls-auth-clients", "no"],
    ];
    let args = args.concat().into_iter().map(str::to_owned).collect();
    let server = Server::spawn(folder, args, port, PASSWORD).await;
    (server, format!("rediss://:{ENCODED}@127.0.0.1:{tls}?ca={ca}"))
}

/// A master, its replica, and three sentinels that watch them.
pub struct Watched {
    pub servers: Vec<Server>,
    pub sentinels: Vec<Server>,
}

impl Watched {
    pub async fn start() -> Self {
        let args = ["--requirepass", PASSWORD, "--masterauth", PASSWORD];
        let master = Server::start_with(&args, PASSWORD).await;
        let port = master.port.to_string();
        let of_master = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
        let replica = Server::start_with(&[&args[..], &of_master].concat(), PASSWORD).await;
        until("the replica follows", async || {
            replica.ask::<String>(cmd("INFO").arg("replication")).await.contains("link_status:up")
        })
        .await;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            sentinels.push(Self::sentinel(master.port).await);
        }
        let watched = Self { servers: vec![master, replica], sentinels };
        for sentinel in &watched.sentinels {
            until("the sentinels know each other and the replica", async || {
                let master = sentinel.ask::<Vec<(String, String)>>(&about_master()).await;
                let says = |name: &str, value: &str| {
                    master.iter().any(|(key, said)| key == name && said == value)
                };
                says("num-other-sentinels", "2") && says("num-slaves", "1")
            })
            .await;
        }
        watched
    }

    async fn sentinel(master: u16) -> Server {
        let (folder, port) = (Folder::new(), free_port().port());
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {master} 2\n\
             sentinel auth-pass main \"{PASSWORD}\"\nsentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 2000\n"
        );
        let file = folder.write("sentinel.conf", text).display().to_string();
        Server::spawn(folder, vec![file, "--sentinel".to_owned()], port, "").await
    }

    pub fn url(&self) -> String {
        let sentinels: Vec<_> = self.sentinels.iter().map(|one| one.addr().to_string()).collect();
        format!("redis+sentinel://:{ENCODED}@{}/main", sentinels.join(","))
    }
}

fn about_master() -> Cmd {
    let mut command = cmd("SENTINEL");
    command.arg("MASTER").arg("main");
    command
}

/// Three masters that share the slots.
pub struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    pub async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let bus = free_port().port().to_string();
            let args = [
                ["--requirepass", PASSWORD],
                ["--cluster-enabled", "yes"],
                ["--cluster-port", &bus],
                ["--cluster-node-timeout", "2000"],
            ];
            nodes.push((Server::start_with(&args.concat(), PASSWORD).await, bus));
        }
        for (slots, (node, _)) in [(0, 5460), (5461, 10922), (10923, 16383)].iter().zip(&nodes) {
            let mut add = cmd("CLUSTER");
            let _: String = node.ask(add.arg("ADDSLOTSRANGE").arg(slots.0).arg(slots.1)).await;
        }
        for (node, bus) in &nodes[1..] {
            let mut meet = cmd("CLUSTER");
            meet.arg("MEET").arg("127.0.0.1").arg(node.port).arg(bus);
            let _: String = nodes[0].0.ask(&meet).await;
        }
        let nodes: Vec<_> = nodes.into_iter().map(|(node, _)| node).collect();
        for node in &nodes {
            until("the cluster is complete", async || {
                let info: String = node.ask(cmd("CLUSTER").arg("INFO")).await;
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
            .await;
        }
        Self { nodes }
    }

    pub fn url(&self) -> String {
        let nodes: Vec<_> = self.nodes[..2].iter().map(|node| node.addr().to_string()).collect();
        format!("redis+cluster://:{ENCODED}@{}", nodes.join(","))
    }
}
