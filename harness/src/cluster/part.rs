//! One object as a part of a world: what policies can tell apart, with addresses read.

use std::net::IpAddr;

use egret_core::Labels;
use egret_core::world::{Application, Serve, ServicePort};
use ipnet::IpNet;

use crate::case::{Problems, protocol, service_port};
use crate::diagnostic::Diagnostic;
use crate::kubernetes::{Metadata, NodeObject, Owner, PodSpec, PodStatus, ServiceSpec, SlicePort};
use crate::yaml::Manifest;

/// A node.
#[derive(Debug, PartialEq)]
pub(super) struct NodePart {
    pub(super) labels: Labels,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) pod_cidrs: Vec<IpNet>,
}

/// A pod, or the pods of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PodPart {
    pub(super) labels: Labels,
    pub(super) node: Option<String>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) host_ip: Option<IpAddr>,
    pub(super) service_account: String,
    pub(super) host_network: bool,
    pub(super) serves: Vec<Serve>,
    pub(super) owners: Vec<Owner>,
}

/// What makes pods from a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WorkloadKind {
    CronJob,
    DaemonSet,
    Deployment,
    Job,
    ReplicaSet,
    StatefulSet,
}

/// A workload.
#[derive(Debug, PartialEq)]
pub(super) struct Workload {
    /// `None`: one for each node.
    pub(super) replicas: Option<u16>,
    pub(super) template: PodPart,
    /// Another workload made it, and stands for it.
    pub(super) is_owned: bool,
}

/// A service.
#[derive(Debug, PartialEq)]
pub(super) struct ServicePart {
    pub(super) labels: Labels,
    pub(super) selector: Option<Labels>,
    /// `None`: to be assigned.
    pub(super) cluster_ips: Option<Vec<IpAddr>>,
    pub(super) ports: Vec<ServicePort>,
}

/// Backends of a service, from one slice.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) ports: Vec<SlicePort>,
}

// === impl WorkloadKind ===

impl WorkloadKind {
    const ALL: [Self; 6] =
        [Self::CronJob, Self::DaemonSet, Self::Deployment, Self::Job, Self::ReplicaSet, Self::StatefulSet];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::CronJob => "CronJob",
            Self::DaemonSet => "DaemonSet",
            Self::Deployment => "Deployment",
            Self::Job => "Job",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// The kind that a document or an owner names.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

pub(super) fn pod_part(
    metadata: Metadata,
    spec: PodSpec,
    status: &PodStatus,
    object: &Manifest,
    problems: &mut Problems,
) -> PodPart {
    let listed = status.pod_ips.iter().flatten().map(|address| &address.ip);
    let mut addresses: Vec<_> =
        listed.filter_map(|text| parse(text, "status.podIPs", object, problems)).collect();
    if addresses.is_empty() {
        let primary = status.pod_ip.as_ref();
        addresses.extend(primary.and_then(|text| parse::<IpAddr>(text, "status.podIP", object, problems)));
    }
    let ports = spec.containers.into_iter().flat_map(|container| container.ports.unwrap_or_default());
    PodPart {
        labels: metadata.labels.unwrap_or_default(),
        node: spec.node_name.filter(|name| !name.is_empty()),
        addresses,
        host_ip: status.host_ip.as_ref().and_then(|text| parse(text, "status.hostIP", object, problems)),
        service_account: spec.service_account_name.unwrap_or_else(|| "default".to_owned()),
        host_network: spec.host_network.unwrap_or_default(),
        serves: ports
            .map(|port| Serve {
                name: port.name,
                port: port.container_port,
                protocol: protocol(port.protocol),
                application: Application::Identity,
            })
            .collect(),
        owners: metadata.owner_references.unwrap_or_default(),
    }
}

pub(super) fn node_part(node: NodeObject, object: &Manifest, problems: &mut Problems) -> NodePart {
    let spec = node.spec.unwrap_or_default();
    let cidrs = spec.pod_cidrs.unwrap_or_else(|| spec.pod_cidr.into_iter().collect());
    let status = node.status.and_then(|status| status.addresses).unwrap_or_default();
    let internal = status.into_iter().filter(|address| address.kind == "InternalIP");
    NodePart {
        labels: node.metadata.labels.unwrap_or_default(),
        addresses: internal
            .filter_map(|address| parse(&address.address, "status.addresses", object, problems))
            .collect(),
        pod_cidrs: cidrs.iter().filter_map(|text| parse(text, "spec.podCIDRs", object, problems)).collect(),
    }
}

pub(super) fn service_part(
    labels: Labels,
    spec: ServiceSpec,
    object: &Manifest,
    problems: &mut Problems,
) -> ServicePart {
    let written = spec.cluster_ips.unwrap_or_else(|| spec.cluster_ip.into_iter().collect());
    let has_none = spec.kind.as_deref() == Some("ExternalName") || written.iter().any(|text| text == "None");
    let written: Vec<_> = written.into_iter().filter(|text| !text.is_empty()).collect();
    let cluster_ips = match (has_none, written.is_empty()) {
        (true, _) => Some(Vec::new()),
        (false, true) => None,
        (false, false) => {
            Some(written.iter().filter_map(|text| parse(text, "spec.clusterIP", object, problems)).collect())
        }
    };
    let ports = spec.ports.unwrap_or_default().into_iter();
    ServicePart {
        labels,
        selector: spec.selector.filter(|selector| !selector.is_empty()),
        cluster_ips,
        ports: ports
            .map(|port| service_port(port.name, port.port, port.target_port.as_ref(), port.protocol))
            .collect(),
    }
}

/// An address or prefix of an object, or what is wrong with it.
pub(super) fn parse<T: std::str::FromStr>(
    text: &str,
    path: &str,
    object: &Manifest,
    problems: &mut Problems,
) -> Option<T> {
    problems.expect(text.parse().ok(), || {
        Diagnostic::error(format!("`{text}` is not an address")).at(object.locate_field(path))
    })
}
