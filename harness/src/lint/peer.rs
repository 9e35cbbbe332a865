//! Peers: prefixes, services, denies and rules without any.

use egret_core::rule::{Dialect, Effect, Peers, PortMatch, PortRule, Ports, Rule, Tier};
use egret_core::selector::Selector;
use serde_yaml::Value;

use super::scene::{Found, Scene, Spec, Warning};
use crate::explain::{is_named, service};

pub(super) fn check(scene: &Scene<'_>, found: &mut Found<'_>) {
    for spec in &scene.sections {
        empty_rule(spec, found);
        deny_shadows_allow(scene, spec, found);
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

/// A deny that covers peers, ports and pods of an allow leaves nothing of it.
fn deny_shadows_allow(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    for allow in spec.section.rules.iter().filter(|rule| rule.effect == Effect::Allow) {
        let peers = scene.peers(allow);
        if peers.as_ref().is_some_and(std::collections::BTreeSet::is_empty) {
            continue;
        }
        let covers = |other: &Spec<'_>, deny: &Rule| {
            deny.effect == Effect::Deny
                && deny.direction == allow.direction
                // Of other tiers the order decides, not the effect.
                && other.section.tier == spec.section.tier
                && spec.section.tier == Tier::Normal
                && spec.pods.is_subset(&other.pods)
                && covers_ports(&deny.ports, &allow.ports)
                && match (scene.peers(deny), &peers) {
                    (None, _) => matches!(deny.peers, Peers::Any | Peers::Selected(_)),
                    (Some(_), None) => false,
                    (Some(denied), Some(allowed)) => allowed.is_subset(&denied),
                }
        };
        let denies =
            scene.sections.iter().flat_map(|other| other.section.rules.iter().map(move |rule| (other, rule)));
        let Some((other, deny)) = denies.into_iter().find(|(other, deny)| covers(other, deny)) else {
            continue;
        };
        let warning = Warning {
            code: "deny-shadows-allow",
            message: format!(
                "nothing is left of this rule: `{}` of {} denies all of it",
                deny.path, other.id
            ),
            why: "a deny wins over every allow, however narrow",
            help: "take the rule out, or make the deny narrower".to_owned(),
        };
        found.at_rule(spec.id, &allow.path, warning);
    }
}

fn covers_ports(deny: &Ports, allow: &Ports) -> bool {
    let (deny, allow) = match (deny, allow) {
        (Ports::Any, _) => return true,
        (Ports::Listed(_), Ports::Any) => return false,
        (Ports::Listed(deny), Ports::Listed(allow)) => (deny, allow),
    };
    let covers = |deny: &PortRule, allow: &PortRule| {
        deny.protocol == allow.protocol
            && match (&deny.port, &allow.port) {
                (PortMatch::Every, _) => true,
                (PortMatch::Range(first, last), PortMatch::Range(a, b)) => first <= a && b <= last,
                (PortMatch::Named(a), PortMatch::Named(b)) => a == b,
                (PortMatch::Range(..), PortMatch::Every | PortMatch::Named(_))
                | (PortMatch::Named(_), PortMatch::Every | PortMatch::Range(..)) => false,
            }
    };
    !allow.is_empty() && allow.iter().all(|allow| deny.iter().any(|deny| covers(deny, allow)))
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
