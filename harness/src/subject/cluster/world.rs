//! Brings the cluster's objects from one world to the next: makes, changes and takes away what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use egret_core::world::World;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::changes::Changes;
use super::error::ClusterError;
use super::object::{Key, Kind};
use super::pace::Pace;
use super::ready::{self, Pods};
use super::server::Server;
use super::shape::{ALWAYS_THERE, Shape, labels};

/// How long a namespace may take to empty.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two looks at it.
const PACE: Duration = Duration::from_millis(100);

/// What this run has made, as it was last written.
#[derive(Default)]
pub(super) struct Made {
    objects: BTreeMap<Key, Value>,
    /// Namespaces of the case that others have made and that nobody else lives in.
    borrowed: BTreeSet<String>,
    changes: Changes,
    /// The pods as they became ready.
    pub(super) pods: Pods,
}

impl Made {
    /// Makes the cluster's objects those of a world; every pod is ready on return. What changed.
    ///
    /// # Errors
    /// The API server refused something, an object is there already, or a pod did not become ready.
    pub(super) async fn reconcile(
        &mut self,
        server: &Server,
        shape: &Shape<'_>,
        world: &World,
    ) -> Result<Changes, ClusterError> {
        let mut wanted = shape.objects(world);
        self.namespaces(server, shape, world, &mut wanted).await?;
        let mut gone = BTreeSet::new();
        let stale: Vec<Key> = self.objects.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        for key in stale.into_iter().rev() {
            self.remove(server, &key, &mut gone).await?;
        }
        let mut again = Vec::new();
        for (key, object) in &wanted {
            match self.objects.get(key) {
                Some(there) if there == object => {}
                Some(there) if differs_in_labels_only(there, object) => {
                    let change = change_of_labels(there, object);
                    let there = server.merge(key, &change).await?;
                    self.changes.there(key, &there);
                    self.objects.insert(key.clone(), object.clone());
                }
                Some(_) => {
                    // Little of a pod's spec may change: it goes and comes again under its name.
                    self.remove(server, key, &mut gone).await?;
                    again.push(key.clone());
                }
                None => self.create(server, key, object).await?,
            }
        }
        if !again.is_empty() {
            ready::wait(server, &BTreeSet::new(), &gone).await?;
        }
        for key in again {
            if let Some(object) = wanted.get(&key) {
                gone.remove(&key);
                self.create(server, &key, object).await?;
            }
        }
        let ready = wanted.into_keys().filter(|key| key.kind == Kind::Pod).collect();
        self.pods = ready::wait(server, &ready, &gone).await?;
        Ok(std::mem::take(&mut self.changes))
    }

    /// The namespaces of a world: those that are not there are made; others' are used when nobody lives in them.
    async fn namespaces(
        &mut self,
        server: &Server,
        shape: &Shape<'_>,
        world: &World,
        wanted: &mut BTreeMap<Key, Value>,
    ) -> Result<(), ClusterError> {
        let used: BTreeSet<&String> = world.namespaces.keys().collect();
        for name in used {
            let in_cluster = shape.naming.namespace(name);
            let key = Key::new(Kind::Namespace, None, &in_cluster);
            if ALWAYS_THERE.contains(&in_cluster.as_str()) {
                if in_cluster != "kube-system" && !self.borrowed.contains(&in_cluster) {
                    inhabited(server, &in_cluster).await?;
                    self.borrowed.insert(in_cluster);
                }
                continue;
            }
            if self.borrowed.contains(&in_cluster) {
                continue;
            }
            let mut labels = world.namespaces.get(name).map(labels).unwrap_or_default();
            // The API server writes this one itself, with the name that it has there.
            if let Some(labels) = labels.as_object_mut() {
                labels.remove("kubernetes.io/metadata.name");
            }
            let object = key.object(&server.run, &labels, json!({}));
            if !self.objects.contains_key(&key) {
                let mut there = server.get(&key).await?;
                if there.as_ref().is_some_and(|there| is_leaving(server, there)) {
                    gone(server, &key).await?;
                    there = None;
                }
                match there {
                    None => {
                        self.create(server, &key, &object).await?;
                        self.account(server, &in_cluster).await?;
                    }
                    Some(there) if server.is_ours(&there) => {}
                    Some(there) => {
                        inhabited(server, &in_cluster).await?;
                        has_labels(&there, &labels)?;
                        self.borrowed.insert(in_cluster);
                        continue;
                    }
                }
            }
            wanted.insert(key, object);
        }
        Ok(())
    }

