//! Describes TLS failures for the operator: the cause, and what to do.

use std::io;
use std::net::IpAddr;

use tokio_rustls::rustls::{CertificateError, Error};

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
        Some(cause) => format!(
            "TLS with {host} failed ({cause}): the server needs TLS 1.2 or 1.3, a cipher with forward secrecy, and a key of {KEYS}"
        ),
    }
}

fn explain_certificate(cause: &CertificateError, host: &str) -> String {
    use CertificateError as C;
    match cause {
        C::UnknownIssuer => "was signed by an authority that is not trusted here: name a PEM file with that authority, or with the certificate itself, in VESTIBULE_SMTP_CA".to_owned(),
        // webpki has more causes than rustls has names for.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "is self-signed: name a PEM file with it in VESTIBULE_SMTP_CA".to_owned()
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
            "cannot be verified ({other}): name a PEM file with it in VESTIBULE_SMTP_CA, or issue one of X.509 version 3 for servers, signed with SHA-256 or SHA-384 by a key of {KEYS}"
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
        "{holds}, and not for {host}: use one of its names in VESTIBULE_SMTP_URL, or issue one with subjectAltName={kind}:{host}"
    )
}

fn words_for(seconds: u64) -> String {
    day_and_time(i64::try_from(seconds).unwrap_or(i64::MAX))
}
