//! Addresses of nodes, pods and services, assigned the same in every run.
//!
//! | what | from |
//! | --- | --- |
//! | node n, counted from 1 | 172.18.0.(n+1) |
//! | pods of node n | 10.0.n.10 to 10.0.n.254, in 10.0.n.0/24 |
//! | services | 10.96.1.1 on, in 10.96.0.0/16 |
//! | pods beyond a node's prefix | 100.64.0.1 on, in 100.64.0.0/10 |
//!
//! An address is used once in the life of a case, also after its pod is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

/// The prefixes of the cluster, with what they hold.
const CLUSTER: [(Ipv4Addr, u8, &str); 3] = [
    (Ipv4Addr::new(172, 18, 0, 0), 16, "the nodes"),
    (Ipv4Addr::new(10, 0, 0, 0), 16, "the pods"),
    (Ipv4Addr::new(10, 96, 0, 0), 16, "the services"),
];

/// First address and size of the prefix for pods that find no place in their node's (RFC 6598).
const SPARE: (Ipv4Addr, u32) = (Ipv4Addr::new(100, 64, 0, 0), 1 << 22);

/// What has been assigned so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    taken: BTreeSet<IpAddr>,
    next_pod: BTreeMap<u8, u8>,
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

    /// The next pod address of a node with this prefix; `None` when all are used.
    pub(crate) fn pod(&mut self, prefix: &IpNet) -> Option<IpAddr> {
        let IpNet::V4(prefix) = prefix else { return None };
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
    let IpAddr::V4(address) = address else { return None };
    CLUSTER
        .iter()
        .find(|(network, length, _)| {
            Ipv4Net::new(*network, *length).is_ok_and(|prefix| prefix.contains(&address))
        })
        .map(|(_, _, what)| *what)
}
