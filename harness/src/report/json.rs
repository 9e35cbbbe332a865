//! Everything that a run found, as one JSON document. Field names are part of the contract with programs.

use serde::Serialize;

use super::remark;
use crate::compare::CaseResult;
use crate::event::{CaseReport, ProbeReport, RunReport, StepReport};
use crate::source::Location;

/// Raised when a field changes its meaning or goes; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Run<'a> {
    version: u32,
    subject: &'a str,
    note: Option<&'a str>,
    duration_us: u128,
    failed: usize,
    errors: usize,
    cases: Vec<Case<'a>>,
}

#[derive(Serialize)]
struct Case<'a> {
    name: &'a str,
    title: &'a str,
    #[serde(flatten)]
    at: Option<Place>,
    result: &'static str,
    failed: bool,
    remark: Option<String>,
    /// For `disagree`: who stands alone, over all probes.
    alone: Vec<&'static str>,
    /// For `skipped`: what the subject lacks.
    missing: Vec<&'static str>,
    duration_us: u128,
    artifacts: Option<String>,
    steps: Vec<Step<'a>>,
}

#[derive(Serialize)]
struct Step<'a> {
    name: &'a str,
    #[serde(flatten)]
    at: Place,
    revision: u64,
    convergence_us: u128,
    duration_us: u128,
    select_nothing: Vec<Author>,
    probes: Vec<Probe<'a>>,
}

#[derive(Serialize)]
struct Probe<'a> {
    probe: &'a str,
    #[serde(flatten)]
    at: Place,
    /// `null` when all three agree.
    alone: Option<&'static str>,
    fields: Vec<Field<'a>>,
    decided_by: Vec<Author>,
}

#[derive(Serialize)]
struct Field<'a> {
    field: &'static str,
    agrees: bool,
    expected: Option<&'a str>,
    predicted: Option<&'a str>,
    observed: Option<&'a str>,
    /// False where the subject cannot see the field: it then counts for nothing.
    is_observed: bool,
}

#[derive(Serialize)]
struct Author {
    author: String,
    places: Vec<Place>,
}

#[derive(Serialize)]
struct Place {
    file: String,
    line: usize,
    column: usize,
}

/// The document, with a newline at its end.
pub(super) fn render(report: &RunReport) -> String {
    let run = Run {
        version: VERSION,
        subject: report.subject,
        note: report.note.as_deref(),
        duration_us: report.duration.as_micros(),
        failed: report.failed(),
        errors: report.errors(),
        cases: report.cases.iter().map(case).collect(),
    };
    serde_json::to_string_pretty(&run).expect("plain structs of text and numbers always serialise") + "\n"
}

fn case(case: &CaseReport) -> Case<'_> {
    Case {
        name: &case.name,
        title: &case.title,
        at: case.at.as_ref().map(place),
        result: case.result.word(),
        failed: case.result.is_failed(),
        remark: remark(case),
        alone: match &case.result {
            CaseResult::Disagree(alone) => alone.iter().map(|alone| alone.word()).collect(),
            CaseResult::Pass
            | CaseResult::Fail
            | CaseResult::KnownFailure(_)
            | CaseResult::UnexpectedPass(_)
            | CaseResult::Skipped { .. }
            | CaseResult::Error { .. } => Vec::new(),
        },
        missing: match &case.result {
            CaseResult::Skipped { missing, .. } => missing.iter().map(|word| word.word()).collect(),
            CaseResult::Pass
            | CaseResult::Fail
            | CaseResult::Disagree(_)
            | CaseResult::KnownFailure(_)
            | CaseResult::UnexpectedPass(_)
            | CaseResult::Error { .. } => Vec::new(),
        },
        duration_us: case.duration.as_micros(),
        artifacts: case.artifacts.as_ref().map(|folder| folder.display().to_string()),
        steps: case.steps.iter().map(step).collect(),
    }
}

fn step(step: &StepReport) -> Step<'_> {
    Step {
        name: &step.name,
        at: place(&step.at),
        revision: step.applied.revision,
        convergence_us: step.applied.convergence.as_micros(),
        duration_us: step.duration.as_micros(),
        select_nothing: step
            .select_nothing
            .iter()
            .map(|(policy, at)| Author { author: policy.to_string(), places: vec![place(at)] })
            .collect(),
        probes: step.probes.iter().map(probe).collect(),
    }
}

fn probe(probe: &ProbeReport) -> Probe<'_> {
    Probe {
        probe: &probe.text,
        at: place(&probe.at),
        alone: probe.comparison.alone.map(|alone| alone.word()),
        fields: probe
            .comparison
            .rows
            .iter()
            .map(|row| Field {
                field: row.field.word(),
                agrees: row.agrees,
                expected: row.expected.as_deref(),
                predicted: row.predicted.as_deref(),
                observed: row.observed.as_deref(),
                is_observed: row.is_observed,
            })
            .collect(),
        decided_by: probe
            .deciders
            .iter()
            .map(|(author, places)| Author {
                author: author.clone(),
                places: places.iter().map(place).collect(),
            })
            .collect(),
    }
}

fn place(at: &Location) -> Place {
    Place { file: at.source.path.display().to_string(), line: at.line, column: at.column }
}
