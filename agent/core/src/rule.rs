//! Normalised statements of policies.

/// One policy object, understood: which endpoints it selects, and its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {}

/// Whose reading of a policy holds where engines differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Cilium's.
    #[default]
    Cilium,
    /// The text of the Kubernetes API.
    Kubernetes,
}
