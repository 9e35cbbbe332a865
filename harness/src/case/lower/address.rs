//! Addresses of nodes, pods and services, assigned the same in every run.
//!
//! | what | from |
//! | --- | --- |
//! | node n, counted from 1 | 172.18.0.(n+1) |
//! | pods of node n | 10.0.n.10 to 10.0.n.254, in 10.0.n.0/24 |
//! | services | 10.96.1.1 on, in 10.96.0.0/16 |
//! | pods beyond a node's prefix | 100.64.0.1 on, in 100.64.0.0/10 |
//! | node n, over IPv6 | 3fff:172:18::(n+1) |
//! | pods of node n, over IPv6 | 3fff:10:0:n::10 on, in 3fff:10:0:n::/64 |
//!
//! IPv6 addresses are of the prefix for documentation (RFC 9637), which resolvers treat as they treat addresses that
//! are in use. Nothing assigns one of 3fff:10:96::/48, which is for services.
//!
//! An address is used once in the life of a case, also after its pod is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::parts::Given;
use super::problems::Problems;
use crate::diagnostic::Diagnostic;
use crate::source::Location;
use crate::yaml::Located;

/// The prefixes of the cluster, with what they hold.
const CLUSTER: [(IpNet, &str); 6] = [
    (v4([172, 18, 0, 0], 16), "the nodes"),
    (v4([10, 0, 0, 0], 16), "the pods"),
    (v4([10, 96, 0, 0], 16), "the services"),
    (v6([0x3fff, 0x172, 0x18, 0, 0, 0, 0, 0], 48), "the nodes"),
    (v6([0x3fff, 0x10, 0, 0, 0, 0, 0, 0], 48), "the pods"),
    (v6([0x3fff, 0x10, 0x96, 0, 0, 0, 0, 0], 48), "the services"),
];

/// First address and size of the prefix for pods that find no place in their node's (RFC 6598).
const SPARE: (Ipv4Addr, u32) = (Ipv4Addr::new(100, 64, 0, 0), 1 << 22);

/// What has been assigned so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    taken: BTreeSet<IpAddr>,
    next_pod: BTreeMap<u8, u8>,
    next_pod_v6: BTreeMap<Ipv6Net, u16>,
    next_service: u16,
    nodes: u8,
    next_spare: u32,
}

// === impl Addresses ===

impl Addresses {
    /// Marks an address as used; false when it was already.
    pub(crate) fn take(&mut self, address: IpAddr) -> bool {
        self.taken.insert(address)
    }

    /// Address of the next node and the prefix of its pods; `None` after 250 nodes.
    pub(crate) fn node(&mut self) -> Option<(IpAddr, IpNet)> {
        self.nodes = self.nodes.checked_add(1).filter(|number| *number <= 250)?;
        let pods = Ipv4Net::new(Ipv4Addr::new(10, 0, self.nodes, 0), 24).ok()?;
        let mut host = self.nodes + 1;
        loop {
            let address = IpAddr::V4(Ipv4Addr::new(172, 18, 0, host));
            if self.taken.insert(address) {
                return Some((address, IpNet::V4(pods)));
            }
            host = host.checked_add(1)?;
        }
    }

    /// The same over IPv6 of the node that [`Addresses::node`] gave last.
    pub(crate) fn node_v6(&mut self) -> Option<(IpAddr, IpNet)> {
        let number = u16::from(self.nodes);
        let pods = Ipv6Net::new(Ipv6Addr::new(0x3fff, 0x10, 0, number, 0, 0, 0, 0), 64).ok()?;
        (number.checked_add(1)?..=u16::MAX)
            .map(|host| IpAddr::V6(Ipv6Addr::new(0x3fff, 0x172, 0x18, 0, 0, 0, 0, host)))
            .find(|address| self.taken.insert(*address))
            .map(|address| (address, IpNet::V6(pods)))
    }

    /// The next pod address of a node with this prefix; `None` when all are used.
    pub(crate) fn pod(&mut self, prefix: &IpNet) -> Option<IpAddr> {
        match prefix {
            IpNet::V4(prefix) => self.pod_v4(prefix),
            IpNet::V6(prefix) => self.pod_v6(prefix),
        }
    }

