//! The shape of a CiliumNetworkPolicy and of its cluster-wide form.
//!
//! Allow and deny rules share a shape: a field that deny rules do not have is then refused with its reason
//! and not as an unknown word.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::label_selector::LabelSelector;
use super::metadata::Metadata;
use super::network_policy::IntOrString;

/// A `cilium.io/v2` policy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CiliumNetworkPolicy {
    /// `cilium.io/v2`.
    pub api_version: String,
    /// `CiliumNetworkPolicy` or `CiliumClusterwideNetworkPolicy`.
    pub kind: String,
    /// Name and namespace.
    pub metadata: Metadata,
    /// One spec.
    pub spec: Option<CiliumSpec>,
    /// Several specs.
    pub specs: Option<Vec<CiliumSpec>>,
    /// Written by the operator.
    pub status: Option<IgnoredAny>,
}

/// `spec`, or one item of `specs`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CiliumSpec {
    /// Endpoints that it applies to.
    pub endpoint_selector: Option<LabelSelector>,
    /// Nodes that it applies to.
    pub node_selector: Option<LabelSelector>,
    /// What may come in.
    pub ingress: Option<Vec<IngressRule>>,
    /// What may not come in.
    pub ingress_deny: Option<Vec<IngressRule>>,
    /// What may go out.
    pub egress: Option<Vec<EgressRule>>,
    /// What may not go out.
    pub egress_deny: Option<Vec<EgressRule>>,
    /// Whether what nothing allows is dropped.
    pub enable_default_deny: Option<DefaultDeny>,
    /// Free text.
    pub description: Option<String>,
    /// Labels of the rules, for tools.
    pub labels: Option<Vec<RuleLabel>>,
    /// Text for flow logs.
    pub log: Option<Log>,
}

/// `log`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Log {
    /// At most 32 printable characters.
    pub value: Option<String>,
}

/// `authentication`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Authentication {
    /// `disabled`, `required` or `test-always-fail`.
    pub mode: String,
}

/// `enableDefaultDeny`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DefaultDeny {
    /// For ingress; true when absent.
    pub ingress: Option<bool>,
    /// For egress; true when absent.
    pub egress: Option<bool>,
}

/// One item of `labels`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleLabel {
    /// Label key.
    pub key: String,
    /// Label value.
    pub value: Option<String>,
    /// Source of the label.
    pub source: Option<String>,
}

/// One item of `ingress` or `ingressDeny`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IngressRule {
    /// Endpoints by label.
    pub from_endpoints: Option<Vec<LabelSelector>>,
    /// Prefixes.
    #[serde(rename = "fromCIDR")]
    pub from_cidr: Option<Vec<String>>,
    /// Prefixes with exceptions.
    #[serde(rename = "fromCIDRSet")]
    pub from_cidr_set: Option<Vec<CidrRule>>,
    /// Entities.
    pub from_entities: Option<Vec<String>>,
    /// Nodes by label.
    pub from_nodes: Option<Vec<LabelSelector>>,
    /// Groups of a cloud provider.
    pub from_groups: Option<Vec<Group>>,
    /// Requirements on all peers; removed from Cilium 1.19.
    #[schemars(skip)]
    pub from_requires: Option<Vec<IgnoredAny>>,
    /// Ports.
    pub to_ports: Option<Vec<PortRule>>,
    /// ICMP types.
    pub icmps: Option<Vec<IcmpRule>>,
    /// Mutual authentication.
    pub authentication: Option<Authentication>,
}

/// One item of `egress` or `egressDeny`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EgressRule {
    /// Endpoints by label.
    pub to_endpoints: Option<Vec<LabelSelector>>,
    /// Prefixes.
    #[serde(rename = "toCIDR")]
    pub to_cidr: Option<Vec<String>>,
    /// Prefixes with exceptions.
    #[serde(rename = "toCIDRSet")]
    pub to_cidr_set: Option<Vec<CidrRule>>,
    /// Entities.
    pub to_entities: Option<Vec<String>>,
    /// Nodes by label.
    pub to_nodes: Option<Vec<LabelSelector>>,
    /// Services.
    pub to_services: Option<Vec<ServiceRule>>,
    /// DNS names.
    #[serde(rename = "toFQDNs")]
    pub to_fqdns: Option<Vec<NameRule>>,
    /// Groups of a cloud provider.
    pub to_groups: Option<Vec<Group>>,
    /// Requirements on all peers; removed from Cilium 1.19.
    #[schemars(skip)]
    pub to_requires: Option<Vec<IgnoredAny>>,
    /// Ports.
    pub to_ports: Option<Vec<PortRule>>,
    /// ICMP types.
    pub icmps: Option<Vec<IcmpRule>>,
    /// Mutual authentication.
    pub authentication: Option<Authentication>,
}

