//! The network of this process, which a container engine has made: taken over, or settled in.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use egret_agent::Netns;
use egret_agent::netlink::{Batch, Hop, Mac};

use super::nowhere::answer_for;
use super::{End, prepare, set};

/// Takes over the network of this process, which somebody else has made and given one interface, `eth0`: from
/// then on it has the settings of every network, and none of the addresses and routes that it came with.
///
/// # Errors
/// When there is no such interface, `/proc/sys` cannot be written, or the kernel refuses.
pub(in crate::subject::site) fn own_network() -> io::Result<Netns> {
    let netns = Netns::current()?;
    prepare(&netns, true)?;
    // What `prepare` sets for interfaces to come.
    set("net/ipv6/conf/eth0/disable_ipv6", "1", true)?;
    set("net/ipv4/conf/eth0/rp_filter", "0", false)?;
    answer_for(&netns, "eth0")?;
    // All nodes are behind one interface of the Internet, and none of them shall learn a shorter way.
    set("net/ipv4/conf/all/send_redirects", "0", false)?;
    set("net/ipv4/conf/eth0/send_redirects", "0", false)?;
    let index = own_index()?;
    let mut batch = Batch::new();
    for interface in nix::ifaddrs::getifaddrs()?.filter(|interface| interface.interface_name == "eth0") {
        if let Some(address) = interface.address.as_ref().and_then(|address| address.as_sockaddr_in()) {
            batch.remove_address(index, address.ip().into());
        }
    }
    batch.send(&netns)?;
    Ok(netns)
}

/// Settles in the network of this process, whose one interface, `eth0`, is on a network that others have made: it
/// keeps its address there, and forgets the way out, so that whoever asks for a host that is not here hears so. Gives
/// its end of the way to everybody there.
///
/// # Errors
/// As for [`own_network`].
pub(in crate::subject::site) fn shared_network() -> io::Result<(Netns, End)> {
    let netns = Netns::current()?;
    prepare(&netns, true)?;
    set("net/ipv4/conf/eth0/rp_filter", "0", false)?;
    // Packets for hosts that are not here come and go by the same interface: that is no news for the nodes.
    set("net/ipv4/conf/all/send_redirects", "0", false)?;
    set("net/ipv4/conf/eth0/send_redirects", "0", false)?;
    // Neighbours are asked for from the address that this network knows, not from a host's.
    set("net/ipv4/conf/eth0/arp_announce", "2", false)?;
    let end = End { index: own_index()?, far: None };
    // In place of the engine's way out, where there is one.
    let mut batch = Batch::new();
    batch.route((Ipv4Addr::UNSPECIFIED.into(), 0), Hop::Unreachable, None);
    // The engine switches IPv6 off where its network has none.
    if std::fs::read_to_string("/proc/sys/net/ipv6/conf/eth0/disable_ipv6")
        .is_ok_and(|text| text.trim() == "0")
    {
        batch.route((Ipv6Addr::UNSPECIFIED.into(), 0), Hop::Unreachable, None);
    }
    batch.send(&netns)?;
    Ok((netns, end))
}

/// Hardware address of this process' `eth0`.
///
/// # Errors
/// When there is no such interface.
pub(in crate::subject) fn own_address() -> io::Result<Mac> {
    let bytes: Option<Vec<u8>> =
        own("address")?.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let strange = || io::Error::other("eth0 has no hardware address of six bytes");
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(strange)
}

/// This process' end of a link whose other side has this hardware address.
///
/// # Errors
/// When this process has no `eth0`.
pub(in crate::subject::site) fn end_to(far: Mac) -> io::Result<End> {
    Ok(End { index: own_index()?, far: Some(far) })
}

pub(in crate::subject::site) fn own_index() -> io::Result<u32> {
    own("ifindex")?.parse().map_err(|_| io::Error::other("eth0 has no index"))
}

/// What the kernel says about this process' `eth0`.
fn own(attribute: &str) -> io::Result<String> {
    let path = format!("/sys/class/net/eth0/{attribute}");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("could not read {path}: {error}")))?;
    Ok(text.trim().to_owned())
}
