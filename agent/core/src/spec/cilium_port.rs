//! `toPorts` and `icmps` of a CiliumNetworkPolicy's rules (policy semantics 2.11 to 2.13).

use alloc::format;
use alloc::vec::Vec;

use egret_shared::Direction;

use super::check::{Check, rule_path};
use super::cilium_network_policy::{IcmpRule, L7Rules, Port, PortRule};
use super::{cilium_peer, icmp, kubernetes_rule};
use crate::protocol::Protocol;
use crate::rule::{self, Effect, PortMatch, Ports};
use crate::selector::NamePattern;

/// Most items that `ports`, and the fields of `icmps`, may have.
pub(super) const MAX_ITEMS: usize = 40;

/// The ports of a rule. Absent and empty lists leave them open; an item without ports matches nothing
/// (policy semantics 15 row 16).
pub(super) fn ports(
    check: &mut Check,
    path: &str,
    to_ports: &Option<Vec<PortRule>>,
    icmps: &Option<Vec<IcmpRule>>,
    direction: Direction,
    effect: Effect,
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
                listed.extend(item_ports(
                    check,
                    &format!("{path}.toPorts[{index}]"),
                    item,
                    direction,
                    effect,
                ));
            }
            Ports::Listed(listed)
        }
    }
}

fn item_ports(
    check: &mut Check,
    path: &str,
    item: &PortRule,
    direction: Direction,
    effect: Effect,
) -> Vec<rule::PortRule> {
    let PortRule { ports, rules, terminating_tls, originating_tls, server_names, listener } = item;
    check.not_simulated(path, "terminatingTLS", terminating_tls.is_some());
    check.not_simulated(path, "originatingTLS", originating_tls.is_some());
    check.not_simulated(path, "serverNames", server_names.is_some());
    check.not_simulated(path, "listener", listener.is_some());
    let ports = ports.as_deref().unwrap_or_default();
    if ports.len() > MAX_ITEMS {
        check.problem(
            &format!("{path}.ports"),
            format!("{} ports: at most {MAX_ITEMS} are allowed", ports.len()),
        );
    }
    let dns = rules.as_ref().and_then(|rules| dns(check, &format!("{path}.rules"), rules, direction, effect));
    if dns.is_some() && ports.is_empty() {
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
        if dns.is_some() {
            check_dns_port(check, &at, &matched, protocols);
        }
        listed.extend(protocols.iter().map(|protocol| rule::PortRule {
            path: rule_path(path),
            protocol: *protocol,
            port: matched.clone(),
            dns: dns.clone(),
        }));
    }
    listed
}

/// The names of `rules.dns`; `None` when nothing in `rules` looks into the traffic.
fn dns(
    check: &mut Check,
    path: &str,
    rules: &L7Rules,
    direction: Direction,
    effect: Effect,
) -> Option<Vec<NamePattern>> {
    if effect == Effect::Deny {
        check.problem_with(
            path,
            "a deny rule cannot have `rules`: what it matches is dropped unseen",
            "take `rules` out, or allow only the requests that are wanted",
        );
        return None;
    }
    let L7Rules { http, dns, kafka, l7proto, l7 } = rules;
    let kinds = [http.is_some(), dns.is_some(), kafka.is_some(), l7proto.is_some() || l7.is_some()];
    if kinds.into_iter().filter(|kind| *kind).count() > 1 {
        check.problem(path, "only one kind of `rules` may stand in one item");
    }
    check.not_simulated(path, "http", http.is_some());
    check.not_simulated(path, "kafka", kafka.is_some());
    check.not_simulated(path, "l7proto", l7proto.is_some());
    check.not_simulated(path, "l7", l7.is_some());
    let items = dns.as_deref().filter(|items| !items.is_empty())?;
    if direction == Direction::Ingress {
        check.problem(&format!("{path}.dns"), "DNS rules are not supported at ingress");
    }
    let mut names = Vec::new();
    for (index, item) in items.iter().enumerate() {
        names.extend(cilium_peer::name_pattern(check, &format!("{path}.dns[{index}]"), item));
    }
    Some(names)
}

fn check_dns_port(check: &mut Check, path: &str, matched: &PortMatch, protocols: &[Protocol]) {
    match matched {
        PortMatch::Every => {
            check.problem(&format!("{path}.port"), "DNS rules cannot be used with port 0");
        }
        PortMatch::Range(first, last) if first < last => {
            check.problem(&format!("{path}.endPort"), "DNS rules do not support port ranges");
        }
        PortMatch::Range(..) | PortMatch::Named(_) => {}
    }
    if *protocols == [Protocol::Sctp] {
        check.problem(&format!("{path}.protocol"), "DNS rules apply to `TCP`, `UDP` or `ANY`");
    }
}

/// The protocols and ports of one item.
fn port(check: &mut Check, path: &str, written: &Port) -> Option<(&'static [Protocol], PortMatch)> {
    let Port { port, end_port, protocol } = written;
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

fn protocols(check: &mut Check, path: &str, written: Option<&str>) -> Option<&'static [Protocol]> {
    const EXTENDED: [&str; 7] = ["VRRP", "IGMP", "GRE", "IPIP", "IPV6", "ESP", "AH"];
    Some(match written {
        None | Some("ANY") => &[Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
        Some("TCP") => &[Protocol::Tcp],
        Some("UDP") => &[Protocol::Udp],
        Some("SCTP") => &[Protocol::Sctp],
        Some(word) if word.starts_with("ICMP") => {
            check.problem_with(
                path,
                format!("`{word}` has no ports"),
                "write `icmps: [{ fields: [{ type: 8 }] }]` in a rule of its own",
            );
            return None;
        }
        Some(word) if EXTENDED.contains(&word) => {
            check.problem(path, format!("protocol `{word}` is not simulated yet"));
            return None;
        }
        Some(word) => {
            check.problem_with(
                path,
                format!("`{word}` is not a protocol of `toPorts`"),
                "write `TCP`, `UDP`, `SCTP` or `ANY`",
            );
            return None;
        }
    })
}
