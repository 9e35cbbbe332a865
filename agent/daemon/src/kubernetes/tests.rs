//! The watch and the status against a scripted API server.

mod script;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use egret_core::spec::PolicyKind;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::assemble::{Assembled, assemble};
use super::kind::Kind;
use super::status;
use super::watch::Watch;
use script::{Answer, Server};

const CNP: Kind = Kind::Policy(PolicyKind::CiliumNetworkPolicy);
const GROUP: Kind = Kind::Policy(PolicyKind::CiliumCidrGroup);

/// Runs a test as the agent runs: everything on one thread.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limited = async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("in time") };
    LocalSet::new().block_on(&runtime, limited);
}

fn pod(name: &str, version: &str, address: &str) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "default", "uid": format!("uid-{name}"), "resourceVersion": version,
            "labels": { "app": name }, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": { "nodeName": "n1", "containers": [{ "name": "c", "image": "x" }] },
        "status": { "podIPs": [{ "ip": address }] },
    })
}

fn policy(name: &str, version: &str, cidr: &str, status: Value) -> Value {
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy",
        "metadata": {
            "name": name, "namespace": "default", "uid": name, "resourceVersion": version, "generation": 1,
            "managedFields": [{ "manager": "x" }], "generateName": "x-",
        },
        "spec": { "endpointSelector": {}, "egress": [{ "toCIDR": [cidr] }] },
        "status": status,
    })
}

/// Waits until the watch has told what the test waits for.
async fn until(watch: &Watch, is_so: impl Fn(&Assembled) -> bool) -> Assembled {
    let mut changes = watch.changes();
    loop {
        changes.mark_unchanged();
        let assembled = assemble("n1", &watch.parts());
        if watch.is_known() && is_so(&assembled) {
            return assembled;
        }
        changes.changed().await.expect("the watch runs");
    }
}

fn pods(assembled: &Assembled) -> BTreeSet<String> {
    assembled.snapshot.desired.world.pods.keys().map(|name| name.name.clone()).collect()
}

fn are(names: &[&str]) -> impl Fn(&Assembled) -> bool {
    let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    move |assembled| pods(assembled) == names
}

#[test]
fn events_change_the_world() {
    run(async {
        let server = Server::default();
        server.lists(Kind::Pod, [Answer::Objects("10", vec![pod("a", "7", "10.0.0.1")])]);
        let watch = Watch::start(&server.client());
        until(&watch, are(&["a"])).await;
        assert_eq!(server.watched(Kind::Pod, 1).await, "10");
        server.event(Kind::Pod, "ADDED", &pod("b", "11", "10.0.0.2"));
        until(&watch, are(&["a", "b"])).await;
        server.event(Kind::Pod, "MODIFIED", &pod("b", "12", "10.0.0.3"));
        until(&watch, |assembled| {
            let world = &assembled.snapshot.desired.world;
            world.pod_at([10, 0, 0, 3].into()).is_some() && world.pod_at([10, 0, 0, 2].into()).is_none()
        })
        .await;
        server.event(Kind::Pod, "DELETED", &pod("a", "13", "10.0.0.1"));
        until(&watch, are(&["b"])).await;
        // A bookmark moves the place from which a watch that ends goes on, and says nothing else.
        server.event(
            Kind::Pod,
            "BOOKMARK",
            &json!({ "kind": "Pod", "apiVersion": "v1", "metadata": { "resourceVersion": "99" } }),
        );
        server.end(Kind::Pod);
        assert_eq!(server.watched(Kind::Pod, 2).await, "99");
        assert!(are(&["b"])(&assemble("n1", &watch.parts())));
    });
}

#[test]
fn a_list_after_410_drops_what_is_gone() {
    run(async {
        let server = Server::default();
        let both = vec![pod("a", "7", "10.0.0.1"), pod("b", "8", "10.0.0.2")];
        let one = vec![pod("b", "8", "10.0.0.2"), pod("c", "20", "10.0.0.3")];
        server.lists(Kind::Pod, [Answer::Objects("10", both), Answer::Objects("30", one)]);
        let watch = Watch::start(&server.client());
        until(&watch, are(&["a", "b"])).await;
        server.watched(Kind::Pod, 1).await;
        server.event(Kind::Pod, "ERROR", &script::status(410, &Value::Null));
        let seen = until(&watch, |assembled| !are(&["a", "b"])(assembled)).await;
        // The old state holds until the new one is whole: nobody ever sees half a list.
        assert_eq!(pods(&seen), ["b", "c"].map(str::to_owned).into());
        assert_eq!(server.watched(Kind::Pod, 2).await, "30");
    });
}

#[test]
fn failing_and_throttled_requests_are_tried_again() {
    run(async {
        let server = Server::default();
        server.lists(
            Kind::Pod,
            [
                Answer::Error(500, Value::Null),
                Answer::Broken,
                Answer::Error(429, json!({ "retryAfterSeconds": 0 })),
                Answer::Objects("10", vec![pod("a", "7", "10.0.0.1")]),
            ],
        );
        let watch = Watch::start(&server.client());
        let mut problems = BTreeSet::new();
        let mut changes = watch.changes();
        while !watch.is_known() {
            changes.changed().await.expect("the watch runs");
            problems.extend(watch.health()[&Kind::Pod].problem.clone());
        }
        assert!(problems.contains("scripted 500 (500)"), "{problems:?}");
        assert!(problems.contains("scripted 429 (429)"), "{problems:?}");
        assert_eq!(watch.health()[&Kind::Pod].problem, None);
        assert_eq!(pods(&assemble("n1", &watch.parts())), ["a".to_owned()].into());
    });
}

