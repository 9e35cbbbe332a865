//! Whether a cluster is new enough, who asks, and what they may.

use serde_json::json;

use super::script::Script;
use crate::subject::SubjectError;
use crate::subject::cluster::access;

pub(super) fn version(minor: &str) -> serde_json::Value {
    json!({
        "major": "1", "minor": minor, "gitVersion": format!("v1.{minor}.0"), "gitCommit": "",
        "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
    })
}

pub(super) fn review(allowed: bool) -> serde_json::Value {
    json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "metadata": {}, "spec": {}, "status": { "allowed": allowed },
    })
}

pub(super) const REVIEWS: &str = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

#[tokio::test]
async fn every_missing_right_is_named_at_once() {
    let script = Script::default();
    script.says("GET /version", 200, version("34"), 1);
    // In the order in which the rights are asked for: the first and the third are missing.
    script.says(REVIEWS, 201, review(false), 1).says(REVIEWS, 201, review(true), 1);
    script.says(REVIEWS, 201, review(false), 1).says(REVIEWS, 201, review(true), 99);
    let error = access::check(&script.client()).await.unwrap_err();
    assert_eq!(error.to_string(), "the kubeconfig's user may not create namespaces, list namespaces");
    let SubjectError::Environment { advice, .. } = error.of_subject("cluster", "connect") else {
        panic!("rights are the environment's");
    };
    assert!(advice.contains("administrator"), "{advice}");
}

#[tokio::test]
async fn an_old_cluster_is_refused_and_a_vendors_minor_is_read() {
    let script = Script::default();
    script.says("GET /version", 200, version("26+"), 1);
    let error = access::check(&script.client()).await.unwrap_err().to_string();
    assert_eq!(error, "the cluster is v1.26+.0, and older than 1.27");
    script.says("GET /version", 200, version("27+"), 1).says(REVIEWS, 201, review(true), 99);
    assert_eq!(access::check(&script.client()).await.unwrap(), "v1.27+.0");
}

#[tokio::test]
async fn credentials_that_have_expired_are_said_to_be() {
    let script = Script::default();
    script.refuses("GET /version", 401, "Unauthorized", "Unauthorized");
    let error = access::check(&script.client()).await.unwrap_err();
    assert_eq!(error.to_string(), "the API server takes none of the kubeconfig's credentials: Unauthorized");
}
