//! A NetworkPolicy, read rule by rule (policy semantics 1).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::inside::Inside;
use super::peer::net;
use super::{Effect, Item, Matching, Order, Question, Statement, selector};
use crate::Protocol;
use crate::rule::Dialect;
use crate::spec::label_selector::LabelSelector;
use crate::spec::network_policy::{IntOrString, IpBlock, NetworkPolicy, Peer, Port};
use egret_shared::Direction;

/// What the policy says of a flow; nothing when it does not select the subject or leaves the direction alone.
pub(super) fn statements<'a>(
    question: &Question<'_>,
    policy: &NetworkPolicy,
    namespace: Option<&str>,
) -> Vec<Statement<'a>> {
    let Some(spec) = &policy.spec else { return Vec::new() };
    let everyone = LabelSelector::default();
    let pods = spec.pod_selector.as_ref().unwrap_or(&everyone);
    if question.subject.namespace() != namespace || !selector::selects_pod(pods, &question.subject) {
        return Vec::new();
    }
    let rules: Vec<(&[Peer], &[Port])> = match question.flow.direction {
        Direction::Ingress => {
            spec.ingress.iter().flatten().map(|r| (list(&r.from), list(&r.ports))).collect()
        }
        Direction::Egress => spec.egress.iter().flatten().map(|r| (list(&r.to), list(&r.ports))).collect(),
    };
    let (word, list_name) = match question.flow.direction {
        Direction::Ingress => ("Ingress", "ingress"),
        Direction::Egress => ("Egress", "egress"),
    };
    let declared = match list(&spec.policy_types) {
        // Without types: ingress always, egress when it has rules.
        [] => question.flow.direction == Direction::Ingress || !rules.is_empty(),
        types => types.iter().any(|declared| declared == word),
    };
    // Rules of a type that is not declared: Cilium enforces them all the same (15 row 5).
    if !declared && (rules.is_empty() || question.reading.dialect == Dialect::Kubernetes) {
        return Vec::new();
    }
    let mut matching = Vec::new();
    for (index, (peers, ports)) in rules.into_iter().enumerate() {
        if !peers.is_empty() && !is_any(question, peers, namespace) {
            continue;
        }
        // Only peers by block may be written alike elsewhere; no peers are.
        let blocks = peers.iter().map(|peer| peer.ip_block.as_ref().map(as_written));
        let peers: Option<Vec<String>> = blocks.collect();
        let mut add = |path: String, ports| {
            let item = Item { ports, inside: Inside::Nothing, peers: peers.clone() };
            matching.push(Matching { path, place: 0, effect: Effect::Allow, item });
        };
        if ports.is_empty() {
            add(format!("{list_name}[{index}]"), None);
        }
        for (at, port) in ports.iter().enumerate() {
            if let Some(ports) = matched(question, port) {
                add(format!("{list_name}[{index}].ports[{at}]"), ports);
            }
        }
    }
    Vec::from([Statement { order: Order::Normal, default_deny: true, matching }])
}

/// Whether any of the peers is meant. At ingress Cilium 1.19 lets every pod of the policy's namespace in where
/// a block is among them (15 row 1).
fn is_any(question: &Question<'_>, peers: &[Peer], namespace: Option<&str>) -> bool {
    let opens = question.reading.dialect == Dialect::Cilium119
        && question.flow.direction == Direction::Ingress
        && peers.iter().any(|peer| peer.ip_block.is_some());
    peers.iter().any(|peer| is_peer(question, peer, namespace))
        || (opens && namespace.is_some() && question.peer.namespace() == namespace)
}

fn list<T>(written: &Option<Vec<T>>) -> &[T] {
    written.as_deref().unwrap_or_default()
}

fn is_peer(question: &Question<'_>, peer: &Peer, own_namespace: Option<&str>) -> bool {
    if let Some(IpBlock { cidr, except }) = &peer.ip_block {
        return question.is_in(cidr, except.as_deref().unwrap_or_default());
    }
    let Some(namespace) = question.peer.namespace() else { return false };
    let in_namespace = match &peer.namespace_selector {
        None => Some(namespace) == own_namespace,
        Some(written) => {
            let labels = question.reading.world.namespaces.get(namespace);
            selector::selects_labels(written, labels.unwrap_or(&crate::Labels::new()))
        }
    };
    in_namespace
        && peer.pod_selector.as_ref().is_none_or(|written| selector::selects_pod(written, &question.peer))
}

/// A block in the form of Cilium's sets of prefixes.
fn as_written(block: &IpBlock) -> String {
    let except: Vec<_> = block.except.iter().flatten().map(|cut| net(cut)).collect();
    format!("prefix {} [{}]", net(&block.cidr), except.join(" "))
}

/// Whether the port means the flow, and the ports that it names: `Some(None)` when every port.
fn matched(question: &Question<'_>, port: &Port) -> Option<Option<(u16, u16)>> {
    let protocol = Protocol::parse(port.protocol.as_deref().unwrap_or("TCP"));
    if protocol != Some(question.flow.protocol) {
        return None;
    }
    let asked = question.flow.port;
    match &port.port {
        None => Some(None),
        Some(IntOrString::Int(first)) => {
            let number = |written: i64| u16::try_from(written).unwrap_or_default();
            let (first, last) = (number(*first), number(port.end_port.unwrap_or(*first)));
            (first <= asked && asked <= last).then_some(Some((first, last)))
        }
        Some(IntOrString::String(name)) => question.reaches_named(name).then_some(Some((asked, asked))),
    }
}
