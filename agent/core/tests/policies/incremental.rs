//! Following changes one by one ends where compiling the result from nothing ends, whatever the changes are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use egret_core::author::PolicyId;
use egret_core::compile::{Allocator, Changed, Compiler, compile};
use egret_core::fqdn::Names;
use egret_core::rule::{Dialect, Peers, Policy, ServiceMatch, ServiceReference};
use egret_core::state::{DatapathState, DnsRule, PeerSet, PolicyRows, ProxyRule};
use egret_core::world::{Service, ServicePort, TargetPort};
use egret_core::{Desired, ObjectName, Protocol};
use egret_shared::{Direction, Identity};
use proptest::prelude::*;

use crate::gapless::follow;
use crate::generate::{NODE, groups, policies};
use crate::world::{ip, world};

/// One change.
#[derive(Clone, Debug)]
enum Step {
    /// A policy comes into force under one of a few names, or is another one.
    Policy(Policy),
    /// The policy of this number goes.
    NoPolicy(usize),
    /// A group of prefixes comes or goes.
    Group(usize, bool),
    /// A pod has these labels and this address, on the node or on another; it may be new.
    Pod { name: &'static str, app: &'static str, address: &'static str, port: u16, is_local: bool },
    /// A pod goes.
    NoPod(&'static str),
    /// The namespace's label `team` is another one.
    Team(&'static str),
    /// A service is another one; it may be new.
    Service { name: &'static str, address: &'static str, app: Option<&'static str>, ports: Vec<u16> },
    /// A service goes.
    NoService(&'static str),
    /// A name is learned for so many seconds, and a second passes.
    Learn(&'static str, &'static str, u32),
    /// Another dialect.
    Dialect(Dialect),
}

const NAMES: [&str; 5] = ["a/s", "a/p1", "a/p3", "b/p2", "a/new"];
const SERVICES: [&str; 3] = ["a/web", "a/self", "b/web"];
const ADDRESSES: [&str; 4] = ["10.0.1.10", "10.0.1.11", "10.0.1.40", "203.0.113.5"];

fn step() -> impl Strategy<Value = Step> {
    let app = prop::sample::select(vec!["s", "x", "y", "z"]);
    let pod = (
        prop::sample::select(NAMES.to_vec()),
        app,
        prop::sample::select(ADDRESSES.to_vec()),
        prop::sample::select(vec![8080, 80]),
        any::<bool>(),
    );
    let service = (
        prop::sample::select(SERVICES.to_vec()),
        prop::sample::select(vec!["10.96.0.20", "10.96.0.30", "fd00::30"]),
        prop::option::of(prop::sample::select(vec!["s", "x", "y"])),
        prop::collection::vec(prop::sample::select(vec![80, 8000]), 0..3),
    );
    let learned = prop::sample::select(vec![
        ("a.com", "198.51.100.2"),
        ("www.a.com", "198.51.100.1"),
        ("c.net", "203.0.113.5"),
        ("c.net", "198.51.100.1"),
    ]);
    prop_oneof![
        6 => policies().prop_map(Step::Policy),
        2 => (0..3_usize).prop_map(Step::NoPolicy),
        1 => (0..2_usize, any::<bool>()).prop_map(|(group, comes)| Step::Group(group, comes)),
        5 => pod.prop_map(|(name, app, address, port, is_local)| Step::Pod { name, app, address, port, is_local }),
        3 => prop::sample::select(NAMES.to_vec()).prop_map(Step::NoPod),
        1 => prop::sample::select(vec!["red", "blue"]).prop_map(Step::Team),
        3 => service
            .prop_map(|(name, address, app, ports)| Step::Service { name, address, app, ports }),
        1 => prop::sample::select(SERVICES.to_vec()).prop_map(Step::NoService),
        4 => (learned, 1..4_u32).prop_map(|((name, address), ttl)| Step::Learn(name, address, ttl)),
        1 => prop::sample::select(Dialect::ALL.to_vec()).prop_map(Step::Dialect),
    ]
}

/// What is desired and learned, and the time in seconds.
struct Now {
    desired: Desired,
    names: Names,
    seconds: u64,
}

impl Now {
    fn new(dialect: Dialect) -> Self {
        let policies = groups().map(|group| (group.id.clone(), Arc::new(group))).into();
        let desired = Desired { world: world(), policies, dialect };
        Self { desired, names: Names::default(), seconds: 0 }
    }

    /// Makes a change, and names it.
    fn change(&mut self, step: &Step) -> Changed {
        let before = self.desired.clone();
        let Desired { world, policies, dialect } = &mut self.desired;
        let mut addresses = BTreeSet::new();
        match step {
            Step::Policy(policy) => drop(policies.insert(policy.id.clone(), Arc::new(policy.clone()))),
            Step::NoPolicy(number) => policies.retain(|id, _| id.name != format!("policy-{number}")),
            Step::Group(group, comes) => {
                let group = groups()[*group].clone();
                policies.remove(&group.id);
                if *comes {
                    policies.insert(group.id.clone(), Arc::new(group));
                }
            }
            Step::Pod { name, app, address, port, is_local } => {
                let mut pod = crate::world::world().pods[&ObjectName::parse("a/p1")].clone();
                pod.labels.insert("app".to_owned(), (*app).to_owned());
                pod.addresses = vec![ip(address)];
                pod.serves[0].port = *port;
                pod.node = if *is_local { NODE } else { "node-2" }.to_owned();
                world.pods.insert(ObjectName::parse(name).into(), pod);
            }
            Step::NoPod(name) => drop(world.pods.remove(&ObjectName::parse(name))),
            Step::Team(team) => {
                world.namespaces.get_mut("a").unwrap().insert("team".to_owned(), (*team).to_owned());
            }
            Step::Service { name, address, app, ports } => {
                let ports = ports.iter().map(|port| ServicePort {
                    name: None,
                    port: *port,
                    protocol: Protocol::Tcp,
                    target: TargetPort::Number(8080),
                });
                let service = Service {
                    selector: app.map(|app| [("app".to_owned(), app.to_owned())].into()),
                    endpoints: vec![ip("192.0.2.9")],
                    cluster_ips: vec![ip(address)],
                    ports: ports.collect(),
                    ..Service::default()
                };
                world.services.insert(ObjectName::parse(name), service);
            }
            Step::NoService(name) => drop(world.services.remove(&ObjectName::parse(name))),
            Step::Learn(name, address, ttl) => {
                addresses.extend(self.names.learn(name, &[ip(address)], *ttl, self.seconds * 1_000_000_000));
                self.seconds += 1;
                addresses.extend(self.names.expire(self.seconds * 1_000_000_000));
            }
            Step::Dialect(other) => *dialect = *other,
        }
        Changed { addresses, ..Changed::between(&before, &self.desired) }
    }
}

/// A state with what its numbers mean in the place of the numbers.
#[derive(Debug, PartialEq)]
struct Meaning {
    endpoints: BTreeMap<ObjectName, Endpoint>,
    ipcache: Vec<(String, Who)>,
    services: String,
    host: [Option<Rows>; 2],
    rules: BTreeSet<String>,
    labels: BTreeSet<Vec<String>>,
    policies: usize,
}

/// An endpoint: its identity, its policies, its addresses and what proxies are told.
type Endpoint = (Who, [Option<Rows>; 2], Vec<String>);
/// An identity: its labels, and the prefixes that have it.
type Who = (Vec<String>, Vec<String>);
/// Rows without the number of their policy, and who denies by default.
type Rows = (BTreeSet<String>, Vec<PolicyId>);

impl Meaning {
    fn of(state: &DatapathState) -> Self {
        let who = |identity: Identity| -> Who {
            let prefixes = state.ipcache.iter().filter(|(_, other)| **other == identity);
            let labels = state.labels.get(&identity).map(|labels| labels.texts()).unwrap_or_default();
            (labels, prefixes.map(|(prefix, _)| prefix.to_string()).collect())
        };
        let rule =
            |number: u32| state.rules.get(&number).map(|name| format!("{} {}", name.policy, name.path));
        let peers = |peers: &PeerSet| match peers {
            PeerSet::Any => None,
            PeerSet::Listed(listed) => {
                Some(listed.iter().map(|identity| who(*identity)).collect::<BTreeSet<_>>())
            }
        };
        let rows = |number: u32| {
            let rows: &PolicyRows = state.policies.get(&number)?;
            let row =
                |((key, prefix), entry): ((egret_shared::PolicyKey, u32), egret_shared::PolicyEntry)| {
                    let peer = who(Identity(key.identity));
                    let key = (key.protocol, key.port, prefix);
                    let does = (entry.precedence, entry.action, entry.proxy, entry.prefix);
                    format!(
                        "{peer:?} {key:?} {does:?} {:?}",
                        rule(entry.rule).unwrap_or(entry.rule.to_string())
                    )
                };
            let enforcers = state.enforced_by[&number].iter().map(|id| (**id).clone()).collect();
            Some((rows.numbered(number).map(row).collect(), enforcers))
        };
        let dns = |one: &DnsRule| format!("{:?} {:?} {:?}", peers(&one.peers), one.names, rule(one.rule));
        let proxied = |one: &ProxyRule| {
            format!("{:?} {:?} {:?} {:?}", peers(&one.peers), one.ports, one.inspect, rule(one.rule))
        };
        let endpoint = |(name, one): (&Arc<ObjectName>, &egret_core::state::EndpointState)| {
            let mut told = vec![format!("{:?} {:?}", one.ipv4, one.ipv6)];
            for (filter, rules) in state.dns_rules.iter().filter(|(filter, _)| filter.endpoint == one.id) {
                told.push(format!(
                    "{} {} {:?}",
                    filter.port,
                    filter.protocol,
                    rules.iter().map(dns).collect::<Vec<_>>()
                ));
            }
            for direction in [Direction::Ingress, Direction::Egress] {
                let rules =
                    state.proxy_rules.get(&egret_core::state::ProxyFilter { endpoint: one.id, direction });
                told.extend(
                    rules.map(|rules| format!("{:?}", rules.iter().map(proxied).collect::<Vec<_>>())),
                );
            }
            ((**name).clone(), (who(one.identity), one.policy.map(rows), told))
        };
        let filters = state.dns_rules.keys().map(|filter| filter.endpoint);
        for id in filters.chain(state.proxy_rules.keys().map(|filter| filter.endpoint)) {
            assert!(state.endpoints.values().any(|endpoint| endpoint.id == id), "rules of no endpoint: {id}");
        }
        Self {
            endpoints: state.endpoints.iter().map(endpoint).collect(),
            ipcache: state.ipcache.iter().map(|(prefix, id)| (prefix.to_string(), who(*id))).collect(),
            services: format!("{:?}", state.services),
            host: state.host.map(rows),
            rules: state.rules.keys().filter_map(|number| rule(*number)).collect(),
            labels: state.labels.values().map(|labels| labels.texts()).collect(),
            policies: state.policies.len(),
        }
    }
}

fn check(dialect: Dialect, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut now = Now::new(dialect);
    let mut compiler = Compiler::default();
    let everything = Changed { rest: true, ..Changed::default() };
    drop(compiler.update(&now.desired, NODE, &now.names, &everything));
    for step in steps {
        let old = compiler.state().clone();
        let changed = now.change(step);
        let writes = compiler.update(&now.desired, NODE, &now.names, &changed);
        let whole = compile(&now.desired, NODE, &now.names, &mut Allocator::default());
        prop_assert_eq!(Meaning::of(compiler.state()), Meaning::of(&whole), "after {:?}", step);
        follow(&old, compiler.state(), &writes)?;
        // What did not change keeps its number.
        let again = compiler.clone().update(&now.desired, NODE, &now.names, &everything);
        prop_assert_eq!(again, [], "after {:?}, compiled again", step);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn following_changes_ends_where_compiling_ends(
        dialect in prop::sample::select(Dialect::ALL.to_vec()),
        steps in prop::collection::vec(step(), 1..8),
    ) {
        check(dialect, &steps)?;
    }
}

/// Services are asked for backends that pods of the change are.
#[test]
fn services_follow_their_pods() {
    let which = ServiceMatch::Name("web".to_owned());
    let peers = Peers::Services(vec![ServiceReference { which, namespace: None }]);
    let steps = [
        Step::Policy(crate::generate::allowing(peers)),
        Step::Pod { name: "a/new", app: "x", address: "10.0.1.40", port: 80, is_local: true },
        Step::Pod { name: "a/p1", app: "y", address: "10.0.1.11", port: 8080, is_local: true },
        Step::NoPod("a/new"),
        Step::NoPod("a/p1"),
        Step::Pod { name: "a/p1", app: "x", address: "10.0.1.41", port: 8080, is_local: false },
    ];
    check(Dialect::Cilium, &steps).unwrap();
}

/// Of two policies that say the same, the first by name decides, whichever came into force first.
#[test]
fn who_decides_does_not_depend_on_who_came_first() {
    let named = |name: &str| {
        let mut policy = crate::generate::allowing(Peers::Any);
        Arc::make_mut(&mut policy.id).name = name.to_owned();
        Step::Policy(policy)
    };
    for dialect in Dialect::ALL {
        check(dialect, &[named("policy-1"), named("policy-0")]).unwrap();
    }
}
