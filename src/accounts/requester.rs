//! The requester: client address, device tokens and browser of a request, for the use cases.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::app::App;
use crate::models::client::Client;
use crate::password_hasher::PasswordHasher;

/// The IPv6 networks that limits count, and how many times a limit each of them may reach. A line
/// has a /64 at least (better-auth CVE-2026-45364: each of its 2^64 addresses was counted separately), but
/// often a /56, and tunnels give a /48 away: those are 256 and 65,536 times a /64. Four times the limit
/// is room for a household or an office with several subnets.
const NETWORK_PREFIXES: &[(u32, i64)] = &[(64, 1), (56, 4), (48, 16)];

/// The same for emails, whose limits are parts of the site's: a /56 is one customer's.
const MAIL_NETWORK_PREFIXES: &[(u32, i64)] = &[(56, 1), (48, 4)];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The peer's address, or what a trusted proxy forwarded; unspecified if unknown.
    pub address: IpAddr,
    /// The device tokens that the browser sent, the last used first.
    pub device_tokens: Vec<String>,
    /// The `User-Agent` header, when it is plain ASCII.
    pub user_agent: Option<String>,
    /// Whether it is the site's operator, on the command line.
    pub is_operator: bool,
}

impl Requester {
    pub fn operator() -> Self {
        let address = Ipv4Addr::UNSPECIFIED.into();
        Self { address, device_tokens: Vec::new(), user_agent: None, is_operator: true }
    }

    /// One customer's network: an IPv4 address or an IPv6 /56.
    pub fn network(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(_) => self.address,
            IpAddr::V6(address) => prefix(address, 56),
        }
    }

    /// The password hasher, which divides its work between networks (an IPv4 /24, an IPv6 /48), and within
    /// each of them between customers.
    pub fn hasher(&self, app: &App) -> PasswordHasher {
        let whole = match self.address {
            IpAddr::V4(address) => Ipv4Addr::from(u32::from(address) & !0xff).into(),
            IpAddr::V6(address) => prefix(address, 48),
        };
        app.hasher.for_network([whole, self.network()])
    }

    /// The networks that limits count, with how many times the limit each may reach.
    pub fn counted_networks(&self) -> Vec<(String, i64)> {
        networks(self.address, NETWORK_PREFIXES)
    }

    /// The same for the limits of emails. The operator has none.
    pub fn counted_mail_networks(&self) -> Vec<(String, i64)> {
        if self.is_operator {
            return Vec::new();
        }
        networks(self.address, MAIL_NETWORK_PREFIXES)
    }

    /// The address, if it is known.
    pub fn known_address(&self) -> Option<IpAddr> {
        Some(self.address).filter(|address| !address.is_unspecified())
    }

    /// What the account's owner is shown of it.
    pub fn client(&self) -> Client {
        let address = self.known_address().map(|address| address.to_string());
        Client { device: self.device_name(), address }
    }

    /// "Firefox on Linux", for pages and emails; none when the header names nothing on our lists. No
    /// versions: browsers have frozen those of systems. Nothing of the header itself is repeated.
    pub fn device_name(&self) -> Option<String> {
        let user_agent = self.user_agent.as_deref()?;
        let named = |list: &[(&str, &'static str)]| {
            list.iter().find(|(mark, _)| user_agent.contains(mark)).map(|&(_, name)| name)
        };
        match (named(BROWSERS), named(SYSTEMS)) {
            (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
            (one, other) => one.or(other).map(str::to_owned),
        }
    }
}

fn networks(address: IpAddr, lengths: &[(u32, i64)]) -> Vec<(String, i64)> {
    match address {
        IpAddr::V4(_) => vec![(address.to_string(), 1)],
        IpAddr::V6(address) => lengths
            .iter()
            .map(|&(length, times)| (format!("{}/{length}", prefix(address, length)), times))
            .collect(),
    }
}

fn prefix(address: Ipv6Addr, length: u32) -> IpAddr {
    Ipv6Addr::from(u128::from(address) & (u128::MAX << (128 - length))).into()
}

/// What a browser's `User-Agent` contains, and its name; the more special before the more general.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Vivaldi/", "Vivaldi"),
    ("YaBrowser/", "Yandex Browser"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
    ("curl/", "curl"),
];

/// The same for the system it runs on. iPads say that they are Macs.
const SYSTEMS: &[(&str, &str)] = &[
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("Linux", "Linux"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Requester {
        let address = address.parse().unwrap();
        Requester { address, device_tokens: Vec::new(), user_agent: None, is_operator: false }
    }

    #[test]
    fn an_ipv6_address_counts_as_three_networks_and_an_ipv4_address_as_itself() {
        assert_eq!(from("203.0.113.9").counted_networks(), [("203.0.113.9".to_owned(), 1)]);
        let networks =
            [("2001:db8:1:2ff::/64", 1), ("2001:db8:1:200::/56", 4), ("2001:db8:1::/48", 16)];
        let networks = networks.map(|(network, times)| (network.to_owned(), times));
        assert_eq!(from("2001:db8:1:2ff:3:4:5:6").counted_networks(), networks);
        assert_eq!(from("2001:db8:1:2ff::9").counted_networks(), networks);
        assert_eq!(from("2001:db8:1:2ff::9").network().to_string(), "2001:db8:1:200::");
    }

    #[test]
    fn an_unspecified_address_is_not_known() {
        assert_eq!(from("0.0.0.0").known_address(), None);
        assert_eq!(from("203.0.113.9").known_address(), "203.0.113.9".parse().ok());
    }

    #[test]
    fn a_device_is_named_from_fixed_words() {
        let name = |user_agent: &str| {
            let user_agent = Some(user_agent.to_owned());
            Requester { user_agent, ..from("203.0.113.9") }.device_name()
        };
        for line in include_str!("requester/user_agents.txt").lines() {
            let (expected, user_agent) = line.split_once(": ").unwrap();
            let expected = Some(expected).filter(|expected| *expected != "-");
            assert_eq!(name(user_agent).as_deref(), expected, "{user_agent}");
        }
        let long = format!("Mozilla/5.0 (X11; Linux x86_64) {} Firefox/140.0", "x".repeat(4096));
        assert_eq!(name(&long).as_deref(), Some("Firefox on Linux"));
        assert_eq!(name(""), None);
        assert_eq!(name("<script>\r\nBcc: x"), None);
    }
}
