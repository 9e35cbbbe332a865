//! One object of the cluster as a part of a world: translated when it arrives, so that only that much is kept.

use std::borrow::Cow;
use std::net::IpAddr;

use egret_core::world::{self, Application, Serve};
use egret_core::{Labels, ObjectName, Protocol};
use kube::core::{ApiResource, DynamicObject, ObjectMeta};
use kube::runtime::reflector::Lookup;
use serde::de::DeserializeOwned;

use super::kind::Kind;
use super::object;
use super::policy::PolicyPart;

/// What is kept of an object.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name.
    pub name: String,
    /// Namespace, of namespaced kinds.
    pub namespace: Option<String>,
    /// Resource version.
    pub version: String,
    /// What no two objects ever share.
    pub uid: String,
    /// What it says.
    pub content: Content,
}

/// What an object says.
#[derive(Clone, Debug)]
pub enum Content {
    /// A namespace's labels.
    Namespace(Labels),
    /// A node.
    Node(world::Node),
    /// A pod.
    Pod(PodPart),
    /// A service, without its backends.
    Service(world::Service),
    /// Backends of a service.
    Slice(SlicePart),
    /// A policy.
    Policy(Box<PolicyPart>),
    /// It could not be read, and is left out of account.
    Unread(String),
}

/// A pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodPart {
    /// As policies know it; without addresses before it has any.
    pub pod: world::Pod,
    /// When it was made, in a form that sorts.
    pub created: String,
    /// It has been told to end.
    pub is_leaving: bool,
    /// Its containers have ended for good: its address may be another pod's.
    pub has_ended: bool,
}

/// Backends of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlicePart {
    /// Name of the service in the slice's namespace.
    pub service: String,
    /// Addresses that take traffic.
    pub ready: Vec<IpAddr>,
    /// Ports by the name of the service's port.
    pub ports: Vec<(String, u16)>,
}

impl Part {
    /// Reads an object of a kind.
    #[must_use]
    pub fn of(kind: Kind, object: &DynamicObject) -> Self {
        let metadata = &object.metadata;
        let created = metadata.creation_timestamp.as_ref().map(|time| time.0.to_string());
        let labels: Labels = metadata.labels.clone().unwrap_or_default();
        let content = match kind {
            Kind::Namespace => Ok(Content::Namespace(labels)),
            Kind::Node => read(object).and_then(|read| node(labels, read)).map(Content::Node),
            Kind::Pod => read(object).and_then(|read| {
                pod(labels, read).map(|(pod, has_ended)| {
                    Content::Pod(PodPart {
                        pod,
                        created: created.unwrap_or_default(),
                        is_leaving: metadata.deletion_timestamp.is_some(),
                        has_ended,
                    })
                })
            }),
            Kind::Service => read(object).and_then(|read| service(labels, read)).map(Content::Service),
            Kind::EndpointSlice => read(object).map(|read| Content::Slice(slice(&labels, read))),
            Kind::ServiceAccount | Kind::ConfigMap | Kind::Deployment | Kind::DaemonSet => {
                Err(format!("a {} says nothing here", kind.word()))
            }
            Kind::Policy(kind) => Ok(Content::Policy(Box::new(PolicyPart::of(kind, object)))),
        };
        Self {
            name: metadata.name.clone().unwrap_or_default(),
            namespace: metadata.namespace.clone(),
            version: metadata.resource_version.clone().unwrap_or_default(),
            uid: uid(metadata),
            content: content.unwrap_or_else(Content::Unread),
        }
    }

    /// Name with namespace.
    #[must_use]
    pub fn full_name(&self) -> ObjectName {
        ObjectName::new(self.namespace.as_deref().unwrap_or_default(), &self.name)
    }
}

impl Lookup for Part {
    type DynamicType = ApiResource;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn name(&self) -> Option<Cow<'_, str>> {
        Some(self.name.as_str().into())
    }

    fn namespace(&self) -> Option<Cow<'_, str>> {
        self.namespace.as_deref().map(Into::into)
    }

    fn resource_version(&self) -> Option<Cow<'_, str>> {
        Some(self.version.as_str().into())
    }

    fn uid(&self) -> Option<Cow<'_, str>> {
        Some(self.uid.as_str().into())
    }
}

/// The UID under which the container runtime knows a pod. That of a static pod stands in an annotation of the object
/// that the kubelet makes in its place (`kubernetes.io/config.mirror`).
fn uid(metadata: &ObjectMeta) -> String {
    let mirrored = metadata.annotations.as_ref().and_then(|all| all.get("kubernetes.io/config.mirror"));
    mirrored.or(metadata.uid.as_ref()).cloned().unwrap_or_default()
}

