//! Hubble's JSON form of `flow.proto`, one object per line: `{"flow":{…},"node_name":"…","time":"…"}`.
//!
//! Proto field names, defaults left out, enums by name, 64-bit integers as text (protojson). The shapes stand in
//! `message`; this file fills them as Hubble's own parsers do (`pkg/hubble/parser/{threefour,seven}`).

mod message;
pub(crate) mod read;

use std::fmt::Write as _;

use egret_core::flow::{Dns, Event, Flow, Packet, Side};
use egret_core::{Author, Protocol};
use egret_shared::{CtStatus, Direction, Verdict};

use self::message as m;
use super::clock::rfc3339;
use super::{is_judged, monitor};

/// The cluster's name in node names and on both sides; there is one cluster.
const CLUSTER: &str = "default";

/// Message types of Cilium's monitor (`pkg/monitor/api/types.go`).
mod event_type {
    pub(super) const DROP: i32 = 1;
    pub(super) const TRACE: i32 = 4;
    pub(super) const POLICY_VERDICT: i32 = 5;
    pub(super) const L7: i32 = 129;
}

/// The Hubble events of one flow as lines, each with its newline: a packet that a policy drops gives two.
#[must_use]
pub fn lines(flow: &Flow) -> String {
    let mut text = String::new();
    for event in events(flow) {
        let node_name = format!("{CLUSTER}/{}", flow.node);
        let response = m::Response { time: rfc3339(flow.time), node_name, flow: event };
        let line =
            serde_json::to_string(&response).expect("plain structs of text and numbers always serialise");
        writeln!(text, "{line}").expect("writing to a String cannot fail");
    }
    text
}

fn events(flow: &Flow) -> Vec<m::Flow> {
    match &flow.event {
        Event::Dns(dns) => vec![dns_event(flow, dns)],
        Event::Packet(packet) => {
            let verdict = is_judged(flow).then(|| verdict_event(flow, packet));
            let fate = match flow.verdict {
                Verdict::Dropped(_) => drop_event(flow, packet),
                Verdict::Forwarded | Verdict::Redirected(_) => trace_event(flow, packet),
            };
            verdict.into_iter().chain([fate]).collect()
        }
    }
}

fn verdict_event(flow: &Flow, packet: &Packet) -> m::Flow {
    let mut event = packet_event(flow, packet, event_type::POLICY_VERDICT, 0);
    let by: Vec<m::Policy> = flow.by.iter().filter_map(policy).collect();
    let allowed = match flow.verdict {
        Verdict::Forwarded => true,
        Verdict::Redirected(_) => {
            event.verdict = "REDIRECTED";
            true
        }
        Verdict::Dropped(_) => false,
    };
    match (flow.direction, allowed) {
        (Direction::Egress, true) => event.egress_allowed_by = by,
        (Direction::Egress, false) => event.egress_denied_by = by,
        (Direction::Ingress, true) => event.ingress_allowed_by = by,
        (Direction::Ingress, false) => event.ingress_denied_by = by,
    }
    event.is_reply = allowed.then_some(false);
    event.policy_match_type = flow.match_type as u32;
    event
}

fn drop_event(flow: &Flow, packet: &Packet) -> m::Flow {
    let code = match flow.verdict {
        Verdict::Dropped(reason) => reason as i32,
        Verdict::Forwarded | Verdict::Redirected(_) => 0,
    };
    packet_event(flow, packet, event_type::DROP, code)
}

