//! Waits until pods are ready with addresses, or gone, and says of those that do not come why.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::Api;
use kube::api::{ListParams, LogParams, WatchEvent, WatchParams};

use super::error::ClusterError;
use super::object::Key;
use super::server::Server;

/// How long pods may take; images are on the nodes, so nothing is loaded meanwhile.
const LIMIT: Duration = Duration::from_secs(90);

/// What a container that will not come by waiting is waiting for, in the kubelet's words.
const HOPELESS: [&str; 7] = [
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "CrashLoopBackOff",
];

/// Pods of the run by key, as they are when the wait ends.
pub(super) type Pods = BTreeMap<Key, Pod>;

/// Waits until the pods in `ready` are ready and have addresses, and those in `gone` are no more.
///
/// # Errors
/// A pod cannot become ready, with the kubelet's or the scheduler's reason; or the time is over.
pub(super) async fn wait(
    server: &Server,
    ready: &BTreeSet<Key>,
    gone: &BTreeSet<Key>,
) -> Result<Pods, ClusterError> {
    wait_for(server, ready, gone, LIMIT).await
}

/// The same with a time of the caller's.
pub(super) async fn wait_for(
    server: &Server,
    ready: &BTreeSet<Key>,
    gone: &BTreeSet<Key>,
    limit: Duration,
) -> Result<Pods, ClusterError> {
    let mut pods = Pods::new();
    let waited = tokio::time::timeout(limit, watch(server, ready, gone, &mut pods)).await;
    match waited {
        Ok(ended) => ended.map(|()| pods),
        Err(_) => {
            let late = ready.iter().filter(|key| !pods.get(*key).is_some_and(is_ready));
            let mut reasons: Vec<String> =
                late.map(|key| format!("{key} is not ready: {}", state_of(pods.get(key)))).collect();
            let there = gone.iter().filter(|key| pods.contains_key(*key));
            reasons.extend(there.map(|key| format!("{key} does not go")));
            Err(ClusterError::NotReady(reasons))
        }
    }
}

/// Looks at pods with these labels.
///
/// # Errors
/// One of them cannot start, with the kubelet's reason.
pub(super) async fn can_start(server: &Server, namespace: &str, labels: &str) -> Result<(), ClusterError> {
    let pods = labelled(server, namespace, labels).await?;
    hopeless(server, pods.keys(), &pods).await
}

/// Why pods with these labels are not ready, as far as their status and their logs say.
pub(super) async fn reasons(
    server: &Server,
    namespace: &str,
    labels: &str,
) -> Result<Vec<String>, ClusterError> {
    let pods = labelled(server, namespace, labels).await?;
    let mut reasons = Vec::new();
    for (key, pod) in pods.iter().filter(|(_, pod)| !is_ready(pod)) {
        let log = last_words(server, key, Life::This).await;
        reasons.push(format!("{key} is not ready: {}; {log}", state_of(Some(pod))));
    }
    Ok(reasons)
}

async fn labelled(server: &Server, namespace: &str, labels: &str) -> Result<Pods, ClusterError> {
    let api: Api<Pod> = Api::namespaced(server.client.clone(), namespace);
    let list = api.list(&ListParams::default().labels(labels)).await;
    let list = list.map_err(|error| ClusterError::of("list pods", error))?;
    Ok(list.items.into_iter().filter_map(|pod| Some((key_of(&pod)?, pod))).collect())
}

/// Lists, then follows; a watch that ends or has fallen behind (410 Gone) starts again from a new list.
async fn watch(
    server: &Server,
    ready: &BTreeSet<Key>,
    gone: &BTreeSet<Key>,
    pods: &mut Pods,
) -> Result<(), ClusterError> {
    let api: Api<Pod> = Api::all(server.client.clone());
    let selector = server.run.selector();
    loop {
        let parameters = ListParams::default().labels(&selector);
        let list = api.list(&parameters).await.map_err(|error| ClusterError::of("list pods", error))?;
        *pods = list.items.into_iter().filter_map(|pod| Some((key_of(&pod)?, pod))).collect();
        if is_done(server, ready, gone, pods).await? {
            return Ok(());
        }
        let from = list.metadata.resource_version.unwrap_or_default();
        let parameters = WatchParams::default().labels(&selector);
        let events = api.watch(&parameters, &from).await;
        let mut events = pin!(events.map_err(|error| ClusterError::of("watch pods", error))?);
        while let Some(event) = events.next().await {
            match event {
                Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) => {
                    pods.extend(key_of(&pod).map(|key| (key, pod)));
                }
                Ok(WatchEvent::Deleted(pod)) => {
                    key_of(&pod).map(|key| pods.remove(&key));
                }
                Ok(WatchEvent::Bookmark(_)) => {}
                Ok(WatchEvent::Error(_)) | Err(_) => break,
            }
            if is_done(server, ready, gone, pods).await? {
                return Ok(());
            }
        }
    }
}

