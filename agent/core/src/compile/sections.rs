//! The sections of all policies, with the peers of their rules found.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use egret_shared::{Direction, Identity};
use hashbrown::HashMap;

use super::Allocator;
use super::allocate::GivenRules;
use super::index::{Index, Looker};
use super::selectors::{Selectors, at, put};
use crate::World;
use crate::author::PolicyId;
use crate::change::Entries;
use crate::identity::{LabelSet, Members};
use crate::policy::resolve::{Applying, ResolvedRule, peer_selectors};
use crate::policy::tier::level_of;
use crate::rule::{Dialect, Peers, Policy, PortMatch, PortRule, Ports, Rule, Section, Subject};
use crate::selector::LabelSelector;
use crate::state::{PeerSet, RuleName};

/// Sections by their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Sections {
    policies: HashMap<Arc<PolicyId>, InForce>,
    all: Vec<Option<Placed>>,
    free: Vec<u32>,
    /// Sections whose rules ask all identities for a named port.
    asking_everyone: BTreeSet<u32>,
    /// Sections whose rules name services.
    asking_for_services: BTreeSet<u32>,
    /// Places do not follow the order of the policies any more, as they do after a start.
    shuffled: bool,
}

/// One policy with its sections' places.
#[derive(Clone, Debug)]
struct InForce {
    policy: Arc<Policy>,
    sections: Box<[u32]>,
    /// Numbers of its rules.
    numbers: GivenRules,
}

/// One section in its place.
#[derive(Clone, Debug)]
struct Placed {
    id: Arc<PolicyId>,
    policy: Arc<Policy>,
    /// Which of the policy's sections.
    number: usize,
    rules: Box<[ResolvedRule]>,
    /// For each rule the places of its peers' selectors; `None`: everyone.
    selectors: Box<[Option<Box<[u32]>>]>,
}

/// What sections are put in and out of.
pub(super) struct Around<'a> {
    pub(super) index: &'a mut Index,
    pub(super) selectors: &'a mut Selectors,
    pub(super) members: &'a Members,
    pub(super) world: &'a World,
    pub(super) dialect: Dialect,
}

impl Sections {
    /// Room for so many policies, nearly all of which have one section.
    pub(super) fn reserve(&mut self, policies: usize) {
        self.policies.reserve(policies);
        self.all.reserve_exact(policies);
    }

    /// The policy that is in force under a name.
    pub(super) fn policy(&self, id: &PolicyId) -> Option<&Arc<Policy>> {
        self.policies.get(id).map(|in_force| &in_force.policy)
    }

    /// The places of a policy's sections.
    pub(super) fn places(&self, id: &PolicyId) -> Vec<u32> {
        self.policies.get(id).map(|in_force| in_force.sections.to_vec()).unwrap_or_default()
    }

    /// A policy comes into force, with its rules numbered; returns the places of its sections.
    pub(super) fn add(
        &mut self,
        policy: &Arc<Policy>,
        numbers: &mut Allocator,
        around: &mut Around<'_>,
        names: &mut Entries<u32, RuleName>,
    ) -> Vec<u32> {
        let mut given = numbers.take_rules(&policy.id);
        let mut numbers = numbers.rules(&mut given);
        let id = Arc::clone(&policy.id);
        let last = self.all.last().and_then(Option::as_ref);
        self.shuffled |= !self.free.is_empty() || last.is_some_and(|last| last.id >= id);
        let mut number = |path: &str| {
            let (number, path) = numbers.rule(path);
            names.push((number, Some(RuleName { policy: Arc::clone(&id), path })));
            number
        };
        let mut sections = Vec::with_capacity(policy.sections.len());
        for (place_in_policy, section) in policy.sections.iter().enumerate() {
            let place = put(&mut self.all, &mut self.free, None);
            let mut rules = Vec::with_capacity(section.rules.len());
            let mut selectors = Vec::with_capacity(section.rules.len());
            let mut places = [0, 0];
            for rule in &section.rules {
                let [ingress, egress] = &mut places;
                let order = match rule.direction {
                    Direction::Ingress => ingress,
                    Direction::Egress => egress,
                };
                let level = level_of(section.tier, *order);
                *order += 1;
                let own = number(&rule.path);
                let numbers = match &rule.ports {
                    Ports::Any => Box::from([own]),
                    Ports::Listed(ports) => ports.iter().map(|port| number(&port.path)).collect(),
                };
                let of_rule = around.selectors_of(&policy.id, rule, place);
                if of_rule.is_none() || around.dialect == Dialect::Cilium119 {
                    self.note_named_ports(place, rule);
                }
                if matches!(rule.peers, Peers::Services(_)) {
                    self.asking_for_services.insert(place);
                }
                rules.push(ResolvedRule {
                    level,
                    peers: peers(of_rule.as_deref(), around.selectors),
                    numbers,
                });
                selectors.push(of_rule);
            }
            let anchor = subject_of(section).anchor();
            around.index.add_looker(Looker::Section(place), &anchor);
            let placed = Placed {
                id: Arc::clone(&id),
                policy: Arc::clone(policy),
                number: place_in_policy,
                rules: rules.into(),
                selectors: selectors.into(),
            };
            if let Some(slot) = self.all.get_mut(at(place)) {
                *slot = Some(placed);
            }
            sections.push(place);
        }
        let in_force =
            InForce { policy: Arc::clone(policy), sections: sections.as_slice().into(), numbers: given };
        self.policies.insert(id, in_force);
        sections
    }

