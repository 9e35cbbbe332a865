//! What is about one namespace alone, found by the namespace: most selectors select there and nowhere else.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use egret_shared::Identity;

use crate::identity::{LabelSet, Member, Source};
use crate::policy::resolve::ResolvedSection;
use crate::rule::Subject;
use crate::selector::{LabelSelector, Operator, Selector};

/// Identities, and those of each namespace.
pub(crate) struct Members<'a> {
    all: &'a BTreeMap<Identity, Member>,
    by_namespace: BTreeMap<&'a str, Vec<Identity>>,
}

/// Sections in the order of their policies, and those of each namespace.
pub(crate) struct Sections<'a> {
    all: Vec<ResolvedSection<'a>>,
    by_namespace: BTreeMap<&'a str, Vec<usize>>,
    anywhere: Vec<usize>,
}

/// The one namespace that a selector requires; `None` when it does not say, or names several.
fn namespace_of(selector: &LabelSelector) -> Option<&String> {
    selector.requirements.iter().find_map(|requirement| match (&requirement.source, &requirement.operator) {
        (None | Some(Source::K8s), Operator::In(values))
            if requirement.key == LabelSet::NAMESPACE && values.len() == 1 =>
        {
            values.first()
        }
        (_, Operator::In(_) | Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist) => None,
    })
}

/// Every namespace that labels name, under whatever source; at most one in practice.
fn namespaces(labels: &LabelSet) -> impl Iterator<Item = &str> {
    labels.values(None, LabelSet::NAMESPACE)
}

impl<'a> Members<'a> {
    pub(crate) fn new(all: &'a BTreeMap<Identity, Member>) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<Identity>> = BTreeMap::new();
        for (identity, member) in all {
            for namespace in namespaces(&member.labels) {
                by_namespace.entry(namespace).or_default().push(*identity);
            }
        }
        Self { all, by_namespace }
    }

    /// Whether a selector names one namespace, so that few members can be meant.
    pub(crate) fn is_scoped(selector: &Selector) -> bool {
        matches!(selector, Selector::Labels(labels) if namespace_of(labels).is_some())
    }

    /// The members that a selector may select, ordered: those of its namespace, or all.
    pub(crate) fn candidates(&self, selector: &Selector) -> impl Iterator<Item = (Identity, &'a Member)> {
        let namespace = match selector {
            Selector::Labels(labels) => namespace_of(labels),
            Selector::Prefix { .. } | Selector::Group { .. } | Selector::Entity(_) | Selector::Name(_) => {
                None
            }
        };
        let own = namespace.map(|namespace| self.by_namespace.get(namespace.as_str()).into_iter().flatten());
        let all = own.is_none().then(|| self.all.iter().map(|(identity, member)| (*identity, member)));
        let own = own.into_iter().flatten();
        own.filter_map(|identity| Some((*identity, self.all.get(identity)?))).chain(all.into_iter().flatten())
    }
}

impl<'a> Sections<'a> {
    pub(crate) fn new(all: Vec<ResolvedSection<'a>>) -> Self {
        let mut by_namespace: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut anywhere = Vec::new();
        for (place, section) in all.iter().enumerate() {
            let (Subject::Endpoints(selector) | Subject::Nodes(selector)) = section.subject();
            match namespace_of(selector) {
                Some(namespace) => by_namespace.entry(namespace).or_default().push(place),
                None => anywhere.push(place),
            }
        }
        Self { all, by_namespace, anywhere }
    }

    /// The sections that select these labels, in the order of their policies.
    pub(crate) fn about(&self, labels: &LabelSet) -> impl Iterator<Item = &ResolvedSection<'a>> {
        let own = namespaces(labels).filter_map(|namespace| self.by_namespace.get(namespace)).flatten();
        let mut places: Vec<usize> = own.chain(&self.anywhere).copied().collect();
        places.sort_unstable();
        let sections = places.into_iter().filter_map(|place| self.all.get(place));
        sections.filter(|section| section.subject().selects(labels))
    }
}
