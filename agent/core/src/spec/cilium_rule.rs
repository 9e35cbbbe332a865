//! A CiliumNetworkPolicy's sections and rules (policy semantics 2 and 3.2).

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use egret_shared::Direction;
use serde::de::IgnoredAny;

use super::check::{Check, rule_path};
use super::cilium_network_policy::{
    Authentication, CiliumNetworkPolicy, CiliumSpec, EgressRule, IngressRule, Log,
};
use super::cilium_peer::{self, Field};
use super::cilium_port::{self, Place};
use super::label_selector::{self, Keys, LabelSelector};
use crate::identity::{LabelSet, Source};
use crate::rule::{Effect, Enforcement, Peers, Ports, Rule, Section, Subject, Tier};
use crate::selector;

/// What holds for every rule of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    /// Namespace of the policy; `None` for the cluster-wide kind.
    pub(super) namespace: Option<&'a str>,
    /// The subject is chosen by `reserved:init`.
    pub(super) init_subject: bool,
    /// The subjects are nodes.
    pub(super) host: bool,
}

/// The sections of a policy: `spec` first, then `specs`.
pub(super) fn sections(
    check: &mut Check,
    policy: &CiliumNetworkPolicy,
    namespace: Option<&str>,
) -> Vec<Section> {
    let CiliumNetworkPolicy { api_version: _, kind: _, metadata, spec, specs, status: _ } = policy;
    if namespace.is_none() && metadata.namespace.is_some() {
        check.problem("metadata.namespace", "a cluster-wide policy has no namespace");
    }
    let specs = specs.as_deref().unwrap_or_default();
    if spec.is_none() && specs.is_empty() {
        check.problem("spec", "`spec` or `specs` must be given");
    }
    let mut sections = Vec::new();
    if let Some(spec) = spec {
        sections.extend(section(check, "spec", spec, namespace));
    }
    for (index, spec) in specs.iter().enumerate() {
        sections.extend(section(check, &format!("specs[{index}]"), spec, namespace));
    }
    sections
}

fn section(check: &mut Check, path: &str, spec: &CiliumSpec, namespace: Option<&str>) -> Option<Section> {
    let CiliumSpec {
        endpoint_selector,
        node_selector,
        ingress,
        ingress_deny,
        egress,
        egress_deny,
        enable_default_deny,
        description: _,
        labels: _,
        log,
    } = spec;
    check_log(check, path, log.as_ref());
    if node_selector.is_some() && endpoint_selector.is_some() {
        check.problem(path, "`endpointSelector` and `nodeSelector` may not stand together");
    } else if node_selector.is_some() && namespace.is_some() {
        check.problem_with(
            &format!("{path}.nodeSelector"),
            "a CiliumNetworkPolicy cannot select nodes",
            "write a CiliumClusterwideNetworkPolicy",
        );
    }
    let (ingress, ingress_deny) = (slice(ingress), slice(ingress_deny));
    let (egress, egress_deny) = (slice(egress), slice(egress_deny));
    if ingress.is_empty() && ingress_deny.is_empty() && egress.is_empty() && egress_deny.is_empty() {
        check.problem_with(
            path,
            "a policy must have at least one rule in `ingress`, `ingressDeny`, `egress` or `egressDeny`",
            "to deny by default, write `ingress: [{}]` or `egress: [{}]`",
        );
    }
    let (subject, init_subject) = match (endpoint_selector, node_selector) {
        (Some(written), _) => {
            let path = format!("{path}.endpointSelector");
            let (selector, init) = subject(check, &path, written, namespace);
            (Subject::Endpoints(selector), init)
        }
        (None, Some(written)) => {
            let path = format!("{path}.nodeSelector");
            (Subject::Nodes(label_selector::understand(check, &path, written, Keys::Cilium)), false)
        }
        (None, None) => {
            check.problem_with(
                path,
                "a policy must have an `endpointSelector`",
                "`endpointSelector: {}` selects every endpoint",
            );
            return None;
        }
    };
    let scope = Scope { namespace, init_subject, host: endpoint_selector.is_none() };
    let mut rules = Vec::new();
    for (list, items, effect) in
        [("ingress", ingress, Effect::Allow), ("ingressDeny", ingress_deny, Effect::Deny)]
    {
        for (index, item) in items.iter().enumerate() {
            rules.push(ingress_rule(check, &format!("{path}.{list}[{index}]"), item, effect, scope));
        }
    }
    for (list, items, effect) in
        [("egress", egress, Effect::Allow), ("egressDeny", egress_deny, Effect::Deny)]
    {
        for (index, item) in items.iter().enumerate() {
            rules.push(egress_rule(check, &format!("{path}.{list}[{index}]"), item, effect, scope));
        }
    }
    let switch = enable_default_deny.clone().unwrap_or_default();
    Some(Section {
        subject,
        tier: Tier::Normal,
        ingress: enforcement(switch.ingress, ingress.is_empty() && ingress_deny.is_empty()),
        egress: enforcement(switch.egress, egress.is_empty() && egress_deny.is_empty()),
        rules,
    })
}

