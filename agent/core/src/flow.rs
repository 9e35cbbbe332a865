//! One observed event with its names resolved: what monitor lines, Hubble flows and captures are made from.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::{CtStatus, Direction, Identity, MatchType, Verdict};
use serde::{Deserialize, Serialize};

use crate::{Author, Labels, ObjectName, Protocol};

/// One packet at one hook, or one request at a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// Node that observed it.
    pub node: String,
    /// Endpoint whose policy was asked.
    pub endpoint: Option<FlowEndpoint>,
    /// Hook: egress for a packet from the endpoint, ingress for a packet to it.
    pub direction: Direction,
    /// The side that sent the packet.
    pub source: Side,
    /// The side that it is for, after service translation.
    pub destination: Side,
    /// The service address and port that the client used.
    pub service: Option<(IpAddr, u16)>,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The decision.
    pub verdict: Verdict,
    /// Whether a policy is in force here; without one, forwarded means "not asked".
    pub enforced: bool,
    /// How specific the deciding entry is.
    pub match_type: MatchType,
    /// Who decided.
    pub by: Option<Author>,
    /// What happened.
    pub event: Event,
}

/// What a flow reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A packet at a hook.
    Packet(Packet),
    /// A query or an answer at the DNS proxy.
    Dns(Dns),
}

/// The packet of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// State of its connection.
    pub status: CtStatus,
    /// Index of the endpoint's interface on the node.
    pub ifindex: u32,
    /// The kernel's flow hash.
    pub hash: u32,
    /// Whether a proxy of the node sent it in its client's name.
    pub from_proxy: bool,
    /// TCP flags as in byte 13 of the header; 0 for other protocols.
    pub tcp_flags: u8,
    /// ICMP type and code.
    pub icmp: Option<(u8, u8)>,
    /// Length of the whole packet in bytes, Ethernet header included.
    pub length: u32,
    /// Its first bytes from the Ethernet header on; as data, hexadecimal text.
    #[serde(with = "hexadecimal")]
    pub bytes: Vec<u8>,
}

/// A query or an answer at the DNS proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Name asked for, lower-case, with trailing dot.
    pub query: String,
    /// Record type as text, for example `A`.
    pub qtype: String,
    /// The answer; `None` for the query itself.
    pub answer: Option<DnsAnswer>,
}

/// An answer that the DNS proxy let through, or gave itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// Response code (RFC 1035 section 4.1.1).
    pub rcode: u8,
    /// Addresses in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// Canonical names on the way.
    pub cnames: Vec<String>,
    /// Smallest time to live in seconds.
    pub ttl: u32,
}

/// An endpoint as flows name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowEndpoint {
    /// Number of the endpoint on its node.
    pub id: u32,
    /// The pod.
    pub pod: ObjectName,
}

/// One side of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// Address.
    pub address: IpAddr,
    /// Port; 0 for ICMP.
    pub port: u16,
    /// Security identity.
    pub identity: Identity,
    /// Labels of the identity, `source:key=value`, ordered.
    pub labels: Vec<String>,
    /// The pod that has the address, with its endpoint number on this node (0 elsewhere) and its labels.
    pub pod: Option<(ObjectName, u32, Labels)>,
    /// DNS names that led the client here.
    pub names: Vec<String>,
}

/// Bytes as text with two digits each: a list of numbers would be twice as long.
mod hexadecimal {
    use alloc::string::String;
    use alloc::vec::Vec;
    use core::fmt::Write as _;

    use serde::de::{Deserialize, Deserializer, Error as _};
    use serde::ser::{Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(bytes.len().saturating_mul(2));
        for byte in bytes {
            // Writing to a string does not fail.
            let _: core::fmt::Result = write!(text, "{byte:02x}");
        }
        text.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let pairs = text.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(core::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
        bytes.ok_or_else(|| {
            D::Error::custom("these are no bytes: two hexadecimal digits for each were expected")
        })
    }
}