    /// A policy goes.
    pub(super) fn remove(
        &mut self,
        id: &PolicyId,
        numbers: &mut Allocator,
        (index, selectors): (&mut Index, &mut Selectors),
        names: &mut Entries<u32, RuleName>,
    ) {
        let Some(InForce { policy, sections, numbers: mut given }) = self.policies.remove(id) else { return };
        let mut of_rules = numbers.rules(&mut given);
        names.extend(policy.rule_paths().iter().map(|path| (of_rules.rule(path).0, None)));
        numbers.keep_rules(Arc::clone(&policy.id), given);
        for place in sections {
            let Some(placed) = self.all.get_mut(at(place)).and_then(Option::take) else { continue };
            for selector in placed.selectors.iter().flatten().flatten() {
                selectors.remove(*selector, place, index);
            }
            if let Some(section) = placed.section() {
                index.remove_looker(Looker::Section(place), &subject_of(section).anchor());
            }
            self.asking_everyone.remove(&place);
            self.asking_for_services.remove(&place);
            self.free.push(place);
        }
    }

    /// Nothing is in force any more; the numbers of all rules are kept.
    pub(super) fn give_back(&mut self, numbers: &mut Allocator) {
        for (id, in_force) in self.policies.drain() {
            numbers.keep_rules(id, in_force.numbers);
        }
    }

    /// Finds the peers of a section's rules again.
    pub(super) fn refresh(&mut self, place: u32, table: &Selectors) {
        let Some(Some(Placed { rules, selectors, .. })) = self.all.get_mut(at(place)) else { return };
        for (rule, selectors) in rules.iter_mut().zip(selectors.iter()) {
            rule.peers = peers(selectors.as_deref(), table);
        }
    }

    /// Sections whose rows depend on the named ports of every identity.
    pub(super) const fn asking_everyone(&self) -> &BTreeSet<u32> {
        &self.asking_everyone
    }

    /// Whether the rules of any policy name services.
    pub(super) fn ask_for_services(&self) -> bool {
        !self.asking_for_services.is_empty()
    }

    /// The places of the sections that select these labels, in the order of their policies.
    pub(super) fn about(&self, labels: &LabelSet, index: &Index) -> Vec<u32> {
        let mut places = index.sections(labels);
        places.retain(|place| {
            self.placed(*place)
                .and_then(Placed::section)
                .is_some_and(|section| section.subject.selects(labels))
        });
        if self.shuffled {
            let order = |place: &u32| self.placed(*place).map(|placed| (&placed.id, placed.number));
            places.sort_by(|a, b| order(a).cmp(&order(b)));
        }
        places
    }

    /// Sections as the rules of a subject are found in them.
    pub(super) fn applying<'a>(&'a self, places: &[u32]) -> Vec<Applying<'a>> {
        let placed = places.iter().filter_map(|place| self.placed(*place));
        let applying = placed.filter_map(|placed| {
            Some(Applying { policy: &placed.id, section: placed.section()?, rules: &placed.rules })
        });
        applying.collect()
    }

    /// Whom a section is about.
    pub(super) fn subject(&self, place: u32) -> Option<&Subject> {
        Some(&self.placed(place)?.section()?.subject)
    }

    fn placed(&self, place: u32) -> Option<&Placed> {
        self.all.get(at(place))?.as_ref()
    }

    fn note_named_ports(&mut self, place: u32, rule: &Rule) {
        let is_named = |port: &PortRule| matches!(port.port, PortMatch::Named(_));
        if rule.direction == Direction::Egress && rule.listed_ports().iter().any(is_named) {
            self.asking_everyone.insert(place);
        }
    }
}

impl Placed {
    fn section(&self) -> Option<&Section> {
        self.policy.sections.get(self.number)
    }
}

impl Around<'_> {
    /// The places of the selectors of a rule's peers; `None`: everyone.
    fn selectors_of(&mut self, policy: &PolicyId, rule: &Rule, section: u32) -> Option<Box<[u32]>> {
        let selectors = peer_selectors(policy, rule, self.world, self.dialect)?;
        let mut place =
            |selector| self.selectors.add(selector, section, (self.index, self.members, self.dialect));
        Some(selectors.iter().map(&mut place).collect())
    }
}

/// The selector of a section's subject.
fn subject_of(section: &Section) -> &LabelSelector {
    match &section.subject {
        Subject::Endpoints(selector) | Subject::Nodes(selector) => selector,
    }
}

/// The identities that any of the selectors selects.
fn peers(selectors: Option<&[u32]>, table: &Selectors) -> PeerSet {
    match selectors {
        None => PeerSet::Any,
        Some([only]) => PeerSet::Listed(table.identities(*only)),
        Some(several) => {
            let mut identities: Vec<Identity> =
                several.iter().flat_map(|place| table.identities(*place).to_vec()).collect();
            identities.sort_unstable();
            identities.dedup();
            PeerSet::Listed(identities.into())
        }
    }
}
