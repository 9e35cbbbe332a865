//! The settings that IPv6 needs of the lab's networks.

use std::io;

use egret_agent::Netns;
use nix::net::if_::if_indextoname;

use super::set;

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
