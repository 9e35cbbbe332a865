//! The fixed words for groups of identities (policy semantics 2.5).

use serde::{Deserialize, Serialize};

use crate::identity::{LabelSet, Source};

/// A group of identities that needs no labels to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Entity {
    /// Everything.
    All,
    /// Pods and nodes of the cluster.
    Cluster,
    /// The cilium-health endpoints.
    Health,
    /// The subject's own node.
    Host,
    /// The ingress proxy.
    Ingress,
    /// Endpoints whose labels are not known yet.
    Init,
    /// The API server's nodes and addresses.
    KubeApiserver,
    /// Nobody.
    None,
    /// Other nodes.
    RemoteNode,
    /// Endpoints without an agent.
    Unmanaged,
    /// Everything outside the cluster.
    World,
}

impl Entity {
    /// Every entity.
    pub const ALL: [Self; 11] = [
        Self::All,
        Self::Cluster,
        Self::Health,
        Self::Host,
        Self::Ingress,
        Self::Init,
        Self::KubeApiserver,
        Self::None,
        Self::RemoteNode,
        Self::Unmanaged,
        Self::World,
    ];

    /// The word in policies, which is also the key of its reserved label where it has one.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Cluster => "cluster",
            Self::Health => "health",
            Self::Host => "host",
            Self::Ingress => "ingress",
            Self::Init => "init",
            Self::KubeApiserver => "kube-apiserver",
            Self::None => "none",
            Self::RemoteNode => "remote-node",
            Self::Unmanaged => "unmanaged",
            Self::World => "world",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entity| entity.word() == text)
    }

    /// Whether an identity with these labels belongs to the group.
    #[must_use]
    pub fn selects(self, labels: &LabelSet) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Cluster => {
                [
                    Self::Health,
                    Self::Host,
                    Self::Ingress,
                    Self::Init,
                    Self::KubeApiserver,
                    Self::RemoteNode,
                    Self::Unmanaged,
                ]
                .into_iter()
                .any(|entity| entity.selects(labels))
                    || labels
                        .values(Some(Source::K8s), LabelSet::CLUSTER)
                        .any(|cluster| cluster == LabelSet::DEFAULT_CLUSTER)
            }
            Self::Health
            | Self::Host
            | Self::Ingress
            | Self::Init
            | Self::KubeApiserver
            | Self::RemoteNode
            | Self::Unmanaged
            | Self::World => labels.has(Source::Reserved, self.word()),
        }
    }
}
