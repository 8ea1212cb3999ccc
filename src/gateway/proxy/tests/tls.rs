//! Upstreams over TLS: whom the proxy trusts, and which HTTP is spoken inside.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate authority, in a file.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Folder,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let folder = Folder::new();
        folder.write("ca.pem", issuer.pem());
        Self { issuer, folder }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.path("ca.pem")
    }

    fn acceptor(&self, name: &str, http: Http) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = match http {
            Http::One => vec![b"http/1.1".to_vec()],
            Http::Two => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        };
        TlsAcceptor::from(Arc::new(config))
    }

    /// An upstream whose certificate names `name`, and how many connections it was opened.
    pub(super) async fn upstream<H, A>(
        &self,
        name: &str,
        http: Http,
        handler: H,
    ) -> (UpstreamSpec, Arc<AtomicUsize>)
    where
        H: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
        A: Future<Output = Response<AnyBody>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, opened) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let (count, acceptor) = (opened.clone(), self.acceptor(name, http));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (acceptor, handler) = (acceptor.clone(), handler.clone());
                tokio::spawn(async move {
                    // Refused certificates end here.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let http = match stream.get_ref().1.alpn_protocol() {
                        Some(b"h2") => Http::Two,
                        _ => Http::One,
                    };
                    serve(stream, http, handler).await;
                });
            }
        });
        let spec = UpstreamSpec {
            ca: Some(self.file()),
            ..spec(&format!("https://localhost:{}", addr.port()))
        };
        (spec, opened)
    }
}

#[tokio::test]
async fn the_certificate_has_to_name_the_upstream_and_come_from_who_is_trusted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for http in [Http::One, Http::Two] {
        let (good, _) = authority.upstream("localhost", http, echo).await;
        let addr = front(&good, Rules::default()).await;
        assert_eq!(fetch(addr, Http::One, get("/")).await.0, StatusCode::OK);

        // Not the host that browsers ask for, and not by the host's address.
        for name in ["h5.example.com", "127.0.0.1", "other.localhost"] {
            let (other, _) = authority.upstream(name, http, echo).await;
            let addr = front(&other, Rules::default()).await;
            let (status, said) = fetch(addr, Http::One, get("/")).await;
            assert_eq!(status, StatusCode::BAD_GATEWAY, "{said}");
            assert!(said.starts_with("upstream_unavailable: it cannot be connected to"), "{said}");
            assert!(said.contains("certificate"), "{said}");
        }

        // Neither another authority will do, nor the public ones.
        for ca in [Some(stranger.file()), None] {
            let addr = front(&UpstreamSpec { ca, ..good.clone() }, Rules::default()).await;
            let (status, said) = fetch(addr, Http::One, get("/")).await;
            assert_eq!(status, StatusCode::BAD_GATEWAY);
            assert!(said.contains("invalid peer certificate"), "{said}");
        }
    }
    // Something that has no TLS at all.
    let (plain, _) = upstream(Http::One, echo).await;
    let addr = front(&spec(&format!("https://localhost:{}", plain.port())), Rules::default()).await;
    assert_eq!(fetch(addr, Http::One, get("/")).await.0, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn one_authority_replaces_the_public_ones_and_has_to_be_readable() {
    let folder = Folder::new();
    let with = |ca: PathBuf| UpstreamSpec { ca: Some(ca), ..spec("https://localhost") };
    let key = folder.write("key.pem", KeyPair::generate().unwrap().serialize_pem());
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (file, why) in [
        (folder.path("missing.pem"), "No such file"),
        (folder.write("empty.pem", ""), "it has none"),
        (folder.write("text.pem", "nothing of use"), "it has none"),
        (folder.write("broken.pem", broken), ""),
        (key, "it has none"),
        (folder.0.clone(), "directory"),
    ] {
        let refused = Upstream::new(&with(file.clone())).unwrap_err().to_string();
        assert!(refused.contains(&file.display().to_string()), "{refused}");
        assert!(refused.contains(why), "{refused}");
    }
    assert!(Upstream::new(&with(Authority::new().file())).is_ok());
    assert!(Upstream::new(&spec("https://localhost")).is_ok());
}
