//! What the system knows of a process, and gateways that run as processes of their own.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A process's memory that is resident, in bytes.
pub(crate) fn resident(pid: u32) -> f64 {
    field(&format!("/proc/{pid}/status"), "VmRSS:") * 1024.0
}

/// The number behind a word, in a file of the system's.
pub(crate) fn field(file: &str, word: &str) -> f64 {
    let text = fs::read_to_string(file).expect("the system tells it");
    let line = text.lines().find_map(|line| line.strip_prefix(word)).expect("the word is there");
    line.split_whitespace().next().and_then(|it| it.parse().ok()).expect("a number is behind it")
}

/// The program as it is released.
pub(crate) fn wxgate() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_wxgate"))
}

/// A gateway that has a process of its own, which ends with this.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) addr: SocketAddr,
    file: PathBuf,
}

impl Gateway {
    /// Starts one that takes so many connections. Nobody listens at its upstream.
    pub(crate) fn start(connections: usize) -> Self {
        let addr = free_port();
        let file = std::env::temp_dir().join(format!("wxgate-scale-{}.toml", addr.port()));
        let config = format!(
            "listen = \"{addr}\"\n\
             log_format = \"text\"\n\
             [limits]\nconnections = {connections}\nkeep_alive = \"1h\"\n\
             [account.main]\nappid = \"wx0123456789abcdef\"\n\
             [site.h5]\npublic_url = \"http://{addr}\"\nupstream = \"http://127.0.0.1:9\"\n"
        );
        fs::write(&file, config).expect("there is room for a file");
        let child = Command::new(wxgate())
            .args(["serve", "--config"])
            .arg(&file)
            .env("WXGATE_ACCOUNT_MAIN_SECRET", "0".repeat(32))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program runs");
        Self { child, addr, file }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it answers.
    pub(crate) fn first_answer(&mut self) -> TcpStream {
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until {
            if let Ok(mut stream) = TcpStream::connect(self.addr) {
                ask(&mut stream, self.addr);
                return stream;
            }
            if let Some(status) = self.child.try_wait().expect("it is a child of ours") {
                panic!("the gateway has ended: {status}");
            }
            std::thread::yield_now();
        }
        panic!("the gateway does not listen");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_file(&self.file).ok();
    }
}

/// Sends a request that nobody is signed in for, and reads the whole answer.
pub(crate) fn ask(stream: &mut TcpStream, host: SocketAddr) {
    const LIMIT: Option<Duration> = Some(Duration::from_secs(30));
    stream.set_read_timeout(LIMIT).expect("a socket takes a limit");
    let request = format!("GET /_wx/me HTTP/1.1\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    let mut answer = [0; 4096];
    let mut length = 0;
    loop {
        let more = stream.read(&mut answer[length..]).expect("it answers");
        assert_ne!(more, 0, "it answers before it closes");
        length += more;
        let text = String::from_utf8_lossy(&answer[..length]).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("http/1.1 401"), "{head}");
        let promised = head.split("content-length: ").nth(1).and_then(|it| it.split("\r\n").next());
        let promised: usize = promised.and_then(|it| it.parse().ok()).expect("it has a length");
        if body.len() >= promised {
            return;
        }
    }
}

fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("some port is free");
    listener.local_addr().expect("it has an address")
}
