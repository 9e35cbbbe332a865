//! Label selectors as they are written, asked of one party.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::party::Party;
use crate::Labels;
use crate::spec::label_selector::LabelSelector;

/// Whether every requirement holds, where `values` finds a key's values.
fn holds<'v, V: AsRef<[&'v str]>>(written: &LabelSelector, values: impl Fn(&str) -> V) -> bool {
    let labels = written.match_labels.iter().flatten();
    let expressions = written.match_expressions.iter().flatten();
    labels.into_iter().all(|(key, value)| values(key).as_ref().contains(&value.as_str()))
        && expressions.into_iter().all(|expression| {
            let found = values(&expression.key);
            let wanted = expression.values.as_deref().unwrap_or_default();
            let one_of = found.as_ref().iter().any(|value| wanted.iter().any(|wanted| wanted == value));
            match expression.operator.as_str() {
                "In" => one_of,
                "NotIn" => !one_of,
                "Exists" => !found.as_ref().is_empty(),
                // The last operator that documents may have.
                _ => found.as_ref().is_empty(),
            }
        })
}

/// A NetworkPolicy's selector of pods.
pub(super) fn selects_pod(written: &LabelSelector, party: &Party<'_>) -> bool {
    holds(written, |key| party.values(Some("k8s"), key))
}

/// A selector of plain labels, as namespaces and groups of prefixes have.
pub(super) fn selects_labels(written: &LabelSelector, labels: &Labels) -> bool {
    holds(written, |key| value_of(labels, key))
}

/// A Cilium selector of labels that have one source.
pub(super) fn selects_labels_of(written: &LabelSelector, of: &str, labels: &Labels) -> bool {
    holds(written, |key| {
        let (source, key) = source_of(key);
        if source.is_none_or(|source| source == of) { value_of(labels, key) } else { Vec::new() }
    })
}

/// A selector of nodes by their labels.
pub(super) fn selects_node(written: &LabelSelector, party: &Party<'_>) -> bool {
    holds(written, |key| party.values(Some("node"), key))
}

fn value_of<'a>(labels: &'a Labels, key: &str) -> Vec<&'a str> {
    labels.get(key).map(String::as_str).into_iter().collect()
}

/// The requirements in their order, each with source and bare key.
pub(super) fn as_written(written: &LabelSelector) -> String {
    let mut text = String::new();
    for (key, value) in written.match_labels.iter().flatten() {
        text += &format!("{:?} In [{value}], ", source_of(key));
    }
    for expression in written.match_expressions.iter().flatten() {
        let mut values = expression.values.clone().unwrap_or_default();
        values.sort();
        values.dedup();
        text += &format!("{:?} {} [{}], ", source_of(&expression.key), expression.operator, values.join(" "));
    }
    text
}

/// A Cilium selector, whose keys may have sources; `but` leaves keys out.
pub(super) fn selects(written: &LabelSelector, party: &Party<'_>, but: impl Fn(&str) -> bool) -> bool {
    let labels = written.match_labels.as_ref();
    let expressions = written.match_expressions.as_ref();
    let written = LabelSelector {
        match_labels: labels.map(|all| {
            all.iter().filter(|(key, _)| !but(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
        }),
        match_expressions: expressions
            .map(|all| all.iter().filter(|expression| !but(&expression.key)).cloned().collect()),
    };
    holds(&written, |key| {
        let (source, key) = source_of(key);
        party.values(source, key)
    })
}

/// The source and the bare key; without source, any.
pub(super) fn source_of(key: &str) -> (Option<&str>, &str) {
    if let Some(name) = key.strip_prefix('$') {
        return (Some("reserved"), name);
    }
    match key.split_once(':') {
        Some(("any", bare)) => (None, bare),
        Some((source, bare)) => (Some(source), bare),
        None => (None, key),
    }
}

/// Every key of a selector.
pub(super) fn keys(written: &LabelSelector) -> impl Iterator<Item = &str> {
    let labels = written.match_labels.iter().flatten().map(|(key, _)| key.as_str());
    labels.chain(written.match_expressions.iter().flatten().map(|expression| expression.key.as_str()))
}
