//! `toPorts` and `icmps` of Cilium's rules against a flow's protocol and port (policy semantics 2.11 to 2.13).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::inside::Inside;
use super::written::Written;
use super::{Item, Question};
use crate::Protocol;
use crate::spec::cilium_network_policy::Port;
use crate::spec::network_policy::IntOrString;

/// The list items that mean the flow's protocol and port, with their paths; of a rule without ports, itself.
pub(super) fn items<'a>(question: &Question<'_>, rule: &Written<'a>, path: &str) -> Vec<(String, Item<'a>)> {
    let mut items = Vec::new();
    if rule.ports.is_empty() && rule.icmps.is_empty() {
        items.push((path.into(), Item::default()));
    }
    for (index, item) in rule.ports.iter().enumerate() {
        let inside = Inside::of(item);
        for port in item.ports.iter().flatten() {
            if let Some(ports) = matched(question, port) {
                items.push((format!("{path}.toPorts[{index}]"), Item { ports, inside, peers: None }));
            }
        }
    }
    for (index, item) in rule.icmps.iter().enumerate() {
        let is_type = item.fields.iter().flatten().any(|field| {
            let (protocol, echo) = match field.family.as_deref() {
                None | Some("IPv4") => (Protocol::Icmp, 8),
                Some(_) => (Protocol::Icmpv6, 128),
            };
            let number = match &field.kind {
                IntOrString::Int(number) => Some(*number),
                IntOrString::String(text) if text == "EchoRequest" => Some(echo),
                IntOrString::String(text) => text.parse().ok(),
            };
            // Type 0 stands for every type (15 row 13).
            protocol == question.flow.protocol
                && number.is_some_and(|number| number == 0 || number == i64::from(question.flow.port))
        });
        if is_type {
            items.push((format!("{path}.icmps[{index}]"), Item::default()));
        }
    }
    items
}

/// Whether the item means the flow, and the ports that it names: `Some(None)` when every port.
fn matched(question: &Question<'_>, written: &Port) -> Option<Option<(u16, u16)>> {
    let asked = question.flow.protocol;
    if let Some(extended) = written.protocol.as_deref().and_then(Protocol::parse_extended) {
        return (extended == asked).then_some(None);
    }
    let is_protocol = match written.protocol.as_deref() {
        None | Some("ANY") => matches!(asked, Protocol::Tcp | Protocol::Udp | Protocol::Sctp),
        Some(word) => Protocol::parse(word) == Some(asked),
    };
    let text = written.port.as_deref().filter(|_| is_protocol)?;
    let port = question.flow.port;
    match text.parse::<u16>() {
        Ok(0) => Some(None),
        Ok(first) => {
            // An end below the port counts for nothing (15 row 14).
            let last = written.end_port.and_then(|last| u16::try_from(last).ok()).unwrap_or_default();
            let last = last.max(first);
            (first..=last).contains(&port).then_some(Some((first, last)))
        }
        Err(_) => question.reaches_named(&text.to_ascii_lowercase()).then_some(Some((port, port))),
    }
}
