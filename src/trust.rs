//! TLS towards others: which certificate authorities to trust.

#[cfg(feature = "redis")]
mod file;

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

#[cfg(feature = "redis")]
pub(crate) use file::in_authorities_of;

/// A configuration that trusts the public authorities and offers no protocol by name. They are compiled in, so that an
/// image without a certificate folder works too.
pub(crate) fn public() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    trusting(roots)
}

fn trusting(roots: RootCertStore) -> ClientConfig {
    // Named, since whoever uses the crate may have compiled another provider in as well.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
