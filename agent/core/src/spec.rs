//! Policy documents as they are written, and how each becomes rules.
//!
//! The shapes refuse unknown fields. What the shapes let through is checked by [`understand`] against what the
//! API server and Cilium would refuse (policy semantics section 3). What is accepted and has no effect on
//! verdicts is listed in the policy, by path, so that no field is ever passed over in silence.

mod check;
pub mod cilium_cidr_group;
mod cilium_l7;
pub mod cilium_network_policy;
mod cilium_peer;
mod cilium_port;
mod cilium_rule;
pub mod cluster_network_policy;
mod cluster_port;
mod cluster_rule;
mod icmp;
mod kubernetes_rule;
pub mod label_selector;
pub mod metadata;
pub mod network_policy;
mod prefix;

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer};

use crate::author::PolicyId;
use crate::name::ObjectName;
use crate::rule;
use cilium_cidr_group::CiliumCidrGroup;
use cilium_network_policy::CiliumNetworkPolicy;
use cluster_network_policy::{AdminNetworkPolicy, ClusterNetworkPolicy};
use network_policy::NetworkPolicy;

/// The kinds of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyKind {
    /// `networking.k8s.io/v1`.
    NetworkPolicy,
    /// `cilium.io/v2`, for one namespace.
    CiliumNetworkPolicy,
    /// `cilium.io/v2`, for the cluster.
    CiliumClusterwideNetworkPolicy,
    /// `cilium.io/v2` and `cilium.io/v2alpha1`: no policy by itself, but policies refer to it.
    CiliumCidrGroup,
    /// `policy.networking.k8s.io/v1alpha2`.
    ClusterNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1`.
    AdminNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1`.
    BaselineAdminNetworkPolicy,
}

impl PolicyKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::NetworkPolicy,
        Self::CiliumNetworkPolicy,
        Self::CiliumClusterwideNetworkPolicy,
        Self::CiliumCidrGroup,
        Self::ClusterNetworkPolicy,
        Self::AdminNetworkPolicy,
        Self::BaselineAdminNetworkPolicy,
    ];

    /// The kind that a document names.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.kind() == kind && known.api_versions().contains(&api_version))
    }

    /// Its word in `kind`.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::NetworkPolicy => "NetworkPolicy",
            Self::CiliumNetworkPolicy => "CiliumNetworkPolicy",
            Self::CiliumClusterwideNetworkPolicy => "CiliumClusterwideNetworkPolicy",
            Self::CiliumCidrGroup => "CiliumCIDRGroup",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
        }
    }

    /// Its words in `apiVersion`, the newest first.
    #[must_use]
    pub const fn api_versions(self) -> &'static [&'static str] {
        match self {
            Self::NetworkPolicy => &["networking.k8s.io/v1"],
            Self::CiliumNetworkPolicy | Self::CiliumClusterwideNetworkPolicy => &["cilium.io/v2"],
            Self::CiliumCidrGroup => &["cilium.io/v2", "cilium.io/v2alpha1"],
            Self::ClusterNetworkPolicy => &["policy.networking.k8s.io/v1alpha2"],
            Self::AdminNetworkPolicy | Self::BaselineAdminNetworkPolicy => {
                &["policy.networking.k8s.io/v1alpha1"]
            }
        }
    }

    /// The newest word in `apiVersion`.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        self.api_versions().first().copied().unwrap_or_default()
    }

    /// Whether its objects stand in a namespace.
    #[must_use]
    pub const fn is_namespaced(self) -> bool {
        match self {
            Self::NetworkPolicy | Self::CiliumNetworkPolicy => true,
            Self::CiliumClusterwideNetworkPolicy
            | Self::CiliumCidrGroup
            | Self::ClusterNetworkPolicy
            | Self::AdminNetworkPolicy
            | Self::BaselineAdminNetworkPolicy => false,
        }
    }
}

/// One policy document.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A NetworkPolicy.
    NetworkPolicy(NetworkPolicy),
    /// A CiliumNetworkPolicy.
    CiliumNetworkPolicy(CiliumNetworkPolicy),
    /// A CiliumClusterwideNetworkPolicy, which has the same shape.
    CiliumClusterwideNetworkPolicy(CiliumNetworkPolicy),
    /// A CiliumCIDRGroup.
    CiliumCidrGroup(CiliumCidrGroup),
    /// A ClusterNetworkPolicy.
    ClusterNetworkPolicy(ClusterNetworkPolicy),
    /// An AdminNetworkPolicy.
    AdminNetworkPolicy(AdminNetworkPolicy),
    /// A BaselineAdminNetworkPolicy, which has the same shape.
    BaselineAdminNetworkPolicy(AdminNetworkPolicy),
}

