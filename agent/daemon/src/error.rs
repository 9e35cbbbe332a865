//! What can go wrong in the agent, with what was being done.

use std::io;

/// An error of the agent. None of them is a verdict on anybody's packets.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A system call failed.
    #[error("could not {what}: {source}")]
    System {
        /// What was being done, as "make a network namespace".
        what: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel object could not be read or its maps made.
    #[error("could not load the datapath: {0}")]
    Load(#[from] aya::EbpfError),
    /// A kernel program was refused.
    #[error("the kernel refused the program `{program}`: {source}")]
    Program {
        /// Name of the program.
        program: &'static str,
        /// The verifier's answer.
        source: aya::programs::ProgramError,
    },
    /// The kernel object lacks a program or map that the agent knows: they are not of one build.
    #[error("the datapath object has no `{0}`; rebuild it with `cargo xtask ebpf`")]
    Missing(&'static str),
    /// A map could not be read or written.
    #[error("could not {what} the map `{map}`: {source}")]
    Map {
        /// "read", "write" or "open".
        what: &'static str,
        /// Name of the map.
        map: &'static str,
        /// The kernel's answer.
        source: aya::maps::MapError,
    },
    /// A pod of the desired state has no interface on this node.
    #[error("pod `{0}` has no interface on this node")]
    NoInterface(egret_core::ObjectName),
    /// The thread that runs the node's proxies ended.
    #[error("the thread of the node's proxies ended before they listened")]
    ProxyGone,
}

impl AgentError {
    /// For `map_err`: names what was being done.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}
