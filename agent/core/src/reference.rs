//! A second, deliberately slow reading of policies: one flow against every rule of every document.
//!
//! It follows the written semantics (policy semantics 1, 2 and 15, and the text of the tiers' API) and shares
//! nothing with the compiled path but the parsed documents and the world: no identities, no rows, no selectors
//! understood beforehand. Tests compare both readings, and benches measure what compiling gains. It expects
//! documents that [`crate::spec`] accepts.
//!
//! | part | module |
//! | --- | --- |
//! | who is at one side of a flow | `party` |
//! | label selectors as written | `selector` |
//! | DNS names and patterns | `name` |
//! | NetworkPolicy | `kubernetes` |
//! | Cilium's policies: sections, rules, peers, ports | `cilium`, `written`, `peer`, `port` |
//! | policies in tiers | `tier` |
//! | a rule that matches | `named` |
//! | the order in which all of them are asked | `order` |
//! | what a proxy lets pass | `inside` |

mod cilium;
mod inside;
mod kubernetes;
mod name;
mod named;
mod order;
mod party;
mod peer;
mod port;
mod selector;
mod tier;
mod written;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::Direction;

use crate::judge::Layer7;
use crate::rule::Dialect;
use crate::spec::Document;
use crate::{Author, ObjectName, Protocol, World};
use inside::Inside;
use party::Party;

/// What is read: a cluster, its policies as documents, and whose reading holds.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// What exists.
    pub world: &'a World,
    /// The policies, in any order.
    pub documents: &'a [Document],
    /// Whose reading of them holds.
    pub dialect: Dialect,
    /// Names that the subject's node has learned, each with an address.
    pub learned: &'a [(&'a str, IpAddr)],
}

/// Whose policies are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A pod's.
    Pod(&'a ObjectName),
    /// A node's own.
    Node(&'a str),
}

/// One direction of one flow, after service translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow<'a> {
    /// Whose policies are asked.
    pub subject: Subject<'a>,
    /// Direction as seen from the subject.
    pub direction: Direction,
    /// The other side.
    pub peer: IpAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Destination port, or the ICMP type.
    pub port: u16,
    /// What a proxy would see, when that is known.
    pub seen: Option<&'a Layer7>,
}

/// What becomes of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// No policy is in force.
    Unenforced,
    /// Let through.
    Allowed,
    /// Let through to a proxy.
    Redirected,
    /// Dropped by a rule.
    Denied,
    /// Dropped because nothing allows it.
    DefaultDenied,
}

/// A verdict and those who may be named for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Every rule that leads to it; empty where no rule takes part.
    pub authors: Vec<Author>,
    /// What the proxy says to [`Flow::seen`]; `None` where none is asked, or nothing was given to see.
    pub proxy: Option<Passing>,
}

/// What a proxy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passing {
    /// The request passes; every rule that lets it.
    Passes(Vec<Author>),
    /// Nothing lets it pass.
    Refused,
}

/// What one section of a document says of a flow whose subject it selects.
struct Statement<'a> {
    order: Order,
    /// Whether what nothing allows is dropped.
    default_deny: bool,
    /// Rules that match.
    matching: Vec<Matching<'a>>,
}

/// When a section is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Admin { priority: i64 },
    Normal,
    Baseline { priority: i64 },
}

/// A rule that matches.
struct Matching<'a> {
    /// The path under which it is named.
    path: String,
    /// Its place among the section's rules; it counts in tiers with an order.
    place: usize,
    effect: Effect,
    item: Item<'a>,
}

/// What a rule does with a flow that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
    Pass,
}

/// The part of a rule that matched the protocol and port.
#[derive(Clone, Default)]
struct Item<'a> {
    /// First and last port that it names; `None`: every port.
    ports: Option<(u16, u16)>,
    /// What it looks at inside the traffic.
    inside: Inside<'a>,
    /// The rule's peers as written, where they may be written alike elsewhere.
    peers: Option<Vec<String>>,
}

/// A flow with both of its sides known.
struct Question<'a> {
    reading: Reading<'a>,
    subject: Party<'a>,
    peer: Party<'a>,
    flow: Flow<'a>,
}

/// Judges one flow; `None` when there is no such subject, or it is a pod without a network of its own.
///
/// The order of decisions stands in `order`.
#[must_use]
pub fn judge(reading: Reading<'_>, flow: Flow<'_>) -> Option<Judgement> {
    let subject = Party::subject(reading, flow.subject)?;
    let peer = Party::at(reading, &subject, flow.peer);
    let question = Question { reading, subject, peer, flow };
    let mut said = order::Said::default();
    for document in reading.documents {
        let policy = document.id();
        let namespace = policy.namespace.as_deref();
        let statements = match document {
            Document::NetworkPolicy(written) => kubernetes::statements(&question, written, namespace),
            Document::CiliumNetworkPolicy(written) | Document::CiliumClusterwideNetworkPolicy(written) => {
                cilium::statements(&question, written, namespace)
            }
            Document::ClusterNetworkPolicy(written) => tier::cluster(&question, &written.spec),
            Document::AdminNetworkPolicy(written) => tier::admin(&question, &written.spec),
            Document::BaselineAdminNetworkPolicy(written) => tier::baseline(&question, &written.spec),
            // It says nothing by itself.
            Document::CiliumCidrGroup(_) => Vec::new(),
        };
        for statement in statements {
            said.add(&policy, statement);
        }
    }
    Some(said.judge(&question))
}

impl Question<'_> {
    /// Whether a container port of this name receives the flow: the subject's at ingress, the peer's at egress.
    ///
    /// In Cilium 1.19 a name means one number at egress, whoever the peer is, if all pods agree on it; else
    /// nothing (policy semantics 15 row 3).
    fn reaches_named(&self, name: &str) -> bool {
        let Flow { direction, protocol, port, .. } = self.flow;
        let is_named =
            |serve: &crate::world::Serve| serve.name.as_deref() == Some(name) && serve.protocol == protocol;
        match (direction, self.reading.dialect) {
            (Direction::Egress, Dialect::Cilium119) => {
                let pods = self.reading.world.pods.values().filter(|pod| !pod.host_network);
                let mut all = pods.flat_map(|pod| &pod.serves).filter(|serve| is_named(serve)).peekable();
                all.peek().is_some() && all.all(|serve| serve.port == port)
            }
            (Direction::Egress, Dialect::Cilium | Dialect::Kubernetes) => {
                self.peer.serves().iter().any(|serve| is_named(serve) && serve.port == port)
            }
            (Direction::Ingress, _) => {
                self.subject.serves().iter().any(|serve| is_named(serve) && serve.port == port)
            }
        }
    }

    /// Whether a prefix without its exceptions means the peer: outside the cluster, and in the Kubernetes
    /// dialect everywhere (policy semantics 15 row 6, and 14). The own node is one party under all its addresses.
    fn is_in(&self, prefix: &str, except: &[String]) -> bool {
        let counts = self.peer.is_outside() || self.reading.dialect == Dialect::Kubernetes;
        let covers = |text: &str| {
            let net = text.parse::<ipnet::IpNet>();
            net.is_ok_and(|net| self.peer.addresses.iter().any(|at| net.contains(at)))
        };
        counts && covers(prefix) && !except.iter().any(|cut| covers(cut))
    }

    /// Whether a name that the subject's node has learned led to the peer.
    fn is_learned(&self, fits: impl Fn(&str) -> bool) -> bool {
        let mut learned = self.reading.learned.iter();
        self.peer.is_outside() && learned.any(|(name, at)| self.peer.addresses.contains(at) && fits(name))
    }
}
