//! Names of namespaced objects.

use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Serialize};

/// `namespace/name` of a pod, service or policy; as data that text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectName {
    /// Namespace of the object.
    pub namespace: String,
    /// Name inside the namespace.
    pub name: String,
}

impl ObjectName {
    /// The namespace of objects that name none.
    pub const DEFAULT_NAMESPACE: &'static str = "default";

    /// A name from its two halves.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_string(), name: name.to_string() }
    }

    /// Reads `ns/name`, or `name` in the namespace `default`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once('/') {
            Some((namespace, name)) => Self::new(namespace, name),
            None => Self::new(Self::DEFAULT_NAMESPACE, text),
        }
    }
}

/// A text that is no name of a namespaced object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no object's name: `namespace/name` was expected")]
pub struct InvalidObjectName(String);

impl TryFrom<String> for ObjectName {
    type Error = InvalidObjectName;

    fn try_from(text: String) -> Result<Self, InvalidObjectName> {
        match text.split_once('/') {
            Some((namespace, name)) => Ok(Self::new(namespace, name)),
            None => Err(InvalidObjectName(text)),
        }
    }
}

impl From<ObjectName> for String {
    fn from(name: ObjectName) -> Self {
        name.to_string()
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
