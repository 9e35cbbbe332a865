//! The shape of a Kubernetes NetworkPolicy.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::label_selector::LabelSelector;
use super::metadata::Metadata;

/// A `networking.k8s.io/v1` NetworkPolicy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicy {
    /// `networking.k8s.io/v1`.
    pub api_version: String,
    /// `NetworkPolicy`.
    pub kind: String,
    /// Name and namespace.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Option<NetworkPolicySpec>,
    /// Written by controllers.
    pub status: Option<IgnoredAny>,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicySpec {
    /// Pods of the namespace that it applies to.
    pub pod_selector: Option<LabelSelector>,
    /// `Ingress`, `Egress`.
    pub policy_types: Option<Vec<String>>,
    /// What may come in.
    pub ingress: Option<Vec<IngressRule>>,
    /// What may go out.
    pub egress: Option<Vec<EgressRule>>,
}

/// One item of `ingress`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressRule {
    /// From whom.
    pub from: Option<Vec<Peer>>,
    /// To which ports.
    pub ports: Option<Vec<Port>>,
}

/// One item of `egress`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressRule {
    /// To whom.
    pub to: Option<Vec<Peer>>,
    /// To which ports.
    pub ports: Option<Vec<Port>>,
}

/// One item of `from` or `to`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// Pods by their labels.
    pub pod_selector: Option<LabelSelector>,
    /// Pods by their namespace's labels.
    pub namespace_selector: Option<LabelSelector>,
    /// Addresses.
    pub ip_block: Option<IpBlock>,
}

/// `ipBlock`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IpBlock {
    /// The prefix.
    pub cidr: String,
    /// What is left out of it.
    pub except: Option<Vec<String>>,
}

/// One item of `ports`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// `TCP` when absent.
    pub protocol: Option<String>,
    /// Number or container port name; every port when absent.
    pub port: Option<IntOrString>,
    /// Last port of a range.
    pub end_port: Option<i64>,
}

/// A port by number or by name; a string is always a name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i64),
    /// A name.
    String(String),
}
