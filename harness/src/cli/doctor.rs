//! `egret doctor`: what this machine can run, and how to get the rest.

use super::TableFormat;
use crate::exit::Exit;
#[cfg(feature = "kubernetes")]
use crate::subject::cluster;
#[cfg(feature = "docker")]
use crate::subject::docker;
use crate::subject::{Check, CheckState, lab};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Table for people, or JSON
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

/// Says what was found. A machine on which something is missing gives the environment's exit code.
pub(super) fn run(arguments: &Arguments) -> Exit {
    let model = Check {
        name: "model".into(),
        state: CheckState::Ok,
        advice: "runs everywhere: `egret test --subject model`".into(),
    };
    let mut checks = vec![model];
    checks.extend(lab::checks());
    #[cfg(feature = "docker")]
    checks.extend(docker::checks());
    #[cfg(not(feature = "docker"))]
    checks.push(Check {
        name: "docker".into(),
        state: CheckState::Unknown,
        advice: "built without it: `cargo build --release --features docker`".into(),
    });
    #[cfg(feature = "kubernetes")]
    checks.extend(cluster::checks());
    #[cfg(not(feature = "kubernetes"))]
    checks.push(Check {
        name: "clusters".into(),
        state: CheckState::Unknown,
        advice: "built without them: `cargo build --release --features kubernetes`".into(),
    });
    super::print(&match arguments.format {
        TableFormat::Text => table(&checks),
        TableFormat::Json => super::json(&checks),
    });
    let complete = checks.iter().all(|check| check.state != CheckState::Missing);
    if complete { Exit::Passed } else { Exit::Environment }
}

fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    checks
        .iter()
        .map(|check| format!("{:<7}  {:<width$}  {}\n", check.state.word(), check.name, check.advice))
        .collect()
}
