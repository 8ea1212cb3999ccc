//! A gateway's process that is changed while it serves: nobody loses a request or a session.

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use axum::{Router, extract::Request};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use wxgate::simulator::Simulator;

use crate::{
    load::{Line, Load},
    process::{Folder, Process, SECRET},
    world::{self, Browser},
};

/// An app that says its name and what it was asked for.
pub async fn app(name: &'static str) -> SocketAddr {
    world::serve(
        Router::new()
            .fallback(move |request: Request| async move { format!("{name} {}", request.uri()) }),
    )
    .await
}

/// A configuration for one site: `/load` is open, `/moved` leads below `/v<number>`, and the rest asks for a sign-in.
pub fn text(sim: &Simulator, addr: SocketAddr, upstream: SocketAddr, number: usize) -> String {
    format!(
        "[limits]\nready_wait = '300ms'\ndrain = '20s'\n[wechat]\napi = ['{sim}']\nopen = '{sim}'\n\
         [site.h5]\npublic_url = 'http://{addr}'\nupstream = 'http://{upstream}'\n\
         [[site.h5.route]]\nprefix = '/load'\nlogin = 'off'\n\
         [[site.h5.route]]\nprefix = '/moved'\nlogin = 'off'\nrewrite = '/v{number}'\n",
        sim = sim.url()
    )
}

