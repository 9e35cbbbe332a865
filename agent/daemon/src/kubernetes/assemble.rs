//! Every part of the cluster to one desired state.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use egret_core::author::PolicyId;
use egret_core::rule::Dialect;
use egret_core::world::{Service, TargetPort, World};
use egret_core::{Desired, ObjectName};

use super::kind::Kind;
use super::part::{Content, Part, PodPart, SlicePart};
use crate::node::Snapshot;
use crate::node::place::LocalPod;

/// What the parts give.
#[derive(Clone, Debug, Default)]
pub struct Assembled {
    /// The desired state, and the pods of this node.
    pub snapshot: Snapshot,
    /// Versions of the policies in it, as `Kind/namespace/name`.
    pub versions: BTreeMap<String, String>,
    /// Versions of every object, also of those that are not in it.
    pub objects: BTreeMap<String, String>,
    /// What is not in it, with what is wrong.
    pub invalid: BTreeMap<String, String>,
}

/// The name of an object in answers: `Kind/namespace/name`, with nothing between the bars of a cluster-wide one.
#[must_use]
pub fn text_of(kind: Kind, part: &Part) -> String {
    format!("{}/{}/{}", kind.word(), part.namespace.as_deref().unwrap_or_default(), part.name)
}

/// Puts the parts together for a node. The order of the parts does not matter.
#[must_use]
pub fn assemble(node: &str, parts: &[(Kind, Vec<Arc<Part>>)]) -> Assembled {
    let mut assembled = Assembled::default();
    let mut world = World::default();
    let mut pods: BTreeMap<ObjectName, (&PodPart, &str)> = BTreeMap::new();
    let mut slices: BTreeMap<ObjectName, Vec<&SlicePart>> = BTreeMap::new();
    let mut policies = BTreeMap::new();
    for (kind, part) in parts.iter().flat_map(|(kind, parts)| parts.iter().map(|part| (*kind, &**part))) {
        assembled.objects.insert(text_of(kind, part), part.version.clone());
        match &part.content {
            Content::Namespace(labels) => {
                let mut labels = labels.clone();
                labels.entry("kubernetes.io/metadata.name".into()).or_insert_with(|| part.name.clone());
                world.namespaces.insert(part.name.clone(), labels);
            }
            Content::Node(node) => {
                world.nodes.insert(part.name.clone(), node.clone());
            }
            Content::Pod(pod) => {
                pods.insert(part.full_name(), (pod, part.uid.as_str()));
            }
            Content::Service(service) => {
                world.services.insert(part.full_name(), service.clone());
            }
            Content::Slice(slice) => {
                let namespace = part.namespace.as_deref().unwrap_or_default();
                slices.entry(ObjectName::new(namespace, &slice.service)).or_default().push(slice);
            }
            Content::Policy(policy) => match &policy.rules {
                Ok(rules) => {
                    assembled.versions.insert(text_of(kind, part), part.version.clone());
                    policies.insert(rules.id.clone(), rules.clone());
                }
                Err(problem) => {
                    assembled.invalid.insert(text_of(kind, part), problem.clone());
                }
            },
            Content::Unread(problem) => {
                assembled.invalid.insert(text_of(kind, part), problem.clone());
            }
        }
    }
    place_pods(node, &pods, &mut world, &mut assembled.snapshot.local);
    for (name, service) in &mut world.services {
        connect(service, slices.get(name).map(Vec::as_slice).unwrap_or_default());
    }
    let dialect = Dialect::of_kinds(policies.keys().map(|id: &Arc<PolicyId>| id.kind.as_str()));
    assembled.snapshot.desired = Desired { world, policies, dialect };
    assembled
}

/// Pods that have not ended. Of two that claim an address the later made one has it, and rather one that stays.
///
/// Pods of this node may be without an address: their links tell it.
fn place_pods(
    node: &str,
    pods: &BTreeMap<ObjectName, (&PodPart, &str)>,
    world: &mut World,
    local: &mut BTreeMap<ObjectName, LocalPod>,
) {
    let mut in_order: Vec<_> = pods.iter().filter(|(_, (part, _))| !part.has_ended).collect();
    in_order.sort_by(|(_, (a, _)), (_, (b, _))| (a.is_leaving, &b.created).cmp(&(b.is_leaving, &a.created)));
    let mut taken: BTreeSet<IpAddr> = BTreeSet::new();
    for (name, (part, uid)) in in_order {
        let mut pod = part.pod.clone();
        let is_local = pod.node == node && !pod.host_network;
        if pod.host_network {
            let own = world.nodes.get(&pod.node).map(|node| node.addresses.clone());
            pod.addresses = own.unwrap_or(pod.addresses);
        } else {
            pod.addresses.retain(|address| taken.insert(*address));
        }
        if pod.addresses.is_empty() && !is_local {
            continue;
        }
        if is_local {
            local.insert(name.clone(), LocalPod { uid: (*uid).to_owned(), is_leaving: part.is_leaving });
        }
        world.pods.insert(name.clone().into(), pod);
    }
}

/// Gives a service its backends: by its selector those that are ready, else those of its slices.
fn connect(service: &mut Service, slices: &[&SlicePart]) {
    let ready: BTreeSet<IpAddr> = slices.iter().flat_map(|slice| &slice.ready).copied().collect();
    if service.selector.is_some() {
        service.ready = Some(ready);
        return;
    }
    service.endpoints = ready.into_iter().collect();
    for port in &mut service.ports {
        let name = port.name.as_deref().unwrap_or_default();
        let given = slices.iter().flat_map(|slice| &slice.ports).find(|(given, _)| given == name);
        if let Some((_, number)) = given {
            port.target = TargetPort::Number(*number);
        }
    }
}

#[cfg(test)]
mod tests;
