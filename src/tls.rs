//! TLS to other servers: which certificates are trusted, and why a handshake failed.

mod explain;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use explain::explain;

/// How long before its end a certificate is told to expire. Renewal by ACME is usual 30 days before.
pub const SOON: Duration = Duration::from_hours(14 * 24);

/// TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// Where the certificate of an authority that is not trusted yet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// `VESTIBULE_SMTP_CA` adds to the system's.
    MailServer,
    /// `SSL_CERT_FILE` replaces the system's.
    #[cfg(feature = "cli")]
    Site,
}

/// Why a handshake failed, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{0} does not speak TLS from the first byte on this port")]
    NotSpoken(String),
    #[error("{0}")]
    Certificate(String),
    /// The versions, ciphers or keys of both do not fit.
    #[error("{0}")]
    Refused(String),
    #[error("the connection broke while TLS was set up: {0}")]
    Broken(io::Error),
}

/// Makes TLS connections to one host.
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    peer: Peer,
    end: Arc<Mutex<Option<i64>>>,
}

impl Tls {
    /// Trusts the system's authorities and the certificates of `ca`. The error says why no certificate
    /// can be for `host`.
    pub fn new(host: &str, peer: Peer, ca: &[CertificateDer<'static>]) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("no certificate can be for {host:?}"))?;
        let mut roots = system_roots();
        // A server's own certificate is trusted, and not to sign others.
        roots.add_parsable_certificates(ca.iter().filter(|one| is_authority(one)).cloned());
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let end = Arc::default();
        let verifier = Verifier { roots, pinned: ca.to_vec(), algorithms, end: Arc::clone(&end) };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self { connector: Arc::new(config).into(), name, peer, end })
    }

    /// Makes the handshake over `stream`.
    pub async fn wrap(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, TlsError> {
        match self.connector.connect(self.name.clone(), stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(explain(error, self.peer, &self.name.to_str())),
        }
    }

    /// When the certificate of the last handshake expires, if that is [`SOON`].
    pub fn expiry(&self) -> Option<i64> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Verifies as rustls does, and trusts the certificates of `ca` themselves, whatever their
/// signature. webpki rejects a self-signed one: it is marked as an authority (`openssl req -x509`), or
/// signed in a way that ring cannot verify.
#[derive(Debug)]
struct Verifier {
    roots: RootCertStore,
    pinned: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    /// As [`Tls::expiry`] returns it.
    end: Arc<Mutex<Option<i64>>>,
}

/// The system's certificates, which `SSL_CERT_FILE` and `SSL_CERT_DIR` replace; or Mozilla's where there
/// are none, as in a container, unless `SSL_CERT_FILE` asks for others.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() && std::env::var_os("SSL_CERT_FILE").is_none() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let is_pinned = self.pinned.contains(end_entity);
        let verify_at = |time| {
            verify_server_cert_signed_by_trust_anchor(
                &certificate,
                &self.roots,
                intermediates,
                time,
                self.algorithms.all,
            )
            // webpki checks the time before the signature.
            .or_else(|error| if is_pinned && !is_about_time(&error) { Ok(()) } else { Err(error) })
        };
        verify_at(now)?;
        verify_server_name(&certificate, name).or_else(|error| {
            if is_pinned && has_common_name(end_entity, &error, name) { Ok(()) } else { Err(error) }
        })?;
        let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + SOON);
        let end = verify_at(soon).err().and_then(|error| end(&error));
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_about_time(error: &Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYetContext};
    let Error::InvalidCertificate(cause) = error else { return false };
    matches!(cause, Expired | ExpiredContext { .. } | NotValidYetContext { .. })
}

/// When a certificate expired, if that is why it is refused.
fn end(error: &Error) -> Option<i64> {
    let Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) = error
    else {
        return None;
    };
    i64::try_from(not_after.as_secs()).ok()
}

/// Whether the certificate has no alternative name, as `openssl req -x509` makes it by default, and the
/// subject's common name is the host, as was valid before RFC 6125.
fn has_common_name(certificate: &[u8], error: &Error, name: &ServerName<'_>) -> bool {
    const COMMON_NAME: &[u8] = b"\x06\x03\x55\x04\x03";
    let Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) =
        error
    else {
        return false;
    };
    // The subject's name is the last one: the issuer comes before it.
    let id = certificate.windows(COMMON_NAME.len()).rposition(|id| id == COMMON_NAME);
    // The text follows its tag and its length.
    let text = id.and_then(|at| {
        let length = usize::from(*certificate.get(at + 6)?);
        certificate.get(at + 7..at + 7 + length)
    });
    presented.is_empty()
        && text.is_some_and(|text| text.eq_ignore_ascii_case(name.to_str().as_bytes()))
}

/// Whether it may sign others: it is marked so (`CA:TRUE`), or of X.509 version 1, which has no mark.
fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    const BASIC_CONSTRAINTS: &[u8] = b"\x06\x03\x55\x1d\x13";
    const TRUE: &[u8] = b"\x01\x01\xff";
    let constraints = certificate.windows(5).position(|id| id == BASIC_CONSTRAINTS);
    let after = constraints.and_then(|at| certificate.get(at + 5..));
    // Whether it is critical, then a string that holds a sequence, whose first value is the answer.
    let value = after.map(|after| after.strip_prefix(TRUE).unwrap_or(after));
    let is_ca = value.and_then(|value| value.get(4..)).is_some_and(|value| value.starts_with(TRUE));
    is_ca || ParsedCertificate::try_from(certificate).is_err()
}
