//! Ports by name and by number, and ICMP types.

use egret_core::Protocol;
use egret_core::rule::{Dialect, Effect, Peers, PortMatch, PortRule, Ports, Rule};
use egret_core::selector::{Entity, Selector};
use egret_shared::Direction;
use serde_yaml::Value;

use super::scene::{Found, Scene, Spec, Subject, Warning, list};

pub(super) fn check(scene: &Scene<'_>, found: &mut Found<'_>) {
    for spec in &scene.sections {
        named_port_unknown(scene, spec, found);
        icmp_left_out(scene, spec, found);
        for (path, rule) in spec.written() {
            end_port_below_port(spec, &path, rule, found);
            port_zero(spec, &path, rule, found);
            no_ports(spec, &path, rule, found);
            icmp_type_zero(spec, &path, rule, found);
        }
    }
}

/// The name belongs to whoever receives the traffic.
fn named_port_unknown(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    for rule in &spec.section.rules {
        let Ports::Listed(ports) = &rule.ports else { continue };
        for port in ports {
            let PortMatch::Named(name) = &port.port else { continue };
            let receivers: Vec<_> = match rule.direction {
                Direction::Ingress => scene.pods_of(spec).collect(),
                Direction::Egress => peers(scene, rule),
            };
            if receivers.is_empty() && rule.direction == Direction::Egress && is_outside(rule) {
                let warning = Warning {
                    code: "named-port-outside",
                    message: format!("the port `{name}` means nothing outside the cluster"),
                    why: "a name stands for what a pod's containers call a port; the world has no containers",
                    help: "write the port's number".to_owned(),
                };
                found.at_rule(spec.id, &port.path, warning);
                continue;
            }
            if scene.dialect == Dialect::Cilium119 && rule.direction == Direction::Egress {
                named_port_ambiguous(scene, spec, name, port, found);
            }
            if receivers.is_empty() || receivers.iter().any(|pod| has_port(pod, name, port.protocol)) {
                continue;
            }
            let whose = match rule.direction {
                Direction::Ingress => "pod that the policy selects",
                Direction::Egress => "peer of this rule",
            };
            let warning = Warning {
                code: "named-port-unknown",
                message: format!("no {whose} has a {} port `{name}`", port.protocol),
                why: "a name that nobody has opens no port",
                help: "name the port in the containers, or write its number".to_owned(),
            };
            found.at_rule(spec.id, &port.path, warning);
        }
    }
}

/// Row 3: whether a rule names nobody but addresses and names outside the cluster.
fn is_outside(rule: &Rule) -> bool {
    let Peers::Selected(selectors) = &rule.peers else { return false };
    !selectors.is_empty()
        && selectors.iter().all(|selector| match selector {
            Selector::Prefix { .. } | Selector::Group { .. } | Selector::Name(_) => true,
            Selector::Entity(entity) => *entity == Entity::World,
            Selector::Labels(_) => false,
        })
}

/// Row 3 in release 1.19: one number for the whole cluster, or none.
fn named_port_ambiguous(
    scene: &Scene<'_>,
    spec: &Spec<'_>,
    name: &str,
    port: &PortRule,
    found: &mut Found<'_>,
) {
    let serves = scene.pods.iter().flat_map(|pod| &pod.pod.serves);
    let mut numbers: Vec<u16> = serves
        .filter(|serve| serve.name.as_deref() == Some(name) && serve.protocol == port.protocol)
        .map(|serve| serve.port)
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    if numbers.len() < 2 {
        return;
    }
    let warning = Warning {
        code: "named-port-ambiguous",
        message: format!("pods call different ports `{name}`, and the rule vanishes"),
        why: "Cilium 1.19 wants one number for the whole cluster at egress; a deny then denies nothing",
        help: "write the port's number".to_owned(),
    };
    found.at_rule(spec.id, &port.path, warning);
}

fn peers<'s, 'a>(scene: &'s Scene<'a>, rule: &Rule) -> Vec<&'s Subject<'a>> {
    match &rule.peers {
        Peers::Any => scene.pods.iter().collect(),
        Peers::Selected(selectors) => {
            selectors.iter().flat_map(|selector| scene.selected(selector)).collect()
        }
        Peers::Services(_) => Vec::new(),
    }
}

fn has_port(pod: &Subject<'_>, name: &str, protocol: Protocol) -> bool {
    pod.pod.serves.iter().any(|serve| serve.name.as_deref() == Some(name) && serve.protocol == protocol)
}

