//! One side of a flow: who has an address, and the labels that policies see of him.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::net::IpAddr;

use super::{Reading, Subject};
use crate::ObjectName;
use crate::rule::Dialect;
use crate::world::{Node, Pod, Serve};

/// One side of a flow.
pub(super) struct Party<'a> {
    kind: Kind<'a>,
    /// The address at which it is met; of the own node, and of a subject, all.
    pub(super) addresses: Vec<IpAddr>,
    labels: Vec<Label>,
}

/// Who it is.
enum Kind<'a> {
    Pod(&'a ObjectName, &'a Pod),
    OwnNode(&'a str),
    OtherNode,
    Outside,
}

/// A label with the part before its colon.
struct Label {
    source: &'static str,
    key: String,
    value: String,
}

impl<'a> Party<'a> {
    /// A pod with a network of its own, or a node, whose policies select it by its labels as Kubernetes has them.
    pub(super) fn subject(reading: Reading<'a>, subject: Subject<'a>) -> Option<Self> {
        match subject {
            Subject::Pod(name) => {
                let pod = reading.world.pods.get(name).filter(|pod| !pod.host_network)?;
                Some(Self::of(reading, name, pod, pod.addresses.clone()))
            }
            Subject::Node(name) => {
                let node = reading.world.nodes.get(name)?;
                let mut labels = vec![Label::reserved("host")];
                labels.extend(node.labels.iter().map(|(key, value)| Label::k8s(key, value)));
                Some(Self { kind: Kind::OwnNode(name), addresses: node.addresses.clone(), labels })
            }
        }
    }

    /// Whoever has an address, as the subject's node sees it. A hostNetwork pod has its node's address and
    /// is its node.
    pub(super) fn at(reading: Reading<'a>, subject: &Self, address: IpAddr) -> Self {
        for (name, pod) in &reading.world.pods {
            if !pod.host_network && pod.addresses.contains(&address) {
                return Self::of(reading, name, pod, vec![address]);
            }
        }
        for (name, node) in &reading.world.nodes {
            if node.addresses.contains(&address) {
                return Self::node(name, node, subject.node_name() == Some(name.as_str()), address);
            }
        }
        Self { kind: Kind::Outside, addresses: vec![address], labels: vec![Label::reserved("world")] }
    }

    /// A node as a peer, whose labels have a source of their own.
    fn node(name: &'a str, node: &Node, is_own: bool, address: IpAddr) -> Self {
        let (kind, word) =
            if is_own { (Kind::OwnNode(name), "host") } else { (Kind::OtherNode, "remote-node") };
        let mut labels = vec![Label::reserved(word)];
        labels.extend(node.labels.iter().map(|(key, value)| Label::new("node", key, value)));
        let addresses = if is_own { node.addresses.clone() } else { vec![address] };
        Self { kind, addresses, labels }
    }

    fn of(reading: Reading<'a>, name: &'a ObjectName, pod: &'a Pod, addresses: Vec<IpAddr>) -> Self {
        let mut labels = Vec::new();
        for (key, value) in &pod.labels {
            if reading.dialect == Dialect::Kubernetes || is_kept(key) {
                labels.push(Label::k8s(key, value));
            }
        }
        for (key, value) in reading.world.namespaces.get(&name.namespace).into_iter().flatten() {
            labels.push(Label::k8s(&format!("io.cilium.k8s.namespace.labels.{key}"), value));
        }
        labels.push(Label::k8s("io.kubernetes.pod.namespace", &name.namespace));
        labels.push(Label::k8s("io.cilium.k8s.policy.cluster", "default"));
        let account = match pod.service_account.as_str() {
            "" => "default",
            account => account,
        };
        labels.push(Label::k8s("io.cilium.k8s.policy.serviceaccount", account));
        Self { kind: Kind::Pod(name, pod), addresses, labels }
    }

    /// The values of a key; without source, under every source.
    pub(super) fn values(&self, source: Option<&str>, key: &str) -> Vec<&str> {
        let found = self
            .labels
            .iter()
            .filter(|label| label.key == key && source.is_none_or(|source| source == label.source));
        found.map(|label| label.value.as_str()).collect()
    }

    /// The node that it is on, or is; of a peer only its subject's.
    fn node_name(&self) -> Option<&'a str> {
        match self.kind {
            Kind::Pod(_, pod) => Some(&pod.node),
            Kind::OwnNode(name) => Some(name),
            Kind::OtherNode | Kind::Outside => None,
        }
    }

    /// Its namespace; only pods have one.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self.kind {
            Kind::Pod(name, _) => Some(&name.namespace),
            Kind::OwnNode(_) | Kind::OtherNode | Kind::Outside => None,
        }
    }

    /// Whether it is outside the cluster.
    pub(super) fn is_outside(&self) -> bool {
        matches!(self.kind, Kind::Outside)
    }

    /// Whether it is the node of the subject whose peer it is.
    pub(super) fn is_own_node(&self) -> bool {
        matches!(self.kind, Kind::OwnNode(_))
    }

    /// Whether it is a node other than the subject's.
    pub(super) fn is_other_node(&self) -> bool {
        matches!(self.kind, Kind::OtherNode)
    }

    /// What its containers serve; nothing outside pods.
    pub(super) fn serves(&self) -> &[Serve] {
        match self.kind {
            Kind::Pod(_, pod) => &pod.serves,
            Kind::OwnNode(_) | Kind::OtherNode | Kind::Outside => &[],
        }
    }
}

impl Label {
    fn new(source: &'static str, key: &str, value: &str) -> Self {
        Self { source, key: key.to_string(), value: value.to_string() }
    }

    fn k8s(key: &str, value: &str) -> Self {
        Self::new("k8s", key, value)
    }

    fn reserved(key: &str) -> Self {
        Self::new("reserved", key, "")
    }
}

/// Whether Cilium lets policies see a pod's label (policy semantics 5.3).
fn is_kept(key: &str) -> bool {
    const KEPT: [&str; 5] = [
        "io.kubernetes.pod.namespace",
        "io.cilium.k8s.namespace.labels",
        "app.kubernetes.io",
        "io.cilium.k8s.policy.cluster",
        "io.cilium.k8s.policy.serviceaccount",
    ];
    const LEFT_OUT: [&str; 14] = [
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
        "topology.kubernetes.io",
    ];
    KEPT.iter().any(|start| key.starts_with(start))
        || !(key.contains("beta.kubernetes.io") || LEFT_OUT.iter().any(|start| key.starts_with(start)))
}
