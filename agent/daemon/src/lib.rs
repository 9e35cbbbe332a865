//! The node agent: it loads the datapath, owns its maps, runs the proxies and reports flows.
//!
//! | concern | module |
//! | --- | --- |
//! | network namespaces and links | [`netns`], [`netlink`] |
//! | programs, maps, events of one node | [`datapath`] |
//! | the owner of a node's state | [`agent`] |
//! | queries of redirected pods | [`dns`] |
//!
//! Everything is held by file descriptors: when the process ends, by whatever signal, the kernel takes it all back.

pub mod agent;
pub mod clock;
pub mod datapath;
pub mod dns;
pub mod error;
pub mod netlink;
pub mod netns;
mod tproxy;

pub use agent::Agent;
pub use dns::{DnsPolicy, DnsProxy};
pub use error::AgentError;
pub use netns::Netns;