fn slice<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

/// A direction without rules is left alone, whatever the switch says (policy semantics 15 row 18).
const fn enforcement(switch: Option<bool>, no_rules: bool) -> Enforcement {
    match (no_rules, switch) {
        (true, _) => Enforcement::None,
        (false, Some(false)) => Enforcement::DefaultAllow,
        (false, None | Some(true)) => Enforcement::DefaultDeny,
    }
}

/// The subject's selector, and whether it asks for `reserved:init`.
///
/// A namespaced policy selects in its own namespace: a requirement on another one is overruled
/// (policy semantics 15 row 21).
fn subject(
    check: &mut Check,
    path: &str,
    written: &LabelSelector,
    namespace: Option<&str>,
) -> (selector::LabelSelector, bool) {
    let mut selector = label_selector::understand(check, path, written, Keys::Cilium);
    if let Some(namespace) = namespace {
        Arc::make_mut(&mut selector.requirements).retain(|requirement| {
            !(requirement.key == LabelSet::NAMESPACE
                && matches!(requirement.source, None | Some(Source::K8s)))
        });
        selector.require(LabelSet::NAMESPACE, namespace);
    }
    let init =
        label_selector::has_key(&selector, |source, key| source == Some(Source::Reserved) && key == "init");
    (selector, init)
}

fn ingress_rule(check: &mut Check, path: &str, item: &IngressRule, effect: Effect, scope: Scope<'_>) -> Rule {
    let IngressRule {
        from_endpoints,
        from_cidr,
        from_cidr_set,
        from_entities,
        from_nodes,
        from_groups,
        from_requires,
        to_ports,
        icmps,
        authentication,
    } = item;
    check_requires(check, path, "fromRequires", from_requires.as_deref());
    check_authentication(check, path, authentication.as_ref(), effect);
    let ports = cilium_port::ports(check, path, to_ports, icmps, scope.place(Direction::Ingress, effect));
    let fields = [
        cilium_peer::endpoints(check, path, "fromEndpoints", from_endpoints, scope),
        cilium_peer::prefixes(check, path, "fromCIDR", from_cidr),
        cilium_peer::prefix_sets(check, path, "fromCIDRSet", from_cidr_set),
        cilium_peer::entities(check, path, "fromEntities", from_entities),
        cilium_peer::nodes(check, path, "fromNodes", from_nodes),
        cilium_peer::groups(check, path, "fromGroups", from_groups),
    ];
    rule(check, path, Direction::Ingress, effect, fields, ports)
}

