//! Compiled rows against the flat meaning of rules: collect all that match; any deny, none, any redirect, allow
//! (policy semantics 6.4). The flat side looks at addresses and labels and knows no identities.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::compile::Allocator;
use egret_core::http::Request;
use egret_core::identity::{LabelSet, Source, relevant};
use egret_core::rule::{
    Effect, Enforcement, Inspection, Peers, Policy, PortMatch, PortRule, Ports, Rule, Tier,
};
use egret_core::selector::{Entity, GroupMatch, Operator, Selector};
use egret_core::state::{DatapathState, ProxyFilter};
use egret_core::world::Pod;
use egret_core::{Author, Desired, ObjectName, Protocol};
use egret_shared::{Direction, DropReason, Identity, Proxy, Verdict};
use proptest::prelude::*;

use crate::generate::{NODE, Situation, TRAFFIC, decide_by_rows, groups, peers, situation};

/// What the flat meaning says: the verdict, and the rules that may be named as its authors.
struct Flat {
    verdict: Verdict,
    authors: Vec<Author>,
    /// What the proxies for HTTP and TLS are told of the flow; empty when they let everything pass.
    inspections: Vec<Inspection>,
}

/// One rule that matches.
struct Match<'a> {
    tier: Tier,
    /// Place in the order of its tier.
    place: (u16, usize),
    effect: Effect,
    inspect: Option<Inspection>,
    author: Author,
    rule: &'a Rule,
    /// As the rule writes it.
    port: Option<&'a PortMatch>,
}

fn flat<'a>(
    situation: &Situation,
    desired: &'a Desired,
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
                Enforcement::DefaultDeny => because.push((*policy.id).clone()),
            }
            let rules = section.rules.iter().filter(|rule| rule.direction == direction);
            for (place, rule) in rules.enumerate() {
                if !is_peer(situation, desired, rule, peer) {
                    continue;
                }
                let mut matched = |port: Option<&'a PortRule>, path: &str| {
                    let (priority, tier) = match section.tier {
                        Tier::Normal => (0, section.tier),
                        Tier::Admin { priority } => (priority, Tier::Admin { priority: 0 }),
                        Tier::Baseline { priority } => (priority, Tier::Baseline { priority: 0 }),
                    };
                    let author = Author::Rule { policy: (*policy.id).clone(), path: path.to_owned() };
                    let place = (priority, if tier == Tier::Normal { 0 } else { place });
                    let inspect = port.and_then(|port| port.inspect.clone());
                    let port = port.map(|port| &port.port);
                    matches.push(Match { tier, place, effect: rule.effect, inspect, author, rule, port });
                };
                match &rule.ports {
                    Ports::Any => matched(None, &rule.path),
                    Ports::Listed(ports) => {
                        let receiver = match direction {
                            Direction::Ingress => Some(subject),
                            Direction::Egress => desired.world.pod_at(peer).map(|(_, pod)| pod),
                        };
                        for port in ports.iter().filter(|port| is_port(port, receiver, traffic)) {
                            matched(Some(port), &port.path);
                        }
                    }
                }
            }
        }
    }
    let own_node = &desired.world.nodes[NODE].addresses;
    let is_own_node = direction == Direction::Ingress && own_node.contains(&peer);
    for tier in [Tier::Admin { priority: 0 }, Tier::Normal, Tier::Baseline { priority: 0 }] {
        if tier != Tier::Normal && tier != (Tier::Admin { priority: 0 }) && !because.is_empty() {
            break;
        }
        let of_tier: Vec<&Match<'_>> = matches.iter().filter(|found| found.tier == tier).collect();
        match first(&of_tier) {
            Some((Verdict::Forwarded, authors)) if authors.is_empty() => {}
            Some((verdict, authors)) => {
                let open = because.is_empty() || is_own_node;
                let inspections = if open { vec![] } else { inspections(&of_tier) };
                return Flat { verdict, authors, inspections };
            }
            None => {}
        }
    }
    let inspections = vec![];
    if because.is_empty() {
        Flat { verdict: Verdict::Forwarded, authors: vec![], inspections }
    } else if is_own_node {
        Flat { verdict: Verdict::Forwarded, authors: vec![Author::Kubelet], inspections }
    } else {
        Flat {
            verdict: Verdict::Dropped(DropReason::PolicyDenied),
            authors: vec![Author::DefaultDeny { because }],
            inspections,
        }
    }
}

