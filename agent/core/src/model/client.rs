//! Where a connection comes from, and which address it takes.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::ObjectName;
use crate::destination;
use crate::probe::{Record, Source};
use crate::world::World;

/// Where connections come from.
#[derive(Clone, Debug)]
pub(super) struct Client {
    addresses: Vec<IpAddr>,
    /// Node on which it runs; `None` outside the cluster.
    pub(super) node: Option<String>,
    /// The pod, if it has an endpoint.
    pub(super) pod: Option<ObjectName>,
}

impl Client {
    /// The client that a probe names; `None` when there is none. A hostNetwork pod is its node.
    pub(super) fn of(world: &World, source: &Source) -> Option<Self> {
        Some(match source {
            Source::Pod(name) => {
                let pod = world.pods.get(name)?;
                Self {
                    addresses: pod.addresses.clone(),
                    node: Some(pod.node.clone()),
                    pod: (!pod.host_network).then(|| name.clone()),
                }
            }
            Source::Node(name) => Self {
                addresses: world.nodes.get(name)?.addresses.clone(),
                node: Some(name.clone()),
                pod: None,
            },
            Source::Address(address) => Self { addresses: alloc::vec![*address], node: None, pod: None },
        })
    }

    /// The address from which it reaches a server: the first of the server's family.
    pub(super) fn address(&self, server: IpAddr) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == server.is_ipv4())
    }

    /// What its resolver asks for to find a name's address: IPv6 ones only where it has one itself (getaddrinfo(3)
    /// with `AI_ADDRCONFIG`).
    pub(super) fn records(&self) -> &'static [Record] {
        if self.addresses.iter().any(IpAddr::is_ipv6) { &[Record::A, Record::Aaaa] } else { &[Record::A] }
    }

    /// The one of a name's addresses that it tries.
    pub(super) fn first_of(&self, addresses: &[IpAddr]) -> Option<IpAddr> {
        destination::first(addresses, &self.addresses)
    }
}
