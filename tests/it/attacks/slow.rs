//! Clients that begin and do not go on: with their handshake, or with a head.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::join_all;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep},
};
use tokio_rustls::TlsConnector;
use wxgate::gateway::{Gateway, Settings, config::Config};

use super::upstream::Upstream;
use crate::{
    process::{Folder, SECRET},
    world::{self, APPID},
};

/// A gateway that has less patience than usual, in front of an app that is open to all.
fn gateway(
    upstream: &Upstream,
    folder: &Folder,
    scheme: &str,
    more: &str,
) -> (Gateway, SocketAddr) {
    let addr = world::free_port();
    folder.write("secret.txt", SECRET);
    let text = format!(
        "listen = '{addr}'\ncores = 1\n[limits]\nrequest_head = '1s'\n\
         [account.main]\nappid = '{APPID}'\nsecret_file = 'secret.txt'\n\
         [site.h5]\npublic_url = '{scheme}://localhost:{}'\nupstream = 'http://{}'\naccount = 'main'\nlogin = 'off'\n{more}",
        addr.port(),
        upstream.addr
    );
    let config = Config::from_toml(&text, folder.path(), &|_| None);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    (Gateway::start(Settings::from_config(config)).unwrap(), addr)
}

/// Waits until the gateway hangs up, and says how long that took. Says a byte now and then.
async fn outlasted(addr: SocketAddr, begins: &[u8], drip: Option<u8>) -> Duration {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let began = Instant::now();
    stream.write_all(begins).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let dripping = async {
        while let Some(byte) = drip {
            sleep(Duration::from_millis(100)).await;
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut rest = Vec::new();
    tokio::select! {
        _ = reader.read_to_end(&mut rest) => {}
        () = dripping => {}
        () = sleep(super::PATIENCE) => panic!("it is still open"),
    }
    began.elapsed()
}

#[tokio::test]
async fn a_head_that_comes_in_drops_runs_out_of_time_and_a_neighbour_does_not() {
    let (upstream, folder) = (Upstream::start().await, Folder::new());
    let (_gateway, addr) = gateway(&upstream, &folder, "http", "");
    let head = format!("GET /slow HTTP/1.1\r\nHost: localhost:{}\r\nX-A: ", addr.port());
    let slow = (0..120).map(|number| {
        let drip = (number % 2 == 0).then_some(b'x');
        outlasted(addr, head.as_bytes(), drip)
    });
    let neighbour = async {
        for _ in 0..20 {
            let mut peer =
                super::Peer { stream: TcpStream::connect(addr).await.unwrap(), read: Vec::new() };
            peer.say(format!("GET /quick HTTP/1.1\r\nHost: localhost:{}\r\n\r\n", addr.port()))
                .await;
            assert_eq!(peer.answer().await.unwrap().status, 200);
            sleep(Duration::from_millis(50)).await;
        }
    };
    let (took, ()) = tokio::join!(join_all(slow), neighbour);
    let least = took.iter().min().unwrap();
    assert!(*least >= Duration::from_millis(900), "{least:?}");
    assert!(upstream.seen("/slow").is_empty());
}

#[tokio::test]
async fn handshakes_that_are_half_done_are_in_nobody_s_way() {
    let (upstream, folder) = (Upstream::start().await, Folder::new());
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("cert.pem", issued.cert.pem());
    folder.write("key.pem", issued.signing_key.serialize_pem());
    let tls = "[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n";
    let (_gateway, addr) = gateway(&upstream, &folder, "https", tls);
    // The beginnings of a greeting; nothing; what is no TLS at all.
    let beginnings: [&[u8]; 5] = [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\x16",
        b"",
        b"\x16\x03\x01\xff\xff",
        b"GET / HTTP/1.1\r\n\r\n",
    ];
    let mut open = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(beginnings[number % beginnings.len()]).await.unwrap();
        open.push(stream);
    }
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    for _ in 0..5 {
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TcpStream::connect(addr).await.unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        let ask = format!(
            "GET /tls HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\r\n",
            addr.port()
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).await.ok();
        assert!(told.starts_with("HTTP/1.1 200") && told.ends_with("GET /tls 0"), "{told}");
    }
    assert_eq!(upstream.seen("/").len(), 5);
}
