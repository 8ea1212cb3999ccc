//! HTTP/1.1 and HTTP/2, with TLS and without.

use std::{fs, path::PathBuf};

use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{net::UnixStream, time::Instant};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::gateway::{tls::TlsError, wire::Wire};

/// A folder that is gone with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("wxgate-tls-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

type Issued = rcgen::CertifiedKey<rcgen::KeyPair>;

fn issue() -> Issued {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// Writes both files, and says which they are.
fn write(folder: &Folder, issued: &Issued) -> (PathBuf, PathBuf) {
    let key = folder.write("key.pem", issued.signing_key.serialize_pem());
    (folder.write("cert.pem", issued.cert.pem()), key)
}

fn load(folder: &Folder, issued: &Issued) -> Arc<Certificates> {
    let (certificate, key) = write(folder, issued);
    Arc::new(Certificates::load(certificate, key).unwrap())
}

/// Connects as a client that trusts this certificate alone.
async fn tls(served: &Served, issued: &Issued, alpn: &[&str]) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, served.connect().await).await
}

#[tokio::test]
async fn http1_and_http2_come_to_the_same_port() {
    let served = Served::plain();
    let mut stream = served.connect().await;
    let (us, them) = (stream.local_addr().unwrap(), served.addr);
    let answer = ask(&mut stream, "/conn").await;
    assert!(answer.ends_with(&format!("{us} {them} false HTTP/1.1")), "{answer}");

    let stream = served.connect().await;
    let us = stream.local_addr().unwrap();
    let (mut client, _) = http2_client(stream).await;
    let answer = text(client.send_request(get("/conn")).await.unwrap()).await;
    assert_eq!(answer, format!("{us} {them} false HTTP/2.0"));
}

#[tokio::test]
async fn the_first_words_may_come_in_bits() {
    let served = Served::plain();
    let mut stream = served.connect().await;
    stream.set_nodelay(true).unwrap();
    for bit in ["P", "OST /echo HTTP/1.1\r\nHo", "st: a\r\nContent-Length: 2\r\n\r\no"] {
        stream.write_all(bit.as_bytes()).await.unwrap();
        // So that they are read one by one.
        for _ in 0..20 {
            task::yield_now().await;
        }
    }
    stream.write_all(b"k").await.unwrap();
    assert!(read_answer(&mut stream).await.ends_with("2 bytes"));
}

#[tokio::test]
async fn a_head_longer_than_the_first_read_is_taken_whole() {
    let served = Served::plain();
    let mut stream = served.connect().await;
    let value = "x".repeat(5000);
    let body = "y".repeat(3000);
    let request = format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nX: {value}\r\nContent-Length: 3000\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.ends_with("3000 bytes"));
}

#[tokio::test]
async fn many_requests_share_an_http2_connection() {
    let served = Served::plain();
    let (client, _) = http2_client(served.connect().await).await;
    let requests: Vec<_> = (0..50)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(
                async move { text(client.send_request(get("/slow")).await.unwrap()).await },
            )
        })
        .collect();
    for _ in 0..50 {
        served.app.has_arrived().await;
    }
    served.app.released.add_permits(50);
    for request in requests {
        assert_eq!(request.await.unwrap(), "slow");
    }
}

#[tokio::test]
async fn tls_offers_http2_and_http1() {
    let (folder, issued) = (Folder::new(), issue());
    let served = Served::with(100, LIMITS, Some(load(&folder, &issued)));

    let stream = tls(&served, &issued, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, _) = http2_client(stream).await;
    let answer = text(client.send_request(get("/conn")).await.unwrap()).await;
    assert!(answer.ends_with("true HTTP/2.0"), "{answer}");

    for alpn in [&["http/1.1"][..], &[]] {
        let stream = tls(&served, &issued, alpn).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), alpn.first().map(|name| name.as_bytes()));
        let (mut client, _) = http1_client(stream).await;
        let answer = text(client.send_request(get("/conn")).await.unwrap()).await;
        assert!(answer.ends_with("true HTTP/1.1"), "{answer}");
    }
    assert!(tls(&served, &issued, &["spdy/3"]).await.is_err(), "no protocol in common");
}

