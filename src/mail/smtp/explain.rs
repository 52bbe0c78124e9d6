//! Describes TLS failures for the operator: the cause, and what to do.

use std::io;
use std::net::IpAddr;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use crate::times::day_and_time;

const KEYS: &str = "RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519";

/// Why the handshake with `host` failed.
pub fn explain(error: &io::Error, host: &str) -> String {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()) {
        None => format!("the connection broke while TLS was set up: {error}"),
        Some(Error::InvalidCertificate(cause)) => {
            format!("the certificate of {host} {}", explain_certificate(cause, host))
        }
        Some(Error::InvalidMessage(_)) => format!(
            "{host} does not speak TLS from the first byte on this port: use smtp:// with ?tls=required for STARTTLS (587), or the port for TLS (465)"
        ),
        Some(
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ) => format!("{host} offers only TLS older than 1.2: switch TLS 1.2 or 1.3 on there"),
        Some(Error::AlertReceived(AlertDescription::HandshakeFailure)) => format!(
            "{host} and this program have no cipher or signature of TLS in common: switch TLS 1.2 or 1.3 on there, with forward secrecy and a key of {KEYS}"
        ),
        Some(other) => format!("TLS with {host} failed: {other}"),
    }
}

fn explain_certificate(cause: &CertificateError, host: &str) -> String {
    use CertificateError as C;
    match cause {
        C::UnknownIssuer => "was signed by an authority that is not trusted here: name a PEM file with that authority, or with the certificate itself, in VESTIBULE_SMTP_CA".to_owned(),
        C::NotValidForNameContext { presented, .. } => explain_name(presented, host),
        C::ExpiredContext { not_after, .. } => {
            format!("expired on {}: renew it there", words_for(not_after.as_secs()))
        }
        C::NotValidYetContext { not_before, .. } => format!(
            "is not valid before {}: check the clock of this machine, or issue it anew",
            words_for(not_before.as_secs())
        ),
        C::UnsupportedSignatureAlgorithmContext { .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => "or one above it is signed in a way that cannot be verified here, such as ECDSA with SHA-512, P-521 or SHA-1: name a PEM file with the server's own certificate in VESTIBULE_SMTP_CA, or have it signed with SHA-256, SHA-384 or Ed25519".to_owned(),
        C::BadSignature => format!(
            "has a wrong signature: VESTIBULE_SMTP_CA holds an older authority of the same name, or a key is of another kind than {KEYS}"
        ),
        // webpki has more causes than rustls has names for.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "is self-signed: name a PEM file with it in VESTIBULE_SMTP_CA".to_owned()
        }
        other => format!(
            "cannot be used ({other}): issue one of X.509 version 3 for servers (extended key usage serverAuth), with a key of {KEYS}"
        ),
    }
}

fn explain_name(presented: &[String], host: &str) -> String {
    // rustls writes `DnsName("mail.example")`.
    let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    let names: Vec<_> = presented.iter().take(4).map(bare).collect();
    let (kind, what) =
        if host.parse::<IpAddr>().is_ok() { ("IP", "address") } else { ("DNS", "name") };
    if names.is_empty() {
        return format!(
            "holds no subject alternative name: name a PEM file with it in VESTIBULE_SMTP_CA, or issue one with a name (openssl: -addext subjectAltName={kind}:{host})"
        );
    }
    format!(
        "is for {} and not for the {what} {host}: use that name in VESTIBULE_SMTP_URL, or issue one with subjectAltName={kind}:{host}",
        names.join(", ")
    )
}

fn words_for(seconds: u64) -> String {
    day_and_time(i64::try_from(seconds).unwrap_or(i64::MAX))
}
