//! Waits until the cluster's EndpointSlices say what pods are behind each service: a controller writes them some time
//! after the pods are ready, and until then a service leads nowhere or to pods that are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use egret_core::world::World;
use kube::api::DynamicObject;

use super::changes::Changes;
use super::error::ClusterError;
use super::object::{Key, Kind};
use super::pace::Pace;
use super::ready::Pods;
use super::server::Server;
use super::shape::{Shape, is_clusters_own_service};

/// How long the controller may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks.
const PACE: Duration = Duration::from_millis(50);
/// Label with the service that a slice belongs to.
const SERVICE: &str = "kubernetes.io/service-name";

/// Waits until every service of a world leads to its ready pods and to nobody else; the slices that say so.
///
/// # Errors
/// A service does not, in time.
pub(super) async fn wait(
    server: &Server,
    shape: &Shape<'_>,
    pods: &Pods,
    world: &World,
) -> Result<Changes, ClusterError> {
    let mut changes = Changes::default();
    for (name, service) in world.services.iter().filter(|(name, _)| !is_clusters_own_service(name)) {
        let Some(selector) = &service.selector else { continue };
        let key = shape.key(Kind::Service, name);
        let namespace = key.namespace.as_deref();
        let is_behind = |pod: &Key| {
            let labels = pods.get(pod).and_then(|pod| pod.metadata.labels.as_ref());
            let has = |key: &str, value: &str| {
                labels.is_some_and(|labels| labels.get(key).is_some_and(|there| there == value))
            };
            pod.namespace.as_deref() == namespace && selector.iter().all(|(key, value)| has(key, value))
        };
        let wanted: Vec<BTreeSet<String>> =
            pods.iter().filter(|(pod, _)| is_behind(pod)).map(|(_, pod)| addresses(pod)).collect();
        let mut pace = Pace::new(PACE, LIMIT);
        loop {
            let slices = slices(server, namespace.unwrap_or_default(), &key.name).await?;
            if is_current(&slices, &wanted) {
                for slice in &slices {
                    let name = slice.metadata.name.as_deref().unwrap_or_default();
                    changes.there(&Key::new(Kind::EndpointSlice, namespace, name), slice);
                }
                break;
            }
            if !pace.next().await {
                return Err(ClusterError::Slow {
                    what: format!("leading {key} to its pods"),
                    seconds: LIMIT.as_secs(),
                });
            }
        }
    }
    Ok(changes)
}

/// What the cluster says is behind a service.
pub(super) async fn slices(
    server: &Server,
    namespace: &str,
    service: &str,
) -> Result<Vec<DynamicObject>, ClusterError> {
    server.list(Kind::EndpointSlice, Some(namespace), &format!("{SERVICE}={service}")).await
}

fn addresses(pod: &k8s_openapi::api::core::v1::Pod) -> BTreeSet<String> {
    let ips = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    ips.map(|ip| ip.ip.clone()).collect()
}

/// Whether every pod is there with one of its addresses, and nobody else is.
pub(super) fn is_current(slices: &[DynamicObject], wanted: &[BTreeSet<String>]) -> bool {
    let endpoints = slices.iter().flat_map(|slice| slice.data["endpoints"].as_array().into_iter().flatten());
    // No word on readiness is as good as yes (discovery.k8s.io/v1, EndpointConditions).
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != false);
    let there: BTreeSet<&str> = ready
        .flat_map(|endpoint| endpoint["addresses"].as_array().into_iter().flatten())
        .filter_map(|address| address.as_str())
        .collect();
    wanted.iter().all(|pod| pod.iter().any(|address| there.contains(address.as_str())))
        && there.iter().all(|address| wanted.iter().any(|pod| pod.contains(*address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn slice(endpoints: Value) -> DynamicObject {
        let text = json!({ "metadata": { "name": "s-1" }, "endpoints": endpoints });
        serde_json::from_value(text).unwrap()
    }

    #[rstest]
    #[case::nobody_yet(json!([]), false)]
    #[case::no_list(json!(null), false)]
    #[case::one_of_two(json!([{ "addresses": ["10.0.0.1"] }]), false)]
    #[case::both(json!([{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"], "conditions": { "ready": true } }]), true)]
    #[case::not_ready(json!([{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"], "conditions": { "ready": false } }]), false)]
    #[case::one_that_is_gone(json!([{ "addresses": ["10.0.0.1"] }, { "addresses": ["10.0.0.2"] }, { "addresses": ["10.0.0.3"] }]), false)]
    fn slices_and_pods(#[case] endpoints: Value, #[case] current: bool) {
        let wanted = [["10.0.0.1", "fd00::1"], ["10.0.0.2", "fd00::2"]];
        let wanted: Vec<BTreeSet<String>> =
            wanted.iter().map(|pod| pod.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(is_current(&[slice(endpoints)], &wanted), current);
    }

    #[test]
    fn a_service_of_nobody_needs_no_slice() {
        assert!(is_current(&[], &[]));
    }
}