fn egress_rule(check: &mut Check, path: &str, item: &EgressRule, effect: Effect, scope: Scope<'_>) -> Rule {
    let EgressRule {
        to_endpoints,
        to_cidr,
        to_cidr_set,
        to_entities,
        to_nodes,
        to_services,
        to_fqdns,
        to_groups,
        to_requires,
        to_ports,
        icmps,
        authentication,
    } = item;
    check_requires(check, path, "toRequires", to_requires.as_deref());
    check_authentication(check, path, authentication.as_ref(), effect);
    let ports = cilium_port::ports(check, path, to_ports, icmps, scope.place(Direction::Egress, effect));
    let fields = [
        cilium_peer::endpoints(check, path, "toEndpoints", to_endpoints, scope),
        cilium_peer::prefixes(check, path, "toCIDR", to_cidr),
        cilium_peer::prefix_sets(check, path, "toCIDRSet", to_cidr_set),
        cilium_peer::entities(check, path, "toEntities", to_entities),
        cilium_peer::nodes(check, path, "toNodes", to_nodes),
        cilium_peer::groups(check, path, "toGroups", to_groups),
        cilium_peer::services(check, path, "toServices", to_services),
        cilium_peer::names(check, path, "toFQDNs", to_fqdns, effect),
    ];
    rule(check, path, Direction::Egress, effect, fields, ports)
}

fn check_authentication(check: &mut Check, path: &str, written: Option<&Authentication>, effect: Effect) {
    let Some(Authentication { mode }) = written else { return };
    let path = format!("{path}.authentication");
    if effect == Effect::Deny {
        check.problem(&path, "a deny rule cannot ask for authentication: what it matches is dropped");
        return;
    }
    match mode.as_str() {
        "disabled" => {}
        "required" => {
            check.not_simulated(&path, "there is no handshake: traffic is judged as if it had succeeded");
        }
        "test-always-fail" => {
            check.not_simulated(&path, "the handshake that always fails is left out: traffic is allowed");
        }
        other => check.problem_with(
            &format!("{path}.mode"),
            format!("`{other}` is not a mode of authentication"),
            "write `disabled`, `required` or `test-always-fail`",
        ),
    }
}

fn check_requires(check: &mut Check, path: &str, field: &str, written: Option<&[IgnoredAny]>) {
    if written.is_some_and(|items| !items.is_empty()) {
        check.problem_with(
            &format!("{path}.{field}"),
            format!("`{field}` was removed from Cilium 1.19"),
            "put its labels into each selector of the peers that they are required of",
        );
    }
}

/// The text goes into flow logs, 32 printable characters at most.
fn check_log(check: &mut Check, path: &str, log: Option<&Log>) {
    let Some(Log { value: Some(text) }) = log else { return };
    if text.chars().count() > 32 || text.chars().any(char::is_control) {
        check.problem(&format!("{path}.log.value"), "the text is at most 32 printable characters");
    }
}

impl Scope<'_> {
    /// Where a rule of the section stands.
    const fn place(self, direction: Direction, effect: Effect) -> Place {
        Place { direction, effect, host: self.host, clusterwide: self.namespace.is_none() }
    }
}

/// Puts a rule together (policy semantics 2.3).
///
/// 1. Of the peer fields at most one may have items.
/// 2. A field without items names nobody; except that `toFQDNs: []` and `toServices: []` beside ports leave
///    the peer open (section 15 row 11).
/// 3. Without any peer field, ports alone are open to everyone, and `{}` matches nothing.
fn rule<const N: usize>(
    check: &mut Check,
    path: &str,
    direction: Direction,
    effect: Effect,
    fields: [Option<Field>; N],
    ports: Ports,
) -> Rule {
    let written: Vec<Field> = fields.into_iter().flatten().collect();
    let filled: Vec<&Field> = written.iter().filter(|field| !field.is_empty).collect();
    if let [first, second, ..] = filled.as_slice() {
        check.problem_with(
            &format!("{path}.{}", second.name),
            format!("`{}` and `{}` may not stand in one rule", first.name, second.name),
            "write two rules: items of different rules add up",
        );
    }
    let has_ports = ports != Ports::Any;
    let peers = match (filled.first(), written.as_slice()) {
        (Some(field), _) => field.peers.clone(),
        (None, []) if has_ports => Peers::Any,
        (None, fields) if has_ports && fields.iter().any(|field| field.opens_when_empty) => Peers::Any,
        (None, _) => Peers::Selected(Vec::new()),
    };
    Rule { path: rule_path(path), direction, effect, peers, ports }
}
