//! `toPorts` and `icmps` of a CiliumNetworkPolicy's rules (policy semantics 2.11 to 2.13).

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use egret_shared::Direction;

use super::check::{Check, rule_path};
use super::cilium_network_policy::{IcmpRule, Port, PortRule};
use super::{cilium_l7, icmp, kubernetes_rule};
use crate::protocol::Protocol;
use crate::rule::{self, Effect, Inspection, PortMatch, Ports};

/// Where a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) direction: Direction,
    pub(super) effect: Effect,
    /// The subjects are nodes.
    pub(super) host: bool,
    /// The policy has no namespace.
    pub(super) clusterwide: bool,
}

/// Most items that `ports`, and the fields of `icmps`, may have.
pub(super) const MAX_ITEMS: usize = 40;

/// The ports of a rule. Absent and empty lists leave them open; an item without ports matches nothing
/// (policy semantics 15 row 16).
pub(super) fn ports(
    check: &mut Check,
    path: &str,
    to_ports: &Option<Vec<PortRule>>,
    icmps: &Option<Vec<IcmpRule>>,
    place: Place,
) -> Ports {
    let to_ports = to_ports.as_deref().unwrap_or_default();
    let icmps = icmps.as_deref().unwrap_or_default();
    match (to_ports, icmps) {
        ([], []) => Ports::Any,
        ([], icmps) => Ports::Listed(icmp::ports(check, path, icmps)),
        (_, [_, ..]) => {
            check.problem_with(
                &format!("{path}.icmps"),
                "`icmps` and `toPorts` may not stand in one rule",
                "write two rules: items of different rules add up",
            );
            Ports::Listed(Vec::new())
        }
        (to_ports, []) => {
            let mut listed = Vec::new();
            for (index, item) in to_ports.iter().enumerate() {
                listed.extend(item_ports(check, &format!("{path}.toPorts[{index}]"), item, place));
            }
            Ports::Listed(listed)
        }
    }
}

fn item_ports(check: &mut Check, path: &str, item: &PortRule, place: Place) -> Vec<rule::PortRule> {
    let ports = item.ports.as_deref().unwrap_or_default();
    if ports.len() > MAX_ITEMS {
        check.problem(
            &format!("{path}.ports"),
            format!("{} ports: at most {MAX_ITEMS} are allowed", ports.len()),
        );
    }
    let inspect = cilium_l7::inspection(check, path, item, place);
    if matches!(inspect, Some(Inspection::Dns(_))) && ports.is_empty() {
        check.problem_with(
            &format!("{path}.rules.dns"),
            "DNS rules need a port",
            "write `ports: [{ port: \"53\", protocol: ANY }]`",
        );
    }
    let mut listed = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let at = format!("{path}.ports[{index}]");
        let Some((protocols, matched)) = self::port(check, &at, port) else { continue };
        if let Some(inspect) = &inspect {
            cilium_l7::check_port(check, &at, inspect, &matched, &protocols);
        }
        listed.extend(protocols.into_iter().map(|protocol| rule::PortRule {
            path: rule_path(path),
            protocol,
            port: matched.clone(),
            inspect: inspect.clone(),
        }));
    }
    listed
}

/// The protocols and ports of one item.
fn port(check: &mut Check, path: &str, written: &Port) -> Option<(Vec<Protocol>, PortMatch)> {
    let Port { port, end_port, protocol } = written;
    if let Some(extended) = protocol.as_deref().and_then(Protocol::parse_extended) {
        if port.as_deref().is_some_and(|port| !port.is_empty() && port != "0") {
            check.problem(&format!("{path}.port"), "a protocol without ports takes no `port`");
        }
        return Some((vec![extended], PortMatch::Every));
    }
    let protocols = protocols(check, &format!("{path}.protocol"), protocol.as_deref());
    let Some(text) = port else {
        check.problem_with(path, "`port` must be given", "`port: \"0\"` stands for every port");
        return None;
    };
    let path = format!("{path}.port");
    let matched = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let Ok(first) = text.parse::<u16>() else {
            check.problem(&path, format!("`{text}` is not a port: it must be between 0 and 65535"));
            return None;
        };
        let last = end_port.unwrap_or_default();
        let Ok(last) = u16::try_from(last) else {
            check.problem(&path, format!("`endPort` {last} is not a port: it must be between 0 and 65535"));
            return None;
        };
        match first {
            0 => PortMatch::Every,
            // An end below the port is no error to Cilium and counts for nothing (section 15 row 14).
            first => PortMatch::Range(first, last.max(first)),
        }
    } else {
        let name = text.to_ascii_lowercase();
        if !kubernetes_rule::is_port_name(&name) {
            check.problem_with(
                &path,
                format!("`{text}` is neither a port nor a port name"),
                "a name has at most 15 letters, digits and `-`, with at least one letter",
            );
            return None;
        }
        PortMatch::Named(name)
    };
    Some((protocols?, matched))
}

fn protocols(check: &mut Check, path: &str, written: Option<&str>) -> Option<Vec<Protocol>> {
    Some(match written {
        None | Some("ANY") => vec![Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
        Some("TCP") => vec![Protocol::Tcp],
        Some("UDP") => vec![Protocol::Udp],
        Some("SCTP") => vec![Protocol::Sctp],
        Some(word) if word.starts_with("ICMP") => {
            check.problem_with(
                path,
                format!("`{word}` has no ports"),
                "write `icmps: [{ fields: [{ type: 8 }] }]` in a rule of its own",
            );
            return None;
        }
        Some(word) => {
            check.problem_with(
                path,
                format!("`{word}` is not a protocol of `toPorts`"),
                "write `TCP`, `UDP`, `SCTP`, `ANY`, `VRRP`, `IGMP`, `GRE`, `IPIP`, `IPV6`, `ESP` or `AH`",
            );
            return None;
        }
    })
}
