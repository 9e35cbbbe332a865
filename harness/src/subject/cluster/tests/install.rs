//! What `egret kind up` applies, by what the cluster has.

use serde_json::{Value, json};

use super::script::Script;
use crate::subject::cluster::kind::install;

const AGENT: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/egret";
const PROXY: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy";
const API_SERVER: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";

/// Values of the agent's environment that are written out.
fn environment(script: &Script) -> Vec<(String, String)> {
    let container = script.object(AGENT)["spec"]["template"]["spec"]["containers"][0].clone();
    assert_eq!(container["image"], "egret:1");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = container["env"].as_array().into_iter().flatten();
    all.filter(|one| one["value"].is_string()).map(|one| (text(&one["name"]), text(&one["value"]))).collect()
}

fn slice() -> Value {
    json!({
        "metadata": { "name": "kubernetes", "namespace": "default" },
        "endpoints": [{ "addresses": ["172.18.0.3"], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "port": 6443, "protocol": "TCP" }],
    })
}

#[tokio::test]
async fn agents_find_the_api_server_through_kube_proxy() {
    let script = Script::default();
    script.holds(PROXY, json!({ "metadata": { "name": "kube-proxy" } })).holds(API_SERVER, slice());
    let objects = install::apply(&script.server(), "egret:1").await.unwrap();
    assert_eq!(objects, 8);
    assert_eq!(environment(&script), []);
}

#[tokio::test]
async fn without_kube_proxy_agents_are_told_where_the_api_server_is() {
    let script = Script::default();
    script.holds(API_SERVER, slice());
    install::apply(&script.server(), "egret:1").await.unwrap();
    let expected = [("KUBERNETES_SERVICE_HOST", "172.18.0.3"), ("KUBERNETES_SERVICE_PORT", "6443")];
    assert_eq!(environment(&script), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn without_either_nothing_is_applied() {
    let script = Script::default();
    let error = install::apply(&script.server(), "egret:1").await.unwrap_err().to_string();
    assert!(error.starts_with("there is no kube-proxy, and "), "{error}");
    assert_eq!(script.there(), Vec::<String>::new());
}
