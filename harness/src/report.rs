//! Results to bytes: one file per format, and the words that all of them share.

pub mod findings;
pub mod github;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod terminal;

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::case::Capability;
use crate::compare::CaseResult;
use crate::count::count;
use crate::error::Error;
use crate::event::{CaseReport, ProbeReport, RunReport};
use crate::source::Location;

/// The formats that `--report` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// JUnit XML, as build servers read it.
    Junit,
    /// Everything, for programs.
    Json,
    /// A page for people.
    Markdown,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Junit, Self::Json, Self::Markdown];

    /// The word on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Junit => "junit",
            Self::Json => "json",
            Self::Markdown => "markdown",
        }
    }

    fn render(self, report: &RunReport) -> String {
        match self {
            Self::Junit => junit::render(report),
            Self::Json => json::render(report),
            Self::Markdown => markdown::render(report),
        }
    }
}

/// One `--report FORMAT=FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The format.
    pub format: Format,
    /// The file; its folder is made when it is not there.
    pub path: PathBuf,
}

/// Why a `--report` was not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    /// No `=FILE`.
    #[error("`{0}` names no file; write FORMAT=FILE, for example junit=target/junit.xml")]
    NoFile(String),
    /// Not a format.
    #[error("`{0}` is not a report format; there are junit, json and markdown")]
    Format(String),
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            None | Some((_, "")) => Err(InvalidTarget::NoFile(text.to_owned())),
            Some((word, path)) => {
                let format = Format::ALL.into_iter().find(|format| format.word() == word);
                let format = format.ok_or_else(|| InvalidTarget::Format(word.to_owned()))?;
                Ok(Self { format, path: path.into() })
            }
        }
    }
}

/// Writes one report.
///
/// # Errors
/// The file cannot be written.
pub fn write(target: &Target, report: &RunReport) -> Result<(), Error> {
    let folder = target.path.parent().map_or(Ok(()), fs::create_dir_all);
    folder
        .and_then(|()| fs::write(&target.path, target.format.render(report)))
        .map_err(|source| Error::Write { path: target.path.clone(), source })
}

/// `tests/a.yaml:3`: what terminals and editors open.
fn place(at: &Location) -> String {
    format!("{}:{}", at.source.path.display(), at.line)
}

/// A duration with three digits that matter.
fn duration(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.0} µs"),
        ..1e4 => format!("{:.2} ms", micros / 1e3),
        ..1e6 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.2} s", micros / 1e6),
    }
}

/// `14 cases on lab: 12 passed, 1 failed, 1 skipped (ipv6)`; numbers that are zero are left out, except the passes.
fn totals(report: &RunReport) -> String {
    let mut parts = vec![format!("{} passed", report.count("pass"))];
    for word in ["fail", "disagree", "unexpected pass", "known failure", "skipped", "error"] {
        let number = report.count(word);
        let text = match word {
            "fail" => format!("{number} failed"),
            "disagree" => format!("{number} in disagreement"),
            "unexpected pass" => count(number, "unexpected pass").replace("passs", "passes"),
            "error" => format!("{number} could not run"),
            "skipped" => format!("{number} skipped ({})", missing(report)),
            _ => count(number, word),
        };
        if number > 0 {
            parts.push(text);
        }
    }
    format!("{} on {}: {}", count(report.cases.len(), "case"), report.subject, parts.join(", "))
}

/// The capabilities for whose absence cases were skipped, each with the number of cases.
fn missing(report: &RunReport) -> String {
    let mut numbers = std::collections::BTreeMap::<Capability, usize>::new();
    for case in &report.cases {
        if let CaseResult::Skipped { missing, .. } = &case.result {
            missing.iter().for_each(|word| *numbers.entry(*word).or_default() += 1);
        }
    }
    let texts: Vec<String> =
        numbers.iter().map(|(word, number)| format!("{} needed by {number}", word.word())).collect();
    texts.join(", ")
}

fn words(capabilities: &[Capability]) -> String {
    let words: Vec<&str> = capabilities.iter().map(|capability| capability.word()).collect();
    words.join(", ")
}

/// What a result says beside its word, in one line; nothing for a pass.
fn remark(case: &CaseReport) -> Option<String> {
    match &case.result {
        CaseResult::Pass => {
            let probes = case.steps.iter().flat_map(|step| &step.probes);
            let rows = probes.flat_map(|probe| &probe.comparison.rows);
            let unseen = rows.filter(|row| !row.is_observed && row.expected.is_some()).count();
            (unseen > 0).then(|| format!("{} not observed", count(unseen, "expectation")))
        }
        CaseResult::Fail | CaseResult::Disagree(_) => {
            let probes = case.steps.iter().flat_map(|step| &step.probes);
            let wrong = probes.filter(|probe| probe.comparison.alone.is_some()).count();
            let vacuous: usize = case.steps.iter().map(|step| step.select_nothing.len()).sum();
            let mut parts = Vec::new();
            if wrong > 0 {
                parts.push(format!("{} not as expected", count(wrong, "probe")));
            }
            if vacuous > 0 {
                parts.push(format!("{} that select nothing", count(vacuous, "applied object")));
            }
            if case.refusal.is_some() {
                parts.push("the message is another one".into());
            }
            Some(parts.join(", "))
        }
        CaseResult::KnownFailure(known) => Some(format!("{} ({})", known.reason, known.link)),
        CaseResult::UnexpectedPass(known) => {
            Some(format!("listed as failing: {} ({}); take it off the list", known.reason, known.link))
        }
        CaseResult::Skipped { missing, required, why } => {
            let listed = if required.is_empty() { "" } else { ", which --require lists" };
            let lacking = words(if required.is_empty() { missing } else { required });
            let why: String = why.iter().map(|why| format!(": {why}")).collect();
            Some(format!("the subject lacks {lacking}{listed}{why}"))
        }
        CaseResult::Error { step: None, problem } => Some(format!("could not start: {problem}")),
        CaseResult::Error { step: Some(step), problem } => {
            Some(format!("stopped in step `{step}`: {problem}"))
        }
    }
}

/// A probe's mismatches in one line: `client: expected ok, predicted timeout, observed timeout; …`.
fn mismatches(probe: &ProbeReport) -> String {
    let fields: Vec<String> = probe
        .comparison
        .mismatches()
        .map(|row| {
            let columns =
                [("expected", &row.expected), ("predicted", &row.predicted), ("observed", &row.observed)];
            let texts: Vec<String> = columns
                .into_iter()
                .filter(|(name, text)| *name != "expected" || text.is_some())
                .map(|(name, text)| format!("{name} {}", text.as_deref().unwrap_or("nothing")))
                .collect();
            format!("{}: {}", row.field.word(), texts.join(", "))
        })
        .collect();
    fields.join("; ")
}

/// Who decided, in one line: `default deny at cases/deny-all.yaml:1`; nothing when nobody did.
fn decided(probe: &ProbeReport) -> Option<String> {
    let authors: Vec<String> = probe
        .deciders
        .iter()
        .map(|(author, places)| {
            let places: Vec<String> = places.iter().map(place).collect();
            if places.is_empty() { author.clone() } else { format!("{author} at {}", places.join(", ")) }
        })
        .collect();
    (!authors.is_empty()).then(|| format!("decided by {}", authors.join("; ")))
}

#[cfg(test)]
mod tests;
