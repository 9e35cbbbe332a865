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
