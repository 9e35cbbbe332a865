//! The policies of a step in the cluster: the case's own documents, applied on the server's side.

use std::collections::BTreeMap;

use egret_core::author::PolicyId;
use egret_core::spec::PolicyKind;
use serde_json::Value;

use super::changes::Changes;
use super::error::ClusterError;
use super::naming::Naming;
use super::object::{Key, Kind};
use super::server::Server;
use crate::case::PolicyLocations;
use crate::diagnostic::{self, Style};
use crate::kubernetes;

/// The policies in the cluster, as they were applied.
#[derive(Default)]
pub(super) struct Policies {
    applied: BTreeMap<Key, Value>,
}

impl Policies {
    /// Makes the policies those of a step; deletes first, as a step does.
    ///
    /// # Errors
    /// The API server refused one, or one of the same name is there and somebody else's.
    pub(super) async fn reconcile(
        &mut self,
        server: &Server,
        naming: &Naming,
        policies: &PolicyLocations,
    ) -> Result<Changes, ClusterError> {
        let mut wanted = BTreeMap::new();
        for (id, manifest) in policies.objects() {
            let mut document: Value = kubernetes::read(manifest).map_err(|problems| {
                ClusterError::Manifest(diagnostic::render_all(&problems, Style::Plain).trim().to_owned())
            })?;
            naming.policy(&mut document);
            let key = key_of(id, &mut document, naming)?;
            server.run.mark(&mut document);
            wanted.insert(key, document);
        }
        let mut changes = Changes::default();
        let stale: Vec<Key> = self.applied.keys().filter(|key| !wanted.contains_key(*key)).cloned().collect();
        for key in stale {
            server.delete(&key).await?;
            self.applied.remove(&key);
            changes.gone(&key);
        }
        for (key, document) in wanted {
            if self.applied.get(&key).is_some_and(|there| *there == document) {
                continue;
            }
            let there = server.apply(&key, &document).await?;
            changes.there(&key, &there);
            self.applied.insert(key, document);
        }
        Ok(changes)
    }
}

/// The policy's name in the cluster; one without a namespace gets the one that it stands in.
fn key_of(id: &PolicyId, document: &mut Value, naming: &Naming) -> Result<Key, ClusterError> {
    let version = document["apiVersion"].as_str().unwrap_or_default();
    let kind = PolicyKind::of(version, &id.kind)
        .ok_or_else(|| ClusterError::Missing(format!("`{version}` has no kind `{}`", id.kind)))?;
    let namespace = id.namespace.as_deref().map(|namespace| naming.namespace(namespace));
    if let Some(namespace) = &namespace {
        document["metadata"]["namespace"] = namespace.clone().into();
    }
    Ok(Key::new(Kind::Policy(kind), namespace.as_deref(), &id.name))
}
