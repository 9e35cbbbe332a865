//! Who decided: a rule of a policy, the default deny, or the kubelet exception.

use alloc::string::String;
use core::fmt;

/// Kind, namespace and name of a policy object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId {
    /// Kubernetes kind, for example `CiliumNetworkPolicy`.
    pub kind: String,
    /// Namespace; `None` for cluster-wide kinds.
    pub namespace: Option<String>,
    /// Name of the object.
    pub name: String,
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// The author of a decision; every policymap entry and every verdict has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Author {
    /// No rule matched; `because` names the policies that switch default deny on, in order.
    DefaultDeny {
        /// Policies that select the endpoint in this direction.
        because: alloc::vec::Vec<PolicyId>,
    },
    /// The synthetic rule that lets a pod's own node in.
    Kubelet,
    /// One rule of a policy.
    Rule {
        /// The policy.
        policy: PolicyId,
        /// Path of the rule below the object's `spec`, for example `egress[0]` or `egressDeny[0].toPorts[1]`;
        /// `specs[1].egress[0]` when the policy has `specs`.
        path: String,
    },
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultDeny { .. } => f.write_str("default deny"),
            Self::Kubelet => f.write_str("kubelet"),
            Self::Rule { policy, path } if path.is_empty() => write!(f, "{policy}"),
            Self::Rule { policy, path } => write!(f, "{policy} {path}"),
        }
    }
}
