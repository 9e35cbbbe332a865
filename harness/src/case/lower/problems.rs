//! Everything that is wrong with a case, collected, so that one run reports it all.

use crate::diagnostic::{Diagnostic, sort};
use crate::source::Location;

/// What has been found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Diagnostic>);

// === impl Problems ===

impl Problems {
    /// One more.
    pub(crate) fn add(&mut self, problem: Diagnostic) {
        self.0.push(problem);
    }

    /// Everything that others found.
    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The value, or what was wrong with it noted.
    pub(crate) fn take<T>(&mut self, result: Result<T, Vec<Diagnostic>>) -> Option<T> {
        result.map_err(|problems| self.0.extend(problems)).ok()
    }

    /// The value, or a message noted.
    pub(crate) fn expect<T>(&mut self, value: Option<T>, problem: impl FnOnce() -> Diagnostic) -> Option<T> {
        if value.is_none() {
            self.add(problem());
        }
        value
    }

    /// Notes what the language has and the subjects do not do yet.
    pub(crate) fn not_simulated(&mut self, what: &str, at: Location) {
        self.add(Diagnostic::error(format!("{what} is not simulated yet")).at(at));
    }

    /// Whether a name may name an object (RFC 1123 subdomain), as the API server checks it.
    pub(crate) fn check_name(&mut self, name: &str, at: &Location) -> bool {
        let is_label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        let is_name = name.len() <= 253 && name.split('.').all(is_label);
        if !is_name {
            self.add(
                Diagnostic::error(format!("`{name}` is not a name of an object"))
                    .at(at.clone())
                    .help("lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"),
            );
        }
        is_name
    }

    /// All of them in the order of the files, each once.
    pub(crate) fn finish(self) -> Result<(), Vec<Diagnostic>> {
        let mut problems = self.0;
        sort(&mut problems);
        problems.dedup();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}
