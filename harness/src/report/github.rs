//! GitHub Actions: annotations on the lines of cases, and the job's summary.
//!
//! Workflow commands: `::error file=…,line=…,col=…,title=…::message`; see "Workflow commands for GitHub Actions"
//! in GitHub's documentation.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{decided, markdown, mismatches, remark};
use crate::error::Error;
use crate::event::{CaseReport, RunReport};
use crate::source::Location;

/// What GitHub Actions tells a job about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Job {
    /// Whether annotations are read from standard output.
    pub annotates: bool,
    /// The file whose Markdown becomes the job's summary.
    pub summary: Option<PathBuf>,
}

impl Job {
    /// From the environment variables `GITHUB_ACTIONS` and `GITHUB_STEP_SUMMARY`.
    #[must_use]
    pub fn from_environment() -> Self {
        let annotates = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let summary = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| annotates && !path.is_empty());
        Self { annotates, summary: summary.map(PathBuf::from) }
    }

    /// Prints the annotations and appends the summary, as far as the job asks for them.
    ///
    /// # Errors
    /// The summary cannot be written.
    pub fn report(&self, report: &RunReport) -> Result<(), Error> {
        if self.annotates {
            // Lost only when nobody reads the job's output any more.
            let _ = std::io::stdout().write_all(annotations(report).as_bytes());
        }
        self.summary.as_deref().map_or(Ok(()), |path| append(path, report))
    }
}

fn append(path: &Path, report: &RunReport) -> Result<(), Error> {
    // Steps of one job share the file, so it is never replaced.
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(markdown::render(report).as_bytes()))
        .map_err(|source| Error::Write { path: path.to_path_buf(), source })
}

/// One line for each probe that is not as expected, each vacuous policy, and each case that could not run.
pub(super) fn annotations(report: &RunReport) -> String {
    let failed = report.cases.iter().filter(|case| case.result.is_failed() || case.result.is_error());
    failed.flat_map(|case| of_case(case, report.subject)).collect()
}

fn of_case(case: &CaseReport, subject: &str) -> Vec<String> {
    let title = format!("{} on {subject}", case.name);
    let mut lines = Vec::new();
    for step in &case.steps {
        for (policy, at) in &step.select_nothing {
            lines.push(error(Some(at), &title, &format!("step {}: {policy} selects nothing", step.name)));
        }
        for probe in step.probes.iter().filter(|probe| probe.comparison.alone.is_some()) {
            let message: Vec<String> = [format!("{}: {}", probe.text, mismatches(probe))]
                .into_iter()
                .chain(decided(probe))
                .collect();
            lines.push(error(Some(&probe.at), &title, &message.join("\n")));
        }
    }
    if lines.is_empty() {
        let message = remark(case).unwrap_or_else(|| case.result.word().to_owned());
        lines.push(error(case.at.as_ref(), &title, &message));
    }
    lines
}

fn error(at: Option<&Location>, title: &str, message: &str) -> String {
    command("error", at, title, message)
}

/// One workflow command: `error` or `warning`, with the place that it annotates.
pub(super) fn command(word: &str, at: Option<&Location>, title: &str, message: &str) -> String {
    let place = at.map(|at| {
        let file = property(&at.source.path.display().to_string());
        format!("file={file},line={},col={},", at.line, at.column)
    });
    format!("::{word} {}title={}::{}\n", place.unwrap_or_default(), property(title), data(message))
}

/// A message: line breaks and percent signs are written as `%XX`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property: colons and commas too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_and_messages_stay_in_their_places() {
        assert_eq!(error(None, "a: b, c", "50%\nmore"), "::error title=a%3A b%2C c::50%25%0Amore\n");
    }
}
