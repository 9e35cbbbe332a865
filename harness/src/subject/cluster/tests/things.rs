//! Objects: made once, changed in place, taken away by their label; others' are never touched.

use std::collections::{BTreeMap, BTreeSet};

use egret_core::author::PolicyId;
use rstest::rstest;
use serde_json::{Value, json};

use super::script::{Script, refusal};
use super::{Parts, world};
use crate::case::PolicyLocations;
use crate::source::Source;
use crate::subject::cluster::naming::Naming;
use crate::subject::cluster::object::{Key, Kind};
use crate::subject::cluster::policies::Policies;
use crate::subject::cluster::world::Made;
use crate::subject::cluster::{clean, ready};

const NAMESPACES: &str = "/api/v1/namespaces";

#[tokio::test]
async fn a_world_becomes_objects_that_carry_the_runs_label() {
    let script = Script::default();
    let server = script.server();
    let parts = Parts::new(&server.run);
    let mut made = Made::default();
    let changes = made.reconcile(&server, &parts.shape(), &world()).await.unwrap();
    let changed: Vec<_> = changes.versions.keys().map(String::as_str).collect();
    assert_eq!(changed, ["Namespace//x", "Namespace//y", "Pod/x/a", "Pod/y/b"]);
    let expected = [
        "/api/v1/namespaces/x",
        "/api/v1/namespaces/x/pods/a",
        "/api/v1/namespaces/x/serviceaccounts/default",
        "/api/v1/namespaces/y",
        "/api/v1/namespaces/y/pods/b",
        "/api/v1/namespaces/y/serviceaccounts/default",
    ];
    assert_eq!(script.there(), expected);
    for path in expected {
        assert_eq!(script.object(path)["metadata"]["labels"]["egret.dev/run"], "feedbeef", "{path}");
    }
    let pod = script.object("/api/v1/namespaces/x/pods/a");
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["image"], "egret:test");
    assert_eq!(container["imagePullPolicy"], "Never");
    let menu: Value = serde_json::from_str(container["env"][0]["value"].as_str().unwrap()).unwrap();
    assert_eq!(menu["identity"], "x/a");
    assert_eq!(script.object("/api/v1/namespaces/x")["metadata"]["labels"]["team"], "x");

    let before = script.asked().len();
    let again = made.reconcile(&server, &parts.shape(), &world()).await.unwrap();
    assert!(again.is_empty(), "the same world again");
    let writes = script.asked().split_off(before).into_iter().filter(|asked| !asked.line.starts_with("GET"));
    assert_eq!(writes.count(), 0);
}

#[tokio::test]
async fn labels_change_in_place_and_a_pod_that_is_no_more_goes() {
    let script = Script::default();
    let server = script.server();
    let parts = Parts::new(&server.run);
    let mut made = Made::default();
    made.reconcile(&server, &parts.shape(), &world()).await.unwrap();
    let mut next = world();
    for (name, pod) in &mut next.pods {
        if name.name == "a" {
            pod.labels = [("tier".to_owned(), "gold".to_owned())].into();
        }
    }
    next.pods.retain(|name, _| name.name == "a");
    next.namespaces.remove("y");
    let changes = made.reconcile(&server, &parts.shape(), &next).await.unwrap();
    assert_eq!(changes.versions.get("Pod/y/b").map(String::as_str), Some(""), "an empty version: it is gone");
    let asked = script.asked();
    let patch = asked.iter().find(|asked| asked.line.starts_with("PATCH")).unwrap();
    assert_eq!(patch.body["metadata"]["labels"]["app"], Value::Null);
    assert!(script.object("/api/v1/namespaces/x/pods/a")["metadata"]["labels"]["app"].is_null());
    assert_eq!(script.there().len(), 3, "{:?}", script.there());
}

#[rstest]
#[case::the_pod("/api/v1/namespaces/x/pods/a", json!({}), "Pod `x/a` is there already")]
#[case::without_its_labels(
    "/api/v1/namespaces/x",
    json!({ "metadata": { "name": "x", "labels": {} } }),
    "namespace `x`, without the labels that the case gives it, is there already"
)]
#[tokio::test]
async fn what_others_have_made_is_not_touched(
    #[case] path: &str,
    #[case] object: Value,
    #[case] message: &str,
) {
    let script = Script::default();
    script.holds(path, object.clone());
    let server = script.server();
    let error = Made::default().reconcile(&server, &Parts::new(&server.run).shape(), &world()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
    assert_eq!(script.object(path), object);
}

#[tokio::test]
async fn a_namespace_of_others_is_used_when_nobody_lives_in_it() {
    let script = Script::default();
    let namespace = json!({ "metadata": { "name": "x", "labels": { "team": "x" } } });
    script.holds("/api/v1/namespaces/x", namespace.clone());
    let server = script.server();
    let parts = Parts::new(&server.run);
    Made::default().reconcile(&server, &parts.shape(), &world()).await.unwrap();
    clean::remove(&server, &server.run.selector()).await.unwrap();
    assert_eq!(script.there(), ["/api/v1/namespaces/x"]);

    script.holds("/api/v1/namespaces/x/pods/shop", json!({ "metadata": { "name": "shop" } }));
    let error = Made::default().reconcile(&server, &parts.shape(), &world()).await.unwrap_err().to_string();
    assert_eq!(error, "namespace `x` holds pods of others (shop), which the case's policies would reach");
}

#[tokio::test]
async fn a_namespace_of_an_earlier_case_is_waited_for_until_it_is_gone() {
    let script = Script::default();
    let server = script.server();
    let mut leaving = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z" },
    });
    server.run.mark(&mut leaving);
    script.says("GET /api/v1/namespaces/x", 200, &leaving, 3);
    Made::default().reconcile(&server, &Parts::new(&server.run).shape(), &world()).await.unwrap();
    assert_eq!(script.count("GET /api/v1/namespaces/x"), 4);
}

