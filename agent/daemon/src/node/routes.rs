//! The way to other nodes' pods, one route for each prefix, through the node that has it; and to simulated hosts
//! outside the cluster.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use egret_core::World;
use egret_core::world::Node;
use ipnet::IpNet;

use crate::netlink::family::like;
use crate::netlink::view::{self, Link};
use crate::netlink::{Batch, Hop};
use crate::netns::Netns;

/// Prefixes outside the cluster, and the neighbour of the nodes that has them: where no address of it is of a prefix's
/// family, nothing leads there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outside {
    /// Whom packets for them are sent to: an address of each of its families.
    pub(super) via: Vec<IpAddr>,
    /// The prefixes.
    pub(super) prefixes: Vec<IpNet>,
}

/// Bytes of a packet on a link that nobody knows more about.
pub(super) const USUAL_MTU: u32 = 1500;

/// Makes the routes what the world needs; those that nobody needs any more go.
///
/// Nodes are neighbours on one link, as those of a kind cluster are. The node's own prefix leads nowhere, except to
/// pods that are there: nobody's packet goes round in circles.
pub(super) fn reconcile(netns: &Netns, own: &str, world: &World, outside: &Outside) -> io::Result<()> {
    let Some(uplink) = uplink(netns, own, &world.nodes)? else { return Ok(()) };
    let wanted = wanted(own, &world.nodes, outside);
    let present: BTreeMap<(IpAddr, u8), Option<IpAddr>> =
        view::routes(netns)?.into_iter().map(|route| (route.prefix, route.via)).collect();
    let mut batch = Batch::new();
    for (prefix, via) in &present {
        if !wanted.contains_key(prefix) {
            batch.remove_agent_route(*prefix, via.is_none());
        }
    }
    for (prefix, via) in &wanted {
        if present.get(prefix) != Some(via) {
            let hop = via.map_or(Hop::Unreachable, |gateway| Hop::Via(gateway, uplink.index));
            batch.agent_route(*prefix, hop);
        }
    }
    batch.send(netns)
}

fn wanted(
    own: &str,
    nodes: &BTreeMap<String, Node>,
    outside: &Outside,
) -> BTreeMap<(IpAddr, u8), Option<IpAddr>> {
    let mut wanted = BTreeMap::new();
    for prefix in &outside.prefixes {
        let via = like(prefix.addr(), &outside.via);
        wanted.extend(via.map(|via| ((prefix.network(), prefix.prefix_len()), Some(via))));
    }
    // Last, since no host outside takes a pod's place.
    for (name, node) in nodes {
        for prefix in node.pod_cidrs.iter().map(|prefix| (prefix.network(), prefix.prefix_len())) {
            let via = like(prefix.0, &node.addresses);
            if name == own {
                wanted.insert(prefix, None);
            } else if via.is_some() {
                // A node without an address of the family cannot be reached yet.
                wanted.insert(prefix, via);
            }
        }
    }
    wanted
}

/// The link that has the node's own address.
pub(super) fn uplink(netns: &Netns, own: &str, nodes: &BTreeMap<String, Node>) -> io::Result<Option<Link>> {
    let Some(node) = nodes.get(own) else { return Ok(None) };
    let addresses = view::addresses(netns)?;
    let index = node
        .addresses
        .iter()
        .find_map(|wanted| addresses.iter().find(|(_, address)| address == wanted).map(|(index, _)| *index));
    let Some(index) = index else { return Ok(None) };
    Ok(view::links(netns)?.into_iter().find(|link| link.index == index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prefix_leads_to_its_node() {
        let node = |addresses: &[&str], prefixes: &[&str]| Node {
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            pod_cidrs: prefixes.iter().map(|text| text.parse().unwrap()).collect(),
            ..Node::default()
        };
        let nodes = [
            ("a".to_owned(), node(&["fd00::1", "172.18.0.2"], &["10.244.0.0/24", "fd01::/64"])),
            ("b".to_owned(), node(&["172.18.0.3", "fd00::3"], &["10.244.1.0/24", "fd01:0:0:1::/64"])),
            ("c".to_owned(), node(&[], &["10.244.2.0/24"])),
            ("d".to_owned(), node(&["172.18.0.4"], &["fd01:0:0:2::/64"])),
        ];
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let expected = [
            ((ip("10.244.0.0"), 24), None),
            ((ip("fd01::"), 64), None),
            ((ip("10.244.1.0"), 24), Some(ip("172.18.0.3"))),
            ((ip("fd01:0:0:1::"), 64), Some(ip("fd00::3"))),
        ];
        let nodes = nodes.into();
        assert_eq!(wanted("a", &nodes, &Outside::default()), expected.into());
        let prefixes = ["203.0.113.7/32", "2001:db8::7/128", "10.244.0.0/24"];
        let prefixes: Vec<IpNet> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        let outside = Outside { via: vec![ip("172.18.0.9")], prefixes };
        let v4 = ((ip("203.0.113.7"), 32), Some(ip("172.18.0.9")));
        assert_eq!(wanted("a", &nodes, &outside), expected.into_iter().chain([v4]).collect());
        let outside = Outside { via: vec![ip("172.18.0.9"), ip("fd00::9")], ..outside };
        let v6 = ((ip("2001:db8::7"), 128), Some(ip("fd00::9")));
        assert_eq!(wanted("a", &nodes, &outside), expected.into_iter().chain([v4, v6]).collect());
    }
}
