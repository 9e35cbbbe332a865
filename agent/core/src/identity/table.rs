//! Which identities one node knows, and which prefix has which.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::Identity;
use ipnet::IpNet;

use crate::compile::Allocator;
use crate::fqdn::Names;
use crate::identity::{LabelSet, Source, relevant};
use crate::policy::resolve::service_prefixes;
use crate::rule::{CidrGroup, Dialect, Peers};
use crate::selector::{Entity, GroupMatch, NamePattern, Selector};
use crate::{Desired, ObjectName, Protocol};

/// Container ports by name, protocol and number.
pub type NamedPorts = BTreeSet<(String, Protocol, u16)>;

/// What an identity's number stands for.
///
/// Named ports belong to it: pods that give one name to different ports have different identities, because a
/// policy may open the name for each of them (policy semantics 15 row 3).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// Its labels.
    pub labels: LabelSet,
    /// Its named ports; none outside pods.
    pub ports: NamedPorts,
}

/// The identities of one node.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    /// Every identity that policies on this node may meet.
    pub members: BTreeMap<Identity, Member>,
    /// Identities of the cluster's pods that have a network of their own, at their first address.
    pub pods: BTreeMap<ObjectName, Identity>,
    /// Identities by prefix.
    pub ipcache: BTreeMap<IpNet, Identity>,
}

/// The reserved identities and the entities that select them.
const RESERVED: [(Identity, &[Entity]); 8] = [
    (Identity::HOST, &[Entity::Host]),
    (Identity::WORLD, &[Entity::World]),
    (Identity::UNMANAGED, &[Entity::Unmanaged]),
    (Identity::HEALTH, &[Entity::Health]),
    (Identity::INIT, &[Entity::Init]),
    (Identity::REMOTE_NODE, &[Entity::RemoteNode]),
    (Identity::KUBE_APISERVER, &[Entity::KubeApiserver, Entity::RemoteNode]),
    (Identity::INGRESS, &[Entity::Ingress]),
];

/// Gives every prefix of the world its identity as a node sees it.
///
/// Later steps replace what earlier ones say of the same prefix:
/// 1. prefixes that policies refer to, each with the labels of every such prefix over it;
/// 2. addresses learned under names that policies select, with those prefixes' labels too;
/// 3. nodes, with their labels where a policy asks for those; 4. pods: inside the cluster neither prefixes nor
///    names count, except that Kubernetes lets an `ipBlock` match pods and nodes.
///
/// Each name pattern's own identity exists before any address is learned for it, so that learning is one
/// write (Cilium `tofqdns-preallocate-identities`).
#[must_use]
pub fn of(desired: &Desired, node: &str, names: &Names, numbers: &mut Allocator) -> Identities {
    let Referenced { prefixes, patterns, nodes } = referenced(desired);
    let mut table = Identities::default();
    for (identity, entities) in RESERVED {
        let mut labels = LabelSet::default();
        for entity in entities {
            labels.insert(Source::Reserved, entity.word(), "");
        }
        table.members.insert(identity, Member { labels, ports: NamedPorts::new() });
    }

    let outside = |covering: Option<IpNet>, patterns: &[&NamePattern]| {
        let mut labels = LabelSet::reserved(Entity::World.word());
        if let Some(net) = covering {
            // Where groups give one key different values, that of the longest prefix counts.
            for (prefix, groups) in covering_of(&prefixes, net).into_iter().rev() {
                labels.insert_prefix(&prefix);
                groups.iter().for_each(|(name, group)| labels.insert_group(name, &group.labels));
            }
        }
        for pattern in patterns {
            labels.insert(Source::Fqdn, pattern.text(), "");
        }
        Member { labels, ports: NamedPorts::new() }
    };
    for pattern in &patterns {
        table.add_local(numbers, outside(None, &[pattern]), None);
    }
    for prefix in prefixes.keys() {
        table.add_local(numbers, outside(Some(*prefix), &[]), Some(*prefix));
    }
    for (address, names) in names.addresses() {
        let selecting: Vec<_> =
            patterns.iter().filter(|pattern| names.iter().any(|name| pattern.matches(name))).collect();
        if !selecting.is_empty() {
            let net = IpNet::from(address);
            table.add_local(numbers, outside(Some(net), &selecting), Some(net));
        }
    }

    let in_cluster = |mut labels: LabelSet, addresses: &[IpAddr]| {
        if desired.dialect == Dialect::Kubernetes {
            for address in addresses {
                let covering = covering_of(&prefixes, IpNet::from(*address));
                covering.iter().for_each(|(prefix, _)| labels.insert_prefix(prefix));
            }
        }
        labels
    };
    for (name, other) in &desired.world.nodes {
        let entity = if name == node { Entity::Host } else { Entity::RemoteNode };
        let plain = LabelSet::reserved(entity.word());
        let mut named = plain.clone();
        if nodes {
            for (key, value) in &other.labels {
                named.insert(Source::Node, key, value);
            }
        }
        if name == node {
            let labels = in_cluster(named, &other.addresses);
            table.members.insert(Identity::HOST, Member { labels, ports: NamedPorts::new() });
            let own = other.addresses.iter().map(|address| (IpNet::from(*address), Identity::HOST));
            table.ipcache.extend(own);
            continue;
        }
        for address in &other.addresses {
            let labels = in_cluster(named.clone(), &[*address]);
            let net = IpNet::from(*address);
            if labels == plain {
                table.ipcache.insert(net, Identity::REMOTE_NODE);
            } else {
                table.add_local(numbers, Member { labels, ports: NamedPorts::new() }, Some(net));
            }
        }
    }
    // Blocks make a pod's labels depend on its address in the Kubernetes dialect; elsewhere pods of one namespace
    // with the same labels, account and ports are the same member.
    let by_address = desired.dialect == Dialect::Kubernetes && !prefixes.is_empty();
    let mut alike: BTreeMap<Alike<'_>, Identity> = BTreeMap::new();
    let mut namespace = "";
    for (name, pod) in desired.world.pods.iter().filter(|(_, pod)| !pod.host_network) {
        if namespace != name.namespace {
            namespace = &name.namespace;
            alike.clear();
        }
        let ports: NamedPorts = pod
            .serves
            .iter()
            .filter_map(|serve| Some((serve.name.clone()?, serve.protocol, serve.port)))
            .collect();
        let key = (&pod.labels, pod.service_account.as_str(), ports);
        let identity = match alike.get(&key).filter(|_| !by_address) {
            Some(identity) => *identity,
            None => {
                let labels = relevant::of_pod(name, pod, &desired.world, desired.dialect);
                let plain = Member { labels, ports: key.2.clone() };
                // A block that covers one address of a pod says nothing of its others: each has its own labels.
                let mut own = None;
                for address in pod.addresses.iter().filter(|_| by_address) {
                    let labels = in_cluster(plain.labels.clone(), &[*address]);
                    let identity = table.add_pod(numbers, Member { labels, ports: plain.ports.clone() });
                    table.ipcache.insert(IpNet::from(*address), identity);
                    own.get_or_insert(identity);
                }
                let identity = own.unwrap_or_else(|| table.add_pod(numbers, plain));
                alike.insert(key, identity);
                identity
            }
        };
        if !by_address {
            table.ipcache.extend(pod.addresses.iter().map(|address| (IpNet::from(*address), identity)));
        }
        table.pods.insert(name.clone(), identity);
    }
    table
}

