//! Normalised statements of policies: whom they apply to, and what each allows or denies.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use egret_shared::{Direction, Proxy};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::author::PolicyId;
pub use crate::dialect::Dialect;
use crate::http::HttpRule;
use crate::identity::{LabelSet, Source, relevant};
use crate::selector::{LabelSelector, NamePattern, Selector};
use crate::world::World;
use crate::{Labels, ObjectName, Protocol};

/// One policy object, understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Kind, namespace and name.
    pub id: Arc<PolicyId>,
    /// Its specs; one for all kinds but those that may have `specs`, none for a group of prefixes.
    pub sections: Vec<Section>,
    /// The prefixes that a CiliumCIDRGroup names; `None` for every other kind.
    pub group: Option<CidrGroup>,
    /// What the cluster would act upon and verdicts leave out of account, in the order of the document.
    pub not_simulated: Vec<NotSimulated>,
}

/// A part of a policy that is accepted, checked, and without effect on verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotSimulated {
    /// Place from the object's root, for example `spec.egress[0].authentication`.
    pub path: String,
    /// What is left out of account, and how the verdict stands without it.
    pub what: Cow<'static, str>,
}

/// Prefixes under one name, which policies refer to by the name or by the object's labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CidrGroup {
    /// Labels of the object.
    pub labels: Labels,
    /// The prefixes.
    pub prefixes: Vec<IpNet>,
}

/// One spec of a policy: a subject and the rules for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Whom the rules apply to.
    pub subject: Subject,
    /// When its rules are asked.
    pub tier: Tier,
    /// What the section does to ingress.
    pub ingress: Enforcement,
    /// What the section does to egress.
    pub egress: Enforcement,
    /// The rules, in the order of the document.
    pub rules: Vec<Rule>,
}

/// Whom a section applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// Endpoints of pods, namespace included.
    Endpoints(LabelSelector),
    /// The networks of nodes and of their hostNetwork pods, by the nodes' labels.
    Nodes(LabelSelector),
}

/// The order in which policies are asked: Admin first, and inside a tier the lower priority first. The first
/// rule that matches and does not pass the question on decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tier {
    /// Before all others.
    Admin {
        /// 0 to 1000.
        priority: u16,
    },
    /// NetworkPolicy, CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy: no order, deny wins.
    #[default]
    Normal,
    /// Where no policy of the tier before it denies by default.
    Baseline {
        /// 0 to 1000.
        priority: u16,
    },
}

/// What one section does to one direction of its subjects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Enforcement {
    /// Nothing.
    #[default]
    None,
    /// Policy is enforced, and what nothing allows is dropped.
    DefaultDeny,
    /// Policy is enforced, and what no rule matches passes.
    DefaultAllow,
    /// A NetworkPolicy has rules for a direction that its `policyTypes` leave out: Cilium enforces them all
    /// the same, Kubernetes ignores them (policy semantics 15 row 5).
    Undeclared,
}

impl Enforcement {
    /// What remains of it in a dialect.
    #[must_use]
    pub const fn under(self, dialect: Dialect) -> Self {
        match (self, dialect) {
            (Self::Undeclared, Dialect::Cilium | Dialect::Cilium119) => Self::DefaultDeny,
            (Self::Undeclared, Dialect::Kubernetes) => Self::None,
            (Self::None | Self::DefaultDeny | Self::DefaultAllow, _) => self,
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Path below the object's `spec`, for example `egress[0]`, or `specs[1].egress[0]`.
    pub path: String,
    /// Direction as seen from the subject.
    pub direction: Direction,
    /// Allow, deny or pass.
    pub effect: Effect,
    /// The other side.
    pub peers: Peers,
    /// Protocols and ports.
    pub ports: Ports,
}

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Effect {
    /// Let it pass.
    Allow,
    /// Drop it, whatever allows it at the same place in the order.
    Deny,
    /// Leave it to the next tier. Only policies of a tier with an order have such rules.
    Pass,
}

/// The other side of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peers {
    /// Everyone.
    Any,
    /// Whom any of these selects; without any, nobody.
    Selected(Vec<Selector>),
    /// The backends of services, looked up when policies are compiled.
    Services(Vec<ServiceReference>),
}

/// Services that a rule refers to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceReference {
    /// Which.
    pub which: ServiceMatch,
    /// Their namespace; `None`: every namespace (policy semantics 15 row 12).
    pub namespace: Option<String>,
}

/// How a rule refers to services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceMatch {
    /// By name.
    Name(String),
    /// By the services' own labels.
    Labels(LabelSelector),
}

/// Protocols and ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ports {
    /// Every protocol and port, ICMP included.
    Any,
    /// What any of these names; without any, nothing.
    Listed(Vec<PortRule>),
}

