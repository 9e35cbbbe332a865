//! Pods and the world outside the cluster: nobody there knows the way to a pod, so their packets leave with the node's
//! address, as with [Cilium](https://docs.cilium.io/en/stable/network/concepts/masquerading/) and kind's own plugin.
//!
//! Policies have judged a packet before, on the pod's link, and see its answers after.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use egret_core::world::Node;
use ipnet::IpNet;

use crate::netlink::nat::SourceNat;
use crate::netns::Netns;

/// The unspecified address of each family.
const FAMILIES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// What is in the kernel, or why it is not, by the family's unspecified address.
#[derive(Default)]
pub(super) struct Masquerade {
    families: BTreeMap<IpAddr, Result<SourceNat, String>>,
}

impl Masquerade {
    /// Makes the rules what the nodes need. A kernel that cannot is no reason to judge nothing: the problem is kept.
    pub(super) fn reconcile(&mut self, netns: &Netns, own: &str, nodes: &BTreeMap<String, Node>) {
        for any in FAMILIES {
            let wanted = wanted(any, own, nodes);
            let is_needed = match self.families.get(&any) {
                Some(there) => there.as_ref() != Ok(&wanted),
                // A kernel without IPv6 is no problem where pods have none.
                None => !wanted.sources.is_empty(),
            };
            if is_needed {
                let problem =
                    |error| format!("pods cannot reach it, since nftables does not translate: {error}");
                let made = wanted.replace(netns).map(|()| wanted).map_err(problem);
                self.families.insert(any, made);
            }
        }
    }

    /// Why pods do not get the node's address.
    pub(super) fn problem(&self) -> Option<&str> {
        self.families.values().find_map(|made| made.as_ref().err()).map(String::as_str)
    }
}

/// From the node's own pods to whatever is neither a pod nor a node, of the family of `any`.
fn wanted(any: IpAddr, own: &str, nodes: &BTreeMap<String, Node>) -> SourceNat {
    let is_of_family = |address: IpAddr| address.is_ipv4() == any.is_ipv4();
    let pods = |node: &Node| -> Vec<IpNet> {
        let prefixes = node.pod_cidrs.iter().filter(|prefix| is_of_family(prefix.addr()));
        prefixes.map(IpNet::trunc).collect()
    };
    let addresses = nodes.values().flat_map(|node| &node.addresses).copied();
    let addresses = addresses.filter(|address| is_of_family(*address)).map(IpNet::from);
    let inside: Vec<IpNet> = nodes.values().flat_map(pods).chain(addresses).collect();
    SourceNat {
        any,
        sources: IpNet::aggregate(&nodes.get(own).map(pods).unwrap_or_default()),
        inside: IpNet::aggregate(&inside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_and_nodes_are_inside() {
        let node = |addresses: &[&str], prefixes: &[&str]| Node {
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
            pod_cidrs: prefixes.iter().map(|text| text.parse().unwrap()).collect(),
            ..Node::default()
        };
        let nodes = [
            ("a".to_owned(), node(&["fd00::1", "172.18.0.2"], &["10.244.0.0/24", "fd01::/64"])),
            ("b".to_owned(), node(&["172.18.0.9"], &["10.244.1.0/24"])),
        ];
        let nodes = nodes.into();
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let [v4, v6] = FAMILIES;
        let expected = SourceNat {
            any: v4,
            sources: nets(&["10.244.0.0/24"]),
            // The prefixes of neighbours are one.
            inside: nets(&["10.244.0.0/23", "172.18.0.2/32", "172.18.0.9/32"]),
        };
        assert_eq!(wanted(v4, "a", &nodes), expected);
        let expected =
            SourceNat { any: v6, sources: nets(&["fd01::/64"]), inside: nets(&["fd00::1/128", "fd01::/64"]) };
        assert_eq!(wanted(v6, "a", &nodes), expected);
        assert_eq!(wanted(v6, "b", &nodes).sources, []);
    }
}
