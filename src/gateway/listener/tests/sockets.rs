//! Addresses that are listened on, and sockets that were handed over.

use std::{
    env,
    os::{fd::OwnedFd, unix::net::UnixListener},
    process::{Command, Stdio},
};

use tokio::net::UnixStream;

use super::*;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn every_address_leads_to_every_core() {
    let sockets = Sockets::bind(&[addr("127.0.0.1:0"), addr("127.0.0.1:0")], 2).unwrap();
    let addrs = sockets.addrs().to_vec();
    assert!(addrs[0] != addrs[1] && addrs.iter().all(|addr| addr.port() != 0), "{addrs:?}");
    let cores = sockets.into_cores();
    assert_eq!(cores.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    let (phase, seen) = watch::channel(Phase::Serving);
    let rules = Rules { limits: LIMITS, room: Arc::new(Room::new(100)), tls: None };
    for listeners in cores {
        tokio::spawn(super::super::serve(listeners, App::new(), rules.clone(), seen.clone()));
    }
    for addr in addrs {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(addr).await.unwrap();
            assert!(ask(&mut stream, "/conn").await.contains(&format!(" {addr} ")));
        }
    }
    drop(phase);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = Sockets::bind(&[addr("127.0.0.1:0")], 2).unwrap();
    let error = Sockets::bind(&[addr("127.0.0.1:0"), taken.addrs()[0]], 2).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&taken.addrs()[0].to_string()), "{error}");
    assert!(error.to_string().contains("another program"), "{error}");
    Sockets::bind(&[addr("127.0.0.1:0"), addr("127.0.0.1:0")], 2).unwrap();
}

#[test]
fn an_address_that_cannot_be_taken_is_named() {
    let error = Sockets::bind(&[addr("192.0.2.1:8080")], 1).unwrap_err().to_string();
    assert!(error.contains("192.0.2.1:8080 is not one of this machine's"), "{error}");
    let twice = addr("127.0.0.1:8080");
    let error = Sockets::bind(&[twice, twice], 1).unwrap_err().to_string();
    assert!(error.contains(&format!("{twice} is listed twice")), "{error}");
}

#[tokio::test]
async fn all_addresses_of_both_kinds_may_be_listed() {
    let both = |port| [addr(&format!("0.0.0.0:{port}")), addr(&format!("[::]:{port}"))];
    // A port that was free a moment ago may be somebody's by now.
    let (port, sockets) = (0..20)
        .find_map(|_| {
            let port = Sockets::bind(&[addr("[::]:0")], 1).unwrap().addrs()[0].port();
            Some((port, Sockets::bind(&both(port), 2).ok()?))
        })
        .unwrap();
    assert_eq!(sockets.addrs(), both(port));

    // By itself the second stands for both, and IPv4 is still IPv4.
    let sockets = Sockets::bind(&[addr("[::]:0")], 1).unwrap();
    let port = sockets.addrs()[0].port();
    let (_phase, seen) = watch::channel(Phase::Serving);
    let rules = Rules { limits: LIMITS, room: Arc::new(Room::new(100)), tls: None };
    let listeners = sockets.into_cores().pop().unwrap();
    tokio::spawn(super::super::serve(listeners, App::new(), rules, seen));
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let us = stream.local_addr().unwrap();
    let answer = ask(&mut stream, "/conn").await;
    assert!(answer.ends_with(&format!("{us} 127.0.0.1:{port} false HTTP/1.1")), "{answer}");
}

/// This very test runs again in a process of its own, which finds the socket where a service manager would put it.
#[tokio::test]
async fn a_socket_that_was_handed_over_is_listened_on() {
    if env::var_os("LISTEN_FDS").is_some() {
        return serve_what_was_handed_over().await;
    }
    assert!(Sockets::inherited(2).unwrap().is_none(), "nobody has handed over anything");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let mut child = hand_over(listener.into());
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let us = stream.local_addr().unwrap();
    let answer = ask(&mut stream, "/conn").await;
    assert!(answer.ends_with(&format!("{us} {addr} false HTTP/1.1")), "{answer}");
    ask(&mut stream, "/keep").await;
    drop(stream);
    assert!(child.wait().unwrap().success());

    let path = env::temp_dir().join(format!("wxgate-{}.sock", uuid::Uuid::new_v4()));
    let mut child = hand_over(UnixListener::bind(&path).unwrap().into());
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let answer = ask(&mut stream, "/conn").await;
    assert!(answer.ends_with("127.0.0.1:0 127.0.0.1:0 false HTTP/1.1"), "{answer}");
    ask(&mut stream, "/keep").await;
    drop(stream);
    assert!(child.wait().unwrap().success());
    std::fs::remove_file(path).unwrap();

    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(!hand_over(datagrams.into()).wait().unwrap().success());
}

fn hand_over(socket: OwnedFd) -> std::process::Child {
    let name = "a_socket_that_was_handed_over_is_listened_on";
    let module = module_path!().split_once("::").unwrap().1;
    Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{name}")])
        .envs([("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", "0")])
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn serve_what_was_handed_over() {
    let cores = Sockets::inherited(2).unwrap().unwrap().into_cores();
    assert_eq!(cores.len(), 2);
    let (app, (phase, seen)) = (App::new(), watch::channel(Phase::Serving));
    let rules = Rules { limits: LIMITS, room: Arc::new(Room::new(100)), tls: None };
    let serving: Vec<_> = cores
        .into_iter()
        .map(|listeners| super::super::serve(listeners, app.clone(), rules.clone(), seen.clone()))
        .map(tokio::spawn)
        .collect();
    while app.kept.lock().unwrap().is_none() {
        task::yield_now().await;
    }
    phase.send_replace(Phase::Draining);
    app.kept.lock().unwrap().take();
    for serving in serving {
        serving.await.unwrap().unwrap();
    }
}
