//! The trusted proxies: whether the list can be right.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Finding;
use crate::client_address::UNKNOWN_PEER;
use crate::config::Config;

const NAME: &str = "trusted proxies";

/// Nobody has as many proxies on the internet: 65,536 addresses of IPv4, and a site's own of IPv6.
const WIDEST: (u8, u8) = (16, 48);

pub fn check(config: &Config) -> Finding {
    let proxies = &config.trusted_proxies;
    if let Some(net) = proxies.iter().find(|net| net.prefix_len() == 0) {
        return Finding::failed(
            NAME,
            format!(
                "{net} is everybody: each visitor can pretend to be another and bypass the limits. Name the proxy's own address in VESTIBULE_TRUSTED_PROXIES"
            ),
        );
    }
    if let Some(net) = proxies.iter().find(|net| is_wide(net)) {
        return Finding::warning(
            NAME,
            format!(
                "{net} has many addresses of others, who can pretend to be any visitor: name the proxies' own in VESTIBULE_TRUSTED_PROXIES"
            ),
        );
    }
    if !proxies.is_empty() {
        let listed: Vec<_> = proxies.iter().map(name_of).collect();
        return Finding::ok(NAME, listed.join(", "));
    }
    if config.base_url.is_https() {
        return Finding::warning(
            NAME,
            "none: behind the proxy that has the certificate all visitors count as one address, and 300 failed logins lock everybody out. Name its address in VESTIBULE_TRUSTED_PROXIES",
        );
    }
    Finding::ok(NAME, "none")
}

/// As it is written in the setting.
fn name_of(net: &IpNet) -> String {
    if net.addr() == UNKNOWN_PEER { "unix".to_owned() } else { net.to_string() }
}

fn is_wide(net: &IpNet) -> bool {
    match net.network() {
        IpAddr::V4(ip) => !ip.is_private() && !ip.is_loopback() && net.prefix_len() < WIDEST.0,
        IpAddr::V6(ip) => !ip.is_unique_local() && net.prefix_len() < WIDEST.1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Status;
    use crate::config::BaseUrl;

    #[test]
    fn a_list_that_contains_strangers_or_no_proxy_is_told() {
        for (base_url, list, status) in [
            ("http://localhost:8000", "", Status::Ok),
            ("https://id.example.org", "", Status::Warning),
            ("https://id.example.org", "127.0.0.1/32 ::1/128", Status::Ok),
            ("https://id.example.org", "10.0.0.0/8 fd00::/8", Status::Ok),
            ("https://id.example.org", "203.0.113.0/24 2001:db8::/48", Status::Ok),
            ("https://id.example.org", "203.0.0.0/8", Status::Warning),
            ("https://id.example.org", "2001::/16", Status::Warning),
            ("https://id.example.org", "127.0.0.1/32 0.0.0.0/0", Status::Failed),
            ("https://id.example.org", "::/0", Status::Failed),
        ] {
            let trusted_proxies = list.split(' ').filter_map(|net| net.parse().ok()).collect();
            let base_url = BaseUrl::parse(base_url).unwrap();
            let config = Config { base_url, trusted_proxies, ..Config::default() };
            assert_eq!(check(&config).status, status, "{list}");
        }
    }
}
