//! What a run tells while it goes: the typed events that reports, captures and monitors are made from.

use std::path::PathBuf;
use std::time::Duration;

use egret_core::author::PolicyId;
use egret_core::flow::Flow;
use egret_core::probe::Observation;

use crate::case::{Case, Expect};
use crate::compare::{CaseResult, Comparison};
use crate::source::Location;
use crate::subject::Applied;

/// One event of a run, in the order in which things happen.
#[derive(Debug)]
pub enum Event<'a> {
    /// The subject is chosen and the cases are read.
    RunStarted {
        /// Name of the subject.
        subject: &'static str,
        /// Why it is not the one that was hoped for.
        note: Option<&'a str>,
        /// Number of cases to come.
        cases: usize,
    },
    /// A case begins.
    CaseStarted {
        /// Its name.
        name: &'a str,
    },
    /// A step is about to be applied.
    StepStarted {
        /// The case's name.
        case: &'a str,
        /// The step's name.
        step: &'a str,
    },
    /// A step's probes are judged; the flows are those since the step before.
    StepFinished {
        /// The case.
        case: &'a Case,
        /// The step.
        step: &'a StepReport,
        /// Flows in order of time; empty where the subject has no packets.
        flows: &'a [Flow],
    },
    /// A case is judged.
    CaseFinished {
        /// What happened.
        report: &'a mut CaseReport,
        /// The case, and every flow of it, in order of time; `None` for a case that is only read.
        evidence: Option<(&'a Case, &'a [Flow])>,
    },
    /// The last case is judged.
    RunFinished(&'a RunReport),
}

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// Name of the subject.
    pub subject: &'static str,
    /// Why it is not the one that was hoped for.
    pub note: Option<String>,
    /// Every case, in the order of the run.
    pub cases: Vec<CaseReport>,
    /// From the first case's start to the last one's end.
    pub duration: Duration,
}

impl RunReport {
    /// Number of cases with this result word.
    #[must_use]
    pub fn count(&self, word: &str) -> usize {
        self.cases.iter().filter(|case| case.result.word() == word).count()
    }

    /// How many cases let the run fail.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.cases.iter().filter(|case| case.result.is_failed()).count()
    }

    /// How many cases could not run.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.cases.iter().filter(|case| case.result.is_error()).count()
    }
}

/// One case, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    /// The case's name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Place of its title; the case's file for a refused one.
    pub at: Option<Location>,
    /// The result.
    pub result: CaseResult,
    /// Steps that ran, in order.
    pub steps: Vec<StepReport>,
    /// For a case that must be refused: the expected and the actual message, when they differ.
    pub refusal: Option<Refusal>,
    /// From the world's start to the last comparison.
    pub duration: Duration,
    /// Folder of its packets and flows, when they were written.
    pub artifacts: Option<PathBuf>,
}

/// The two messages of a case that must be refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The message beside the case.
    pub expected: String,
    /// The message that came; empty when the case was not refused.
    pub actual: String,
}

/// One step, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// Its place.
    pub at: Location,
    /// How its state came into force.
    pub applied: Applied,
    /// Policies that select no endpoint: the step fails.
    pub select_nothing: Vec<(PolicyId, Location)>,
    /// Probes in the order of the file.
    pub probes: Vec<ProbeReport>,
    /// From the application to the last comparison.
    pub duration: Duration,
}

/// One probe, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeReport {
    /// The expectation as the file has it.
    pub text: String,
    /// Its place.
    pub at: Location,
    /// What was expected.
    pub expect: Expect,
    /// What the model said.
    pub predicted: Observation,
    /// What the subject did.
    pub observed: Observation,
    /// The three against each other.
    pub comparison: Comparison,
    /// Who decided what was observed, with the places of the rules.
    pub deciders: Vec<(String, Vec<Location>)>,
}

impl StepReport {
    /// Whether the step fails the case.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        !self.select_nothing.is_empty() || self.probes.iter().any(|probe| probe.comparison.alone.is_some())
    }
}
