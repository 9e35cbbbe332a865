//! The shapes of ordinary Kubernetes objects, as far as policies can tell them apart.
//!
//! Real manifests say much that no packet can show, such as images and probes. Those fields are passed over
//! here and only here; policies are read strictly.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use crate::case::schema::{LabelsFile, PortText, ProtocolWord};
use crate::diagnostic::Diagnostic;
use crate::yaml::{Manifest, Shape};

/// Reads an object as this type.
///
/// # Errors
/// Every part that does not fit.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(object: &Manifest) -> Result<T, Vec<Diagnostic>> {
    object.read(As(std::marker::PhantomData))
}

struct As<T>(std::marker::PhantomData<T>);

/// `metadata`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    /// Labels.
    pub(crate) labels: Option<LabelsFile>,
    /// Whose pod it is.
    pub(crate) owner_references: Option<Vec<Owner>>,
}

/// Another object in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Owner {
    /// Its kind.
    pub(crate) kind: String,
    /// Its name.
    pub(crate) name: String,
}

/// An object with a `spec` and a `status`.
#[derive(Deserialize)]
pub(crate) struct Object<S, T = IgnoredAny> {
    /// `metadata`.
    #[serde(default)]
    pub(crate) metadata: Metadata,
    /// `spec`.
    pub(crate) spec: S,
    /// `status`; absent in what a person writes.
    #[serde(default = "none")]
    pub(crate) status: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

/// An object of which the name and labels are all that counts.
#[derive(Deserialize)]
pub(crate) struct Plain {
    /// `metadata`.
    #[serde(default)]
    pub(crate) metadata: Metadata,
}

/// `spec` of a pod.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    /// Containers.
    pub(crate) containers: Vec<Container>,
    /// Node on which it runs.
    pub(crate) node_name: Option<String>,
    /// Service account.
    pub(crate) service_account_name: Option<String>,
    /// It shares its node's network.
    pub(crate) host_network: Option<bool>,
}

/// One container.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Container {
    /// What it serves.
    pub(crate) ports: Option<Vec<ContainerPort>>,
}

/// One port of a container.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerPort {
    /// Name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Number.
    pub(crate) container_port: u16,
    /// Protocol.
    #[serde(default)]
    pub(crate) protocol: ProtocolWord,
}

/// `status` of a pod.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodStatus {
    /// `Succeeded` and `Failed` pods have no network any more.
    pub(crate) phase: Option<String>,
    /// Primary address.
    #[serde(rename = "podIP")]
    pub(crate) pod_ip: Option<String>,
    /// Every address.
    #[serde(rename = "podIPs")]
    pub(crate) pod_ips: Option<Vec<StatusAddress>>,
    /// Address of its node.
    #[serde(rename = "hostIP")]
    pub(crate) host_ip: Option<String>,
}

/// One item of `podIPs`.
#[derive(Deserialize)]
pub(crate) struct StatusAddress {
    /// The address.
    pub(crate) ip: String,
}

/// `spec` of whatever makes pods from a template.
#[derive(Deserialize)]
pub(crate) struct TemplateSpec {
    /// How many; of a Job, `parallelism`.
    #[serde(default, alias = "parallelism")]
    pub(crate) replicas: Option<u16>,
    /// What each is.
    pub(crate) template: Object<PodSpec>,
}

/// `spec` of a CronJob.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CronJobSpec {
    /// The job.
    pub(crate) job_template: Object<TemplateSpec>,
}

/// `spec` of a service.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ServiceSpec {
    /// Labels of the backends.
    pub(crate) selector: Option<LabelsFile>,
    /// Ports.
    pub(crate) ports: Option<Vec<KubernetesPort>>,
    /// Cluster address, or `None`.
    #[serde(rename = "clusterIP")]
    pub(crate) cluster_ip: Option<String>,
    /// Cluster addresses of both families.
    #[serde(rename = "clusterIPs")]
    pub(crate) cluster_ips: Option<Vec<String>>,
    /// `ExternalName` services have no address.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
}

/// One port of a service.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KubernetesPort {
    /// Name.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Port on the cluster address.
    pub(crate) port: u16,
    /// Port on each backend.
    #[serde(default)]
    pub(crate) target_port: Option<PortText>,
    /// Protocol.
    #[serde(default)]
    pub(crate) protocol: ProtocolWord,
}

/// `spec` of a node.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeSpec {
    /// Prefix of its pods.
    #[serde(rename = "podCIDR")]
    pub(crate) pod_cidr: Option<String>,
    /// Prefixes of both families.
    #[serde(rename = "podCIDRs")]
    pub(crate) pod_cidrs: Option<Vec<String>>,
}

/// `status` of a node.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct NodeStatus {
    /// Addresses and names.
    pub(crate) addresses: Option<Vec<NodeAddress>>,
}

/// One item of a node's `addresses`.
#[derive(Deserialize)]
pub(crate) struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, `InternalDNS`, `ExternalDNS`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The address or name.
    pub(crate) address: String,
}

/// A node: written without `spec` as often as with one.
#[derive(Deserialize)]
pub(crate) struct NodeObject {
    /// `metadata`.
    #[serde(default)]
    pub(crate) metadata: Metadata,
    /// `spec`.
    #[serde(default)]
    pub(crate) spec: Option<NodeSpec>,
    /// `status`.
    #[serde(default)]
    pub(crate) status: Option<NodeStatus>,
}

/// An EndpointSlice.
#[derive(Deserialize)]
pub(crate) struct EndpointSlice {
    /// `metadata`.
    #[serde(default)]
    pub(crate) metadata: Metadata,
    /// The backends.
    #[serde(default)]
    pub(crate) endpoints: Option<Vec<SliceEndpoint>>,
    /// Their ports.
    #[serde(default)]
    pub(crate) ports: Option<Vec<SlicePort>>,
}

/// One backend.
#[derive(Deserialize)]
pub(crate) struct SliceEndpoint {
    /// Its addresses.
    pub(crate) addresses: Vec<String>,
    /// `ready` and the like.
    #[serde(default)]
    pub(crate) conditions: Option<BTreeMap<String, Option<bool>>>,
}

/// One port of the backends.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SlicePort {
    /// The service port that it is for.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Number; absent: every port.
    #[serde(default)]
    pub(crate) port: Option<u16>,
}

// === impl As ===

impl<T> Clone for As<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for As<T> {}

impl<T: for<'de> Deserialize<'de>> Shape for As<T> {
    type Output = T;

    fn deserialize<'de, D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}
