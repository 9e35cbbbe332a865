//! The manifests of `kind/` in a cluster, and pods that were there before the agents.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;
use serde_json::Value;

use crate::crds;
use crate::subject::cluster::error::ClusterError;
use crate::subject::cluster::object::{Key, Kind, MANAGER};
use crate::subject::cluster::server::Server;

const ACCOUNT: &str = include_str!("../../../../../kind/account.yaml");
const AGENT: &str = include_str!("../../../../../kind/agent.yaml");

/// Applies the definitions, the account and the agents with this image; how many objects that was.
pub(super) async fn apply(server: &Server, image: &str) -> Result<usize, ClusterError> {
    let objects = objects(image)?;
    for object in &objects {
        apply_one(server, object).await?;
    }
    Ok(objects.len())
}

/// Every object, in the order in which it is applied.
pub(super) fn objects(image: &str) -> Result<Vec<Value>, ClusterError> {
    let invalid = |error: serde_yaml::Error| ClusterError::Manifest(error.to_string());
    let mut objects = Vec::new();
    let texts = crds::files().into_iter().map(|(_, text)| text);
    for text in texts.chain([ACCOUNT.to_owned(), AGENT.to_owned()]) {
        for document in serde_yaml::Deserializer::from_str(&text) {
            objects.push(Value::deserialize(document).map_err(invalid)?);
        }
    }
    for object in objects.iter_mut().filter(|object| object["kind"] == "DaemonSet") {
        object["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
    }
    Ok(objects)
}

async fn apply_one(server: &Server, object: &Value) -> Result<(), ClusterError> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        "" => Api::all_with(server.client.clone(), &resource),
        namespace => Api::namespaced_with(server.client.clone(), namespace, &resource),
    };
    let parameters = PatchParams::apply(MANAGER).force();
    let applied = api.patch(name, &parameters, &Patch::Apply(object)).await;
    applied.map(drop).map_err(|error| ClusterError::of(format!("apply {kind} `{name}`"), error))
}

/// Deletes those of these pods (`namespace/name`) that a controller makes again; how many.
pub(super) async fn restart(server: &Server, pods: &[String]) -> Result<usize, ClusterError> {
    let mut restarted = 0;
    for pod in pods {
        let Some((namespace, name)) = pod.split_once('/') else { continue };
        let key = Key::new(Kind::Pod, Some(namespace), name);
        let Some(there) = server.get(&key).await? else { continue };
        let owners = there.metadata.owner_references.unwrap_or_default();
        if owners.iter().any(|owner| owner.controller == Some(true)) {
            server.delete(&key).await?;
            restarted += 1;
        }
    }
    Ok(restarted)
}
