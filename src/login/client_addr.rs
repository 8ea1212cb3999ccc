//! Where a request comes from, as far as somebody knows.

use std::net::{IpAddr, Ipv6Addr};

/// The client's network address, as an extension of the request. The gateway says it; in front of the layer, whoever
/// knows it may: an own middleware, with what the listener or a trusted proxy has told. Without it, pages that name the
/// place of a sign-in leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddr(pub IpAddr);

impl ClientAddr {
    /// The address, in the form in which people write it.
    pub fn ip(self) -> IpAddr {
        self.0.to_canonical()
    }

    /// Whether both are in one network, as far as addresses tell: an IPv4 address, or the first 64 bits of an IPv6 address.
    /// None where the two are of different kinds, so that nobody can say.
    pub fn is_near(self, other: Self) -> Option<bool> {
        let network = |ip: Ipv6Addr| u128::from(ip) >> 64;
        match (self.ip(), other.ip()) {
            (IpAddr::V4(one), IpAddr::V4(other)) => Some(one == other),
            (IpAddr::V6(one), IpAddr::V6(other)) => Some(network(one) == network(other)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_addresses_are_near_where_they_share_a_network() {
        let near = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| ClientAddr(text.parse().unwrap()));
            one.is_near(other)
        };
        assert_eq!(near("203.0.113.7", "203.0.113.7"), Some(true));
        assert_eq!(near("203.0.113.7", "::ffff:203.0.113.7"), Some(true));
        assert_eq!(near("203.0.113.7", "203.0.113.8"), Some(false));
        assert_eq!(near("2001:db8::1", "2001:db8::2:1"), Some(true));
        assert_eq!(near("2001:db8::1", "2001:db8:0:1::1"), Some(false));
        assert_eq!(near("2001:db8::1", "203.0.113.7"), None);
    }
}