    /// Pods need the account that a controller makes in every namespace, some time later; it is made at once.
    async fn account(&self, server: &Server, namespace: &str) -> Result<(), ClusterError> {
        let key = Key::new(Kind::ServiceAccount, Some(namespace), "default");
        let object = key.object(&server.run, &json!({}), json!({}));
        match server.create(&key, &object).await {
            Ok(_) | Err(ClusterError::Exists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn create(&mut self, server: &Server, key: &Key, object: &Value) -> Result<(), ClusterError> {
        let there = server.create(key, object).await?;
        self.changes.there(key, &there);
        self.objects.insert(key.clone(), object.clone());
        Ok(())
    }

    async fn remove(
        &mut self,
        server: &Server,
        key: &Key,
        gone: &mut BTreeSet<Key>,
    ) -> Result<(), ClusterError> {
        server.delete(key).await?;
        self.changes.gone(key);
        self.objects.remove(key);
        if key.kind == Kind::Pod {
            gone.insert(key.clone());
        }
        Ok(())
    }
}

/// Whether a namespace is of an earlier case of this run, and on its way out.
fn is_leaving(server: &Server, there: &DynamicObject) -> bool {
    server.is_ours(there) && there.metadata.deletion_timestamp.is_some()
}

/// Waits until a namespace is gone: its pods go first.
async fn gone(server: &Server, key: &Key) -> Result<(), ClusterError> {
    let mut pace = Pace::new(PACE, LIMIT);
    while server.get(key).await?.is_some() {
        if !pace.next().await {
            return Err(ClusterError::Slow { what: format!("removing {key}"), seconds: LIMIT.as_secs() });
        }
    }
    Ok(())
}

/// Policies of a case reach every pod of their namespace, so there may be none of others.
async fn inhabited(server: &Server, namespace: &str) -> Result<(), ClusterError> {
    let pods = server.list(Kind::Pod, Some(namespace), "").await?;
    let others = pods.iter().filter(|pod| !server.is_ours(pod));
    let pods: Vec<String> = others.filter_map(|pod| pod.metadata.name.clone()).take(3).collect();
    let namespace = namespace.to_owned();
    if pods.is_empty() { Ok(()) } else { Err(ClusterError::Inhabited { namespace, pods }) }
}

/// A namespace of others is used as it is: it has the case's labels, or the case cannot run in it.
fn has_labels(there: &DynamicObject, wanted: &Value) -> Result<(), ClusterError> {
    let labels = there.metadata.labels.clone().unwrap_or_default();
    let fits = wanted
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str());
    if fits {
        return Ok(());
    }
    let name = there.metadata.name.as_deref().unwrap_or_default();
    Err(ClusterError::Exists(format!("namespace `{name}`, without the labels that the case gives it,")))
}

fn differs_in_labels_only(one: &Value, other: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        object["metadata"]["labels"] = Value::Null;
        object
    };
    bare(one) == bare(other)
}

/// A merge patch from one object's labels to another's; null takes a label away.
fn change_of_labels(there: &Value, wanted: &Value) -> Value {
    let of = |object: &Value| object["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    let mut labels = of(wanted);
    for (key, _) in of(there) {
        labels.entry(key).or_insert(Value::Null);
    }
    json!({ "metadata": { "labels": labels } })
}