async fn is_done(
    server: &Server,
    ready: &BTreeSet<Key>,
    gone: &BTreeSet<Key>,
    pods: &Pods,
) -> Result<bool, ClusterError> {
    hopeless(server, ready.iter(), pods).await?;
    let ready = ready.iter().all(|key| pods.get(key).is_some_and(is_ready));
    Ok(ready && gone.iter().all(|key| !pods.contains_key(key)))
}

/// An error when one of these pods will not start by waiting.
async fn hopeless(
    server: &Server,
    keys: impl Iterator<Item = &Key>,
    pods: &Pods,
) -> Result<(), ClusterError> {
    let mut hopeless = Vec::new();
    for key in keys {
        if let Some((reason, text)) = pods.get(key).and_then(hopeless_reason) {
            let log = match reason {
                "CrashLoopBackOff" => format!("; {}", last_words(server, key, Life::Before).await),
                _ => String::new(),
            };
            hopeless.push(format!("{key} cannot start: {text}{log}"));
        }
    }
    if hopeless.is_empty() { Ok(()) } else { Err(ClusterError::NotReady(hopeless)) }
}

fn key_of(pod: &Pod) -> Option<Key> {
    let namespace = pod.metadata.namespace.as_deref()?;
    Some(Key::new(super::object::Kind::Pod, Some(namespace), pod.metadata.name.as_deref()?))
}

/// Whether it is ready, has an address, and is not on its way out.
fn is_ready(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && status.pod_ip.is_some() && pod.metadata.deletion_timestamp.is_none()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// Why a container will not start, as the kubelet's word and sentence.
fn hopeless_reason(pod: &Pod) -> Option<(&str, String)> {
    containers(pod).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref()?;
        if !HOPELESS.contains(&reason) {
            return None;
        }
        let message = waiting.message.as_deref().unwrap_or("no message");
        let help = match reason {
            "ErrImageNeverPull" => {
                "; the image is in no registry and has to be on the node: `egret kind up` loads it, \
                 elsewhere load the output of `egret image build` into the nodes and name it with --image"
            }
            _ => "",
        };
        Some((reason, format!("{reason}: {message}{help}")))
    })
}

/// What keeps a pod, as far as its status says.
fn state_of(pod: Option<&Pod>) -> String {
    let Some(pod) = pod else { return "nobody has made it".into() };
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let unscheduled = conditions.clone().find(|it| it.type_ == "PodScheduled" && it.status != "True");
    if let Some(condition) = unscheduled {
        return condition.message.clone().unwrap_or_else(|| "no node was found for it".into());
    }
    let waiting = containers(pod).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        Some(format!("{} {}", waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default()))
    });
    waiting.unwrap_or_else(|| {
        let not_true = conditions.filter(|condition| condition.status != "True");
        let texts: Vec<String> = not_true
            .map(|it| {
                format!("not {}: {}", it.type_, it.message.as_deref().or(it.reason.as_deref()).unwrap_or(""))
            })
            .collect();
        if texts.is_empty() { "its status says nothing yet".into() } else { texts.join(", ") }
    })
}

/// Which life of a container that starts again and again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    This,
    Before,
}

/// The end of a container's log.
async fn last_words(server: &Server, key: &Key, life: Life) -> String {
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(server.client.clone(), namespace);
    let previous = life == Life::Before;
    let parameters = LogParams { tail_lines: Some(5), previous, ..LogParams::default() };
    match api.logs(&key.name, &parameters).await {
        Ok(log) => format!("its last lines: {}", log.trim().replace('\n', " | ")),
        Err(error) => format!("its log could not be read: {error}"),
    }
}
