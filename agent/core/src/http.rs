//! HTTP requests against HTTP rules (policy semantics 2.12).

mod pattern;

pub use pattern::{InvalidPattern, Pattern};

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// What rules look at of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Method.
    pub method: &'a str,
    /// Path with query.
    pub path: &'a str,
    /// `Host` or `:authority`, with the port if the client sends it.
    pub host: &'a str,
    /// Headers beside `host`.
    pub headers: &'a BTreeMap<String, String>,
}

/// One item of `rules.http`: everything it names must hold; without anything, every request matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRule {
    /// The method; case counts.
    pub method: Option<Pattern>,
    /// The path with its query.
    pub path: Option<Pattern>,
    /// The host.
    pub host: Option<Pattern>,
    /// Headers.
    pub headers: Vec<HeaderMatch>,
}

/// What is asked of one header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderMatch {
    /// Name of the header; case does not count.
    pub name: String,
    /// What it must hold.
    pub value: HeaderValue,
    /// What happens to a request whose header is another one; `None`: the rule does not match.
    pub mismatch: Option<Mismatch>,
}

/// The value of a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeaderValue {
    /// Any: the header must be there.
    Present,
    /// Exactly this.
    Exactly(String),
    /// That of a secret. No world holds secrets, and a secret that is not there matches nothing.
    Secret,
}

/// What happens to a request whose header is not the wanted one; the request passes in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mismatch {
    /// It is logged.
    Log,
    /// The wanted value is added.
    Add,
    /// The header is taken out.
    Delete,
    /// The wanted value takes its place.
    Replace,
}

impl HttpRule {
    /// Whether the rule lets a request pass.
    #[must_use]
    pub fn matches(&self, request: &Request<'_>) -> bool {
        let Self { method, path, host, headers } = self;
        let fits = |pattern: &Option<Pattern>, text| pattern.as_ref().is_none_or(|p| p.matches(text));
        fits(method, request.method)
            && fits(path, request.path)
            && fits(host, request.host)
            && headers.iter().all(|header| header.lets_pass(request.headers))
    }
}

impl HeaderMatch {
    /// Whether a request with these headers is not refused for this one.
    fn lets_pass(&self, headers: &BTreeMap<String, String>) -> bool {
        let found = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(&self.name));
        match (&self.mismatch, &self.value) {
            (Some(_), _) => true,
            (None, HeaderValue::Present) => found.is_some(),
            (None, HeaderValue::Exactly(wanted)) => found.is_some_and(|(_, value)| value == wanted),
            (None, HeaderValue::Secret) => false,
        }
    }
}

impl Mismatch {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Log, Self::Add, Self::Delete, Self::Replace];

    /// The word in policies.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Log => "LOG",
            Self::Add => "ADD",
            Self::Delete => "DELETE",
            Self::Replace => "REPLACE",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn rule(method: &str, path: &str, host: &str, headers: Vec<HeaderMatch>) -> HttpRule {
        let pattern = |text: &str| (!text.is_empty()).then(|| Pattern::new(text).unwrap());
        HttpRule { method: pattern(method), path: pattern(path), host: pattern(host), headers }
    }

    fn header(value: HeaderValue, mismatch: Option<Mismatch>) -> Vec<HeaderMatch> {
        alloc::vec![HeaderMatch { name: "x-token".into(), value, mismatch }]
    }

    #[rstest]
    #[case::nothing(rule("", "", "", Vec::new()), true)]
    #[case::method(rule("GET", "", "", Vec::new()), true)]
    #[case::method_case(rule("get", "", "", Vec::new()), false)]
    #[case::method_list(rule("GET|POST", "", "", Vec::new()), true)]
    #[case::query_counts(rule("", "/public", "", Vec::new()), false)]
    #[case::query(rule("", "/public(\\?.*)?", "", Vec::new()), true)]
    #[case::no_part(rule("", "/pub", "", Vec::new()), false)]
    #[case::host(rule("", "", "a.example", Vec::new()), true)]
    #[case::present(rule("", "", "", header(HeaderValue::Present, None)), true)]
    #[case::exact(rule("", "", "", header(HeaderValue::Exactly("42".into()), None)), true)]
    #[case::other(rule("", "", "", header(HeaderValue::Exactly("43".into()), None)), false)]
    #[case::logged(rule("", "", "", header(HeaderValue::Exactly("43".into()), Some(Mismatch::Log))), true)]
    #[case::secret(rule("", "", "", header(HeaderValue::Secret, None)), false)]
    #[case::replaced(rule("", "", "", header(HeaderValue::Secret, Some(Mismatch::Replace))), true)]
    fn requests(#[case] rule: HttpRule, #[case] passes: bool) {
        let headers = BTreeMap::from([("X-Token".into(), "42".into())]);
        let request = Request { method: "GET", path: "/public?x", host: "a.example", headers: &headers };
        assert_eq!(rule.matches(&request), passes);
    }
}
