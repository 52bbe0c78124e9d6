//! Finds out what a port speaks that does not speak as `VESTIBULE_SMTP_URL` says: TLS from the first
//! byte, or SMTP with STARTTLS.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{sleep, timeout};

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

/// After `silence`, asks a port for TLS that should have greeted. Returns only if it speaks TLS, and says so.
pub async fn find_tls(config: &SmtpServer, address: SocketAddr, silence: Duration) -> String {
    let (host, port) = (url_host(config), config.port);
    sleep(silence).await;
    // Servers on port 25 greet late to find clients that speak first, and refuse those.
    if config.tls == SmtpTls::Implicit || port == 25 || !speaks_tls(config, address).await {
        return pending().await;
    }
    format!("port {port} speaks TLS from the first byte, not STARTTLS: use smtps://{host}:{port}")
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
