//! The runner over a scripted subject.

use std::collections::BTreeSet;

use egret_core::probe::Outcome;

use super::*;
use crate::case::{Capability, ClientWord, Expect, Loaded};
use crate::compare::KnownReason;
use crate::fake::{self, Fake, at, deny_all, dropped, expectation, reached};

fn timeout() -> Expect {
    Expect { client: Some(ClientWord::Is(Outcome::Timeout)), ..Expect::default() }
}

fn one(case: Case, subject: Fake, model: Fake, options: Options) -> CaseReport {
    let mut suite = Suite::new(Box::new(subject), Some(Box::new(model)), options);
    suite.one(&Loaded::Case(Box::new(case)), &mut |_| {})
}

fn simple() -> Case {
    fake::case(vec![expectation("nginx -> http://api.twitter.com", 24, timeout())])
}

fn answers() -> Fake {
    Fake::with([vec![dropped()]])
}

#[test]
fn a_case_whose_three_values_agree_passes() {
    let report = one(simple(), answers(), answers(), Options::default());
    assert_eq!(report.result, CaseResult::Pass);
    let probe = &report.steps[0].probes[0];
    let (author, places) = &probe.deciders[0];
    assert_eq!((author.as_str(), places[0].line), ("default deny", 3));
}

#[test]
fn a_disagreement_fails_and_names_who_stands_alone() {
    let report = one(simple(), answers(), Fake::with([vec![reached()]]), Options::default());
    assert_eq!(report.result, CaseResult::Disagree(BTreeSet::from([Alone::Predicted])));
    assert!(report.result.is_failed());
}

#[test]
fn a_policy_that_selects_nothing_fails_its_step() {
    let mut case = simple();
    case.steps[0].select_nothing = vec![(deny_all(), at("cases/tutorial/deny-all.yaml", 1))];
    assert_eq!(one(case, answers(), answers(), Options::default()).result, CaseResult::Fail);
}

#[test]
fn a_case_that_cannot_run_is_an_error_and_never_a_pass() {
    let broken = Fake { begin_fails: true, ..answers() };
    let report = one(simple(), broken, answers(), Options::default());
    let problem = "veth: no such device".to_owned();
    assert_eq!(report.result, CaseResult::Error { step: None, problem });
    assert!(report.result.is_error() && !report.result.is_failed());

    let report = one(simple(), Fake::default(), answers(), Options::default());
    let problem = "3 flow records were lost, so what happened to the packets is not known".to_owned();
    assert_eq!(report.result, CaseResult::Error { step: Some("deny all".into()), problem });
}

#[test]
fn a_subject_that_answers_too_little_is_an_error() {
    let report = one(simple(), Fake::with([vec![]]), answers(), Options::default());
    assert!(report.result.is_error(), "{:?}", report.result);
}

#[test]
fn a_missing_capability_skips_and_fails_where_it_is_required() {
    let case = || Case { requires: BTreeSet::from([Capability::Cilium, Capability::Ipv6]), ..simple() };
    let skipped = one(case(), answers(), answers(), Options::default()).result;
    let missing = vec![Capability::Ipv6];
    assert_eq!(skipped, CaseResult::Skipped { missing, required: vec![], why: vec![] });
    assert!(!skipped.is_failed());
    let options = Options { require: BTreeSet::from([Capability::Ipv6]), ..Options::default() };
    assert!(one(case(), answers(), answers(), options).result.is_failed());
}

#[test]
fn known_failures_must_fail() {
    let known = KnownReason { reason: "slow".into(), link: "https://x".into() };
    let options = || Options { known: [("tutorial".into(), known.clone())].into(), ..Options::default() };
    let failing = Fake::with([vec![reached()]]);
    let report = one(simple(), failing, Fake::with([vec![reached()]]), options());
    assert_eq!(report.result, CaseResult::KnownFailure(known.clone()));
    let report = one(simple(), answers(), answers(), options());
    assert_eq!(report.result, CaseResult::UnexpectedPass(known));
    assert!(report.result.is_failed());
}

#[test]
fn the_model_predicts_itself_and_flows_reach_the_listener() {
    let subject = Fake { flows: vec![fake::syn()], ..answers() };
    let mut suite = Suite::new(Box::new(subject), None, Options::default());
    let mut told = Vec::new();
    let case = Loaded::Case(Box::new(simple()));
    let report = suite.run(std::slice::from_ref(&case), None, &mut |event| {
        told.push(match event {
            Event::RunStarted { cases, .. } => format!("run of {cases}"),
            Event::CaseStarted { name } => format!("case {name}"),
            Event::StepStarted { step, .. } => format!("step {step}"),
            Event::StepFinished { flows, .. } => format!("step with {} flows", flows.len()),
            Event::CaseFinished { report, evidence } => {
                format!("{} with {} flows", report.result.word(), evidence.unwrap().1.len())
            }
            Event::RunFinished(report) => format!("{} failed", report.failed()),
        });
    });
    assert_eq!(report.cases[0].result, CaseResult::Pass);
    let expected =
        ["run of 1", "case tutorial", "step deny all", "step with 1 flows", "pass with 1 flows", "0 failed"];
    assert_eq!(told, expected);
}

#[test]
fn a_refused_case_passes_with_exactly_its_message() {
    let mut suite = Suite::new(Box::new(Fake::default()), None, Options::default());
    let mut one = |actual: &str| {
        let loaded =
            Loaded::Refused { name: "refused/cidr".into(), expected: "no".into(), actual: actual.into() };
        suite.one(&loaded, &mut |_| {}).result
    };
    assert_eq!(one("no"), CaseResult::Pass);
    assert_eq!(one(""), CaseResult::Fail);
}