/// What proxies are told by the rules that match a flow. A plain rule says nothing where another one names servers
/// for the same peers and ports; anywhere else it lets everything pass.
fn inspections(matches: &[&Match<'_>]) -> Vec<Inspection> {
    let allows: Vec<_> = matches.iter().filter(|found| found.effect == Effect::Allow).collect();
    let is_named = |plain: &Match<'_>| {
        allows.iter().any(|found| {
            found.proxy() == Some(Proxy::Tls)
                && (&found.rule.peers, found.port) == (&plain.rule.peers, plain.port)
        })
    };
    if allows.iter().any(|found| found.inspect.is_none() && !is_named(found)) {
        return vec![];
    }
    allows.iter().filter_map(|found| found.inspect.clone()).collect()
}

impl Match<'_> {
    fn proxy(&self) -> Option<Proxy> {
        self.inspect.as_ref().map(|inspect| match inspect {
            Inspection::Dns(_) => Proxy::Dns,
            Inspection::Http(_) => Proxy::Http,
            Inspection::Tls(_) => Proxy::Tls,
        })
    }
}

/// What the first place in the order says where a rule matches; without authors, it passes the question on.
fn first(matches: &[&Match<'_>]) -> Option<(Verdict, Vec<Author>)> {
    let place = matches.iter().map(|found| found.place).min()?;
    let here: Vec<_> = matches.iter().filter(|found| found.place == place).collect();
    let authors = |is: &dyn Fn(&Match<'_>) -> bool| -> Vec<Author> {
        here.iter().filter(|found| is(found)).map(|found| found.author.clone()).collect()
    };
    let denies = authors(&|found| found.effect == Effect::Deny);
    if !denies.is_empty() {
        return Some((Verdict::Dropped(DropReason::PolicyDeny), denies));
    }
    for proxy in [Proxy::Http, Proxy::Tls, Proxy::Dns] {
        let redirects = authors(&|found| found.effect == Effect::Allow && found.proxy() == Some(proxy));
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

const SERVER_NAMES: [Option<&str>; 3] = [Some("a.com"), Some("b.com"), None];
const METHODS: [&str; 2] = ["GET", "POST"];

/// Which requests or handshakes a proxy lets pass; empty for other verdicts.
fn proxied(
    state: &DatapathState,
    filter: ProxyFilter,
    port: u16,
    peer: Identity,
    verdict: Verdict,
) -> Vec<bool> {
    let headers = BTreeMap::new();
    match verdict {
        Verdict::Redirected(Proxy::Http) => METHODS
            .iter()
            .map(|method| {
                let request = Request { method, path: "/", host: "a", headers: &headers };
                state.http_allows(filter, port, peer, &request).is_some()
            })
            .collect(),
        Verdict::Redirected(Proxy::Tls) => {
            SERVER_NAMES.iter().map(|name| state.tls_allows(filter, port, peer, *name).is_some()).collect()
        }
        Verdict::Redirected(Proxy::Dns) | Verdict::Forwarded | Verdict::Dropped(_) => vec![],
    }
}

impl Flat {
    /// The same in the flat meaning: HTTP rules are all for GET, server names all `a.com`.
    fn passes(&self, verdict: Verdict) -> Vec<bool> {
        let has =
            |is: fn(&Inspection) -> bool| self.inspections.is_empty() || self.inspections.iter().any(is);
        match verdict {
            Verdict::Redirected(Proxy::Http) => {
                let get = has(|inspect| matches!(inspect, Inspection::Http(_)));
                vec![get, self.inspections.is_empty()]
            }
            Verdict::Redirected(Proxy::Tls) => {
                let named = has(|inspect| matches!(inspect, Inspection::Tls(_)));
                vec![named, self.inspections.is_empty(), self.inspections.is_empty()]
            }
            Verdict::Redirected(Proxy::Dns) | Verdict::Forwarded | Verdict::Dropped(_) => vec![],
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn compiled_rows_mean_what_the_rules_say(situation in situation()) {
        let desired = situation.desired();
        let state = situation.compile(&mut Allocator::default());
        for (name, endpoint) in &state.endpoints {
            let subject = (&**name, &desired.world.pods[&**name]);
            for direction in [Direction::Ingress, Direction::Egress] {
                let policy = endpoint.policy(direction);
                let rows = state.policies.get(&policy).into_iter().flat_map(|rows| rows.numbered(policy)).collect();
                for peer in peers() {
                    for traffic in TRAFFIC {
                        let decision = decide_by_rows(&rows, policy, state.identity_of(peer), traffic);
                        let flat = flat(&situation, &desired, subject, direction, peer, traffic);
                        let what = format!("{name} {direction:?} {peer} {traffic:?}");
                        prop_assert_eq!(decision.verdict, flat.verdict, "{}", what);
                        let filter = ProxyFilter { endpoint: endpoint.id, direction };
                        let passed = proxied(&state, filter, traffic.1, state.identity_of(peer), decision.verdict);
                        prop_assert_eq!(passed, flat.passes(decision.verdict), "{} at the proxy", what);
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
