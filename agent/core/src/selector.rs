//! Predicates over identities: labels, prefixes, entities and names.

pub(crate) mod anchor;
pub mod entity;
pub mod label;
pub mod name;

pub use entity::Entity;
pub use label::{LabelSelector, Operator, Requirement};
pub use name::NamePattern;

use alloc::string::String;
use alloc::vec::Vec;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::identity::{LabelSet, Source};

/// One selector of a rule's peers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Selector {
    /// By labels.
    Labels(LabelSelector),
    /// Addresses inside a prefix and outside its exceptions.
    Prefix {
        /// The prefix.
        prefix: IpNet,
        /// What is left out; each lies inside the prefix.
        except: Vec<IpNet>,
    },
    /// Addresses inside the prefixes of a CiliumCIDRGroup and outside the exceptions.
    Group {
        /// Which groups.
        which: GroupMatch,
        /// What is left out.
        except: Vec<IpNet>,
    },
    /// By one of the fixed words.
    Entity(Entity),
    /// Addresses that a DNS name led to.
    Name(NamePattern),
}

/// How a rule refers to groups of prefixes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GroupMatch {
    /// By name.
    Name(String),
    /// By labels of the source `cidrgroup`.
    Labels(LabelSelector),
}

impl Selector {
    /// Whether an identity with these labels is selected.
    ///
    /// Prefixes and names select by label too: an address carries the labels of every prefix over it and of
    /// every name that led to it, so an exception is the absence of a label (policy semantics 2.8 and 4.6).
    #[must_use]
    pub fn selects(&self, labels: &LabelSet) -> bool {
        match self {
            Self::Labels(selector) => selector.selects(labels),
            Self::Prefix { prefix, except } => {
                labels.has_prefix(prefix) && !except.iter().any(|prefix| labels.has_prefix(prefix))
            }
            Self::Group { which, except } => {
                labels.has(Source::Reserved, Entity::World.word())
                    && which.selects(labels)
                    && !except.iter().any(|prefix| labels.has_prefix(prefix))
            }
            Self::Entity(entity) => entity.selects(labels),
            Self::Name(pattern) => labels.has(Source::Fqdn, pattern.text()),
        }
    }
}

impl GroupMatch {
    /// Whether an identity carries the labels of such a group. A selector of `NotIn` alone also selects
    /// identities that no group names.
    #[must_use]
    pub fn selects(&self, labels: &LabelSet) -> bool {
        match self {
            Self::Name(name) => labels.has_group(name),
            Self::Labels(selector) => selector.selects(labels),
        }
    }
}
