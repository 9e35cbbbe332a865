//! Collects everything that is wrong with a document, each with its place.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::rule::NotSimulated;
use crate::spec::InvalidSpec;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct Check {
    problems: Vec<InvalidSpec>,
    not_simulated: Vec<NotSimulated>,
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

    /// Notes every text of a list that is a set (`x-kubernetes-list-type: set`) which stands in it before.
    pub(super) fn set(&mut self, path: &str, items: &[String]) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            if !seen.insert(item) {
                self.problem(
                    &format!("{path}[{index}]"),
                    format!("`{item}` stands twice in a list that is a set"),
                );
            }
        }
    }

    /// Notes what is accepted and left out of account, and how the verdict stands without it.
    pub(super) fn not_simulated(&mut self, path: &str, what: &'static str) {
        self.not_simulated.push(NotSimulated { path: path.to_string(), what: what.into() });
    }

    /// What is made of everything left out of account, when nothing was wrong.
    pub(super) fn finish<T>(self, make: impl FnOnce(Vec<NotSimulated>) -> T) -> Result<T, Vec<InvalidSpec>> {
        if self.problems.is_empty() { Ok(make(self.not_simulated)) } else { Err(self.problems) }
    }
}

/// `path` without the leading `spec.`, as authors name rules; `specs[1].…` stays.
pub(super) fn rule_path(path: &str) -> String {
    path.strip_prefix("spec.").unwrap_or(path).to_string()
}
