//! Describes TLS failures for the operator: the cause, and what to do.

use std::io;

use tokio_rustls::rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::tls::P521;
use crate::times::day_and_time;

const KINDS: &str = "RSA of 2048 bits or more, ECDSA P-256 or P-384, or Ed25519";

const SIGNATURES: &str = "SHA-256, or SHA-384, or Ed25519";

/// Why the handshake with `host` failed.
pub fn explain(error: &io::Error, host: &str) -> String {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(Error::InvalidCertificate(cause)) => certificate(cause, host),
        Some(cause) => handshake(cause, host),
        None => format!("the connection broke while TLS was set up: {error}"),
    }
}

fn certificate(cause: &CertificateError, host: &str) -> String {
    use CertificateError as C;
    let of = format!("the certificate of {host}");
    #[allow(deprecated)] // rustls still gives the ones without a context.
    match cause {
        C::UnknownIssuer => format!(
            "{of} was signed by an authority that is not trusted here: name a PEM file with that authority, or with the certificate itself, in VESTIBULE_SMTP_CA"
        ),
        C::NotValidForName => other_name(&[], host),
        C::NotValidForNameContext { presented, .. } => other_name(presented, host),
        C::UnsupportedSignatureAlgorithm
        | C::UnsupportedSignatureAlgorithmContext { .. }
        | C::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => format!(
            "{of}, or one above it, is signed in a way that cannot be verified here, such as ECDSA with SHA-512, P-521 or SHA-1: name a PEM file with the server's own certificate in VESTIBULE_SMTP_CA, or have it signed with {SIGNATURES}"
        ),
        C::BadSignature => format!(
            "{of} has a wrong signature: VESTIBULE_SMTP_CA holds an older authority of the same name, or a key is of another kind than {KINDS}"
        ),
        other => validity(other, host).unwrap_or_else(|| other_cause(other, host)),
    }
}

fn validity(cause: &CertificateError, host: &str) -> Option<String> {
    use CertificateError as C;
    let of = format!("the certificate of {host}");
    Some(match cause {
        C::ExpiredContext { not_after, .. } => {
            format!("{of} expired on {}: renew it there", moment(not_after.as_secs()))
        }
        C::NotValidYetContext { not_before, .. } => format!(
            "{of} is not valid before {}: check the clock of this machine, or issue it anew",
            moment(not_before.as_secs())
        ),
        C::Expired | C::NotValidYet => format!("{of} is not valid at this time: renew it there"),
        _ => return None,
    })
}

/// Errors of webpki that rustls does not name.
fn other_cause(cause: &CertificateError, host: &str) -> String {
    let (of, words) = (format!("the certificate of {host}"), format!("{cause:?}"));
    if words.contains("CaUsedAsEndEntity") {
        format!("{of} is self-signed: name a PEM file with it in VESTIBULE_SMTP_CA")
    } else if words.contains("UnsupportedCertVersion") {
        format!(
            "{of} is of X.509 version 1: issue one of version 3 (openssl: -addext subjectAltName=DNS:{host})"
        )
    } else if words.contains("InvalidPurpose") || words.contains("RequiredEku") {
        format!(
            "{of} is not for servers: issue one with the extended key usage serverAuth, or none"
        )
    } else {
        format!("{of} cannot be used ({cause}): issue one of X.509 version 3 with a key of {KINDS}")
    }
}

fn other_name(presented: &[String], host: &str) -> String {
    // rustls writes `DnsName("mail.example")`.
    let bare = |name: &String| name.split('"').nth(1).unwrap_or(name).to_owned();
    let named: Vec<_> = presented.iter().take(4).map(bare).collect();
    let kind = if host.parse::<std::net::IpAddr>().is_ok() { "IP" } else { "DNS" };
    match named.as_slice() {
        named if kind == "IP" && named.iter().any(|name| name == host) => format!(
            "the certificate has {host} as a host name, and it is an address: issue one with subjectAltName=IP:{host}"
        ),
        [] => format!(
            "the certificate of {host} holds no subject alternative name: name a PEM file with it in VESTIBULE_SMTP_CA, or issue one with a name (openssl: -addext subjectAltName={kind}:{host})"
        ),
        named => format!(
            "the certificate is for {} and not for {host}: use that name in VESTIBULE_SMTP_URL, or issue one for {host}",
            named.join(", ")
        ),
    }
}

fn handshake(cause: &Error, host: &str) -> String {
    match cause {
        Error::InvalidMessage(_) => format!(
            "{host} does not speak TLS from the first byte on this port: use smtp:// with ?tls=required for STARTTLS (587), or the port for TLS (465)"
        ),
        Error::General(words) if words == P521 => format!(
            "the key of {host} is on the curve P-521, which cannot be verified here: give the server a key of {KINDS}"
        ),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            format!("{host} offers only TLS older than 1.2: switch TLS 1.2 or 1.3 on there")
        }
        Error::AlertReceived(AlertDescription::HandshakeFailure) => format!(
            "{host} and this program have no cipher or signature of TLS in common: switch TLS 1.2 or 1.3 on there, with forward secrecy and a key of {KINDS}"
        ),
        other => format!("TLS with {host} failed: {other}"),
    }
}

fn moment(at: u64) -> String {
    day_and_time(i64::try_from(at).unwrap_or(i64::MAX))
}
