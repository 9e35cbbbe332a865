//! Random policies, small changes of the world, and the flows that are asked about.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use egret_core::author::PolicyId;
use egret_core::compile::{Allocator, compile};
use egret_core::fqdn::Names;
use egret_core::http::{HttpRule, Pattern};
use egret_core::identity;
use egret_core::rule::{
    CidrGroup, Dialect, Effect, Enforcement, Inspection, Peers, Policy, PortMatch, PortRule, Ports, Rule,
    Section, Subject, Tier,
};
use egret_core::selector::{Entity, GroupMatch, LabelSelector, NamePattern, Operator, Requirement, Selector};
use egret_core::state::DatapathState;
use egret_core::{Desired, ObjectName, Protocol};
use egret_shared::decide::policy::{Decision, decide};
use egret_shared::{Direction, PolicyEntry, PolicyKey};
use proptest::prelude::*;

use crate::world::{ip, world};

/// The node that is asked.
pub(crate) const NODE: &str = "node-1";

/// Peers of flows: pods, nodes, and addresses of the Internet, some of them under prefixes and names.
pub(crate) fn peers() -> Vec<IpAddr> {
    [
        "10.0.0.1",
        "10.0.0.2",
        "10.0.1.10",
        "10.0.1.11",
        "10.0.1.13",
        "10.0.2.12",
        "203.0.113.5",
        "203.0.113.6",
        "203.0.113.9",
        "198.51.100.1",
        "198.51.100.2",
        "8.8.8.8",
        "2001:db8::5",
    ]
    .map(ip)
    .to_vec()
}

/// What flows carry: protocol and destination port.
pub(crate) const TRAFFIC: [(Protocol, u16); 7] = [
    (Protocol::Tcp, 80),
    (Protocol::Tcp, 85),
    (Protocol::Tcp, 8080),
    (Protocol::Tcp, 9090),
    (Protocol::Udp, 53),
    (Protocol::Sctp, 80),
    (Protocol::Icmp, 8),
];

/// Rows as the kernel's map has them.
pub(crate) type Rows = BTreeMap<(PolicyKey, u32), PolicyEntry>;

/// What can change between two states.
#[derive(Clone, Debug)]
pub(crate) struct Situation {
    pub(crate) policies: Vec<Policy>,
    /// `app` of `a/p1`.
    pub(crate) app: &'static str,
    /// Names learned, each with its address.
    pub(crate) learned: Vec<(&'static str, &'static str)>,
}

impl Situation {
    pub(crate) fn desired(&self) -> Desired {
        let mut world = world();
        let labels = &mut world.pods.get_mut(&ObjectName::parse("a/p1")).unwrap().labels;
        labels.insert("app".to_owned(), self.app.to_owned());
        world.nodes.get_mut("node-2").unwrap().labels.insert("zone".to_owned(), "x".to_owned());
        let mut policies: BTreeMap<_, _> =
            self.policies.iter().map(|p| (p.id.clone(), Arc::new(p.clone()))).collect();
        policies.extend(groups().map(|policy| (policy.id.clone(), Arc::new(policy))));
        Desired { world, policies, dialect: Dialect::Cilium }
    }

    pub(crate) fn names(&self) -> Names {
        let mut names = Names::default();
        for (name, address) in &self.learned {
            names.learn(name, &[ip(address)], 60, 0);
        }
        names
    }

    pub(crate) fn compile(&self, numbers: &mut Allocator) -> DatapathState {
        compile(&self.desired(), NODE, &self.names(), numbers)
    }
}

/// Two groups of prefixes, which overlap.
pub(crate) fn groups() -> [Policy; 2] {
    let group = |name: &str, zone: &str, prefixes: &[&str]| {
        let id = PolicyId { kind: "CiliumCIDRGroup".to_owned(), namespace: None, name: name.to_owned() };
        let labels = [("zone".to_owned(), zone.to_owned())].into();
        let prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
        Policy { group: Some(CidrGroup { labels, prefixes }), ..Policy::new(id, Vec::new()) }
    };
    [group("one", "x", &["203.0.113.4/30", "10.0.1.0/24"]), group("two", "x", &["203.0.113.8/29"])]
}

