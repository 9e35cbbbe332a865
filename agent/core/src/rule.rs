//! Normalised statements of policies: whom they apply to, and what each allows or denies.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use egret_shared::Direction;

use crate::author::PolicyId;
use crate::identity::relevant;
use crate::selector::{LabelSelector, NamePattern, Selector};
use crate::world::World;
use crate::{ObjectName, Protocol};

/// One policy object, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Kind, namespace and name.
    pub id: PolicyId,
    /// Its specs; one for all kinds but those that may have `specs`.
    pub sections: Vec<Section>,
}

/// One spec of a policy: a subject and the rules for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Endpoints that the rules apply to, namespace included.
    pub subject: LabelSelector,
    /// What the section does to ingress.
    pub ingress: Enforcement,
    /// What the section does to egress.
    pub egress: Enforcement,
    /// The rules, in the order of the document.
    pub rules: Vec<Rule>,
}

/// What one section does to one direction of its subjects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
            (Self::Undeclared, Dialect::Cilium) => Self::DefaultDeny,
            (Self::Undeclared, Dialect::Kubernetes) => Self::None,
            (Self::None | Self::DefaultDeny | Self::DefaultAllow, _) => self,
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Path below the object's `spec`, for example `egress[0]`, or `specs[1].egress[0]`.
    pub path: String,
    /// Direction as seen from the subject.
    pub direction: Direction,
    /// Allow or deny.
    pub effect: Effect,
    /// The other side.
    pub peers: Peers,
    /// Protocols and ports.
    pub ports: Ports,
}

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// Let it pass.
    Allow,
    /// Drop it, whatever allows it.
    Deny,
}

/// The other side of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peers {
    /// Everyone.
    Any,
    /// Whom any of these selects; without any, nobody.
    Selected(Vec<Selector>),
    /// The backends of services, looked up when policies are compiled.
    Services(Vec<ServiceReference>),
}

/// A service named in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceReference {
    /// Name of the service.
    pub name: String,
    /// Its namespace; `None`: that name in every namespace (policy semantics 15 row 12).
    pub namespace: Option<String>,
}

/// Protocols and ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Every protocol and port, ICMP included.
    Any,
    /// What any of these names; without any, nothing.
    Listed(Vec<PortRule>),
}

/// One protocol with ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortRule {
    /// Path of the list item below the object's `spec`, for example `egress[0].toPorts[1]`.
    pub path: String,
    /// The protocol; ICMP types stand in the place of ports.
    pub protocol: Protocol,
    /// The ports.
    pub port: PortMatch,
    /// Names that may be asked for there; `None`: the traffic is not looked into.
    pub dns: Option<Vec<NamePattern>>,
}

/// Ports of one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortMatch {
    /// Every port.
    Every,
    /// From the first to the last, both included.
    Range(u16, u16),
    /// The container port of this name, of whoever receives the traffic.
    Named(String),
}

/// Whose reading of a policy holds where engines differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Cilium's.
    #[default]
    Cilium,
    /// The text of the Kubernetes API.
    Kubernetes,
}

// === impl Policy ===

impl Policy {
    /// The endpoints that the policy selects, ordered; hostNetwork pods have none.
    ///
    /// A NetworkPolicy is read as Kubernetes reads it, by every label of the pod; a Cilium policy by the
    /// labels that Cilium keeps in identities.
    #[must_use]
    pub fn selects(&self, world: &World) -> Vec<ObjectName> {
        let dialect = match self.id.kind.as_str() {
            "NetworkPolicy" => Dialect::Kubernetes,
            _ => Dialect::Cilium,
        };
        let selected = |name: &ObjectName, pod| {
            let labels = relevant::of_pod(name, pod, world, dialect);
            self.sections.iter().any(|section| section.subject.selects(&labels))
        };
        world
            .pods
            .iter()
            .filter(|(name, pod)| !pod.host_network && selected(name, pod))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Every path that an [`crate::Author::Rule`] of this policy may carry, in the order of the document.
    #[must_use]
    pub fn rule_paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for rule in self.sections.iter().flat_map(|section| &section.rules) {
            paths.push(rule.path.clone());
            if let Ports::Listed(ports) = &rule.ports {
                paths.extend(ports.iter().map(|port| port.path.clone()));
            }
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