fn read<T: DeserializeOwned>(object: &DynamicObject) -> Result<T, String> {
    T::deserialize(&object.data).map_err(|error| error.to_string())
}

fn address<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is not an address"))
}

/// The protocol that a port names; TCP where it names none, as the API server fills in.
fn protocol(text: Option<&str>) -> Result<Protocol, String> {
    let text = text.unwrap_or("TCP");
    Protocol::parse(text).ok_or_else(|| format!("`{text}` is not a protocol of ports"))
}

fn node(labels: Labels, object: object::Node) -> Result<world::Node, String> {
    let object::Node { spec, status } = object;
    let cidrs = if spec.pod_cidrs.is_empty() { spec.pod_cidr.into_iter().collect() } else { spec.pod_cidrs };
    let internal = status.addresses.iter().filter(|address| address.kind == "InternalIP");
    Ok(world::Node {
        labels,
        addresses: internal.map(|internal| address(&internal.address)).collect::<Result<_, _>>()?,
        pod_cidrs: cidrs.iter().map(|text| address(text)).collect::<Result<_, _>>()?,
    })
}

/// A pod, and whether it has ended for good.
fn pod(labels: Labels, object: object::Pod) -> Result<(world::Pod, bool), String> {
    let object::Pod { spec, status } = object;
    let mut addresses: Vec<IpAddr> = status.pod_ips.iter().map(|address| address.ip).collect();
    if addresses.is_empty() {
        addresses.extend(status.pod_ip);
    }
    let ports = spec.containers.into_iter().flat_map(|container| container.ports);
    let serves = ports.map(|port| {
        Ok(Serve {
            name: port.name,
            port: port.container_port,
            protocol: protocol(port.protocol.as_deref())?,
            application: Application::Identity,
        })
    });
    let pod = world::Pod {
        labels,
        node: spec.node_name,
        addresses,
        service_account: spec.service_account_name.unwrap_or_else(|| "default".to_owned()),
        host_network: spec.host_network,
        serves: serves.collect::<Result<_, String>>()?,
    };
    Ok((pod, matches!(status.phase.as_str(), "Succeeded" | "Failed")))
}

fn service(labels: Labels, object: object::Service) -> Result<world::Service, String> {
    let object::Service { spec } = object;
    let written: Vec<String> =
        if spec.cluster_ips.is_empty() { spec.cluster_ip.into_iter().collect() } else { spec.cluster_ips };
    let has_none = spec.kind.as_deref() == Some("ExternalName");
    let written = written.iter().filter(|text| !has_none && !text.is_empty() && *text != "None");
    let ports = spec.ports.into_iter().map(|port| {
        Ok(world::ServicePort {
            name: port.name,
            port: port.port,
            protocol: protocol(port.protocol.as_deref())?,
            target: match port.target_port {
                None => world::TargetPort::Number(port.port),
                Some(object::TargetPort::Number(number)) => world::TargetPort::Number(number),
                Some(object::TargetPort::Text(text)) => {
                    text.parse().map_or_else(|_| world::TargetPort::Name(text), world::TargetPort::Number)
                }
            },
        })
    });
    Ok(world::Service {
        labels,
        selector: spec.selector.filter(|selector| !selector.is_empty()),
        endpoints: Vec::new(),
        ready: None,
        cluster_ips: written.map(|text| address(text)).collect::<Result<_, _>>()?,
        ports: ports.collect::<Result<_, String>>()?,
    })
}

fn slice(labels: &Labels, object: object::Slice) -> SlicePart {
    let is_ready = |endpoint: &object::SliceEndpoint| {
        // "nil should be interpreted as true" (discovery/v1 `EndpointConditions.ready`).
        endpoint.conditions.as_ref().and_then(|conditions| *conditions.get("ready")?) != Some(false)
    };
    let ready = object.endpoints.iter().filter(|endpoint| is_ready(endpoint));
    let ports = object.ports.into_iter();
    SlicePart {
        service: labels.get("kubernetes.io/service-name").cloned().unwrap_or_default(),
        // Slices of names are nobody's backends here.
        ready: ready.flat_map(|endpoint| &endpoint.addresses).filter_map(|text| text.parse().ok()).collect(),
        ports: ports.filter_map(|port| Some((port.name.unwrap_or_default(), port.port?))).collect(),
    }
}
