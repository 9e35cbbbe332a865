//! The peer fields of Cilium's rules against the other side of a flow (policy semantics 2.3 to 2.10).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use ipnet::IpNet;

use super::party::Party;
use super::written::{Peers, Scope, Written};
use super::{Effect, Question, name, selector};
use crate::rule::Dialect;
use crate::spec::Document;
use crate::spec::cilium_cidr_group::CiliumCidrGroup;
use crate::spec::cilium_network_policy::{CidrRule, ServiceRule};
use crate::spec::label_selector::LabelSelector;
use crate::world::Service;
use crate::{Labels, ObjectName};

/// The label that names a pod's namespace.
pub(super) const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// The label that names a pod's cluster.
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";

/// Whether the rule means the peer: ports without any peer field mean everyone, and so do ports beside services
/// that are not there or empty lists of services and names (15 row 11).
pub(super) fn is_meant(
    question: &Question<'_>,
    rule: &Written<'_>,
    effect: Effect,
    scope: Scope<'_>,
) -> bool {
    let Peers { endpoints, cidrs, cidr_sets, entities, nodes, groups, services, names } = rule.peers;
    let has_ports = !rule.ports.is_empty() || !rule.icmps.is_empty();
    let lengths = [
        endpoints.map(<[_]>::len),
        cidrs.map(<[_]>::len),
        cidr_sets.map(<[_]>::len),
        entities.map(<[_]>::len),
        nodes.map(<[_]>::len),
        groups.map(<[_]>::len),
        services.map(<[_]>::len),
        names.map(<[_]>::len),
    ];
    if !lengths.iter().flatten().any(|length| *length > 0) {
        let is_written = lengths.iter().any(Option::is_some);
        return has_ports && (!is_written || services.is_some() || names.is_some());
    }
    let peer = &question.peer;
    // What a cloud provider would be asked for stays empty, so `groups` add nobody.
    endpoints.unwrap_or_default().iter().any(|written| is_endpoint(peer, written, scope))
        || cidrs.unwrap_or_default().iter().any(|cidr| peer.is_outside() && question.is_in(cidr, &[]))
        || cidr_sets.unwrap_or_default().iter().any(|set| is_in_set(question, set))
        || entities.unwrap_or_default().iter().any(|word| is_entity(peer, word))
        || nodes.unwrap_or_default().iter().any(|written| is_node(peer, written))
        || services.is_some_and(|services| is_backend(question, services, has_ports, effect))
        || names.unwrap_or_default().iter().any(|rule| question.is_learned(|name| name::matches(rule, name)))
}

/// Whether a Kubernetes label's key fits, under source `k8s` or without source.
pub(super) fn is_kubernetes(key: &str, fits: impl Fn(&str) -> bool) -> bool {
    match selector::source_of(key) {
        (None | Some("k8s"), bare) => fits(bare),
        (Some(_), _) => false,
    }
}

/// What Cilium adds to a selector of endpoints (policy semantics 2.6): a namespace, any namespace, the cluster.
struct Added<'a> {
    own_namespace: Option<&'a str>,
    some_namespace: bool,
    cluster: bool,
}

fn added<'a>(written: &LabelSelector, scope: Scope<'a>) -> Added<'a> {
    let has = |fits: &dyn Fn(&str) -> bool| selector::keys(written).any(|key| is_kubernetes(key, fits));
    if selector::keys(written).any(|key| selector::source_of(key).0 == Some("reserved")) {
        return Added { own_namespace: None, some_namespace: false, cluster: false };
    }
    let names_namespace = has(&|key| key == NAMESPACE);
    let names_its_labels = has(&|key| key.starts_with("io.cilium.k8s.namespace.labels."));
    Added {
        own_namespace: scope.namespace.filter(|_| !names_namespace && !names_its_labels),
        some_namespace: scope.namespace.is_none() && !names_namespace && !scope.for_init,
        cluster: !has(&|key| key == CLUSTER) && !scope.for_init,
    }
}

