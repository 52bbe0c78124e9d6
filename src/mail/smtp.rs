//! Opens sessions with the mail server: tries each of its addresses, then TLS and login.

mod reply;
mod session;
mod wrong_port;

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::config::{SmtpServer, SmtpTls};
use crate::tls::{Peer, Stream, Tls, TlsError};
pub(super) use reply::{Failure, Reply};
pub(super) use session::Session;

/// How long the resolver may take to find the server's addresses.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);

/// How long connecting to all addresses may take, which share it equally. Beyond it, the claim of the
/// email would run out.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(40);

/// How long connecting to one address may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// More addresses than this are ignored: each would get less than 5 seconds.
const MAX_ADDRESSES: usize = 8;

/// A mail server and how to open a session with it.
pub(super) struct Server {
    config: SmtpServer,
    hello: String,
    tls: Option<Tls>,
    /// The address that worked last is tried first.
    working: Mutex<Option<SocketAddr>>,
}

impl Server {
    /// `site` is the name in EHLO, unless the URL has one. The error says why TLS cannot be set up.
    pub(super) fn new(config: SmtpServer, site: &str) -> Result<Self, String> {
        let tls = match config.tls {
            SmtpTls::Unset | SmtpTls::Off => None,
            SmtpTls::StartTls | SmtpTls::Implicit => {
                Some(Tls::new(&config.host, Peer::MailServer, &config.ca)?)
            }
        };
        let hello = hello_name(config.hello.as_deref().unwrap_or(site));
        Ok(Self { config, hello, tls, working: Mutex::default() })
    }

    /// When the certificate expires, if that is soon. It is known after a connection.
    pub(super) fn certificate_expiry(&self) -> Option<i64> {
        self.tls.as_ref()?.expiry()
    }

    /// A session that is ready for mail, from the first address that gives one (RFC 5321, 5.1). The
    /// error says to the operator why no address does.
    pub(super) async fn connect(&self) -> Result<Session, String> {
        let host = &self.config.host;
        let lookup = timeout(LOOKUP_TIMEOUT, lookup_host((host.as_str(), self.config.port))).await;
        let mut addresses: Vec<_> = lookup
            .map_err(|_| format!("the name {host} was not resolved in time: try again, or check this machine's DNS"))?
            .map_err(|error| format!("the name {host} cannot be resolved ({error}): correct it in VESTIBULE_SMTP_URL, or check this machine's DNS"))?
            .collect();
        let working = *self.working.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.sort_by_key(|address| Some(*address) != working);
        addresses.truncate(MAX_ADDRESSES);
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        self.connect_to_any(&addresses, (CONNECT_TIMEOUT / count).min(ATTEMPT_TIMEOUT)).await
    }

    /// Each address gets a timeout of `limit`.
    async fn connect_to_any(
        &self,
        addresses: &[SocketAddr],
        limit: Duration,
    ) -> Result<Session, String> {
        let mut failures = Vec::new();
        for &address in addresses {
            let connected = tokio::select! {
                connected = timeout(limit, self.connect_to(address)) => connected,
                why = wrong_port::find_tls(&self.config, address, limit / 4) => {
                    Ok(Err(Failure::Broken(why)))
                }
            };
            let failure = match connected {
                Ok(Ok(session)) => {
                    *self.working.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
                    return Ok(session);
                }
                Ok(Err(failure @ Failure::LoginRejected(_))) => return Err(failure.to_string()),
                Ok(Err(failure)) => failure.of_server(),
                Err(_) => format!(
                    "no greeting within {} seconds: check the host and the port (465 for smtps://, 587 or 25 for smtp://)",
                    limit.as_secs()
                ),
            };
            failures.push((address, failure));
        }
        Err(summary(&failures))
    }

    async fn connect_to(&self, address: SocketAddr) -> Result<Session, Failure> {
        let hello = &self.hello;
        let stream = connect(address).await?;
        let mut session = match (&self.tls, self.config.tls) {
            (None, _) => Session::greet(stream, hello).await?,
            (Some(tls), SmtpTls::Implicit) => match tls.wrap(stream).await {
                Ok(stream) => Session::greet(stream, hello).await?,
                Err(TlsError::NotSpoken(_)) => {
                    let why = wrong_port::why_no_tls(&self.config, address, hello).await;
                    return Err(Failure::Broken(why));
                }
                Err(other) => return Err(other.into()),
            },
            (Some(tls), _) => Session::greet(stream, hello).await?.start_tls(tls, hello).await?,
        };
        if let Some(login) = &self.config.login {
            session.log_in(login).await?;
        }
        Ok(session)
    }
}

