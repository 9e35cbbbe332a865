//! JUnit XML: one suite per subject, one test case per case.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{remark, terminal};
use crate::compare::CaseResult;
use crate::event::{CaseReport, RunReport};

/// The document.
pub(super) fn render(report: &RunReport) -> String {
    let mut suite = TestSuite::new(format!("egret::{}", report.subject));
    suite.set_time(report.duration);
    for case in &report.cases {
        suite.add_test_case(test_case(case, report.subject));
    }
    let mut document = Report::new("egret");
    document.set_time(report.duration).add_test_suite(suite);
    document.to_string().expect("quick-junit writes to memory and replaces what XML cannot hold")
}

fn test_case(case: &CaseReport, subject: &str) -> TestCase {
    let mut status = match &case.result {
        CaseResult::Pass => TestCaseStatus::success(),
        CaseResult::Skipped { required, .. } if required.is_empty() => TestCaseStatus::skipped(),
        CaseResult::KnownFailure(_) => TestCaseStatus::skipped(),
        CaseResult::Error { .. } => TestCaseStatus::non_success(NonSuccessKind::Error),
        CaseResult::Fail
        | CaseResult::Disagree(_)
        | CaseResult::UnexpectedPass(_)
        | CaseResult::Skipped { .. } => TestCaseStatus::non_success(NonSuccessKind::Failure),
    };
    if let Some(remark) = remark(case) {
        status.set_message(remark).set_type(case.result.word());
    }
    if case.result.is_failed() {
        status.set_description(anstream::adapter::strip_str(&terminal::case(case)).to_string());
    }
    let mut test = TestCase::new(case.name.as_str(), status);
    test.set_classname(format!("egret.{subject}")).set_time(case.duration);
    if let Some(at) = &case.at {
        test.extra.insert("file".into(), at.source.path.display().to_string().into());
        test.extra.insert("line".into(), at.line.to_string().into());
    }
    test
}