/// Decides by comparing a key with every row, not by walking prefixes as the core does.
pub(crate) fn decide_by_rows(
    rows: &Rows,
    policy: u32,
    peer: egret_shared::Identity,
    (protocol, port): (Protocol, u16),
) -> Decision {
    decide(policy, peer, protocol.number(), port, |key| {
        rows.iter()
            .filter(|((row, prefix), _)| (bits(row) ^ bits(key)) >> (96 - prefix) == 0)
            .max_by_key(|((_, prefix), _)| *prefix)
            .map(|(_, entry): (_, &PolicyEntry)| *entry)
    })
}

fn bits(key: &PolicyKey) -> u128 {
    let [high, low] = key.port;
    [u128::from(key.policy) << 64, u128::from(key.identity) << 32, u128::from(key.protocol) << 24]
        .into_iter()
        .chain([u128::from(high) << 16, u128::from(low) << 8])
        .sum()
}

pub(crate) fn situation() -> impl Strategy<Value = Situation> {
    let learned = prop::sample::subsequence(
        vec![("a.com", "198.51.100.2"), ("www.a.com", "198.51.100.1"), ("c.net", "203.0.113.5")],
        0..=3,
    );
    (prop::collection::vec(rules(), 0..4), prop::sample::select(vec!["x", "y", "z"]), learned).prop_map(
        |(policies, app, learned)| {
            let policies = policies
                .into_iter()
                .enumerate()
                .map(|(index, (everyone, deny, tier, rules))| policy(index, everyone, deny, tier, rules))
                .collect();
            Situation { policies, app, learned }
        },
    )
}

/// One policy under one of three names.
pub(crate) fn policies() -> impl Strategy<Value = Policy> {
    (0..3_usize, rules())
        .prop_map(|(index, (everyone, deny, tier, rules))| policy(index, everyone, deny, tier, rules))
}

/// A policy by which everyone may send to some peers.
pub(crate) fn allowing(peers: Peers) -> Policy {
    let (direction, effect, ports) = (Direction::Egress, Effect::Allow, Ports::Any);
    let rule = Rule { path: String::new(), direction, effect, peers, ports };
    policy(0, true, true, Tier::Normal, vec![rule])
}

/// Whether it is for every pod, whether it denies by default, its tier, and its rules.
fn rules() -> impl Strategy<Value = (bool, bool, Tier, Vec<Rule>)> {
    let tier = prop_oneof![
        5 => Just(Tier::Normal),
        2 => (0..2u16).prop_map(|priority| Tier::Admin { priority }),
        1 => (0..2u16).prop_map(|priority| Tier::Baseline { priority }),
    ];
    (any::<bool>(), prop::bool::weighted(0.8), tier, prop::collection::vec(rule(), 1..5))
}

/// Only ordinary policies deny by default and look into traffic, and only those of other tiers pass.
fn policy(index: usize, everyone: bool, deny: bool, tier: Tier, mut rules: Vec<Rule>) -> Policy {
    for (index, rule) in rules.iter_mut().enumerate() {
        rule.path = format!("rule[{index}]");
        if rule.effect == Effect::Pass && tier == Tier::Normal {
            rule.effect = Effect::Allow;
        }
        if let Ports::Listed(ports) = &mut rule.ports {
            for port in ports {
                port.path = format!("rule[{index}].ports");
                port.inspect = port.inspect.take().filter(|_| tier == Tier::Normal);
            }
        }
    }
    let deny = deny && tier == Tier::Normal;
    let enforcement = |direction| {
        if rules.iter().all(|rule| rule.direction != direction) {
            Enforcement::None
        } else if deny {
            Enforcement::DefaultDeny
        } else {
            Enforcement::DefaultAllow
        }
    };
    let subject = if everyone { LabelSelector::default() } else { app(&["s"]) };
    let id = PolicyId {
        kind: "CiliumNetworkPolicy".to_owned(),
        namespace: Some("a".to_owned()),
        name: format!("policy-{index}"),
    };
    let (ingress, egress) = (enforcement(Direction::Ingress), enforcement(Direction::Egress));
    let subject = Subject::Endpoints(subject);
    Policy::new(id, vec![Section { subject, tier, ingress, egress, rules }])
}

