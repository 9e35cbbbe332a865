//! Identities of what is no pod: prefixes and names that policies refer to, and nodes.
//!
//! Later layers replace what earlier ones say of the same prefix:
//! 1. prefixes that policies refer to, each with the labels of every such prefix over it;
//! 2. addresses learned under names that policies select, with those prefixes' labels too;
//! 3. nodes, with their labels where a policy asks for those.
//!
//! Pods come after all of these: inside the cluster neither prefixes nor names count, except that Kubernetes lets
//! an `ipBlock` match pods and nodes.
//!
//! Each name pattern's own identity exists before any address is learned for it, so that learning is one write
//! (Cilium `tofqdns-preallocate-identities`).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::Identity;
use ipnet::IpNet;

use super::Allocator;
use crate::World;
use crate::fqdn::Names;
use crate::identity::reference::{Prefixes, References};
use crate::identity::{LabelSet, Member, NamedPorts, Source};
use crate::rule::Dialect;
use crate::selector::{Entity, NamePattern};
use crate::world::Node;

/// Prefixes with their identities.
type Layer = BTreeMap<IpNet, (Identity, Member)>;

/// What lies outside of pods, as one node sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outside {
    prefixes: Prefixes,
    patterns: Vec<(NamePattern, Identity, Member)>,
    referred: Layer,
    learned: Layer,
    nodes: Layer,
    /// What the node's own identity stands for.
    pub(crate) host: LabelSet,
    /// The labels of pods depend on their addresses.
    pub(crate) is_by_address: bool,
}

impl Outside {
    /// All of it, for one node.
    pub(crate) fn new(
        references: &References,
        world: &World,
        (node, dialect): (&str, Dialect),
        names: &Names,
        numbers: &mut Allocator,
    ) -> Self {
        let prefixes = references.prefixes();
        let is_by_address = dialect == Dialect::Kubernetes && !prefixes.is_empty();
        let mut this = Self { prefixes, is_by_address, ..Self::default() };
        for pattern in references.patterns() {
            let (identity, member) = numbered(numbers, this.labels(None, &[pattern.text()]));
            this.patterns.push((pattern.clone(), identity, member));
        }
        let nets: Vec<IpNet> = this.prefixes.keys().copied().collect();
        for net in nets {
            let member = numbered(numbers, this.labels(Some(net), &[]));
            this.referred.insert(net, member);
        }
        for address in names.addresses() {
            this.learn(address, names, numbers);
        }
        this.add_nodes(world, node, references.asks_for_nodes(), numbers);
        this
    }

    /// An address may have been learned or forgotten under some name.
    pub(crate) fn learn(&mut self, address: IpAddr, names: &Names, numbers: &mut Allocator) {
        let net = IpNet::from(address);
        let selects = |pattern: &NamePattern| names.of(address).any(|name| pattern.matches_normal(name));
        let texts: Vec<&str> = self
            .patterns
            .iter()
            .map(|(pattern, ..)| pattern)
            .filter(|p| selects(p))
            .map(NamePattern::text)
            .collect();
        if texts.is_empty() {
            self.learned.remove(&net);
        } else {
            let labels = self.labels(Some(net), &texts);
            self.learned.insert(net, numbered(numbers, labels));
        }
    }

    /// Whether the labels of the own node or of pods are other ones than `before`.
    pub(crate) fn reaches_inside(&self, before: &Self) -> bool {
        let is_by_address = self.is_by_address || before.is_by_address;
        self.host != before.host || (is_by_address && !self.prefixes.keys().eq(before.prefixes.keys()))
    }

    /// The identity of exactly this prefix, as long as no pod has it.
    pub(crate) fn identity_of(&self, net: IpNet) -> Option<Identity> {
        let layers = [&self.nodes, &self.learned, &self.referred];
        layers.into_iter().find_map(|layer| layer.get(&net)).map(|(identity, _)| *identity)
    }

