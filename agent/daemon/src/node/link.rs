//! The links of a node's pods: made, found again, checked and deleted.

use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use super::alias::Owner;
use crate::netlink::family::{alone, families, like, way_out};
use crate::netlink::view::{self, Link};
use crate::netlink::{Batch, Hop, LOOPBACK, Mac, PodLink, await_link};
use crate::netns::Netns;

/// How the names of the node's ends begin.
const PREFIX: &str = "egret";

/// A pod's link on its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The node's end.
    pub link: Link,
    /// Whose it is.
    pub owner: Owner,
}

/// The links of pods on this node, in the order of their indices.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn find(node: &Netns) -> io::Result<Vec<Attachment>> {
    let links = view::links(node)?;
    Ok(links
        .into_iter()
        .filter_map(|link| Owner::of_alias(&link.alias).map(|owner| Attachment { link, owner }))
        .collect())
}

/// Makes a link, both ends down.
///
/// # Errors
/// When the pod has such an interface already, or the kernel refuses.
pub fn make(node: &Netns, pod: &Netns, owner: &Owner, mtu: u32) -> io::Result<Attachment> {
    let name = name(owner);
    let alias = owner.to_alias().map_err(|invalid| io::Error::new(io::ErrorKind::InvalidInput, invalid))?;
    let link = PodLink {
        name: &name,
        mac: mac(1, owner),
        inside: &owner.interface,
        inside_mac: mac(2, owner),
        mtu,
        alias: &alias,
    };
    Batch::new().pod_link(&link, pod.as_fd()).send(node)?;
    let found = find(node)?.into_iter().find(|attachment| attachment.link.name == name);
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("the link `{name}` is gone again")))
}

/// Addresses a link and brings it up; when this returns, it passes packets. What the node itself sends there has the
/// `sources` of the pod's families.
///
/// # Errors
/// When the kernel refuses, or one of the ends is gone.
pub fn open(node: &Netns, pod: &Netns, attachment: &Attachment, sources: &[IpAddr]) -> io::Result<()> {
    let Attachment { link, owner } = attachment;
    let inside = inside(pod, owner)?;
    let (mut on_node, mut in_pod) = (Batch::new(), Batch::new());
    if owner.addresses.iter().any(IpAddr::is_ipv6) {
        on_node.without_own_ipv6(link.index);
        in_pod.without_own_ipv6(inside.index);
    }
    on_node.up(link.index);
    for address in &owner.addresses {
        on_node.route(alone(*address), Hop::Link(link.index), like(*address, sources)).neighbour(
            link.index,
            *address,
            mac(2, owner),
        );
    }
    in_pod.up(LOOPBACK).up(inside.index);
    for address in &owner.addresses {
        in_pod.address(inside.index, *address);
    }
    for address in families(&owner.addresses) {
        let (everything, gateway) = way_out(address);
        in_pod.neighbour(inside.index, gateway, mac(1, owner)).route(
            everything,
            Hop::Via(gateway, inside.index),
            None,
        );
    }
    in_pod.send(pod)?;
    on_node.send(node)?;
    await_link(pod, inside.index)?;
    await_link(node, link.index)
}

/// The pod's end of a link.
///
/// # Errors
/// When it is gone.
pub fn inside(pod: &Netns, owner: &Owner) -> io::Result<Link> {
    let found = view::links(pod)?.into_iter().find(|link| link.name == owner.interface);
    found.ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("the pod has no interface `{}`", owner.interface))
    })
}

/// Hardware address of the pod's end.
#[must_use]
pub fn inside_mac(owner: &Owner) -> Mac {
    mac(2, owner)
}

/// Deletes a link, both ends.
///
/// # Errors
/// When the kernel refuses; a link that is gone is no error.
pub fn delete(node: &Netns, link: &Link) -> io::Result<()> {
    Batch::new().delete_link_named(&link.name).send(node)
}

/// Name of the node's end: the same container and interface always give the same one.
fn name(owner: &Owner) -> String {
    let [_, _, _, rest @ ..] = digest(owner).to_be_bytes();
    rest.iter().fold(PREFIX.to_owned(), |name, byte| format!("{name}{byte:02x}"))
}

/// A locally administered hardware address: `kind` tells the two ends of a link apart.
fn mac(kind: u8, owner: &Owner) -> Mac {
    let [a, b, c, d, ..] = digest(owner).to_le_bytes();
    [0x02, kind, a, b, c, d]
}

/// FNV-1a of container and interface.
fn digest(owner: &Owner) -> u64 {
    let bytes = owner.container.bytes().chain([b'/']).chain(owner.interface.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::super::alias::PodKey;
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let owner = |container: &str, interface: &str| Owner {
            container: container.into(),
            interface: interface.into(),
            addresses: Vec::new(),
            pod: PodKey::Uid("u".into()),
        };
        let names: std::collections::BTreeSet<String> =
            (0..1000).map(|number| name(&owner(&format!("container-{number}"), "eth0"))).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.len() <= 15));
        assert_ne!(name(&owner("a", "eth0")), name(&owner("a", "eth1")));
        assert_ne!(mac(1, &owner("a", "eth0")), mac(2, &owner("a", "eth0")));
    }
}
