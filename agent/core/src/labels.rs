//! Labels of pods, namespaces and nodes.

use alloc::collections::BTreeMap;
use alloc::string::String;

/// Label keys to values, ordered by key.
pub type Labels = BTreeMap<String, String>;
