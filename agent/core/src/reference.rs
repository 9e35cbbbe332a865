//! A second, deliberately slow reading of policies: one flow against every rule of every document.
//!
//! It follows the written semantics (policy semantics 1, 2 and 15) and shares nothing with the compiled path but
//! the parsed documents and the world: no identities, no rows, no selectors understood beforehand. Tests compare
//! both readings, and benches measure what compiling gains. It expects documents that [`crate::spec`] accepts, and
//! reads peers by label, prefix, entity, service name and DNS name, ports and ICMP types. Whether a redirected
//! request passes is not its question, and what it cannot read it does not judge: [`judge`] says what that is.

mod cilium;
mod kubernetes;
mod name;
mod party;
mod selector;

use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::Direction;

use crate::rule::Dialect;
use crate::spec::Document;
use crate::{Author, ObjectName, Protocol, World};
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

/// One direction of one flow, after service translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow<'a> {
    /// The pod whose policies are asked.
    pub subject: &'a ObjectName,
    /// Direction as seen from the subject.
    pub direction: Direction,
    /// The other side.
    pub peer: IpAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Destination port, or the ICMP type.
    pub port: u16,
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
}

/// What one section of a document says of a flow whose subject it selects.
struct Statement {
    /// Whether what nothing allows is dropped.
    default_deny: bool,
    /// Rules that match, with the paths under which they are named.
    matching: Vec<(Effect, alloc::string::String)>,
}

/// What a rule does with a flow that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Redirect,
    Deny,
}

/// A flow with both of its sides known.
struct Question<'a> {
    reading: Reading<'a>,
    subject: Party<'a>,
    peer: Party<'a>,
    flow: Flow<'a>,
}

/// Judges one flow; `None` when the subject is no pod with a network of its own, or where this reading ends:
/// at tiers, at groups of prefixes, at nodes and services by label, at what Cilium 1.19 reads otherwise.
///
/// Collect all rules that match: any deny, else any redirect, else any allow decides; else the subject's own
/// node, else default deny (policy semantics 2.14 and 6.4).
#[must_use]
pub fn judge(reading: Reading<'_>, flow: Flow<'_>) -> Option<Judgement> {
    let subject = Party::pod(reading, flow.subject)?;
    let peer = Party::at(reading, &subject, flow.peer);
    let question = Question { reading, subject, peer, flow };
    let (mut enforced, mut because) = (false, Vec::new());
    let (mut denies, mut redirects, mut allows) = (Vec::new(), Vec::new(), Vec::new());
    for document in reading.documents {
        let policy = document.id();
        let namespace = policy.namespace.as_deref();
        let statements = match document {
            Document::NetworkPolicy(written) => kubernetes::statements(&question, written, namespace),
            Document::CiliumNetworkPolicy(written) | Document::CiliumClusterwideNetworkPolicy(written) => {
                if !cilium::is_read(written) {
                    return None;
                }
                cilium::statements(&question, written, namespace)
            }
            Document::CiliumCidrGroup(_)
            | Document::ClusterNetworkPolicy(_)
            | Document::AdminNetworkPolicy(_)
            | Document::BaselineAdminNetworkPolicy(_) => return None,
        };
        for statement in statements {
            enforced = true;
            if statement.default_deny {
                because.push(policy.clone());
            }
            for (effect, path) in statement.matching {
                let author = Author::Rule { policy: policy.clone(), path };
                match effect {
                    Effect::Allow => allows.push(author),
                    Effect::Redirect => redirects.push(author),
                    Effect::Deny => denies.push(author),
                }
            }
        }
    }
    because.sort();
    because.dedup();

    let is_own_node = question.peer.is_own_node();
    let lets_own_node = match reading.dialect {
        Dialect::Kubernetes => is_own_node,
        Dialect::Cilium => is_own_node && flow.direction == Direction::Ingress,
        Dialect::Cilium119 => return None,
    };
    if !because.is_empty() && lets_own_node {
        allows.push(Author::Kubelet);
    }
    let (verdict, authors) = if !enforced {
        (Verdict::Unenforced, Vec::new())
    } else if !denies.is_empty() {
        (Verdict::Denied, denies)
    } else if !redirects.is_empty() {
        (Verdict::Redirected, redirects)
    } else if !allows.is_empty() || because.is_empty() {
        (Verdict::Allowed, allows)
    } else {
        (Verdict::DefaultDenied, Vec::from([Author::DefaultDeny { because }]))
    };
    Some(Judgement { verdict, authors })
}

impl Question<'_> {
    /// Whether a container port of this name receives the flow: the subject's at ingress, the peer's at egress.
    fn reaches_named(&self, name: &str) -> bool {
        let receiver = match self.flow.direction {
            Direction::Ingress => &self.subject,
            Direction::Egress => &self.peer,
        };
        receiver.serves().iter().any(|serve| {
            serve.name.as_deref() == Some(name)
                && serve.protocol == self.flow.protocol
                && serve.port == self.flow.port
        })
    }
}
