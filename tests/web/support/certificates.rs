//! Certificates for servers: signed by an authority or by themselves, expired, for another name.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use time::{Duration, OffsetDateTime};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

/// A certificate and its key.
pub struct Identity {
    pub pem: String,
    pub key_pem: String,
    params: CertificateParams,
}

impl Identity {
    /// From a file that holds both, as `openssl req -x509 -keyout` creates them.
    pub fn from_pem(pem: &str) -> Self {
        Self { pem: pem.to_owned(), key_pem: pem.to_owned(), params: params(&[]) }
    }

    /// Signed by its own key.
    pub fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, key_pem: key.serialize_pem(), params: params.clone() }
    }

    /// Signed by the key of `self`, even if that is no authority.
    pub fn signs(&self, params: &CertificateParams) -> Self {
        let issuer = KeyPair::from_pem(&self.key_pem).unwrap();
        let issuer = Issuer::from_params(&self.params, issuer);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &issuer).unwrap().pem();
        Self { pem, key_pem: key.serialize_pem(), params: params.clone() }
    }

    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub fn is_authority(&self) -> bool {
        matches!(self.params.is_ca, IsCa::Ca(_))
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        let certificate = CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// For these names, not for an authority.
pub fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// As [`params`], valid from one day to another, counted from today.
pub fn of_days(names: &[&str], first: i64, last: i64) -> CertificateParams {
    let today = OffsetDateTime::from(std::time::UNIX_EPOCH)
        + Duration::milliseconds(vestibule::clock::Clock::System.millis());
    let mut params = params(names);
    params.not_before = today + Duration::days(first);
    params.not_after = today + Duration::days(last);
    params
}

/// For an authority with these names, as `openssl req -x509` creates it.
pub fn authority(names: &[&str]) -> CertificateParams {
    let mut params = params(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A certificate for `localhost`, and the PEM of the authority that signed it.
pub fn signed_for_localhost() -> (Identity, String) {
    let mut params = authority(&[]);
    params.distinguished_name.push(DnType::CommonName, vestibule::random::id(0));
    let authority = Identity::self_signed(&params);
    (authority.signs(&self::params(&["localhost", "127.0.0.1"])), authority.pem)
}

/// The value of `VESTIBULE_SMTP_CA`.
pub fn trusting(pem: &str) -> Vec<CertificateDer<'static>> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    certificates.map(Result::unwrap).collect()
}
