//! The certificates that the mail server is trusted by beside the system's, read from a PEM file.

use std::fs;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

const EXPECTED: &str = "expected a PEM file of certificates (-----BEGIN CERTIFICATE-----): make one of a DER file with `openssl x509 -inform der`";

/// Certificates in DER; none unless a file was named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SmtpCa(pub Vec<CertificateDer<'static>>);

impl SmtpCa {
    /// Reads the file at `path`; `none` names no file.
    ///
    /// # Errors
    /// When it cannot be read or holds anything but certificates: what is accepted.
    pub(super) fn read(path: &str) -> Result<Self, String> {
        if path == "none" {
            return Ok(Self::default());
        }
        if path.is_empty() {
            return Err(EXPECTED.into());
        }
        let pem = fs::read(path).map_err(|cause| format!("cannot be read: {cause}: {EXPECTED}"))?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let certificates = read.map_err(|_| EXPECTED)?;
        let mut store = RootCertStore::empty();
        let readable = certificates.iter().all(|one| store.add(one.clone()).is_ok());
        if certificates.is_empty() || !readable {
            return Err(EXPECTED.into());
        }
        Ok(Self(certificates))
    }
}