impl Document {
    /// Reads a document of a known kind.
    ///
    /// # Errors
    /// The document does not have the kind's shape; an unknown field is such an error.
    pub fn deserialize_kind<'de, D: Deserializer<'de>>(
        kind: PolicyKind,
        deserializer: D,
    ) -> Result<Self, D::Error> {
        match kind {
            PolicyKind::NetworkPolicy => NetworkPolicy::deserialize(deserializer).map(Self::NetworkPolicy),
            PolicyKind::CiliumNetworkPolicy => {
                CiliumNetworkPolicy::deserialize(deserializer).map(Self::CiliumNetworkPolicy)
            }
            PolicyKind::CiliumClusterwideNetworkPolicy => {
                CiliumNetworkPolicy::deserialize(deserializer).map(Self::CiliumClusterwideNetworkPolicy)
            }
            PolicyKind::CiliumCidrGroup => {
                CiliumCidrGroup::deserialize(deserializer).map(Self::CiliumCidrGroup)
            }
            PolicyKind::ClusterNetworkPolicy => {
                ClusterNetworkPolicy::deserialize(deserializer).map(Self::ClusterNetworkPolicy)
            }
            PolicyKind::AdminNetworkPolicy => {
                AdminNetworkPolicy::deserialize(deserializer).map(Self::AdminNetworkPolicy)
            }
            PolicyKind::BaselineAdminNetworkPolicy => {
                AdminNetworkPolicy::deserialize(deserializer).map(Self::BaselineAdminNetworkPolicy)
            }
        }
    }

    /// The document's kind.
    #[must_use]
    pub const fn kind(&self) -> PolicyKind {
        match self {
            Self::NetworkPolicy(_) => PolicyKind::NetworkPolicy,
            Self::CiliumNetworkPolicy(_) => PolicyKind::CiliumNetworkPolicy,
            Self::CiliumClusterwideNetworkPolicy(_) => PolicyKind::CiliumClusterwideNetworkPolicy,
            Self::CiliumCidrGroup(_) => PolicyKind::CiliumCidrGroup,
            Self::ClusterNetworkPolicy(_) => PolicyKind::ClusterNetworkPolicy,
            Self::AdminNetworkPolicy(_) => PolicyKind::AdminNetworkPolicy,
            Self::BaselineAdminNetworkPolicy(_) => PolicyKind::BaselineAdminNetworkPolicy,
        }
    }

    /// Kind, namespace and name; a namespaced document without namespace stands in `default`.
    #[must_use]
    pub fn id(&self) -> PolicyId {
        let metadata = match self {
            Self::NetworkPolicy(document) => &document.metadata,
            Self::CiliumNetworkPolicy(document) | Self::CiliumClusterwideNetworkPolicy(document) => {
                &document.metadata
            }
            Self::CiliumCidrGroup(document) => &document.metadata,
            Self::ClusterNetworkPolicy(document) => &document.metadata,
            Self::AdminNetworkPolicy(document) | Self::BaselineAdminNetworkPolicy(document) => {
                &document.metadata
            }
        };
        let namespace = metadata.namespace.clone().unwrap_or_else(|| ObjectName::DEFAULT_NAMESPACE.into());
        PolicyId {
            kind: self.kind().kind().into(),
            namespace: self.kind().is_namespaced().then_some(namespace),
            name: metadata.name.clone(),
        }
    }
}

/// What keeps a document from being understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct InvalidSpec {
    /// Place from the object's root, for example `spec.egress[0].toCIDR[1]`.
    pub path: String,
    /// What is wrong, and which rule it breaks.
    pub problem: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// Turns a document into rules.
///
/// # Errors
/// Everything that the API server or Cilium would refuse, in the order in which it is checked.
pub fn understand(document: &Document) -> Result<rule::Policy, Vec<InvalidSpec>> {
    let mut check = check::Check::default();
    let mut group = None;
    let sections = match document {
        Document::NetworkPolicy(policy) => kubernetes_rule::sections(&mut check, policy),
        Document::CiliumNetworkPolicy(policy) => {
            let id = document.id();
            let namespace = id.namespace.as_deref();
            cilium_rule::sections(&mut check, policy, namespace)
        }
        Document::CiliumClusterwideNetworkPolicy(policy) => cilium_rule::sections(&mut check, policy, None),
        Document::CiliumCidrGroup(document) => {
            group = Some(cilium_cidr_group::group(&mut check, document));
            Vec::new()
        }
        Document::ClusterNetworkPolicy(policy) => cluster_rule::cluster(&mut check, policy),
        Document::AdminNetworkPolicy(policy) => cluster_rule::admin(&mut check, policy),
        Document::BaselineAdminNetworkPolicy(policy) => cluster_rule::baseline(&mut check, policy),
    };
    check.finish(|not_simulated| rule::Policy {
        id: alloc::sync::Arc::new(document.id()),
        sections,
        group,
        not_simulated,
    })
}
