//! Random flows of a random cluster.

use egret_core::reference::Flow;
use egret_core::world::{Pod, World};
use egret_core::{ObjectName, Protocol};
use egret_shared::{Direction, PolicyKey};
use proptest::prelude::*;

use crate::cluster::ip;

/// Subjects by the place in the world's list of pods, peers by address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    subject: usize,
    direction: Direction,
    peer: &'static str,
    traffic: (Protocol, u16),
}

/// Nodes, pods, and addresses outside, some of them under prefixes and names.
const PEERS: [&str; 18] = [
    "10.0.0.1",
    "10.0.0.2",
    "2001:db8::1",
    "2001:db8::2",
    "10.0.1.10",
    "10.0.1.11",
    "2001:db8:1::11",
    "10.0.2.12",
    "10.0.1.13",
    "10.0.2.14",
    "2001:db8:2::14",
    "203.0.113.5",
    "203.0.113.6",
    "203.0.113.9",
    "198.51.100.1",
    "198.51.100.2",
    "8.8.8.8",
    "2001:db8:f::5",
];

const TRAFFIC: [(Protocol, u16); 14] = [
    (Protocol::Tcp, 80),
    (Protocol::Udp, 53),
    (Protocol::Tcp, 80),
    (Protocol::Tcp, 81),
    (Protocol::Tcp, 85),
    (Protocol::Tcp, 8080),
    (Protocol::Tcp, 9090),
    (Protocol::Tcp, 53),
    (Protocol::Udp, 53),
    (Protocol::Udp, 80),
    (Protocol::Sctp, 80),
    (Protocol::Icmp, 8),
    (Protocol::Icmp, 3),
    (Protocol::Icmpv6, 128),
];

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    let direction = prop::sample::select(vec![Direction::Ingress, Direction::Egress]);
    let peer = prop::sample::select(PEERS.to_vec());
    (0_usize..5, direction, peer, prop::sample::select(TRAFFIC.to_vec()))
        .prop_map(|(subject, direction, peer, traffic)| Asked { subject, direction, peer, traffic })
}

impl Asked {
    /// The subject and the flow; none from a pod to itself, which no policy judges.
    pub(crate) fn flow<'a>(&self, world: &'a World) -> Option<(&'a Pod, Flow<'a>)> {
        let mut pods = world.pods.iter().filter(|(_, pod)| !pod.host_network);
        let (subject, pod): (&ObjectName, _) = pods.nth(self.subject)?;
        let (peer, (protocol, port)) = (ip(self.peer), self.traffic);
        let flow = Flow { subject, direction: self.direction, peer, protocol, port };
        (!pod.addresses.contains(&peer)).then_some((pod, flow))
    }
}

/// A key with only its first `prefix` bits.
pub(crate) fn masked(key: &PolicyKey, prefix: u32) -> PolicyKey {
    let [high, low] = key.port;
    let bits = [
        u128::from(key.policy) << 64,
        u128::from(key.identity) << 32,
        u128::from(key.protocol) << 24,
        u128::from(high) << 16,
        u128::from(low) << 8,
    ];
    let kept = bits.into_iter().sum::<u128>() >> (96 - prefix) << (96 - prefix);
    let [.., p0, p1, p2, p3, i0, i1, i2, i3, protocol, high, low, _] = kept.to_be_bytes();
    PolicyKey {
        policy: u32::from_be_bytes([p0, p1, p2, p3]),
        identity: u32::from_be_bytes([i0, i1, i2, i3]),
        protocol,
        port: [high, low],
        pad: 0,
    }
}