/// `fromEndpoints`, `toEndpoints`. Only pods have a namespace and a cluster, and there is one cluster.
fn is_endpoint(peer: &Party<'_>, written: &LabelSelector, scope: Scope<'_>) -> bool {
    let Added { own_namespace, some_namespace, cluster } = added(written, scope);
    selector::selects(written, peer, |_| false)
        && own_namespace.is_none_or(|own| peer.namespace() == Some(own))
        && (!(some_namespace || cluster) || peer.namespace().is_some())
}

/// `fromNodes`, `toNodes`: other nodes than the subject's by their labels.
fn is_node(peer: &Party<'_>, written: &LabelSelector) -> bool {
    peer.is_other_node() && selector::selects_node(written, peer)
}

/// One item of `fromCIDRSet`, `toCIDRSet`.
fn is_in_set(question: &Question<'_>, set: &CidrRule) -> bool {
    let CidrRule { cidr, cidr_group_ref, cidr_group_selector, except } = set;
    let except = except.as_deref().unwrap_or_default();
    let peer = &question.peer;
    let is_cut = || peer.is_outside() && except.iter().any(|cut| question.is_in(cut, &[]));
    if let Some(cidr) = cidr {
        return peer.is_outside() && question.is_in(cidr, except);
    }
    if let Some(wanted) = cidr_group_ref {
        let named = groups(question).filter(|group| group.metadata.name == *wanted);
        let mut prefixes = named.flat_map(|group| &group.spec.external_cidrs);
        return peer.is_outside() && prefixes.any(|prefix| question.is_in(prefix, &[])) && !is_cut();
    }
    let Some(wanted) = cidr_group_selector else { return false };
    // Cilium 1.19 looks for absent labels everywhere, also in the cluster (15 row 4).
    let counts = peer.is_outside() || question.reading.dialect == Dialect::Cilium119;
    counts && selector::selects_labels(wanted, &group_labels(question)) && !is_cut()
}

fn groups<'a>(question: &Question<'a>) -> impl Iterator<Item = &'a CiliumCidrGroup> {
    question.reading.documents.iter().filter_map(|document| match document {
        Document::CiliumCidrGroup(group) => Some(group),
        Document::NetworkPolicy(_)
        | Document::CiliumNetworkPolicy(_)
        | Document::CiliumClusterwideNetworkPolicy(_)
        | Document::ClusterNetworkPolicy(_)
        | Document::AdminNetworkPolicy(_)
        | Document::BaselineAdminNetworkPolicy(_) => None,
    })
}

/// The labels of every group that holds the peer's address. Where groups give one key different values, that of
/// the longest prefix counts, then that of the last name; nobody inside the cluster has such labels.
fn group_labels(question: &Question<'_>) -> Labels {
    let mut holding: Vec<(u8, &str, &CiliumCidrGroup)> = Vec::new();
    for group in groups(question).filter(|_| question.peer.is_outside()) {
        for prefix in group.spec.external_cidrs.iter().filter(|prefix| question.is_in(prefix, &[])) {
            let length = prefix.parse::<IpNet>().map_or(0, |net| net.prefix_len());
            holding.push((length, &group.metadata.name, group));
        }
    }
    holding.sort_by_key(|(length, name, _)| (*length, *name));
    let mut labels = BTreeMap::new();
    for (_, name, group) in holding {
        labels.insert(format!("io.cilium.policy.cidrgroupname/{name}"), String::new());
        labels.extend(group.metadata.labels.clone().unwrap_or_default());
    }
    labels
}

/// Entities (policy semantics 2.5). Nobody in the world is `init`, `health`, `ingress` or `unmanaged`, and
/// which node runs the API server is not known.
fn is_entity(peer: &Party<'_>, word: &str) -> bool {
    match word {
        "all" => true,
        "world" => peer.is_outside(),
        "cluster" => !peer.is_outside(),
        "host" => peer.is_own_node(),
        "remote-node" => peer.is_other_node(),
        // The reserved labels that no peer here has.
        _ => false,
    }
}

