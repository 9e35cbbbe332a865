//! The agent reads the API server's objects as `egret … -f` reads the same ones from files: one world, one set of rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use egret::cluster::of_sources;
use egret::source::Source;
use egret_agent::kubernetes::assemble::assemble;
use egret_agent::kubernetes::kind::Kind;
use egret_agent::kubernetes::part::Part;
use kube::core::DynamicObject;
use serde::Deserialize;

const OBJECTS: &str = r#"
apiVersion: v1
kind: Node
metadata: { name: n1, labels: { zone: a } }
spec: { podCIDR: 10.244.1.0/24, podCIDRs: [10.244.1.0/24, "fd00:1::/64"] }
status: { addresses: [{ type: Hostname, address: n1 }, { type: InternalIP, address: 172.18.0.2 }, { type: ExternalIP, address: 192.0.2.1 }] }
---
apiVersion: v1
kind: Node
metadata: { name: n2 }
spec: { podCIDR: 10.244.2.0/24 }
status: { addresses: [{ type: InternalIP, address: 172.18.0.3 }] }
---
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { kubernetes.io/metadata.name: shop, team: a } }
---
apiVersion: v1
kind: Pod
metadata: { name: web, namespace: shop, labels: { app: web } }
spec:
  nodeName: n1
  serviceAccountName: front
  containers:
  - { name: web, ports: [{ name: http, containerPort: 8080 }, { containerPort: 53, protocol: UDP }] }
  - { name: side }
status: { podIP: 10.244.1.7, podIPs: [{ ip: 10.244.1.7 }, { ip: "fd00:1::7" }] }
---
apiVersion: v1
kind: Pod
metadata: { name: plain, namespace: shop }
spec: { nodeName: n2, containers: [] }
status: { podIP: 10.244.2.7 }
---
apiVersion: v1
kind: Pod
metadata: { name: agent, namespace: kube-system, labels: { app: agent } }
spec: { nodeName: n2, hostNetwork: true, containers: [] }
status: { podIP: 172.18.0.3 }
---
apiVersion: v1
kind: Pod
metadata: { name: ended, namespace: shop }
spec: { nodeName: n1, containers: [] }
status: { phase: Succeeded, podIP: 10.244.1.9 }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop, labels: { tier: front } }
spec:
  selector: { app: web }
  clusterIP: 10.96.0.20
  clusterIPs: [10.96.0.20, "fd00:96::20"]
  ports: [{ name: http, port: 80, targetPort: http }, { name: dns, port: 53, protocol: UDP }, { name: text, port: 81, targetPort: "8081" }]
---
apiVersion: v1
kind: Service
metadata: { name: headless, namespace: shop }
spec: { selector: { app: web }, clusterIP: None, ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: elsewhere, namespace: shop }
spec: { type: ExternalName, externalName: example.com }
---
apiVersion: v1
kind: Service
metadata: { name: by-hand, namespace: shop }
spec: { clusterIP: 10.96.0.21, ports: [{ name: db, port: 5432 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: by-hand-1, namespace: shop, labels: { kubernetes.io/service-name: by-hand } }
addressType: IPv4
endpoints:
- { addresses: [203.0.113.5], conditions: { ready: true } }
- { addresses: [203.0.113.6], conditions: { ready: false } }
- { addresses: [203.0.113.7] }
ports: [{ name: db, port: 15432, protocol: TCP }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: deny, namespace: shop }
spec: { podSelector: {}, policyTypes: [Ingress, Egress] }
---
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: { name: names, namespace: shop, labels: { a: b } }
spec:
  endpointSelector: { matchLabels: { app: web } }
  egress:
  - toFQDNs: [{ matchPattern: "*.example.com" }]
    toPorts: [{ ports: [{ port: "443", protocol: TCP }] }]
---
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: { name: hosts }
spec: { nodeSelector: { matchLabels: { zone: a } }, ingress: [{ fromEntities: [cluster] }] }
---
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: { name: partners, labels: { who: partner } }
spec: { externalCIDRs: [192.0.2.0/24] }
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: { name: first }
spec:
  tier: Admin
  priority: 10
  subject: { namespaces: { matchLabels: { team: a } } }
  ingress: [{ action: Deny, from: [{ namespaces: { matchLabels: { team: b } } }] }]
"#;

#[test]
fn objects_are_read_as_from_files() {
    let from_files = of_sources(&[Source::new("all.yaml", OBJECTS)], None)
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
        .desired;
    let mut parts: BTreeMap<Kind, Vec<Arc<Part>>> = BTreeMap::new();
    for document in serde_yaml::Deserializer::from_str(OBJECTS) {
        let value = serde_json::Value::deserialize(document).expect("YAML");
        let kind = Kind::WATCHED.into_iter().find(|kind| kind.word() == value["kind"]).expect("a known kind");
        let object: DynamicObject = serde_json::from_value(value).expect("an object");
        parts.entry(kind).or_default().push(Arc::new(Part::of(kind, &object)));
    }
    assert_eq!(parts.len(), Kind::WATCHED.len(), "every kind is in the table");
    let parts: Vec<_> = parts.into_iter().collect();
    let mut assembled = assemble("n1", &parts);
    assert_eq!(assembled.invalid, BTreeMap::new());
    assert_eq!(assembled.versions.len(), 5);

    let from_api = &mut assembled.snapshot.desired;
    assert_eq!(from_api.policies, from_files.policies);
    assert_eq!(from_api.dialect, from_files.dialect);
    // Files do not tell who is ready, and name namespaces that they do not declare.
    for service in from_api.world.services.values_mut() {
        service.ready = None;
    }
    for (name, labels) in &from_files.world.namespaces {
        from_api.world.namespaces.entry(name.clone()).or_insert_with(|| labels.clone());
    }
    assert_eq!(from_api.world.nodes, from_files.world.nodes);
    assert_eq!(from_api.world.pods, from_files.world.pods);
    assert_eq!(from_api.world.services, from_files.world.services);
    assert_eq!(from_api.world, from_files.world);
}
