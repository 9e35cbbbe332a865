//! A CiliumNetworkPolicy or its cluster-wide form, read rule by rule (policy semantics 2).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use egret_shared::Direction;

use super::written::{Scope, Written, egress, ingress};
use super::{Effect, Matching, Order, Question, Statement, peer, port, selector};
use crate::spec::cilium_network_policy::{CiliumNetworkPolicy, CiliumSpec};
use crate::spec::label_selector::LabelSelector;

/// What each section that selects the subject says of a flow.
pub(super) fn statements<'a>(
    question: &Question<'a>,
    policy: &'a CiliumNetworkPolicy,
    namespace: Option<&str>,
) -> Vec<Statement<'a>> {
    let one = policy.spec.iter().map(|spec| (String::new(), spec));
    let several = policy.specs.iter().flatten().enumerate();
    let several = several.map(|(index, spec)| (format!("specs[{index}]."), spec));
    one.chain(several).filter_map(|(path, spec)| statement(question, &path, spec, namespace)).collect()
}

fn statement<'a>(
    question: &Question<'a>,
    path: &str,
    spec: &'a CiliumSpec,
    namespace: Option<&str>,
) -> Option<Statement<'a>> {
    if !selects(question, spec, namespace) {
        return None;
    }
    let subject = spec.endpoint_selector.as_ref();
    let for_init = subject.is_some_and(|subject| {
        selector::keys(subject).any(|key| selector::source_of(key) == (Some("reserved"), "init"))
    });
    let scope = Scope { namespace, for_init };
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
        let effect = if list.ends_with("Deny") { Effect::Deny } else { Effect::Allow };
        for (index, rule) in rules.iter().enumerate() {
            if !peer::is_meant(question, rule, effect, scope) {
                continue;
            }
            let alike = rule.peers.as_written(scope);
            for (path, mut item) in port::items(question, rule, &format!("{path}{list}[{index}]")) {
                item.peers.clone_from(&alike);
                matching.push(Matching { path, place: 0, effect, item });
            }
        }
    }
    Some(Statement { order: Order::Normal, default_deny: switch.unwrap_or(true), matching })
}

/// Whether the section is about the subject: a pod by `endpointSelector`, a node by `nodeSelector`.
///
/// A namespaced policy is for its own namespace, whatever its selector says of another (15 row 21).
fn selects(question: &Question<'_>, spec: &CiliumSpec, namespace: Option<&str>) -> bool {
    let is = |written: &Option<LabelSelector>, overruled: &dyn Fn(&str) -> bool| {
        written.as_ref().is_some_and(|written| selector::selects(written, &question.subject, overruled))
    };
    match question.subject.namespace() {
        Some(own) => {
            let overruled =
                |key: &str| namespace.is_some() && peer::is_kubernetes(key, |key| key == peer::NAMESPACE);
            namespace.is_none_or(|namespace| namespace == own) && is(&spec.endpoint_selector, &overruled)
        }
        None => is(&spec.node_selector, &|_| false),
    }
}
