//! The address that a request came from, as far as those who forwarded it can be believed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// Believes the lines of `X-Forwarded-For` only from a trusted proxy, from the right, over trusted
/// hops alone: what stands further left was sent by the visitor (django-allauth 65.14.2 believed it).
pub fn client_address<'a>(
    direct: IpAddr,
    forwarded: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut nearest = direct.to_canonical();
    let hops = forwarded.rev().flat_map(|line| line.split(|byte| *byte == b',').rev());
    for hop in hops {
        if !is_trusted(nearest, trusted) {
            break;
        }
        let Some(address) = parse_hop(hop) else { break };
        nearest = address.to_canonical();
    }
    nearest
}

/// Whether `address` is a proxy whose headers are believed.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// What counts as one line: an IPv4 address, or the /64 that one IPv6 line has at least (better-auth
/// CVE-2026-45364: each of its 2^64 addresses had a budget of its own).
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

/// An address, in brackets or with a port as some proxies write it.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop).ok()?.trim();
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(direct: &str, forwarded: &[&str], trusted: &str) -> String {
        let trusted: Vec<IpNet> = trusted.split(' ').filter_map(|net| net.parse().ok()).collect();
        let lines = forwarded.iter().map(|line| line.as_bytes());
        client_address(direct.parse().unwrap(), lines, &trusted).to_string()
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
}
