//! The shapes of ordinary objects as the API server gives them, as far as policies and links depend on them.
//!
//! The API server has checked them: a field of another shape is a sign of another API, and the object is then kept out
//! and named. Policies are read strictly, elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::Labels;
use serde::{Deserialize, Deserializer};

/// `null` for a list is an empty one.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A pod.
#[derive(Debug, Deserialize)]
pub(super) struct Pod {
    #[serde(default)]
    pub(super) spec: PodSpec,
    #[serde(default)]
    pub(super) status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    #[serde(deserialize_with = "list")]
    pub(super) containers: Vec<Container>,
    pub(super) node_name: String,
    pub(super) service_account_name: Option<String>,
    pub(super) host_network: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    #[serde(deserialize_with = "list")]
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContainerPort {
    pub(super) name: Option<String>,
    pub(super) container_port: u16,
    pub(super) protocol: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: String,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<IpAddr>,
    #[serde(rename = "podIPs", deserialize_with = "list")]
    pub(super) pod_ips: Vec<PodAddress>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PodAddress {
    pub(super) ip: IpAddr,
}

/// A node.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    #[serde(default)]
    pub(super) spec: NodeSpec,
    #[serde(default)]
    pub(super) status: NodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pub(super) pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs", deserialize_with = "list")]
    pub(super) pod_cidrs: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    #[serde(deserialize_with = "list")]
    pub(super) addresses: Vec<NodeAddress>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

/// A service.
#[derive(Debug, Deserialize)]
pub(super) struct Service {
    #[serde(default)]
    pub(super) spec: ServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct ServiceSpec {
    pub(super) selector: Option<Labels>,
    #[serde(deserialize_with = "list")]
    pub(super) ports: Vec<ServicePort>,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs", deserialize_with = "list")]
    pub(super) cluster_ips: Vec<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePort {
    pub(super) name: Option<String>,
    pub(super) port: u16,
    pub(super) target_port: Option<TargetPort>,
    pub(super) protocol: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum TargetPort {
    Number(u16),
    Text(String),
}

/// An EndpointSlice.
#[derive(Debug, Deserialize)]
pub(super) struct Slice {
    #[serde(default, deserialize_with = "list")]
    pub(super) endpoints: Vec<SliceEndpoint>,
    #[serde(default, deserialize_with = "list")]
    pub(super) ports: Vec<SlicePort>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SliceEndpoint {
    #[serde(default, deserialize_with = "list")]
    pub(super) addresses: Vec<String>,
    pub(super) conditions: Option<BTreeMap<String, Option<bool>>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SlicePort {
    pub(super) name: Option<String>,
    pub(super) port: Option<u16>,
}
