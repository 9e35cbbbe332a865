//! The order of tiers, and rules that pass the question on, as precedences of rows.
//!
//! A row with the highest precedence decides, so tiers become levels of precedence. A rule that passes has no
//! row of its own: what the tiers after it say of its traffic is said again, between the rules before the
//! passing one and those after it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use egret_shared::{Action, Author as Number, Identity, PolicyEntry};

use crate::policymap::build::{Rows, Traffic, Verdict};
use crate::policymap::level;
use crate::rule::Tier;

/// What the rules of one subject and direction say, by tier; the last holds what no document says.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) admin: Vec<Draft>,
    pub(super) normal: Vec<Draft>,
    pub(super) baseline: Vec<Draft>,
    pub(super) last: Vec<Draft>,
}

/// One row before precedences are final.
#[derive(Clone, Copy)]
pub(super) struct Draft {
    pub(super) identity: Identity,
    pub(super) traffic: Traffic,
    pub(super) does: Does,
}

/// What a row does with its traffic.
#[derive(Clone, Copy)]
pub(super) enum Does {
    /// It decides.
    Decide(Verdict),
    /// It leaves the traffic to the next tier; the precedence says which rules it comes before.
    Pass(u32),
}

/// A place in the order: precedences of the rules that passed the question on, then that of the decision.
type Rank = [u32; 3];

/// The level of a rule: its tier's, then the policy's priority, then its place among the policy's rules of the
/// direction. Of policies with one priority either may decide; here the place counts, and then deny wins.
pub(crate) const fn level_of(tier: Tier, place: u32) -> u32 {
    /// More than the rules that one policy may have in a direction.
    const PLACES: u32 = 128;
    match tier {
        Tier::Admin { priority } => level::ADMIN + priority as u32 * PLACES + place,
        Tier::Normal => level::NORMAL,
        Tier::Baseline { priority } => level::BASELINE + priority as u32 * PLACES + place,
    }
}

impl Drafts {
    /// The drafts of a tier.
    pub(super) fn of(&mut self, tier: Tier) -> &mut Vec<Draft> {
        match tier {
            Tier::Admin { .. } => &mut self.admin,
            Tier::Normal => &mut self.normal,
            Tier::Baseline { .. } => &mut self.baseline,
        }
    }

    /// The rows that all of them come to.
    ///
    /// Precedences stay what they are unless a rule passes; then only their order does.
    pub(super) fn settle(self, default_deny: bool) -> Rows {
        let Self { admin, normal, baseline, last } = self;
        let mut rows = Rows::default();
        let tiers = [last, baseline, normal, admin];
        if !tiers.iter().flatten().any(|draft| matches!(draft.does, Does::Pass(_))) {
            for draft in tiers.iter().flatten() {
                if let Does::Decide(verdict) = draft.does {
                    rows.add(draft.identity, draft.traffic, verdict);
                }
            }
            return rows;
        }
        let mut ranked: Vec<(Rank, Identity, Traffic, Verdict)> = Vec::new();
        let floor = Verdict {
            precedence: PolicyEntry::precedence_of(level::LAST + 1, PolicyEntry::DENY),
            action: Action::Deny,
            proxy: None,
            rule: Number::DEFAULT_DENY,
        };
        // Default deny is what remains where nothing matches, and must be said where something later would
        // match: after a rule that passes.
        if default_deny {
            ranked.push(([floor.precedence, 0, 0], Identity::ANY, Traffic::Any, floor));
        }
        for tier in tiers {
            let mut again = Vec::new();
            for draft in &tier {
                match draft.does {
                    Does::Decide(verdict) => {
                        again.push(([verdict.precedence, 0, 0], draft.identity, draft.traffic, verdict));
                    }
                    Does::Pass(precedence) => {
                        let passed =
                            ranked.iter().filter_map(|([first, second, _], identity, traffic, verdict)| {
                                let identity = meet(draft.identity, *identity)?;
                                let traffic = draft.traffic.meet(*traffic)?;
                                Some(([precedence, *first, *second], identity, traffic, *verdict))
                            });
                        again.extend(passed);
                    }
                }
            }
            ranked.extend(again);
        }
        ranked.retain(|(rank, ..)| *rank != [floor.precedence, 0, 0]);
        let ranks: BTreeSet<Rank> = ranked.iter().map(|(rank, ..)| *rank).collect();
        let precedences: BTreeMap<Rank, u32> = ranks.into_iter().zip(1..).collect();
        for (rank, identity, traffic, verdict) in ranked {
            let precedence = precedences.get(&rank).copied().unwrap_or_default();
            rows.add(identity, traffic, Verdict { precedence, ..verdict });
        }
        rows
    }
}

/// The identities that both name.
fn meet(one: Identity, other: Identity) -> Option<Identity> {
    match (one, other) {
        (Identity::ANY, identity) | (identity, Identity::ANY) => Some(identity),
        (one, other) => (one == other).then_some(one),
    }
}
