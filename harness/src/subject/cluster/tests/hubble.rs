//! Whether there is a Hubble to read.

use serde_json::json;

use super::script::Script;
use crate::subject::cluster::hubble::Found;

#[tokio::test]
async fn where_it_is_not_the_run_says_which_of_the_two() {
    let script = Script::default();
    let found = Found::look(&script.server()).await.unwrap();
    assert_eq!(found.note(), "what its plugin decides, and why, is not observed");
    let pod = json!({ "metadata": { "name": "cilium-1", "labels": { "k8s-app": "cilium" } } });
    script.holds("/api/v1/namespaces/kube-system/pods/cilium-1", pod);
    // The scripted API server has no commands in pods.
    let found = Found::look(&script.server()).await.unwrap();
    assert!(matches!(found, Found::Silent(_)), "{found:?}");
    assert!(found.note().starts_with("Cilium's Hubble does not answer ("), "{}", found.note());
}
