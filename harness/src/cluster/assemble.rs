//! Parts to a world: what is used and not declared, templates as pods, addresses for whom none is written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use egret_core::ObjectName;
use egret_core::world::{Node, Pod, Service, TargetPort, World};

use super::gather::{Given, Parts};
use super::part::{PodPart, ServicePart, Slice, Workload, WorkloadKind};
use crate::case::{Addresses, DEFAULT_NODE, NAMESPACES, Problems, namespace_labels};
use crate::diagnostic::Diagnostic;
use crate::kubernetes::Owner;
use crate::yaml::Manifest;

/// The world that the parts make.
///
/// 1. Namespaces: those declared, those that objects stand in, and those that every cluster has.
/// 2. Nodes: those declared, those that pods run on; one when there is none.
/// 3. Pods: those declared, and for each workload that no declared pod belongs to, those of its template.
/// 4. Services. Whatever has no address gets one after all that are written are taken, in the order of names.
pub(super) fn world(parts: &Parts, problems: &mut Problems) -> World {
    let mut world = World::default();
    let used = parts.used.iter().map(String::as_str).chain(NAMESPACES);
    for name in used.chain(parts.namespaces.keys().map(String::as_str)) {
        let mut labels = parts.namespaces.get(name).map(|given| given.part.clone()).unwrap_or_default();
        labels.extend(namespace_labels(name));
        world.namespaces.insert(name.to_owned(), labels);
    }
    let mut addresses = Addresses::default();
    take_written(parts, &mut addresses);
    nodes(parts, &mut world, &mut addresses, problems);
    for (name, Given { part, object }) in &parts.pods {
        add_pod(&mut world, name.clone(), part, object, &mut addresses, problems);
    }
    let owners = owners_of_pods(parts);
    for ((name, kind), Given { part, object }) in &parts.workloads {
        if part.is_owned || owners.contains(&(name.clone(), *kind)) {
            continue;
        }
        workload(&mut world, name, part, object, &mut addresses, problems);
    }
    for (name, Given { part, object }) in &parts.services {
        let backends = parts.slices.get(name).map(Vec::as_slice).unwrap_or_default();
        let service = service(part, backends, object, &mut addresses, problems);
        world.services.insert(name.clone(), service);
    }
    world
}

/// Marks what is written, so that nothing assigned meets it.
fn take_written(parts: &Parts, addresses: &mut Addresses) {
    let nodes = parts.nodes.values().flat_map(|node| &node.part.addresses);
    let pods = parts.pods.values().flat_map(|pod| pod.part.addresses.iter().chain(&pod.part.host_ip));
    let services = parts.services.values().flat_map(|service| service.part.cluster_ips.iter().flatten());
    let slices = parts.slices.values().flatten().flat_map(|slice| &slice.addresses);
    for address in nodes.chain(pods).chain(services).chain(slices) {
        addresses.take(*address);
    }
}

fn nodes(parts: &Parts, world: &mut World, addresses: &mut Addresses, problems: &mut Problems) {
    // A pod knows the address of its node even where nobody declares the node.
    let mut named: BTreeMap<&str, Option<IpAddr>> = BTreeMap::new();
    for pod in parts.pods.values().map(|given| &given.part) {
        if let Some(node) = &pod.node {
            let address = named.entry(node).or_default();
            *address = address.or(pod.host_ip);
        }
    }
    for workload in parts.workloads.values() {
        if let Some(node) = &workload.part.template.node {
            named.entry(node).or_default();
        }
    }
    for name in parts.nodes.keys() {
        named.entry(name).or_default();
    }
    if named.is_empty() {
        named.insert(DEFAULT_NODE, None);
    }
    for (name, host_ip) in named {
        let declared = parts.nodes.get(name);
        let mut node = match declared {
            Some(Given { part, .. }) => Node {
                labels: part.labels.clone(),
                addresses: part.addresses.clone(),
                pod_cidrs: part.pod_cidrs.clone(),
            },
            None => Node::default(),
        };
        if node.addresses.is_empty() {
            node.addresses.extend(host_ip);
        }
        if node.addresses.is_empty() || node.pod_cidrs.is_empty() {
            match addresses.node() {
                Some((address, prefix)) => {
                    if node.addresses.is_empty() {
                        node.addresses.push(address);
                    }
                    if node.pod_cidrs.is_empty() {
                        node.pod_cidrs.push(prefix);
                    }
                }
                None if node.addresses.is_empty() => {
                    let problem = Diagnostic::error(format!("no address is left for the node `{name}`"));
                    problems.add(match declared {
                        Some(given) => problem.at(given.object.locate("metadata.name")),
                        None => problem,
                    });
                }
                // Its pods get addresses that are kept for such nodes.
                None => {}
            }
        }
        world.nodes.insert(name.to_owned(), node);
    }
}