/// The error says what is wrong with the host or the port.
async fn connect(address: SocketAddr) -> Result<Box<dyn Stream>, Failure> {
    match TcpStream::connect(address).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            Err(Failure::Broken(format!(
                "nothing listens on port {} of {}: check the host and the port in VESTIBULE_SMTP_URL",
                address.port(),
                address.ip()
            )))
        }
        Err(error) => Err(Failure::Broken(format!("{address} cannot be reached: {error}"))),
    }
}

/// One cause alone, or each with its address.
fn summary(failures: &[(SocketAddr, String)]) -> String {
    match failures {
        [] => "the name of the mail server has no address".to_owned(),
        [(_, first), rest @ ..] if rest.iter().all(|(_, why)| why == first) => first.clone(),
        _ => {
            let each = failures.iter().map(|(address, why)| format!("{address}: {why}"));
            each.collect::<Vec<_>>().join("; ")
        }
    }
}

/// RFC 5321, 4.1.3: addresses in EHLO have brackets.
fn hello_name(name: &str) -> String {
    match name.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => format!("[{ip}]"),
        Ok(IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        Err(_) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn ehlo_has_a_name_or_an_address_in_brackets() {
        let names = ["site.example", "192.0.2.1", "[::1]"].map(hello_name);
        assert_eq!(names, ["site.example", "[192.0.2.1]", "[IPv6:::1]"]);
    }

    /// Accepts connections, greets and answers one command; without a greeting it stays silent.
    async fn listening(greeting: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut tcp, _)) = listener.accept().await {
                tcp.write_all(greeting).await.unwrap();
                if !greeting.is_empty() && tcp.read(&mut [0; 512]).await.is_ok() {
                    tcp.write_all(b"250 ok\r\n").await.unwrap();
                }
                open.push(tcp);
            }
        });
        address
    }

    #[tokio::test]
    async fn every_address_is_tried_with_its_own_timeout_until_one_works() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let silent = listening(b"").await;
        let rejecting = listening(b"554 5.7.1 no\r\n").await;
        let working = listening(b"220 hello\r\n").await;
        let config = SmtpServer::parse("smtp://localhost").unwrap();
        let server = Server::new(config, "site.example").unwrap();
        let limit = Duration::from_millis(300);
        let unusable = [silent, closed, rejecting];
        let why = server.connect_to_any(&unusable, limit).await.err().unwrap();
        for address in unusable {
            assert!(why.contains(&address.to_string()), "{why}");
        }
        assert!(why.contains("no greeting") && why.contains("554"), "{why}");
        let all = [silent, closed, rejecting, working];
        assert!(server.connect_to_any(&all, limit).await.is_ok());
        assert_eq!(*server.working.lock().unwrap(), Some(working));
    }

    #[tokio::test]
    async fn a_silent_port_that_speaks_tls_is_told_with_the_url_to_use() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if tcp.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {
                        // The alert "handshake failure", as TLS 1.2 writes it.
                        tcp.write_all(b"\x15\x03\x03\x00\x02\x02\x28").await.unwrap();
                    }
                });
            }
        });
        let port = address.port();
        for url in ["smtp://localhost:PORT", "smtp://localhost:PORT?tls=required"] {
            let config = SmtpServer::parse(&url.replace("PORT", &port.to_string())).unwrap();
            let server = Server::new(config, "site.example").unwrap();
            let (start, limit) = (Instant::now(), Duration::from_secs(2));
            let why = server.connect_to_any(&[address], limit).await.err().unwrap();
            assert!(start.elapsed() < limit, "{:?}", start.elapsed());
            assert!(why.contains(&format!("use smtps://localhost:{port}")), "{url}: {why}");
        }
    }

    #[test]
    fn equal_causes_are_reported_once() {
        let failed = |port, why: &str| (SocketAddr::from(([127, 0, 0, 1], port)), why.to_owned());
        assert_eq!(summary(&[failed(1, "refused"), failed(2, "refused")]), "refused");
        let both = summary(&[failed(1, "refused"), failed(2, "silent")]);
        assert_eq!(both, "127.0.0.1:1: refused; 127.0.0.1:2: silent");
    }
}
