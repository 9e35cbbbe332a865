//! Peers: prefixes, services, denies and rules without any.

use egret_core::rule::{Dialect, Effect, Peers, Ports, Rule};
use egret_core::selector::Selector;
use egret_shared::Direction;
use serde_yaml::Value;

use super::scene::{Found, Scene, Spec, Warning, list};
use crate::explain::{is_named, service};

pub(super) fn check(scene: &Scene<'_>, found: &mut Found<'_>) {
    for spec in &scene.sections {
        empty_rule(spec, found);
        not_in_fails_open(scene, spec, found);
        prefix_over_cluster(scene, spec, found);
        fails_open(scene, spec, found);
        service_in_every_namespace(spec, found);
        except_allowed_elsewhere(spec, found);
    }
}

/// Row 10: `ingress: [{}]` allows everything in a NetworkPolicy and nothing in a Cilium policy.
fn empty_rule(spec: &Spec<'_>, found: &mut Found<'_>) {
    if spec.id.kind == "NetworkPolicy" {
        return;
    }
    for (path, rule) in spec.written() {
        if !rule.as_mapping().is_some_and(serde_yaml::Mapping::is_empty) {
            continue;
        }
        let warning = Warning {
            code: "empty-rule",
            message: "an empty rule matches nothing here".to_owned(),
            why: "in a NetworkPolicy the same text allows everything; in a Cilium policy it only switches default deny on",
            help: "to allow everything, write `fromEntities: [all]` or `toEntities: [all]`".to_owned(),
        };
        found.add(spec.id, &path, warning);
    }
}

/// Row 6: under Cilium a prefix never means pods or nodes.
fn prefix_over_cluster(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    if scene.dialect == Dialect::Kubernetes {
        return;
    }
    let pods = scene.pods.iter().flat_map(|pod| &pod.pod.addresses);
    let nodes = scene.world.nodes.values().flat_map(|node| &node.addresses);
    let inside: Vec<_> = pods.chain(nodes).collect();
    for rule in &spec.section.rules {
        let Peers::Selected(selectors) = &rule.peers else { continue };
        for selector in selectors {
            let Selector::Prefix { prefix, except } = selector else { continue };
            // `0.0.0.0/0` is how people write "the Internet".
            let covered = inside
                .iter()
                .find(|at| prefix.contains(**at) && !except.iter().any(|except| except.contains(**at)));
            let (Some(address), true) = (covered, prefix.prefix_len() > 0) else { continue };
            let warning = Warning {
                code: "prefix-over-cluster",
                message: format!("`{prefix}` does not mean `{address}`, which is of the cluster"),
                why: "under Cilium prefixes stand for addresses outside the cluster, never for pods or nodes",
                help: "select pods by label, and nodes with the entities `host` and `remote-node`".to_owned(),
            };
            found.at_rule(spec.id, &rule.path, warning);
        }
    }
}

/// Row 11: services that nobody finds, and empty lists, beside ports.
fn fails_open(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    let warning = |message: String| Warning {
        code: "fails-open",
        message,
        why: "Cilium then opens the rule's ports to everybody",
        help: "take the rule out until its peers exist".to_owned(),
    };
    for (path, rule) in spec.written() {
        if rule.get("toPorts").and_then(Value::as_sequence).is_none_or(Vec::is_empty) {
            continue;
        }
        for key in ["toServices", "toFQDNs"] {
            if rule.get(key).and_then(Value::as_sequence).is_some_and(Vec::is_empty) {
                found.add(
                    spec.id,
                    &format!("{path}.{key}"),
                    warning(format!("`{key}` is empty, beside `toPorts`")),
                );
            }
        }
    }
    for rule in spec.section.rules.iter().filter(|rule| rule.ports != Ports::Any) {
        let Peers::Services(references) = &rule.peers else { continue };
        let exists = references.iter().any(|reference| {
            scene.world.services.iter().any(|(name, service)| is_named(reference, name, service))
        });
        if !exists {
            found.at_rule(spec.id, &rule.path, warning("`toServices` finds no service".to_owned()));
        }
    }
}