/// `toServices` (policy semantics 2.9). Deny rules may name services, and Cilium looks none of them up.
fn is_backend(question: &Question<'_>, written: &[ServiceRule], has_ports: bool, effect: Effect) -> bool {
    let services = question.reading.world.services.iter().filter(|(name, service)| {
        effect == Effect::Allow && written.iter().any(|rule| is_named(rule, name, service))
    });
    let services: Vec<_> = services.collect();
    let peer = &question.peer;
    let is_behind = |(name, service): &(&ObjectName, &Service)| match &service.selector {
        Some(labels) => {
            peer.namespace() == Some(name.namespace.as_str())
                && labels.iter().all(|(key, value)| peer.values(Some("k8s"), key).contains(&value.as_str()))
        }
        // Addresses given by hand count as prefixes do: for the outside alone.
        None => peer.is_outside() && peer.addresses.iter().any(|at| service.endpoints.contains(at)),
    };
    // A service without selector that has no endpoints gives no peers, as one that is not there.
    let is_empty =
        services.iter().all(|(_, service)| service.selector.is_none() && service.endpoints.is_empty());
    services.iter().any(is_behind) || (is_empty && has_ports)
}

fn is_named(rule: &ServiceRule, name: &ObjectName, service: &Service) -> bool {
    let is_there = |wanted: &Option<String>| {
        wanted.as_ref().is_none_or(|wanted| wanted.is_empty() || *wanted == name.namespace)
    };
    let by_name = rule.k8s_service.as_ref().is_some_and(|wanted| {
        wanted.service_name.as_ref() == Some(&name.name) && is_there(&wanted.namespace)
    });
    let by_labels = rule.k8s_service_selector.as_ref().is_some_and(|wanted| {
        selector::selects_labels_of(&wanted.selector, "k8s", &service.labels) && is_there(&wanted.namespace)
    });
    by_name || by_labels
}

impl Peers<'_> {
    /// The peers in a form that is the same for rules that write the same: such rules become one where they name
    /// the same ports (policy semantics 2.12). `None`: there is no such form, as for services.
    pub(super) fn as_written(&self, scope: Scope<'_>) -> Option<Vec<String>> {
        let Peers { endpoints, cidrs, cidr_sets, entities, nodes, groups, services, names } = *self;
        if services.is_some() || groups.is_some() {
            return None;
        }
        let mut forms = Vec::new();
        for written in endpoints.unwrap_or_default() {
            let Added { own_namespace, some_namespace, cluster } = added(written, scope);
            let written = selector::as_written(written);
            forms.push(format!("{written} {own_namespace:?} {some_namespace} {cluster}"));
        }
        forms.extend(cidrs.unwrap_or_default().iter().map(|cidr| format!("prefix {} []", net(cidr))));
        for set in cidr_sets.unwrap_or_default() {
            let CidrRule { cidr, cidr_group_ref, cidr_group_selector, except } = set;
            let except: Vec<_> = except.iter().flatten().map(|cidr| net(cidr)).collect();
            forms.push(match (cidr, cidr_group_ref, cidr_group_selector) {
                (Some(cidr), _, _) => format!("prefix {} [{}]", net(cidr), except.join(" ")),
                (None, Some(name), _) => format!("group {name} [{}]", except.join(" ")),
                (None, None, written) => {
                    let written = written.as_ref().map(selector::as_written).unwrap_or_default();
                    format!("groups {written} [{}]", except.join(" "))
                }
            });
        }
        forms.extend(entities.unwrap_or_default().iter().map(|word| format!("entity {word}")));
        forms.extend(
            nodes
                .unwrap_or_default()
                .iter()
                .map(|written| format!("nodes {}", selector::as_written(written))),
        );
        forms.extend(names.unwrap_or_default().iter().map(|rule| {
            let text = rule.match_name.as_ref().or(rule.match_pattern.as_ref());
            format!("name {}", text.map(|text| name::plain(text)).unwrap_or_default())
        }));
        Some(forms)
    }
}

/// A prefix in its one form.
pub(super) fn net(text: &str) -> String {
    text.parse::<IpNet>().map_or_else(|_| text.to_string(), |net| net.trunc().to_string())
}
