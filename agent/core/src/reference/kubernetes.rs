//! A NetworkPolicy, read rule by rule (policy semantics 1).

use alloc::format;
use alloc::vec::Vec;

use egret_shared::Direction;
use ipnet::IpNet;

use super::{Effect, Question, Statement, selector};
use crate::Protocol;
use crate::rule::Dialect;
use crate::spec::label_selector::LabelSelector;
use crate::spec::network_policy::{IntOrString, IpBlock, NetworkPolicy, Peer, Port};

/// What the policy says of a flow; nothing when it does not select the subject or leaves the direction alone.
pub(super) fn statements(
    question: &Question<'_>,
    policy: &NetworkPolicy,
    namespace: Option<&str>,
) -> Vec<Statement> {
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
        if !peers.is_empty() && !peers.iter().any(|peer| is_peer(question, peer, namespace)) {
            continue;
        }
        if ports.is_empty() {
            matching.push((Effect::Allow, format!("{list_name}[{index}]")));
        }
        for (at, port) in ports.iter().enumerate() {
            if is_port(question, port) {
                matching.push((Effect::Allow, format!("{list_name}[{index}].ports[{at}]")));
            }
        }
    }
    Vec::from([Statement { default_deny: true, matching }])
}

fn list<T>(written: &Option<Vec<T>>) -> &[T] {
    written.as_deref().unwrap_or_default()
}

fn is_peer(question: &Question<'_>, peer: &Peer, own_namespace: Option<&str>) -> bool {
    if let Some(block) = &peer.ip_block {
        // Cilium's blocks are for addresses outside the cluster alone (15 row 6); Kubernetes' are for all.
        return (question.peer.is_outside() || question.reading.dialect == Dialect::Kubernetes)
            && question.peer.address.is_some_and(|address| in_block(block, IpNet::from(address)));
    }
    let Some(namespace) = question.peer.namespace() else { return false };
    let in_namespace = match &peer.namespace_selector {
        None => Some(namespace) == own_namespace,
        Some(written) => {
            let labels = question.reading.world.namespaces.get(namespace);
            selector::selects_namespace(written, labels.unwrap_or(&crate::Labels::new()))
        }
    };
    in_namespace
        && peer.pod_selector.as_ref().is_none_or(|written| selector::selects_pod(written, &question.peer))
}

fn in_block(block: &IpBlock, address: IpNet) -> bool {
    let covers = |text: &str| text.parse::<IpNet>().is_ok_and(|net| net.contains(&address));
    covers(&block.cidr) && !block.except.iter().flatten().any(|except| covers(except))
}

fn is_port(question: &Question<'_>, port: &Port) -> bool {
    let protocol = Protocol::parse(port.protocol.as_deref().unwrap_or("TCP"));
    if protocol != Some(question.flow.protocol) {
        return false;
    }
    let asked = i64::from(question.flow.port);
    match &port.port {
        None => true,
        Some(IntOrString::Int(first)) => *first <= asked && asked <= port.end_port.unwrap_or(*first),
        Some(IntOrString::String(name)) => question.reaches_named(name),
    }
}
