//! A party looked up in the world: what has an endpoint, what has an identity only, what stands for others.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::Identity;

use crate::state::EndpointState;
use crate::{ObjectName, Protocol};

/// A party, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A pod with a network of its own.
    Endpoint {
        /// Index of its node in the cluster.
        node: usize,
        /// Its name.
        pod: ObjectName,
        /// Its identity and policies.
        state: EndpointState,
        /// Whom the others take it for at its first IPv4 and its first IPv6 address, or at the one that is asked.
        identities: [Option<Identity>; 2],
    },
    /// A node, or a hostNetwork pod on it.
    Node {
        /// Index of the node in the cluster.
        node: usize,
        /// As the other nodes see it.
        identity: Identity,
    },
    /// What stands at no address, such as "the own node".
    Reserved(Identity),
    /// An address of nobody in the cluster.
    Outside {
        /// The address.
        address: IpAddr,
        /// Identity of its longest prefix.
        identity: Identity,
    },
    /// A service's address: its backends for those in the cluster, and for others an address like any.
    Frontend {
        /// The address.
        address: IpAddr,
        /// The service.
        name: ObjectName,
        /// Identity of the address itself.
        identity: Identity,
    },
    /// A service.
    Service(ObjectName),
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    /// No such pod.
    #[error("there is no pod `{0}`")]
    NoPod(ObjectName),
    /// No such node.
    #[error("there is no node `{0}`")]
    NoNode(String),
    /// No such service.
    #[error("there is no service `{0}`")]
    NoService(ObjectName),
    /// The service has other ports.
    #[error("the service `{name}` has no port {port}/{protocol}")]
    NoServicePort {
        /// The service.
        name: ObjectName,
        /// The port asked for.
        port: u16,
        /// Its protocol.
        protocol: Protocol,
    },
    /// A service that ought to open connections has no pods.
    #[error("the service `{0}` has no pod that could ask")]
    NoClient(ObjectName),
}

// === impl End ===

impl End {
    /// Whether the party is the one that packets come from or go to, and does not stand for others.
    #[must_use]
    pub const fn stands_for_itself(&self) -> bool {
        match self {
            Self::Endpoint { .. } | Self::Node { .. } | Self::Reserved(_) | Self::Outside { .. } => true,
            Self::Frontend { .. } | Self::Service(_) => false,
        }
    }

    /// Index of the node that it is on, or is.
    #[must_use]
    pub const fn node(&self) -> Option<usize> {
        match self {
            Self::Endpoint { node, .. } | Self::Node { node, .. } => Some(*node),
            Self::Reserved(_) | Self::Outside { .. } | Self::Frontend { .. } | Self::Service(_) => None,
        }
    }

    /// Whether the party has an address of each family, of IPv4 and of IPv6; `None`: it has no address of its own.
    const fn families(&self) -> Option<[bool; 2]> {
        match self {
            Self::Endpoint { identities: [v4, v6], .. } => Some([v4.is_some(), v6.is_some()]),
            Self::Outside { address, .. } | Self::Frontend { address, .. } => {
                Some([address.is_ipv4(), address.is_ipv6()])
            }
            Self::Node { .. } | Self::Reserved(_) | Self::Service(_) => None,
        }
    }

    /// The same pod, asked at its address of one family alone.
    fn at(&self, family: Family) -> Self {
        let mut this = self.clone();
        if let Self::Endpoint { identities: [v4, v6], .. } = &mut this {
            match family {
                Family::V4 => *v6 = None,
                Family::V6 => *v4 = None,
            }
        }
        this
    }

    /// Whether policies take the party for another one at its other address.
    #[must_use]
    pub fn depends_on_family(&self) -> bool {
        matches!(self, Self::Endpoint { identities: [Some(v4), Some(v6)], .. } if v4 != v6)
    }

    /// A flow's two ends, once for each family in which policies may judge it differently.
    pub(super) fn by_family(from: &Self, to: &Self) -> Vec<(Self, Self)> {
        let as_asked = || alloc::vec![(from.clone(), to.clone())];
        if !from.depends_on_family() && !to.depends_on_family() {
            return as_asked();
        }
        let has = |families: Option<[bool; 2]>| families.unwrap_or([true; 2]);
        let ([from_v4, from_v6], [to_v4, to_v6]) = (has(from.families()), has(to.families()));
        let families = [(Family::V4, from_v4 && to_v4), (Family::V6, from_v6 && to_v6)];
        let both: Vec<_> = families.into_iter().filter(|(_, both)| *both).collect();
        if both.is_empty() {
            return as_asked();
        }
        both.into_iter().map(|(family, _)| (from.at(family), to.at(family))).collect()
    }

    /// The identity that a node's endpoints see, `None`: as seen from outside the cluster; a pod at its address of
    /// the family in which the other side has one.
    pub(super) fn identity(&self, seen_from: Option<usize>, other: &Self) -> Identity {
        match self {
            Self::Endpoint { state, identities: [v4, v6], .. } => {
                let [other_v4, other_v6] = other.families().unwrap_or([true; 2]);
                let common = v4.filter(|_| other_v4).or(v6.filter(|_| other_v6));
                common.or(*v4).or(*v6).unwrap_or(state.identity)
            }
            Self::Node { node, .. } if seen_from == Some(*node) => Identity::HOST,
            Self::Node { identity, .. }
            | Self::Outside { identity, .. }
            | Self::Frontend { identity, .. } => *identity,
            Self::Reserved(identity) => *identity,
            // Services are replaced by their backends before anybody is judged.
            Self::Service(_) => Identity::WORLD,
        }
    }
}
