//! Looks up names, and asks a web server one question.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use url::Url;

use crate::config::Listen;
use crate::tls::{Peer, Stream, Tls};

/// For one name, and for one answer.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// More of a head is not read.
const MAX_HEAD: u64 = 64 * 1024;

/// The head of an answer.
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    /// When the certificate expires, if that is soon.
    pub certificate_expiry: Option<i64>,
}

impl Answer {
    /// Every value of this header, in lower case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let with_name = self.headers.iter().filter(|(known, _)| known == name);
        with_name.map(|(_, value)| value.as_str()).collect()
    }

    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }
}

/// Whether `host` has an address; the error says why not.
pub async fn resolve(host: &str) -> Result<(), String> {
    let host = host.trim_matches(['[', ']']);
    match timeout(TIMEOUT, lookup_host((host, 0))).await {
        Err(_) => Err(format!("the name {host} was not resolved in time")),
        Ok(Err(cause)) => Err(format!("the name {host} cannot be resolved ({cause})")),
        Ok(Ok(mut found)) => {
            found.next().map(drop).ok_or_else(|| format!("the name {host} has no address"))
        }
    }
}

/// Asks for `url` with further headers. Returns also our end of the connection. The error says to the operator
/// why there is no answer.
pub async fn get(url: &Url, headers: &[(&str, &str)]) -> Result<(Answer, SocketAddr), String> {
    let asked = timeout(TIMEOUT, connect_and_ask(url, headers)).await;
    asked.unwrap_or_else(|_| Err(format!("no answer within {} seconds", TIMEOUT.as_secs())))
}

async fn connect_and_ask(
    url: &Url,
    headers: &[(&str, &str)],
) -> Result<(Answer, SocketAddr), String> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let tcp = TcpStream::connect((host.trim_matches(['[', ']']), port)).await;
    let tcp = tcp.map_err(|cause| format!("{host}:{port} cannot be reached: {cause}"))?;
    let local = tcp.local_addr().map_err(|cause| cause.to_string())?;
    let mut stream: Box<dyn Stream> = Box::new(tcp);
    let mut certificate_expiry = None;
    if url.scheme() == "https" {
        let tls = Tls::new(host.trim_matches(['[', ']']), Peer::Site, &[])?;
        stream = tls.wrap(stream).await.map_err(|error| error.to_string())?;
        certificate_expiry = tls.expiry();
    }
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let answer = ask(stream, authority, url.path(), headers).await;
    let answer = answer.map_err(|why| format!("{host}:{port}: {why}"))?;
    Ok((Answer { certificate_expiry, ..answer }, local))
}

/// Asks the server of this machine for a path.
pub async fn ask_server(listen: &Listen, path: &str) -> Result<Answer, String> {
    let away = |cause: io::Error| format!("the server does not answer: {cause}");
    match listen {
        Listen::Tcp(address) => {
            let server = TcpStream::connect(reachable(*address)).await.map_err(away)?;
            ask(server, "localhost", path, &[]).await
        }
        Listen::Unix(file) => {
            let server = UnixStream::connect(file).await.map_err(away)?;
            ask(server, "localhost", path, &[]).await
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

/// Asks the web server behind `stream` for a path.
async fn ask(
    mut stream: impl Stream,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, String> {
    let broken = |cause: io::Error| format!("the connection broke: {cause}");
    let further: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let further = further.concat();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: vestibule-check\r\nConnection: close\r\n{further}\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut bytes = Vec::new();
    let mut part = stream.take(MAX_HEAD);
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n")
        && part.read_buf(&mut bytes).await.map_err(broken)? > 0
    {}
    parse(&bytes).ok_or_else(|| "what answers is no web server".to_owned())
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    Some(Answer { status, headers: headers.collect(), certificate_expiry: None })
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
