//! What is open to everybody, and what is held back there.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::sites::{PROOF, raw};

#[tokio::test]
async fn c54_health_and_metrics_are_the_apps_own_business_on_the_public_listener() {
    let sites = Sites::start().await;
    let (nobody, alice) = (sites.person("nobody"), sites.signed_in("alice").await);
    for path in ["/metrics", "/healthz", "/readyz", "/debug/pprof", "/_wxx"] {
        assert_eq!(nobody.get(path).await.status, StatusCode::FOUND, "{path}");
        assert_eq!(alice.get(path).await.json()["uri"], path);
    }
    let before = sites.requests();
    for path in [
        "/_wx/metrics",
        "/_wx/healthz",
        "/_wx/readyz",
        "/_wx",
        "/_wx/",
        "/_wx/auth",
        "/_wx/forward-auth",
        "/_wx/ext-authz/off",
    ] {
        assert_eq!(alice.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(sites.requests(), before);
}

#[tokio::test]
async fn c56_a_fragment_in_the_target_changes_neither_the_verdict_nor_what_is_sent() {
    let sites = Sites::start().await;
    // The HTTP parser cuts it off before anybody looks.
    for (target, sent) in [
        ("/off#/../api", "/off"),
        ("/off/a#", "/off/a"),
        ("/off?a#b", "/off?a"),
        ("/off?#/api", "/off?"),
    ] {
        let answer = sites.raw(&format!("GET {target}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{target} {answer}");
        assert_eq!(sites.app.last()["uri"], sent, "{target}");
    }
    let before = sites.requests();
    for target in ["/api#/../off", "/off/../api#/off", "/api/x?a#/off", "/#/off"] {
        let answer = sites.raw(&format!("GET {target}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 302"), "{target} {answer}");
    }
    for target in ["/off%23", "/off%23/../api", "#/off", "off#/"] {
        let answer = sites.raw(&format!("GET {target}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{target} {answer}");
    }
    assert_eq!(sites.requests(), before);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn c56_a_flood_of_resets_ends_its_own_connection_and_nothing_else() {
    const FLOOD: u32 = 10_000;
    let sites = Sites::start().await;
    let host = sites.host("h5");
    let length = u8::try_from(host.len()).unwrap();
    // GET http /off, in HPACK.
    let head = [&[0x82, 0x86, 0x04, 4], &b"/off"[..], &[0x01, length], host.as_bytes()].concat();
    let mut stream = TcpStream::connect(sites.addr).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, b"")).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let reading = tokio::spawn(async move {
        let mut answer = Vec::new();
        from.read_to_end(&mut answer).await.ok();
        answer
    });
    for n in 0..FLOOD {
        let id = 2 * n + 1;
        let flood = [frame(1, 0x5, id, &head), frame(3, 0, id, &8_u32.to_be_bytes())].concat();
        if to.write_all(&flood).await.is_err() {
            break;
        }
    }
    let answer =
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("it is cut off");
    let answer = answer.unwrap();
    // GOAWAY for ENHANCE_YOUR_CALM.
    let mut rest = &answer[..];
    let mut reasons = Vec::new();
    while let Some((head, more)) = rest.split_first_chunk::<9>() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if head[3] == 7 {
            reasons.push(more[7]);
        }
        rest = more.get(length..).unwrap_or_default();
    }
    assert_eq!(reasons.last(), Some(&11), "{reasons:?}");
    assert!(sites.requests() < 500, "{}", sites.requests());
    assert_eq!(sites.person("bob").get("/off").await.status, StatusCode::OK);
}

#[tokio::test]
async fn w14_proof_files_are_served_byte_for_byte_by_their_exact_names_and_nothing_else_is() {
    let sites = Sites::start().await;
    let nobody = sites.person("nobody");
    let url = format!("http://{}/MP_verify_abc.txt", sites.host("h5"));
    let answer = crate::world::http_client().get(&url).send().await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["content-type"]),
        (StatusCode::OK, &"text/plain".parse().unwrap())
    );
    assert_eq!(&*answer.bytes().await.unwrap(), PROOF);
    assert_eq!(nobody.get("/WW_verify_def.txt?x=1").await.body, "def");
    let head = sites.raw("HEAD /MP_verify_abc.txt", "").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(
        head.to_lowercase().contains(&format!("content-length: {}\r\n", PROOF.len())),
        "{head}"
    );
    let www = format!(
        "GET /MP_verify_abc.txt HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        sites.host("www")
    );
    assert!(raw(sites.addr, www.as_bytes()).await.starts_with("HTTP/1.1 200"));

    for path in [
        "/MP_verify_unlisted.txt",
        "/secret.txt",
        "/ca.pem",
        "/mp_verify_abc.txt",
        "/MP_verify_abc.TXT",
        "/MP_verify_abc.txt/",
        "/MP_verify_abc.txt/x",
        "/x/MP_verify_abc.txt",
        "/MP_verify_abc%2Etxt",
        "/MP_verify_abc.txt;x",
        "/MP_verify_abc.txt%20",
        "/MP_verify_*.txt",
    ] {
        let answer = sites.raw(&format!("GET {path}"), "").await;
        assert!(
            answer.starts_with("HTTP/1.1 302") || answer.starts_with("HTTP/1.1 400"),
            "{path} {answer}"
        );
    }
    assert_eq!(
        nobody.send(Method::POST, "/MP_verify_abc.txt", &[], "").await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(sites.requests(), 0);
}

#[tokio::test]
async fn a_flood_of_sign_ins_is_held_back_and_twins_count_once() {
    let sites = Sites::with(|text| text.replace("rate_limit = 0", "rate_limit = 8")).await;
    let alice = sites.person("alice");
    let start = alice.get("/_wx/login?to=/api").await;
    let back = alice.get(start.location()).await.location().to_owned();
    for _ in 0..20 {
        let twin = alice.get(&back).await;
        assert_eq!(twin.status, StatusCode::SEE_OTHER, "{twin:?}");
    }
    assert_eq!(sites.sim.count(crate::world::EXCHANGE), 1);
    for n in 0..6 {
        let somebody = sites.person("bob");
        assert_eq!(somebody.get("/_wx/login?to=/api").await.status, StatusCode::FOUND, "{n}");
    }
    let nobody = sites.person("bob");
    let held = nobody.get("/_wx/login?to=/api").await;
    assert_eq!(held.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = held.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{held:?}");
    assert_eq!(
        nobody.get("/_wx/callback?code=x&state=y").await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    // Who is signed in notices nothing, and a page only points to the sign-in.
    assert_eq!(alice.get("/api").await.status, StatusCode::OK);
    assert_eq!(nobody.get("/off").await.status, StatusCode::OK);
}
