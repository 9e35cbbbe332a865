//! What policies refer to and thereby give an identity: prefixes, groups of them, names, labels of nodes.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ipnet::IpNet;

use crate::World;
use crate::author::PolicyId;
use crate::identity::Source;
use crate::policy::resolve::service_selectors;
use crate::rule::{Peers, Policy, Rule};
use crate::selector::{GroupMatch, NamePattern, Selector};

/// One thing that a rule refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reference {
    Prefix(IpNet),
    Group(String),
    /// `NotIn` selects by what is absent, so a selector by label refers to every group.
    EveryGroup,
    Name(NamePattern),
    NodeLabels,
}

/// What the policies in force refer to, and how often.
#[derive(Clone, Debug, Default)]
pub(crate) struct References {
    counts: BTreeMap<Reference, u32>,
    /// Policies that are groups.
    groups: BTreeMap<Arc<PolicyId>, Arc<Policy>>,
    changed: bool,
}

/// Prefixes that policies refer to, each with the groups that hold it, by name.
pub(crate) type Prefixes = BTreeMap<IpNet, Vec<Arc<Policy>>>;

impl References {
    /// A policy comes into force.
    pub(crate) fn add(&mut self, policy: &Arc<Policy>, world: &World) {
        for reference in of_policy(policy, world) {
            let count = self.counts.entry(reference).or_default();
            self.changed |= *count == 0;
            *count = count.saturating_add(1);
        }
        if policy.group.is_some() {
            self.groups.insert(policy.id.clone(), Arc::clone(policy));
            self.changed = true;
        }
    }

    /// A policy goes.
    pub(crate) fn remove(&mut self, policy: &Policy, world: &World) {
        for reference in of_policy(policy, world) {
            if let Some(count) = self.counts.get_mut(&reference) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.counts.remove(&reference);
                    self.changed = true;
                }
            }
        }
        if self.groups.remove(&policy.id).is_some() {
            self.changed = true;
        }
    }

    /// Whether other things are referred to than at the last call.
    pub(crate) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }

    /// Whether some rule asks for nodes by label.
    pub(crate) fn asks_for_nodes(&self) -> bool {
        self.counts.contains_key(&Reference::NodeLabels)
    }

    /// The names, ordered.
    pub(crate) fn patterns(&self) -> impl Iterator<Item = &NamePattern> {
        self.counts.keys().filter_map(|reference| match reference {
            Reference::Name(pattern) => Some(pattern),
            Reference::Prefix(_) | Reference::Group(_) | Reference::EveryGroup | Reference::NodeLabels => {
                None
            }
        })
    }

    /// The prefixes.
    pub(crate) fn prefixes(&self) -> Prefixes {
        let mut prefixes = Prefixes::new();
        for reference in self.counts.keys() {
            if let Reference::Prefix(prefix) = reference {
                prefixes.entry(*prefix).or_default();
            }
        }
        let every = self.counts.contains_key(&Reference::EveryGroup);
        for (id, policy) in &self.groups {
            let counts = every || self.counts.contains_key(&Reference::Group(id.name.clone()));
            for prefix in policy.group.iter().filter(|_| counts).flat_map(|group| &group.prefixes) {
                let groups = prefixes.entry(*prefix).or_default();
                if groups.last().is_none_or(|last| last.id != *id) {
                    groups.push(Arc::clone(policy));
                }
            }
        }
        prefixes
    }
}

fn of_policy(policy: &Policy, world: &World) -> Vec<Reference> {
    let mut found = Vec::new();
    for rule in policy.sections.iter().flat_map(|section| &section.rules) {
        of_rule(rule, world, &mut found);
    }
    found
}

fn of_rule(rule: &Rule, world: &World, found: &mut Vec<Reference>) {
    match &rule.peers {
        Peers::Any => {}
        // Backends that are given by hand are addresses.
        Peers::Services(services) => {
            service_selectors(world, services).iter().for_each(|selector| of_selector(selector, found));
        }
        Peers::Selected(selectors) => selectors.iter().for_each(|selector| of_selector(selector, found)),
    }
}

fn of_selector(selector: &Selector, found: &mut Vec<Reference>) {
    match selector {
        Selector::Prefix { prefix, except } => {
            found.push(Reference::Prefix(*prefix));
            found.extend(except.iter().map(|prefix| Reference::Prefix(*prefix)));
        }
        Selector::Group { which, except } => {
            found.extend(except.iter().map(|prefix| Reference::Prefix(*prefix)));
            found.push(match which {
                GroupMatch::Name(name) => Reference::Group(name.clone()),
                GroupMatch::Labels(_) => Reference::EveryGroup,
            });
        }
        Selector::Name(pattern) => found.push(Reference::Name(pattern.clone())),
        Selector::Labels(selector) => {
            if selector.requirements.iter().any(|needed| needed.source == Some(Source::Node)) {
                found.push(Reference::NodeLabels);
            }
        }
        Selector::Entity(_) => {}
    }
}
