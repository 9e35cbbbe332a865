//! One case on one subject: world, then for each step the state, the probes and the three-way comparison.

mod suite;

pub use suite::{Options, Suite};

use std::time::Instant;

use egret_core::flow::Flow;
use egret_core::probe::{Observation, Probe};

use crate::case::{Case, Expectation, PolicyLocations, Step};
use crate::compare::{Alone, CaseResult, Sight, compare, deciders};
use crate::event::{CaseReport, Event, ProbeReport, StepReport};
use crate::subject::{Applied, Subject, SubjectError};

/// Who is asked: the subject, and the model that predicts for it.
pub struct Sides<'a> {
    /// What is under test.
    pub subject: &'a mut dyn Subject,
    /// The model; `None` when the subject is the model, which predicts itself.
    pub model: Option<&'a mut dyn Subject>,
}

/// Why a case stopped, and in which step.
struct Stopped {
    step: Option<String>,
    error: SubjectError,
}

/// Runs one case to its end and tells what happens. The report says `error` when a part could not run.
pub fn case(case: &Case, sides: &mut Sides<'_>, tell: &mut dyn FnMut(Event<'_>)) -> (CaseReport, Vec<Flow>) {
    let start = Instant::now();
    let mut report = CaseReport {
        name: case.name.clone(),
        title: case.title.clone(),
        at: Some(case.at.clone()),
        result: CaseResult::Pass,
        steps: Vec::with_capacity(case.steps.len()),
        refusal: None,
        duration: std::time::Duration::ZERO,
        artifacts: None,
    };
    let mut flows = Vec::new();
    let ended = steps(case, sides, &mut report.steps, &mut flows, tell);
    report.result = match ended {
        Ok(()) => result_of(&report.steps),
        Err(stopped) => CaseResult::Error { step: stopped.step, problem: stopped.error.to_string() },
    };
    report.duration = start.elapsed();
    (report, flows)
}

fn steps(
    case: &Case,
    sides: &mut Sides<'_>,
    reports: &mut Vec<StepReport>,
    flows: &mut Vec<Flow>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Stopped> {
    sides.begin(case).map_err(|error| Stopped { step: None, error })?;
    if !case.openings.is_empty() {
        // How they opened shows in the first step.
        sides.probe(&case.openings).map_err(|error| Stopped { step: None, error })?;
    }
    for step in &case.steps {
        tell(Event::StepStarted { case: &case.name, step: &step.name });
        let outcome = run_step(step, sides);
        // The flows of a step that stopped are the evidence of why it did.
        let new_flows = sides.subject.flows();
        let report = outcome.map_err(|error| Stopped { step: Some(step.name.clone()), error });
        if let Ok(report) = &report {
            tell(Event::StepFinished { case, step: report, flows: &new_flows });
        }
        flows.extend(new_flows);
        reports.push(report?);
    }
    Ok(())
}

fn run_step(step: &Step, sides: &mut Sides<'_>) -> Result<StepReport, SubjectError> {
    let start = Instant::now();
    let applied = sides.apply(step)?;
    let probes: Vec<Probe> = step.expectations.iter().map(|expectation| expectation.probe.clone()).collect();
    let (predicted, observed) = sides.probe(&probes)?;
    let sight = sides.subject.sight();
    let probes = step
        .expectations
        .iter()
        .zip(predicted)
        .zip(observed)
        .map(|((expectation, predicted), observed)| {
            judge(&step.policies, expectation, predicted, observed, sight)
        })
        .collect();
    Ok(StepReport {
        name: step.name.clone(),
        at: step.at.clone(),
        applied,
        select_nothing: step.select_nothing.clone(),
        probes,
        duration: start.elapsed(),
    })
}

fn judge(
    policies: &PolicyLocations,
    expectation: &Expectation,
    predicted: Observation,
    observed: Observation,
    sight: Sight,
) -> ProbeReport {
    let comparison = compare(&expectation.expect, &predicted, &observed, sight);
    let deciders =
        deciders(&observed).into_iter().map(|author| (author.to_string(), policies.of(author))).collect();
    ProbeReport {
        text: expectation.text.clone(),
        at: expectation.at.clone(),
        expect: expectation.expect.clone(),
        predicted,
        observed,
        comparison,
        deciders,
    }
}

/// A step whose policies select nothing fails, whatever its probes say.
fn result_of(steps: &[StepReport]) -> CaseResult {
    let vacuous = steps.iter().any(|step| !step.select_nothing.is_empty());
    let probes = steps.iter().flat_map(|step| &step.probes).map(|probe| probe.comparison.alone);
    CaseResult::of_probes(probes.chain([vacuous.then_some(Alone::Expected)]))
}

// === impl Sides ===

impl Sides<'_> {
    fn begin(&mut self, case: &Case) -> Result<(), SubjectError> {
        if let Some(model) = &mut self.model {
            model.begin(case)?;
        }
        self.subject.begin(case)
    }

    fn apply(&mut self, step: &Step) -> Result<Applied, SubjectError> {
        if let Some(model) = &mut self.model {
            model.apply(step)?;
        }
        self.subject.apply(step)
    }

    /// Predicted and observed, each one per probe.
    fn probe(&mut self, probes: &[Probe]) -> Result<(Vec<Observation>, Vec<Observation>), SubjectError> {
        let predicted = self.model.as_mut().map(|model| model.probe(probes)).transpose()?;
        let observed = self.subject.probe(probes)?;
        let answers = (predicted.as_ref().unwrap_or(&observed).len(), observed.len());
        if answers != (probes.len(), probes.len()) {
            return Err(SubjectError::Run {
                what: "comparing".into(),
                problem: format!(
                    "{} probes, but {} predictions and {} observations",
                    probes.len(),
                    answers.0,
                    answers.1
                ),
            });
        }
        Ok((predicted.unwrap_or_else(|| observed.clone()), observed))
    }
}

#[cfg(test)]
mod tests;