#[rstest]
#[case::quota("exceeded quota: tiny, requested: pods=1, used: pods=3, limited: pods=3")]
#[case::admission("pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\"")]
#[case::a_right("pods is forbidden: User \"low\" cannot create resource \"pods\" in the namespace \"x\"")]
#[tokio::test]
async fn the_api_servers_words_are_shown(#[case] message: &str) {
    let script = Script::default();
    script.refuses("POST /api/v1/namespaces/x/pods", 403, "Forbidden", message);
    let server = script.server();
    let error = Made::default().reconcile(&server, &Parts::new(&server.run).shape(), &world()).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("create Pod `x/a`") && error.contains(message), "{error}");
    assert_eq!(error.contains("not allowed"), message.contains("cannot create"), "{error}");
}

#[tokio::test]
async fn a_throttled_request_is_sent_again() {
    let script = Script::default();
    let mut patience = refusal(429, "TooManyRequests", "slow down");
    patience["details"] = json!({ "retryAfterSeconds": 1 });
    script.says("POST /api/v1/namespaces", 429, patience, 1);
    let server = script.server();
    Made::default().reconcile(&server, &Parts::new(&server.run).shape(), &world()).await.unwrap();
    assert_eq!(script.count("POST /api/v1/namespaces"), 3, "two namespaces, the first on the second try");
}

fn pod(state: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "a", "namespace": "x", "labels": { "egret.dev/run": "feedbeef" } },
        "status": state,
    })
}

fn one_pod() -> BTreeSet<Key> {
    BTreeSet::from([Key::new(Kind::Pod, Some("x"), "a")])
}

/// A watch that has fallen behind starts again from a list.
#[tokio::test]
async fn a_watch_that_is_gone_starts_again() {
    let script = Script::default();
    script.holds("/api/v1/namespaces/x/pods/a", pod(&json!({ "conditions": [] })));
    let gone = json!({ "type": "ERROR", "object": refusal(410, "Expired", "too old resource version") });
    let ready = pod(&json!({ "conditions": [{ "type": "Ready", "status": "True" }], "podIP": "10.1.0.9" }));
    let event = json!({ "type": "MODIFIED", "object": ready });
    script.says("GET /api/v1/pods?watch", 200, format!("{gone}\n"), 1);
    script.says("GET /api/v1/pods?watch", 200, format!("{event}\n"), 1);
    let pods = ready::wait(&script.server(), &one_pod(), &BTreeSet::new()).await.unwrap();
    assert_eq!(pods.len(), 1);
    assert_eq!(script.count("GET /api/v1/pods"), 2, "one list for each watch");
}

#[tokio::test]
async fn a_pod_that_runs_and_is_not_ready_is_quoted() {
    let script = Script::default();
    let labels = json!({ "app": "agent" });
    let pod = |name: &str, ready: &str| {
        json!({
            "metadata": { "name": name, "namespace": "x", "labels": labels },
            "status": { "podIP": "10.0.0.1", "conditions": [{ "type": "Ready", "status": ready, "reason": "ContainersNotReady" }] },
        })
    };
    script.holds("/api/v1/namespaces/x/pods/a", pod("a", "False"));
    script.holds("/api/v1/namespaces/x/pods/b", pod("b", "True"));
    script.says("GET /api/v1/namespaces/x/pods/a/log", 200, "watching Node: no answer\n", 1);
    let reasons = ready::reasons(&script.server(), "x", "app=agent").await.unwrap();
    let expected =
        "Pod `x/a` is not ready: not Ready: ContainersNotReady; its last lines: watching Node: no answer";
    assert_eq!(reasons, [expected]);
}

