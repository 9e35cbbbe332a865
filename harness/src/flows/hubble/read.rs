//! Hubble's JSON read back: what of a flow tells who talked to whom, and what its datapath decided.

use std::net::IpAddr;

use egret_core::Protocol;
use serde::Deserialize;
use serde_json::Value;

/// `hubble observe -o jsonpb`, or the flow inside it.
#[derive(Deserialize)]
struct Wrapped {
    flow: Flow,
}

/// A flow of `flow.proto`; what is left out has its proto default.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Flow {
    #[serde(rename = "IP")]
    pub(crate) ip: Option<Ip>,
    pub(crate) l4: Option<L4>,
    pub(crate) source: Endpoint,
    pub(crate) destination: Endpoint,
    pub(crate) is_reply: Option<bool>,
    pub(crate) verdict: String,
    pub(crate) drop_reason_desc: String,
    pub(crate) event_type: EventType,
    pub(crate) traffic_direction: String,
    pub(crate) egress_allowed_by: Vec<Policy>,
    pub(crate) ingress_allowed_by: Vec<Policy>,
    pub(crate) egress_denied_by: Vec<Policy>,
    pub(crate) ingress_denied_by: Vec<Policy>,
}

/// Both addresses.
#[derive(Deserialize)]
pub(crate) struct Ip {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

/// One of them is there; another protocol has none of these.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct L4 {
    #[serde(rename = "TCP")]
    tcp: Option<Ports>,
    #[serde(rename = "UDP")]
    udp: Option<Ports>,
    #[serde(rename = "SCTP")]
    sctp: Option<Ports>,
    #[serde(rename = "ICMPv4")]
    icmpv4: Option<Icmp>,
    #[serde(rename = "ICMPv6")]
    icmpv6: Option<Icmp>,
}

#[derive(Deserialize)]
struct Ports {
    #[serde(default)]
    source_port: u16,
    #[serde(default)]
    destination_port: u16,
}

#[derive(Deserialize)]
struct Icmp {
    #[serde(default, rename = "type")]
    kind: u16,
}

/// One side of a flow.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Endpoint {
    pub(crate) namespace: String,
    pub(crate) pod_name: String,
    pub(crate) labels: Vec<String>,
    pub(crate) workloads: Vec<Workload>,
}

/// What a pod belongs to.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Workload {
    pub(crate) name: String,
}

/// Number of the monitor's message.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventType {
    #[serde(rename = "type")]
    pub(crate) kind: i32,
}

/// A policy that decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) kind: String,
}

/// The flow of a line, wrapped or bare.
///
/// # Errors
/// What is wrong, as serde says it.
pub(crate) fn flow(value: &Value) -> Result<Flow, serde_json::Error> {
    if value.get("flow").is_some() {
        Wrapped::deserialize(value).map(|wrapped| wrapped.flow)
    } else {
        Flow::deserialize(value)
    }
}

impl L4 {
    /// Protocol, source port and destination port; for ICMP the type stands in the place of the latter. `None`: no
    /// protocol that policies judge.
    pub(crate) fn ports(self) -> Option<(Protocol, u16, u16)> {
        let Self { tcp, udp, sctp, icmpv4, icmpv6 } = self;
        let ports = [(Protocol::Tcp, tcp), (Protocol::Udp, udp), (Protocol::Sctp, sctp)];
        let ports = ports.into_iter().map(|(protocol, ports)| {
            ports.map(|Ports { source_port, destination_port }| (protocol, source_port, destination_port))
        });
        let types = [(Protocol::Icmp, icmpv4), (Protocol::Icmpv6, icmpv6)];
        let types = types.into_iter().map(|(protocol, icmp)| icmp.map(|icmp| (protocol, 0, icmp.kind)));
        ports.chain(types).flatten().next()
    }
}
