//! Who is at the other end: the address that limits count by, and what mails say of the device.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderValue, header};
use ipnet::IpNet;

use crate::config::Config;

/// The visitor's address, and the header that tells of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The peer's own, or what a trusted proxy forwarded.
    pub address: IpAddr,
    agent: Option<HeaderValue>,
}

impl Peer {
    /// Who sent the request with these headers.
    pub fn of(extensions: &Extensions, headers: &HeaderMap, config: &Config) -> Self {
        let address = client_address(direct(extensions), headers, &config.trusted_proxies);
        Self { address, agent: headers.get(header::USER_AGENT).cloned() }
    }

    /// What limits count by.
    pub fn subject(&self) -> String {
        network(self.address).to_string()
    }

    /// The address for people to read; none where the server was not told who connected.
    pub fn known_address(&self) -> Option<IpAddr> {
        Some(self.address).filter(|address| !address.is_unspecified())
    }

    /// "Firefox on Linux", for mails; none when the header names nothing on our lists.
    pub fn device(&self) -> Option<String> {
        device(self.agent.as_ref()?.to_str().ok()?)
    }
}

/// Whether the connection itself comes from a proxy whose headers are believed.
pub fn is_trusted(extensions: &Extensions, config: &Config) -> bool {
    is_among(&config.trusted_proxies, direct(extensions).to_canonical())
}

/// An IPv4 address, or the /64 that one IPv6 line has at least (better-auth CVE-2026-45364: each of
/// its 2^64 addresses had a budget of its own).
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

/// Whoever connected.
fn direct(extensions: &Extensions) -> IpAddr {
    let connected = extensions.get::<ConnectInfo<SocketAddr>>();
    connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
}

fn is_among(trusted: &[IpNet], address: IpAddr) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// Believes `X-Forwarded-For` only from a trusted proxy, from the right, over trusted hops alone:
/// what stands further left was sent by the visitor (django-allauth 65.14.2 believed it).
fn client_address(direct: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut nearest = direct.to_canonical();
    // Lossy: one byte above ASCII to the left, from the visitor, must not hide the whole line.
    let lines = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
    let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
    for hop in lines.iter().flat_map(|line| line.split(',')).rev() {
        if !is_among(trusted, nearest) {
            break;
        }
        let Some(address) = parse_hop(hop) else { break };
        nearest = address.to_canonical();
    }
    nearest
}

/// An address, in brackets or with a port as some proxies write it.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

/// What a browser's `User-Agent` contains, and its name; the more special before the more general.
const BROWSERS: [(&str, &str); 8] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
];

/// The same for the system it runs on.
const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

/// Browser and system in words, from fixed lists: nothing of the header itself gets into a mail.
fn device(agent: &str) -> Option<String> {
    let named = |list: &[(&str, &'static str)]| {
        list.iter().find(|(mark, _)| agent.contains(mark)).map(|&(_, name)| name)
    };
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(direct: &str, forwarded: &[&str], trusted: &str) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.split(' ').filter_map(|net| net.parse().ok()).collect();
        client_address(direct.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_forwarded_address_is_believed_from_a_trusted_proxy_alone() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], ""), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], "10.0.0.0/8"), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"], "10.0.0.0/8"), "198.51.100.1");
    }

    #[test]
    fn it_is_read_from_the_right_over_trusted_hops() {
        assert_eq!(
            seen("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"], "10.0.0.0/8"),
            "198.51.100.1"
        );
        assert_eq!(seen("10.0.0.1", &["1.1.1.1", "198.51.100.1:80"], "10.0.0.0/8"), "198.51.100.1");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, nonsense"], "10.0.0.0/8"), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &["é, 198.51.100.1"], "10.0.0.0/8"), "198.51.100.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["[2001:db8::1]"], "10.0.0.0/8"), "2001:db8::1");
    }

    #[test]
    fn an_ipv6_line_is_one_subject() {
        let peer =
            |address: &str| Peer { address: address.parse().unwrap(), agent: None }.subject();
        assert_eq!(peer("2001:db8:1:2:3:4:5:6"), peer("2001:db8:1:2::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("203.0.113.9"), "203.0.113.9");
    }

    #[test]
    fn an_address_nobody_told_is_not_known() {
        let known =
            |address: &str| Peer { address: address.parse().unwrap(), agent: None }.known_address();
        assert_eq!(known("0.0.0.0"), None);
        assert_eq!(known("203.0.113.9"), "203.0.113.9".parse().ok());
    }

    #[test]
    fn a_device_is_named_from_fixed_words() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(device(firefox).as_deref(), Some("Firefox on Linux"));
        assert_eq!(device("curl/8.5.0").as_deref(), Some("curl"));
        assert_eq!(device("an unheard-of program on Windows").as_deref(), Some("Windows"));
        assert_eq!(device("<script>\r\nBcc: x"), None);
    }
}