/// Every item of a Cilium rule's ports, with its path.
fn items<'v>(path: &str, rule: &'v Value) -> Vec<(String, &'v Value)> {
    let groups = list(rule, "toPorts").enumerate();
    groups
        .flat_map(|(group, ports)| {
            let items = list(ports, "ports").enumerate();
            items.map(move |(index, item)| (format!("{path}.toPorts[{group}].ports[{index}]"), item))
        })
        .collect()
}

/// A port as a number; texts are numbers too in Cilium's language.
fn number(value: Option<&Value>) -> Option<i64> {
    value.and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()))
}

/// Row 14.
fn end_port_below_port(spec: &Spec<'_>, path: &str, rule: &Value, found: &mut Found<'_>) {
    for (path, item) in items(path, rule) {
        let (Some(first), Some(last)) = (number(item.get("port")), number(item.get("endPort"))) else {
            continue;
        };
        if last == 0 || last >= first {
            continue;
        }
        let warning = Warning {
            code: "end-port-below-port",
            message: format!("`endPort` {last} lies below `port` {first}"),
            why: "Cilium then takes the first port alone",
            help: "swap the two, or leave `endPort` out".to_owned(),
        };
        found.add(spec.id, &format!("{path}.endPort"), warning);
    }
}

/// Row 15.
fn port_zero(spec: &Spec<'_>, path: &str, rule: &Value, found: &mut Found<'_>) {
    for (path, item) in items(path, rule) {
        if number(item.get("port")) != Some(0) {
            continue;
        }
        let warning = Warning {
            code: "port-zero",
            message: "port 0 stands for every port of the protocol".to_owned(),
            why: "Cilium reads 0 as a wildcard",
            help: "write the ports that are meant".to_owned(),
        };
        found.add(spec.id, &format!("{path}.port"), warning);
    }
}

/// Row 16.
fn no_ports(spec: &Spec<'_>, path: &str, rule: &Value, found: &mut Found<'_>) {
    let Some(groups) = rule.get("toPorts").and_then(Value::as_sequence) else { return };
    if groups.is_empty() {
        let warning = Warning {
            code: "empty-to-ports",
            message: "`toPorts: []` leaves every port open".to_owned(),
            why: "an empty list is the same as no list: the rule looks at peers alone",
            help: "list the ports, or leave `toPorts` out".to_owned(),
        };
        found.add(spec.id, &format!("{path}.toPorts"), warning);
    }
    for (index, group) in groups.iter().enumerate() {
        if list(group, "ports").next().is_some() {
            continue;
        }
        let warning = Warning {
            code: "ports-match-nothing",
            message: "an item of `toPorts` without ports matches nothing".to_owned(),
            why: "Cilium takes the absence of ports inside an item for the absence of traffic",
            help: "list the ports; `port: \"0\"` with `protocol: ANY` means all of TCP, UDP and SCTP"
                .to_owned(),
        };
        found.add(spec.id, &format!("{path}.toPorts[{index}]"), warning);
    }
}

/// Row 9: under Cilium ports are of TCP, UDP and SCTP, and no ports mean ICMP too.
fn icmp_left_out(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    if scene.dialect == Dialect::Kubernetes {
        return;
    }
    for rule in spec.section.rules.iter().filter(|rule| rule.effect == Effect::Allow) {
        let every = |protocol: Protocol| {
            let mut ports = rule.listed_ports().iter();
            ports.any(|port| port.protocol == protocol && port.port == PortMatch::Every)
        };
        if ![Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().all(every) {
            continue;
        }
        let warning = Warning {
            code: "icmp-left-out",
            message: "every port of TCP, UDP and SCTP leaves ICMP out: nobody can ping".to_owned(),
            why: "a rule without ports means ICMP too, one with ports does not, whatever they are",
            help: "leave the ports out to mean all traffic".to_owned(),
        };
        found.at_rule(spec.id, &rule.path, warning);
    }
}

/// Row 13.
fn icmp_type_zero(spec: &Spec<'_>, path: &str, rule: &Value, found: &mut Found<'_>) {
    for (group, icmps) in list(rule, "icmps").enumerate() {
        for (index, field) in list(icmps, "fields").enumerate() {
            if number(field.get("type")) != Some(0) {
                continue;
            }
            let warning = Warning {
                code: "icmp-type-zero",
                message: "ICMP type 0 stands for every type".to_owned(),
                why: "Cilium stores the type where other protocols have a port, and 0 is its wildcard",
                help: "to allow answers to a ping, write nothing: they belong to the connection".to_owned(),
            };
            found.add(spec.id, &format!("{path}.icmps[{group}].fields[{index}].type"), warning);
        }
    }
}
