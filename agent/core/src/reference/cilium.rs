//! A CiliumNetworkPolicy or its cluster-wide form, read rule by rule (policy semantics 2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use egret_shared::Direction;
use ipnet::IpNet;

use super::party::Party;
use super::{Effect, Question, Statement, name, selector};
use crate::Protocol;
use crate::spec::cilium_network_policy::{
    CidrRule, CiliumNetworkPolicy, CiliumSpec, EgressRule, IcmpRule, IngressRule, NameRule, Port, PortRule,
    ServiceRule,
};
use crate::spec::label_selector::LabelSelector;
use crate::spec::network_policy::IntOrString;

/// The label that names a pod's namespace.
const NAMESPACE: &str = "io.kubernetes.pod.namespace";

/// One rule of either direction; a field that the direction does not have is absent.
#[derive(Default)]
struct Written<'a> {
    endpoints: Option<&'a [LabelSelector]>,
    cidrs: Option<&'a [String]>,
    cidr_sets: Option<&'a [CidrRule]>,
    entities: Option<&'a [String]>,
    services: Option<&'a [ServiceRule]>,
    names: Option<&'a [NameRule]>,
    ports: &'a [PortRule],
    icmps: &'a [IcmpRule],
}

/// Whether the policy has no peer that this reading does not know: nodes, groups, requirements, and services
/// by label.
pub(super) fn is_read(policy: &CiliumNetworkPolicy) -> bool {
    policy.spec.iter().chain(policy.specs.iter().flatten()).all(|spec| {
        let mut ingress = spec.ingress.iter().chain(&spec.ingress_deny).flatten();
        let mut egress = spec.egress.iter().chain(&spec.egress_deny).flatten();
        spec.node_selector.is_none()
            && ingress.all(|rule| {
                rule.from_nodes.is_none() && rule.from_groups.is_none() && rule.from_requires.is_none()
            })
            && egress.all(|rule| {
                let mut services = rule.to_services.iter().flatten();
                rule.to_nodes.is_none()
                    && rule.to_groups.is_none()
                    && rule.to_requires.is_none()
                    && services.all(|service| service.k8s_service_selector.is_none())
            })
    })
}

/// What each section that selects the subject says of a flow.
pub(super) fn statements(
    question: &Question<'_>,
    policy: &CiliumNetworkPolicy,
    namespace: Option<&str>,
) -> Vec<Statement> {
    let one = policy.spec.iter().map(|spec| (String::new(), spec));
    let several = policy.specs.iter().flatten().enumerate();
    let several = several.map(|(index, spec)| (format!("specs[{index}]."), spec));
    one.chain(several).filter_map(|(path, spec)| statement(question, &path, spec, namespace)).collect()
}

fn statement(
    question: &Question<'_>,
    path: &str,
    spec: &CiliumSpec,
    namespace: Option<&str>,
) -> Option<Statement> {
    let subject = spec.endpoint_selector.as_ref()?;
    // A namespaced policy is for its own namespace, whatever its selector says of another (15 row 21).
    let overruled = |key: &str| namespace.is_some() && is_kubernetes(key, |key| key == NAMESPACE);
    if namespace.is_some_and(|own| question.subject.namespace() != Some(own))
        || !selector::selects(subject, &question.subject, overruled)
    {
        return None;
    }
    let for_init = selector::keys(subject).any(|key| selector::source_of(key) == (Some("reserved"), "init"));
    let switch = spec.enable_default_deny.as_ref();
    let (lists, switch): ([(&str, Vec<Written<'_>>); 2], _) = match question.flow.direction {
        Direction::Ingress => (
            [("ingress", ingress(&spec.ingress)), ("ingressDeny", ingress(&spec.ingress_deny))],
            switch.and_then(|switch| switch.ingress),
        ),
        Direction::Egress => (
            [("egress", egress(&spec.egress)), ("egressDeny", egress(&spec.egress_deny))],
            switch.and_then(|switch| switch.egress),
        ),
    };
    if lists.iter().all(|(_, rules)| rules.is_empty()) {
        return None;
    }
    let mut matching = Vec::new();
    for (list, rules) in &lists {
        let denies = list.ends_with("Deny");
        for (index, rule) in rules.iter().enumerate() {
            if is_peer(question, rule, namespace, for_init) {
                ports(question, rule, denies, &format!("{path}{list}[{index}]"), &mut matching);
            }
        }
    }
    Some(Statement { default_deny: switch.unwrap_or(true), matching })
}

fn ingress(written: &Option<Vec<IngressRule>>) -> Vec<Written<'_>> {
    let rules = written.iter().flatten().map(|rule| Written {
        endpoints: rule.from_endpoints.as_deref(),
        cidrs: rule.from_cidr.as_deref(),
        cidr_sets: rule.from_cidr_set.as_deref(),
        entities: rule.from_entities.as_deref(),
        ports: rule.to_ports.as_deref().unwrap_or_default(),
        icmps: rule.icmps.as_deref().unwrap_or_default(),
        ..Written::default()
    });
    rules.collect()
}

fn egress(written: &Option<Vec<EgressRule>>) -> Vec<Written<'_>> {
    let rules = written.iter().flatten().map(|rule| Written {
        endpoints: rule.to_endpoints.as_deref(),
        cidrs: rule.to_cidr.as_deref(),
        cidr_sets: rule.to_cidr_set.as_deref(),
        entities: rule.to_entities.as_deref(),
        services: rule.to_services.as_deref(),
        names: rule.to_fqdns.as_deref(),
        ports: rule.to_ports.as_deref().unwrap_or_default(),
        icmps: rule.icmps.as_deref().unwrap_or_default(),
    });
    rules.collect()
}

