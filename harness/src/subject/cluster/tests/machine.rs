//! What `egret doctor` says of an API server.

use std::time::Duration;

use super::access::{REVIEWS, review, version};
use super::script::Script;
use crate::subject::cluster::machine;

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test]
async fn an_api_server_that_will_do_says_its_version() {
    let script = Script::default();
    script.says("GET /version", 200, version("34"), 1).says(REVIEWS, 201, review(true), 99);
    let found = machine::answers(&script.client(), LIMIT).await.unwrap();
    assert_eq!(found, "v1.34.0; the user may do all that a run does: `egret test --subject cluster`");
}

#[tokio::test]
async fn rights_that_are_missing_are_named() {
    let script = Script::default();
    script.says("GET /version", 200, version("34"), 1).says(REVIEWS, 201, review(false), 99);
    let error = machine::answers(&script.client(), LIMIT).await.unwrap_err().to_string();
    assert!(
        error.starts_with("the kubeconfig's user may not create namespaces, delete namespaces"),
        "{error}"
    );
    assert!(error.contains("create pods/exec"), "{error}");
}

#[tokio::test]
async fn nobody_waits_for_a_dead_one() {
    let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<kube::client::Body>, kube::Error>>()
    });
    let client = kube::Client::new(silent, "default");
    let error = machine::answers(&client, Duration::ZERO).await.unwrap_err().to_string();
    assert_eq!(error, "ask for the version: the API server did not answer: no answer within 0 s");
}
