//! What a step has changed in the cluster, in the words in which agents are asked whether it is in force.

use std::collections::BTreeMap;

use kube::api::DynamicObject;

use super::object::{Key, Kind};

/// Objects that are new or changed, with the versions that the API server gave them, and objects that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// `Kind/namespace/name` to version; an empty version is an object that is gone.
    pub(super) versions: BTreeMap<String, String>,
}

impl Changes {
    /// Whether nothing changed.
    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// What is behind the services, as these changes say it.
    pub(super) fn slices(&self) -> BTreeMap<String, String> {
        let of = |(key, _): &(&String, &String)| key.starts_with(Kind::EndpointSlice.word());
        self.versions.iter().filter(of).map(|(key, version)| (key.clone(), version.clone())).collect()
    }

    /// Notes an object as the API server gave it back.
    pub(super) fn there(&mut self, key: &Key, object: &DynamicObject) {
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        self.note(key, version);
    }

    /// Notes an object that was deleted.
    pub(super) fn gone(&mut self, key: &Key) {
        self.note(key, String::new());
    }

    /// Adds what changed elsewhere.
    pub(super) fn extend(&mut self, others: Self) {
        self.versions.extend(others.versions);
    }

    fn note(&mut self, key: &Key, version: String) {
        // Agents do not watch accounts.
        if key.kind != Kind::ServiceAccount {
            let namespace = key.namespace.as_deref().unwrap_or_default();
            self.versions.insert(format!("{}/{namespace}/{}", key.kind.word(), key.name), version);
        }
    }
}
