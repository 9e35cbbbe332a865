//! Ordinary Kubernetes objects as parts of a world: Namespace, Node, Pod, Deployment, Service.

use egret_core::ObjectName;
use serde::Deserialize;

use super::parts::{Given, Parts};
use super::problems::Problems;
use crate::case::schema::{
    NamespaceFile, NodeFile, PodFile, PortFile, ServesFile, ServiceFile, ServicePortFile,
};
use crate::diagnostic::Diagnostic;
use crate::kubernetes::{self, Metadata, Object, Plain, PodSpec, ServiceSpec, TemplateSpec};
use crate::source::Place;
use crate::yaml::{Located, Manifest, Short};

/// Kinds that a world's manifests may hold.
const KINDS: [&str; 5] = ["Namespace", "Node", "Pod", "Deployment", "Service"];

fn read<T: for<'de> Deserialize<'de>>(object: &Manifest, problems: &mut Problems) -> Option<T> {
    problems.take(kubernetes::read(object))
}

/// Adds one object to the parts of a world.
pub(super) fn gather(object: &Manifest, parts: &mut Parts, problems: &mut Problems) {
    let Some(name) = object.text(&["metadata", "name"]) else {
        problems.add(Diagnostic::error("an object needs `metadata.name`").at(object.locate("metadata")));
        return;
    };
    let namespace = object.text(&["metadata", "namespace"]).unwrap_or(ObjectName::DEFAULT_NAMESPACE);
    let full = ObjectName::new(namespace, name);
    let at = object.locate("metadata.name");
    let place = Place { line: at.line, column: at.column, start: at.span.start, end: at.span.end };
    let source = object.source();
    match object.text(&["kind"]).unwrap_or_default() {
        "Namespace" => {
            let Some(Plain { metadata }) = read(object, problems) else { return };
            let part = NamespaceFile { labels: metadata.labels.unwrap_or_default() };
            parts.namespace(name.to_owned(), Given::new(source, place, part), problems);
        }
        "Node" => {
            let Some(Plain { metadata }) = read(object, problems) else { return };
            let part = NodeFile { labels: metadata.labels.unwrap_or_default(), ip: None };
            parts.node(name.to_owned(), Given::new(source, place, part), problems);
        }
        "Pod" => {
            let Some(Object { metadata, spec, .. }) = read::<Object<PodSpec>>(object, problems) else {
                return;
            };
            let part = pod(metadata, spec, None, place);
            parts.pod(&full, Given::new(source, place, part), problems);
        }
        "Deployment" => {
            let Some(Object::<TemplateSpec> { spec, .. }) = read(object, problems) else { return };
            let part =
                pod(spec.template.metadata, spec.template.spec, Some(spec.replicas.unwrap_or(1)), place);
            parts.pod(&full, Given::new(source, place, part), problems);
        }
        "Service" => {
            let Some(Object { metadata, spec, .. }) = read::<Object<ServiceSpec>>(object, problems) else {
                return;
            };
            parts.service(full, Given::new(source, place, service(metadata, spec, place)), problems);
        }
        kind => problems.add(
            Diagnostic::error(format!("a world holds no `{kind}`"))
                .at(object.locate("kind"))
                .nearest(kind, &KINDS)
                .note("policies belong into a step's `apply`"),
        ),
    }
}

fn pod(metadata: Metadata, spec: PodSpec, replicas: Option<u16>, at: Place) -> PodFile {
    let ports =
        spec.containers.into_iter().flat_map(|container| container.ports.unwrap_or_default()).map(|port| {
            Located {
                value: Short::Long(PortFile {
                    name: port.name,
                    port: port.container_port,
                    protocol: port.protocol,
                }),
                at,
            }
        });
    let ports: Vec<_> = ports.collect();
    PodFile {
        labels: metadata.labels.unwrap_or_default(),
        serves: (!ports.is_empty()).then_some(ServesFile::Ports(ports)),
        node: spec.node_name.map(|value| Located { value, at }),
        service_account: spec.service_account_name,
        host_network: spec.host_network.unwrap_or_default(),
        replicas: replicas.map(|value| Located { value, at }),
        ..PodFile::default()
    }
}

fn service(metadata: Metadata, spec: ServiceSpec, at: Place) -> ServiceFile {
    let headless = spec.cluster_ip.as_deref() == Some("None");
    let ports = spec.ports.unwrap_or_default().into_iter().map(|port| ServicePortFile {
        name: port.name,
        port: port.port,
        target_port: port.target_port,
        protocol: port.protocol,
    });
    ServiceFile {
        labels: metadata.labels.unwrap_or_default(),
        selector: spec.selector,
        ports: ports.collect(),
        cluster_ip: spec.cluster_ip.filter(|_| !headless).map(|value| Located { value, at }),
        headless,
        ..ServiceFile::default()
    }
}
