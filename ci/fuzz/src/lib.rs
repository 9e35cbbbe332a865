//! What several targets share: a cluster, and that a place lies in its text and a refusal says what is wrong and where.

use egret::case::PolicyLocations;
use egret::cluster::of_sources;
use egret::diagnostic::{Diagnostic, Style};
use egret::source::{Location, Source};
use egret_core::fqdn::Names;
use egret_core::judge::Cluster;

/// Two pods, a service in front of one of them, and a policy with rules of every layer.
///
/// # Panics
/// The manifests are wrong.
#[must_use]
pub fn cluster() -> (Cluster, PolicyLocations) {
    let source = Source::new("cluster.yaml", include_str!("cluster.yaml"));
    let cluster = of_sources(&[source], None).expect("right");
    (Cluster::new(&cluster.desired, &Names::default()), cluster.policies)
}

/// The span is a piece of the text, and line and column lead to its start.
///
/// # Panics
/// They do not.
pub fn assert_inside(location: &Location) {
    let Location { source, line, column, span } = location;
    let text = source.text.as_str();
    assert!(text.get(span.clone()).is_some(), "{location}: {span:?} is no piece of the text");
    let before = &text[..span.start];
    // YAML's lines end at carriage returns too; with a line feed behind it, it ends one line and not two.
    let is_end = |letter: char| matches!(letter, '\n' | '\r');
    let first = before.rfind(is_end).map_or(0, |end| end + 1);
    let pairs = text.match_indices("\r\n").filter(|(at, _)| at + 2 <= span.start).count();
    assert_eq!(before.matches(is_end).count() - pairs + 1, *line, "line of byte {}", span.start);
    assert_eq!(before[first..].chars().count() + 1, *column, "column of byte {}", span.start);
}

/// There is at least one problem, each has a place inside the text, and each can be drawn.
///
/// # Panics
/// One of this does not hold.
pub fn assert_says_where(problems: &[Diagnostic]) {
    assert!(!problems.is_empty(), "refused without a reason");
    for problem in problems {
        assert!(!problem.message.is_empty(), "a problem without words");
        let location = problem.location.as_ref();
        assert_inside(location.unwrap_or_else(|| panic!("`{}` has no place", problem.message)));
        assert!(problem.render(Style::Plain).contains("error"), "not drawn: {problem:?}");
    }
}
