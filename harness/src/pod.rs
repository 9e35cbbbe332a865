//! What runs inside the pods of a cluster, `egret pod serve`, `probe` and `keep`, and the messages it takes and gives.
//!
//! A pod serves what its environment says, from start to end. A client is one more process in the pod: it reads one
//! [`Order`] as a line of JSON and writes one [`Answer`] per question. Behind the order may come flows, each a line of
//! JSON, which say that a node has dropped a packet: whose own it was ends its question.

mod keep;
mod probe;
mod resolver;
mod serve;

pub use keep::keep;
pub use probe::probe;
pub use serve::{ready, serve};

use std::net::IpAddr;
use std::time::Duration;

use egret_core::world::Serve;
use egret_probe::{Exchange, ProbeError, Report};
use serde::{Deserialize, Serialize};

/// Raised when a message changes: an image of another version then says so.
pub const VERSION: u32 = 3;

/// Environment variable that holds the [`Menu`] as JSON.
pub const MENU: &str = "EGRET_POD";

/// Environment variable that holds the pod's own addresses, separated by commas; Kubernetes fills it.
pub const ADDRESSES: &str = "EGRET_POD_ADDRESSES";

/// What a pod serves on its own addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Menu {
    /// What its servers say that they are: the pod's name in the case.
    pub identity: String,
    /// The ports.
    pub serves: Vec<Serve>,
}

/// What a client is to ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// [`VERSION`] of who asks.
    pub version: u32,
    /// The client's own addresses, as far as it knows; none: all that its pod has. A cluster may give a pod addresses of
    /// a family that the case does not speak of.
    pub addresses: Vec<IpAddr>,
    /// How long a client waits for its peer.
    pub answer: Duration,
    /// How long it waits for the DNS server, for each try.
    pub resolve: Duration,
    /// What is asked. Questions to addresses are asked together; one that needs a name waits for those before it,
    /// and those behind it wait for it.
    pub questions: Vec<Exchange>,
}

/// What came of one question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Which question.
    pub index: usize,
    /// What the client saw, or why it could not run.
    pub result: Result<Report, String>,
}

/// Why a pod's program could not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The environment does not say what to serve.
    #[error("the environment variable `{name}` is missing or not understood: {problem}")]
    Environment {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The order was not understood.
    #[error("the order on standard input was not understood: {0}")]
    Order(serde_json::Error),
    /// Harness and image are of different versions.
    #[error("the harness speaks version {theirs} and this image version {VERSION}: build the image again")]
    Version {
        /// The harness' version.
        theirs: u32,
    },
    /// A server could not start.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
}

/// For `map_err`: what was being done when the system refused.
fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> PodError {
    move |source| PodError::System { what, source }
}

/// The pod's own addresses, as Kubernetes wrote them.
fn addresses() -> Result<Vec<IpAddr>, PodError> {
    let invalid = |problem: String| PodError::Environment { name: ADDRESSES, problem };
    let text = std::env::var(ADDRESSES).map_err(|error| invalid(error.to_string()))?;
    text.split(',')
        .map(|address| address.trim().parse().map_err(|error| invalid(format!("`{address}`: {error}"))))
        .collect()
}

/// What the environment says that this pod serves.
fn menu() -> Result<Menu, PodError> {
    let invalid = |problem: String| PodError::Environment { name: MENU, problem };
    let text = std::env::var(MENU).map_err(|error| invalid(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| invalid(error.to_string()))
}

/// A runtime for one thread: sockets of a pod need no more.
fn runtime() -> Result<tokio::runtime::Runtime, PodError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system("start a runtime"))
}
