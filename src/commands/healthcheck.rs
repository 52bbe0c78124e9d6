//! `vestibule healthcheck`: asks the running server whether it is ready, for containers and scripts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::CommandError;
use crate::config::{Config, Listen};

pub const EXAMPLE: &str = "Example:
  VESTIBULE_LISTEN=unix:/run/vestibule/socket vestibule healthcheck && echo ready

It exits with 0 if the server answers within 2 seconds that its database takes writes, else with 1.";

/// For everything.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A status line and some headers.
const MAX_ANSWER: u64 = 4096;

pub async fn run(config: &Config) -> Result<(), CommandError> {
    let listen = config.listen();
    let failed = |why: &str| CommandError::Failed(format!("VESTIBULE_LISTEN={listen}: {why}"));
    let answer = timeout(TIMEOUT, ask(config)).await;
    let answer = answer.map_err(|_| failed("the server does not answer within 2 seconds"))?;
    let answer = answer.map_err(|error| failed(&format!("the server does not answer: {error}")))?;
    match status(&answer) {
        Some("200") => Ok(()),
        Some("503") => Err(failed("the database takes no writes, or the server is busy")),
        Some(status) => Err(failed(&format!("the answer has status {status}"))),
        None => Err(failed("what answers is no web server")),
    }
}

async fn ask(config: &Config) -> io::Result<Vec<u8>> {
    let path = config.base_url.path_of("/readyz");
    match config.listen() {
        Listen::Tcp(address) => {
            exchange(TcpStream::connect(reachable(address)).await?, &path).await
        }
        Listen::Unix(file) => exchange(UnixStream::connect(file).await?, &path).await,
    }
}

/// All interfaces have no address to connect to; this machine is one of them.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn exchange(
    mut server: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
) -> io::Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    server.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    server.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// The status of an answer.
fn status(answer: &[u8]) -> Option<&str> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    str::from_utf8(line).ok()?.strip_prefix("HTTP/1.1 ")?.get(..3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_interfaces_is_asked_on_this_machine() {
        for (listen, asked) in [
            ("0.0.0.0:8000", "127.0.0.1:8000"),
            ("[::]:8000", "[::1]:8000"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
