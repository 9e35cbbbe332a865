//! How a site's networks are wired: names, indices, hardware addresses and kernel settings.
//!
//! A pod's link has `eth0` inside the pod and `lxcN` on its node; a node's link to the Internet has `eth0` on
//! the node and, where both are in one process, `nodeN` on the Internet; else `eth0` there too, with a network of
//! the container engine between them. Nobody resolves neighbours: every one of them is written down.

mod family;
mod nowhere;
#[cfg(feature = "docker")]
mod own;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use egret_agent::Netns;
use egret_agent::netlink::family::{alone, families, like, way_out};
use egret_agent::netlink::{Batch, Hop, LOOPBACK, Mac, VethEnd, await_link};
use egret_shared::{MARK_MASK, MARK_TO_PROXY};

use family::{add_ipv6, route_ipv6};
pub(super) use nowhere::{lead_nowhere, make_nowhere};
#[cfg(feature = "docker")]
pub(in crate::subject) use own::own_address;
#[cfg(feature = "docker")]
pub(super) use own::{end_to, own_index, own_network, shared_network};

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
    let near = VethEnd { name: &name, index: port_index(slot), mac: mac(1, slot), quiet: true };
    let far = VethEnd { name: "eth0", index: ETH0, mac: mac(2, slot), quiet: true };
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

/// Gives a pod its addresses, in place of earlier ones, and makes the node send packets for them there.
///
/// # Errors
/// When the kernel refuses an address or a route.
pub(super) fn address_pod(
    (node, node_addresses): (&Netns, &[IpAddr]),
    pod: &Netns,
    slot: usize,
    (before, after): (&[IpAddr], &[IpAddr]),
) -> io::Result<()> {
    if after.iter().any(IpAddr::is_ipv6) && !before.iter().any(IpAddr::is_ipv6) {
        add_ipv6(pod, ETH0)?;
        add_ipv6(node, port_index(slot))?;
    }
    if before != after {
        let mut inside = Batch::new();
        for address in after.iter().filter(|address| !before.contains(address)) {
            inside.address(ETH0, *address);
        }
        for address in families(before).filter(|address| like(*address, after).is_none()) {
            let (everything, gateway) = way_out(address);
            inside.remove_route(everything, Hop::Via(gateway, ETH0));
        }
        for address in before.iter().filter(|address| !after.contains(address)) {
            // After the new ones: with its last address an interface loses its routes.
            inside.remove_address(ETH0, *address);
        }
        for address in families(after) {
            let (everything, gateway) = way_out(address);
            inside.neighbour(ETH0, gateway, mac(1, slot)).route(everything, Hop::Via(gateway, ETH0), None);
        }
        inside.send(pod)?;
    }
    let mut batch = Batch::new();
    for address in after {
        let source = like(*address, node_addresses);
        batch.route(alone(*address), Hop::Link(port_index(slot)), source);
        batch.neighbour(port_index(slot), *address, mac(2, slot));
    }
    batch.send(node)
}

/// Takes a pod off the network: the node no longer knows the way.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn unroute_pod(node: &Netns, slot: usize, addresses: &[IpAddr]) -> io::Result<()> {
    let mut batch = Batch::new();
    for address in addresses {
        batch.remove_route(alone(*address), Hop::Link(port_index(slot)));
    }
    batch.send(node)
}

/// One side's view of the link between a node and the Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Index of the interface on this side.
    pub(super) index: u32,
    /// Hardware address of the other side; without one, the kernel asks for it.
    pub(super) far: Option<Mac>,
}

/// What a world gives a node: its addresses, and the prefixes of its pods' addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbering {
    /// At least one.
    pub(super) addresses: Vec<IpAddr>,
    prefixes: Vec<(IpAddr, u8)>,
}

impl Numbering {
    /// A node's numbering, if it has an address.
    pub(super) fn of(node: &egret_core::world::Node) -> Option<Self> {
        let prefixes = node.pod_cidrs.iter().map(|prefix| (prefix.network(), prefix.prefix_len()));
        let addresses = node.addresses.clone();
        (!addresses.is_empty()).then(|| Self { addresses, prefixes: prefixes.collect() })
    }

