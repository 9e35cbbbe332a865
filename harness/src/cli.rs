//! The command line: one file per command, from arguments to an exit code.

#[cfg(feature = "kubernetes")]
mod agent;
#[cfg(any(feature = "docker", feature = "kubernetes"))]
mod clean;
mod completions;
mod diff;
mod doctor;
mod explain;
#[cfg(feature = "docker")]
mod image;
#[cfg(feature = "kubernetes")]
mod kind;
mod lab;
mod list;
mod matrix;
mod monitor;
#[cfg(feature = "docker")]
mod node;
mod pod;
mod schema;
mod select;
mod test;
mod validate;
mod verdict;

use std::io::Write;

use clap::{Parser, Subcommand, ValueEnum};
use egret_core::rule::Dialect;

use crate::cluster::Cluster;
use crate::diagnostic::{self, Style};
use crate::error::Error;
use crate::exit::Exit;
use crate::subject;

/// Network-policy tests with real packets
#[derive(Parser)]
#[command(
    name = "egret",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 all passed, 1 some case failed, 2 wrong usage or bad input, \
                  3 the environment cannot run the subject, 4 internal error."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run cases: who can talk to whom, and which line of which policy decides it
    Test(test::Arguments),
    /// List the cases
    List(list::Arguments),
    /// Check cases and policy files without running anything
    Validate(validate::Arguments),
    /// Answer flows, one JSON line each, from manifests alone: what becomes of it and which line decides
    Verdict(verdict::Arguments),
    /// Say why one flow passes or not: which policies select, which rule decides, which one nearly did
    Explain(explain::Arguments),
    /// Print who can talk to whom, from manifests alone
    Matrix(matrix::Arguments),
    /// Print which flows a change of manifests changes, and the lines that cause it
    Diff(diff::Arguments),
    /// Be the agent of a cluster's node, or ask the one that runs on this machine
    #[cfg(feature = "kubernetes")]
    #[command(subcommand)]
    Agent(agent::Command),
    /// Run a command of this machine inside a pod of a case
    #[command(subcommand)]
    Lab(lab::Command),
    /// What `lab run` starts inside the pod's network
    #[command(hide = true)]
    LabInside(subject::lab::Inside),
    /// A cluster in containers with Egret's agent as its network plugin
    #[cfg(feature = "kubernetes")]
    #[command(subcommand)]
    Kind(kind::Command),
    /// Remove what killed runs left behind
    #[cfg(any(feature = "docker", feature = "kubernetes"))]
    Clean(clean::Arguments),
    /// What the containers of a cluster's pods run
    #[command(hide = true, subcommand)]
    Pod(pod::Command),
    /// Print what every run on this machine does to packets, as `cilium monitor` prints it
    Monitor(monitor::Arguments),
    /// Say what this machine can run, and how to get the rest
    Doctor(doctor::Arguments),
    /// The image that containers of the docker subject run
    #[cfg(feature = "docker")]
    #[command(subcommand)]
    Image(image::Command),
    /// What containers of the docker subject run
    #[cfg(feature = "docker")]
    #[command(hide = true, subcommand)]
    Node(node::Command),
    /// Print the JSON Schema of case files
    Schema(schema::Arguments),
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

/// How a command prints a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TableFormat {
    /// Columns for people
    #[default]
    Text,
    /// One JSON document
    Json,
}

/// Whose reading of the policies holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DialectWord {
    /// Cilium's
    Cilium,
    /// Cilium's, release 1.19
    #[value(name = "cilium@1.19")]
    Cilium119,
    /// The text of the Kubernetes API
    Kubernetes,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; clap prints them on standard output. Nobody reads a failed write.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Passed };
            let _ = error.print();
            return exit;
        }
    };
    let ended = match cli.command {
        Command::Test(arguments) => test::run(arguments),
        Command::List(arguments) => list::run(&arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Verdict(arguments) => verdict::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Matrix(arguments) => matrix::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        #[cfg(feature = "kubernetes")]
        Command::Agent(command) => agent::run(command),
        Command::Lab(command) => lab::run(command),
        Command::LabInside(inside) => Err(Error::Inside(subject::lab::enter(&inside))),
        #[cfg(feature = "kubernetes")]
        Command::Kind(command) => kind::run(command),
        #[cfg(any(feature = "docker", feature = "kubernetes"))]
        Command::Clean(arguments) => clean::run(&arguments),
        Command::Pod(command) => pod::run(&command),
        Command::Monitor(arguments) => monitor::run(&arguments),
        Command::Doctor(arguments) => Ok(doctor::run(&arguments)),
        Command::Schema(arguments) => schema::run(&arguments),
        #[cfg(feature = "docker")]
        Command::Image(command) => image::run(&command),
        #[cfg(feature = "docker")]
        Command::Node(command) => node::run(&command),
        Command::Completions(arguments) => completions::run(&arguments),
    };
    ended.unwrap_or_else(|error| fail(&error))
}

/// Writes a command's whole output. Who stops reading, as `head` does, has what he wanted.
fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// Says what of a cluster's objects was passed over or replaced, so that nobody takes it for judged.
fn say_odd(cluster: &Cluster) {
    anstream::eprint!("{}", diagnostic::render_first(&cluster.warnings, Style::Coloured));
    say_ignored(cluster);
}

/// Says what of a cluster's objects was passed over.
fn say_ignored(cluster: &Cluster) {
    if let Some(line) = cluster.ignored_line() {
        anstream::eprintln!("{line}");
    }
}

/// A document for programs, as text.
fn json(document: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(document).expect("plain structs of text always serialise") + "\n"
}

/// Prints an error as a person needs it.
fn fail(error: &Error) -> Exit {
    match error {
        // Each says for itself what is wrong; the count is news only when there are several.
        Error::Input(diagnostics) => {
            anstream::eprint!("{}", diagnostic::render_first(diagnostics, Style::Coloured));
            if diagnostics.len() > 1 {
                anstream::eprintln!("\n{error}");
            }
        }
        Error::OnlyRefused(_)
        | Error::NotInCase { .. }
        | Error::Several { .. }
        | Error::Subject(_)
        | Error::Write { .. }
        | Error::Inside(_)
        | Error::Pod(_)
        | Error::Site(_)
        | Error::Flows(_)
        | Error::Record { .. }
        | Error::InvalidRecord { .. }
        | Error::FlowsOnInput
        | Error::Question(_)
        | Error::Agent(_)
        | Error::Monitor(_) => anstream::eprintln!("error: {error}"),
    }
    error.exit()
}

impl From<DialectWord> for Dialect {
    fn from(word: DialectWord) -> Self {
        match word {
            DialectWord::Cilium => Self::Cilium,
            DialectWord::Cilium119 => Self::Cilium119,
            DialectWord::Kubernetes => Self::Kubernetes,
        }
    }
}
