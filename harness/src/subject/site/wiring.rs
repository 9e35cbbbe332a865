//! How a site's networks are wired: names, indices, hardware addresses and kernel settings.
//!
//! A pod's link has `eth0` inside the pod and `lxcN` on its node; a node's link to the Internet has `eth0` on
//! the node and, where both are in one process, `nodeN` on the Internet; else `eth0` there too, with a network of
//! the container engine between them. Nobody resolves neighbours: every one of them is written down.

mod nowhere;

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use egret_agent::Netns;
use egret_agent::netlink::{Batch, Hop, LOOPBACK, Mac, VethEnd, await_link};
use egret_shared::{MARK_MASK, MARK_TO_PROXY};

#[cfg(feature = "docker")]
use nowhere::answer_for;
pub(super) use nowhere::{lead_nowhere, make_nowhere};

/// The next hop of every pod and node: an address that nobody owns and everybody can reach (RFC 3927).
pub(super) const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1));
/// Index of `eth0`, in pods and on nodes.
pub(super) const ETH0: u32 = 2;
/// Index of `lxc0` on a node, and of `node0` on the Internet; the others follow.
const FIRST_PORT: u32 = 32;
/// Routing table in which every address is the node's own, for proxied packets.
const PROXY_TABLE: u8 = 200;

/// Index on the node of the link of pod slot `slot`, and on the Internet of the link of node `slot`.
pub(super) fn port_index(slot: usize) -> u32 {
    FIRST_PORT.saturating_add(u32::try_from(slot).unwrap_or(u32::MAX))
}

/// Name on the node of the link of pod slot `slot`.
pub(super) fn pod_port(slot: usize) -> String {
    format!("lxc{slot}")
}

/// A locally administered hardware address: `kind` tells the two ends of a link apart.
fn mac(kind: u8, slot: usize) -> Mac {
    let [.., high, low] = slot.to_be_bytes();
    [0x02, 0xe6, kind, 0, high, low]
}

/// Settings that every network of the lab has.
///
/// # Errors
/// When `/proc/sys` cannot be written.
pub(super) fn prepare(netns: &Netns, routes: bool) -> io::Result<()> {
    netns.enter(|| {
        // Before the first link is there, so that no neighbour discovery ever leaves one.
        set("net/ipv6/conf/default/disable_ipv6", "1", true)?;
        // "Port unreachable" is an answer here, not an attack.
        set("net/ipv4/icmp_ratelimit", "0", false)?;
        if routes {
            set("net/ipv4/ip_forward", "1", false)?;
            set("net/ipv4/conf/all/rp_filter", "0", false)?;
            set("net/ipv4/conf/default/rp_filter", "0", false)?;
        }
        Ok(())
    })?;
    Batch::new().up(LOOPBACK).send(netns)
}

