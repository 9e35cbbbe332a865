//! Conditions of rules as a person writes them.

use egret_core::ObjectName;
use egret_core::identity::{LabelSet, Source};
use egret_core::rule::{ServiceMatch, ServiceReference};
use egret_core::selector::{GroupMatch, Operator, Requirement};
use egret_core::world::Service;

/// One requirement of a label selector: `k8s:app=web`, `app in (a, b)`, `!app`.
pub(crate) fn requirement(requirement: &Requirement) -> String {
    let Requirement { source, key, operator } = requirement;
    // `k8s:` is what everybody means.
    let key = match source {
        None | Some(Source::K8s) => key.clone(),
        Some(source) => format!("{}:{key}", source.word()),
    };
    let list = |values: &std::collections::BTreeSet<String>| {
        values.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    };
    match operator {
        Operator::In(values) if values.len() == 1 => format!("{key}={}", list(values)),
        Operator::In(values) => format!("{key} in ({})", list(values)),
        Operator::NotIn(values) => format!("{key} not in ({})", list(values)),
        Operator::Exists => key,
        Operator::DoesNotExist => format!("!{key}"),
    }
}

/// How a rule refers to groups of prefixes.
pub(crate) fn group(which: &GroupMatch) -> String {
    match which {
        GroupMatch::Name(name) => format!("`{name}`"),
        GroupMatch::Labels(labels) => {
            let texts: Vec<_> = labels.requirements.iter().map(requirement).collect();
            format!("with `{}`", texts.join(", "))
        }
    }
}

/// How a rule refers to services.
pub(crate) fn service(which: &ServiceMatch) -> String {
    match which {
        ServiceMatch::Name(name) => name.clone(),
        ServiceMatch::Labels(labels) => {
            labels.requirements.iter().map(requirement).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Whether a rule's reference means a service.
pub(crate) fn is_named(reference: &ServiceReference, name: &ObjectName, service: &Service) -> bool {
    let is_which = match &reference.which {
        ServiceMatch::Name(wanted) => name.name == *wanted,
        ServiceMatch::Labels(selector) => {
            let mut labels = LabelSet::default();
            for (key, value) in &service.labels {
                labels.insert(Source::K8s, key, value);
            }
            selector.selects(&labels)
        }
    };
    is_which && reference.namespace.as_ref().is_none_or(|wanted| *wanted == name.namespace)
}