fn rule() -> impl Strategy<Value = Rule> {
    let direction = prop::sample::select(vec![Direction::Ingress, Direction::Egress]);
    let peers = prop_oneof![
        1 => Just(Peers::Any),
        6 => prop::sample::subsequence(selectors(), 0..3).prop_map(Peers::Selected),
    ];
    let effect = prop_oneof![5 => Just(Effect::Allow), 3 => Just(Effect::Deny), 2 => Just(Effect::Pass)];
    (direction, effect, peers, prop::sample::select(ports())).prop_map(|(direction, effect, peers, ports)| {
        Rule { path: String::new(), direction, effect, peers, ports }
    })
}

fn app(values: &[&str]) -> LabelSelector {
    let operator = Operator::In(values.iter().map(|value| (*value).to_owned()).collect());
    LabelSelector { requirements: vec![Requirement { source: None, key: "app".to_owned(), operator }].into() }
}

fn selectors() -> Vec<Selector> {
    let prefix = |prefix: &str, except: &[&str]| Selector::Prefix {
        prefix: prefix.parse().unwrap(),
        except: except.iter().map(|prefix| prefix.parse().unwrap()).collect(),
    };
    let absent = Requirement { source: None, key: "app".to_owned(), operator: Operator::DoesNotExist };
    let mut selectors = vec![
        Selector::Labels(app(&["x"])),
        Selector::Labels(app(&["x", "y"])),
        Selector::Labels(LabelSelector { requirements: vec![absent].into() }),
        prefix("203.0.113.0/24", &["203.0.113.5/32"]),
        prefix("203.0.113.4/30", &[]),
        prefix("203.0.113.0/28", &["203.0.113.8/29"]),
        prefix("198.51.100.2/32", &[]),
        prefix("10.0.0.0/8", &[]),
        prefix("0.0.0.0/0", &[]),
        prefix("::/0", &[]),
    ];
    let zone = |source, operator| LabelSelector {
        requirements: vec![Requirement { source: Some(source), key: "zone".to_owned(), operator }].into(),
    };
    let x = || ["x".to_owned()].into();
    let group = |which, except: &[&str]| Selector::Group {
        which,
        except: except.iter().map(|prefix| prefix.parse().unwrap()).collect(),
    };
    selectors.extend([
        Selector::Labels(zone(identity::Source::Node, Operator::In(x()))),
        group(GroupMatch::Name("one".to_owned()), &["203.0.113.5/32"]),
        group(GroupMatch::Labels(zone(identity::Source::CidrGroup, Operator::In(x()))), &[]),
        group(GroupMatch::Labels(zone(identity::Source::CidrGroup, Operator::NotIn(x()))), &[]),
    ]);
    let entities = [Entity::All, Entity::World, Entity::Cluster, Entity::Host, Entity::RemoteNode];
    selectors.extend(entities.map(Selector::Entity));
    let names = ["a.com", "*.a.com", "*"];
    selectors.extend(names.map(|name| Selector::Name(NamePattern::pattern(name).unwrap())));
    selectors
}

/// Requests with the method GET.
fn get() -> HttpRule {
    HttpRule { method: Some(Pattern::new("GET").unwrap()), ..HttpRule::default() }
}

fn ports() -> Vec<Ports> {
    let inspected = |protocol, port, inspect| {
        Ports::Listed(vec![PortRule { path: String::new(), protocol, port, inspect }])
    };
    let names = || vec![NamePattern::name("a.com").unwrap()];
    let one = |protocol, port, dns: Option<&str>| {
        inspected(protocol, port, dns.map(|name| Inspection::Dns(vec![NamePattern::name(name).unwrap()])))
    };
    vec![
        Ports::Any,
        Ports::Any,
        Ports::Listed(Vec::new()),
        one(Protocol::Tcp, PortMatch::Range(80, 80), None),
        one(Protocol::Tcp, PortMatch::Range(80, 90), None),
        one(Protocol::Tcp, PortMatch::Every, None),
        one(Protocol::Tcp, PortMatch::Named("http".to_owned()), None),
        one(Protocol::Udp, PortMatch::Every, None),
        one(Protocol::Udp, PortMatch::Range(53, 53), Some("a.com")),
        one(Protocol::Udp, PortMatch::Range(1, 1000), None),
        one(Protocol::Icmp, PortMatch::Range(8, 8), None),
        inspected(Protocol::Tcp, PortMatch::Range(80, 85), Some(Inspection::Http(vec![get()]))),
        inspected(Protocol::Tcp, PortMatch::Range(85, 85), Some(Inspection::Tls(names()))),
    ]
}