    /// Every prefix that has an identity; more than once, when layers have it.
    pub(crate) fn nets(&self) -> impl Iterator<Item = IpNet> {
        [&self.nodes, &self.learned, &self.referred].into_iter().flat_map(|layer| layer.keys().copied())
    }

    /// Every use of an identity.
    pub(crate) fn uses(&self) -> impl Iterator<Item = (Identity, &Member)> {
        let layers = [&self.nodes, &self.learned, &self.referred];
        let entries = layers.into_iter().flat_map(|layer| layer.values()).map(|(id, member)| (*id, member));
        self.patterns.iter().map(|(_, identity, member)| (*identity, member)).chain(entries)
    }

    /// The use of an identity by a learned address.
    pub(crate) fn learned(&self, address: IpAddr) -> Option<&(Identity, Member)> {
        self.learned.get(&IpNet::from(address))
    }

    /// Labels of a pod or node together with those that its address gives it.
    pub(crate) fn at(&self, mut labels: LabelSet, address: IpAddr) -> LabelSet {
        if self.is_by_address {
            let covering = covering(&self.prefixes, IpNet::from(address));
            covering.iter().for_each(|(prefix, _)| labels.insert_prefix(prefix));
        }
        labels
    }

    /// Labels of an address or prefix outside the cluster.
    fn labels(&self, net: Option<IpNet>, patterns: &[&str]) -> LabelSet {
        let mut labels = LabelSet::reserved(Entity::World.word());
        // Where groups give one key different values, that of the longest prefix counts.
        let covering = net.map(|net| covering(&self.prefixes, net)).unwrap_or_default();
        for (prefix, policies) in covering.into_iter().rev() {
            labels.insert_prefix(&prefix);
            for policy in policies {
                policy.group.iter().for_each(|group| labels.insert_group(&policy.id.name, &group.labels));
            }
        }
        patterns.iter().for_each(|pattern| labels.insert(Source::Fqdn, pattern, ""));
        labels
    }

    fn add_nodes(&mut self, world: &World, own: &str, by_label: bool, numbers: &mut Allocator) {
        self.host = LabelSet::reserved(Entity::Host.word());
        for (name, node) in &world.nodes {
            let entity = if name == own { Entity::Host } else { Entity::RemoteNode };
            let plain = LabelSet::reserved(entity.word());
            let named = if by_label { with_labels(plain.clone(), node) } else { plain.clone() };
            if name == own {
                self.host = node.addresses.iter().fold(named, |labels, address| self.at(labels, *address));
                let member = Member { labels: self.host.clone(), ports: NamedPorts::new() };
                let entries =
                    node.addresses.iter().map(|at| (IpNet::from(*at), (Identity::HOST, member.clone())));
                self.nodes.extend(entries);
                continue;
            }
            for address in &node.addresses {
                let labels = self.at(named.clone(), *address);
                let known = if labels == plain {
                    (Identity::REMOTE_NODE, Member { labels, ports: NamedPorts::new() })
                } else {
                    numbered(numbers, labels)
                };
                self.nodes.insert(IpNet::from(*address), known);
            }
        }
    }
}

fn with_labels(mut labels: LabelSet, node: &Node) -> LabelSet {
    for (key, value) in &node.labels {
        labels.insert(Source::Node, key, value);
    }
    labels
}

fn numbered(numbers: &mut Allocator, labels: LabelSet) -> (Identity, Member) {
    let member = Member { labels, ports: NamedPorts::new() };
    (numbers.local_identity(&member), member)
}

/// All prefixes over `net`, itself included, the longest first.
fn covering(prefixes: &Prefixes, net: IpNet) -> Vec<(IpNet, &[alloc::sync::Arc<crate::rule::Policy>])> {
    let mut covering = Vec::new();
    let mut candidate = Some(net.trunc());
    while let Some(prefix) = candidate {
        covering.extend(prefixes.get(&prefix).map(|groups| (prefix, groups.as_slice())));
        candidate = prefix.supernet();
    }
    covering
}
