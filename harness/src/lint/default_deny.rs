//! What is denied by default, and for whom.

use egret_core::Protocol;
use egret_core::rule::{Dialect, Effect, Enforcement, Peers, PortMatch, Ports, Rule};
use egret_core::selector::{Entity, Selector};
use egret_shared::Direction;
use serde_yaml::Value;

use super::scene::{Found, Scene, Spec, Warning, list};

/// Where DNS servers listen.
const DNS: u16 = 53;

pub(super) fn check(scene: &Scene<'_>, found: &mut Found<'_>) {
    for spec in &scene.sections {
        default_deny_without_dns(scene, spec, found);
        undeclared_direction(scene, spec, found);
        deny_only(spec, found);
        switch_without_rules(spec, found);
    }
}

/// Egress is denied by default, and no policy of these pods lets them ask for names.
fn default_deny_without_dns(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    if enforcement(scene, spec, Direction::Egress) != Enforcement::DefaultDeny {
        return;
    }
    let opens = |other: &Spec<'_>| {
        let enforced = enforcement(scene, other, Direction::Egress) != Enforcement::None;
        enforced && other.section.rules.iter().any(|rule| opens_dns(rule) && names_servers(scene, rule))
    };
    let without = if spec.pods.is_empty() {
        // Nobody is selected here, or no pods were given: the policy stands for itself.
        (scene.pods.is_empty() && !opens(spec)).then(|| "the pods that it selects".to_owned())
    } else {
        let open = |pod: &usize| scene.sections.iter().any(|other| other.pods.contains(pod) && opens(other));
        let closed = spec.pods.iter().find(|pod| !open(pod));
        closed.and_then(|pod| scene.pods.get(*pod)).map(|pod| format!("`{}`", pod.name))
    };
    let Some(whom) = without else { return };
    let warning = Warning {
        code: "default-deny-without-dns",
        message: format!("egress is denied by default, and nothing lets {whom} ask for names"),
        why: "the first policy for egress closes DNS too; what fails then are names, long before connections",
        help: "allow port 53 over UDP and TCP to the cluster's DNS".to_owned(),
    };
    found.add(spec.id, "metadata.name", warning);
}

fn enforcement(scene: &Scene<'_>, spec: &Spec<'_>, direction: Direction) -> Enforcement {
    spec.section.enforcement(direction).under(scene.dialect)
}

fn opens_dns(rule: &Rule) -> bool {
    rule.direction == Direction::Egress
        && rule.effect == Effect::Allow
        && match &rule.ports {
            Ports::Any => true,
            Ports::Listed(ports) => ports.iter().any(|port| {
                matches!(port.protocol, Protocol::Udp | Protocol::Tcp)
                    && match &port.port {
                        PortMatch::Every => true,
                        PortMatch::Range(first, last) => (*first..=*last).contains(&DNS),
                        PortMatch::Named(name) => name.starts_with("dns"),
                    }
            }),
        }
}

/// Whether a DNS server may be among a rule's peers. Servers outside the cluster are meant where the rule speaks
/// of port 53, and not where it opens every port to a prefix.
fn names_servers(scene: &Scene<'_>, rule: &Rule) -> bool {
    let is_explicit = rule.ports != Ports::Any;
    match &rule.peers {
        Peers::Any | Peers::Services(_) => true,
        Peers::Selected(selectors) => selectors.iter().any(|selector| match selector {
            Selector::Labels(_) => scene.pods.is_empty() || scene.selected(selector).next().is_some(),
            Selector::Prefix { .. } | Selector::Group { .. } | Selector::Entity(Entity::World) => is_explicit,
            Selector::Entity(entity) => *entity != Entity::None,
            Selector::Name(_) => false,
        }),
    }
}

/// Row 5: rules for a direction that `policyTypes` leaves out.
fn undeclared_direction(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    for (direction, key) in [(Direction::Ingress, "ingress"), (Direction::Egress, "egress")] {
        if spec.section.enforcement(direction) != Enforcement::Undeclared {
            continue;
        }
        let here = match scene.dialect {
            Dialect::Cilium | Dialect::Cilium119 => "are enforced",
            Dialect::Kubernetes => "do nothing",
        };
        let warning = Warning {
            code: "undeclared-direction",
            message: format!("`policyTypes` leaves {key} out, and its rules {here}"),
            why: "Kubernetes ignores the rules of a direction that is not listed; Cilium enforces them",
            help: "list the direction, or take its rules out".to_owned(),
        };
        found.add(spec.id, &format!("{}.{key}", spec.path), warning);
    }
}

/// Row 17: a policy that only denies closes everything else as well.
fn deny_only(spec: &Spec<'_>, found: &mut Found<'_>) {
    for (direction, key) in [(Direction::Ingress, "ingressDeny"), (Direction::Egress, "egressDeny")] {
        let mut rules = spec.section.rules.iter().filter(|rule| rule.direction == direction).peekable();
        let is_deny_only = rules.peek().is_some() && rules.all(|rule| rule.effect == Effect::Deny);
        if !is_deny_only || spec.section.enforcement(direction) != Enforcement::DefaultDeny {
            continue;
        }
        let warning = Warning {
            code: "deny-only",
            message: format!("`{key}` alone denies everything else too"),
            why: "the first rule for a direction switches default deny on, a deny rule as well as an allow",
            help: "write `enableDefaultDeny` with `false` for this direction, or allow what shall pass"
                .to_owned(),
        };
        found.add(spec.id, &format!("{}.{key}", spec.path), warning);
    }
}

/// Row 18: a switch for a direction without rules.
fn switch_without_rules(spec: &Spec<'_>, found: &mut Found<'_>) {
    let Some(switch) = spec.text.get("enableDefaultDeny") else { return };
    for (key, lists) in [("ingress", ["ingress", "ingressDeny"]), ("egress", ["egress", "egressDeny"])] {
        let has_rules = lists.iter().any(|rules| list(&spec.text, rules).next().is_some());
        if has_rules || switch.get(key).and_then(Value::as_bool) != Some(true) {
            continue;
        }
        let warning = Warning {
            code: "switch-without-rules",
            message: format!("`enableDefaultDeny.{key}: true` does nothing without {key} rules"),
            why: "Cilium looks at the switch only where the direction has rules",
            help: format!("to deny by default, write `{key}: [{{}}]`"),
        };
        found.add(spec.id, &format!("{}.enableDefaultDeny.{key}", spec.path), warning);
    }
}
