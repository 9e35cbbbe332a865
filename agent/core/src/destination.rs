//! Which of a name's addresses a client tries first: RFC 6724 section 6, as far as addresses alone decide.

use core::net::{IpAddr, Ipv6Addr};

/// The address that a client with these addresses of its own tries first; `None` when there is none at all.
///
/// 1. What it cannot get to, for want of an address of that family, comes last (rule 1).
/// 2. Its own address and the other are of one sort (rule 5).
/// 3. IPv6 comes before IPv4 (rule 6).
/// 4. The order of the answer holds (rule 10).
#[must_use]
pub fn first(addresses: &[IpAddr], own: &[IpAddr]) -> Option<IpAddr> {
    let rank = |address: &&IpAddr| {
        let source = own.iter().find(|own| own.is_ipv4() == address.is_ipv4());
        let is_alike = source.is_some_and(|source| label(source) == label(address));
        (source.is_none(), !is_alike, address.is_ipv4())
    };
    addresses.iter().min_by_key(rank).copied()
}

/// The sort of an address: the labels of RFC 6724 section 2.1 that are in use.
fn label(address: &IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 4,
        IpAddr::V6(Ipv6Addr::LOCALHOST) => 0,
        IpAddr::V6(v6) if v6.is_unique_local() => 13,
        IpAddr::V6(v6) if matches!(v6.segments(), [0x2002, ..]) => 2,
        IpAddr::V6(v6) if matches!(v6.segments(), [0x2001, 0, ..]) => 5,
        IpAddr::V6(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn the_first_address_is_the_one_that_getaddrinfo_gives() {
        let cases = [
            // Of one family: the answer's order.
            ("203.0.113.2 203.0.113.1", "10.0.1.10", "203.0.113.2"),
            // Both families, both there.
            ("203.0.113.1 2001:db8::1", "10.0.1.10 3fff:10::10", "2001:db8::1"),
            // A family that the client lacks.
            ("2001:db8::1 203.0.113.1", "10.0.1.10", "203.0.113.1"),
            ("203.0.113.1 2001:db8::1", "3fff:10::10", "2001:db8::1"),
            ("2001:db8::1", "10.0.1.10", "2001:db8::1"),
            // A unique local address is for its like.
            ("2001:db8::1 203.0.113.1", "10.0.1.10 fd00::10", "203.0.113.1"),
            ("203.0.113.1 fd00::1", "10.0.1.10 fd00::10", "fd00::1"),
            // A client that leaves the choice to the kernel.
            ("203.0.113.1", "", "203.0.113.1"),
        ];
        let list = |text: &str| -> Vec<IpAddr> {
            text.split_whitespace().map(|word| word.parse().expect("an address")).collect()
        };
        for (addresses, own, expected) in cases {
            assert_eq!(first(&list(addresses), &list(own)), expected.parse().ok(), "{addresses} from {own}");
        }
        assert_eq!(first(&[], &list("10.0.1.10")), None);
    }
}
