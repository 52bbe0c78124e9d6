//! Who is at the other end: the address that limits count by, and what mails say of the device.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderValue, header};

use crate::app::App;
use crate::config::{Config, MailboxReaders};
use crate::models::client_address::{client_address, counted, is_local, is_trusted, network};

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
        let forwarded = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
        let address = client_address(direct(extensions), forwarded, &config.trusted_proxies);
        Self { address, agent: headers.get(header::USER_AGENT).cloned() }
    }

    /// The network that its work and mails count for.
    pub fn network(&self) -> IpAddr {
        network(self.address)
    }

    /// What limits by address count, with how many times the limit each may reach.
    pub fn counted(&self) -> Vec<(String, i64)> {
        counted(self.address)
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

/// Headers by which a proxy tells that a request is not its own.
const FORWARDING: [&str; 6] =
    ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via"];

/// Whether the sender may read the development mailbox, if there is one. A request without a peer was
/// made in this process, by a test or a program that serves the site itself.
pub fn reads_mailbox(extensions: &Extensions, headers: &HeaderMap, app: &App) -> bool {
    if !app.has_mailbox() || app.config.access.dev_mailbox == MailboxReaders::Anyone {
        return app.has_mailbox();
    }
    let direct = match direct(extensions) {
        address if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        address => address,
    };
    let mut told = headers.get_all(FORWARDING[0]).iter().map(HeaderValue::as_bytes).peekable();
    let is_forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
    (told.peek().is_some() || !is_forwarded) && is_local(direct, told, &app.config.trusted_proxies)
}

/// Whether the connection itself comes from a proxy whose headers are believed.
pub fn is_from_proxy(extensions: &Extensions, config: &Config) -> bool {
    is_trusted(direct(extensions).to_canonical(), &config.trusted_proxies)
}

/// Whoever connected.
fn direct(extensions: &Extensions) -> IpAddr {
    let connected = extensions.get::<ConnectInfo<SocketAddr>>();
    connected.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip())
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