#[tokio::test]
async fn where_tls_is_spoken_nothing_else_is_answered() {
    let (folder, issued) = (Folder::new(), issue());
    let served = Served::with(100, LIMITS, Some(load(&folder, &issued)));
    let mut stream = served.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    // The end may be abrupt.
    stream.read_to_end(&mut said).await.ok();
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    // Nor HTTP/2 to somebody who has agreed on HTTP/1.1.
    let mut stream = tls(&served, &issued, &["http/1.1"]).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.ok();
    assert!(!said.windows(9).any(|window| window[3..] == [4, 0, 0, 0, 0, 0]), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_a_time_limit() {
    let (folder, issued) = (Folder::new(), issue());
    let (mut client, server) = UnixStream::pair().unwrap();
    let (conn, seat) = nobody();
    let (_phase, seen) = watch::channel(Phase::Serving);
    let talk = Arc::new(Talk::new(App::new(), conn));
    let config = load(&folder, &issued).config();
    let since = Instant::now();
    connection::secured(Wire::Unix(server), config, seat, talk, LIMITS, seen).await;
    assert_eq!(since.elapsed().as_secs(), 10);
    assert_eq!(rest(&mut client).await, "");
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections() {
    let (folder, old, new) = (Folder::new(), issue(), issue());
    let certificates = load(&folder, &old);
    let served = Served::with(100, LIMITS, Some(certificates.clone()));
    let (mut client, _) = http1_client(tls(&served, &old, &[]).await.unwrap()).await;
    assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, "hello");

    write(&folder, &new);
    assert!(tls(&served, &new, &[]).await.is_err(), "it was not loaded yet");
    certificates.reload().unwrap();
    assert!(tls(&served, &old, &[]).await.is_err());
    let (mut other, _) = http1_client(tls(&served, &new, &[]).await.unwrap()).await;
    assert_eq!(text(other.send_request(get("/")).await.unwrap()).await, "hello");
    client.ready().await.unwrap();
    assert_eq!(text(client.send_request(get("/")).await.unwrap()).await, "hello");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_changes_nothing() {
    let (folder, good) = (Folder::new(), issue());
    let certificates = load(&folder, &good);
    let served = Served::with(100, LIMITS, Some(certificates.clone()));
    folder.write("cert.pem", issue().cert.pem());
    assert!(matches!(certificates.reload(), Err(TlsError::Mismatch { .. })));
    folder.write("cert.pem", "");
    assert!(matches!(certificates.reload(), Err(TlsError::NoCertificate(_))));
    tls(&served, &good, &[]).await.unwrap();
    write(&folder, &good);
    certificates.reload().unwrap();
    tls(&served, &good, &[]).await.unwrap();
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let (folder, issued) = (Folder::new(), issue());
    let (certificate, key) = write(&folder, &issued);
    let sealed =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old_sealed = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    let empty_key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    let odd = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    let other = issue().signing_key.serialize_pem();
    let write = |name, text: &str| folder.write(name, text);
    for (certificate, key, at_fault, why) in [
        (folder.0.join("none.pem"), key.clone(), "none.pem", "cannot be read"),
        (certificate.clone(), folder.0.join("none.pem"), "none.pem", "cannot be read"),
        (key.clone(), key.clone(), "key.pem", "no certificate in it"),
        (certificate.clone(), certificate.clone(), "cert.pem", "no private key in it"),
        (certificate.clone(), write("sealed.pem", sealed), "sealed.pem", "is encrypted"),
        (certificate.clone(), write("old.pem", old_sealed), "old.pem", "is encrypted"),
        (certificate.clone(), write("empty.pem", empty_key), "empty.pem", "cannot be used"),
        (certificate.clone(), write("other.pem", &other), "other.pem", "does not belong"),
        (write("odd.pem", odd), key.clone(), "odd.pem", "cannot be used"),
        (write("broken.pem", broken), key.clone(), "broken.pem", "is not PEM"),
    ] {
        let error = Certificates::load(certificate, key).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(at_fault), "{error}");
        assert!(!error.contains("MII"), "{error}");
    }
    let good = Certificates::load(certificate, key).unwrap();
    assert!(!format!("{good:?}").contains("PrivateKey"), "{good:?}");
}
