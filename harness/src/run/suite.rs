//! Many cases on one subject: skips, known failures, refused cases, and the run's report.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Sides;
use crate::case::{Capability, Case, Loaded};
use crate::compare::CaseResult;
use crate::event::{CaseReport, Event, Refusal, RunReport};
use crate::known::Known;
use crate::subject::Subject;

/// What holds for every case of a run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Capabilities whose absence fails a case instead of skipping it.
    pub require: BTreeSet<Capability>,
    /// Known failures of the subject.
    pub known: Known,
}

/// A subject, the model beside it, and what holds for every case.
pub struct Suite {
    subject: Box<dyn Subject>,
    model: Option<Box<dyn Subject>>,
    options: Options,
}

impl Suite {
    /// A suite; `model` is `None` when the subject is the model.
    #[must_use]
    pub fn new(subject: Box<dyn Subject>, model: Option<Box<dyn Subject>>, options: Options) -> Self {
        Self { subject, model, options }
    }

    /// Runs all cases in order and tells what happens; `note` says why the subject is not another one.
    pub fn run(
        &mut self,
        cases: &[Loaded],
        note: Option<String>,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> RunReport {
        let start = Instant::now();
        let subject = self.subject.name();
        tell(Event::RunStarted { subject, note: note.as_deref(), cases: cases.len() });
        let reports = cases.iter().map(|loaded| self.one(loaded, tell)).collect();
        let report = RunReport { subject, note, cases: reports, duration: start.elapsed() };
        tell(Event::RunFinished(&report));
        report
    }

    /// Runs one case.
    pub fn one(&mut self, loaded: &Loaded, tell: &mut dyn FnMut(Event<'_>)) -> CaseReport {
        let (mut report, evidence) = match loaded {
            Loaded::Refused { name, expected, actual } => (refused(name, expected, actual), None),
            Loaded::Case(case) => {
                tell(Event::CaseStarted { name: &case.name });
                match self.skip(case) {
                    Some(skipped) => (not_run(case, skipped), None),
                    None => {
                        let (report, flows) = super::case(case, &mut self.sides(), tell);
                        (report, Some((&**case, flows)))
                    }
                }
            }
        };
        if let Some(known) = self.options.known.get(&report.name) {
            report.result = report.result.with_known(known.clone());
        }
        let evidence = evidence.as_ref().map(|(case, flows)| (*case, flows.as_slice()));
        tell(Event::CaseFinished { report: &mut report, evidence });
        report
    }

    fn sides(&mut self) -> Sides<'_> {
        // The cast shortens the trait object's lifetime.
        let model = self.model.as_mut().map(|model| &mut **model as &mut dyn Subject);
        Sides { subject: &mut *self.subject, model }
    }

    fn skip(&self, case: &Case) -> Option<CaseResult> {
        let missing: Vec<Capability> = self.subject.lacks(case).into_iter().collect();
        let required = missing.iter().filter(|word| self.options.require.contains(word)).copied().collect();
        let why = missing.iter().filter_map(|word| self.subject.why_lacking(*word)).collect();
        (!missing.is_empty()).then_some(CaseResult::Skipped { missing, required, why })
    }
}

fn not_run(case: &Case, result: CaseResult) -> CaseReport {
    CaseReport {
        name: case.name.clone(),
        title: case.title.clone(),
        at: Some(case.at.clone()),
        result,
        steps: Vec::new(),
        refusal: None,
        duration: Duration::ZERO,
        artifacts: None,
    }
}

/// A case that must be refused passes when it was, with exactly the message beside it.
fn refused(name: &str, expected: &str, actual: &str) -> CaseReport {
    let agrees = expected == actual;
    CaseReport {
        name: name.to_owned(),
        title: "must be refused, with the message beside it".into(),
        at: None,
        result: if agrees { CaseResult::Pass } else { CaseResult::Fail },
        steps: Vec::new(),
        refusal: (!agrees).then(|| Refusal { expected: expected.to_owned(), actual: actual.to_owned() }),
        duration: Duration::ZERO,
        artifacts: None,
    }
}