    /// Whether IPv6 is part of it.
    pub(super) fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }

    /// The prefixes of its pods, each with the node's address of that family.
    fn hops(&self) -> impl Iterator<Item = ((IpAddr, u8), IpAddr)> {
        self.prefixes.iter().filter_map(|prefix| Some((*prefix, like(prefix.0, &self.addresses)?)))
    }

    /// What is left of it when the link has been down: the kernel keeps IPv4 addresses alone.
    fn kept(&self) -> Self {
        let mut kept = self.clone();
        kept.addresses.retain(IpAddr::is_ipv4);
        kept
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
    let near = VethEnd { name: "eth0", index: ETH0, mac: mac(3, slot), quiet: false };
    let far = VethEnd { name: &name, index: port_index(slot), mac: mac(4, slot), quiet: false };
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
    deliver_proxied_to(node, IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// As [`deliver_proxied`], of the family of this unspecified address.
fn deliver_proxied_to(node: &Netns, any: IpAddr) -> io::Result<()> {
    Batch::new().deliver_marked(any, (MARK_TO_PROXY, MARK_MASK), PROXY_TABLE).send(node)
}

/// Gives a node its addresses and its routes, in place of earlier ones.
///
/// # Errors
/// When the kernel refuses an address or a route.
pub(super) fn number_node(
    node: &Netns,
    uplink: End,
    before: Option<&Numbering>,
    after: &Numbering,
) -> io::Result<()> {
    if after.has_ipv6() && !before.is_some_and(Numbering::has_ipv6) {
        route_ipv6(node, uplink.index)?;
        deliver_proxied_to(node, IpAddr::V6(Ipv6Addr::UNSPECIFIED))?;
    }
    let mut batch = Batch::new();
    let had = before.map(|before| before.addresses.as_slice()).unwrap_or_default();
    for address in after.addresses.iter().filter(|address| !had.contains(address)) {
        batch.address(uplink.index, *address);
    }
    for prefix in before.iter().flat_map(|before| &before.prefixes) {
        batch.remove_route(*prefix, Hop::Unreachable);
    }
    for address in families(had).filter(|address| like(*address, &after.addresses).is_none()) {
        let (everything, gateway) = way_out(address);
        batch.remove_route(everything, Hop::Via(gateway, uplink.index));
    }
    for address in had.iter().filter(|address| !after.addresses.contains(address)) {
        // After the new ones: with its last address an interface loses its routes.
        batch.remove_address(uplink.index, *address);
    }
    for address in families(&after.addresses) {
        let (everything, gateway) = way_out(address);
        if let Some(far) = uplink.far {
            batch.neighbour(uplink.index, gateway, far);
        }
        batch.route(everything, Hop::Via(gateway, uplink.index), Some(address));
    }
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
    number_node(node, uplink, Some(&numbering.kept()), numbering)
}

/// Tells the Internet the way to a node and its pods.
///
/// # Errors
/// When the kernel refuses a route.
pub(super) fn route_node(internet: &Netns, end: End, node: &Numbering) -> io::Result<()> {
    if node.has_ipv6() {
        route_ipv6(internet, end.index)?;
    }
    let mut batch = Batch::new();
    for address in &node.addresses {
        batch.route(alone(*address), Hop::Link(end.index), None);
        if let Some(far) = end.far {
            batch.neighbour(end.index, *address, far);
        }
    }
    for (prefix, hop) in node.hops() {
        batch.route(prefix, Hop::Via(hop, end.index), None);
    }
    batch.send(internet)
}

/// Makes the Internet forget the way to a node and its pods.
///
/// # Errors
/// When the kernel refuses.
pub(super) fn unroute_node(internet: &Netns, end: End, node: &Numbering) -> io::Result<()> {
    let mut batch = Batch::new();
    for (prefix, hop) in node.hops() {
        batch.remove_route(prefix, Hop::Via(hop, end.index));
    }
    for address in &node.addresses {
        batch.remove_route(alone(*address), Hop::Link(end.index));
    }
    batch.send(internet)
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
