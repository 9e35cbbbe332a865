//! Every format over one run that holds every result.

use std::collections::BTreeSet;
use std::time::Duration;

use egret_core::probe::Outcome;

use super::*;
use crate::case::{ClientWord, Expect};
use crate::compare::{Alone, KnownReason, Sight, compare};
use crate::event::{Refusal, StepReport};
use crate::fake::{at, deny_all, dropped, reached};
use crate::subject::Applied;

fn case(name: &str, result: CaseResult) -> CaseReport {
    CaseReport {
        name: name.into(),
        title: "toFQDNs opens exactly the names it lists".into(),
        at: Some(at("cases/tutorial/case.yaml", 1)),
        result,
        steps: Vec::new(),
        refusal: None,
        duration: Duration::from_micros(12_345),
        artifacts: None,
    }
}

fn probe(observed: &egret_core::probe::Observation) -> ProbeReport {
    let expect = Expect { client: Some(ClientWord::Is(Outcome::Ok)), ..Expect::default() };
    let predicted = dropped();
    ProbeReport {
        text: "nginx -> http://api.github.com".into(),
        at: at("cases/tutorial/case.yaml", 24),
        comparison: compare(&expect, &predicted, observed, Sight::Flows),
        expect,
        predicted,
        observed: observed.clone(),
        deciders: vec![("default deny".into(), vec![at("cases/tutorial/deny-all.yaml", 1)])],
    }
}

fn step(probes: Vec<ProbeReport>) -> StepReport {
    StepReport {
        name: "deny all".into(),
        at: at("cases/tutorial/case.yaml", 20),
        applied: Applied { revision: 2, convergence: Duration::from_micros(250) },
        select_nothing: Vec::new(),
        probes,
        duration: Duration::from_micros(1_500),
    }
}

fn run() -> RunReport {
    let known = || KnownReason { reason: "slow".into(), link: "https://example.com/1".into() };
    let mut failed = case("tutorial", CaseResult::Fail);
    failed.steps = vec![step(vec![probe(&dropped())])];
    failed.steps[0].select_nothing = vec![(deny_all(), at("cases/tutorial/deny-all.yaml", 1))];
    failed.artifacts = Some("target/egret/tutorial".into());
    let mut apart = case("apart", CaseResult::Disagree(BTreeSet::from([Alone::Predicted])));
    apart.steps = vec![step(vec![probe(&reached())])];
    let mut refused = case("refused/cidr", CaseResult::Fail);
    refused.refusal = Some(Refusal { expected: "error: bad\n".into(), actual: "error: worse\n".into() });
    refused.at = None;
    let skipped = |required| CaseResult::Skipped {
        missing: vec![Capability::Ipv6],
        required,
        why: vec!["the engine has none; start it with --ipv6".into()],
    };
    RunReport {
        subject: "model",
        note: Some("real packets need root".into()),
        cases: vec![
            case("passes", CaseResult::Pass),
            failed,
            apart,
            refused,
            case("known", CaseResult::KnownFailure(known())),
            case("surprise", CaseResult::UnexpectedPass(known())),
            case("six", skipped(Vec::new())),
            case("six-required", skipped(vec![Capability::Ipv6])),
            case(
                "broken",
                CaseResult::Error { step: Some("deny all".into()), problem: "no such device".into() },
            ),
        ],
        duration: Duration::from_millis(321),
    }
}

#[test]
fn terminal_report() {
    let report = run();
    let text: String = report.cases.iter().map(terminal::case).collect();
    let text = text + &terminal::summary(&report);
    insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string());
}

#[test]
fn json_report() {
    let mut report = run();
    report.cases.retain(|case| ["tutorial", "six"].contains(&case.name.as_str()));
    insta::assert_snapshot!(Format::Json.render(&report));
}

#[test]
fn junit_report() {
    let text = Format::Junit.render(&run());
    assert_eq!(quick_junit::Report::deserialize_from_str(&text).unwrap().test_suites[0].test_cases.len(), 9);
    insta::assert_snapshot!(text);
}

#[test]
fn markdown_report() {
    insta::assert_snapshot!(Format::Markdown.render(&run()));
}

#[test]
fn github_annotations() {
    insta::assert_snapshot!(github::annotations(&run()));
}

#[test]
fn the_job_summary_is_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("summary.md");
    let job = github::Job { annotates: false, summary: Some(path.clone()) };
    job.report(&run()).unwrap();
    job.report(&run()).unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), Format::Markdown.render(&run()).repeat(2));
}

#[test]
fn targets_are_written_below_folders_that_are_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b.json");
    let target: Target = format!("json={}", path.display()).parse().unwrap();
    write(&target, &run()).unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), Format::Json.render(&run()));
}

#[test]
fn a_target_needs_a_known_format_and_a_file() {
    let problem = |text: &str| text.parse::<Target>().unwrap_err().to_string();
    assert_eq!(problem("xml=a"), "`xml` is not a report format; there are junit, json and markdown");
    assert!(problem("junit").starts_with("`junit` names no file"));
    assert!(problem("junit=").starts_with("`junit=` names no file"));
}
