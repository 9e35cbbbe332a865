//! Compiled rows against the flat meaning of rules: collect all that match; any deny, none, any redirect, allow
//! (policy semantics 6.4). The flat side looks at addresses and labels and knows no identities.

use std::net::IpAddr;

use egret_core::compile::Allocator;
use egret_core::identity::{LabelSet, Source, relevant};
use egret_core::rule::{Effect, Enforcement, Peers, Policy, PortMatch, PortRule, Ports, Rule, Tier};
use egret_core::selector::{Entity, GroupMatch, Operator, Selector};
use egret_core::world::Pod;
use egret_core::{Author, Desired, ObjectName, Protocol};
use egret_shared::{Direction, DropReason, Proxy, Verdict};
use proptest::prelude::*;

use crate::generate::{NODE, Situation, TRAFFIC, decide_by_rows, groups, peers, situation};

/// What the flat meaning says: the verdict, and the rules that may be named as its authors.
struct Flat {
    verdict: Verdict,
    authors: Vec<Author>,
}

/// One rule that matches.
struct Match {
    tier: Tier,
    /// Place in the order of its tier.
    place: (u16, usize),
    effect: Effect,
    proxy: Option<Proxy>,
    author: Author,
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
    let (mut because, mut matches) = (vec![], vec![]);
    for policy in desired.policies.values() {
        for section in policy.sections.iter().filter(|section| section.subject.selects(&labels)) {
            match section.enforcement(direction) {
                Enforcement::None | Enforcement::Undeclared => continue,
                Enforcement::DefaultAllow => {}
                Enforcement::DefaultDeny => because.push(policy.id.clone()),
            }
            let rules = section.rules.iter().filter(|rule| rule.direction == direction);
            for (place, rule) in rules.enumerate() {
                if !is_peer(situation, desired, rule, peer) {
                    continue;
                }
                let mut matched = |proxy, path: &str| {
                    let (priority, tier) = match section.tier {
                        Tier::Normal => (0, section.tier),
                        Tier::Admin { priority } => (priority, Tier::Admin { priority: 0 }),
                        Tier::Baseline { priority } => (priority, Tier::Baseline { priority: 0 }),
                    };
                    let author = Author::Rule { policy: policy.id.clone(), path: path.to_owned() };
                    let place = (priority, if tier == Tier::Normal { 0 } else { place });
                    matches.push(Match { tier, place, effect: rule.effect, proxy, author });
                };
                match &rule.ports {
                    Ports::Any => matched(None, &rule.path),
                    Ports::Listed(ports) => {
                        let receiver = match direction {
                            Direction::Ingress => Some(subject),
                            Direction::Egress => desired.world.pod_at(peer).map(|(_, pod)| pod),
                        };
                        for port in ports.iter().filter(|port| is_port(port, receiver, traffic)) {
                            matched(port.proxy(), &port.path);
                        }
                    }
                }
            }
        }
    }
    let mut passed = false;
    for tier in [Tier::Admin { priority: 0 }, Tier::Normal, Tier::Baseline { priority: 0 }] {
        if tier != Tier::Normal && tier != (Tier::Admin { priority: 0 }) && !because.is_empty() {
            break;
        }
        let of_tier: Vec<&Match> = matches.iter().filter(|found| found.tier == tier).collect();
        match first(&of_tier) {
            Some((Verdict::Forwarded, authors)) if authors.is_empty() => passed = true,
            Some((verdict, authors)) => return Flat { verdict, authors },
            None => {}
        }
    }
    let own_node = &desired.world.nodes[NODE].addresses;
    if because.is_empty() {
        Flat { verdict: Verdict::Forwarded, authors: vec![] }
    } else if direction == Direction::Ingress && own_node.contains(&peer) {
        Flat { verdict: Verdict::Forwarded, authors: vec![Author::Kubelet] }
    } else {
        // After a rule that passes, default deny has a row of its own, which drops like a rule.
        let reason = if passed { DropReason::PolicyDeny } else { DropReason::PolicyDenied };
        Flat { verdict: Verdict::Dropped(reason), authors: vec![Author::DefaultDeny { because }] }
    }
}

/// What the first place in the order says where a rule matches; without authors, it passes the question on.
fn first(matches: &[&Match]) -> Option<(Verdict, Vec<Author>)> {
    let place = matches.iter().map(|found| found.place).min()?;
    let here: Vec<_> = matches.iter().filter(|found| found.place == place).collect();
    let authors = |is: &dyn Fn(&Match) -> bool| -> Vec<Author> {
        here.iter().filter(|found| is(found)).map(|found| found.author.clone()).collect()
    };
    let denies = authors(&|found| found.effect == Effect::Deny);
    if !denies.is_empty() {
        return Some((Verdict::Dropped(DropReason::PolicyDeny), denies));
    }
    for proxy in [Proxy::Http, Proxy::Tls, Proxy::Dns] {
        let redirects = authors(&|found| found.effect == Effect::Allow && found.proxy == Some(proxy));
        if !redirects.is_empty() {
            return Some((Verdict::Redirected(proxy), redirects));
        }
    }
    Some((Verdict::Forwarded, authors(&|found| found.effect == Effect::Allow)))
}

fn is_peer(situation: &Situation, desired: &Desired, rule: &Rule, peer: IpAddr) -> bool {
    let world = &desired.world;
    let pod = world.pod_at(peer);
    let labels = match (pod, world.node_at(peer)) {
        (Some((name, pod)), _) => relevant::of_pod(name, pod, world, desired.dialect),
        (None, Some((name, node))) => {
            let mut labels =
                LabelSet::reserved(if name == NODE { Entity::Host } else { Entity::RemoteNode }.word());
            for (key, value) in &node.labels {
                labels.insert(Source::Node, key, value);
            }
            labels
        }
        (None, None) => LabelSet::reserved(Entity::World.word()),
    };
    let outside = labels.has(Source::Reserved, "world");
    let is = |selector: &Selector| match selector {
        Selector::Labels(selector) => selector.selects(&labels),
        Selector::Entity(entity) => entity.selects(&labels),
        Selector::Prefix { prefix, except } => {
            outside && prefix.contains(&peer) && !except.iter().any(|prefix| prefix.contains(&peer))
        }
        Selector::Group { which, except } => {
            let within = |policy: &Policy| {
                let group = policy.group.as_ref().unwrap();
                group.prefixes.iter().any(|prefix| prefix.contains(&peer))
            };
            // Both groups have the one label, so `NotIn` selects what is in neither.
            let selected = match which {
                GroupMatch::Name(name) => {
                    groups().iter().any(|policy| policy.id.name == *name && within(policy))
                }
                GroupMatch::Labels(selector) => {
                    let wanted = matches!(selector.requirements[0].operator, Operator::In(_));
                    groups().iter().any(within) == wanted
                }
            };
            outside && selected && !except.iter().any(|prefix| prefix.contains(&peer))
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
