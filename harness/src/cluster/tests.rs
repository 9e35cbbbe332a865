//! Clusters from text: objects, what is assigned, what is ignored, and what is refused.

use egret_core::ObjectName;
use egret_core::rule::Dialect;

use super::{Cluster, of_sources};
use crate::diagnostic::Style;
use crate::source::Source;

fn load(text: &str) -> Cluster {
    of_sources(&[Source::new("all.yaml", text)], None).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn refused(text: &str) -> String {
    let problems = of_sources(&[Source::new("all.yaml", text)], None).expect_err("refused");
    crate::diagnostic::render_all(&problems, Style::Plain)
}

/// Pods as `namespace/name node addresses`.
fn pods(cluster: &Cluster) -> Vec<String> {
    let pods = cluster.desired.world.pods.iter();
    pods.map(|(name, pod)| {
        let addresses: Vec<_> = pod.addresses.iter().map(ToString::to_string).collect();
        format!("{name} {} {}", pod.node, addresses.join(","))
    })
    .collect()
}

const DEPLOYMENT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  replicas: 2
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, ports: [{ name: http, containerPort: 8080 }] }] }
";

#[test]
fn templates_become_pods_with_addresses_on_a_node() {
    let cluster = load(DEPLOYMENT);
    assert_eq!(pods(&cluster), ["shop/web-0 node-1 10.0.1.10", "shop/web-1 node-1 10.0.1.11"]);
    let world = &cluster.desired.world;
    assert_eq!(world.namespaces["shop"]["kubernetes.io/metadata.name"], "shop");
    let pod = &world.pods[&ObjectName::new("shop", "web-0")];
    assert_eq!((pod.labels["app"].as_str(), pod.serves[0].port), ("web", 8080));
}

#[test]
fn a_daemon_set_has_one_pod_on_each_node() {
    let text = DEPLOYMENT.replace("Deployment", "DaemonSet")
        + "---\napiVersion: v1\nkind: NodeList\nitems:\n- { apiVersion: v1, kind: Node, metadata: { name: a } }\n\
           - { apiVersion: v1, kind: Node, metadata: { name: b }, status: { addresses: [{ type: InternalIP, address: 192.168.0.2 }] } }\n";
    let cluster = load(&text);
    assert_eq!(pods(&cluster), ["shop/web-0 a 10.0.1.10", "shop/web-1 b 10.0.2.10"]);
    assert_eq!(cluster.desired.world.nodes["b"].addresses[0].to_string(), "192.168.0.2");
}

#[test]
fn real_pods_stand_for_their_workload() {
    let pod = "---\napiVersion: v1\nkind: Pod\nmetadata: { name: web-5d4-x, namespace: shop, \
               ownerReferences: [{ kind: ReplicaSet, name: web-5d4 }] }\n\
               spec: { nodeName: n7 }\nstatus: { podIP: 10.4.0.9, hostIP: 172.20.0.7 }\n";
    let cluster = load(&(DEPLOYMENT.to_owned() + pod));
    assert_eq!(pods(&cluster), ["shop/web-5d4-x n7 10.4.0.9"]);
    assert_eq!(cluster.desired.world.nodes["n7"].addresses[0].to_string(), "172.20.0.7");
}

#[test]
fn finished_pods_and_foreign_objects_are_named_as_ignored() {
    let cluster = load(
        "{ apiVersion: v1, kind: ConfigMap, metadata: { name: x } }\n---\n\
         { apiVersion: v1, kind: ConfigMap, metadata: { name: y } }\n---\n\
         { apiVersion: v1, kind: Pod, metadata: { name: done }, spec: {}, status: { phase: Succeeded } }\n---\n\
         { apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: { name: x } }\n---\n\
         just: values\n",
    );
    assert_eq!(
        cluster.ignored_line().unwrap(),
        "ignored, neither a policy nor part of the world: 2 ConfigMap, 1 NetworkPolicy, 1 finished Pod, 1 without `kind`"
    );
    assert!(cluster.desired.world.pods.is_empty());
}

