//! The order in which rules are asked: the admin tier, ordinary policies, the baseline tier, what nobody writes.
//!
//! 1. In the admin tier the lowest priority is asked first, and of one policy the first rule. The first that
//!    matches decides, except that one which passes ends the tier.
//! 2. Of ordinary policies all rules that match are collected: any deny, else any allow decides. With a section
//!    that denies by default, what nothing allows is dropped, and the baseline tier is never asked.
//! 3. The baseline tier is asked as the admin tier is.
//! 4. What is left passes.
//!
//! Sources: policy semantics 2.14 and 6.4; <https://network-policy-api.sigs.k8s.io/api-overview/>.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use egret_shared::Direction;

use super::named::Named;
use super::{Effect, Item, Judgement, Matching, Order, Question, Statement, Verdict, inside};
use crate::Author;
use crate::author::PolicyId;
use crate::rule::Dialect;

/// Rules of one tier by priority and place.
type Tier<'a> = BTreeMap<(i64, usize), Vec<Named<'a>>>;

/// Everything that documents say of one flow.
#[derive(Default)]
pub(super) struct Said<'a> {
    enforced: bool,
    /// Policies that deny by default.
    because: Vec<PolicyId>,
    admin: Tier<'a>,
    normal: Vec<Named<'a>>,
    baseline: Tier<'a>,
}

/// How a tier with an order ends.
enum End {
    Decided(Verdict, Vec<Author>),
    Undecided,
}

impl<'a> Said<'a> {
    /// Adds what one section says.
    pub(super) fn add(&mut self, policy: &PolicyId, statement: Statement<'a>) {
        let Statement { order, default_deny, matching } = statement;
        self.enforced = true;
        if default_deny && self.because.last() != Some(policy) {
            self.because.push(policy.clone());
        }
        for Matching { path, place, effect, item } in matching {
            let named = Named { author: Author::Rule { policy: policy.clone(), path }, effect, item };
            match order {
                Order::Admin { priority } => self.admin.entry((priority, place)).or_default().push(named),
                Order::Normal => self.normal.push(named),
                Order::Baseline { priority } => {
                    self.baseline.entry((priority, place)).or_default().push(named);
                }
            }
        }
    }

    /// Decides.
    pub(super) fn judge(mut self, question: &Question<'_>) -> Judgement {
        let plain = |verdict, authors| Judgement { verdict, authors, proxy: None };
        if !self.enforced {
            return plain(Verdict::Unenforced, Vec::new());
        }
        if let End::Decided(verdict, authors) = asked_in_order(&self.admin) {
            return plain(verdict, authors);
        }
        self.because.sort();
        self.because.dedup();
        let default_deny = !self.because.is_empty();
        if default_deny && lets_own_node(question) {
            self.normal.push(Named { author: Author::Kubelet, effect: Effect::Allow, item: Item::default() });
        }
        let authors = |of: &dyn Fn(&Named<'_>) -> bool| -> Vec<Author> {
            self.normal.iter().filter(|rule| of(rule)).map(|rule| rule.author.clone()).collect()
        };
        let denying = authors(&|rule| rule.effect == Effect::Deny);
        if !denying.is_empty() {
            return plain(Verdict::Denied, denying);
        }
        let looking = authors(&|rule| rule.effect == Effect::Allow && rule.item.inside.looks());
        if !looking.is_empty() {
            let proxy = question.flow.seen.map(|seen| inside::passing(&self.normal, seen, default_deny));
            return Judgement { verdict: Verdict::Redirected, authors: looking, proxy };
        }
        let mut allowing = authors(&|rule| rule.effect == Effect::Allow);
        if allowing.len() > 1 {
            // What nobody writes decides only where nothing that is written does.
            allowing.retain(|author| *author != Author::Kubelet);
        }
        if !allowing.is_empty() {
            return plain(Verdict::Allowed, allowing);
        }
        if default_deny {
            let because = self.because;
            return plain(Verdict::DefaultDenied, Vec::from([Author::DefaultDeny { because }]));
        }
        match asked_in_order(&self.baseline) {
            End::Decided(verdict, authors) => plain(verdict, authors),
            End::Undecided => plain(Verdict::Allowed, Vec::new()),
        }
    }
}

/// Whether what nothing else says lets the flow in: from the subject's own node, and in the text of Kubernetes
/// also to it (policy semantics 1.5).
fn lets_own_node(question: &Question<'_>) -> bool {
    question.peer.is_own_node()
        && match question.reading.dialect {
            Dialect::Kubernetes => true,
            Dialect::Cilium | Dialect::Cilium119 => question.flow.direction == Direction::Ingress,
        }
}

/// Goes through the rules that match, the first first. Of policies with one priority either may decide; here the
/// place counts, and then deny wins, and passing loses.
fn asked_in_order(tier: &Tier<'_>) -> End {
    for rules in tier.values() {
        let of = |effect| -> Vec<Author> {
            rules.iter().filter(|rule| rule.effect == effect).map(|rule| rule.author.clone()).collect()
        };
        let (denying, allowing) = (of(Effect::Deny), of(Effect::Allow));
        if !denying.is_empty() {
            return End::Decided(Verdict::Denied, denying);
        }
        if !allowing.is_empty() {
            return End::Decided(Verdict::Allowed, allowing);
        }
        if !of(Effect::Pass).is_empty() {
            return End::Undecided;
        }
    }
    End::Undecided
}
