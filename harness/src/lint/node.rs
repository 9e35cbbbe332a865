//! A pod's own node, and the API server, which stands on a node or outside.

use egret_core::ObjectName;
use egret_core::identity::LabelSet;
use egret_core::rule::{Dialect, Effect, Enforcement, Peers, PortMatch, Ports, Rule};
use egret_core::selector::{Entity, Selector};
use egret_core::world::Pod;
use egret_shared::Direction;

use super::scene::{Found, Scene, Spec, Subject, Warning};

pub(super) fn check(scene: &Scene<'_>, found: &mut Found<'_>) {
    for spec in &scene.sections {
        if scene.dialect != Dialect::Kubernetes {
            own_node_closed(scene, spec, found);
            probes_denied(scene, spec, found);
        }
        api_server_nowhere(spec, found);
        api_server_denied(scene, spec, found);
    }
}

/// Row 7: Kubernetes lets a pod reach its own node under any policy, and Cilium does not. Said where somebody serves
/// in the node's network.
fn own_node_closed(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    let enforcement = spec.section.enforcement(Direction::Egress).under(scene.dialect);
    if spec.id.kind != "NetworkPolicy" || enforcement != Enforcement::DefaultDeny {
        return;
    }
    let closed = spec.pods.iter().find_map(|index| {
        let pod = scene.pods.get(*index)?;
        let (server, serving) = server_on_node_of(scene, pod)?;
        let others = scene.sections.iter().filter(|other| other.pods.contains(index));
        let mut rules = others.flat_map(|other| &other.section.rules);
        let opens = |rule: &Rule| {
            let is_allow = rule.direction == Direction::Egress && rule.effect == Effect::Allow;
            is_allow && means_host(rule) && covers(rule, serving)
        };
        (!rules.any(opens)).then_some((pod.name, server))
    });
    let Some((pod, server)) = closed else { return };
    let warning = Warning {
        code: "own-node-closed",
        message: format!("`{pod}` does not reach `{server}`, which is in the network of its own node"),
        why: "the text of Kubernetes lets a pod reach its own node under any policy; Cilium does not",
        help: "a CiliumNetworkPolicy with `toEntities: [host]` opens it".to_owned(),
    };
    found.add(spec.id, "metadata.name", warning);
}

/// A pod in the network of another pod's node that serves something.
fn server_on_node_of<'a>(scene: &Scene<'a>, pod: &Subject<'_>) -> Option<(&'a ObjectName, &'a Pod)> {
    let mut pods = scene.world.pods.iter().map(|(name, pod)| (&**name, pod));
    pods.find(|(_, other)| other.host_network && other.node == pod.pod.node && !other.serves.is_empty())
}

/// Row 7: the own node may always come in, but for a deny rule: one that means more than the node shuts the kubelet's
/// probes out too.
fn probes_denied(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    for rule in &spec.section.rules {
        let names_it = matches!(&rule.peers, Peers::Selected(selectors)
            if selectors.contains(&Selector::Entity(Entity::Host)));
        let is_deny = rule.direction == Direction::Ingress && rule.effect == Effect::Deny;
        if !is_deny || names_it || !means_host(rule) || !scene.pods_of(spec).any(|pod| covers(rule, pod.pod))
        {
            continue;
        }
        let warning = Warning {
            code: "probes-denied",
            message: "this rule also denies the pod's own node, and so the kubelet's probes".to_owned(),
            why: "the own node may come in under any policy, unless a deny rule means it",
            help: "deny by what the peers are: their labels, `world` or `remote-node`".to_owned(),
        };
        found.at_rule(spec.id, &rule.path, warning);
    }
}

/// Whether a rule means the own node.
fn means_host(rule: &Rule) -> bool {
    let host = LabelSet::reserved(Entity::Host.word());
    match &rule.peers {
        Peers::Any => true,
        Peers::Selected(selectors) => selectors.iter().any(|selector| selector.selects(&host)),
        Peers::Services(_) => false,
    }
}

/// Whether a rule is about a port that a pod serves.
fn covers(rule: &Rule, pod: &Pod) -> bool {
    let Ports::Listed(ports) = &rule.ports else { return true };
    pod.serves.iter().any(|serve| {
        ports.iter().any(|port| {
            port.protocol == serve.protocol
                && match &port.port {
                    PortMatch::Every => true,
                    PortMatch::Range(first, last) => (*first..=*last).contains(&serve.port),
                    PortMatch::Named(name) => serve.name.as_ref() == Some(name),
                }
        })
    })
}

fn names_api_server(rule: &Rule) -> bool {
    let api_server = Selector::Entity(Entity::KubeApiserver);
    matches!(&rule.peers, Peers::Selected(selectors) if selectors.contains(&api_server))
}

/// Row 19: no manifest says which addresses are the API server's.
fn api_server_nowhere(spec: &Spec<'_>, found: &mut Found<'_>) {
    for rule in spec.section.rules.iter().filter(|rule| names_api_server(rule)) {
        let warning = Warning {
            code: "api-server-nowhere",
            message: "no address belongs to `kube-apiserver` here, so this rule means nobody".to_owned(),
            why: "which nodes or addresses run the API server stands in no manifest",
            help: "ask for the flow with `kube-apiserver` in the place of an address".to_owned(),
        };
        found.at_rule(spec.id, &rule.path, warning);
    }
}

/// Row 19: outside the cluster the API server is of the world, and on a node a remote one, for denies too.
fn api_server_denied(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    for allow in spec.section.rules.iter() {
        if allow.effect != Effect::Allow || !names_api_server(allow) {
            continue;
        }
        let others = scene.sections.iter().filter(|other| other.pods.is_superset(&spec.pods));
        let deny = others
            .flat_map(|other| other.section.rules.iter().map(move |rule| (other.id, rule)))
            .find(|(_, rule)| {
                rule.effect == Effect::Deny && rule.direction == allow.direction && denies_place(rule)
            });
        let Some((id, deny)) = deny else { continue };
        let warning = Warning {
            code: "api-server-denied",
            message: format!("`{}` of {id} denies the API server, if that is where it stands", deny.path),
            why: "an API server outside the cluster is also of the `world`, and one on a node a `remote-node`; a deny wins",
            help: "deny prefixes or names that leave the API server out".to_owned(),
        };
        found.at_rule(spec.id, &allow.path, warning);
    }
}

/// Whether a rule means everywhere outside, or every other node.
fn denies_place(rule: &Rule) -> bool {
    let Peers::Selected(selectors) = &rule.peers else { return false };
    selectors.iter().any(|selector| match selector {
        Selector::Entity(entity) => matches!(entity, Entity::World | Entity::RemoteNode),
        Selector::Prefix { prefix, .. } => prefix.prefix_len() == 0,
        Selector::Labels(_) | Selector::Group { .. } | Selector::Name(_) => false,
    })
}
