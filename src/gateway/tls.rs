//! The certificate that clients see, which can be exchanged while the gateway runs.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

/// A certificate, its key, and where both come from.
pub(in crate::gateway) struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    current: ArcSwap<ServerConfig>,
}

impl fmt::Debug for Certificates {
    /// Says where the key is, not what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Certificates");
        out.field("certificate", &self.certificate).field("key", &self.key).finish_non_exhaustive()
    }
}

/// Why a certificate cannot be used. Names the file.
#[derive(Debug, thiserror::Error)]
pub(in crate::gateway) enum TlsError {
    #[error("{0:?} cannot be read: {1}")]
    Unreadable(PathBuf, io::Error),
    #[error("{0:?} is not PEM: {1}")]
    NotPem(PathBuf, pem::Error),
    #[error("{0:?} has no certificate in it: it has to begin with -----BEGIN CERTIFICATE-----")]
    NoCertificate(PathBuf),
    #[error(
        "{0:?} has no private key in it: write the certificate's key there, as PKCS#8, PKCS#1 or SEC1 PEM"
    )]
    NoKey(PathBuf),
    #[error(
        "the key in {0:?} is encrypted: write it without a passphrase, and let only the gateway read the file"
    )]
    EncryptedKey(PathBuf),
    #[error("the key in {0:?} cannot be used: {1}")]
    BadKey(PathBuf, rustls::Error),
    #[error("the certificate in {0:?} cannot be used: {1}")]
    BadCertificate(PathBuf, rustls::Error),
    #[error("the key in {key:?} does not belong to the first certificate in {certificate:?}")]
    Mismatch { certificate: PathBuf, key: PathBuf },
}

impl Certificates {
    /// Reads a chain of certificates, the server's own first, and its key. Both files are PEM.
    pub(in crate::gateway) fn load(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let (certificate, key) = (certificate.into(), key.into());
        let current = ArcSwap::from(read(&certificate, &key)?);
        Ok(Self { certificate, key, current })
    }

    /// Reads both files again. New connections get what is in them now; with an error everything stays as it was.
    pub(in crate::gateway) fn reload(&self) -> Result<(), TlsError> {
        self.current.store(read(&self.certificate, &self.key)?);
        Ok(())
    }

    /// What new connections get.
    pub(in crate::gateway) fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = read_chain(certificate)?;
    let secret = read_key(key)?;
    let provider = Arc::new(ring::default_provider());
    // By itself first, so that it is known which of the two files is at fault.
    can_sign(&provider, &secret).map_err(|error| TlsError::BadKey(key.into(), error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::Mismatch { certificate: certificate.into(), key: key.into() }
            }
            error => TlsError::BadCertificate(certificate.into(), error),
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Sessions are resumed without a cache that all cores would have to lock.
    if let Ok(tickets) = ring::Ticketer::new() {
        config.ticketer = tickets;
    }
    Ok(Arc::new(config))
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = fs::read(path).map_err(|error| TlsError::Unreadable(path.into(), error))?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::NotPem(path.into(), error))?;
    if chain.is_empty() { Err(TlsError::NoCertificate(path.into())) } else { Ok(chain) }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = fs::read(path).map_err(|error| TlsError::Unreadable(path.into(), error))?;
    if is_encrypted(&text) {
        return Err(TlsError::EncryptedKey(path.into()));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey(path.into()),
        error => TlsError::NotPem(path.into(), error),
    })
}

/// Both forms: a label of its own in PKCS#8, a header in what came before.
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn can_sign(provider: &CryptoProvider, key: &PrivateKeyDer<'static>) -> Result<(), rustls::Error> {
    provider.key_provider.load_private_key(key.clone_key()).map(drop)
}
