//! Which labels of a pod make its identity.

use crate::identity::{LabelSet, Source};
use crate::rule::Dialect;
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
    let mut set = LabelSet::default();
    for (key, value) in &pod.labels {
        let kept = match dialect {
            Dialect::Cilium | Dialect::Cilium119 => is_relevant(key),
            Dialect::Kubernetes => true,
        };
        if kept {
            set.insert(Source::K8s, key, value);
        }
    }
    let no_labels = Labels::new();
    for (key, value) in world.namespaces.get(&name.namespace).unwrap_or(&no_labels) {
        set.insert(Source::K8s, &alloc::format!("{}{key}", LabelSet::NAMESPACE_LABELS), value);
    }
    set.insert(Source::K8s, LabelSet::NAMESPACE, &name.namespace);
    set.insert(Source::K8s, LabelSet::CLUSTER, LabelSet::DEFAULT_CLUSTER);
    let account = if pod.service_account.is_empty() { "default" } else { &pod.service_account };
    set.insert(Source::K8s, LabelSet::SERVICE_ACCOUNT, account);
    set
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