/// Rows 1, 2 and 4: what release 1.19 opens further than it reads.
fn not_in_fails_open(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    if scene.dialect != Dialect::Cilium119 {
        return;
    }
    let mut warn = |path: &str, message: &str, help: &str| {
        let warning = Warning {
            code: "fails-open",
            message: message.to_owned(),
            why: "Cilium 1.19 reads it so; 1.20 does not",
            help: help.to_owned(),
        };
        found.add(spec.id, path, warning);
    };
    let is_kubernetes = spec.id.kind == "NetworkPolicy";
    let has_only_not_in = |selector: &Value| {
        let mut expressions = list(selector, "matchExpressions").peekable();
        expressions.peek().is_some()
            && selector.get("matchLabels").is_none()
            && expressions.all(|item| item.get("operator").and_then(Value::as_str) == Some("NotIn"))
    };
    for (path, rule) in spec.written() {
        let direction = if path.contains(".ingress") { Direction::Ingress } else { Direction::Egress };
        for key in ["from", "to"].into_iter().filter(|_| is_kubernetes) {
            for (index, peer) in list(rule, key).enumerate() {
                let path = format!("{path}.{key}[{index}]");
                if direction == Direction::Ingress && peer.get("ipBlock").is_some() {
                    let message = "this block also lets every pod of the policy's namespace in";
                    warn(
                        &format!("{path}.ipBlock"),
                        message,
                        "set `policy-default-local-cluster` to `false`",
                    );
                }
                if peer.get("namespaceSelector").is_some_and(has_only_not_in) {
                    let message = "a namespace selector with `NotIn` alone also selects nodes and the world";
                    warn(&format!("{path}.namespaceSelector"), message, "add an expression with `Exists`");
                }
            }
        }
        for key in ["fromCIDRSet", "toCIDRSet"] {
            for (index, set) in list(rule, key).enumerate() {
                if set.get("cidrGroupSelector").is_some_and(has_only_not_in) {
                    let path = format!("{path}.{key}[{index}].cidrGroupSelector");
                    let message = "a group selector with `NotIn` alone also selects pods and nodes";
                    warn(&path, message, "name the groups, or add an expression with `Exists`");
                }
            }
        }
    }
}

/// Row 12: a service reference without namespace.
fn service_in_every_namespace(spec: &Spec<'_>, found: &mut Found<'_>) {
    for rule in &spec.section.rules {
        let Peers::Services(references) = &rule.peers else { continue };
        for reference in references.iter().filter(|reference| reference.namespace.is_none()) {
            let warning = Warning {
                code: "service-in-every-namespace",
                message: format!("`{}` is looked for in every namespace", service(&reference.which)),
                why: "a `k8sService` without `namespace` names every service of that name",
                help: "write the `namespace`".to_owned(),
            };
            found.at_rule(spec.id, &rule.path, warning);
        }
    }
}

/// Row 22: an exception cuts only its own rule.
fn except_allowed_elsewhere(spec: &Spec<'_>, found: &mut Found<'_>) {
    let allows = || spec.section.rules.iter().filter(|rule| rule.effect == Effect::Allow);
    let selectors = |rule: &'_ Rule| match &rule.peers {
        Peers::Selected(selectors) => selectors.clone(),
        Peers::Any | Peers::Services(_) => Vec::new(),
    };
    for (rule, selector) in allows().flat_map(|rule| selectors(rule).into_iter().map(move |s| (rule, s))) {
        let Selector::Prefix { except, .. } = &selector else { continue };
        let allowed = allows().filter(|other| other.direction == rule.direction).find_map(|other| {
            let others = selectors(other);
            let covers = |cut: &ipnet::IpNet| {
                others.iter().any(|other| match other {
                    Selector::Prefix { prefix, except } => {
                        *other != selector && prefix.contains(cut) && !except.iter().any(|e| e.contains(cut))
                    }
                    Selector::Labels(_)
                    | Selector::Group { .. }
                    | Selector::Entity(_)
                    | Selector::Name(_) => false,
                })
            };
            except.iter().find(|cut| covers(cut)).map(|cut| (cut, &other.path))
        });
        let Some((cut, path)) = allowed else { continue };
        let warning = Warning {
            code: "except-allowed-elsewhere",
            message: format!("the exception `{cut}` is allowed by `{path}`"),
            why: "an exception cuts only the prefix beside it; other rules allow what they allow",
            help: "deny the prefix with a deny rule, or cut it out of the other rule too".to_owned(),
        };
        found.at_rule(spec.id, &rule.path, warning);
    }
}