    fn pod_v6(&mut self, prefix: &Ipv6Net) -> Option<IpAddr> {
        let next = self.next_pod_v6.entry(*prefix).or_insert(0x10);
        while *next < u16::MAX {
            let [a, b, c, d, ..] = prefix.network().segments();
            let address = IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, *next));
            *next += 1;
            if self.taken.insert(address) {
                return Some(address);
            }
        }
        None
    }

    fn pod_v4(&mut self, prefix: &Ipv4Net) -> Option<IpAddr> {
        let [a, b, node, _] = prefix.network().octets();
        let next = self.next_pod.entry(node).or_insert(10);
        while *next < 255 {
            let address = IpAddr::V4(Ipv4Addr::new(a, b, node, *next));
            *next += 1;
            if self.taken.insert(address) {
                return Some(address);
            }
        }
        None
    }

    /// An address for a pod of a node whose prefix is used up, as no case but a whole cluster may have; `None`
    /// when all are used.
    pub(crate) fn spare(&mut self) -> Option<IpAddr> {
        loop {
            self.next_spare = self.next_spare.checked_add(1).filter(|number| *number < SPARE.1)?;
            let address = IpAddr::V4(Ipv4Addr::from_bits(SPARE.0.to_bits() + self.next_spare));
            if self.taken.insert(address) {
                return Some(address);
            }
        }
    }

    /// The next service address; `None` when all are used.
    pub(crate) fn service(&mut self) -> Option<IpAddr> {
        loop {
            self.next_service = self.next_service.checked_add(1)?;
            let [high, low] = self.next_service.to_be_bytes();
            let address = IpAddr::V4(Ipv4Addr::new(10, 96, high.checked_add(1)?, low));
            if low != 0 && low != 255 && self.taken.insert(address) {
                return Some(address);
            }
        }
    }
}

/// Whose address it would be, when it lies in one of the cluster's prefixes.
pub(super) fn of_cluster(address: IpAddr) -> Option<&'static str> {
    CLUSTER.iter().find(|(prefix, _)| prefix.contains(&address)).map(|(_, what)| *what)
}

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), length))
}

/// An address of the file.
pub(super) fn parse_address<T>(
    part: &Given<T>,
    address: &Located<String>,
    problems: &mut Problems,
) -> Option<IpAddr> {
    problems.expect(address.value.parse().ok(), || {
        Diagnostic::error(format!("`{}` is not an address", address.value)).at(part.place(address))
    })
}

/// A step cannot bring IPv6 into a world whose nodes and pods have none.
pub(super) fn check_family(address: IpAddr, ipv6: bool, at: Location, problems: &mut Problems) -> bool {
    let known = ipv6 || address.is_ipv4();
    if !known {
        problems.add(
            Diagnostic::error(format!("`{address}` is an IPv6 address, and this world has no IPv6"))
                .at(at)
                .help("`requires: [ipv6]` gives every node and pod an IPv6 address from the start"),
        );
    }
    known
}

/// Whether an address of the Internet would collide with the cluster's.
pub(super) fn check_outside(at: Location, parsed: IpAddr, problems: &mut Problems) -> bool {
    match of_cluster(parsed) {
        None => true,
        Some(whose) => {
            problems.add(Diagnostic::error(format!("`{parsed}` belongs to {whose} of the cluster")).at(at));
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn both_families_count_on_their_own() {
        let mut addresses = Addresses::default();
        assert!(addresses.take(address("3fff:172:18::3")) && addresses.take(address("3fff:10:0:2::11")));
        let mut nodes = Vec::new();
        for _ in 0..2 {
            nodes.extend([addresses.node(), addresses.node_v6()].into_iter().flatten());
        }
        let expected = [
            ("172.18.0.2", "10.0.1.0/24"),
            ("3fff:172:18::2", "3fff:10:0:1::/64"),
            ("172.18.0.3", "10.0.2.0/24"),
            // The next one was taken.
            ("3fff:172:18::4", "3fff:10:0:2::/64"),
        ];
        let expected = expected.map(|(node, pods)| (address(node), pods.parse::<IpNet>().expect("a prefix")));
        assert_eq!(nodes, expected);
        let mut pods = Vec::new();
        for (_, prefix) in &nodes {
            pods.extend([addresses.pod(prefix), addresses.pod(prefix)].into_iter().flatten());
        }
        let expected = "10.0.1.10 10.0.1.11 3fff:10:0:1::10 3fff:10:0:1::11 10.0.2.10 10.0.2.11 3fff:10:0:2::10 3fff:10:0:2::12";
        assert_eq!(pods, expected.split(' ').map(address).collect::<Vec<_>>());
        assert!(pods.iter().all(|pod| of_cluster(*pod) == Some("the pods")));
        assert_eq!(of_cluster(address("2001:db8::7")), None);
    }
}
