//! What a command can end with instead of a result, and the exit code of each.

use crate::count::count;
use std::path::PathBuf;

use crate::diagnostic::Diagnostic;
use crate::exit::Exit;
use crate::subject::SubjectError;

/// An expected error of a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cases or policies that were not understood; each names its place.
    #[error("{} in the input", count(.0.len(), "error"))]
    Input(Vec<Diagnostic>),
    /// The case named must be refused, so that there is nothing to run.
    #[error("`{0}` is a case that must be refused: there is nothing to run")]
    OnlyRefused(String),
    /// A step or pod named on the command line is not in the case.
    #[error("no {kind} `{wanted}` in case `{case}`; there are: {}", .there.join(", "))]
    NotInCase {
        /// `step` or `pod`.
        kind: &'static str,
        /// As typed.
        wanted: String,
        /// The case.
        case: String,
        /// What there is, in order.
        there: Vec<String>,
    },
    /// One case was asked for, and the argument leads to more.
    #[error("`{wanted}` leads to several cases: {}", .names.join(", "))]
    Several {
        /// As typed.
        wanted: String,
        /// The cases, in order.
        names: Vec<String>,
    },
    /// The subject cannot run.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// A file could not be written.
    #[error("writing `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The command inside the pod could not start.
    #[error("inside the pod: {0}")]
    Inside(std::io::Error),
    /// A pod's program could not do what it was started for.
    #[error("pod: {0}")]
    Pod(#[from] crate::pod::PodError),
    /// A container's site could not run.
    #[error("this site cannot run: {0}")]
    Site(std::io::Error),
    /// Flows could not be read, or verdicts not written.
    #[error("flows: {0}")]
    Flows(std::io::Error),
    /// A question on the command line that has no answer.
    #[error("{0}")]
    Question(String),
    /// Standard input cannot hold both manifests and flows.
    #[error("flows come from standard input, so that the manifests cannot: write them to a file")]
    FlowsOnInput,
    /// Recorded flows could not be read.
    #[error("reading `{}`: {source}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Recorded flows were not understood.
    #[error("`{}`: {source}", path.display())]
    InvalidRecord {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line where one is.
        source: crate::diff::InvalidRecord,
    },
    /// The agent of a node could not begin, or does not answer; with the causes.
    #[error("{0}")]
    Agent(String),
    /// The monitor's socket failed.
    #[error("monitor socket: {0}")]
    Monitor(std::io::Error),
}

impl Error {
    /// The exit code.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Input(_)
            | Self::OnlyRefused(_)
            | Self::NotInCase { .. }
            | Self::Several { .. }
            | Self::FlowsOnInput
            | Self::Question(_)
            | Self::Record { .. }
            | Self::InvalidRecord { .. } => Exit::Usage,
            Self::Subject(_)
            | Self::Write { .. }
            | Self::Inside(_)
            | Self::Pod(_)
            | Self::Site(_)
            | Self::Flows(_)
            | Self::Agent(_)
            | Self::Monitor(_) => Exit::Environment,
        }
    }
}
