//! Whose reading of a policy holds.

use serde::{Deserialize, Serialize};

/// Whose reading of a policy holds where engines differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Dialect {
    /// Cilium's, release 1.20.
    #[default]
    Cilium,
    /// That of Cilium 1.19, with its default options.
    ///
    /// Of the four constructs that the releases read differently (policy semantics 15 rows 1 to 4), the second
    /// shows only with `policy-default-local-cluster` switched off: then a `namespaceSelector` of `NotIn` alone
    /// selects the world as well. Here the option is on, as it is by default, so the selector selects pods.
    Cilium119,
    /// The text of the Kubernetes API.
    Kubernetes,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 3] = [Self::Cilium, Self::Cilium119, Self::Kubernetes];

    /// Whose reading holds among policies of these kinds: Cilium's as soon as one of them is Cilium's own.
    pub fn of_kinds<'a>(mut kinds: impl Iterator<Item = &'a str>) -> Self {
        if kinds.any(|kind| kind.starts_with("Cilium")) { Self::Cilium } else { Self::Kubernetes }
    }

    /// The word in case files and on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cilium => "cilium",
            Self::Cilium119 => "cilium@1.19",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.word() == text)
    }
}
