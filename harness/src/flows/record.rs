//! What is done with flows while a run goes: monitors hear them, and cases leave them as files.

use super::artifacts::{self, Artifacts};
use super::broadcast::Broadcast;
use super::monitor::{self, EventType};
use crate::compare::CaseResult;
use crate::error::Error;
use crate::event::Event;

/// Takes a run's flows.
pub struct Recorder {
    broadcast: Broadcast,
    artifacts: Artifacts,
    /// Types that are printed on standard error.
    print: Vec<EventType>,
    problem: Option<Error>,
}

impl Recorder {
    /// A recorder that writes files as `artifacts` says and prints the lines of these types.
    #[must_use]
    pub fn new(artifacts: Artifacts, print: Vec<EventType>) -> Self {
        Self { broadcast: Broadcast::default(), artifacts, print, problem: None }
    }

    /// Takes one event; a finished case learns where its files are.
    pub fn tell(&mut self, event: &mut Event<'_>) {
        match event {
            Event::StepStarted { .. } => self.broadcast.look(),
            Event::StepFinished { flows, .. } => {
                for (kind, line) in flows.iter().flat_map(monitor::typed_lines) {
                    if self.print.contains(&kind) {
                        anstream::eprintln!("{line}");
                    }
                    self.broadcast.write(kind, &line);
                }
            }
            // Without packets there is nothing to capture, and empty files would say that nothing was sent.
            Event::CaseFinished { report, evidence: Some((case, flows)) } if !flows.is_empty() => {
                let passed = matches!(report.result, CaseResult::Pass);
                let Some(folder) = self.artifacts.folder(&report.name, passed) else { return };
                match artifacts::write(&folder, flows, &case.policies) {
                    Ok(()) => report.artifacts = Some(folder),
                    Err(problem) => self.problem = self.problem.take().or(Some(problem)),
                }
            }
            Event::RunStarted { .. }
            | Event::CaseStarted { .. }
            | Event::CaseFinished { .. }
            | Event::RunFinished(_) => {}
        }
    }

    /// The first file that could not be written, if any.
    ///
    /// # Errors
    /// That one.
    pub fn finish(self) -> Result<(), Error> {
        self.problem.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::case::Loaded;
    use crate::fake::{self, Fake, dns, dropped, reached, syn};
    use crate::run::{Options, Suite};

    /// Runs one case of one probe that is observed dropped; the model predicts `predicted`.
    fn run(artifacts: Artifacts, predicted: egret_core::probe::Observation) -> crate::event::CaseReport {
        let subject = Fake { flows: vec![syn(), dns(None)], ..Fake::with([vec![dropped()]]) };
        let model = Fake::with([vec![predicted]]);
        let case = fake::case(vec![fake::expectation("a -> b", 1, crate::case::Expect::default())]);
        let mut suite = Suite::new(Box::new(subject), Some(Box::new(model)), Options::default());
        let mut recorder = Recorder::new(artifacts, Vec::new());
        let report = suite.one(&Loaded::Case(Box::new(case)), &mut |mut event| recorder.tell(&mut event));
        recorder.finish().unwrap();
        report
    }

    #[test]
    fn a_case_leaves_three_files_and_says_where() {
        let root = tempfile::tempdir().unwrap();
        let report = run(Artifacts::All(root.path().into()), dropped());
        assert_eq!(report.result, CaseResult::Pass);
        let folder = report.artifacts.unwrap();
        assert_eq!(folder, root.path().join("tutorial"));
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        assert!(read("packets.pcapng").starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]));
        assert_eq!(read("flows.jsonl").split(|byte| *byte == b'\n').count(), 4, "verdict, drop, DNS");
        assert_eq!(read("monitor.txt").split(|byte| *byte == b'\n').count(), 4);
    }

    #[test]
    fn without_a_folder_only_failed_cases_leave_theirs() {
        let root = tempfile::tempdir().unwrap();
        let artifacts = || Artifacts::Failed(root.path().into());
        assert_eq!(run(artifacts(), dropped()).artifacts, None);
        assert!(run(artifacts(), reached()).artifacts.is_some());
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut recorder = Recorder::new(Artifacts::All(file.path().into()), Vec::new());
        let case = fake::case(Vec::new());
        let mut suite = Suite::new(Box::new(Fake::default()), None, Options::default());
        let mut report = suite.one(&Loaded::Case(Box::new(case.clone())), &mut |_| {});
        let evidence = Some((&case, &[syn()][..]));
        recorder.tell(&mut Event::CaseFinished { report: &mut report, evidence });
        assert!(recorder.finish().unwrap_err().to_string().starts_with("writing `"));
    }
}
