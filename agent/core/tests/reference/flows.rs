//! Random flows of a random cluster.

use egret_core::Protocol;
use egret_core::judge::Layer7;
use egret_core::reference::{Flow, Subject};
use egret_core::world::World;
use egret_shared::{Direction, PolicyKey};
use proptest::prelude::*;

use crate::cluster::ip;

/// Subjects by the place in the list of the world's pods and nodes, peers by address.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    subject: usize,
    direction: Direction,
    peer: &'static str,
    traffic: (Protocol, u16),
    seen: Layer7,
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

const TRAFFIC: [(Protocol, u16); 19] = [
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
    (Protocol::Tcp, 81),
    (Protocol::Tcp, 85),
    (Protocol::Tcp, 81),
    (Protocol::Tcp, 85),
    (Protocol::Other(47), 0),
];

pub(crate) fn asked() -> impl Strategy<Value = Asked> {
    let direction = prop::sample::select(vec![Direction::Ingress, Direction::Egress]);
    let peer = prop::sample::select(PEERS.to_vec());
    let subject = prop_oneof![5 => 0_usize..5, 1 => 5_usize..7];
    let traffic = prop::sample::select(TRAFFIC.to_vec()).prop_flat_map(|traffic| {
        prop_oneof![4 => fitting(traffic), 1 => seen()].prop_map(move |seen| (traffic, seen))
    });
    (subject, direction, peer, traffic).prop_map(|(subject, direction, peer, (traffic, seen))| Asked {
        subject,
        direction,
        peer,
        traffic,
        seen,
    })
}

/// What clients say at a port about which documents have rules.
fn fitting((protocol, port): (Protocol, u16)) -> BoxedStrategy<Layer7> {
    match (protocol, port) {
        (_, 53) => name().prop_map(Layer7::Dns).boxed(),
        (_, 85) => name().prop_map(Layer7::ServerName).boxed(),
        (_, _) => request().boxed(),
    }
}

fn seen() -> BoxedStrategy<Layer7> {
    prop_oneof![name().prop_map(Layer7::Dns), name().prop_map(Layer7::ServerName), request()].boxed()
}

fn word(words: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

/// Of queries and of servers.
fn name() -> impl Strategy<Value = String> {
    word(&["a.com", "WWW.a.com.", "x.www.a.com", "c.net"])
}

fn request() -> impl Strategy<Value = Layer7> {
    let header = (word(&["x-token", "X-Trace"]), word(&["42", ""]));
    let path = word(&["/public", "/public?x", "/a/b"]);
    let host = word(&["a.com", "www.a.com:81", ""]);
    (word(&["GET", "POST"]), path, host, prop::collection::vec(header, 0..2))
        .prop_map(|(method, path, host, headers)| Layer7::Http { method, path, host, headers })
}

impl Asked {
    /// The flow; none from a subject to itself, which no policy judges.
    pub(crate) fn flow<'a>(&'a self, world: &'a World) -> Option<Flow<'a>> {
        let pods = world.pods.iter().filter(|(_, pod)| !pod.host_network);
        let pods = pods.map(|(name, pod)| (Subject::Pod(name), &pod.addresses));
        let nodes = world.nodes.iter().map(|(name, node)| (Subject::Node(name), &node.addresses));
        let (subject, own) = pods.chain(nodes).nth(self.subject)?;
        let (peer, (protocol, port)) = (ip(self.peer), self.traffic);
        let flow = Flow { subject, direction: self.direction, peer, protocol, port, seen: Some(&self.seen) };
        (!own.contains(&peer)).then_some(flow)
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
