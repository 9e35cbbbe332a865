//! Generated clusters: policies as documents and, understood, as rules.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use egret_core::rule::Policy;
use egret_core::spec::{Document, PolicyKind, understand};
use egret_core::world::{Application, Node, Pod, Serve, World};
use egret_core::{Desired, Labels, ObjectName, Protocol};
use serde_json::{Value, json};

/// The one node.
pub(crate) const NODE: &str = "node";
/// The port that policies open.
pub(crate) const PORT: u16 = 8080;

/// A cluster in both forms.
pub(crate) struct Shape {
    pub(crate) desired: Desired,
    pub(crate) documents: Vec<Document>,
}

impl Shape {
    fn new() -> Self {
        let address = IpAddr::V4(Ipv4Addr::new(172, 16, 0, 1));
        let mut world = World::default();
        world.nodes.insert(NODE.to_owned(), Node { addresses: vec![address], ..Node::default() });
        Self { desired: Desired { world, ..Desired::default() }, documents: Vec::new() }
    }

    fn namespace(&mut self, name: &str) {
        let labels = Labels::from([("kubernetes.io/metadata.name".to_owned(), name.to_owned())]);
        self.desired.world.namespaces.insert(name.to_owned(), labels);
    }

    pub(crate) fn pod(&mut self, namespace: &str, name: &str, app: &str) {
        let number = self.desired.world.pods.len() as u32 + 1;
        let pod = Pod {
            labels: [("app".to_owned(), app.to_owned())].into(),
            node: NODE.to_owned(),
            addresses: vec![IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))],
            serves: vec![Serve {
                name: None,
                port: PORT,
                protocol: Protocol::Tcp,
                application: Application::Identity,
            }],
            ..Pod::default()
        };
        self.desired.world.pods.insert(Arc::new(ObjectName::new(namespace, name)), pod);
    }

    fn policy(&mut self, namespace: &str, name: &str, spec: Value) {
        let policy = self.understand(namespace, name, spec);
        self.desired.policies.insert(policy.id.clone(), policy);
    }

    /// A policy that is not in force yet.
    pub(crate) fn understand(&mut self, namespace: &str, name: &str, spec: Value) -> Arc<Policy> {
        let document = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": { "name": name, "namespace": namespace },
            "spec": spec,
        });
        let document = Document::deserialize_kind(PolicyKind::NetworkPolicy, document).unwrap();
        let policy = understand(&document).unwrap();
        self.documents.push(document);
        Arc::new(policy)
    }
}

/// The pods of an application may reach each other, and nobody else may reach them.
pub(crate) fn within(of: &str) -> Value {
    json!({ "podSelector": app(of), "ingress": [{ "from": [{ "podSelector": app(of) }] }] })
}

fn app(app: &str) -> Value {
    json!({ "matchLabels": { "app": app } })
}

/// Many policies for one server; only the last rule is about the client and the open port.
pub(crate) fn many_rules(policies: usize, rules: usize) -> Shape {
    let mut shape = Shape::new();
    shape.namespace("a");
    shape.pod("a", "client", "client");
    shape.pod("a", "server", "server");
    for policy in 0..policies {
        let rule = |rule: usize| {
            let is_last = policy + 1 == policies && rule + 1 == rules;
            let from = if is_last { "client".to_owned() } else { format!("other-{policy}-{rule}") };
            json!({ "from": [{ "podSelector": app(&from) }], "ports": [{ "port": PORT }] })
        };
        let ingress: Vec<Value> = (0..rules).map(rule).collect();
        let spec = json!({ "podSelector": app("server"), "ingress": ingress });
        shape.policy("a", &format!("policy-{policy}"), spec);
    }
    shape
}

/// Antrea's shape: in each namespace two pods of two applications, a default deny, and one policy for each
/// application that lets its own pods in.
pub(crate) fn small_namespaces(namespaces: usize) -> Shape {
    let mut shape = Shape::new();
    for number in 0..namespaces {
        let namespace = format!("ns-{number:05}");
        shape.namespace(&namespace);
        shape.policy(&namespace, "deny", json!({ "podSelector": {}, "policyTypes": ["Ingress"] }));
        for of in ["app-1", "app-2"] {
            shape.pod(&namespace, &format!("{of}-a"), of);
            shape.pod(&namespace, &format!("{of}-b"), of);
            shape.policy(&namespace, of, within(of));
        }
    }
    shape
}

/// Calico's shape: identical namespaces, each with a pod and a policy that closes the namespace to others.
pub(crate) fn tenants(namespaces: usize) -> Shape {
    let mut shape = Shape::new();
    for number in 0..namespaces {
        let namespace = format!("tenant-{number:06}");
        shape.namespace(&namespace);
        shape.pod(&namespace, "pod-a", "app");
        shape.pod(&namespace, "pod-b", "app");
        let spec = json!({ "podSelector": {}, "ingress": [{ "from": [{ "podSelector": {} }] }] });
        shape.policy(&namespace, "own", spec);
    }
    shape
}

/// Applications in one namespace; each lets the next one in on the open port.
pub(crate) fn applications(pods: usize, applications: usize) -> Shape {
    let mut shape = Shape::new();
    shape.namespace("a");
    for pod in 0..pods {
        shape.pod("a", &format!("pod-{pod:04}"), &format!("app-{}", pod % applications));
    }
    for number in 0..applications {
        let spec = json!({
            "podSelector": app(&format!("app-{number}")),
            "ingress": [{
                "from": [{ "podSelector": app(&format!("app-{}", (number + 1) % applications)) }],
                "ports": [{ "port": PORT }],
            }],
        });
        shape.policy("a", &format!("policy-{number}"), spec);
    }
    shape
}
