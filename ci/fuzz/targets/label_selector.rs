//! A label selector selects what its text says, read word by word, or is refused with a path.
#![no_main]

use std::collections::BTreeMap;

use egret::source::Source;
use egret::yaml::documents;
use egret_core::identity::relevant;
use egret_core::rule::{Dialect, Subject};
use egret_core::spec::label_selector::LabelSelector;
use egret_core::spec::network_policy::{NetworkPolicy, NetworkPolicySpec};
use egret_core::spec::{Document, understand};
use egret_core::world::Pod;
use egret_core::{Labels, ObjectName, World};
use libfuzzer_sys::fuzz_target;
use serde::de::DeserializeOwned;

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    documents(&Source::new("any.yaml", text)).ok()?.first()?.read().ok()
}

/// What the API says of the two forms.
fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let labels_match =
        selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressions_match = selector.match_expressions.iter().flatten().all(|expression| {
        let values = expression.values.as_deref().unwrap_or_default();
        let is_listed = labels.get(&expression.key).map(|value| values.contains(value));
        match expression.operator.as_str() {
            "In" => is_listed == Some(true),
            "NotIn" => is_listed != Some(true),
            "Exists" => is_listed.is_some(),
            "DoesNotExist" => is_listed.is_none(),
            other => panic!("`{other}` was not refused"),
        }
    });
    labels_match && expressions_match
}

fuzz_target!(|text: &str| {
    // The first line is the selector, the second the labels of a pod.
    let (selector, labels) = text.split_once('\n').unwrap_or((text, ""));
    let Some(selector) = read::<LabelSelector>(selector) else { return };
    let labels: Labels = read::<BTreeMap<String, String>>(labels).unwrap_or_default();
    let document = Document::NetworkPolicy(NetworkPolicy {
        api_version: "networking.k8s.io/v1".to_owned(),
        kind: "NetworkPolicy".to_owned(),
        metadata: read("{ name: a, namespace: a }").expect("metadata"),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector.clone()),
            ..NetworkPolicySpec::default()
        }),
        status: None,
    });
    match understand(&document) {
        Ok(policy) => {
            let [section] = policy.sections.as_slice() else { panic!("one spec, one section") };
            let name = ObjectName::new("a", "a");
            let pod = Pod { labels: labels.clone(), ..Pod::default() };
            let world =
                World { namespaces: BTreeMap::from([("a".to_owned(), Labels::new())]), ..World::default() };
            let seen = relevant::of_pod(&name, &pod, &world, Dialect::Kubernetes);
            let Subject::Endpoints(subject) = &section.subject else { panic!("pods are selected") };
            assert_eq!(subject.selects(&seen), selects(&selector, &labels), "{selector:?} of {labels:?}");
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in problems {
                assert!(problem.path.starts_with("spec.podSelector"), "{problem}");
            }
        }
    }
});