#[test]
fn what_was_known_stays_while_the_server_is_away() {
    run(async {
        let server = Server::default();
        let list = || Answer::Objects("10", vec![pod("a", "7", "10.0.0.1")]);
        server.lists(Kind::Pod, [list(), Answer::Error(503, Value::Null), Answer::Broken, list()]);
        let watch = Watch::start(&server.client());
        until(&watch, are(&["a"])).await;
        server.watched(Kind::Pod, 1).await;
        server.event(Kind::Pod, "ERROR", &script::status(410, &Value::Null));
        let mut changes = watch.changes();
        let mut problems = 0;
        while problems == 0 || watch.health()[&Kind::Pod].problem.is_some() {
            changes.changed().await.expect("the watch runs");
            problems += usize::from(watch.health()[&Kind::Pod].problem.is_some());
            assert!(watch.is_known());
            assert!(are(&["a"])(&assemble("n1", &watch.parts())));
        }
    });
}

#[test]
fn nothing_is_known_before_every_kind_was_told() {
    run(async {
        let server = Server::default();
        let (say, when) = oneshot::channel();
        server.lists(Kind::Service, [Answer::Late(when, Box::new(Answer::Objects("10", Vec::new())))]);
        server.lists(Kind::Pod, [Answer::Objects("10", vec![pod("a", "7", "10.0.0.1")])]);
        let watch = Watch::start(&server.client());
        for kind in Kind::WATCHED.into_iter().filter(|kind| *kind != Kind::Service) {
            server.watched(kind, 1).await;
        }
        assert!(!watch.is_known());
        say.send(()).expect("the list waits");
        until(&watch, are(&["a"])).await;
    });
}

#[test]
fn kinds_may_be_absent_and_appear() {
    run(async {
        let server = Server::default();
        let group = json!({
            "metadata": { "name": "g", "uid": "g", "resourceVersion": "12" },
            "spec": { "externalCIDRs": ["192.0.2.0/24"] },
        });
        server.lists(
            GROUP,
            [
                Answer::Error(404, Value::Null),
                Answer::Error(404, Value::Null),
                Answer::Objects("20", vec![group]),
            ],
        );
        let watch = Watch::start(&server.client());
        until(&watch, |_| true).await;
        assert!(watch.health()[&GROUP].is_absent);
        let found = until(&watch, |assembled| !assembled.versions.is_empty()).await;
        assert_eq!(found.versions, [("CiliumCIDRGroup//g".to_owned(), "12".to_owned())].into());
        assert!(!watch.health()[&GROUP].is_absent);
    });
}

#[test]
fn wrong_policies_are_told_and_not_in_force() {
    run(async {
        let server = Server::default();
        let right = policy("right", "7", "192.0.2.0/24", Value::Null);
        let wrong = policy(
            "wrong",
            "8",
            "192.0.2.0/99",
            json!({ "conditions": [{ "type": "Other", "status": "True" }] }),
        );
        server.lists(CNP, [Answer::Objects("10", vec![right, wrong])]);
        // The first write comes too early, the second is of an old version.
        server
            .writes([Answer::Error(429, json!({ "retryAfterSeconds": 0 })), Answer::Error(409, Value::Null)]);
        let watch = Rc::new(Watch::start(&server.client()));
        let assembled = until(&watch, |_| true).await;
        assert_eq!(assembled.versions.keys().collect::<Vec<_>>(), ["CiliumNetworkPolicy/default/right"]);
        let problem = assembled.invalid["CiliumNetworkPolicy/default/wrong"].clone();
        assert!(problem.starts_with("`spec.egress[0].toCIDR[0]`: "), "{problem}");

        let (client, watched) = (server.client(), Rc::clone(&watch));
        tokio::task::spawn_local(async move { status::run(client, &watched).await });
        let mut told = BTreeSet::new();
        for count in 1..=3 {
            let (path, body) = server.written(count).await;
            let condition = body.pointer("/status/conditions").and_then(Value::as_array).expect("conditions");
            let valid = condition.last().expect("one");
            assert_eq!(valid["type"], "Valid");
            assert!(valid["lastTransitionTime"].as_str().is_some_and(|time| time.ends_with('Z')));
            if path.ends_with("/default/ciliumnetworkpolicies/wrong/status") {
                assert_eq!((&body["metadata"]["resourceVersion"], condition.len()), (&json!("8"), 2));
                assert_eq!((&valid["status"], &valid["message"]), (&json!("False"), &json!(problem)));
                told.insert("wrong");
            } else {
                assert!(path.ends_with("/default/ciliumnetworkpolicies/right/status"), "{path}");
                assert_eq!(valid["status"], "True");
                told.insert("right");
            }
        }
        assert_eq!(told.len(), 2);

        // What the watch then tells is as it should be: nothing more is written.
        let conditions = |name: &str, status: &str, message: &str| {
            let cidr = if name == "right" { "192.0.2.0/24" } else { "192.0.2.0/99" };
            let conditions =
                json!({ "conditions": [{ "type": "Valid", "status": status, "message": message }] });
            policy(name, "40", cidr, conditions)
        };
        server.event(CNP, "MODIFIED", &conditions("wrong", "False", &problem));
        server.event(CNP, "MODIFIED", &conditions("right", "True", "Policy validation succeeded"));
        until(&watch, |assembled| assembled.versions.values().all(|version| version == "40")).await;
        let so_far = server.writes_so_far();
        // A policy that becomes right is told so, and this write says that everything before it is over.
        server.event(CNP, "MODIFIED", &policy("wrong", "41", "192.0.2.0/24", Value::Null));
        let (path, body) = server.written(so_far + 1).await;
        assert!(path.ends_with("/wrong/status"), "{path}");
        assert_eq!(body["metadata"]["resourceVersion"], "41");
        assert_eq!(body.pointer("/status/conditions/0/status"), Some(&json!("True")));
    });
}
