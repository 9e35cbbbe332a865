//! Collects everything that is wrong with a document, each with its place.

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, string::ToString};

use crate::spec::InvalidSpec;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Check {
    problems: Vec<InvalidSpec>,
}

impl Check {
    /// Notes a problem.
    pub(super) fn problem(&mut self, path: &str, problem: impl Into<String>) {
        self.problems.push(InvalidSpec { path: path.to_string(), problem: problem.into(), help: None });
    }

    /// Notes a problem and what to write instead.
    pub(super) fn problem_with(&mut self, path: &str, problem: impl Into<String>, help: impl Into<String>) {
        self.problems.push(InvalidSpec {
            path: path.to_string(),
            problem: problem.into(),
            help: Some(help.into()),
        });
    }

    /// Notes a field that Cilium knows and Egret cannot simulate.
    pub(super) fn not_simulated(&mut self, path: &str, field: &str, present: bool) {
        if present {
            self.problem_with(
                &format!("{path}.{field}"),
                format!("`{field}` is not simulated yet"),
                "take the field out; it is refused so that no result leaves it out of account",
            );
        }
    }

    /// The value when nothing was wrong.
    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<InvalidSpec>> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }
}

/// `path` without the leading `spec.`, as authors name rules; `specs[1].…` stays.
pub(super) fn rule_path(path: &str) -> String {
    path.strip_prefix("spec.").unwrap_or(path).to_string()
}
