//! Who decided: a rule of a policy, the default deny, or the kubelet exception.

use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Serialize};

/// Kind, namespace and name of a policy object; as data the text that it prints as.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

/// A text that names no policy object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no policy: `Kind namespace/name` was expected, or `Kind name`")]
pub struct InvalidPolicyId(String);

impl TryFrom<String> for PolicyId {
    type Error = InvalidPolicyId;

    fn try_from(text: String) -> Result<Self, InvalidPolicyId> {
        match text.split_once(' ') {
            Some((kind, object)) if !kind.is_empty() => {
                let (namespace, name) = match object.split_once('/') {
                    Some((namespace, name)) => (Some(namespace.to_string()), name),
                    None => (None, object),
                };
                Ok(Self { kind: kind.to_string(), namespace, name: name.to_string() })
            }
            Some(_) | None => Err(InvalidPolicyId(text)),
        }
    }
}

impl From<PolicyId> for String {
    fn from(id: PolicyId) -> Self {
        id.to_string()
    }
}

/// The author of a decision; every policymap entry and every verdict has one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
