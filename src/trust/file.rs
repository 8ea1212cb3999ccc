//! Authorities of one's own, from a file.

use std::path::Path;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// A configuration that trusts the authorities of `ca` only, or else the public ones, and offers no protocol by name.
///
/// # Errors
/// When the file cannot be used. The error names it.
pub(crate) fn in_authorities_of(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let Some(file) = ca else { return Ok(super::public()) };
    let roots = read(file)
        .map_err(|why| format!("the certificates of {} cannot be used: {why}", file.display()))?;
    Ok(super::trusting(roots))
}

fn read(file: &Path) -> Result<RootCertStore, String> {
    let pem = std::fs::read(file).map_err(|error| error.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| format!("it is not PEM: {error}"))?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it has none; it has to begin with -----BEGIN CERTIFICATE-----".to_owned());
    }
    Ok(roots)
}