/// Asks until the answer is this one.
async fn becomes(line: &mut Line, path: &str, body: &str) {
    let began = Instant::now();
    loop {
        let told = line.get(path, "").await.unwrap();
        if told.body == body {
            assert_eq!(told.status, 200, "{told:?}");
            return;
        }
        assert!(told.status < 400, "{told:?}");
        assert!(began.elapsed() < Duration::from_secs(30), "{told:?} instead of {body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_reloads_and_a_stop_under_load_lose_no_request_and_no_session() {
    const RELOADS: usize = 1000;
    let sim = Simulator::start().await;
    let apps = [app("a").await, app("b").await];
    let folder = Folder::new();
    let process = Process::start_quietly(folder, |addr| text(&sim, addr, apps[0], 0)).await;
    let alice = Browser::new(&process.url(), "alice");
    assert_eq!(alice.walk("/private").await.body, "a /private");
    let exchanges = sim.count(world::EXCHANGE);

    let load = Load::start(process.addr, 100);
    load.answers(1000).await;
    let mut line = Line::open(process.addr).await.unwrap();
    for number in 1..=RELOADS {
        let upstream = apps[number % 2];
        process.configure(&text(&sim, process.addr, upstream, number));
        process.signal("HUP").await;
        let name = ["a", "b"][number % 2];
        becomes(&mut line, "/moved/x", &format!("{name} /v{number}/x")).await;
    }
    assert_eq!(alice.get("/private").await.body, "a /private");
    assert_eq!(sim.count(world::EXCHANGE), exchanges);
    let reloads = process.metric("wxgate_reloads_total{result=\"ok\"}").await;
    assert!(reloads >= RELOADS as u64, "{reloads}");
    assert_eq!(process.metric("wxgate_reloads_total{result=\"failed\"}").await, 0);
    assert_eq!(*load.tally.failed.lock().unwrap(), Vec::<String>::new());

    // A stop: each client is told with an answer that the connection ends, comes again, and is refused in the end.
    let before = load.tally.answered.load(Ordering::SeqCst);
    process.signal("TERM").await;
    let tally = load.ended(false).await;
    assert_eq!(*tally.failed.lock().unwrap(), Vec::<String>::new());
    assert!(tally.answered.load(Ordering::SeqCst) > before);
    assert_eq!(tally.refused.load(Ordering::SeqCst), 100);
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log:?}");
    let cut = log.iter().find(|line| line["message"].as_str().unwrap().contains("cut"));
    assert_eq!(cut, None);
}

#[tokio::test]
async fn a_file_that_changes_is_noticed_without_a_signal() {
    let (sim, one) = (Simulator::start().await, app("a").await);
    let process = Process::start(Folder::new(), |addr| text(&sim, addr, one, 0)).await;
    let mut line = Line::open(process.addr).await.unwrap();
    becomes(&mut line, "/moved/x", "a /v0/x").await;
    for number in 1..4 {
        process.configure(&text(&sim, process.addr, one, number));
        becomes(&mut line, "/moved/x", &format!("a /v{number}/x")).await;
    }
    // One that the configuration names, too.
    process.folder.write("MP_verify_a.txt", "one");
    let proof = text(&sim, process.addr, one, 4)
        .replace("upstream = ", "proof_files = ['MP_verify_a.txt']\nupstream = ");
    process.configure(&proof);
    becomes(&mut line, "/MP_verify_a.txt", "one").await;
    process.folder.write("MP_verify_a.txt", "two");
    becomes(&mut line, "/MP_verify_a.txt", "two").await;
    let (_, log) = process.stop().await;
    let whys: Vec<_> = log.iter().filter_map(|line| line["why"].as_str()).collect();
    assert_eq!(whys, ["a file has changed"; 5]);
}

#[tokio::test]
async fn c30_a_broken_file_leaves_all_as_it_was_and_says_what_is_wrong() {
    let (sim, one) = (Simulator::start().await, app("a").await);
    let process = Process::start(Folder::new(), |addr| text(&sim, addr, one, 0)).await;
    let mut line = Line::open(process.addr).await.unwrap();
    let good = text(&sim, process.addr, one, 1);
    let cases = [
        (good.replace("rewrite", "rewrit"), "site.h5.route[1].rewrit: "),
        (good.replace("'/moved'", "'moved'"), "site.h5.route[1].prefix: "),
        (format!("{good}["), "wxgate.toml:"),
        (
            good.replace("upstream = ", "proof_files = ['MP_verify_none.txt']\nupstream = "),
            "MP_verify_none.txt",
        ),
    ];
    for (count, (bad, hint)) in cases.iter().enumerate() {
        process.configure(bad);
        process.signal("HUP").await;
        let stays = |line: &Value| line["message"] == "the old configuration stays";
        let said = process.logged(count + 1, stays).await;
        let problem = said["problem"].as_str().unwrap();
        assert!(problem.contains(hint), "{hint}: {said}");
        assert_eq!(said["level"], "ERROR");
        becomes(&mut line, "/moved/x", "a /v0/x").await;
        let failed = process.metric("wxgate_reloads_total{result=\"failed\"}").await;
        assert_eq!(failed, count as u64 + 1);
    }
    assert_eq!(process.admin("/readyz").await.0, 200);
    process.configure(&good);
    process.signal("HUP").await;
    becomes(&mut line, "/moved/x", "a /v1/x").await;
    // A secret that is gone.
    process.folder.write("secret.txt", " \n");
    process.configure(&text(&sim, process.addr, one, 2));
    process.signal("HUP").await;
    let emptied = |line: &Value| {
        let problem = line["problem"].as_str().unwrap_or_default();
        line["message"] == "the old configuration stays" && problem.contains("secret.txt is empty")
    };
    process.logged(1, emptied).await;
    becomes(&mut line, "/moved/x", "a /v1/x").await;
    process.folder.write("secret.txt", SECRET);
    process.signal("HUP").await;
    becomes(&mut line, "/moved/x", "a /v2/x").await;
}

#[tokio::test]
async fn c43_a_session_is_judged_by_the_list_that_is_in_force() {
    let (sim, one) = (Simulator::start().await, app("a").await);
    let process = Process::start(Folder::new(), |addr| text(&sim, addr, one, 0)).await;
    let alice = Browser::new(&process.url(), "alice");
    assert_eq!(alice.walk("/private").await.body, "a /private");
    let listed = format!("allow_openids = ['{}']", sim.world().users[0].openid(world::APPID));
    let lists = [("allow_openids = ['o_somebody_else']", 403), (&*listed, 200)];
    for (number, (list, status)) in lists.into_iter().cycle().take(4).enumerate() {
        let next = text(&sim, process.addr, one, number);
        process.configure(&next.replace("upstream = ", &format!("{list}\nupstream = ")));
        process.signal("HUP").await;
        // Each core takes the new one when it comes to it.
        let (began, mut right) = (Instant::now(), 0);
        while right < 20 {
            right = if alice.fetch("/private").await.status == status { right + 1 } else { 0 };
            assert!(began.elapsed() < Duration::from_secs(30), "{list} is not in force");
        }
        // It is the session that was judged: nobody had to sign in again.
        assert_eq!(sim.count(world::EXCHANGE), 1);
    }
}

#[tokio::test]
async fn a_reload_gives_nobody_another_measure_of_sign_ins() {
    let (sim, one) = (Simulator::start().await, app("a").await);
    let limited = |addr, limit: usize, number| {
        format!("rate_limit = {limit}\n{}", text(&sim, addr, one, number))
    };
    let process = Process::start(Folder::new(), |addr| limited(addr, 2, 0)).await;
    let sign_in = async || {
        let mut line = Line::open(process.addr).await.unwrap();
        line.get("/_wx/login?to=/", "").await.unwrap().status
    };
    assert_eq!([sign_in().await, sign_in().await, sign_in().await], [302, 302, 429]);
    let mut line = Line::open(process.addr).await.unwrap();
    process.configure(&limited(process.addr, 2, 1));
    process.signal("HUP").await;
    becomes(&mut line, "/moved/x", "a /v1/x").await;
    assert_eq!(sign_in().await, 429);
    process.configure(&limited(process.addr, 3, 2));
    process.signal("HUP").await;
    becomes(&mut line, "/moved/x", "a /v2/x").await;
    assert_eq!(sign_in().await, 302);
}

#[tokio::test]
async fn keys_that_only_a_restart_can_change_are_named() {
    let (sim, one) = (Simulator::start().await, app("a").await);
    let process = Process::start(Folder::new(), |addr| text(&sim, addr, one, 0)).await;
    let mut line = Line::open(process.addr).await.unwrap();
    let next = text(&sim, process.addr, one, 1);
    let limits = next.replace("'20s'", "'21s'");
    let session = format!("{next}[session]\nidle = '1h'\n");
    for (count, (bad, key)) in
        [(limits, "limits.drain"), (session, "session.idle")].into_iter().enumerate()
    {
        process.configure(&bad);
        process.signal("HUP").await;
        let said = process
            .logged(count + 1, |line| line["message"] == "the old configuration stays")
            .await;
        assert_eq!(said["error"], format!("{key} can only be changed by a restart"));
        becomes(&mut line, "/moved/x", "a /v0/x").await;
    }
    // An address is above what is written for it here.
    let file = process.folder.path().join("wxgate.toml");
    let text = fs::read_to_string(&file).unwrap();
    process
        .folder
        .write("wxgate.toml", text.replacen("listen = '127", "cores = 2\nlisten = '127", 1));
    process.signal("HUP").await;
    let said = process.logged(3, |line| line["message"] == "the old configuration stays").await;
    assert!(said["error"].as_str().unwrap().contains("session.idle"), "{said}");
}

/// Speaks TLS with one of these certificates, and says with which.
async fn tls(
    addr: SocketAddr,
    trusted: &[CertificateDer<'static>],
) -> (TlsStream<TcpStream>, CertificateDer<'static>) {
    let mut roots = RootCertStore::empty();
    for certificate in trusted {
        roots.add(certificate.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(addr).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    (stream, shown)
}

async fn ask(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /load HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"a /load") {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "{answer:?}");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn new_certificates_are_for_new_connections_and_the_old_ones_live_on() {
    let (sim, one) = (Simulator::start().await, app("a").await);
    let issue = || rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let issued = [issue(), issue()];
    let trusted = issued.each_ref().map(|issued| issued.cert.der().clone());
    let folder = Folder::new();
    let write = |folder: &Folder, of: usize| {
        folder.write("cert.pem", issued[of].cert.pem());
        folder.write("key.pem", issued[of].signing_key.serialize_pem());
    };
    write(&folder, 0);
    let process = Process::start(folder, |addr| {
        text(&sim, addr, one, 0)
            .replace("http://127.0.0.1:", "https://localhost:")
            .replacen(&format!("'https://localhost:{}'", one.port()), &format!("'http://{one}'"), 1)
            .replace(&format!("https://localhost:{}", sim.addr().port()), &sim.url())
            + "[tls]\ncertificate = 'cert.pem'\nkey = 'key.pem'\n"
    })
    .await;
    let (mut old, shown) = tls(process.addr, &trusted).await;
    assert_eq!(shown, trusted[0]);
    assert!(ask(&mut old).await.starts_with("HTTP/1.1 200"));
    // Half of a change is no change.
    process.folder.write("cert.pem", issued[1].cert.pem());
    process.signal("HUP").await;
    let said = process.logged(1, |line| line["message"] == "the old configuration stays").await;
    assert!(said.to_string().contains("cert.pem"), "{said}");
    assert_eq!(tls(process.addr, &trusted).await.1, trusted[0]);

    write(&process.folder, 1);
    process.signal("HUP").await;
    process
        .logged(1, |line| line["message"].as_str().is_some_and(|m| m.contains("is in force")))
        .await;
    let (mut new, shown) = tls(process.addr, &trusted).await;
    assert_eq!(shown, trusted[1]);
    assert!(ask(&mut new).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut old).await.starts_with("HTTP/1.1 200"));
}
