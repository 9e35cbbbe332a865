//! Answers one question from compiled state, without packets: may this party reach that one, and who says so.
//!
//! | part | module |
//! | --- | --- |
//! | who a party is | `end` |
//! | the compiled cluster, and both directions of one flow | `cluster` |
//! | a flow's verdicts as numbers | `judged` |
//! | every rule that gives a verdict | `claims` |
//! | which backends a service stands for | `service` |
//!
//! Connections are not followed: a question is about a connection's first packet.

mod claims;
mod cluster;
mod end;
mod judged;
mod service;

pub use claims::Claims;
pub use cluster::Cluster;
pub use end::{End, Unanswerable};
pub use judged::{Judged, SideJudged};

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use egret_shared::{Direction, DropReason, Identity, MatchType};

use crate::{Author, ObjectName, Protocol};

/// One end of a flow, as a person names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Party {
    /// A pod; a hostNetwork pod is its node.
    Pod(ObjectName),
    /// An address, of whomever has it.
    Address(IpAddr),
    /// Outside the cluster, at an address that nothing names.
    World,
    /// The node of the other side.
    Host,
    /// Some node that is not the other side's.
    RemoteNode,
    /// The API server.
    KubeApiserver,
    /// A node.
    Node(String),
    /// A service: where it is asked, its backends behind its port; where it asks, the pods behind it.
    Service(ObjectName),
}

/// What a proxy would see of the flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer7 {
    /// A query for this name.
    Dns(String),
    /// One request.
    Http {
        /// Method.
        method: String,
        /// Path with query.
        path: String,
        /// Host; empty when the request has none.
        host: String,
        /// Headers beside the host, in order.
        headers: Vec<(String, String)>,
    },
    /// The server name of a TLS handshake.
    ServerName(String),
}

/// May `from` reach `to`?
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// Who opens the connection.
    pub from: Party,
    /// Whom it is for.
    pub to: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Destination port; the type of an ICMP message.
    pub port: u16,
    /// What a proxy would see, when that is known.
    pub layer7: Option<Layer7>,
}

/// Both directions, always judged: what one drops the other may still be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// At the endpoint that opens the connection.
    pub egress: SideAnswer,
    /// At the endpoint that it is for.
    pub ingress: SideAnswer,
    /// What a proxy says to [`Question::layer7`]; `None` where none is asked, or nothing was given to ask.
    pub layer7: Option<Layer7Answer>,
    /// What a service stood for; `None` where none took part.
    pub service: Option<Balanced>,
}

/// One direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideAnswer {
    /// What happens.
    pub verdict: SideVerdict,
    /// Why it is dropped.
    pub reason: Option<DropReason>,
    /// A rule of a document decided, and not a default.
    pub explicit: bool,
    /// How specific the deciding row is.
    pub match_type: MatchType,
    /// Everybody who decided, in the order of the policies: several rules may say the same. Empty where nobody did.
    pub by: Vec<Author>,
    /// The pod whose policy was asked; `None` for what has no endpoint.
    pub endpoint: Option<ObjectName>,
    /// The other side as this endpoint sees it.
    pub peer: Identity,
}

/// What happens at one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SideVerdict {
    /// It passes under a policy.
    Allowed,
    /// It is dropped.
    Denied,
    /// A proxy decides.
    Redirected,
    /// No policy is in force, or there is no endpoint to have one.
    Unenforced,
}

/// What a proxy decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer7Answer {
    /// At which endpoint.
    pub direction: Direction,
    /// Whether the request passes.
    pub allowed: bool,
    /// The rule that lets it pass, or the one that sent it to the proxy, which found nothing to let it pass.
    pub by: Vec<Author>,
}

/// A service in the way of a flow. The datapath takes any backend; where they differ, the answer is about the
/// first that is dropped, so that "allowed" holds for each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balanced {
    /// The service.
    pub name: ObjectName,
    /// Where connections may end: address and port, ordered by pod name.
    pub backends: Vec<(IpAddr, u16)>,
    /// Which of them the answer is about.
    pub chosen: Option<(IpAddr, u16)>,
    /// Every backend gets the same verdicts.
    pub agree: bool,
}

// === impl Answer ===

impl Answer {
    /// Why the flow does not pass; `None`: it does.
    #[must_use]
    pub fn dropped(&self) -> Option<DropReason> {
        let refused = self.layer7.as_ref().filter(|layer7| !layer7.allowed);
        self.egress.reason.or(self.ingress.reason).or(refused.map(|_| DropReason::PolicyDenied))
    }
}

// === impl SideVerdict ===

impl SideVerdict {
    /// The word in answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Redirected => "redirected",
            Self::Unenforced => "unenforced",
        }
    }
}

// === impl Party ===

impl Party {
    /// Reads `ns/pod`, an address, `world`, `host`, `remote-node`, `kube-apiserver`, `node/NAME` or
    /// `service/ns/name`; a pod without namespace stands in `default`.
    ///
    /// A namespace called `node` is reached by no pod name with one slash: `node/x` is a node.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        Some(match text {
            "world" => Self::World,
            "host" => Self::Host,
            "remote-node" => Self::RemoteNode,
            "kube-apiserver" => Self::KubeApiserver,
            _ => match text.split_once('/') {
                Some(("service", name)) => Self::Service(named(name)?),
                Some(("node", name)) if is_word(name) => Self::Node(name.into()),
                Some(_) | None => Self::Pod(named(text)?),
            },
        })
    }
}

/// `ns/name` or `name`, each a word.
fn named(text: &str) -> Option<ObjectName> {
    let name = ObjectName::parse(text);
    (is_word(&name.namespace) && is_word(&name.name)).then_some(name)
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

/// As [`Party::parse`] reads it.
impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(name) => write!(f, "{name}"),
            Self::Address(address) => write!(f, "{address}"),
            Self::World => f.write_str("world"),
            Self::Host => f.write_str("host"),
            Self::RemoteNode => f.write_str("remote-node"),
            Self::KubeApiserver => f.write_str("kube-apiserver"),
            Self::Node(name) => write!(f, "node/{name}"),
            Self::Service(name) => write!(f, "service/{name}"),
        }
    }
}
