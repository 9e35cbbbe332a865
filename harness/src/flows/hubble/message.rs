//! The fields of `flow.proto` that a flow fills, in the proto's order and under its names.

use serde::Serialize;

/// Whether a field has its proto default and is left out.
fn unset<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One line: what `hubble observe -o jsonpb` prints.
#[derive(Serialize)]
pub(super) struct Response {
    pub(super) flow: Flow,
    pub(super) node_name: String,
    pub(super) time: String,
}

#[derive(Default, Serialize)]
pub(super) struct Flow {
    pub(super) time: String,
    pub(super) verdict: &'static str,
    #[serde(skip_serializing_if = "unset")]
    pub(super) drop_reason: u32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) ethernet: Option<Ethernet>,
    #[serde(rename = "IP")]
    pub(super) ip: Ip,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) l4: Option<L4>,
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    #[serde(rename = "Type")]
    pub(super) kind: &'static str,
    pub(super) node_name: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) source_names: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) destination_names: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) l7: Option<L7>,
    pub(super) event_type: EventType,
    pub(super) traffic_direction: &'static str,
    #[serde(skip_serializing_if = "unset")]
    pub(super) policy_match_type: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_observation_point: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) drop_reason_desc: Option<&'static str>,
    /// A wrapped bool: left out when unknown, written when false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) is_reply: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) interface: Option<Interface>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) egress_allowed_by: Vec<Policy>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) ingress_allowed_by: Vec<Policy>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) egress_denied_by: Vec<Policy>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) ingress_denied_by: Vec<Policy>,
    #[serde(rename = "Summary", skip_serializing_if = "unset")]
    pub(super) summary: String,
}

#[derive(PartialEq, Serialize)]
pub(super) struct Ethernet {
    pub(super) source: String,
    pub(super) destination: String,
}

impl Ethernet {
    /// The addresses of the frame that these bytes begin.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mac = |bytes: &[u8]| {
            let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            parts.join(":")
        };
        Some(Self { source: mac(bytes.get(6..12)?), destination: mac(bytes.get(..6)?) })
    }
}

#[derive(Default, Serialize)]
pub(super) struct Ip {
    pub(super) source: String,
    pub(super) destination: String,
    #[serde(rename = "ipVersion")]
    pub(super) version: &'static str,
}

#[derive(Serialize)]
pub(super) enum L4 {
    #[serde(rename = "TCP")]
    Tcp(Tcp),
    #[serde(rename = "UDP")]
    Udp(Ports),
    #[serde(rename = "SCTP")]
    Sctp(Ports),
    #[serde(rename = "ICMPv4")]
    Icmpv4(Icmp),
    #[serde(rename = "ICMPv6")]
    Icmpv6(Icmp),
}

#[derive(Serialize)]
pub(super) struct Tcp {
    #[serde(skip_serializing_if = "unset")]
    pub(super) source_port: u32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) destination_port: u32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) flags: TcpFlags,
}

#[derive(Serialize)]
pub(super) struct Ports {
    #[serde(skip_serializing_if = "unset")]
    pub(super) source_port: u32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) destination_port: u32,
}

#[derive(Serialize)]
pub(super) struct Icmp {
    #[serde(rename = "type", skip_serializing_if = "unset")]
    pub(super) kind: u32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) code: u32,
}

macro_rules! tcp_flags {
    ($($bit:literal $field:ident $name:literal),+) => {
        /// Flags of a TCP header; a flag that is not set is left out.
        #[derive(Default, PartialEq, Serialize)]
        pub(super) struct TcpFlags {
            $(#[serde(rename = $name, skip_serializing_if = "unset")] $field: bool,)+
        }

        impl TcpFlags {
            /// From byte 13 of the header.
            pub(super) fn of(byte: u8) -> Self {
                Self { $($field: byte & $bit != 0,)+ }
            }

            /// The set flags in the proto's order.
            pub(super) fn names(&self) -> Vec<&'static str> {
                [$((self.$field, $name)),+].into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
            }
        }
    };
}

tcp_flags!(0x01 fin "FIN", 0x02 syn "SYN", 0x04 rst "RST", 0x08 psh "PSH", 0x10 ack "ACK", 0x20 urg "URG",
    0x40 ece "ECE", 0x80 cwr "CWR");

#[derive(Default, Serialize)]
pub(super) struct Endpoint {
    #[serde(rename = "ID", skip_serializing_if = "unset")]
    pub(super) id: u32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) identity: u32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cluster_name: &'static str,
    #[serde(skip_serializing_if = "unset")]
    pub(super) namespace: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) labels: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) pod_name: String,
}

#[derive(Serialize)]
pub(super) struct L7 {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) dns: Dns,
}

#[derive(Default, Serialize)]
pub(super) struct Dns {
    pub(super) query: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) ips: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) ttl: u32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) cnames: Vec<String>,
    pub(super) observation_source: &'static str,
    #[serde(skip_serializing_if = "unset")]
    pub(super) rcode: u32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) qtypes: Vec<String>,
    #[serde(skip_serializing_if = "unset")]
    pub(super) rrtypes: Vec<String>,
}

#[derive(Default, Serialize)]
pub(super) struct EventType {
    #[serde(rename = "type")]
    pub(super) kind: i32,
    #[serde(skip_serializing_if = "unset")]
    pub(super) sub_type: i32,
}

#[derive(Serialize)]
pub(super) struct Interface {
    pub(super) index: u32,
}

#[derive(PartialEq, Serialize)]
pub(super) struct Policy {
    pub(super) name: String,
    #[serde(skip_serializing_if = "unset")]
    pub(super) namespace: String,
    pub(super) kind: String,
}