/// One item of `fromCIDRSet` or `toCIDRSet`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CidrRule {
    /// The prefix.
    pub cidr: Option<String>,
    /// A named group of prefixes.
    pub cidr_group_ref: Option<String>,
    /// Groups of prefixes by label.
    pub cidr_group_selector: Option<LabelSelector>,
    /// What is left out.
    pub except: Option<Vec<String>>,
}

/// One item of `toServices`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceRule {
    /// By name.
    pub k8s_service: Option<ServiceName>,
    /// By the service's labels.
    pub k8s_service_selector: Option<ServiceSelector>,
}

/// `k8sServiceSelector`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSelector {
    /// Labels of services.
    pub selector: LabelSelector,
    /// Namespace of the services; every namespace when absent.
    pub namespace: Option<String>,
}

/// One item of `fromGroups` or `toGroups`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Group {
    /// Security groups of Amazon's cloud.
    #[schemars(skip)]
    pub aws: Option<IgnoredAny>,
}

/// `k8sService`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceName {
    /// Name of the service.
    pub service_name: Option<String>,
    /// Namespace of the service; every namespace when absent.
    pub namespace: Option<String>,
}

/// One item of `toFQDNs` or of `rules.dns`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NameRule {
    /// One name.
    pub match_name: Option<String>,
    /// Names by pattern.
    pub match_pattern: Option<String>,
}

/// One item of `toPorts`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortRule {
    /// Ports with protocols.
    pub ports: Option<Vec<Port>>,
    /// What is looked at inside the traffic.
    pub rules: Option<L7Rules>,
    /// TLS towards the client.
    #[serde(rename = "terminatingTLS")]
    pub terminating_tls: Option<Tls>,
    /// TLS towards the server.
    #[serde(rename = "originatingTLS")]
    pub originating_tls: Option<Tls>,
    /// Server names of TLS.
    pub server_names: Option<Vec<String>>,
    /// A listener of the user's own.
    pub listener: Option<Listener>,
}

/// `terminatingTLS` or `originatingTLS`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// The secret that holds what the other fields name.
    pub secret: SecretName,
    /// Key of the trusted certificates.
    #[serde(rename = "trustedCA")]
    pub trusted_ca: Option<String>,
    /// Key of the certificate.
    pub certificate: Option<String>,
    /// Key of the private key.
    pub private_key: Option<String>,
}

/// A secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// `listener`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// The configuration that holds the listener.
    pub envoy_config: EnvoyConfig,
    /// Name of the listener.
    pub name: String,
    /// 1 to 100; lower wins.
    pub priority: Option<i64>,
}

/// `envoyConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvoyConfig {
    /// `CiliumEnvoyConfig` or `CiliumClusterwideEnvoyConfig`.
    pub kind: Option<String>,
    /// Its name.
    pub name: String,
}

/// One item of `ports`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Port {
    /// Number or name, as a string.
    pub port: Option<String>,
    /// Last port of a range.
    pub end_port: Option<i64>,
    /// `ANY` when absent.
    pub protocol: Option<String>,
}

/// `rules` of a `toPorts` item.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct L7Rules {
    /// HTTP requests.
    pub http: Option<Vec<HttpRule>>,
    /// DNS names.
    pub dns: Option<Vec<NameRule>>,
    /// Kafka requests; removed from Cilium 1.20.
    #[schemars(skip)]
    pub kafka: Option<IgnoredAny>,
    /// Another parser's name; removed from Cilium 1.20.
    #[schemars(skip)]
    pub l7proto: Option<IgnoredAny>,
    /// Another parser's rules; removed from Cilium 1.20.
    #[schemars(skip)]
    pub l7: Option<Vec<BTreeMap<String, String>>>,
}

/// One item of `rules.http`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRule {
    /// Regular expression for the method.
    pub method: Option<String>,
    /// Regular expression for the path with its query.
    pub path: Option<String>,
    /// Regular expression for the host.
    pub host: Option<String>,
    /// `Name` or `Name: value`.
    pub headers: Option<Vec<String>>,
    /// Headers with what happens when they are other ones.
    pub header_matches: Option<Vec<HeaderMatch>>,
}

/// One item of `headerMatches`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderMatch {
    /// Name of the header.
    pub name: String,
    /// The value that it must have.
    pub value: Option<String>,
    /// The secret that holds the value.
    pub secret: Option<SecretName>,
    /// `LOG`, `ADD`, `DELETE` or `REPLACE`.
    pub mismatch: Option<String>,
}

/// One item of `icmps`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IcmpRule {
    /// Types.
    pub fields: Option<Vec<IcmpField>>,
}

/// One item of `fields`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IcmpField {
    /// `IPv4` when absent, or `IPv6`.
    pub family: Option<String>,
    /// Number or name of the type.
    #[serde(rename = "type")]
    pub kind: IntOrString,
}
