//! Lines in the format of `cilium monitor`: drop, trace, policy verdict and L7.
//!
//! | type | line (Cilium `pkg/monitor/{datapath_drop,datapath_trace,datapath_policy,logrecord}.go`) |
//! | --- | --- |
//! | drop | `xx drop (REASON) flow HASH to endpoint N, ifindex I, file FILE:LINE, , identity SRC->DST: CONN` |
//! | trace | `SUMMARY flow HASH , identity SRC->DST state STATE ifindex I orig-ip IP: CONN` |
//! | policy-verdict | `Policy verdict log: flow HASH local EP ID N, remote ID R, proto P, DIR, action A, auth: T, match M, CONN` |
//! | l7 | `DIR Request dns from EP ([labels]) to EP ([labels]), identity SRC->DST, verdict V DNS proxy: NAME. TYPE` |

use std::net::{IpAddr, SocketAddr};

use egret_core::Protocol;
use egret_core::flow::{Dns, Event, Flow, Packet, Side};
use egret_shared::{Direction, Identity, Verdict};

use super::{is_judged, remote};

/// The types of monitor lines, by the words of `cilium monitor --type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum EventType {
    /// Packets that ended
    Drop,
    /// Packets that went on
    Trace,
    /// What a policy decided about a packet
    PolicyVerdict,
    /// Requests at a proxy
    L7,
}

impl EventType {
    /// Every type.
    pub const ALL: [Self; 4] = [Self::Drop, Self::Trace, Self::PolicyVerdict, Self::L7];

    /// The word on the command line and between a run and its monitors.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Trace => "trace",
            Self::PolicyVerdict => "policy-verdict",
            Self::L7 => "l7",
        }
    }
}

/// The place that drop lines name: a label of the hook, not of a source line of ours. The numbers are those of
/// Cilium 1.14's two policy drops, so that lines compare with recorded ones.
const fn file_and_line(direction: Direction) -> &'static str {
    match direction {
        Direction::Egress => "bpf_lxc.c:1276",
        Direction::Ingress => "bpf_lxc.c:1872",
    }
}

/// The lines of these types that one flow gives, in their order.
#[must_use]
pub fn lines(flow: &Flow, types: &[EventType]) -> Vec<String> {
    let lines = typed_lines(flow).into_iter().filter(|(kind, _)| types.contains(kind));
    lines.map(|(_, line)| line).collect()
}

/// All lines of one flow in their order; a packet that a policy drops gives the verdict and the drop.
#[must_use]
pub fn typed_lines(flow: &Flow) -> Vec<(EventType, String)> {
    match &flow.event {
        Event::Dns(dns) => vec![(EventType::L7, dns_line(flow, dns))],
        Event::Packet(packet) => {
            let mut lines = Vec::with_capacity(2);
            if is_judged(flow) {
                lines.push((EventType::PolicyVerdict, verdict_line(flow, packet)));
            }
            lines.push(match flow.verdict {
                Verdict::Dropped(reason) => (EventType::Drop, drop_line(flow, packet, reason.text())),
                Verdict::Forwarded | Verdict::Redirected(_) => (EventType::Trace, trace_line(flow, packet)),
            });
            lines
        }
    }
}

fn drop_line(flow: &Flow, packet: &Packet, reason: &str) -> String {
    // The double comma is Cilium's: the first half ends with a comma, the second begins with one.
    format!(
        "xx drop ({reason}) flow {:#x} to endpoint {}, ifindex {}, file {}, , identity {}: {}",
        packet.hash,
        if flow.direction == Direction::Ingress { endpoint_id(flow) } else { 0 },
        packet.ifindex,
        file_and_line(flow.direction),
        identities(flow),
        connection(flow, packet),
    )
}

fn trace_line(flow: &Flow, packet: &Packet) -> String {
    let (summary, interface, original) = match (flow.verdict, flow.direction) {
        (Verdict::Redirected(_), _) => ("-> proxy".to_owned(), 0, None),
        (_, Direction::Egress) => ("-> stack".to_owned(), 0, None),
        (_, Direction::Ingress) => {
            (format!("-> endpoint {}", endpoint_id(flow)), packet.ifindex, Some(flow.source.address))
        }
    };
    format!(
        "{summary} flow {:#x} , identity {} state {} ifindex {interface} orig-ip {}: {}",
        packet.hash,
        identities(flow),
        packet.status.text(),
        original.unwrap_or(IpAddr::from([0, 0, 0, 0])),
        connection(flow, packet),
    )
}