fn trace_event(flow: &Flow, packet: &Packet) -> m::Flow {
    // Trace points of the monitor; the proto numbers `TO_ENDPOINT` as 101 because its 0 means unknown.
    let (point, sub_type) = match (flow.verdict, flow.direction) {
        (Verdict::Redirected(_), _) => ("TO_PROXY", 1),
        (_, Direction::Egress) => ("TO_STACK", 3),
        (_, Direction::Ingress) => ("TO_ENDPOINT", 0),
    };
    let mut event = packet_event(flow, packet, event_type::TRACE, sub_type);
    let is_reply = packet.status == CtStatus::Reply;
    event.verdict = "FORWARDED";
    event.is_reply = Some(is_reply);
    event.trace_observation_point = Some(point);
    event.trace_reason = Some(match packet.status {
        CtStatus::New => "NEW",
        CtStatus::Established => "ESTABLISHED",
        CtStatus::Reply => "REPLY",
        CtStatus::Related => "RELATED",
    });
    if is_reply {
        // The connection's direction, not the packet's.
        event.traffic_direction = match flow.direction {
            Direction::Egress => "INGRESS",
            Direction::Ingress => "EGRESS",
        };
    }
    event
}

fn packet_event(flow: &Flow, packet: &Packet, kind: i32, sub_type: i32) -> m::Flow {
    let (source_port, destination_port) = (u32::from(flow.source.port), u32::from(flow.destination.port));
    let ports = || m::Ports { source_port, destination_port };
    let (icmp_type, code) = packet.icmp.unwrap_or_default();
    let icmp = || m::Icmp { kind: icmp_type.into(), code: code.into() };
    let (l4, summary) = match flow.protocol {
        Protocol::Tcp => {
            let flags = m::TcpFlags::of(packet.tcp_flags);
            let summary = format!("TCP Flags: {}", flags.names().join(", "));
            (Some(m::L4::Tcp(m::Tcp { source_port, destination_port, flags })), summary)
        }
        Protocol::Udp => (Some(m::L4::Udp(ports())), "UDP".to_owned()),
        Protocol::Sctp => (Some(m::L4::Sctp(ports())), "SCTP".to_owned()),
        Protocol::Icmp => {
            let name = monitor::icmp_name(flow.protocol, (icmp_type, code));
            (Some(m::L4::Icmpv4(icmp())), format!("ICMPv4 {name}"))
        }
        Protocol::Icmpv6 => {
            let name = monitor::icmp_name(flow.protocol, (icmp_type, code));
            (Some(m::L4::Icmpv6(icmp())), format!("ICMPv6 {name}"))
        }
        Protocol::Other(_) => (None, String::new()),
    };
    let mut event = base(flow, kind, sub_type);
    event.ethernet = m::Ethernet::of(&packet.bytes);
    event.l4 = l4;
    event.kind = "L3_L4";
    event.interface = (packet.ifindex != 0).then_some(m::Interface { index: packet.ifindex });
    event.summary = summary;
    event
}

fn dns_event(flow: &Flow, dns: &Dns) -> m::Flow {
    let (source_port, destination_port) = (u32::from(flow.source.port), u32::from(flow.destination.port));
    let ports = m::Ports { source_port, destination_port };
    let mut event = base(flow, event_type::L7, 0);
    event.kind = "L7";
    // The verdict alone tells a refused query: Hubble gives L7 drops no reason.
    event.drop_reason = 0;
    event.drop_reason_desc = None;
    event.l4 = match flow.protocol {
        Protocol::Tcp => {
            Some(m::L4::Tcp(m::Tcp { source_port, destination_port, flags: m::TcpFlags::default() }))
        }
        Protocol::Udp => Some(m::L4::Udp(ports)),
        Protocol::Sctp | Protocol::Icmp | Protocol::Icmpv6 | Protocol::Other(_) => None,
    };
    event.is_reply = Some(dns.answer.is_some());
    let mut record = m::Dns {
        query: dns.query.clone(),
        observation_source: "proxy",
        qtypes: vec![dns.qtype.clone()],
        ..m::Dns::default()
    };
    event.summary = match &dns.answer {
        None => format!("DNS Query {} {}", dns.query, dns.qtype),
        Some(answer) => {
            record.ips = answer.addresses.iter().map(ToString::to_string).collect();
            record.ttl = answer.ttl;
            record.cnames.clone_from(&answer.cnames);
            record.rcode = answer.rcode.into();
            let cname = (!answer.cnames.is_empty()).then(|| "CNAME".to_owned());
            let address = (!answer.addresses.is_empty()).then(|| dns.qtype.clone());
            record.rrtypes = cname.into_iter().chain(address).collect();
            answer_summary(dns, answer)
        }
    };
    event.l7 = Some(m::L7 { kind: if dns.answer.is_some() { "RESPONSE" } else { "REQUEST" }, dns: record });
    event
}

