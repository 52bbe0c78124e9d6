//! The address that a request came from, as far as those who forwarded it can be believed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

/// The address of a peer that has none, such as a proxy on a Unix socket. No network packet comes from it.
pub const UNKNOWN_PEER: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How many bits are before the IPv4 address in `::ffff:10.0.0.1` (RFC 4291, 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// Believes the lines of `X-Forwarded-For` only from a trusted proxy, from the right, over trusted
/// hops only: what is further left was sent by the visitor (django-allauth 65.14.2 believed it).
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

/// Whether `address` is a proxy whose headers are believed. `::ffff:10.0.0.1` is `10.0.0.1`, in the
/// address as in a network: a socket for both families shows IPv4 peers in that form.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|net| canonical(*net).contains(&address))
}

/// A network of IPv4-mapped addresses as the IPv4 network that it is.
fn canonical(net: IpNet) -> IpNet {
    let prefix = net.prefix_len().checked_sub(MAPPED_PREFIX);
    match (net.network().to_canonical(), net, prefix) {
        (IpAddr::V4(address), IpNet::V6(_), Some(prefix)) => {
            Ipv4Net::new(address, prefix).map_or(net, IpNet::V4)
        }
        _ => net,
    }
}

/// Whether the client is on this machine: connected over loopback or a Unix socket, and not on behalf of a
/// client elsewhere. A proxy here speaks for the addresses in its `forwarded` lines; one that is not trusted
/// may have passed on what the visitor wrote.
pub fn is_local<'a>(
    direct: IpAddr,
    mut forwarded: impl Iterator<Item = &'a [u8]>,
    trusted: &[IpNet],
) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    let is_here = direct == UNKNOWN_PEER || is_loopback(direct);
    let from_here = |line: &[u8]| {
        line.split(|byte| *byte == b',').all(|hop| parse_hop(hop).is_some_and(is_loopback))
    };
    is_here && forwarded.all(|line| is_trusted(direct, trusted) && from_here(line))
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
    fn a_forwarded_address_is_believed_only_from_a_trusted_proxy() {
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], ""), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["198.51.100.1"], "10.0.0.0/8"), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["198.51.100.1"], "10.0.0.0/8"), "198.51.100.1");
    }

    #[test]
    fn the_client_address_is_read_from_the_right_over_trusted_hops() {
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
    fn an_ipv4_address_in_the_form_of_ipv6_is_the_same_on_both_sides() {
        for trusted in
            ["::ffff:10.0.0.0/104", "::ffff:a00:0/104", "::ffff:10.0.0.1/128 10.0.0.2/32"]
        {
            for direct in ["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"] {
                assert_eq!(seen(direct, &["198.51.100.1"], trusted), "198.51.100.1");
                for hop in
                    ["::ffff:10.0.0.2", "[::ffff:10.0.0.2]", "[::ffff:10.0.0.2]:80", "10.0.0.2:80"]
                {
                    let forwarded = format!("1.1.1.1, [::ffff:198.51.100.1]:4711, {hop}");
                    assert_eq!(seen(direct, &[&forwarded], trusted), "198.51.100.1", "{hop}");
                }
            }
            assert_eq!(seen("::ffff:203.0.113.9", &["198.51.100.1"], trusted), "203.0.113.9");
        }
        assert_eq!(
            seen("10.0.0.1", &["198.51.100.1"], "::/0"),
            "10.0.0.1",
            "an IPv6 network does not contain an IPv4 address"
        );
        assert_eq!(seen("::1", &["198.51.100.1"], "::/0"), "198.51.100.1");
        assert_eq!(seen("0.0.0.1", &["198.51.100.1"], "::1/128"), "0.0.0.1");
    }
}
