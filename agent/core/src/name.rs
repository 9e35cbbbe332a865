//! Names of namespaced objects.

use alloc::string::{String, ToString};
use core::fmt;

/// `namespace/name` of a pod, service or policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
