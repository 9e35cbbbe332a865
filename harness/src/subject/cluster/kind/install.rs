//! The manifests of `kind/` in a cluster, and pods that were there before the agents.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crds;
use crate::subject::cluster::error::ClusterError;
use crate::subject::cluster::object::{Key, Kind, MANAGER};
use crate::subject::cluster::server::Server;

const ACCOUNT: &str = include_str!("../../../../../kind/account.yaml");
const AGENT: &str = include_str!("../../../../../kind/agent.yaml");

/// Where the API server listens, without a service in between.
struct Direct {
    address: String,
    port: u64,
}

/// Applies the definitions, the account and the agents with this image; how many objects that was.
pub(in crate::subject::cluster) async fn apply(server: &Server, image: &str) -> Result<usize, ClusterError> {
    let objects = objects(image, direct(server).await?.as_ref())?;
    for object in &objects {
        apply_one(server, object).await?;
    }
    Ok(objects.len())
}

/// Every object, in the order in which it is applied.
fn objects(image: &str, direct: Option<&Direct>) -> Result<Vec<Value>, ClusterError> {
    let invalid = |error: serde_yaml::Error| ClusterError::Manifest(error.to_string());
    let mut objects = Vec::new();
    let texts = crds::files().into_iter().map(|(_, text)| text);
    for text in texts.chain([ACCOUNT.to_owned(), AGENT.to_owned()]) {
        for document in serde_yaml::Deserializer::from_str(&text) {
            objects.push(Value::deserialize(document).map_err(invalid)?);
        }
    }
    for object in objects.iter_mut().filter(|object| object["kind"] == "DaemonSet") {
        let agent = &mut object["spec"]["template"]["spec"]["containers"][0];
        agent["image"] = image.into();
        if let (Some(Direct { address, port }), Some(env)) = (direct, agent["env"].as_array_mut()) {
            env.push(json!({ "name": "KUBERNETES_SERVICE_HOST", "value": address }));
            env.push(json!({ "name": "KUBERNETES_SERVICE_PORT", "value": port.to_string() }));
        }
    }
    Ok(objects)
}

/// What the agents have to be told when the cluster has no kube-proxy: they run in their nodes' networks, where nobody
/// else leads from the API server's service to the API server.
async fn direct(server: &Server) -> Result<Option<Direct>, ClusterError> {
    if server.get(&Key::new(Kind::DaemonSet, Some("kube-system"), "kube-proxy")).await?.is_some() {
        return Ok(None);
    }
    // The API server itself writes where it is.
    let key = Key::new(Kind::EndpointSlice, Some("default"), "kubernetes");
    let slice = server.get(&key).await?.map(|slice| slice.data).unwrap_or_default();
    let address = slice["endpoints"][0]["addresses"][0].as_str();
    let ports = slice["ports"].as_array();
    let https = ports.and_then(|ports| ports.iter().find(|port| port["name"] == "https"));
    match (address, https.and_then(|port| port["port"].as_u64())) {
        (Some(address), Some(port)) => Ok(Some(Direct { address: address.to_owned(), port })),
        (Some(_) | None, _) => Err(ClusterError::Missing(format!(
            "there is no kube-proxy, and {key} does not say where the API server is"
        ))),
    }
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
