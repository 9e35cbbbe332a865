//! The metadata of an object, with the fields that `kubectl get -o yaml` prints.

use alloc::collections::BTreeMap;
use alloc::string::String;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// `metadata`. Only name and namespace mean anything here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name of the object.
    pub name: String,
    /// Namespace of the object.
    pub namespace: Option<String>,
    /// Labels of the object itself.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations of the object.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Set by the API server.
    pub uid: Option<IgnoredAny>,
    /// Set by the API server.
    pub generation: Option<IgnoredAny>,
    /// Set by the API server.
    pub resource_version: Option<IgnoredAny>,
    /// Set by the API server.
    pub creation_timestamp: Option<IgnoredAny>,
    /// Set by the API server.
    pub managed_fields: Option<IgnoredAny>,
    /// Set by controllers.
    pub owner_references: Option<IgnoredAny>,
    /// Set by controllers.
    pub finalizers: Option<IgnoredAny>,
}
