//! A party looked up in the world: what has an endpoint, what has an identity only, what stands for others.

use alloc::string::String;
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

    /// The identity that a node's endpoints see; `None`: as seen from outside the cluster.
    pub(super) fn identity(&self, seen_from: Option<usize>) -> Identity {
        match self {
            Self::Endpoint { state, .. } => state.identity,
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
