//! Policies in tiers, read rule by rule: ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy
//! (<https://network-policy-api.sigs.k8s.io/api-overview/>).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use egret_shared::Direction;

use super::party::Party;
use super::{Effect, Item, Matching, Order, Question, Statement, name, selector};
use crate::Protocol;
use crate::spec::cluster_network_policy::{
    AdminSpec, ClusterSpec, DestinationPort, EgressRule, IngressRule, Peer, Pods, Port,
    Protocol as ProtocolItem, Subject, Transport,
};
use crate::spec::label_selector::LabelSelector;

/// One rule of either direction and version.
struct Written<'a> {
    action: &'a str,
    peers: &'a [Peer],
    protocols: Option<&'a [ProtocolItem]>,
    ports: Option<&'a [Port]>,
}

/// The rules of both directions.
type Rules<'a> = (Option<&'a [IngressRule]>, Option<&'a [EgressRule]>);

/// What a ClusterNetworkPolicy says of a flow.
pub(super) fn cluster<'a>(question: &Question<'_>, spec: &ClusterSpec) -> Vec<Statement<'a>> {
    let ClusterSpec { tier, priority, subject, ingress, egress } = spec;
    let order = match tier.as_str() {
        "Admin" => Order::Admin { priority: *priority },
        _ => Order::Baseline { priority: *priority },
    };
    statement(question, order, subject, (ingress.as_deref(), egress.as_deref()))
}

/// What an AdminNetworkPolicy says of a flow.
pub(super) fn admin<'a>(question: &Question<'_>, spec: &AdminSpec) -> Vec<Statement<'a>> {
    let AdminSpec { priority, subject, ingress, egress } = spec;
    let order = Order::Admin { priority: priority.unwrap_or_default() };
    statement(question, order, subject, (ingress.as_deref(), egress.as_deref()))
}

/// What the BaselineAdminNetworkPolicy says of a flow.
pub(super) fn baseline<'a>(question: &Question<'_>, spec: &AdminSpec) -> Vec<Statement<'a>> {
    let AdminSpec { priority: _, subject, ingress, egress } = spec;
    let order = Order::Baseline { priority: 0 };
    statement(question, order, subject, (ingress.as_deref(), egress.as_deref()))
}

/// Only pods are subjects, and a direction without rules is left alone.
fn statement<'a>(
    question: &Question<'_>,
    order: Order,
    subject: &Subject,
    (ingress, egress): Rules<'_>,
) -> Vec<Statement<'a>> {
    let party = &question.subject;
    let is_subject = party.namespace().is_some()
        && match (&subject.namespaces, &subject.pods) {
            (Some(namespaces), _) => is_in_namespace(question, party, namespaces),
            (None, Some(pods)) => is_pod(question, party, pods),
            (None, None) => false,
        };
    let (list, rules): (_, Vec<Written<'_>>) = match question.flow.direction {
        Direction::Ingress => ("ingress", ingress.unwrap_or_default().iter().map(Written::ingress).collect()),
        Direction::Egress => ("egress", egress.unwrap_or_default().iter().map(Written::egress).collect()),
    };
    if !is_subject || rules.is_empty() {
        return Vec::new();
    }
    let mut matching = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        if !rule.peers.iter().any(|peer| is_peer(question, peer)) {
            continue;
        }
        let effect = match rule.action {
            "Deny" => Effect::Deny,
            "Pass" => Effect::Pass,
            // `Accept` and, before it, `Allow`.
            _ => Effect::Allow,
        };
        for path in rule.items(question, &format!("{list}[{place}]")) {
            matching.push(Matching { path, place, effect, item: Item::default() });
        }
    }
    Vec::from([Statement { order, default_deny: false, matching }])
}

/// Whether a pod stands in a namespace with such labels.
fn is_in_namespace(question: &Question<'_>, party: &Party<'_>, written: &LabelSelector) -> bool {
    let labels = party.namespace().map(|namespace| question.reading.world.namespaces.get(namespace));
    labels.is_some_and(|labels| selector::selects_labels(written, labels.unwrap_or(&crate::Labels::new())))
}

