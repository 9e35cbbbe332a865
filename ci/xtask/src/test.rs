//! `cargo xtask test`: the README's test command, then the cases through the command line as a user runs them.

use std::os::unix::fs::MetadataExt;

use anyhow::{Result, ensure};

use crate::process;

/// Which part of the tests runs.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Only what concerns one subject; without it, everything this user may run
    #[arg(long, value_enum)]
    subject: Option<Subject>,
    /// Passed on to `egret test`, for example `--report junit=target/junit.xml`
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// The subjects that run on one machine without a cluster.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Eq, PartialEq)]
enum Subject {
    /// The policy engine, in process
    Model,
    /// Real packets, as root
    Lab,
    /// Nodes as containers, where an engine runs
    Docker,
}

/// All tests, then the cases on each subject.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = is_root()?;
    let subjects = match options.subject {
        Some(subject) => vec![subject],
        None if root => vec![Subject::Model, Subject::Lab],
        None => vec![Subject::Model],
    };
    if subjects == [Subject::Docker] {
        return docker(options);
    }
    let lab = subjects.contains(&Subject::Lab);
    ensure!(root || !lab, "the lab needs root: `sudo -E env \"PATH=$PATH\" cargo xtask test --subject lab`");
    let mut test = process::cargo(&["test", "--locked", "--all-features"]);
    if lab {
        // In CI, a lab trial that would be ignored is a failure.
        test.env("CI", "true");
    }
    process::run(&mut test)?;
    for subject in subjects {
        let name = match subject {
            Subject::Model => "model",
            Subject::Lab => "lab",
            Subject::Docker => "docker",
        };
        let mut cases = process::cargo(&["run", "--locked", "--release", "--", "test", "--subject", name]);
        process::run(cases.args(&options.arguments))?;
    }
    if !lab && options.subject.is_none() {
        eprintln!("skipped: the lab: real packets need root: `sudo -E env \"PATH=$PATH\" cargo xtask test`");
    }
    Ok(())
}

/// The cases in containers, with the binary that is also in the image.
fn docker(options: &Options) -> Result<()> {
    let binary = process::output(process::program(std::env::current_exe()?).args(["static", "--release"]))?;
    let binary = String::from_utf8(binary)?;
    let mut cases = process::program(binary.trim());
    process::run(cases.args(["test", "--subject", "docker"]).args(&options.arguments))
}

/// The owner of this process' entry in `/proc` is its effective user.
fn is_root() -> Result<bool> {
    Ok(std::fs::metadata("/proc/self")?.uid() == 0)
}
