//! The pure policy engine: no files, sockets, clocks or threads; time is an argument and all output is ordered.
//!
//! | stage | from -> to | module |
//! | --- | --- | --- |
//! | documents | typed YAML -> rules | `spec` |
//! | compile | desired state -> datapath state | `compile` |
//! | diff | two states -> ordered writes | `diff` |
//! | predict | a state and a probe -> [`probe::Observation`] | `model` |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod author;
pub mod flow;
pub mod labels;
pub mod name;
pub mod probe;
pub mod protocol;
pub mod rule;
pub mod world;

pub use author::Author;
pub use labels::Labels;
pub use name::ObjectName;
pub use protocol::Protocol;
pub use world::World;

use alloc::collections::BTreeMap;

/// The desired state of a cluster: what exists and which policies are in force. The harness or a Kubernetes
/// watch fills it; `compile` turns it into map entries.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// What exists.
    pub world: World,
    /// Policies by kind, namespace and name.
    pub policies: BTreeMap<author::PolicyId, rule::Policy>,
    /// Whose reading of the policies holds.
    pub dialect: rule::Dialect,
}