#[tokio::test]
async fn an_image_that_is_nowhere_is_named() {
    let script = Script::default();
    let waiting =
        json!({ "reason": "ErrImageNeverPull", "message": "Container image \"egret:x\" is not present" });
    let status = json!({ "containerStatuses": [{
        "name": "pod", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": { "waiting": waiting },
    }] });
    script.holds("/api/v1/namespaces/x/pods/a", pod(&status));
    let error = ready::wait(&script.server(), &one_pod(), &BTreeSet::new()).await.unwrap_err().to_string();
    assert!(error.contains("Pod `x/a` cannot start: ErrImageNeverPull"), "{error}");
    assert!(error.contains("egret image build"), "{error}");
}

#[tokio::test]
async fn a_pod_that_no_node_takes_says_why() {
    let script = Script::default();
    let message = "0/2 nodes are available: 2 Insufficient cpu.";
    let status = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": message }] });
    script.holds("/api/v1/namespaces/x/pods/a", pod(&status));
    let soon = std::time::Duration::from_millis(20);
    let error = ready::wait_for(&script.server(), &one_pod(), &BTreeSet::new(), soon).await.unwrap_err();
    assert_eq!(error.to_string(), format!("Pod `x/a` is not ready: {message}"));
}

fn policies(text: &str) -> PolicyLocations {
    let object = crate::yaml::manifests(&Source::new("p.yaml", text)).unwrap().remove(0);
    let id = PolicyId { kind: "NetworkPolicy".into(), namespace: Some("x".into()), name: "deny".into() };
    PolicyLocations::new(BTreeMap::from([(id, object)]))
}

const DENY: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
                    metadata: { name: deny, namespace: x }\nspec: { podSelector: {} }\n";
const DENY_PATH: &str = "/apis/networking.k8s.io/v1/namespaces/x/networkpolicies/deny";

#[tokio::test]
async fn policies_are_applied_as_they_are_written() {
    let script = Script::default();
    let server = script.server();
    let (mut applied, naming) = (Policies::default(), Naming::default());
    let changes = applied.reconcile(&server, &naming, &policies(DENY)).await.unwrap();
    assert_eq!(changes.versions, BTreeMap::from([("NetworkPolicy/x/deny".to_owned(), "1".to_owned())]));
    let asked = script.asked();
    let apply = asked.iter().find(|asked| asked.line.starts_with("PATCH")).unwrap();
    assert_eq!(apply.line, format!("PATCH {DENY_PATH}"));
    for part in ["fieldManager=egret", "force=true", "fieldValidation=Strict"] {
        assert!(apply.query.contains(part), "{}", apply.query);
    }
    assert_eq!(apply.body["spec"], json!({ "podSelector": {} }));
    let again = applied.reconcile(&server, &naming, &policies(DENY)).await.unwrap();
    assert!(again.is_empty(), "what is there already is not applied again");
    let gone = applied.reconcile(&server, &naming, &PolicyLocations::default()).await.unwrap();
    assert_eq!(gone.versions, BTreeMap::from([("NetworkPolicy/x/deny".to_owned(), String::new())]));
    assert!(script.there().is_empty());
}

#[tokio::test]
async fn a_policy_of_others_is_not_overwritten() {
    let script = Script::default();
    let theirs = json!({ "metadata": { "name": "deny", "namespace": "x" }, "spec": {} });
    script.holds(DENY_PATH, theirs.clone());
    let error = Policies::default().reconcile(&script.server(), &Naming::default(), &policies(DENY)).await;
    let error = error.err().unwrap().to_string();
    assert_eq!(error, "NetworkPolicy `x/deny` is there already and this run did not make it");
    assert_eq!(script.object(DENY_PATH), theirs);
}

#[tokio::test]
async fn what_a_killed_run_left_is_found_and_removed() {
    let script = Script::default();
    let label = |run: &str, process: u32| {
        json!({ "egret.dev/run": run, "egret.dev/host": super::super::object::host(),
                "egret.dev/process": process.to_string() })
    };
    // No process has the number 0, and this one lives.
    let dead = label("dead", 0);
    script.holds(&format!("{NAMESPACES}/t"), json!({ "metadata": { "name": "t", "labels": dead } }));
    let pod = json!({ "metadata": { "name": "p", "namespace": "t", "labels": dead } });
    script.holds(&format!("{NAMESPACES}/t/pods/p"), pod);
    let policy = json!({ "metadata": { "name": "deny", "namespace": "x", "labels": dead } });
    script.holds(DENY_PATH, policy);
    let alive = label("alive", std::process::id());
    script.holds(&format!("{NAMESPACES}/u"), json!({ "metadata": { "name": "u", "labels": alive } }));

    let server = script.server();
    let left = clean::left(&server).await.unwrap();
    let found: Vec<_> = left.iter().map(|left| (left.run.as_str(), left.alive, left.objects)).collect();
    assert_eq!(found, [("alive", true, 1), ("dead", false, 3)]);
    clean::remove(&server, "egret.dev/run=dead").await.unwrap();
    assert_eq!(script.there(), [format!("{NAMESPACES}/u")]);
    assert_eq!(script.count(&format!("DELETE {NAMESPACES}/t/pods/p")), 0, "it goes with its namespace");
}
