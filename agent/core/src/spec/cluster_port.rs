//! Protocols and ports of policies in tiers, in both versions of the API.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::check::{Check, rule_path};
use super::cluster_network_policy::{
    DestinationPort, Port, PortNumber, PortRange, Protocol as ProtocolItem, Range, Transport,
};
use super::cluster_rule::Version;
use super::kubernetes_rule::is_port_name;
use crate::protocol::Protocol;
use crate::rule::{PortMatch, PortRule, Ports};

/// The ports of a rule as each version writes them.
#[derive(Clone, Copy)]
pub(super) struct Written<'a> {
    /// v1alpha2.
    pub(super) protocols: Option<&'a [ProtocolItem]>,
    /// v1alpha1.
    pub(super) ports: Option<&'a [Port]>,
}

/// The protocols of transport that named ports may have.
const TRANSPORTS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

/// The ports of a rule; `unnamed` is a field of its peers that has no named ports.
pub(super) fn ports(
    check: &mut Check,
    path: &str,
    version: Version,
    written: &Written<'_>,
    most: usize,
    unnamed: Option<&str>,
) -> Ports {
    let Written { protocols, ports } = written;
    for (field, given) in [("protocols", protocols.is_some()), ("ports", ports.is_some())] {
        if given && field != version.ports {
            check.problem_with(
                &format!("{path}.{field}"),
                format!("`{field}` belongs to another version of this API"),
                format!("write `{}`", version.ports),
            );
            return Ports::Listed(Vec::new());
        }
    }
    let count = protocols.map(<[_]>::len).or(ports.map(<[_]>::len));
    let Some(count) = count else { return Ports::Any };
    let at = format!("{path}.{}", version.ports);
    if count == 0 {
        check.problem(&at, format!("`{}` needs at least one item", version.ports));
    }
    if count > most {
        check.problem(&at, format!("{count} items: at most {most} are allowed"));
    }
    let mut listed = Vec::new();
    for (index, item) in protocols.iter().flat_map(|items| items.iter()).enumerate() {
        protocol_item(check, &format!("{at}[{index}]"), item, unnamed, &mut listed);
    }
    for (index, item) in ports.iter().flat_map(|items| items.iter()).enumerate() {
        port_item(check, &format!("{at}[{index}]"), item, unnamed, &mut listed);
    }
    Ports::Listed(listed)
}

fn protocol_item(
    check: &mut Check,
    path: &str,
    item: &ProtocolItem,
    unnamed: Option<&str>,
    listed: &mut Vec<PortRule>,
) {
    let ProtocolItem { tcp, udp, sctp, destination_named_port } = item;
    let transports =
        [("tcp", Protocol::Tcp, tcp), ("udp", Protocol::Udp, udp), ("sctp", Protocol::Sctp, sctp)];
    let given = transports.iter().filter(|(_, _, transport)| transport.is_some()).count();
    if given + usize::from(destination_named_port.is_some()) != 1 {
        check.problem(path, "exactly one of `tcp`, `udp`, `sctp` and `destinationNamedPort` must be given");
        return;
    }
    if let Some(name) = destination_named_port {
        named(check, (path, "destinationNamedPort"), name, unnamed, listed);
    }
    for (field, protocol, transport) in transports {
        let Some(Transport { destination_port }) = transport else { continue };
        let at = format!("{path}.{field}");
        let matched = match destination_port {
            Some(DestinationPort { number: Some(number), range: None }) => {
                one(check, &format!("{at}.destinationPort.number"), *number)
            }
            Some(DestinationPort { number: None, range: Some(Range { start, end }) }) => {
                range(check, &format!("{at}.destinationPort.range"), *start, *end)
            }
            Some(DestinationPort { .. }) | None => {
                let at = format!("{at}.destinationPort");
                check.problem(&at, "exactly one of `number` and `range` must be given");
                None
            }
        };
        push(path, protocol, matched, listed);
    }
}

fn port_item(check: &mut Check, path: &str, item: &Port, unnamed: Option<&str>, listed: &mut Vec<PortRule>) {
    match item {
        Port { port_number: Some(PortNumber { protocol, port }), named_port: None, port_range: None } => {
            let at = format!("{path}.portNumber");
            let matched = one(check, &format!("{at}.port"), *port);
            if let Some(protocol) = transport(check, &at, protocol.as_ref()) {
                push(path, protocol, matched, listed);
            }
        }
        Port { port_number: None, named_port: Some(name), port_range: None } => {
            named(check, (path, "namedPort"), name, unnamed, listed);
        }
        Port {
            port_number: None,
            named_port: None,
            port_range: Some(PortRange { protocol, start, end }),
        } => {
            let at = format!("{path}.portRange");
            let matched = range(check, &at, *start, *end);
            if let Some(protocol) = transport(check, &at, protocol.as_ref()) {
                push(path, protocol, matched, listed);
            }
        }
        Port { .. } => {
            check.problem(path, "exactly one of `portNumber`, `namedPort` and `portRange` must be given");
        }
    }
}

fn push(path: &str, protocol: Protocol, matched: Option<PortMatch>, listed: &mut Vec<PortRule>) {
    let rule = |port| PortRule { path: rule_path(path), protocol, port, inspect: None };
    listed.extend(matched.map(rule));
}

/// A named port, whichever protocol the container gives it.
fn named(
    check: &mut Check,
    (path, field): (&str, &str),
    name: &str,
    unnamed: Option<&str>,
    listed: &mut Vec<PortRule>,
) {
    let at = format!("{path}.{field}");
    if let Some(peer) = unnamed {
        check.problem(&at, format!("peers by `{peer}` have no named ports"));
    } else if !is_port_name(name) {
        check.problem(&at, format!("`{name}` is not a port name"));
    } else {
        for protocol in TRANSPORTS {
            push(path, protocol, Some(PortMatch::Named(name.into())), listed);
        }
    }
}

fn transport(check: &mut Check, path: &str, written: Option<&String>) -> Option<Protocol> {
    let Some(word) = written else { return Some(Protocol::Tcp) };
    let found = Protocol::parse(word).filter(|protocol| TRANSPORTS.contains(protocol));
    if found.is_none() {
        check.problem_with(
            &format!("{path}.protocol"),
            format!("`{word}` is not a protocol of these policies"),
            "write `TCP`, `UDP` or `SCTP`",
        );
    }
    found
}

fn number(check: &mut Check, path: &str, written: i64) -> Option<u16> {
    let port = u16::try_from(written).ok().filter(|port| *port != 0);
    if port.is_none() {
        check.problem(path, format!("`{written}` is not a port: it must be between 1 and 65535"));
    }
    port
}

fn one(check: &mut Check, path: &str, written: i64) -> Option<PortMatch> {
    number(check, path, written).map(|port| PortMatch::Range(port, port))
}

fn range(check: &mut Check, path: &str, start: i64, end: i64) -> Option<PortMatch> {
    let first = number(check, &format!("{path}.start"), start);
    let last = number(check, &format!("{path}.end"), end);
    let (first, last) = (first?, last?);
    if first >= last {
        check.problem(path, format!("`start` {first} must be less than `end` {last}"));
        return None;
    }
    Some(PortMatch::Range(first, last))
}