/// Whether a pod is meant by its namespace and labels. Cilium's `reserved:` keys are understood, and a selector
/// with one of them is not for pods alone.
fn is_pod(question: &Question<'_>, party: &Party<'_>, written: &Pods) -> bool {
    let Pods { namespace_selector, pod_selector } = written;
    let in_scope = match namespace_selector {
        Some(namespaces) => is_in_namespace(question, party, namespaces),
        None => {
            party.namespace().is_some()
                || selector::keys(pod_selector).any(|key| selector::source_of(key).0 == Some("reserved"))
        }
    };
    in_scope && selector::selects(pod_selector, party, |_| false)
}

fn is_peer(question: &Question<'_>, written: &Peer) -> bool {
    let Peer { namespaces, pods, nodes, networks, domain_names } = written;
    let peer = &question.peer;
    namespaces.as_ref().is_some_and(|written| is_in_namespace(question, peer, written))
        || pods.as_ref().is_some_and(|pods| is_pod(question, peer, pods))
        || nodes.as_ref().is_some_and(|written| {
            (peer.is_own_node() || peer.is_other_node()) && selector::selects_node(written, peer)
        })
        || networks.iter().flatten().any(|prefix| question.is_in(prefix, &[]))
        || domain_names.iter().flatten().any(|wanted| question.is_learned(|name| is_domain(wanted, name)))
}

/// A star in front stands for one or more labels.
fn is_domain(wanted: &str, learned: &str) -> bool {
    match wanted.strip_prefix("*.") {
        Some(rest) => name::fits_pattern(&format!("**.{rest}"), learned),
        None => name::plain(wanted) == name::plain(learned),
    }
}

impl<'a> Written<'a> {
    fn ingress(rule: &'a IngressRule) -> Self {
        let IngressRule { name: _, action, from, protocols, ports } = rule;
        Self { action, peers: from, protocols: protocols.as_deref(), ports: ports.as_deref() }
    }

    fn egress(rule: &'a EgressRule) -> Self {
        let EgressRule { name: _, action, to, protocols, ports } = rule;
        Self { action, peers: to, protocols: protocols.as_deref(), ports: ports.as_deref() }
    }

    /// Paths of the items that mean the flow's protocol and port; of a rule without ports, its own.
    fn items(&self, question: &Question<'_>, path: &str) -> Vec<String> {
        let mut paths = Vec::new();
        if self.protocols.is_none() && self.ports.is_none() {
            paths.push(path.into());
        }
        for (index, item) in self.protocols.unwrap_or_default().iter().enumerate() {
            if is_protocol(question, item) {
                paths.push(format!("{path}.protocols[{index}]"));
            }
        }
        for (index, item) in self.ports.unwrap_or_default().iter().enumerate() {
            if is_port(question, item) {
                paths.push(format!("{path}.ports[{index}]"));
            }
        }
        paths
    }
}

/// One item of `protocols` (v1alpha2); a name has whatever protocol the container gives it.
fn is_protocol(question: &Question<'_>, item: &ProtocolItem) -> bool {
    let ProtocolItem { tcp, udp, sctp, destination_named_port } = item;
    let flow = question.flow;
    let transports = [(Protocol::Tcp, tcp), (Protocol::Udp, udp), (Protocol::Sctp, sctp)];
    transports.into_iter().any(|(protocol, written)| {
        let Some(Transport { destination_port: Some(DestinationPort { number, range }) }) = written else {
            return false;
        };
        let port = i64::from(flow.port);
        protocol == flow.protocol
            && (*number == Some(port)
                || range.as_ref().is_some_and(|range| range.start <= port && port <= range.end))
    }) || destination_named_port.as_ref().is_some_and(|name| question.reaches_named(name))
}

/// One item of `ports` (v1alpha1).
fn is_port(question: &Question<'_>, item: &Port) -> bool {
    let Port { port_number, named_port, port_range } = item;
    let flow = question.flow;
    let port = i64::from(flow.port);
    let is_protocol = |written: &Option<String>| {
        Protocol::parse(written.as_deref().unwrap_or("TCP")) == Some(flow.protocol)
    };
    port_number.as_ref().is_some_and(|one| is_protocol(&one.protocol) && one.port == port)
        || port_range
            .as_ref()
            .is_some_and(|range| is_protocol(&range.protocol) && range.start <= port && port <= range.end)
        || named_port.as_ref().is_some_and(|name| question.reaches_named(name))
}
