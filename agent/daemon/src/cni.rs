//! The network plugin: what a container runtime calls to link a pod (CNI specification 1.1).
//!
//! | command | who does it |
//! | --- | --- |
//! | `ADD` | the agent, over its socket; the pod's network travels there as a descriptor |
//! | `DEL`, `GC` | the plugin itself, from the aliases of links: they work without an agent |
//! | `CHECK` | the plugin itself |
//! | `STATUS` | the agent says whether it can take an `ADD` |
//! | `VERSION` | the plugin itself |

pub mod failure;
pub mod install;
pub mod invocation;
pub mod plugin;

use std::io::{Read, Write};
use std::process::ExitCode;

use failure::Failure;
use invocation::{Invocation, VERSIONS};

/// Name of the plugin's file, by which the binary knows that it is called as one.
pub const PLUGIN: &str = "egret-cni";

/// Does what the environment and standard input ask for, and answers on standard output.
#[must_use]
pub fn main() -> ExitCode {
    let mut input = String::new();
    let read = std::io::stdin().read_to_string(&mut input).map_err(Failure::Input);
    let variables = std::env::vars().collect();
    let done = read.and_then(|_| Invocation::of(&variables, &input)).and_then(|asked| plugin::run(&asked));
    let (answer, code) = match done {
        Ok(answer) => (answer, ExitCode::SUCCESS),
        Err(failure) => (Some(failure.to_json(version_of(&input))), ExitCode::FAILURE),
    };
    if let Some(answer) = answer {
        // A runtime that does not listen learns from the exit code.
        let _unheard = std::io::stdout().write_all(answer.to_string().as_bytes());
    }
    code
}

/// The version that an answer must have: the one of the configuration, if it says any.
fn version_of(input: &str) -> String {
    let configuration: Option<serde_json::Value> = serde_json::from_str(input).ok();
    let version = configuration.as_ref().and_then(|value| value.get("cniVersion")?.as_str());
    version.or(VERSIONS.last().copied()).unwrap_or_default().to_owned()
}
