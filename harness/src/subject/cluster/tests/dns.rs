//! The cluster's DNS server: led to a run's Internet and put back to the letter, also after a run that was killed.

use serde_json::{Value, json};

use super::script::Script;
use crate::subject::cluster::object::host;
use crate::subject::cluster::{clean, dns};

const CONFIG: &str = "/api/v1/namespaces/kube-system/configmaps/coredns";
const PODS: &str = "/api/v1/namespaces/kube-system/pods";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices";
const COREFILE: &str = ".:53 {\n    errors\n    forward . /etc/resolv.conf\n    cache 30\n    reload\n}\n";

/// A cluster with CoreDNS; somebody has labelled its configuration.
fn cluster() -> Script {
    let script = Script::default();
    script.holds(
        CONFIG,
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "coredns", "namespace": "kube-system", "labels": { "team": "net" } },
            "data": { "Corefile": COREFILE, "other": "kept" },
        }),
    );
    script.holds(&format!("{PODS}/old"), pod("old", "10.244.0.2", true));
    script.holds(DEPLOYMENT, json!({ "metadata": { "name": "coredns" }, "spec": { "replicas": 1 } }));
    script
}

fn pod(name: &str, address: &str, ready: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "kube-system", "resourceVersion": "9",
            "labels": { "k8s-app": "kube-dns" },
        },
        "status": {
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            "podIPs": [{ "ip": address }],
        },
    })
}

fn slice(address: &str) -> Value {
    json!({
        "metadata": {
            "name": "kube-dns-1", "namespace": "kube-system", "resourceVersion": "12",
            "labels": { "kubernetes.io/service-name": "kube-dns" },
        },
        "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
    })
}

fn list(item: &Value) -> Value {
    json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": [item] })
}

/// An object without what only the API server writes.
fn bare(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.remove("resourceVersion");
    // An empty map and none are the same to the API server.
    metadata.retain(|_, value| value.as_object().is_none_or(|map| !map.is_empty()));
    object
}

#[tokio::test]
async fn it_is_led_away_and_put_back_to_the_letter() {
    let script = cluster();
    let server = script.server();
    let before = bare(script.object(CONFIG));
    dns::lead_to(&server, "192.0.2.53".parse().unwrap()).await.unwrap();
    let led = script.object(CONFIG);
    assert_eq!(led["data"]["Corefile"], ".:53 {\n    errors\n    forward . 192.0.2.53\n    reload\n}\n");
    assert_eq!(led["metadata"]["annotations"]["egret.dev/corefile"], COREFILE);
    assert_eq!(led["metadata"]["labels"]["egret.dev/run"], "feedbeef");
    assert_eq!(led["metadata"]["labels"]["team"], "net");
    assert_eq!(script.count(&format!("DELETE {PODS}/old")), 0, "only when the nodes know the way");

    clean::remove(&server, &server.run.selector()).await.unwrap();
    assert_eq!(bare(script.object(CONFIG)), before);
    assert_eq!(script.count(&format!("DELETE {PODS}/old")), 1);
    // Nothing is left to put back.
    let asked = script.asked().len();
    clean::remove(&server, &server.run.selector()).await.unwrap();
    assert!(script.asked().split_off(asked).iter().all(|asked| asked.line.starts_with("GET")));
}

#[tokio::test]
async fn new_pods_are_waited_for_until_they_alone_are_behind_the_service() {
    let script = cluster();
    script.says(&format!("GET {PODS}"), 200, list(&pod("old", "10.244.0.2", true)), 1);
    script.says(&format!("GET {PODS}"), 200, list(&pod("new", "10.244.0.7", false)), 1);
    script.says(&format!("GET {PODS}"), 200, list(&pod("new", "10.244.0.7", true)), 2);
    script.says(&format!("GET {SLICES}"), 200, list(&slice("10.244.0.2")), 2);
    script.says(&format!("GET {SLICES}"), 200, list(&slice("10.244.0.7")), 1);
    let changes = dns::restarted(&script.server()).await.unwrap();
    let expected = [
        ("EndpointSlice/kube-system/kube-dns-1".to_owned(), "12".to_owned()),
        ("Pod/kube-system/new".to_owned(), "9".to_owned()),
    ];
    assert_eq!(changes.versions, expected.into());
    assert_eq!(script.count(&format!("GET {PODS}")), 4, "one to delete, three looks");
}

#[tokio::test]
async fn what_a_killed_run_has_led_away_is_found_and_put_back() {
    let script = cluster();
    let before = bare(script.object(CONFIG));
    // No process has the number 0.
    let mut killed = script.server();
    (killed.run.id, killed.run.host, killed.run.process) = ("dead".into(), host(), 0);
    dns::lead_to(&killed, "192.0.2.53".parse().unwrap()).await.unwrap();

    let server = script.server();
    let left = clean::left(&server).await.unwrap();
    let found: Vec<_> = left.iter().map(|left| (left.run.as_str(), left.alive, left.objects)).collect();
    assert_eq!(found, [("dead", false, 1)]);
    clean::remove(&server, "egret.dev/run=dead").await.unwrap();
    assert_eq!(bare(script.object(CONFIG)), before);
    assert!(clean::left(&server).await.unwrap().is_empty());
}

/// What the run before left changed is not taken for the user's own.
#[tokio::test]
async fn a_run_takes_over_from_one_that_was_killed() {
    let script = cluster();
    let before = bare(script.object(CONFIG));
    let mut killed = script.server();
    (killed.run.id, killed.run.host, killed.run.process) = ("dead".into(), host(), 0);
    dns::lead_to(&killed, "192.0.2.9".parse().unwrap()).await.unwrap();
    let server = script.server();
    dns::lead_to(&server, "192.0.2.53".parse().unwrap()).await.unwrap();
    clean::remove(&server, &server.run.selector()).await.unwrap();
    assert_eq!(bare(script.object(CONFIG)), before);
}

#[tokio::test]
async fn another_run_that_is_alive_keeps_it() {
    let script = cluster();
    let mut other = script.server();
    (other.run.id, other.run.host) = ("0ther".into(), host());
    dns::lead_to(&other, "192.0.2.9".parse().unwrap()).await.unwrap();
    let led = script.object(CONFIG);
    let error = dns::lead_to(&script.server(), "192.0.2.53".parse().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("another run, 0ther") && error.contains("--run 0ther"), "{error}");
    assert_eq!(script.object(CONFIG), led);
}

#[tokio::test]
async fn a_configuration_without_a_way_out_is_left_alone() {
    let script = cluster();
    let config =
        json!({ "metadata": { "name": "coredns" }, "data": { "Corefile": ".:53 {\n    errors\n}\n" } });
    script.holds(CONFIG, config.clone());
    let error = dns::lead_to(&script.server(), "192.0.2.53".parse().unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("has no line `forward . …`"), "{error}");
    assert_eq!(script.object(CONFIG), config);
}
