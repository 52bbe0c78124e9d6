//! Describes TLS failures for the operator: the cause, and what to do.

use std::io;
use std::net::IpAddr;

use tokio_rustls::rustls::{CertificateError, Error};

use super::{Peer, TlsError};
use crate::times::day_and_time;

const KEYS: &str = "RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519";

/// Why the handshake with `host` failed.
pub fn explain(error: io::Error, peer: Peer, host: &str) -> TlsError {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
        None => TlsError::Broken(error),
        Some(Error::InvalidCertificate(cause)) => TlsError::Certificate(format!(
            "the certificate of {host} {}",
            explain_certificate(cause, peer, host)
        )),
        Some(Error::InvalidMessage(_)) => TlsError::NotSpoken(host.to_owned()),
        Some(cause) => TlsError::Refused(format!(
            "TLS with {host} failed ({cause}): the server needs TLS 1.2 or 1.3, a cipher with forward secrecy, and a key of {KEYS}"
        )),
    }
}

fn explain_certificate(cause: &CertificateError, peer: Peer, host: &str) -> String {
    use CertificateError as C;
    let place = match peer {
        Peer::MailServer => {
            "VESTIBULE_SMTP_CA, or in SSL_CERT_FILE, which replaces the system's authorities"
        }
        #[cfg(feature = "cli")]
        Peer::Site => "SSL_CERT_FILE, which replaces the system's authorities",
    };
    match cause {
        C::UnknownIssuer => format!(
            "was signed by an authority that is not trusted here: name a PEM file with that authority, or with the certificate itself, in {place}"
        ),
        // webpki has more causes than rustls has names for.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            format!("is self-signed: name a PEM file with it in {place}")
        }
        C::NotValidForNameContext { presented, .. } => explain_name(presented, host),
        C::ExpiredContext { not_after, .. } => {
            format!("expired on {}: renew it there", words_for(not_after.as_secs()))
        }
        C::NotValidYetContext { not_before, .. } => format!(
            "is not valid before {}: check the clock of this machine, or issue it anew",
            words_for(not_before.as_secs())
        ),
        other => format!(
            "cannot be verified ({other}): name a PEM file with it in {place}, or issue one of X.509 version 3 for servers, signed with SHA-256 or SHA-384 by a key of {KEYS}"
        ),
    }
}

fn explain_name(presented: &[String], host: &str) -> String {
    let kind = if host.parse::<IpAddr>().is_ok() { "IP" } else { "DNS" };
    // rustls writes `DnsName("mail.example")`.
    let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    let names: Vec<_> = presented.iter().take(4).map(bare).collect();
    let holds = match names.as_slice() {
        [] => "holds no alternative name".to_owned(),
        names => format!("is for {}", names.join(", ")),
    };
    format!(
        "{holds}, and not for {host}: use one of its names in the URL, or issue one with subjectAltName={kind}:{host}"
    )
}

fn words_for(seconds: u64) -> String {
    day_and_time(i64::try_from(seconds).unwrap_or(i64::MAX))
}
