//! What several targets demand: a place lies in its text, and a refusal says what is wrong and where.

use egret::diagnostic::{Diagnostic, Style};
use egret::source::Location;

/// The span is a piece of the text, and line and column lead to its start.
///
/// # Panics
/// They do not.
pub fn assert_inside(location: &Location) {
    let Location { source, line, column, span } = location;
    let text = source.text.as_str();
    assert!(text.get(span.clone()).is_some(), "{location}: {span:?} is no piece of the text");
    let before = &text[..span.start];
    // A carriage return alone ends a line for YAML and for no editor.
    if before.replace("\r\n", "").contains('\r') {
        return;
    }
    let first = before.rfind('\n').map_or(0, |end| end + 1);
    assert_eq!(before.matches('\n').count() + 1, *line, "line of byte {}", span.start);
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