/// Writes a kernel setting of the calling thread's network; `absent_is_fine` for a kernel without the feature.
fn set(setting: &str, value: &str, absent_is_fine: bool) -> io::Result<()> {
    match std::fs::write(format!("/proc/sys/{setting}"), value) {
        Err(error) if absent_is_fine && error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(io::Error::new(error.kind(), format!("could not set {setting}: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Links a pod to its node; [`await_pod`] says when the link passes packets.
///
/// # Errors
/// When the kernel refuses the link.
pub(super) fn link_pod(node: &Netns, pod: &Netns, slot: usize) -> io::Result<()> {
    use std::os::fd::AsFd;
    let name = pod_port(slot);
    let near = VethEnd { name: &name, index: port_index(slot), mac: mac(1, slot) };
    let far = VethEnd { name: "eth0", index: ETH0, mac: mac(2, slot) };
    Batch::new().veth(&near, &far, pod.as_fd()).send(node)?;
    Batch::new().up(ETH0).send(pod)
}

/// Returns when a pod's link passes packets.
///
/// # Errors
/// When it stays down.
pub(super) fn await_pod(node: &Netns, pod: &Netns, slot: usize) -> io::Result<()> {
    await_link(pod, ETH0)?;
    await_link(node, port_index(slot))
}

/// Gives a pod its address, in place of an earlier one, and makes the node send packets for it there.
///
/// # Errors
/// When the kernel refuses an address or a route.
pub(super) fn address_pod(
    (node, node_address): (&Netns, IpAddr),
    pod: &Netns,
    slot: usize,
    (before, after): (Option<IpAddr>, IpAddr),
) -> io::Result<()> {
    if before != Some(after) {
        let mut inside = Batch::new();
        inside.address(ETH0, after);
        if let Some(before) = before {
            // After the new one: with its last address an interface loses its routes.
            inside.remove_address(ETH0, before);
        }
        inside
            .neighbour(ETH0, GATEWAY, mac(1, slot))
            .route((Ipv4Addr::UNSPECIFIED.into(), 0), Hop::Via(GATEWAY, ETH0), None)
            .send(pod)?;
    }
    Batch::new()
        .route((after, 32), Hop::Link(port_index(slot)), Some(node_address))
        .neighbour(port_index(slot), after, mac(2, slot))
        .send(node)
}

/// Takes a pod off the network: the node no longer knows the way.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn unroute_pod(node: &Netns, slot: usize, address: IpAddr) -> io::Result<()> {
    Batch::new().remove_route((address, 32), Hop::Link(port_index(slot))).send(node)
}

/// One side's view of the link between a node and the Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Index of the interface on this side.
    pub(super) index: u32,
    /// Hardware address of the other side; without one, the kernel asks for it.
    pub(super) far: Option<Mac>,
}

/// What a world gives a node: its address, and the prefixes of its pods' addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbering {
    pub(super) address: IpAddr,
    prefixes: Vec<(IpAddr, u8)>,
}

impl Numbering {
    /// A node's numbering, if it has an address.
    pub(super) fn of(node: &egret_core::world::Node) -> Option<Self> {
        let prefixes = node.pod_cidrs.iter().map(|prefix| (prefix.network(), prefix.prefix_len()));
        Some(Self { address: *node.addresses.first()?, prefixes: prefixes.collect() })
    }
}

/// The two ends of the link that [`link_node`] makes: the node's and the Internet's.
pub(super) fn ends(slot: usize) -> (End, End) {
    (End { index: ETH0, far: Some(mac(4, slot)) }, End { index: port_index(slot), far: Some(mac(3, slot)) })
}

/// Links a node to the Internet.
///
/// # Errors
/// When the kernel refuses a link or a route.
pub(super) fn link_node(node: &Netns, internet: &Netns, slot: usize) -> io::Result<()> {
    use std::os::fd::AsFd;
    let name = format!("node{slot}");
    let near = VethEnd { name: "eth0", index: ETH0, mac: mac(3, slot) };
    let far = VethEnd { name: &name, index: port_index(slot), mac: mac(4, slot) };
    Batch::new().veth(&near, &far, internet.as_fd()).send(node)?;
    Batch::new().up(port_index(slot)).send(internet)?;
    await_link(node, ETH0)?;
    await_link(internet, port_index(slot))?;
    deliver_proxied(node)
}

/// Removes the link that [`link_node`] has made, at both ends.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn unlink_node(internet: &Netns, slot: usize) -> io::Result<()> {
    Batch::new().delete_link(port_index(slot)).send(internet)
}

/// Sets up the delivery of a node's proxied packets.
///
/// # Errors
/// When the kernel refuses the rule or the route.
pub(super) fn deliver_proxied(node: &Netns) -> io::Result<()> {
    Batch::new().deliver_marked(MARK_TO_PROXY, MARK_MASK, PROXY_TABLE).send(node)
}

/// Gives a node its address and its routes, in place of earlier ones.
///
/// # Errors
/// When the kernel refuses an address or a route.
pub(super) fn number_node(
    node: &Netns,
    uplink: End,
    before: Option<&Numbering>,
    after: &Numbering,
) -> io::Result<()> {
    let mut batch = Batch::new();
    let moved = before.is_none_or(|before| before.address != after.address);
    if moved {
        batch.address(uplink.index, after.address);
    }
    if let Some(before) = before {
        for prefix in &before.prefixes {
            batch.remove_route(*prefix, Hop::Unreachable);
        }
        if moved {
            // After the new one: with its last address an interface loses its routes.
            batch.remove_address(uplink.index, before.address);
        }
    }
    if let Some(far) = uplink.far {
        batch.neighbour(uplink.index, GATEWAY, far);
    }
    batch.route((Ipv4Addr::UNSPECIFIED.into(), 0), Hop::Via(GATEWAY, uplink.index), Some(after.address));
    for prefix in &after.prefixes {
        // A pod that is not there must not send its packets back and forth between node and Internet.
        batch.route(*prefix, Hop::Unreachable, None);
    }
    batch.send(node)
}

/// Takes a node's link to the Internet down.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn unplug(node: &Netns, uplink: End) -> io::Result<()> {
    Batch::new().down(uplink.index).send(node)
}

