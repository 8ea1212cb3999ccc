//! What connections cost that have been used once and wait for the next request.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Instant,
};

use socket2::{Domain, Socket, Type};

use crate::{
    process::{self, Gateway, field, resident},
    report::{found, say},
};

/// Left over for everything else that a process has open.
const SPARE: usize = 500;
/// From one address of a client.
const PER_ADDRESS: usize = 20_000;
/// Below the ports that the system gives out by itself.
const FIRST_PORT: u16 = 11_000;

/// Opens so many connections, to as many gateways as the limit on open files makes of it.
#[allow(clippy::cast_precision_loss)] // They are few.
pub(crate) fn measure(count: usize) -> bool {
    let room = open_files() - SPARE;
    let processes = count.div_ceil(room);
    let shares: Vec<usize> =
        (0..processes).map(|at| count / processes + usize::from(at < count % processes)).collect();
    say(format_args!("{count} idle connections, each used once"));
    if processes > 1 {
        say(format_args!(
            "        spread over {processes} gateways: a process may open {} files here",
            room + SPARE
        ));
    }
    let mut gateways: Vec<Gateway> =
        shares.iter().map(|share| Gateway::start(share + 100)).collect();
    for gateway in &mut gateways {
        drop(gateway.first_answer());
    }
    let pids: Vec<u32> = gateways.iter().map(Gateway::pid).collect();
    let all_resident = || pids.iter().map(|pid| resident(*pid)).sum::<f64>();
    let all_busy = || pids.iter().map(|pid| process_time(*pid)).sum::<f64>();
    let (before, busy_before) = (all_resident(), all_busy());
    let kernel_before = kernel();

    let began = Instant::now();
    let mut first = 0;
    let mut clients = Vec::new();
    for (gateway, share) in gateways.iter().zip(&shares) {
        clients.push(Client::start(first, *share, gateway.addr.port()));
        first += share;
    }
    clients.iter_mut().for_each(Client::wait);
    let took = began.elapsed().as_secs_f64();
    let (after, busy_after) = (all_resident(), all_busy());
    let established = field("/proc/net/sockstat", "TCP: inuse");
    assert!(established >= 2.0 * count as f64, "all of them are open at once: {established}");

    found(
        "memory per connection",
        (after - before) / count as f64,
        "bytes resident in the gateway",
    );
    found("memory of all", (after - before) / 1024.0 / 1024.0, "MiB resident in the gateway");
    found(
        "memory of the kernel per connection",
        (kernel() - kernel_before) / count as f64,
        "bytes, of both ends",
    );
    found("time to open all and have each answer once", took, "s");
    found(
        "the gateway's part in that per connection",
        (busy_after - busy_before) * 1e6 / count as f64,
        "us of a processor",
    );

    // While they wait they must cost nothing, and a newcomer must not wait for them.
    let idle_from = all_busy();
    let began = Instant::now();
    let mut longest = 0.0_f64;
    let mut asked = 0;
    let mut streams: Vec<_> = gateways
        .iter()
        .map(|gateway| (TcpStream::connect(gateway.addr).expect("there is room"), gateway.addr))
        .collect();
    while began.elapsed().as_secs() < 10 {
        for (stream, addr) in &mut streams {
            let sent = Instant::now();
            process::ask(stream, *addr);
            longest = longest.max(sent.elapsed().as_secs_f64());
            asked += 1;
        }
    }
    let per_request = (all_busy() - idle_from) * 1e6 / f64::from(asked);
    found("a request on another connection meanwhile", per_request, "us of a processor");
    found("the longest that one waited", longest * 1e3, "ms");
    clients.iter_mut().for_each(Client::wait_until_all_were_open);
    say("        all of them still answered at the end");
    true
}

/// A process that holds connections open.
struct Client {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Client {
    fn start(first: usize, count: usize, port: u16) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("it is there"))
            .args(["connections", &first.to_string(), &count.to_string(), &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs again");
        let lines = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, lines }
    }

    fn wait(&mut self) {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it is piped");
        assert_eq!(line, "open\n", "a client has ended");
    }

    fn wait_until_all_were_open(&mut self) {
        let mut stdin = self.child.stdin.take().expect("it is piped");
        stdin.write_all(b"end\n").expect("it listens");
        assert!(self.child.wait().expect("it is a child of ours").success());
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Opens connections, uses each once, waits to be told, and uses some of them again.
pub(crate) fn hold(first: usize, count: usize, port: u16) -> bool {
    let gateway = SocketAddr::from(([127, 0, 0, 1], port));
    let mut streams: Vec<TcpStream> = (first..first + count)
        .map(|number| {
            let host = 2 + u8::try_from(number / PER_ADDRESS).expect("they are few");
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            // Not any port: the system takes ever longer to find one where most are taken.
            let port = FIRST_PORT + u16::try_from(number % PER_ADDRESS).expect("they are few");
            let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), port));
            socket.set_reuse_address(true).expect("a socket can");
            socket.bind(&from.into()).expect("nobody else uses this address");
            socket.connect(&gateway.into()).expect("the gateway listens");
            let mut stream = TcpStream::from(socket);
            process::ask(&mut stream, gateway);
            stream
        })
        .collect();
    say("open");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("it is piped");
    for stream in streams.iter_mut().step_by(100) {
        process::ask(stream, gateway);
    }
    true
}

/// How many files a process may have open.
fn open_files() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").expect("the system tells them");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("it is one");
    line.split_whitespace().nth(3).and_then(|it| it.parse().ok()).unwrap_or(usize::MAX)
}

/// Memory that the kernel itself uses, in bytes.
fn kernel() -> f64 {
    // Sockets' buffers are not part of the slabs. A page has 4 KiB.
    let sockets = fs::read_to_string("/proc/net/sockstat").expect("the system tells it");
    let pages = sockets.lines().find_map(|line| line.strip_prefix("TCP:")?.split_once("mem "));
    let pages: f64 =
        pages.and_then(|(_, pages)| pages.trim().parse().ok()).expect("it is a number");
    field("/proc/meminfo", "Slab:") * 1024.0 + pages * 4096.0
}

/// How long a process has used a processor, in seconds.
fn process_time(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    // In hundredths, of its own and in the kernel.
    let ticks = |at: usize| fields[at].parse::<f64>().expect("it is a number");
    (ticks(11) + ticks(12)) / 100.0
}
