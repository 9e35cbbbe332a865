//! Compiled rows against the flat meaning of rules: collect all that match; any deny, none, any redirect, allow
//! (policy semantics 6.4). The flat side looks at addresses and labels and knows no identities.

use std::net::IpAddr;

use egret_core::compile::Allocator;
use egret_core::identity::{LabelSet, relevant};
use egret_core::rule::{Effect, Enforcement, Peers, PortMatch, PortRule, Ports, Rule};
use egret_core::selector::{Entity, Selector};
use egret_core::world::Pod;
use egret_core::{Author, Desired, ObjectName, Protocol};
use egret_shared::{Direction, DropReason, Proxy, Verdict};
use proptest::prelude::*;

use crate::generate::{NODE, Situation, TRAFFIC, decide_by_rows, peers, situation};

/// What the flat meaning says: the verdict, and the rules that may be named as its authors.
struct Flat {
    verdict: Verdict,
    authors: Vec<Author>,
}

fn flat(
    situation: &Situation,
    desired: &Desired,
    (name, subject): (&ObjectName, &Pod),
    direction: Direction,
    peer: IpAddr,
    traffic: (Protocol, u16),
) -> Flat {
    let labels = relevant::of_pod(name, subject, &desired.world, desired.dialect);
    let (mut enforced, mut default_deny) = (false, false);
    let (mut denies, mut redirects, mut allows, mut because) = (vec![], vec![], vec![], vec![]);
    for policy in desired.policies.values() {
        for section in policy.sections.iter().filter(|section| section.subject.selects(&labels)) {
            match section.enforcement(direction) {
                Enforcement::None | Enforcement::Undeclared => continue,
                Enforcement::DefaultAllow => {}
                Enforcement::DefaultDeny => {
                    default_deny = true;
                    because.push(policy.id.clone());
                }
            }
            enforced = true;
            for rule in section.rules.iter().filter(|rule| rule.direction == direction) {
                if !is_peer(situation, desired, rule, peer) {
                    continue;
                }
                let author = |path: &str| Author::Rule { policy: policy.id.clone(), path: path.to_owned() };
                let mut matched = |dns: bool, path: &str| match (rule.effect, dns) {
                    (Effect::Deny, _) => denies.push(author(path)),
                    (Effect::Allow, true) => redirects.push(author(path)),
                    (Effect::Allow, false) => allows.push(author(path)),
                };
                match &rule.ports {
                    Ports::Any => matched(false, &rule.path),
                    Ports::Listed(ports) => {
                        let receiver = match direction {
                            Direction::Ingress => Some(subject),
                            Direction::Egress => desired.world.pod_at(peer).map(|(_, pod)| pod),
                        };
                        for port in ports.iter().filter(|port| is_port(port, receiver, traffic)) {
                            matched(port.dns.is_some(), &port.path);
                        }
                    }
                }
            }
        }
    }
    let own_node = &desired.world.nodes[NODE].addresses;
    let verdict = if !denies.is_empty() {
        return Flat { verdict: Verdict::Dropped(DropReason::PolicyDeny), authors: denies };
    } else if !redirects.is_empty() {
        return Flat { verdict: Verdict::Redirected(Proxy::Dns), authors: redirects };
    } else if !allows.is_empty() || !enforced || !default_deny {
        Verdict::Forwarded
    } else if direction == Direction::Ingress && own_node.contains(&peer) {
        allows.push(Author::Kubelet);
        Verdict::Forwarded
    } else {
        allows.push(Author::DefaultDeny { because });
        Verdict::Dropped(DropReason::PolicyDenied)
    };
    Flat { verdict, authors: allows }
}

fn is_peer(situation: &Situation, desired: &Desired, rule: &Rule, peer: IpAddr) -> bool {
    let world = &desired.world;
    let pod = world.pod_at(peer);
    let labels = match (pod, world.node_at(peer)) {
        (Some((name, pod)), _) => relevant::of_pod(name, pod, world, desired.dialect),
        (None, Some((node, _))) => {
            LabelSet::reserved(if node == NODE { Entity::Host } else { Entity::RemoteNode }.word())
        }
        (None, None) => LabelSet::reserved(Entity::World.word()),
    };
    let outside = labels.has(egret_core::identity::Source::Reserved, "world");
    let is = |selector: &Selector| match selector {
        Selector::Labels(selector) => selector.selects(&labels),
        Selector::Entity(entity) => entity.selects(&labels),
        Selector::Prefix { prefix, except } => {
            outside && prefix.contains(&peer) && !except.iter().any(|prefix| prefix.contains(&peer))
        }
        Selector::Name(pattern) => {
            outside
                && situation
                    .learned
                    .iter()
                    .any(|(name, address)| pattern.matches(name) && *address == peer.to_string())
        }
    };
    match &rule.peers {
        Peers::Any => true,
        Peers::Selected(selectors) => selectors.iter().any(is),
        Peers::Services(_) => unreachable!("not generated"),
    }
}

fn is_port(rule: &PortRule, receiver: Option<&Pod>, (protocol, port): (Protocol, u16)) -> bool {
    rule.protocol == protocol
        && match &rule.port {
            PortMatch::Every => true,
            PortMatch::Range(first, last) => (*first..=*last).contains(&port),
            PortMatch::Named(name) => receiver.is_some_and(|pod| {
                pod.serves.iter().any(|serve| {
                    serve.name.as_ref() == Some(name) && (serve.protocol, serve.port) == (protocol, port)
                })
            }),
        }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn compiled_rows_mean_what_the_rules_say(situation in situation()) {
        let desired = situation.desired();
        let state = situation.compile(&mut Allocator::default());
        for (name, endpoint) in &state.endpoints {
            let subject = (name, &desired.world.pods[name]);
            for direction in [Direction::Ingress, Direction::Egress] {
                let policy = endpoint.policy(direction);
                let none = Default::default();
                let rows = state.policies.get(&policy).unwrap_or(&none);
                for peer in peers() {
                    for traffic in TRAFFIC {
                        let decision = decide_by_rows(rows, policy, state.identity_of(peer), traffic);
                        let flat = flat(&situation, &desired, subject, direction, peer, traffic);
                        let what = format!("{name} {direction:?} {peer} {traffic:?}");
                        prop_assert_eq!(decision.verdict, flat.verdict, "{}", what);
                        if let Some(author) = state.author(policy, decision.rule) {
                            prop_assert!(flat.authors.contains(&author), "{} by {}", what, author);
                        } else {
                            prop_assert!(flat.authors.is_empty(), "{} by nobody", what);
                        }
                    }
                }
            }
        }
    }

    /// The same state again has the same numbers, and writes nothing.
    #[test]
    fn compiling_again_changes_nothing(situation in situation()) {
        let mut numbers = Allocator::default();
        let once = situation.compile(&mut numbers);
        let again = situation.compile(&mut numbers);
        prop_assert_eq!(egret_core::diff::diff(&once, &again), []);
        prop_assert_eq!(once, again);
    }
}
