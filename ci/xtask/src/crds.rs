//! `cargo xtask crds`: the definitions below `kind/crds/`, which are a function of the policy types.

use anyhow::Result;

use crate::process;

/// Where the committed definitions stand.
const FOLDER: &str = "kind/crds";

/// Whether anything is written.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Write nothing; fail when a committed definition is not what the types give
    #[arg(long)]
    check: bool,
}

/// Writes or compares.
pub(crate) fn run(options: &Options) -> Result<()> {
    let arguments: &[&str] = if options.check {
        &["test", "--locked", "--package", "egret", "--lib", "crds::"]
    } else {
        &["run", "--locked", "--package", "egret", "--", "schema", "--crds", FOLDER]
    };
    process::run(&mut process::cargo(arguments))
}
