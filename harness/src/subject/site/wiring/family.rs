//! What is different between IPv4 and IPv6: next hops, prefixes of one address, and the settings that IPv6 needs.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use egret_agent::Netns;
use nix::net::if_::if_indextoname;

use super::set;

/// The next hop of every pod and node: an address that nobody owns and everybody can reach (RFC 3927, RFC 4291
/// section 2.5.6).
pub(super) const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
pub(super) const GATEWAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

/// An address of each family that is in use, as the first of it.
pub(super) fn families(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first = |is: fn(&IpAddr) -> bool| addresses.iter().copied().find(is);
    first(IpAddr::is_ipv4).into_iter().chain(first(IpAddr::is_ipv6))
}

/// The prefix of everything, and the next hop, in an address's family.
pub(super) const fn way_out(address: IpAddr) -> ((IpAddr, u8), IpAddr) {
    match address {
        IpAddr::V4(_) => ((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), GATEWAY_V4),
        IpAddr::V6(_) => ((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0), GATEWAY_V6),
    }
}

/// The prefix of one address.
pub(super) const fn alone(address: IpAddr) -> (IpAddr, u8) {
    match address {
        IpAddr::V4(_) => (address, 32),
        IpAddr::V6(_) => (address, 128),
    }
}

/// The first of the addresses that is of a family.
pub(super) fn like(address: IpAddr, addresses: &[IpAddr]) -> Option<IpAddr> {
    addresses.iter().copied().find(|other| other.is_ipv4() == address.is_ipv4())
}

/// Switches IPv6 on at an interface, which it stays: the kernel gives it no address of its own, and so asks nobody
/// about one.
///
/// # Errors
/// When the kernel has no IPv6, or `/proc/sys` cannot be written.
pub(super) fn add_ipv6(netns: &Netns, interface: u32) -> io::Result<()> {
    netns.enter(|| {
        set("net/ipv6/icmp/ratelimit", "0", false)?;
        let name = if_indextoname(interface)?;
        let name = name.to_string_lossy();
        for (setting, value) in
            [("addr_gen_mode", "1"), ("accept_dad", "0"), ("accept_ra", "0"), ("disable_ipv6", "0")]
        {
            set(&format!("net/ipv6/conf/{name}/{setting}"), value, false)?;
        }
        Ok(())
    })
}

/// Switches IPv6 on at a node or the Internet, which pass packets on.
///
/// # Errors
/// When the kernel has no IPv6, or `/proc/sys` cannot be written.
pub(super) fn route_ipv6(netns: &Netns, interface: u32) -> io::Result<()> {
    netns.enter(|| {
        set("net/ipv6/conf/all/forwarding", "1", false)?;
        // A link that comes later would tell that it hears routers; what passes packets on is the setting above.
        set("net/ipv6/conf/default/forwarding", "0", false)
    })?;
    add_ipv6(netns, interface)
}
