//! The cluster's own DNS server for the time of a run: names outside the cluster are asked for at the run's Internet.
//!
//! The configuration as it was stands in an annotation beside the changed one, under the run's labels, so that whoever
//! cleans up after a killed run can put it back. CoreDNS takes up to two minutes to read a changed ConfigMap by itself
//! (the kubelet's sync, then the `reload` plugin's interval), so its pods are made anew.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use kube::api::DynamicObject;
use serde_json::json;

use super::backends;
use super::changes::Changes;
use super::clean;
use super::corefile;
use super::error::ClusterError;
use super::object::{Key, Kind};
use super::pace::Pace;
use super::server::Server;

/// Annotation with the configuration as it was.
const ORIGINAL: &str = "egret.dev/corefile";
/// Where the DNS server is.
const NAMESPACE: &str = "kube-system";
/// The label of its pods.
const LABEL: &str = "k8s-app=kube-dns";
/// Its service.
const SERVICE: &str = "kube-dns";
/// How long its pods may take to come back: the kubelet asks whether they are ready every ten seconds.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks.
const PACE: Duration = Duration::from_millis(100);

/// The addresses under which pods ask the DNS server; none where the cluster has none of this name.
///
/// # Errors
/// The API server refuses.
pub(super) async fn asked_at(server: &Server) -> Result<Vec<IpAddr>, ClusterError> {
    let there = server.get(&Key::new(Kind::Service, Some(NAMESPACE), SERVICE)).await?;
    let addresses = there.as_ref().and_then(|service| service.data["spec"]["clusterIPs"].as_array());
    Ok(addresses.into_iter().flatten().filter_map(|address| address.as_str()?.parse().ok()).collect())
}

fn config() -> Key {
    Key::new(Kind::ConfigMap, Some(NAMESPACE), "coredns")
}

/// Has the DNS server ask `authority` for every name outside the cluster, once its pods are new: [`restarted`].
///
/// # Errors
/// There is no CoreDNS, or another run that is alive has changed it.
pub(super) async fn lead_to(server: &Server, authority: IpAddr) -> Result<(), ClusterError> {
    let key = config();
    let there = server.get(&key).await?;
    let there =
        there.ok_or_else(|| ClusterError::Missing(format!("the cluster has no {key} of CoreDNS's")))?;
    if let Some(owner) = clean::owner(&there)
        && owner.run != server.run.id
        && owner.alive
    {
        let run = owner.run;
        return Err(ClusterError::Missing(format!(
            "{key} is led to the Internet of another run, {run}: wait until that has ended, or end it with \
             `egret clean --subject cluster --run {run}`"
        )));
    }
    let original = original(&there).or_else(|| there.data["data"]["Corefile"].as_str());
    let original = original.unwrap_or_default();
    let changed = corefile::forwarding_to(original, authority).ok_or_else(|| {
        ClusterError::Missing(format!(
            "{key} has no line `forward . …` in its Corefile, which a run could lead to its Internet"
        ))
    })?;
    let mut change = json!({
        "metadata": { "annotations": { ORIGINAL: original } },
        "data": { "Corefile": changed },
    });
    server.run.mark(&mut change);
    server.merge(&key, &change).await.map(drop)
}

/// Makes the DNS server's pods anew and returns when they are ready, with what agents must have seen before they know
/// them.
///
/// # Errors
/// They do not come back.
pub(super) async fn restarted(server: &Server) -> Result<Changes, ClusterError> {
    restart(server).await?;
    ready(server).await
}

/// Puts the configuration back that runs with these labels have changed; whether there was any. The DNS server's pods
/// are made anew and not waited for.
///
/// # Errors
/// The API server refuses.
pub(super) async fn put_back(server: &Server, selector: &str) -> Result<bool, ClusterError> {
    let key = config();
    let changed = server.list(Kind::ConfigMap, Some(NAMESPACE), selector).await?;
    let Some(there) = changed.iter().find(|there| there.metadata.name.as_deref() == Some(&key.name)) else {
        return Ok(false);
    };
    let mut change = json!({ "metadata": { "annotations": { ORIGINAL: null } } });
    server.run.unmark(&mut change);
    if let Some(original) = original(there) {
        change["data"] = json!({ "Corefile": original });
    }
    server.merge(&key, &change).await?;
    restart(server).await?;
    Ok(true)
}

fn original(config: &DynamicObject) -> Option<&str> {
    config.metadata.annotations.as_ref()?.get(ORIGINAL).map(String::as_str)
}

/// The DNS server's pods that are not on their way out.
async fn pods(server: &Server) -> Result<Vec<DynamicObject>, ClusterError> {
    let mut pods = server.list(Kind::Pod, Some(NAMESPACE), LABEL).await?;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(pods)
}

/// Deletes the pods; their controller makes others.
async fn restart(server: &Server) -> Result<(), ClusterError> {
    for pod in pods(server).await? {
        let name = pod.metadata.name.unwrap_or_default();
        server.delete(&Key::new(Kind::Pod, Some(NAMESPACE), &name)).await?;
    }
    Ok(())
}

/// Waits until all pods that ought to be there are ready and alone behind the service.
async fn ready(server: &Server) -> Result<Changes, ClusterError> {
    let deployment = Key::new(Kind::Deployment, Some(NAMESPACE), "coredns");
    let mut pace = Pace::new(PACE, LIMIT);
    loop {
        let set = server.get(&deployment).await?;
        let wanted = set.and_then(|set| set.data["spec"]["replicas"].as_u64()).unwrap_or(1);
        let pods = pods(server).await?;
        let slices = backends::slices(server, NAMESPACE, SERVICE).await?;
        let addresses: Vec<BTreeSet<String>> =
            pods.iter().filter(|pod| is_ready(pod)).map(addresses).collect();
        if u64::try_from(addresses.len()).is_ok_and(|ready| ready == wanted)
            && addresses.len() == pods.len()
            && backends::is_current(&slices, &addresses)
        {
            let mut changes = Changes::default();
            for (kind, objects) in [(Kind::Pod, &pods), (Kind::EndpointSlice, &slices)] {
                for object in objects {
                    let name = object.metadata.name.as_deref().unwrap_or_default();
                    changes.there(&Key::new(kind, Some(NAMESPACE), name), object);
                }
            }
            return Ok(changes);
        }
        if !pace.next().await {
            return Err(ClusterError::Slow {
                what: format!("restarting CoreDNS ({} of {wanted} pods are ready)", addresses.len()),
                seconds: LIMIT.as_secs(),
            });
        }
    }
}

fn is_ready(pod: &DynamicObject) -> bool {
    let conditions = pod.data["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
}

fn addresses(pod: &DynamicObject) -> BTreeSet<String> {
    let ips = pod.data["status"]["podIPs"].as_array();
    ips.into_iter().flatten().filter_map(|ip| ip["ip"].as_str().map(ToOwned::to_owned)).collect()
}
