//! `vestibule healthcheck`: asks the running server whether it is ready, for containers and scripts.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::CommandError;
use crate::check::network::{self, Answer};
use crate::config::{Config, Listen};

pub const EXAMPLE: &str = "Example:
  VESTIBULE_LISTEN=unix:/run/vestibule/socket vestibule healthcheck && echo ready

It exits with 0 if the server answers within 2 seconds that its database takes writes, else with 1.";

/// For everything.
const TIMEOUT: Duration = Duration::from_secs(2);

pub async fn run(config: &Config) -> Result<(), CommandError> {
    let listen = config.listen();
    let failed = |why: &str| CommandError::Failed(format!("VESTIBULE_LISTEN={listen}: {why}"));
    let answer = timeout(TIMEOUT, ask(config)).await;
    let answer = answer.map_err(|_| failed("the server does not answer within 2 seconds"))?;
    match answer.map_err(|why| failed(&why))?.status {
        200 => Ok(()),
        503 => Err(failed("the database takes no writes, or the server is busy")),
        status => Err(failed(&format!("the answer has status {status}"))),
    }
}

async fn ask(config: &Config) -> Result<Answer, String> {
    let path = config.base_url.path_of("/readyz");
    let away = |cause: io::Error| format!("the server does not answer: {cause}");
    match config.listen() {
        Listen::Tcp(address) => {
            let server = TcpStream::connect(reachable(address)).await.map_err(away)?;
            network::ask(server, "localhost", &path, &[]).await
        }
        Listen::Unix(file) => {
            let server = UnixStream::connect(file).await.map_err(away)?;
            network::ask(server, "localhost", &path, &[]).await
        }
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