/// As `hubble observe` prints it: `DNS Answer "ip,ip" TTL: 30 (Proxy name. A)`.
fn answer_summary(dns: &Dns, answer: &egret_core::flow::DnsAnswer) -> String {
    let quoted = |items: &[String]| format!("\"{}\"", items.join(","));
    let addresses: Vec<String> = answer.addresses.iter().map(ToString::to_string).collect();
    let what = match (answer.rcode, addresses.is_empty()) {
        (0, false) => quoted(&addresses),
        (0, true) => String::new(),
        (rcode, _) => format!("RCode: {}", rcode_name(rcode)),
    };
    let cnames =
        if answer.cnames.is_empty() { String::new() } else { format!(" CNAMEs: {}", quoted(&answer.cnames)) };
    let blank = if what.is_empty() { "" } else { " " };
    format!("DNS Answer{blank}{what} TTL: {}{cnames} (Proxy {} {})", answer.ttl, dns.query, dns.qtype)
}

/// Names of gopacket's `DNSResponseCode`.
fn rcode_name(rcode: u8) -> String {
    let name = match rcode {
        1 => "Format Error",
        2 => "Server Failure",
        3 => "Non-Existent Domain",
        4 => "Not Implemented",
        5 => "Query Refused",
        _ => return rcode.to_string(),
    };
    name.to_owned()
}

/// What every event has.
fn base(flow: &Flow, kind: i32, sub_type: i32) -> m::Flow {
    let (verdict, reason) = match flow.verdict {
        Verdict::Forwarded | Verdict::Redirected(_) => ("FORWARDED", None),
        Verdict::Dropped(reason) => ("DROPPED", Some(reason)),
    };
    m::Flow {
        time: rfc3339(flow.time),
        verdict,
        drop_reason: reason.map_or(0, |reason| reason as u32),
        drop_reason_desc: reason.map(egret_shared::DropReason::hubble),
        ip: m::Ip {
            source: flow.source.address.to_string(),
            destination: flow.destination.address.to_string(),
            version: if flow.source.address.is_ipv4() { "IPv4" } else { "IPv6" },
        },
        source: endpoint(&flow.source),
        destination: endpoint(&flow.destination),
        node_name: format!("{CLUSTER}/{}", flow.node),
        source_names: flow.source.names.clone(),
        destination_names: flow.destination.names.clone(),
        event_type: m::EventType { kind, sub_type },
        traffic_direction: match flow.direction {
            Direction::Egress => "EGRESS",
            Direction::Ingress => "INGRESS",
        },
        ..m::Flow::default()
    }
}

fn endpoint(side: &Side) -> m::Endpoint {
    let mut endpoint =
        m::Endpoint { identity: side.identity.0, labels: side.labels.clone(), ..m::Endpoint::default() };
    if let Some((name, id, _)) = &side.pod {
        endpoint.id = *id;
        endpoint.cluster_name = CLUSTER;
        endpoint.namespace.clone_from(&name.namespace);
        endpoint.pod_name.clone_from(&name.name);
    }
    endpoint
}

/// A default deny has no policy of its own, and the kubelet's exception none at all.
fn policy(by: &Author) -> Option<m::Policy> {
    match by {
        Author::Rule { policy, .. } => Some(m::Policy {
            name: policy.name.clone(),
            namespace: policy.namespace.clone().unwrap_or_default(),
            kind: policy.kind.clone(),
        }),
        Author::DefaultDeny { .. } | Author::Kubelet => None,
    }
}

#[cfg(test)]
mod tests;