/// Workloads that declared pods belong to, directly or through another workload.
///
/// A dump may hold pods without the sets between them and their deployment: a set is called like its owner, a
/// dash and a word more.
fn owners_of_pods(parts: &Parts) -> BTreeSet<(ObjectName, WorkloadKind)> {
    let mut found = BTreeSet::new();
    let mut open: Vec<(ObjectName, WorkloadKind)> = Vec::new();
    let of = |namespace: &str, owners: &[Owner]| -> Vec<(ObjectName, WorkloadKind)> {
        let known = owners.iter().filter_map(|owner| {
            Some((ObjectName::new(namespace, &owner.name), WorkloadKind::parse(&owner.kind)?))
        });
        known.collect()
    };
    for (name, pod) in &parts.pods {
        open.extend(of(&name.namespace, &pod.part.owners));
    }
    while let Some(workload) = open.pop() {
        if !found.insert(workload.clone()) {
            continue;
        }
        let (name, kind) = &workload;
        if let Some(owners) = parts.owners.get(&workload) {
            open.extend(of(&name.namespace, owners));
            continue;
        }
        let above = match kind {
            WorkloadKind::ReplicaSet => WorkloadKind::Deployment,
            WorkloadKind::Job => WorkloadKind::CronJob,
            WorkloadKind::CronJob
            | WorkloadKind::DaemonSet
            | WorkloadKind::Deployment
            | WorkloadKind::StatefulSet => continue,
        };
        if let Some((owner, _)) = name.name.rsplit_once('-') {
            open.push((ObjectName::new(&name.namespace, owner), above));
        }
    }
    found
}

fn workload(
    world: &mut World,
    name: &ObjectName,
    workload: &Workload,
    object: &Manifest,
    addresses: &mut Addresses,
    problems: &mut Problems,
) {
    let nodes: Vec<String> = match workload.replicas {
        None => world.nodes.keys().cloned().collect(),
        Some(_) => Vec::new(),
    };
    let count = workload.replicas.map_or(nodes.len(), usize::from);
    for number in 0..count {
        let mut part = workload.template.clone();
        if let Some(node) = nodes.get(number) {
            part.node = Some(node.clone());
        }
        let full = ObjectName::new(&name.namespace, &format!("{}-{number}", name.name));
        add_pod(world, full, &part, object, addresses, problems);
    }
}

fn add_pod(
    world: &mut World,
    name: ObjectName,
    part: &PodPart,
    object: &Manifest,
    addresses: &mut Addresses,
    problems: &mut Problems,
) {
    let first = || world.nodes.keys().next().cloned();
    let Some(node) = part.node.clone().or_else(first) else { return };
    let Some(place) = world.nodes.get(&node) else { return };
    let own = if part.host_network {
        place.addresses.clone()
    } else if part.addresses.is_empty() {
        let assigned = place.pod_cidrs.first().and_then(|prefix| addresses.pod(prefix));
        let assigned = assigned.or_else(|| addresses.spare());
        let assigned = problems.expect(assigned, || {
            Diagnostic::error(format!("no address is left for the pod `{name}`"))
                .at(object.locate("metadata.name"))
        });
        assigned.into_iter().collect()
    } else {
        part.addresses.clone()
    };
    if world.pods.contains_key(&name) {
        problems.add(
            Diagnostic::error(format!("two pods are called `{name}`"))
                .at(object.locate("metadata.name"))
                .help("a pod of a template is called like its workload, a dash and a number"),
        );
        return;
    }
    let pod = Pod {
        labels: part.labels.clone(),
        node,
        addresses: own,
        service_account: part.service_account.clone(),
        host_network: part.host_network,
        serves: part.serves.clone(),
    };
    world.pods.insert(name.into(), pod);
}

fn service(
    part: &ServicePart,
    slices: &[Slice],
    object: &Manifest,
    addresses: &mut Addresses,
    problems: &mut Problems,
) -> Service {
    let assigned = || {
        let address = problems.expect(addresses.service(), || {
            Diagnostic::error("no address is left for this service").at(object.locate("metadata.name"))
        });
        address.into_iter().collect()
    };
    let cluster_ips = part.cluster_ips.clone().unwrap_or_else(assigned);
    let mut ports = part.ports.clone();
    let mut endpoints = Vec::new();
    // Slices of a service with a selector repeat what its pods say.
    if part.selector.is_none() {
        let listed: BTreeSet<IpAddr> = slices.iter().flat_map(|slice| &slice.addresses).copied().collect();
        endpoints.extend(listed);
        for port in &mut ports {
            let mut of_slices = slices.iter().flat_map(|slice| &slice.ports);
            let given = of_slices.find(|given| {
                given.name.as_deref().unwrap_or_default() == port.name.as_deref().unwrap_or_default()
            });
            if let Some(number) = given.and_then(|given| given.port) {
                port.target = TargetPort::Number(number);
            }
        }
    }
    Service {
        labels: part.labels.clone(),
        selector: part.selector.clone(),
        endpoints,
        ready: None,
        cluster_ips,
        ports,
    }
}
