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
        /// The address, which may be a service's.
        address: IpAddr,
        /// Identity of its longest prefix.
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
