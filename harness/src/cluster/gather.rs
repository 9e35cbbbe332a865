//! Objects of manifests, sorted into policies, parts of a world and what says nothing here.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use egret_core::author::PolicyId;
use egret_core::rule::Policy;
use egret_core::spec::PolicyKind;
use egret_core::{Labels, ObjectName};

use super::Ignored;
use super::part::{
    NodePart, PodPart, ServicePart, Slice, Workload, WorkloadKind, node_part, parse, pod_part, service_part,
};
use crate::case::{Problems, read_policy};
use crate::diagnostic::Diagnostic;
use crate::kubernetes::{
    CronJobSpec, EndpointSlice, NodeObject, Object, Owner, Plain, PodSpec, PodStatus, ServiceSpec,
    TemplateSpec, read,
};
use crate::yaml::Manifest;

/// What the objects give, by kind and name.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) namespaces: BTreeMap<String, Given<Labels>>,
    pub(super) nodes: BTreeMap<String, Given<NodePart>>,
    pub(super) pods: BTreeMap<ObjectName, Given<PodPart>>,
    pub(super) workloads: BTreeMap<(ObjectName, WorkloadKind), Given<Workload>>,
    pub(super) services: BTreeMap<ObjectName, Given<ServicePart>>,
    /// Backends by the service that they stand behind.
    pub(super) slices: BTreeMap<ObjectName, Vec<Slice>>,
    /// Who owns what, by the kind and name of what is owned.
    pub(super) owners: BTreeMap<(ObjectName, WorkloadKind), Vec<Owner>>,
    pub(super) policies: BTreeMap<PolicyId, (Policy, Manifest)>,
    pub(super) ignored: BTreeMap<String, Ignored>,
    /// Policies that stand twice.
    pub(super) warnings: Vec<Diagnostic>,
    /// Namespaces that objects stand in.
    pub(super) used: BTreeSet<String>,
}

/// A part, and the object that gives it.
#[derive(Debug)]
pub(super) struct Given<T> {
    pub(super) part: T,
    pub(super) object: Manifest,
}

// === impl Parts ===

impl Parts {
    /// Sorts the objects of a document in.
    pub(super) fn add_all(
        &mut self,
        objects: Result<Vec<Manifest>, Vec<Diagnostic>>,
        problems: &mut Problems,
    ) {
        for object in problems.take(objects).unwrap_or_default() {
            self.add(&object, problems);
        }
    }

    /// Adds what later objects give.
    pub(super) fn extend(&mut self, later: Self, problems: &mut Problems) {
        let Self {
            namespaces,
            nodes,
            pods,
            workloads,
            services,
            slices,
            owners,
            policies,
            ignored,
            warnings,
            used,
        } = later;
        insert_all(&mut self.namespaces, namespaces, problems);
        insert_all(&mut self.nodes, nodes, problems);
        insert_all(&mut self.pods, pods, problems);
        insert_all(&mut self.workloads, workloads, problems);
        insert_all(&mut self.services, services, problems);
        for (service, backends) in slices {
            self.slices.entry(service).or_default().extend(backends);
        }
        self.owners.extend(owners);
        for (id, (policy, object)) in policies {
            self.insert_policy(id, policy, object);
        }
        for (kind, more) in ignored {
            match self.ignored.entry(kind) {
                Entry::Vacant(free) => {
                    free.insert(more);
                }
                Entry::Occupied(mut known) => known.get_mut().count += more.count,
            }
        }
        self.warnings.extend(warnings);
        self.used.extend(used);
    }

    /// Sorts one object in.
    fn add(&mut self, object: &Manifest, problems: &mut Problems) {
        if !object.is_mapping() {
            problems.add(Diagnostic::error("an object is a mapping").at(object.locate("")));
            return;
        }
        let (version, kind) = match (object.text(&["apiVersion"]), object.text(&["kind"])) {
            (Some(version), Some(kind)) => (version.to_owned(), kind.to_owned()),
            (None, None) => return self.ignore("without `kind`", object),
            (Some(_), None) | (None, Some(_)) => {
                problems.add(
                    Diagnostic::error("an object needs `apiVersion` and `kind`").at(object.locate("kind")),
                );
                return;
            }
        };
        if kind.ends_with("List")
            && let Some(items) = object.items("items")
        {
            items.iter().for_each(|item| self.add(item, problems));
            return;
        }
        let group = version.split_once('/').map_or("", |(group, _)| group);
        if is_policy(group, &kind) {
            self.policy(object, problems);
        } else if is_unknown_policy(group, &kind) {
            problems.add(
                Diagnostic::error(format!("`{kind}` is not simulated yet"))
                    .at(object.locate("kind"))
                    .help("take the object out; it is refused so that no result leaves it out of account"),
            );
        } else {
            self.world(group, &kind, object, problems);
        }
    }

