//! The node agent: it loads the datapath, owns its maps, runs the proxies and reports flows.
//!
//! | concern | module |
//! | --- | --- |
//! | network namespaces and links | [`netns`], [`netlink`] |
//! | programs, maps, events of one node | [`datapath`] |
//! | the owner of a node's state | [`agent`] |
//! | queries of redirected pods | [`dns`] |
//!
//! With the feature `kubernetes` it is the network plugin of a cluster's node:
//!
//! | concern | module |
//! | --- | --- |
//! | the pods of a real node: links, addresses, routes | `node` |
//! | what the container runtime calls | `cni` |
//! | the agent's socket on its node | `control` |
//! | the watch of the cluster, and the agent around it | `kubernetes` |
//!
//! Everything is held by file descriptors: when the process ends, by whatever signal, the kernel takes it all back.

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

pub mod agent;
pub mod clock;
#[cfg(feature = "kubernetes")]
pub mod cni;
#[cfg(feature = "kubernetes")]
pub mod control;
pub mod datapath;
pub mod dns;
pub mod error;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod netlink;
pub mod netns;
#[cfg(feature = "kubernetes")]
pub mod node;
mod tproxy;

pub use agent::Agent;
pub use dns::{DnsPolicy, DnsProxy};
pub use error::AgentError;
pub use netns::Netns;