#[test]
fn endpoints_of_a_service_without_selector_come_from_slices() {
    let cluster = load(
        "{ apiVersion: v1, kind: Service, metadata: { name: db }, spec: { ports: [{ port: 5432 }] } }\n---\n\
         { apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: { name: db-1, \
         labels: { kubernetes.io/service-name: db } }, ports: [{ port: 6432 }], \
         endpoints: [{ addresses: [203.0.113.9] }, { addresses: [203.0.113.8], conditions: { ready: false } }] }\n",
    );
    let (name, service) = cluster.desired.world.services.first_key_value().unwrap();
    let backends = cluster.desired.world.backends(name, service, &service.ports[0]);
    assert_eq!(backends, [("203.0.113.9".parse().unwrap(), 6432)]);
    assert_eq!(service.cluster_ips[0].to_string(), "10.96.1.1");
}

#[test]
fn more_pods_than_a_node_has_addresses() {
    let cluster = load(&DEPLOYMENT.replace("replicas: 2", "replicas: 300"));
    let distinct: std::collections::BTreeSet<_> =
        cluster.desired.world.pods.values().flat_map(|pod| &pod.addresses).collect();
    assert_eq!(distinct.len(), 300);
    let last = distinct.last().map(ToString::to_string);
    assert_eq!(last.as_deref(), Some("100.64.0.55"));
}

#[test]
fn the_dialect_is_that_of_the_policies_unless_it_is_given() {
    let knp = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: a }\nspec: { podSelector: {} }\n";
    let cnp = "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: { name: a }\n\
               spec: { endpointSelector: {}, ingress: [{}] }\n";
    assert_eq!(load(knp).desired.dialect, Dialect::Kubernetes);
    assert_eq!(load(&format!("{knp}---\n{cnp}")).desired.dialect, Dialect::Cilium);
    let given = of_sources(&[Source::new("a.yaml", knp)], Some(Dialect::Cilium)).unwrap();
    assert_eq!(given.desired.dialect, Dialect::Cilium);
}

#[test]
fn json_reads_like_yaml() {
    let cluster = load(
        "{\n    \"apiVersion\": \"v1\",\n    \"kind\": \"List\",\n    \"items\": [\n        {\n            \
         \"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"p\"}, \"spec\": {}\n        }\n    ]\n}\n",
    );
    assert_eq!(pods(&cluster), ["default/p node-1 10.0.1.10"]);
}

#[test]
fn what_is_wrong_in_an_item_of_a_list_is_named_with_its_place() {
    let message = refused(
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  \
         metadata: { name: a }\n  spec:\n    podSelecter: {}\n",
    );
    assert!(message.contains("unknown key `podSelecter` in `items[0].spec`"), "{message}");
    assert!(message.contains("all.yaml:8:5"), "{message}");
    assert!(message.contains("did you mean `podSelector`?"), "{message}");
}

#[test]
fn one_name_for_two_things() {
    let message = refused(&format!("{DEPLOYMENT}---\n{}", DEPLOYMENT.replace("8080", "8081")));
    assert!(message.contains("`Deployment shop/web` is defined twice, and differently"), "{message}");
    assert_eq!(pods(&load(&format!("{DEPLOYMENT}---\n{DEPLOYMENT}"))).len(), 2);
}

#[test]
fn of_two_policies_with_one_name_the_later_counts() {
    let policy = |spec: &str| {
        format!(
            "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{ name: a }}\n\
             spec: {{ podSelector: {{}}, {spec} }}\n"
        )
    };
    let cluster = load(&(policy("policyTypes: [Egress]") + &policy("policyTypes: [Ingress]")));
    let (_, kept) = cluster.desired.policies.first_key_value().unwrap();
    assert_eq!(kept.sections[0].egress, egret_core::rule::Enforcement::None);
    assert_eq!(cluster.warnings[0].code, Some("defined-twice"));
}

#[test]
fn a_policy_that_is_not_understood_is_never_ignored() {
    let message =
        refused("{ apiVersion: cilium.io/v2, kind: CiliumFutureNetworkPolicy, metadata: { name: a } }\n");
    assert!(message.contains("`CiliumFutureNetworkPolicy` is not simulated yet"), "{message}");
}