    fn ignore(&mut self, kind: &str, object: &Manifest) {
        let ignored = self.ignored.entry(kind.to_owned());
        ignored.or_insert_with(|| Ignored { count: 0, first: object.locate("kind") }).count += 1;
    }

    fn policy(&mut self, object: &Manifest, problems: &mut Problems) {
        let Some((id, Some(policy))) = read_policy(object, problems) else { return };
        self.used.extend(id.namespace.clone());
        self.insert_policy(id, policy, object.clone().unread());
    }

    fn insert_policy(&mut self, id: PolicyId, policy: Policy, object: Manifest) {
        match self.policies.entry(id) {
            Entry::Vacant(free) => {
                free.insert((policy, object));
            }
            Entry::Occupied(other) if other.get().0 == policy => {}
            Entry::Occupied(mut other) => {
                self.warnings.push(twice(other.key(), &object, &other.get().1));
                other.insert((policy, object));
            }
        }
    }

    fn world(&mut self, group: &str, kind: &str, object: &Manifest, problems: &mut Problems) {
        let workload = WorkloadKind::parse(kind).filter(|_| matches!(group, "apps" | "batch"));
        let is_world = workload.is_some()
            || matches!(
                (group, kind),
                ("", "Namespace" | "Node" | "Pod" | "Service") | ("discovery.k8s.io", "EndpointSlice")
            );
        if !is_world {
            return self.ignore(kind, object);
        }
        let Some(name) = object.text(&["metadata", "name"]) else {
            problems.add(
                Diagnostic::error("an object needs `metadata.name`").at(object.locate_field("metadata")),
            );
            return;
        };
        if !problems.check_name(name, &object.locate("metadata.name")) {
            return;
        }
        let namespace = object.text(&["metadata", "namespace"]).unwrap_or(ObjectName::DEFAULT_NAMESPACE);
        let full = ObjectName::new(namespace, name);
        if !matches!(kind, "Namespace" | "Node") {
            self.used.insert(namespace.to_owned());
        }
        match (workload, kind) {
            (Some(workload), _) => self.workload(workload, full, object, problems),
            (None, "Namespace") => {
                let Some(Plain { metadata }) = problems.take(read(object)) else { return };
                let labels = metadata.labels.unwrap_or_default();
                insert(&mut self.namespaces, name.to_owned(), labels, object, problems);
            }
            (None, "Node") => {
                let Some(node) = problems.take(read::<NodeObject>(object)) else { return };
                insert(&mut self.nodes, name.to_owned(), node_part(node, object, problems), object, problems);
            }
            (None, "Pod") => {
                let Some(pod) = problems.take(read::<Object<PodSpec, PodStatus>>(object)) else { return };
                let Object { metadata, spec, status } = pod;
                let status = status.unwrap_or_default();
                if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
                    return self.ignore("finished Pod", object);
                }
                let part = pod_part(metadata, spec, &status, object, problems);
                insert(&mut self.pods, full, part, object, problems);
            }
            (None, "Service") => {
                let Some(Object { metadata, spec, .. }) = problems.take(read::<Object<ServiceSpec>>(object))
                else {
                    return;
                };
                insert(
                    &mut self.services,
                    full,
                    service_part(metadata.labels.unwrap_or_default(), spec, object, problems),
                    object,
                    problems,
                );
            }
            (None, _) => {
                let Some(slice) = problems.take(read::<EndpointSlice>(object)) else { return };
                self.slice(namespace, slice, object, problems);
            }
        }
    }

    fn workload(&mut self, kind: WorkloadKind, name: ObjectName, object: &Manifest, problems: &mut Problems) {
        let read =
            match kind {
                WorkloadKind::CronJob => problems.take(read::<Object<CronJobSpec>>(object)).map(|job| {
                    Object { metadata: job.metadata, spec: job.spec.job_template.spec, status: None }
                }),
                WorkloadKind::DaemonSet
                | WorkloadKind::Deployment
                | WorkloadKind::Job
                | WorkloadKind::ReplicaSet
                | WorkloadKind::StatefulSet => problems.take(read::<Object<TemplateSpec>>(object)),
            };
        let Some(Object { metadata, spec, .. }) = read else { return };
        let owners = metadata.owner_references.unwrap_or_default();
        let is_owned = owners.iter().any(|owner| WorkloadKind::parse(&owner.kind).is_some());
        self.owners.insert((name.clone(), kind), owners);
        let Object { metadata, spec: pod, .. } = spec.template;
        let template = pod_part(metadata, pod, &PodStatus::default(), object, problems);
        let replicas = (kind != WorkloadKind::DaemonSet).then(|| spec.replicas.unwrap_or(1));
        insert(
            &mut self.workloads,
            (name, kind),
            Workload { replicas, template, is_owned },
            object,
            problems,
        );
    }

    fn slice(&mut self, namespace: &str, slice: EndpointSlice, object: &Manifest, problems: &mut Problems) {
        let labels = slice.metadata.labels.unwrap_or_default();
        let Some(service) = labels.get("kubernetes.io/service-name") else {
            return self.ignore("EndpointSlice without service", object);
        };
        let endpoints = slice.endpoints.unwrap_or_default().into_iter().filter(|endpoint| {
            let ready = endpoint.conditions.as_ref().and_then(|conditions| *conditions.get("ready")?);
            ready != Some(false)
        });
        let addresses = endpoints.flat_map(|endpoint| endpoint.addresses);
        let addresses = addresses.filter_map(|text| parse(&text, "endpoints", object, problems)).collect();
        let slice = Slice { addresses, ports: slice.ports.unwrap_or_default() };
        self.slices.entry(ObjectName::new(namespace, service)).or_default().push(slice);
    }
}

