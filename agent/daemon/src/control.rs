//! The agent's socket on its node: what the plugin and `egret agent …` ask, one JSON document a line.

pub mod client;
pub mod flows;
mod line;
pub mod server;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;

use egret_core::ObjectName;
use egret_core::flow::Flow;
use egret_core::rule::Dialect;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::netlink::Mac;
use crate::node::alias::PodKey;

/// Where the socket is on a node.
pub const SOCKET: &str = "/run/egret/agent.sock";

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// Link a pod whose network comes as a descriptor beside this request.
    Add {
        /// The runtime's name for the container.
        container: String,
        /// Name of the interface inside.
        interface: String,
        /// The pod.
        pod: PodText,
    },
    /// Look at the links anew.
    Settle,
    /// Whether pods can be linked.
    Ready,
    /// What is in force.
    Status,
    /// Return when the state in force was made from these versions of objects, or from later ones.
    Await {
        /// `Kind/namespace/name` to version; an empty one stands for an object that is gone.
        objects: BTreeMap<String, String>,
        /// How long to wait at most.
        seconds: u64,
    },
    /// The kept flows.
    Flows {
        /// The first revision under which they were observed; 0: all that are kept.
        since: u64,
        /// Go on with new ones.
        follow: bool,
    },
    /// Forget learned names and connections.
    Forget,
    /// Record every packet, or only new and dropped ones.
    Capture(bool),
    /// Whose reading of policies holds; `None`: what the kinds of the policies in force say.
    Dialect(Option<Dialect>),
    /// Lead prefixes outside the cluster to a neighbour of the node, in place of those before; none: no more.
    Outside {
        /// The neighbour: an address of each of its families.
        via: Vec<IpAddr>,
        /// The prefixes.
        prefixes: Vec<IpNet>,
    },
}

/// A pod as [`PodKey`] writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PodText {
    /// By UID.
    Uid(String),
    /// By name.
    Name(ObjectName),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// The pod has its link.
    Added(Added),
    /// Done.
    Done,
    /// What is in force.
    Status(Box<Status>),
    /// One flow; others may follow.
    Flow(Box<Flow>),
    /// It could not be done.
    Refused {
        /// Why.
        message: String,
        /// It may be possible a moment later.
        again: bool,
    },
}

/// A link that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// Addresses of the pod.
    pub addresses: Vec<IpAddr>,
    /// Name of the node's end.
    pub link: String,
    /// Hardware address of the node's end.
    pub mac: String,
    /// Hardware address of the pod's end.
    pub inside_mac: String,
}

/// What is in force on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Name of the node.
    pub node: String,
    /// Number of the last state that came into force; 0: none.
    pub revision: u64,
    /// `Kind/namespace/name` to the resource version in force; cluster-wide kinds have no namespace.
    pub policies: BTreeMap<String, String>,
    /// Policies that are not in force because they are wrong, with what is wrong.
    pub invalid: BTreeMap<String, String>,
    /// Pods of this node that the datapath holds.
    pub pods: usize,
    /// Pods of this node that it does not hold, as `namespace/name`: restart them.
    pub unmanaged: Vec<ObjectName>,
    /// Kinds that the cluster does not have.
    pub absent: Vec<String>,
    /// Kinds whose watch does not run, with the API server's last answer. What was known of them is in force.
    pub failing: BTreeMap<String, String>,
    /// Records that the datapath could not hand over.
    pub lost: u64,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no agent, or it ended.
    #[error("the agent does not answer at `{socket}`: {source}")]
    Socket {
        /// The socket.
        socket: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The answer is not understood: agent and client are of two builds.
    #[error("the agent's answer is not understood: {0}")]
    Answer(serde_json::Error),
    /// The agent refuses.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
        /// It may be possible a moment later.
        again: bool,
    },
}

impl From<&PodKey> for PodText {
    fn from(key: &PodKey) -> Self {
        match key {
            PodKey::Uid(uid) => Self::Uid(uid.clone()),
            PodKey::Name(name) => Self::Name(name.clone()),
        }
    }
}

impl From<PodText> for PodKey {
    fn from(text: PodText) -> Self {
        match text {
            PodText::Uid(uid) => Self::Uid(uid),
            PodText::Name(name) => Self::Name(name),
        }
    }
}

/// A hardware address as text.
fn mac_text(mac: Option<Mac>) -> String {
    let bytes: Vec<String> = mac.iter().flatten().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}
