//! Label selectors as documents write them, and what they require.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::Deserialize;

use super::check::Check;
use crate::identity::Source;
use crate::selector;

/// `matchLabels` and `matchExpressions`; without both, everything is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels with their values.
    pub match_labels: Option<BTreeMap<String, String>>,
    /// Expressions, all of which must hold.
    pub match_expressions: Option<Vec<Expression>>,
}

/// One expression.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expression {
    /// Label key.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// Values of `In` and `NotIn`.
    pub values: Option<Vec<String>>,
}

/// How keys are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keys<'a> {
    /// Kubernetes labels, with something before each key.
    Kubernetes(&'a str),
    /// Plain labels of objects whose labels have a source of their own in identities.
    Of(Source),
    /// Cilium's `[source:]key`; without source, any (policy semantics 2.6).
    Cilium,
}

/// What a written selector requires.
pub(super) fn understand(
    check: &mut Check,
    path: &str,
    written: &LabelSelector,
    keys: Keys<'_>,
) -> selector::LabelSelector {
    let LabelSelector { match_labels, match_expressions } = written;
    let mut requirements = Vec::new();
    for (key, value) in match_labels.iter().flatten() {
        let path = format!("{path}.matchLabels.{key}");
        check_value(check, &path, value);
        let values = BTreeSet::from([value.clone()]);
        requirements.extend(requirement(check, &path, key, selector::Operator::In(values), keys));
    }
    for (index, expression) in match_expressions.iter().flatten().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let Some(operator) = operator(check, &path, expression) else { continue };
        requirements.extend(requirement(check, &format!("{path}.key"), &expression.key, operator, keys));
    }
    selector::LabelSelector { requirements: requirements.into() }
}

fn operator(check: &mut Check, path: &str, expression: &Expression) -> Option<selector::Operator> {
    let Expression { key: _, operator, values } = expression;
    let values = values.as_deref().unwrap_or_default();
    for (index, value) in values.iter().enumerate() {
        check_value(check, &format!("{path}.values[{index}]"), value);
    }
    let takes_values = match operator.as_str() {
        "In" | "NotIn" => true,
        "Exists" | "DoesNotExist" => false,
        other => {
            check.problem_with(
                &format!("{path}.operator"),
                format!("`{other}` is not an operator of label selectors"),
                "write `In`, `NotIn`, `Exists` or `DoesNotExist`",
            );
            return None;
        }
    };
    if takes_values == values.is_empty() {
        let problem = if takes_values {
            format!("`{operator}` needs at least one value")
        } else {
            format!("`{operator}` takes no values")
        };
        check.problem(&format!("{path}.values"), problem);
        return None;
    }
    let values: BTreeSet<String> = values.iter().cloned().collect();
    Some(match operator.as_str() {
        "In" => selector::Operator::In(values),
        "NotIn" => selector::Operator::NotIn(values),
        "Exists" => selector::Operator::Exists,
        _ => selector::Operator::DoesNotExist,
    })
}

fn requirement(
    check: &mut Check,
    path: &str,
    key: &str,
    operator: selector::Operator,
    keys: Keys<'_>,
) -> Option<selector::Requirement> {
    let (source, bare, before) = match keys {
        Keys::Kubernetes(before) => (Some(Source::K8s), key, before),
        Keys::Of(source) => (Some(source), key, ""),
        Keys::Cilium => {
            let (source, bare) = source_of(check, path, key)?;
            (source, bare, "")
        }
    };
    if let Err(problem) = check_key(bare) {
        check.problem(path, format!("`{key}` is not a label key: {problem}"));
        return None;
    }
    Some(selector::Requirement { source, key: format!("{before}{bare}"), operator })
}

/// The source before the colon; `$name` is an old spelling of `reserved:name`.
fn source_of<'a>(check: &mut Check, path: &str, key: &'a str) -> Option<(Option<Source>, &'a str)> {
    if let Some(name) = key.strip_prefix('$') {
        return Some((Some(Source::Reserved), name));
    }
    let Some((word, bare)) = key.split_once(':') else { return Some((None, key)) };
    if word == "any" {
        return Some((None, bare));
    }
    let source = Source::parse(word);
    if source.is_none() {
        let known: Vec<&str> = Source::ALL.into_iter().map(Source::word).collect();
        check.problem_with(
            path,
            format!("`{word}` is not a source of labels"),
            format!("write one of any, {}", known.join(", ")),
        );
    }
    Some((Some(source?), bare))
}

/// A label value is empty, or up to 63 characters that begin and end with a letter or digit
/// (Kubernetes `validation.IsValidLabelValue`).
fn check_value(check: &mut Check, path: &str, value: &str) {
    if !value.is_empty() && !is_name(value) {
        check.problem_with(
            path,
            format!("`{value}` is not a label value"),
            "at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit",
        );
    }
}

/// An optional DNS subdomain and a slash, then a name (Kubernetes `validation.IsQualifiedName`).
fn check_key(key: &str) -> Result<(), &'static str> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if prefix.is_some_and(|prefix| {
        prefix.is_empty()
            || prefix.len() > 253
            || !prefix.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            })
    }) {
        return Err("the part before `/` must be a DNS subdomain");
    }
    if !is_name(name) {
        return Err(
            "at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit",
        );
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && is_edge(text.chars().next())
        && is_edge(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// Whether a selector has a requirement whose source and key fit.
pub(super) fn has_key(selector: &selector::LabelSelector, of: impl Fn(Option<Source>, &str) -> bool) -> bool {
    selector.requirements.iter().any(|requirement| of(requirement.source, &requirement.key))
}