/// A kind that the engine knows, whatever its version.
fn is_policy(group: &str, kind: &str) -> bool {
    let group_of = |known: &PolicyKind| known.api_version().split_once('/').map_or("", |(group, _)| group);
    PolicyKind::ALL.iter().any(|known| known.kind() == kind && group_of(known) == group)
}

/// A policy of the APIs that Egret simulates which the engine does not know: to ignore it would be to answer
/// without it.
fn is_unknown_policy(group: &str, kind: &str) -> bool {
    matches!(group, "networking.k8s.io" | "cilium.io" | "policy.networking.k8s.io")
        && kind.ends_with("NetworkPolicy")
}

fn insert_all<K: Ord + NameOf, T: PartialEq>(
    map: &mut BTreeMap<K, Given<T>>,
    later: BTreeMap<K, Given<T>>,
    problems: &mut Problems,
) {
    for (key, given) in later {
        insert_given(map, key, given, problems);
    }
}

fn insert<K: Ord + NameOf, T: PartialEq>(
    map: &mut BTreeMap<K, Given<T>>,
    key: K,
    part: T,
    object: &Manifest,
    problems: &mut Problems,
) {
    insert_given(map, key, Given { part, object: object.clone().unread() }, problems);
}

/// Two files may give the same object when they give it alike.
fn insert_given<K: Ord + NameOf, T: PartialEq>(
    map: &mut BTreeMap<K, Given<T>>,
    key: K,
    given: Given<T>,
    problems: &mut Problems,
) {
    match map.entry(key) {
        Entry::Vacant(free) => {
            free.insert(given);
        }
        Entry::Occupied(other) if other.get().part == given.part => {}
        Entry::Occupied(other) => problems.add(
            Diagnostic::error(format!("`{}` is defined twice, and differently", other.key().name()))
                .at(given.object.locate("metadata.name"))
                .note(format!("the other definition is at {}", other.get().object.locate("metadata.name"))),
        ),
    }
}

/// Two policies of one name: the later replaces the earlier, as it does for whoever applies the files in order.
fn twice(id: &PolicyId, object: &Manifest, other: &Manifest) -> Diagnostic {
    Diagnostic::warning("defined-twice", format!("`{id}` is defined twice, and differently"))
        .at(object.locate("metadata.name"))
        .note(format!("this one counts; the other is at {}", other.locate("metadata.name")))
        .help("give each policy a name of its own")
}

/// How messages name an object.
trait NameOf {
    fn name(&self) -> String;
}

impl NameOf for String {
    fn name(&self) -> String {
        self.clone()
    }
}

impl NameOf for ObjectName {
    fn name(&self) -> String {
        self.to_string()
    }
}

impl NameOf for (ObjectName, WorkloadKind) {
    fn name(&self) -> String {
        format!("{} {}", self.1.word(), self.0)
    }
}