/// Whether the rule means the peer (policy semantics 2.3): ports without any peer field mean everyone, and so
/// do ports beside services that are not there or empty lists of services and names (15 row 11).
fn is_peer(question: &Question<'_>, rule: &Written<'_>, namespace: Option<&str>, for_init: bool) -> bool {
    let Written { endpoints, cidrs, cidr_sets, entities, services, names, ports, icmps } = rule;
    let has_ports = !ports.is_empty() || !icmps.is_empty();
    let filled = |empty: Option<bool>| empty == Some(false);
    let any_filled = filled(endpoints.map(<[_]>::is_empty))
        || filled(cidrs.map(<[_]>::is_empty))
        || filled(cidr_sets.map(<[_]>::is_empty))
        || filled(entities.map(<[_]>::is_empty))
        || filled(services.map(<[_]>::is_empty))
        || filled(names.map(<[_]>::is_empty));
    let any_written = endpoints.is_some()
        || cidrs.is_some()
        || cidr_sets.is_some()
        || entities.is_some()
        || services.is_some()
        || names.is_some();
    if !any_filled {
        return has_ports && (!any_written || services.is_some() || names.is_some());
    }
    let peer = &question.peer;
    let address = peer.address.filter(|_| peer.is_outside()).map(IpNet::from);
    let covers =
        |text: &str| address.is_some_and(|at| text.parse::<IpNet>().is_ok_and(|net| net.contains(&at)));
    endpoints.unwrap_or_default().iter().any(|written| is_endpoint(peer, written, namespace, for_init))
        || cidrs.unwrap_or_default().iter().any(|cidr| covers(cidr))
        || cidr_sets.unwrap_or_default().iter().any(|set| {
            set.cidr.as_deref().is_some_and(covers) && !set.except.iter().flatten().any(|cidr| covers(cidr))
        })
        || entities.unwrap_or_default().iter().any(|word| is_entity(peer, word))
        || services.is_some_and(|services| is_backend(question, services, has_ports))
        || names.unwrap_or_default().iter().any(|rule| {
            let mut learned = question.reading.learned.iter();
            peer.is_outside()
                && learned.any(|(learned, at)| Some(*at) == peer.address && name::matches(rule, learned))
        })
}

/// Whether a Kubernetes label's key fits, under source `k8s` or without source.
fn is_kubernetes(key: &str, fits: impl Fn(&str) -> bool) -> bool {
    match selector::source_of(key) {
        (None | Some("k8s"), bare) => fits(bare),
        (Some(_), _) => false,
    }
}