/// One protocol with ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRule {
    /// Path of the list item below the object's `spec`, for example `egress[0].toPorts[1]`.
    pub path: String,
    /// The protocol; ICMP types stand in the place of ports.
    pub protocol: Protocol,
    /// The ports.
    pub port: PortMatch,
    /// What is looked at inside the traffic; `None`: nothing, all of it is allowed.
    pub inspect: Option<Inspection>,
}

/// What a proxy looks at, and lets pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inspection {
    /// The names that DNS queries ask for.
    Dns(Vec<NamePattern>),
    /// HTTP requests.
    Http(Vec<HttpRule>),
    /// The server name of a TLS handshake. Stars mean what they mean in DNS patterns.
    Tls(Vec<NamePattern>),
}

/// Ports of one protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PortMatch {
    /// Every port.
    Every,
    /// From the first to the last, both included.
    Range(u16, u16),
    /// The container port of this name, of whoever receives the traffic.
    Named(String),
}

// === impl Policy ===

impl Policy {
    /// A policy of these sections.
    #[must_use]
    pub fn new(id: PolicyId, sections: Vec<Section>) -> Self {
        Self { id: Arc::new(id), sections, group: None, not_simulated: Vec::new() }
    }

    /// The endpoints that the policy selects, ordered; hostNetwork pods have none.
    ///
    /// Policies of Kubernetes are read as Kubernetes reads them, by every label of the pod; those of Cilium by
    /// the labels that Cilium keeps in identities.
    #[must_use]
    pub fn selects(&self, world: &World) -> Vec<ObjectName> {
        let dialect = if self.id.kind.starts_with("Cilium") { Dialect::Cilium } else { Dialect::Kubernetes };
        let selected = |name: &ObjectName, pod| {
            let labels = relevant::of_pod(name, pod, world, dialect);
            self.sections.iter().any(|section| section.subject.selects(&labels))
        };
        world
            .pods
            .iter()
            .filter(|(name, pod)| !pod.host_network && selected(name, pod))
            .map(|(name, _)| (**name).clone())
            .collect()
    }

    /// The nodes that the policy selects, ordered.
    #[must_use]
    pub fn selects_nodes(&self, world: &World) -> Vec<String> {
        let selected = |labels: &Labels| {
            let labels = relevant::of_node(labels);
            self.sections.iter().any(|section| section.subject.selects(&labels))
        };
        let nodes = world.nodes.iter().filter(|(_, node)| selected(&node.labels));
        nodes.map(|(name, _)| name.clone()).collect()
    }

    /// Whether the policy has a subject and none of it exists: in force, it changes nothing.
    #[must_use]
    pub fn selects_nothing(&self, world: &World) -> bool {
        self.group.is_none() && self.selects(world).is_empty() && self.selects_nodes(world).is_empty()
    }

    /// Whether any of its rules sends traffic to a proxy.
    #[must_use]
    pub fn redirects_to(&self, proxy: Proxy) -> bool {
        let rules = self.sections.iter().flat_map(|section| &section.rules);
        rules.flat_map(Rule::listed_ports).any(|port| port.proxy() == Some(proxy))
    }

    /// Every path that an [`crate::Author::Rule`] of this policy may carry, in the order of the document.
    #[must_use]
    pub fn rule_paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for rule in self.sections.iter().flat_map(|section| &section.rules) {
            paths.push(rule.path.clone());
            paths.extend(rule.listed_ports().iter().map(|port| port.path.clone()));
        }
        let mut seen = BTreeSet::new();
        paths.retain(|path| seen.insert(path.clone()));
        paths
    }
}

impl Section {
    /// What the section does to a direction.
    #[must_use]
    pub const fn enforcement(&self, direction: Direction) -> Enforcement {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }
}

impl Rule {
    /// Its ports, when it lists any.
    #[must_use]
    pub fn listed_ports(&self) -> &[PortRule] {
        match &self.ports {
            Ports::Any => &[],
            Ports::Listed(ports) => ports,
        }
    }
}

impl PortRule {
    /// The proxy that the traffic goes through.
    #[must_use]
    pub const fn proxy(&self) -> Option<Proxy> {
        match &self.inspect {
            None => None,
            Some(Inspection::Dns(_)) => Some(Proxy::Dns),
            Some(Inspection::Http(_)) => Some(Proxy::Http),
            Some(Inspection::Tls(_)) => Some(Proxy::Tls),
        }
    }
}

impl Subject {
    /// Whether whoever has these labels is a subject: a pod's endpoint, or a node with `reserved:host`.
    #[must_use]
    pub fn selects(&self, labels: &LabelSet) -> bool {
        let is_host = labels.has(Source::Reserved, "host");
        match self {
            Self::Endpoints(selector) => !is_host && selector.selects(labels),
            Self::Nodes(selector) => is_host && selector.selects(labels),
        }
    }
}
