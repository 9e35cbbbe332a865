//! What a run asks of the API server: create, change, apply, delete, list; throttling waited out, refusals named.

use std::future::Future;
use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::Value;

use super::error::ClusterError;
use super::object::{Key, Kind, MANAGER, RUN, Run};

/// How often a request is sent again when the API server asks for patience.
const PATIENCE: usize = 5;

/// The API server as one run sees it.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) client: Client,
    pub(super) run: Run,
}

impl Server {
    /// The objects of a kind, in one namespace or in all.
    pub(super) fn api(&self, kind: Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind.resource()),
            None => Api::all_with(self.client.clone(), &kind.resource()),
        }
    }

    fn at(&self, key: &Key) -> Api<DynamicObject> {
        self.api(key.kind, key.namespace.as_deref())
    }

    /// The object, if it is there.
    pub(super) async fn get(&self, key: &Key) -> Result<Option<DynamicObject>, ClusterError> {
        let api = self.at(key);
        patiently(&format!("read {key}"), || api.get_opt(&key.name)).await
    }

    /// Creates an object that must not be there.
    ///
    /// # Errors
    /// [`ClusterError::Exists`] when it is; what it is made by shows who made it.
    pub(super) async fn create(&self, key: &Key, object: &Value) -> Result<DynamicObject, ClusterError> {
        let object: DynamicObject = read(object)?;
        let api = self.at(key);
        let parameters = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        match once_more(|| api.create(&parameters, &object)).await {
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
                Err(ClusterError::Exists(key.to_string()))
            }
            other => other.map_err(|error| ClusterError::of(format!("create {key}"), error)),
        }
    }

    /// Changes parts of an object that this run has made; null takes a field away.
    pub(super) async fn merge(&self, key: &Key, change: &Value) -> Result<DynamicObject, ClusterError> {
        let api = self.at(key);
        let parameters = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let patch = Patch::Merge(change);
        patiently(&format!("change {key}"), || api.patch(&key.name, &parameters, &patch)).await
    }

    /// Applies an object on the server's side, unless somebody else made the one that is there.
    pub(super) async fn apply(&self, key: &Key, object: &Value) -> Result<DynamicObject, ClusterError> {
        if self.get(key).await?.is_some_and(|there| !self.is_ours(&there)) {
            return Err(ClusterError::Exists(key.to_string()));
        }
        // A kind may have several versions, and a document is taken only under its own.
        let resource = key.kind.resource_of(object["apiVersion"].as_str());
        let api: Api<DynamicObject> = match &key.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let parameters = PatchParams {
            field_manager: Some(MANAGER.into()),
            // What this run wrote before is its own to change.
            force: true,
            // A field that the API server does not know would be dropped, and the case would test something else.
            field_validation: Some(kube::api::ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let patch = Patch::Apply(object);
        patiently(&format!("apply {key}"), || api.patch(&key.name, &parameters, &patch)).await
    }

    /// Deletes an object; one that is gone is no error.
    pub(super) async fn delete(&self, key: &Key) -> Result<(), ClusterError> {
        let api = self.at(key);
        let parameters = DeleteParams::background();
        match once_more(|| api.delete(&key.name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(ClusterError::of(format!("delete {key}"), error)),
        }
    }

    /// The objects of a kind that carry these labels; none where the API server does not know the kind.
    pub(super) async fn list(
        &self,
        kind: Kind,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<DynamicObject>, ClusterError> {
        let api = self.api(kind, namespace);
        let parameters = ListParams::default().labels(selector);
        match once_more(|| api.list(&parameters)).await {
            Ok(list) => Ok(list.items),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
            Err(error) => Err(ClusterError::of(format!("list {}", kind.plural()), error)),
        }
    }

    /// Whether this run made it.
    pub(super) fn is_ours(&self, object: &DynamicObject) -> bool {
        let labels = object.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(RUN)).is_some_and(|run| *run == self.run.id)
    }
}

/// A JSON value as the client's object.
fn read(object: &Value) -> Result<DynamicObject, ClusterError> {
    serde_json::from_value(object.clone()).map_err(|error| ClusterError::Manifest(error.to_string()))
}

/// Sends a request, again when the API server asks for patience.
async fn patiently<T, F: Future<Output = kube::Result<T>>>(
    doing: &str,
    ask: impl Fn() -> F,
) -> Result<T, ClusterError> {
    once_more(ask).await.map_err(|error| ClusterError::of(doing, error))
}

/// An API server that has too much to do says so with 429 and names the seconds to wait.
async fn once_more<T, F: Future<Output = kube::Result<T>>>(ask: impl Fn() -> F) -> kube::Result<T> {
    let mut tries = 0;
    loop {
        match ask().await {
            Err(kube::Error::Api(status)) if status.code == 429 && tries < PATIENCE => {
                let seconds = status.details.as_ref().map_or(1, |details| details.retry_after_seconds.max(1));
                #[expect(clippy::disallowed_methods, reason = "the API server names the time to wait")]
                tokio::time::sleep(Duration::from_secs(u64::from(seconds.min(10)))).await;
                tries += 1;
            }
            other => return other,
        }
    }
}
