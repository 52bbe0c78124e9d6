//! Several hosts over TLS behind one address, and a browser that keeps the cookies of each.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use url::Url;

use super::certificates::{Identity, authority, of_days, trusting};

/// The most redirects that are followed in a row.
const MOST_REDIRECTS: usize = 10;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

/// An authority, and the certificates of hosts that it signs.
pub struct Authority(Identity);

impl Authority {
    pub fn new() -> Self {
        Self(Identity::self_signed(&authority(&[])))
    }

    /// Writes `HOST.pem` and `HOST.key` to `folder`, for so many days from now.
    pub fn write(&self, folder: &std::path::Path, host: &str, days: i64) {
        let identity = self.0.signs(&of_days(&[host], -60, days));
        std::fs::write(folder.join(format!("{host}.pem")), &identity.pem).unwrap();
        std::fs::write(folder.join(format!("{host}.key")), identity.key_pem()).unwrap();
    }

    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(trusting(&self.0.pem));
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

/// A browser for which every host is at one address.
#[derive(Clone)]
pub struct HostsBrowser {
    address: SocketAddr,
    connector: TlsConnector,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
    /// Every URL of the last visit.
    pub way: Vec<String>,
}

impl HostsBrowser {
    pub fn new(address: SocketAddr, authority: &Authority) -> Self {
        let connector = authority.connector();
        Self { address, connector, cookies: BTreeMap::new(), way: Vec::new() }
    }

    /// Opens a page and follows redirects.
    pub async fn open(&mut self, url: &str) -> Answer {
        self.way.clear();
        let answer = self.send("GET", url, &[], "").await;
        self.follow(url, answer).await
    }

    /// Sends a form from a page of the same origin, and follows redirects.
    pub async fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> Answer {
        self.way.clear();
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let origin = Url::parse(url).unwrap().origin().ascii_serialization();
        let headers =
            [("Origin", origin.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        let answer = self.send("POST", url, &headers, &body).await;
        self.follow(url, answer).await
    }

    async fn follow(&mut self, url: &str, mut answer: Answer) -> Answer {
        let mut url = Url::parse(url).unwrap();
        let scheme = url.scheme().to_owned();
        self.way.push(url.to_string());
        while let Some(location) = answer.header("location").filter(|_| answer.status / 100 == 3) {
            url = url.join(location).unwrap();
            assert_eq!(url.scheme(), scheme, "{url}");
            self.way.push(url.to_string());
            assert!(self.way.len() < MOST_REDIRECTS, "{:?}", self.way);
            answer = self.send("GET", url.as_str(), &[], "").await;
        }
        answer
    }

    /// One request as a browser navigates, unless `headers` say otherwise.
    pub async fn send(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let parsed = Url::parse(url).unwrap();
        let host = parsed.host_str().unwrap().to_owned();
        let authority = &url[url.find("://").unwrap() + 3..];
        let authority = authority.split('/').next().unwrap();
        let (_, rest) = url.split_once("://").unwrap();
        let target = rest.find('/').map_or("/", |at| &rest[at..]);
        let mut lines = vec![
            format!("{method} {target} HTTP/1.0"),
            format!("Host: {authority}"),
            format!("Content-Length: {}", body.len()),
        ];
        let usual = [("Accept", "text/html,*/*;q=0.8"), ("Sec-Fetch-Mode", "navigate")];
        let is_other =
            |name: &str| !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        let usual = usual.into_iter().filter(|(name, _)| is_other(name));
        let all = usual.chain(headers.iter().copied());
        lines.extend(all.map(|(name, value)| format!("{name}: {value}")));
        let cookies = self.cookies.get(&host).into_iter().flatten();
        let cookies: Vec<_> = cookies.map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            lines.push(format!("Cookie: {}", cookies.join("; ")));
        }
        let request = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
        let answer = self.exchange(&parsed, &request).await;
        self.keep_cookies(&parsed, &answer);
        answer
    }

    /// On plain http the port is that of the URL.
    async fn exchange(&self, url: &Url, request: &str) -> Answer {
        let mut bytes = Vec::new();
        if url.scheme() == "http" {
            let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            stream.read_to_end(&mut bytes).await.unwrap();
        } else {
            let stream = TcpStream::connect(self.address).await.unwrap();
            let name = ServerName::try_from(url.host_str().unwrap().to_owned()).unwrap();
            let mut stream = self.connector.connect(name, stream).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            // Some servers end the connection without TLS's close_notify.
            let _ = stream.read_to_end(&mut bytes).await;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Answer { status, headers: headers.collect(), body: body.to_owned() }
    }

    fn keep_cookies(&mut self, url: &Url, answer: &Answer) {
        let jar = self.cookies.entry(url.host_str().unwrap().to_owned()).or_default();
        for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            // RFC 6265bis, 4.1.3.2.
            let is_host = ["Secure", "Path=/"].iter().all(|it| attributes.contains(it))
                && !attributes.contains("Domain");
            let is_https = url.scheme() == "https";
            assert_eq!((is_host, name.starts_with("__Host-")), (is_https, is_https), "{cookie}");
            if attributes.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}
