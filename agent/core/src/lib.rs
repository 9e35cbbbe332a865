//! The pure policy engine: no files, sockets, clocks or threads; time is an argument and all output is ordered.
//!
//! | stage | from -> to | module |
//! | --- | --- | --- |
//! | documents | typed YAML -> rules | [`spec`], [`rule`] |
//! | identities | world and learned names -> numbers for label sets and prefixes | [`identity`], [`fqdn`] |
//! | selection and resolution | rules and identities -> what an endpoint may do | [`selector`], `policy` |
//! | rows | what an endpoint may do -> policymap rows | `policymap` |
//! | requests | HTTP rules and a request -> whether it passes | [`http`] |
//! | compile | desired state, or what is different in it -> datapath state: the four stages above | [`mod@compile`], [`state`] |
//! | change | two states, or one and what reached it -> what is different | [`mod@change`] |
//! | diff | a change -> ordered writes | [`mod@diff`] |
//! | predict | desired states and probes -> [`probe::Observation`] | [`model`] |
//! | judge | desired state and a question -> both directions, with authors | [`judge`] |
//! | matrix | compiled cluster -> who can talk to whom | [`matrix`] |
//!
//! [`mod@reference`] reads the same documents a second time and slowly; tests hold both readings against each other.
#![no_std]
#![forbid(unsafe_code)]
// A panic here would take a node's policy down or hide a verdict: what may fail returns an error. Tests may panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

extern crate alloc;

pub mod author;
pub mod change;
pub mod compile;
pub mod destination;
mod dialect;
pub mod diff;
pub mod flow;
pub mod fqdn;
pub mod http;
pub mod identity;
pub mod judge;
pub mod labels;
pub mod matrix;
pub mod model;
pub mod name;
mod policy;
mod policymap;
pub mod probe;
pub mod protocol;
pub mod reference;
pub mod rule;
pub mod selector;
pub mod spec;
pub mod state;
pub mod world;

pub use author::Author;
pub use labels::Labels;
pub use name::ObjectName;
pub use protocol::Protocol;
pub use world::World;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use serde::{Deserialize, Serialize};

/// The desired state of a cluster: what exists and which policies are in force. The harness or a Kubernetes
/// watch fills it; `compile` turns it into map entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// What exists.
    pub world: World,
    /// Policies by kind, namespace and name. A copy shares them.
    pub policies: BTreeMap<Arc<author::PolicyId>, Arc<rule::Policy>>,
    /// Whose reading of the policies holds.
    pub dialect: rule::Dialect,
}
