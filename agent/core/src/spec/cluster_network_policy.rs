//! The shapes of policies in tiers: ClusterNetworkPolicy, and the two kinds that came before it.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::label_selector::LabelSelector;
use super::metadata::Metadata;

/// A `policy.networking.k8s.io/v1alpha2` ClusterNetworkPolicy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterNetworkPolicy {
    /// `policy.networking.k8s.io/v1alpha2`.
    pub api_version: String,
    /// `ClusterNetworkPolicy`.
    pub kind: String,
    /// Name.
    pub metadata: Metadata,
    /// What it says.
    pub spec: ClusterSpec,
    /// Written by controllers.
    pub status: Option<IgnoredAny>,
}

/// `spec` of a ClusterNetworkPolicy.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSpec {
    /// `Admin` or `Baseline`.
    pub tier: String,
    /// 0 to 1000; lower is asked first.
    pub priority: i64,
    /// Pods that it applies to.
    pub subject: Subject,
    /// What may come in.
    pub ingress: Option<Vec<IngressRule>>,
    /// What may go out.
    pub egress: Option<Vec<EgressRule>>,
}

/// A `policy.networking.k8s.io/v1alpha1` AdminNetworkPolicy or BaselineAdminNetworkPolicy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdminNetworkPolicy {
    /// `policy.networking.k8s.io/v1alpha1`.
    pub api_version: String,
    /// `AdminNetworkPolicy` or `BaselineAdminNetworkPolicy`.
    pub kind: String,
    /// Name.
    pub metadata: Metadata,
    /// What it says.
    pub spec: AdminSpec,
    /// Written by controllers.
    pub status: Option<IgnoredAny>,
}

/// `spec` of an AdminNetworkPolicy, and of a BaselineAdminNetworkPolicy, which has no priority.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdminSpec {
    /// 0 to 1000; lower is asked first.
    pub priority: Option<i64>,
    /// Pods that it applies to.
    pub subject: Subject,
    /// What may come in.
    pub ingress: Option<Vec<IngressRule>>,
    /// What may go out.
    pub egress: Option<Vec<EgressRule>>,
}

/// Pods by their namespaces, or by their namespaces and their own labels; exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// Every pod of these namespaces.
    pub namespaces: Option<LabelSelector>,
    /// Pods by both.
    pub pods: Option<Pods>,
}

/// Pods by the labels of their namespaces and their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pods {
    /// Namespaces; every namespace when absent.
    pub namespace_selector: Option<LabelSelector>,
    /// Pods in them.
    pub pod_selector: LabelSelector,
}

/// One item of `ingress`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressRule {
    /// Free text.
    pub name: Option<String>,
    /// `Accept` (v1alpha2) or `Allow` (v1alpha1), `Deny`, `Pass`.
    pub action: String,
    /// From whom.
    pub from: Vec<Peer>,
    /// Ports of v1alpha2; everything when absent.
    pub protocols: Option<Vec<Protocol>>,
    /// Ports of v1alpha1; everything when absent.
    pub ports: Option<Vec<Port>>,
}

/// One item of `egress`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressRule {
    /// Free text.
    pub name: Option<String>,
    /// `Accept` (v1alpha2) or `Allow` (v1alpha1), `Deny`, `Pass`.
    pub action: String,
    /// To whom.
    pub to: Vec<Peer>,
    /// Ports of v1alpha2; everything when absent.
    pub protocols: Option<Vec<Protocol>>,
    /// Ports of v1alpha1; everything when absent.
    pub ports: Option<Vec<Port>>,
}

/// One item of `from` or `to`; exactly one field, and at ingress only the first two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// Every pod of these namespaces.
    pub namespaces: Option<LabelSelector>,
    /// Pods by their namespaces and their own labels.
    pub pods: Option<Pods>,
    /// Nodes by label.
    pub nodes: Option<LabelSelector>,
    /// Prefixes.
    pub networks: Option<Vec<String>>,
    /// DNS names.
    pub domain_names: Option<Vec<String>>,
}

/// One item of `protocols`; exactly one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Protocol {
    /// TCP.
    pub tcp: Option<Transport>,
    /// UDP.
    pub udp: Option<Transport>,
    /// SCTP.
    pub sctp: Option<Transport>,
    /// Container port of this name, with whatever protocol it has.
    pub destination_named_port: Option<String>,
}

/// What is matched of one transport protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transport {
    /// Destination port.
    pub destination_port: Option<DestinationPort>,
}

/// A port or a range of ports; exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DestinationPort {
    /// One port.
    pub number: Option<i64>,
    /// A range.
    pub range: Option<Range>,
}

/// Ports from the first to the last, both included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Range {
    /// First port.
    pub start: i64,
    /// Last port.
    pub end: i64,
}

/// One item of `ports` in v1alpha1; exactly one field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// One port.
    pub port_number: Option<PortNumber>,
    /// Container port of this name.
    pub named_port: Option<String>,
    /// A range.
    pub port_range: Option<PortRange>,
}

/// One port of one protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortNumber {
    /// `TCP` when absent.
    pub protocol: Option<String>,
    /// The port.
    pub port: i64,
}

/// Ports of one protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortRange {
    /// `TCP` when absent.
    pub protocol: Option<String>,
    /// First port.
    pub start: i64,
    /// Last port.
    pub end: i64,
}
