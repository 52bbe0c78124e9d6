//! Who makes a request, as far as the use cases need to know.

use std::net::IpAddr;

use crate::app::App;
use crate::client_address::{counted, counted_for_mail, shared_between};
use crate::password_hasher::PasswordHasher;

/// The sender of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The peer's address, or what a trusted proxy forwarded; unspecified when the server was not told.
    pub address: IpAddr,
    /// The device tokens that the browser sent, the last used first.
    pub device_tokens: Vec<String>,
    /// The `User-Agent` header, when it is plain ASCII.
    pub user_agent: Option<String>,
}

impl Requester {
    /// One customer's network: an IPv4 address or an IPv6 /56.
    pub fn network(&self) -> IpAddr {
        shared_between(self.address)[1]
    }

    /// The password hasher, for its work.
    pub fn hasher(&self, app: &App) -> PasswordHasher {
        app.hasher.for_network(shared_between(self.address))
    }

    /// The networks that rate limits count, with how many times the limit each may reach.
    pub fn counted_networks(&self) -> Vec<(String, i64)> {
        counted(self.address)
    }

    /// The networks that limits of mails count, in the same way.
    pub fn counted_mail_networks(&self) -> Vec<(String, i64)> {
        counted_for_mail(self.address)
    }

    /// The address for people to read; none when the server was not told who connected.
    pub fn known_address(&self) -> Option<IpAddr> {
        Some(self.address).filter(|address| !address.is_unspecified())
    }

    /// "Firefox on Linux", for mails; none when the header names nothing on our lists.
    pub fn device_name(&self) -> Option<String> {
        device_name(self.user_agent.as_deref()?)
    }
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

/// Browser and system from fixed lists: nothing of the header itself gets into a mail.
fn device_name(user_agent: &str) -> Option<String> {
    let named = |list: &[(&str, &'static str)]| {
        list.iter().find(|(mark, _)| user_agent.contains(mark)).map(|&(_, name)| name)
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
    fn an_unspecified_address_is_not_known() {
        let known = |address: &str| {
            let address = address.parse().unwrap();
            Requester { address, device_tokens: Vec::new(), user_agent: None }.known_address()
        };
        assert_eq!(known("0.0.0.0"), None);
        assert_eq!(known("203.0.113.9"), "203.0.113.9".parse().ok());
    }

    #[test]
    fn a_device_is_named_from_fixed_words() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(device_name(firefox).as_deref(), Some("Firefox on Linux"));
        assert_eq!(device_name("curl/8.5.0").as_deref(), Some("curl"));
        assert_eq!(device_name("an unheard-of program on Windows").as_deref(), Some("Windows"));
        assert_eq!(device_name("<script>\r\nBcc: x"), None);
    }
}
