//! Clients and servers that run inside pods, nodes and the simulated Internet, over real sockets.
//!
//! Sockets are made by a [`Network`]. A socket belongs to the network that it was created in, whatever thread
//! uses it later, so one thread can run the clients and servers of many pods.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`client::run`] | one probe: resolve, talk, and say what the client saw |
//! | [`client::keep`] | one line over a connection that stays open |
//! | [`server::serve`] | what a pod or a host serves: its identity over HTTP or UDP, the cluster's DNS |
//! | [`server::serve_authority`] | the DNS server of the simulated Internet |
//! | [`message`] | the DNS messages of both |
#![forbid(unsafe_code)]

pub mod client;
mod error;
pub mod message;
pub mod network;
pub mod server;

pub use client::{Attempt, Client, Exchange, Kept, Limits, Report, Resolver, Stage, Target, keep, run};
pub use error::ProbeError;
pub use network::{Network, ThisNetwork};
pub use server::{Server, Zones, serve, serve_authority};
