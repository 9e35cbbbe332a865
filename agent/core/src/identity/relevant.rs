//! Which labels of a pod make its identity.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hashbrown::HashMap;

use crate::dialect::Dialect;
use crate::identity::label::{Label, LabelSet, Source};
use crate::world::{Pod, World};
use crate::{Labels, ObjectName};

/// Key beginnings that stay out of identities: they differ between pods that policy treats alike
/// (Cilium `pkg/labelsfilter/filter.go`, default list).
const EXCLUDED: [&str; 13] = [
    "io.kubernetes",
    "kubernetes.io",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
    "k8s.io",
    "pod-template-generation",
    "pod-template-hash",
    "controller-revision-hash",
    "controller-uid",
    "annotation",
    "etcd_node",
];

/// Whether Cilium keeps a pod label in the pod's identity.
#[must_use]
pub fn is_relevant(key: &str) -> bool {
    !EXCLUDED.iter().any(|start| key.starts_with(start))
        && !key.starts_with("topology.kubernetes.io")
        && !key.contains("beta.kubernetes.io")
}

/// The labels that policies see of a pod: its own, its namespace's, and those of its place in the cluster.
///
/// In the Kubernetes dialect every pod label counts; Cilium leaves some out ([`is_relevant`]).
#[must_use]
pub fn of_pod(name: &ObjectName, pod: &Pod, world: &World, dialect: Dialect) -> LabelSet {
    InCluster::new(dialect).namespace(&name.namespace, world).of_pod(pod, &mut OwnLabels::new())
}

/// What all pods of the cluster have in common, so that their labels share it.
#[derive(Clone)]
pub(crate) struct InCluster {
    cluster: Arc<Label>,
    default_account: Arc<Label>,
    dialect: Dialect,
}

/// Pods' own labels by key and value: pods of many namespaces have the same ones, and share them.
pub(crate) type OwnLabels<'a> = HashMap<(&'a str, &'a str), Arc<Label>>;

/// What all pods of one namespace have in common.
pub(crate) struct InNamespace {
    labels: Vec<Arc<Label>>,
    all: InCluster,
}

impl InCluster {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            cluster: Label::fixed(LabelSet::CLUSTER, LabelSet::DEFAULT_CLUSTER),
            default_account: Label::fixed(LabelSet::SERVICE_ACCOUNT, "default"),
            dialect,
        }
    }

    pub(crate) fn namespace(&self, namespace: &str, world: &World) -> InNamespace {
        let own = world.namespaces.get(namespace);
        let mut labels = Vec::with_capacity(own.map_or(0, Labels::len) + 2);
        labels.extend(
            own.into_iter().flatten().map(|(key, value)| {
                Label::new(Source::K8s, [LabelSet::NAMESPACE_LABELS, key].concat(), value)
            }),
        );
        labels.push(Label::fixed(LabelSet::NAMESPACE, namespace.to_string()));
        labels.push(Arc::clone(&self.cluster));
        InNamespace { labels, all: self.clone() }
    }
}

impl InNamespace {
    /// The labels that policies see of one of the namespace's pods.
    pub(crate) fn of_pod<'a>(&self, pod: &'a Pod, own: &mut OwnLabels<'a>) -> LabelSet {
        let mut labels = Vec::with_capacity(pod.labels.len() + self.labels.len() + 1);
        let kept = pod.labels.iter().filter(|(key, _)| match self.all.dialect {
            Dialect::Cilium | Dialect::Cilium119 => is_relevant(key),
            Dialect::Kubernetes => true,
        });
        labels.extend(kept.map(|(key, value)| {
            let new = || Label::new(Source::K8s, key.clone(), value);
            Arc::clone(own.entry((key, value)).or_insert_with(new))
        }));
        labels.extend(self.labels.iter().cloned());
        labels.push(match pod.service_account.as_str() {
            "" | "default" => Arc::clone(&self.all.default_account),
            other => Label::fixed(LabelSet::SERVICE_ACCOUNT, other.to_string()),
        });
        labels.into_iter().collect()
    }
}

/// The labels by which policies for nodes select one (`nodeSelector`).
#[must_use]
pub fn of_node(labels: &Labels) -> LabelSet {
    let mut set = LabelSet::reserved("host");
    for (key, value) in labels {
        set.insert(Source::K8s, key, value);
    }
    set
}