/// What of a pod makes its identity, inside one namespace.
type Alike<'a> = (&'a crate::Labels, &'a str, NamedPorts);

impl Identities {
    fn add_pod(&mut self, numbers: &mut Allocator, member: Member) -> Identity {
        let identity = numbers.pod_identity(&member);
        self.members.insert(identity, member);
        identity
    }

    fn add_local(&mut self, numbers: &mut Allocator, member: Member, prefix: Option<IpNet>) {
        let identity = numbers.local_identity(&member);
        self.members.insert(identity, member);
        if let Some(prefix) = prefix {
            self.ipcache.insert(prefix, identity);
        }
    }
}

/// Prefixes that policies refer to, each with the groups that hold it, by name.
type Prefixes<'a> = BTreeMap<IpNet, Vec<(&'a str, &'a CidrGroup)>>;

/// All of those prefixes over `net`, itself included, the longest first.
fn covering_of<'a>(prefixes: &'a Prefixes<'a>, net: IpNet) -> Vec<(IpNet, &'a [(&'a str, &'a CidrGroup)])> {
    let mut covering = Vec::new();
    let mut candidate = Some(net.trunc());
    while let Some(prefix) = candidate {
        covering.extend(prefixes.get(&prefix).map(|groups| (prefix, groups.as_slice())));
        candidate = prefix.supernet();
    }
    covering
}

/// What policies refer to.
#[derive(Default)]
struct Referenced<'a> {
    prefixes: Prefixes<'a>,
    patterns: BTreeSet<NamePattern>,
    /// Some rule asks for nodes by label.
    nodes: bool,
}

/// Everything in policies that makes identities.
fn referenced(desired: &Desired) -> Referenced<'_> {
    let mut found = Referenced::default();
    let sections = desired.policies.values().flat_map(|policy| &policy.sections);
    for rule in sections.flat_map(|section| &section.rules) {
        match &rule.peers {
            Peers::Any => {}
            Peers::Services(services) => found.add_prefixes(&service_prefixes(&desired.world, services)),
            Peers::Selected(selectors) => {
                selectors.iter().for_each(|selector| found.add(selector, desired));
            }
        }
    }
    found
}

impl<'a> Referenced<'a> {
    fn add_prefixes(&mut self, prefixes: &[IpNet]) {
        for prefix in prefixes {
            self.prefixes.entry(*prefix).or_default();
        }
    }

    fn add(&mut self, selector: &Selector, desired: &'a Desired) {
        match selector {
            Selector::Prefix { prefix, except } => {
                self.add_prefixes(&[*prefix]);
                self.add_prefixes(except);
            }
            Selector::Group { which, except } => {
                self.add_prefixes(except);
                for (id, policy) in &desired.policies {
                    let Some(group) = &policy.group else { continue };
                    // `NotIn` selects by what is absent, so labels of the other groups count as well.
                    let counts = match which {
                        GroupMatch::Name(name) => *name == id.name,
                        GroupMatch::Labels(_) => true,
                    };
                    for prefix in group.prefixes.iter().filter(|_| counts) {
                        let groups = self.prefixes.entry(*prefix).or_default();
                        if groups.iter().all(|(name, _)| *name != id.name) {
                            groups.push((&id.name, group));
                        }
                    }
                }
            }
            Selector::Name(pattern) => {
                self.patterns.insert(pattern.clone());
            }
            Selector::Labels(selector) => {
                self.nodes |= selector.requirements.iter().any(|needed| needed.source == Some(Source::Node));
            }
            Selector::Entity(_) => {}
        }
    }
}
