//! The kinds of objects that the agent watches, and those that the harness makes or reads beside them.

use egret_core::spec::PolicyKind;
use kube::core::{ApiResource, GroupVersionKind};

/// One kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `v1`.
    Namespace,
    /// `v1`.
    Node,
    /// `v1`; not watched.
    ServiceAccount,
    /// `v1`.
    Service,
    /// `v1`.
    Pod,
    /// `v1`; not watched.
    ConfigMap,
    /// `apps/v1`; not watched.
    Deployment,
    /// `apps/v1`; not watched.
    DaemonSet,
    /// `discovery.k8s.io/v1`.
    EndpointSlice,
    /// A policy, or what policies refer to.
    Policy(PolicyKind),
}

impl Kind {
    /// Every kind that is watched.
    pub const WATCHED: [Self; 10] = [
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::Service,
        Self::EndpointSlice,
        Self::Policy(PolicyKind::NetworkPolicy),
        Self::Policy(PolicyKind::CiliumNetworkPolicy),
        Self::Policy(PolicyKind::CiliumClusterwideNetworkPolicy),
        Self::Policy(PolicyKind::CiliumCidrGroup),
        Self::Policy(PolicyKind::ClusterNetworkPolicy),
    ];

    /// Its word in `kind`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::ServiceAccount => "ServiceAccount",
            Self::Service => "Service",
            Self::Pod => "Pod",
            Self::ConfigMap => "ConfigMap",
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::EndpointSlice => "EndpointSlice",
            Self::Policy(kind) => kind.kind(),
        }
    }

    /// Its word in `apiVersion`.
    #[must_use]
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Namespace
            | Self::Node
            | Self::ServiceAccount
            | Self::Service
            | Self::Pod
            | Self::ConfigMap => "v1",
            Self::Deployment | Self::DaemonSet => "apps/v1",
            Self::EndpointSlice => "discovery.k8s.io/v1",
            Self::Policy(kind) => kind.api_version(),
        }
    }

    /// Its word in paths.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Namespace => "namespaces",
            Self::Node => "nodes",
            Self::ServiceAccount => "serviceaccounts",
            Self::Service => "services",
            Self::Pod => "pods",
            Self::ConfigMap => "configmaps",
            Self::Deployment => "deployments",
            Self::DaemonSet => "daemonsets",
            Self::EndpointSlice => "endpointslices",
            Self::Policy(PolicyKind::NetworkPolicy) => "networkpolicies",
            Self::Policy(PolicyKind::CiliumNetworkPolicy) => "ciliumnetworkpolicies",
            Self::Policy(PolicyKind::CiliumClusterwideNetworkPolicy) => "ciliumclusterwidenetworkpolicies",
            Self::Policy(PolicyKind::CiliumCidrGroup) => "ciliumcidrgroups",
            Self::Policy(PolicyKind::ClusterNetworkPolicy) => "clusternetworkpolicies",
            Self::Policy(PolicyKind::AdminNetworkPolicy) => "adminnetworkpolicies",
            Self::Policy(PolicyKind::BaselineAdminNetworkPolicy) => "baselineadminnetworkpolicies",
        }
    }

    /// Where the API server has it.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        self.resource_of(None)
    }

    /// The same under another version than the usual one.
    #[must_use]
    pub fn resource_of(self, api_version: Option<&str>) -> ApiResource {
        let api_version = api_version.unwrap_or(self.api_version());
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, self.word()), self.plural())
    }

    /// Whether its objects are told whether they are valid, as Cilium's operator tells them.
    #[must_use]
    pub const fn has_validity(self) -> bool {
        matches!(
            self,
            Self::Policy(PolicyKind::CiliumNetworkPolicy | PolicyKind::CiliumClusterwideNetworkPolicy)
        )
    }
}