/// Brings a node's link to the Internet up again, with the routes that went with it.
///
/// # Errors
/// When the kernel refuses, or the link stays down.
pub(super) fn plug(node: &Netns, uplink: End, numbering: &Numbering) -> io::Result<()> {
    Batch::new().up(uplink.index).send(node)?;
    await_link(node, uplink.index)?;
    number_node(node, uplink, Some(numbering), numbering)
}

/// Tells the Internet the way to a node and its pods.
///
/// # Errors
/// When the kernel refuses a route.
pub(super) fn route_node(internet: &Netns, end: End, node: &Numbering) -> io::Result<()> {
    let mut batch = Batch::new();
    batch.route((node.address, 32), Hop::Link(end.index), None);
    if let Some(far) = end.far {
        batch.neighbour(end.index, node.address, far);
    }
    for prefix in &node.prefixes {
        batch.route(*prefix, Hop::Via(node.address, end.index), None);
    }
    batch.send(internet)
}

/// Makes the Internet forget the way to a node and its pods.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn unroute_node(internet: &Netns, end: End, node: &Numbering) -> io::Result<()> {
    let mut batch = Batch::new();
    for prefix in &node.prefixes {
        batch.remove_route(*prefix, Hop::Via(node.address, end.index));
    }
    batch.remove_route((node.address, 32), Hop::Link(end.index)).send(internet)
}

/// Takes over the network of this process, which somebody else has made and given one interface, `eth0`: from
/// then on it has the settings of every network, and none of the addresses and routes that it came with.
///
/// # Errors
/// When there is no such interface, `/proc/sys` cannot be written, or the kernel refuses.
#[cfg(feature = "docker")]
pub(super) fn own_network() -> io::Result<Netns> {
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
#[cfg(feature = "docker")]
pub(super) fn shared_network() -> io::Result<(Netns, End)> {
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
    Batch::new().route((Ipv4Addr::UNSPECIFIED.into(), 0), Hop::Unreachable, None).send(&netns)?;
    Ok((netns, end))
}

/// Hardware address of this process' `eth0`.
///
/// # Errors
/// When there is no such interface.
#[cfg(feature = "docker")]
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
#[cfg(feature = "docker")]
pub(super) fn end_to(far: Mac) -> io::Result<End> {
    Ok(End { index: own_index()?, far: Some(far) })
}

#[cfg(feature = "docker")]
pub(super) fn own_index() -> io::Result<u32> {
    own("ifindex")?.parse().map_err(|_| io::Error::other("eth0 has no index"))
}

/// What the kernel says about this process' `eth0`.
#[cfg(feature = "docker")]
fn own(attribute: &str) -> io::Result<String> {
    let path = format!("/sys/class/net/eth0/{attribute}");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| io::Error::new(error.kind(), format!("could not read {path}: {error}")))?;
    Ok(text.trim().to_owned())
}

/// Adds and removes addresses of hosts on the Internet.
///
/// # Errors
/// When the kernel refuses an address.
pub(super) fn address_internet(internet: &Netns, add: &[IpAddr], remove: &[IpAddr]) -> io::Result<()> {
    let mut batch = Batch::new();
    for address in add {
        batch.address(LOOPBACK, *address);
    }
    for address in remove {
        batch.remove_address(LOOPBACK, *address);
    }
    batch.send(internet)
}
