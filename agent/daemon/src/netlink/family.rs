//! What is different between IPv4 and IPv6: next hops, and prefixes of one address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The next hop of every pod, of each family: an address that nobody owns and everybody can reach (RFC 3927, RFC 4291
/// section 2.5.6).
pub const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
/// As [`GATEWAY_V4`].
pub const GATEWAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

/// An address of each family that is in use, as the first of it.
pub fn families(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first = |is: fn(&IpAddr) -> bool| addresses.iter().copied().find(is);
    first(IpAddr::is_ipv4).into_iter().chain(first(IpAddr::is_ipv6))
}

/// The prefix of everything, and the next hop, in an address's family.
#[must_use]
pub const fn way_out(address: IpAddr) -> ((IpAddr, u8), IpAddr) {
    match address {
        IpAddr::V4(_) => ((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), GATEWAY_V4),
        IpAddr::V6(_) => ((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0), GATEWAY_V6),
    }
}

/// The prefix of one address.
#[must_use]
pub const fn alone(address: IpAddr) -> (IpAddr, u8) {
    match address {
        IpAddr::V4(_) => (address, 32),
        IpAddr::V6(_) => (address, 128),
    }
}

/// The first of the addresses that is of a family.
#[must_use]
pub fn like(address: IpAddr, addresses: &[IpAddr]) -> Option<IpAddr> {
    addresses.iter().copied().find(|other| other.is_ipv4() == address.is_ipv4())
}
