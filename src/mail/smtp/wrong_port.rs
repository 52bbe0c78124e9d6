//! Finds out what a port speaks that does not speak as `VESTIBULE_SMTP_URL` says: TLS from the first
//! byte, or SMTP with STARTTLS.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::{Session, connect};
use crate::config::{SmtpServer, SmtpTls};
use crate::tls::{Peer, Tls, TlsError};

/// How long a port has to show what it speaks.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Why a port did not answer the first byte of TLS with TLS.
pub async fn why_no_tls(config: &SmtpServer, address: SocketAddr, hello: &str) -> String {
    let greeting = async { Session::greet(connect(address).await?, hello).await };
    let (host, port) = (url_host(config), config.port);
    match timeout(TIMEOUT, greeting).await {
        Ok(Ok(session)) if session.offers_start_tls() => format!(
            "port {port} speaks STARTTLS, not TLS from the first byte: use smtp://{host}:{port}?tls=required"
        ),
        Ok(Ok(_)) => format!(
            "{host} does not speak TLS on port {port}, but SMTP without: use its port for TLS (smtps://{host}:465) or for STARTTLS (smtp://{host}:587?tls=required)"
        ),
        _ => format!(
            "{host} does not speak TLS from the first byte on port {port}: use smtp://{host}:587?tls=required for STARTTLS, or the port for TLS (465)"
        ),
    }
}

/// Why a port sent no greeting within `limit`; it is asked for TLS if `is_asked`.
pub async fn why_silent(
    config: &SmtpServer,
    address: SocketAddr,
    limit: Duration,
    is_asked: bool,
) -> String {
    let (host, port) = (url_host(config), config.port);
    if is_asked && config.tls != SmtpTls::Implicit && speaks_tls(config, address).await {
        return format!(
            "port {port} speaks TLS from the first byte, not STARTTLS: use smtps://{host}:{port}"
        );
    }
    format!(
        "no greeting within {} seconds: check the host and the port (465 for smtps://, 587 or 25 for smtp://)",
        limit.as_secs()
    )
}

async fn speaks_tls(config: &SmtpServer, address: SocketAddr) -> bool {
    let Ok(tls) = Tls::new(&config.host, Peer::MailServer, &config.ca) else { return false };
    let shaken = async {
        let stream = connect(address).await.ok()?;
        Some(!matches!(tls.wrap(stream).await, Err(TlsError::NotSpoken(_) | TlsError::Broken(_))))
    };
    timeout(TIMEOUT, shaken).await.ok().flatten().unwrap_or(false)
}

/// As a URL has it: an IPv6 address in brackets.
fn url_host(config: &SmtpServer) -> String {
    if config.host.contains(':') { format!("[{}]", config.host) } else { config.host.clone() }
}
