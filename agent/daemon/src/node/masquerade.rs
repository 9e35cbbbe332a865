//! Pods and the world outside the cluster: nobody there knows the way to a pod, so their packets leave with the node's
//! address, as with [Cilium](https://docs.cilium.io/en/stable/network/concepts/masquerading/) and kind's own plugin.
//!
//! Policies have judged a packet before, on the pod's link, and see its answers after.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::world::Node;
use ipnet::{IpNet, Ipv4Net};

use crate::netlink::nat::SourceNat;
use crate::netns::Netns;

/// What is in the kernel, or why it is not.
#[derive(Default)]
pub(super) struct Masquerade {
    rules: Option<SourceNat>,
    problem: Option<String>,
}

impl Masquerade {
    /// Makes the rules what the nodes need. A kernel that cannot is no reason to judge nothing: the problem is kept.
    pub(super) fn reconcile(&mut self, netns: &Netns, own: &str, nodes: &BTreeMap<String, Node>) {
        let wanted = wanted(own, nodes);
        if self.rules.as_ref() == Some(&wanted) {
            return;
        }
        match wanted.replace(netns) {
            Ok(()) => *self = Self { rules: Some(wanted), problem: None },
            Err(error) => {
                let problem = format!("pods cannot reach it, since nftables does not translate: {error}");
                *self = Self { rules: None, problem: Some(problem) };
            }
        }
    }

    /// Why pods do not get the node's address.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

/// From the node's own pods to whatever is neither a pod nor a node.
fn wanted(own: &str, nodes: &BTreeMap<String, Node>) -> SourceNat {
    let v4 = |net: &IpNet| match net {
        IpNet::V4(net) => Some(net.trunc()),
        IpNet::V6(_) => None,
    };
    let pods = |node: &Node| node.pod_cidrs.iter().filter_map(v4).collect::<Vec<_>>();
    let addresses = nodes.values().flat_map(|node| &node.addresses).filter_map(|address| match address {
        IpAddr::V4(address) => Some(Ipv4Net::from(*address)),
        IpAddr::V6(_) => None,
    });
    let inside: Vec<Ipv4Net> = nodes.values().flat_map(pods).chain(addresses).collect();
    SourceNat {
        sources: Ipv4Net::aggregate(&nodes.get(own).map(pods).unwrap_or_default()),
        inside: Ipv4Net::aggregate(&inside),
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
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let expected = SourceNat {
            sources: nets(&["10.244.0.0/24"]),
            // The prefixes of neighbours are one.
            inside: nets(&["10.244.0.0/23", "172.18.0.2/32", "172.18.0.9/32"]),
        };
        assert_eq!(wanted("a", &nodes.into()), expected);
    }
}