fn verdict_line(flow: &Flow, packet: &Packet) -> String {
    format!(
        "Policy verdict log: flow {:#x} local EP ID {}, remote ID {}, proto {}, {}, action {}, auth: disabled, match {}, {}",
        packet.hash,
        endpoint_id(flow),
        remote(flow).identity.0,
        flow.protocol.number(),
        match flow.direction {
            Direction::Egress => "egress",
            Direction::Ingress => "ingress",
        },
        match flow.verdict {
            Verdict::Forwarded => "allow",
            Verdict::Redirected(_) => "redirect",
            Verdict::Dropped(_) => "deny",
        },
        flow.match_type.text(),
        connection(flow, packet),
    )
}

fn dns_line(flow: &Flow, dns: &Dns) -> String {
    let arrow = match flow.direction {
        Direction::Egress => "->",
        Direction::Ingress => "<-",
    };
    let verdict = match flow.verdict {
        Verdict::Forwarded => "Forwarded",
        Verdict::Redirected(_) => "Redirected",
        Verdict::Dropped(_) => "Denied",
    };
    let (source, destination) = (l7_side(&flow.source), l7_side(&flow.destination));
    let (sides, answer) = match &dns.answer {
        None => (format!("Request dns from {source} to {destination}"), String::new()),
        Some(answer) => {
            let addresses = joined(&answer.addresses);
            let cnames = if answer.cnames.is_empty() {
                String::new()
            } else {
                format!(" CNAMEs: {}", joined(&answer.cnames))
            };
            (
                format!("Response dns to {destination} from {source}"),
                format!(" TTL: {} Answer: '{addresses}'{cnames}", answer.ttl),
            )
        }
    };
    format!(
        "{arrow} {sides}, identity {}->{}, verdict {verdict} DNS proxy: {} {}{answer}",
        flow.source.identity.0, flow.destination.identity.0, dns.query, dns.qtype
    )
}

/// `EP ([labels])`; a side without endpoint on this node has number 0.
fn l7_side(side: &Side) -> String {
    let id = side.pod.as_ref().map_or(0, |(_, id, _)| *id);
    format!("{id} ([{}])", side.labels.join(" "))
}

fn endpoint_id(flow: &Flow) -> u32 {
    flow.endpoint.as_ref().map_or(0, |endpoint| endpoint.id)
}

fn identities(flow: &Flow) -> String {
    let name = |identity: Identity| {
        identity.reserved_name().map_or_else(|| identity.0.to_string(), ToOwned::to_owned)
    };
    format!("{}->{}", name(flow.source.identity), name(flow.destination.identity))
}

/// The connection summary: addresses, ports, protocol, and what kind of packet it is.
fn connection(flow: &Flow, packet: &Packet) -> String {
    let side = |side: &Side| SocketAddr::new(side.address, side.port);
    let (source, destination) = (&flow.source, &flow.destination);
    match flow.protocol {
        Protocol::Tcp => {
            format!("{} -> {} tcp {}", side(source), side(destination), tcp_flags(packet.tcp_flags))
        }
        Protocol::Udp => format!("{} -> {} udp", side(source), side(destination)),
        Protocol::Sctp => format!("{} -> {} sctp", side(source), side(destination)),
        Protocol::Icmp | Protocol::Icmpv6 => {
            let kind = icmp_name(flow.protocol, packet.icmp.unwrap_or_default());
            format!("{} -> {} icmp {kind}", source.address, destination.address)
        }
        Protocol::Other(_) => format!("{} -> {}", source.address, destination.address),
    }
}

/// Flags in the order of Cilium's dissector, which leaves out the others.
fn tcp_flags(flags: u8) -> String {
    let names = [(0x02, "SYN"), (0x10, "ACK"), (0x04, "RST"), (0x01, "FIN")];
    let set: Vec<&str> = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
    set.join(", ")
}

/// Type and code in gopacket's words for the messages that the lab's pods and hosts send; numbers otherwise.
pub(super) fn icmp_name(protocol: Protocol, (kind, code): (u8, u8)) -> String {
    let name = match (protocol, kind, code) {
        (Protocol::Icmp, 0, 0) | (Protocol::Icmpv6, 129, 0) => "EchoReply",
        (Protocol::Icmp, 8, 0) | (Protocol::Icmpv6, 128, 0) => "EchoRequest",
        (Protocol::Icmp, 3, 0) => "DestinationUnreachable(Net)",
        (Protocol::Icmp, 3, 1) => "DestinationUnreachable(Host)",
        (Protocol::Icmp, 3, 3) => "DestinationUnreachable(Port)",
        (Protocol::Icmp, 11, 0) => "TimeExceeded(TTLExceeded)",
        (Protocol::Icmpv6, 1, 0) => "DestinationUnreachable(NoRouteToDst)",
        (Protocol::Icmpv6, 1, 4) => "DestinationUnreachable(Port)",
        _ => return format!("{kind}({code})"),
    };
    name.to_owned()
}

fn joined<T: ToString>(items: &[T]) -> String {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests;
