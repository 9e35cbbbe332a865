//! Why a client or a server could not run; never what a client saw, which is an `Outcome`.

use std::io;
use std::net::SocketAddr;

/// A client or a server that could not run. It says nothing about whether the peer can be reached.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A socket could not be made, bound or used.
    #[error("cannot {action} {address}")]
    Socket {
        /// What was tried, as in "listen on".
        action: &'static str,
        /// The address that it was tried with.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The HTTP exchange failed for a reason that is neither the network's nor the peer's.
    #[error("cannot speak HTTP with {address}")]
    Http {
        /// The peer.
        address: SocketAddr,
        /// What went wrong.
        source: hyper::Error,
    },
    /// The request cannot be written as HTTP.
    #[error("cannot write the HTTP request for `{path}`")]
    InvalidRequest {
        /// Path as written.
        path: String,
        /// What is wrong with the method, the path or a header.
        source: hyper::http::Error,
    },
    /// The name is not a DNS name.
    #[error("`{name}` is not a DNS name: {problem}")]
    InvalidName {
        /// Name as written.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A server's identity cannot stand in an HTTP header.
    #[error("`{identity}` cannot be a server's identity")]
    InvalidIdentity {
        /// The identity.
        identity: String,
    },
    /// The client has no resolver, and a name to resolve.
    #[error("no resolver is set to look up `{name}`")]
    NoResolver {
        /// Name as written.
        name: String,
    },
    /// What was asked for is not simulated yet.
    #[error("{what} is not simulated yet")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
}
