//! How the lab's networks are wired: names, indices, hardware addresses and kernel settings.
//!
//! A pod's link has `eth0` inside the pod and `lxcN` on its node; a node's link to the Internet has `eth0` on
//! the node and `nodeN` on the Internet. Nobody resolves neighbours: every one of them is written down.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use egret_agent::Netns;
use egret_agent::netlink::{Batch, Hop, LOOPBACK, Mac, VethEnd, await_link};
use egret_shared::{MARK_MASK, MARK_TO_PROXY};

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

/// Links a node to the Internet and sets up the delivery of proxied packets.
///
/// # Errors
/// When the kernel refuses a link or a route.
pub(super) fn link_node(node: &Netns, internet: &Netns, slot: usize) -> io::Result<()> {
    use std::os::fd::AsFd;
    let name = format!("node{slot}");
    let near = VethEnd { name: "eth0", index: ETH0, mac: mac(3, slot) };
    let far = VethEnd { name: &name, index: port_index(slot), mac: mac(4, slot) };
    Batch::new()
        .veth(&near, &far, internet.as_fd())
        .deliver_marked(MARK_TO_PROXY, MARK_MASK, PROXY_TABLE)
        .send(node)
}

/// Cuts a node off the Internet, for good: its place can be taken by another.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn unlink_node(node: &Netns) -> io::Result<()> {
    Batch::new().delete_link(ETH0).send(node)
}

/// Gives a node its address, and both sides the routes to each other.
///
/// # Errors
/// When the kernel refuses an address or a route.
pub(super) fn address_node(
    node: &Netns,
    internet: &Netns,
    slot: usize,
    address: IpAddr,
    pod_prefixes: &[(IpAddr, u8)],
) -> io::Result<()> {
    let mut inside = Batch::new();
    inside.address(ETH0, address).neighbour(ETH0, GATEWAY, mac(4, slot)).route(
        (Ipv4Addr::UNSPECIFIED.into(), 0),
        Hop::Via(GATEWAY, ETH0),
        Some(address),
    );
    let mut outside = Batch::new();
    outside.up(port_index(slot)).route((address, 32), Hop::Link(port_index(slot)), None).neighbour(
        port_index(slot),
        address,
        mac(3, slot),
    );
    for prefix in pod_prefixes {
        // A pod that is not there must not send its packets back and forth between node and Internet.
        inside.route(*prefix, Hop::Unreachable, None);
        outside.route(*prefix, Hop::Via(address, port_index(slot)), None);
    }
    inside.send(node)?;
    outside.send(internet)?;
    await_link(node, ETH0)?;
    await_link(internet, port_index(slot))
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