/// `fromEndpoints`, `toEndpoints`, with what Cilium adds to each selector (policy semantics 2.6).
fn is_endpoint(peer: &Party<'_>, written: &LabelSelector, namespace: Option<&str>, for_init: bool) -> bool {
    if !selector::selects(written, peer, |_| false) {
        return false;
    }
    let has = |fits: &dyn Fn(&str) -> bool| selector::keys(written).any(|key| is_kubernetes(key, fits));
    if selector::keys(written).any(|key| selector::source_of(key).0 == Some("reserved")) {
        return true;
    }
    let names_namespace = has(&|key| key == NAMESPACE);
    let names_its_labels = has(&|key| key.starts_with("io.cilium.k8s.namespace.labels."));
    let in_scope = match namespace {
        Some(own) => names_namespace || names_its_labels || peer.namespace() == Some(own),
        None => names_namespace || for_init || peer.namespace().is_some(),
    };
    let in_cluster = has(&|key| key == "io.cilium.k8s.policy.cluster")
        || (namespace.is_none() && for_init)
        || peer.namespace().is_some();
    in_scope && in_cluster
}

/// Entities (policy semantics 2.5). Nobody in the world is `init`, `health`, `ingress` or `unmanaged`, and
/// which node runs the API server is not known.
fn is_entity(peer: &Party<'_>, word: &str) -> bool {
    match word {
        "all" => true,
        "world" => peer.is_outside(),
        "cluster" => !peer.is_outside(),
        "host" => !peer.values(Some("reserved"), "host").is_empty(),
        "remote-node" => peer.is_other_node(),
        // The reserved labels that no peer here has.
        _ => false,
    }
}

/// `toServices` (policy semantics 2.9).
fn is_backend(question: &Question<'_>, written: &[ServiceRule], has_ports: bool) -> bool {
    let (mut found, mut means) = (false, false);
    for wanted in written.iter().filter_map(|rule| rule.k8s_service.as_ref()) {
        for (name, service) in &question.reading.world.services {
            let anywhere = wanted.namespace.as_deref().unwrap_or_default();
            if wanted.service_name.as_ref() != Some(&name.name)
                || !(anywhere.is_empty() || anywhere == name.namespace)
            {
                continue;
            }
            found = true;
            means |= match &service.selector {
                Some(labels) => {
                    question.peer.namespace() == Some(name.namespace.as_str())
                        && labels.iter().all(|(key, value)| {
                            question.peer.values(Some("k8s"), key).contains(&value.as_str())
                        })
                }
                // Addresses given by hand count as prefixes do: for the outside alone.
                None => {
                    question.peer.is_outside()
                        && question.peer.address.is_some_and(|at| service.endpoints.contains(&at))
                }
            };
        }
    }
    means || (!found && has_ports)
}

/// Notes each list item that means the flow's protocol and port.
fn ports(
    question: &Question<'_>,
    rule: &Written<'_>,
    denies: bool,
    path: &str,
    matching: &mut Vec<(Effect, String)>,
) {
    let plain = if denies { Effect::Deny } else { Effect::Allow };
    if rule.ports.is_empty() && rule.icmps.is_empty() {
        matching.push((plain, path.into()));
    }
    for (index, item) in rule.ports.iter().enumerate() {
        let looks_inside = item.server_names.as_ref().is_some_and(|names| !names.is_empty())
            || item.rules.as_ref().is_some_and(|rules| {
                rules.dns.as_ref().is_some_and(|names| !names.is_empty())
                    || rules.http.as_ref().is_some_and(|requests| !requests.is_empty())
            });
        let effect = if looks_inside { Effect::Redirect } else { plain };
        if item.ports.iter().flatten().any(|port| is_port(question, port)) {
            matching.push((effect, format!("{path}.toPorts[{index}]")));
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
            matching.push((plain, format!("{path}.icmps[{index}]")));
        }
    }
}

fn is_port(question: &Question<'_>, written: &Port) -> bool {
    let asked = question.flow.protocol;
    let is_protocol = match written.protocol.as_deref() {
        None | Some("ANY") => matches!(asked, Protocol::Tcp | Protocol::Udp | Protocol::Sctp),
        Some(word) => Protocol::parse(word) == Some(asked),
    };
    let Some(text) = written.port.as_deref().filter(|_| is_protocol) else { return false };
    match text.parse::<i64>() {
        Ok(0) => true,
        Ok(first) => {
            // An end below the port counts for nothing (15 row 14).
            let last = written.end_port.unwrap_or_default().max(first);
            (first..=last).contains(&i64::from(question.flow.port))
        }
        Err(_) => question.reaches_named(&text.to_ascii_lowercase()),
    }
}
