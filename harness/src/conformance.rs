//! A test target in one line: every case of a folder becomes one trial per subject.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     egret::conformance("tests/policies")
//! }
//! ```
//!
//! | situation | lab trials |
//! | --- | --- |
//! | no root | ignored, with the reason |
//! | root, the lab cannot run | ignored, with the reason; failed where `CI=true` |
//! | root, the lab can run | run, one at a time, in one lab |
//!
//! With the feature `docker` there are trials of that subject too. Those are ignored, with the reason, where there is
//! no engine or no static binary for the image, and failed where `CI=true` and `EGRET_IMAGE_BINARY` names one.
//!
//! Listing (`--list`) reads files and opens nothing else, so nextest can run it first.

mod worker;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use self::worker::Worker;
use crate::case::{self, Capability, Loaded};
use crate::compare::CaseResult;
use crate::diagnostic::{self, Style};
use crate::error::Error;
use crate::event::CaseReport;
use crate::report::terminal;
#[cfg(feature = "docker")]
use crate::subject::{Docker, docker};
use crate::subject::{Lab, Model, SubjectKind, lab};

/// Runs the cases of a folder as libtest runs tests, with libtest's arguments. The folder is relative to the
/// package, where `cargo test` and nextest start test targets.
///
/// A folder that cannot be read, and one without cases, fails with [`crate::exit::Exit::Usage`].
pub fn conformance(cases: impl AsRef<Path>) -> ExitCode {
    let arguments = Arguments::from_args();
    match trials(cases.as_ref(), &arguments) {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(error) => {
            if let Error::Input(diagnostics) = &error {
                eprintln!("{}", diagnostic::render_all(diagnostics, Style::Plain));
            }
            eprintln!("error: {error}");
            error.exit().into()
        }
    }
}

/// What the environment says about trials that cannot run, before anything is opened.
#[derive(Clone, Debug)]
struct Environment {
    /// Why the subject cannot run, as far as that is known without trying.
    barred: Option<String>,
    /// A build server that gives what the subject needs: what ought to run there may not be ignored.
    strict: bool,
    /// Nextest counts a trial that ends well as passed, whatever it says about being ignored.
    nextest: bool,
}

impl Environment {
    fn read(subject: SubjectKind) -> Self {
        let ci = std::env::var_os("CI").is_some_and(|value| value == "true");
        let (available, expected) = match subject {
            SubjectKind::Auto | SubjectKind::Model => (Ok(()), true),
            SubjectKind::Kind | SubjectKind::Cluster => (Ok(()), false),
            SubjectKind::Lab => (lab::available(), nix::unistd::geteuid().is_root()),
            #[cfg(feature = "docker")]
            SubjectKind::Docker => (docker::available(), docker::expected()),
            #[cfg(not(feature = "docker"))]
            SubjectKind::Docker => (Ok(()), false),
        };
        Self {
            barred: available.err().map(|error| error.to_string()),
            strict: ci && expected,
            nextest: std::env::var_os("NEXTEST").is_some(),
        }
    }

    /// What a trial ends as when its subject cannot run here.
    fn cannot_run(&self, reason: String) -> Result<Completion, Failed> {
        if self.strict { Err(may_not(&reason)) } else { self.ignored(reason) }
    }

    /// What a trial ends as when it asks more than its subject can do.
    fn ignored(&self, reason: String) -> Result<Completion, Failed> {
        if self.nextest { Err(may_not(&reason)) } else { Ok(Completion::ignored_with(reason)) }
    }
}

fn may_not(reason: &str) -> Failed {
    Failed::from(format!("may not be ignored here: {reason}"))
}

fn trials(folder: &Path, arguments: &Arguments) -> Result<Vec<Trial>, Error> {
    let cases = case::find(folder, &[]).and_then(|found| case::load(&found)).map_err(Error::Input)?;
    let cases: Arc<[Loaded]> = cases.into();
    let subjects = [
        (SubjectKind::Model, Model::NAME, &Model::CAPABILITIES[..]),
        (SubjectKind::Lab, Lab::NAME, &Lab::CAPABILITIES[..]),
        #[cfg(feature = "docker")]
        (SubjectKind::Docker, Docker::NAME, &Docker::CAPABILITIES[..]),
    ];
    let mut trials = Vec::with_capacity(cases.len() * subjects.len());
    for (kind, name, able) in subjects {
        let environment = Environment::read(kind);
        let worker = Arc::new(Worker::new(kind, name, folder, Arc::clone(&cases)));
        for index in 0..cases.len() {
            trials.extend(trial(&cases[index], index, &worker, able, &environment, arguments.list));
        }
    }
    Ok(trials)
}

fn trial(
    loaded: &Loaded,
    index: usize,
    worker: &Arc<Worker>,
    able: &[Capability],
    environment: &Environment,
    list: bool,
) -> Option<Trial> {
    let is_model = worker.subject() == Model::NAME;
    let (name, missing) = match loaded {
        // A refused case is read and never run, so one subject is enough.
        Loaded::Refused { .. } if !is_model => return None,
        Loaded::Refused { name, .. } => (name, false),
        Loaded::Case(case) => (&case.name, case.requires.iter().any(|word| !able.contains(word))),
    };
    let barred = environment.barred.clone();
    // Nextest asks for the names of ignored trials and never starts them. Libtest-mimic leaves out the reason of
    // a trial that is ignored from the start, so otherwise it is the trial that says it.
    let ignored = (missing || (barred.is_some() && !environment.strict)) && (list || environment.nextest);
    let (worker, environment) = (Arc::clone(worker), environment.clone());
    let name = format!("{}::{name}", worker.subject());
    let trial = Trial::ignorable_test(name, move || {
        if let Some(reason) = barred {
            return environment.cannot_run(reason);
        }
        match worker.run(index) {
            Ok(report) => completion(&report, &environment),
            Err(reason) => environment.cannot_run(reason),
        }
    });
    Some(trial.with_ignored_flag(ignored))
}

fn completion(report: &CaseReport, environment: &Environment) -> Result<Completion, Failed> {
    let text = || anstream::adapter::strip_str(&terminal::case(report)).to_string();
    match &report.result {
        CaseResult::Pass | CaseResult::KnownFailure(_) => Ok(Completion::Completed),
        CaseResult::Skipped { .. } => environment.ignored(text().trim().to_owned()),
        CaseResult::Fail
        | CaseResult::Disagree(_)
        | CaseResult::UnexpectedPass(_)
        | CaseResult::Error { .. } => Err(Failed::from(text())),
    }
}
