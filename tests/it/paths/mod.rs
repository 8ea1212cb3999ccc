//! What strangers get to see through the gateway, over thousands of spellings of paths and in front of real servers: never
//! a file that the gateway's rules close and the server's own reading of the path opens.

#![allow(clippy::print_stdout)] // What it compares is worth knowing.

mod servers;
mod spellings;

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use wxgate::{
    clock::SystemClock,
    gateway::{
        Gateway, Settings,
        config::Config,
        snippet::{self, snippet},
    },
    session::MemoryStore,
    simulator::Simulator,
};

use self::servers::{Kind, Server};
use crate::{
    fronts::proxy::Proxy,
    world::{APPID, WECHAT, client, free_port},
};

/// How many connections ask at the same time.
const ASKERS: usize = 8;

/// A site of which strangers may see what is below `/public`, but for what is below `/public/closed`.
const SITE: &str = r#"
    listen = "GATEWAY"
    cores = 1
    rate_limit = 0
    trusted_proxies = ["127.0.0.1"]
    wechat = { api = ["SIMULATOR"], open = "SIMULATOR" }

    [account.main]
    appid = "APPID"

    [site.h5]
    public_url = "http://h5.localhost:PORT"
    account = "main"
    upstream = "UPSTREAM"
    forward_auth = true

    [[site.h5.route]]
    prefix = "/public"
    login = "off"

    [[site.h5.route]]
    prefix = "/public/closed"
"#;

#[tokio::test]
async fn c18_c27_no_spelling_of_a_path_shows_strangers_what_nginx_keeps_in_a_closed_folder() {
    compare(Kind::Nginx, None).await;
}

#[tokio::test]
async fn c18_c27_no_spelling_of_a_path_shows_strangers_what_caddy_keeps_in_a_closed_folder() {
    compare(Kind::Caddy, None).await;
}

#[tokio::test]
async fn c18_c27_no_spelling_of_a_path_shows_strangers_what_python_keeps_in_a_closed_folder() {
    compare(Kind::Python, None).await;
}

#[tokio::test]
async fn c18_c27_no_spelling_of_a_path_shows_strangers_what_node_keeps_in_a_closed_folder() {
    compare(Kind::Node, None).await;
}

#[tokio::test]
async fn c18_c27_no_spelling_of_a_path_shows_strangers_what_express_keeps_in_a_closed_folder() {
    compare(Kind::Express, None).await;
}

#[tokio::test]
async fn c18_c27_nor_does_it_where_nginx_asks_before_nginx() {
    compare(Kind::Nginx, Some(snippet::Kind::Nginx)).await;
}

#[tokio::test]
async fn c18_c27_nor_does_it_where_caddy_asks_before_express() {
    compare(Kind::Express, Some(snippet::Kind::Caddy)).await;
}

#[tokio::test]
async fn c18_c27_nor_does_it_where_haproxy_asks_before_node() {
    compare(Kind::Node, Some(snippet::Kind::Haproxy)).await;
}

/// Asks for everything as a stranger, through the gateway or a front proxy that asks it, and of the server itself.
async fn compare(kind: Kind, front: Option<snippet::Kind>) {
    let server = Server::start(kind).await;
    let (gateway, port) = (free_port(), free_port().port());
    let port = if front.is_some() { port } else { gateway.port() };
    let sim = Simulator::start().await;
    let text = SITE
        .replace("GATEWAY", &gateway.to_string())
        .replace("SIMULATOR", &sim.url())
        .replace("APPID", APPID)
        .replace("PORT", &port.to_string())
        .replace("UPSTREAM", &server.url());
    let secret = |name: &str| name.ends_with("_SECRET").then(|| "0".repeat(32).into());
    let config = Config::from_toml(&text, std::path::Path::new("."), &secret);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    let settings = Settings::from_config(config.clone()).clock(SystemClock);
    let store = MemoryStore::builder().build();
    let _gateway = Gateway::start(settings.store(store).client(client(&sim))).unwrap();
    let _front = match front {
        Some(front) => {
            let text = snippet(front, &config).expect("the site answers front proxies");
            Some(Proxy::start(front, &text, port).await)
        }
        None => None,
    };

    let seed = std::env::var("WXGATE_PATHS_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let mut random = Rng::with_seed(seed);
    let mut targets = spellings::of_every_byte();
    targets.extend((0..2_000).map(|_| spellings::at_random(&mut random)));
    let host = format!("h5.localhost:{port}");
    let seen = ask_all(port, &host, &targets).await;
    let direct = ask_all(server.port, &host, &targets).await;

    let mut found = Found::default();
    for ((target, seen), direct) in targets.iter().zip(&seen).zip(&direct) {
        found.asked += 1;
        found.refused += usize::from(seen.status == 400);
        found.shown += usize::from(seen.files.iter().any(|file| spellings::is_open(file)));
        found.closed_by_the_server_s_reading +=
            usize::from(direct.files.iter().any(|file| !spellings::is_open(file)));
        if seen.files.iter().any(|file| !spellings::is_open(file)) {
            found.leaks.insert(format!("{} -> {:?}", target.escape_ascii(), seen.files));
        }
    }
    println!("{kind:?} behind {front:?}, WXGATE_PATHS_SEED={seed}: {found:?}");
    assert!(found.leaks.is_empty(), "{kind:?} behind {front:?}, seed {seed}: {found:#?}");
    // The server would have shown many of them, and what is open is shown.
    assert!(found.closed_by_the_server_s_reading > 200 && found.shown > 20, "{found:?}");
}

#[derive(Debug, Default)]
struct Found {
    asked: usize,
    refused: usize,
    shown: usize,
    closed_by_the_server_s_reading: usize,
    leaks: BTreeSet<String>,
}

/// What came back: the status, and which files.
#[derive(Default)]
struct Seen {
    status: u16,
    files: Vec<String>,
}

async fn ask_all(port: u16, host: &str, targets: &[Vec<u8>]) -> Vec<Seen> {
    let targets: Arc<[Vec<u8>]> = targets.into();
    let mut askers = JoinSet::new();
    for first in 0..ASKERS {
        let (targets, host) = (targets.clone(), host.to_owned());
        askers.spawn(async move {
            let mut answers = Vec::new();
            for (at, target) in targets.iter().enumerate().skip(first).step_by(ASKERS) {
                answers.push((at, ask(port, &host, target).await));
            }
            answers
        });
    }
    let mut answers: Vec<_> = askers.join_all().await.into_iter().flatten().collect();
    answers.sort_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// Sends a target byte by byte as it is.
async fn ask(port: u16, host: &str, target: &[u8]) -> Seen {
    let lines =
        format!(" HTTP/1.1\r\nhost: {host}\r\nuser-agent: {WECHAT}\r\nconnection: close\r\n\r\n");
    let request = [b"GET ", target, lines.as_bytes()].concat();
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    let mut answer = Vec::new();
    // Who finds a request malformed may hang up before it is read.
    stream.write_all(&request).await.ok();
    stream.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8_lossy(&answer);
    let status =
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let files = answer.split("served:").skip(1);
    let files = files.map(|rest| rest.split(';').next().unwrap_or_default().to_owned()).collect();
    Seen { status, files }
}
