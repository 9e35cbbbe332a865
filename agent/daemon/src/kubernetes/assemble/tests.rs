//! What only a running cluster tells: readiness, pods that come and go, objects that cannot be read.

use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::*;

fn part(kind: Kind, object: Value) -> (Kind, Vec<Arc<Part>>) {
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    (kind, vec![Arc::new(Part::of(kind, &object))])
}

fn pod(name: &str, node: &str, address: &str, more: Value) -> (Kind, Vec<Arc<Part>>) {
    let mut object = json!({
        "metadata": { "name": name, "namespace": "x", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "nodeName": node, "containers": [] },
        "status": { "podIPs": if address.is_empty() { json!([]) } else { json!([{ "ip": address }]) } },
    });
    for (path, value) in more.as_object().expect("an object") {
        *object.pointer_mut(path).expect("a parent that is there") = value.clone();
    }
    part(Kind::Pod, object)
}

fn names(assembled: &Assembled) -> Vec<String> {
    let pods = assembled.snapshot.desired.world.pods.iter();
    pods.map(|(name, pod)| format!("{} {:?}", name.name, pod.addresses)).collect()
}

#[test]
fn of_two_pods_with_one_address_the_later_made_has_it() {
    let later = json!({ "/metadata": { "name": "later", "namespace": "x", "creationTimestamp": "2026-01-02T00:00:00Z" } });
    let leaving = json!({ "/metadata": {
        "name": "leaving", "namespace": "x", "creationTimestamp": "2026-01-03T00:00:00Z", "deletionTimestamp": "2026-01-04T00:00:00Z",
    } });
    let parts = [
        pod("early", "there", "10.0.0.1", json!({})),
        pod("later", "there", "10.0.0.1", later),
        pod("leaving", "there", "10.0.0.1", leaving),
        pod("other", "there", "10.0.0.2", json!({})),
    ];
    assert_eq!(names(&assemble("here", &parts)), ["later [10.0.0.1]", "other [10.0.0.2]"]);
}

#[test]
fn pods_of_this_node_are_there_before_they_have_an_address() {
    let ended = json!({ "/status": { "phase": "Failed", "podIP": "10.0.0.9" } });
    let host = json!({ "/spec": { "nodeName": "here", "hostNetwork": true } });
    let parts = [
        pod("new", "here", "", json!({})),
        pod("elsewhere", "there", "", json!({})),
        pod("ended", "here", "10.0.0.9", ended),
        pod("host", "here", "10.9.0.1", host),
    ];
    let assembled = assemble("here", &parts);
    assert_eq!(names(&assembled), ["host [10.9.0.1]", "new []"]);
    let local: Vec<_> = assembled.snapshot.local.keys().map(|name| name.name.as_str()).collect();
    assert_eq!(local, ["new"]);
}

#[test]
fn static_pods_are_known_by_the_uid_that_the_runtime_knows() {
    let mirror = json!({ "/metadata": {
        "name": "static", "namespace": "x", "uid": "of-the-api", "annotations": { "kubernetes.io/config.mirror": "of-the-kubelet" },
    } });
    let assembled = assemble("here", &[pod("static", "here", "", mirror)]);
    assert_eq!(assembled.snapshot.local[&ObjectName::new("x", "static")].uid, "of-the-kubelet");
}

#[test]
fn services_know_who_is_ready() {
    let service = json!({
        "metadata": { "name": "web", "namespace": "x" },
        "spec": { "selector": { "app": "web" }, "clusterIP": "10.96.0.1", "ports": [{ "port": 80 }] },
    });
    let slice = |name: &str, endpoints: Value| {
        part(
            Kind::EndpointSlice,
            json!({
                "metadata": { "name": name, "namespace": "x", "labels": { "kubernetes.io/service-name": "web" } },
                "addressType": "IPv4", "endpoints": endpoints, "ports": [{ "name": "", "port": 80 }],
            }),
        )
    };
    let parts = [
        part(Kind::Service, service),
        slice("web-1", json!([{ "addresses": ["10.0.0.1"], "conditions": { "ready": false } }])),
        slice(
            "web-2",
            json!([{ "addresses": ["10.0.0.2"], "conditions": { "ready": true, "serving": true } }]),
        ),
        slice(
            "web-3",
            json!([{ "addresses": ["10.0.0.3"], "conditions": {} }, { "addresses": ["10.0.0.4"] }]),
        ),
        slice("web-4", Value::Null),
    ];
    let assembled = assemble("here", &parts);
    let service = &assembled.snapshot.desired.world.services[&ObjectName::new("x", "web")];
    let ready = ["10.0.0.2", "10.0.0.3", "10.0.0.4"].map(|text| text.parse().expect("an address"));
    assert_eq!(service.ready, Some(ready.into()));
}

#[test]
fn what_cannot_be_read_is_named_and_left_out() {
    let node = |address: &str| {
        json!({
            "metadata": { "name": "n" }, "status": { "addresses": [{ "type": "InternalIP", "address": address }] },
        })
    };
    let np = |spec: Value| json!({ "metadata": { "name": "p", "namespace": "x" }, "spec": spec });
    let policy = Kind::Policy(egret_core::spec::PolicyKind::NetworkPolicy);
    let wrong = [
        (Kind::Node, node("nowhere"), "Node//n", "`nowhere` is not an address"),
        (
            Kind::Pod,
            json!({ "metadata": { "name": "p", "namespace": "x" }, "spec": { "containers": 1 } }),
            "Pod/x/p",
            "invalid type",
        ),
        (
            policy,
            np(json!({ "podSelector": {}, "unknown": 1 })),
            "NetworkPolicy/x/p",
            "unknown field `unknown`",
        ),
        (
            policy,
            np(json!({ "podSelector": {}, "policyTypes": ["Both"] })),
            "NetworkPolicy/x/p",
            "`spec.policyTypes[0]`",
        ),
    ];
    for (kind, object, name, problem) in wrong {
        let assembled = assemble("here", &[part(kind, object)]);
        let told = assembled.invalid.get(name).unwrap_or_else(|| panic!("{name}: {:?}", assembled.invalid));
        assert!(told.contains(problem), "{told}");
        assert!(assembled.versions.is_empty() && assembled.snapshot.desired.policies.is_empty());
    }
}
