//! Numbers that stay what they are for the life of one node's agent.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use egret_shared::{Author as Number, Direction, Identity};

use crate::ObjectName;
use crate::author::PolicyId;
use crate::identity::Member;
use crate::state::PolicyRows;

/// Hands out numbers; the same thing always gets the same number, and no number is used twice.
#[derive(Clone, Debug, Default)]
pub struct Allocator {
    pods: Numbers<Member>,
    locals: Numbers<Member>,
    rules: BTreeMap<PolicyId, BTreeMap<String, u32>>,
    /// How many numbers of rules were ever given.
    rule_count: u32,
    endpoints: Numbers<ObjectName>,
    policies: Numbers<PolicyContent>,
}

/// What makes one policy number differ from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PolicyContent {
    /// 0 ingress, 1 egress.
    pub(crate) direction: u8,
    /// Rows under policy number 0.
    pub(crate) rows: PolicyRows,
    /// Policies behind default deny.
    pub(crate) enforced_by: Vec<PolicyId>,
}

impl Allocator {
    /// Number of a pod's labels.
    pub(crate) fn pod_identity(&mut self, member: &Member) -> Identity {
        Identity(self.pods.number(member, Identity::FIRST_POD.0))
    }

    /// Number of a prefix's or name's labels, good on this node only.
    pub(crate) fn local_identity(&mut self, member: &Member) -> Identity {
        Identity(self.locals.number(member, Identity::FIRST_LOCAL.0))
    }

    /// Numbers of one policy's rules.
    pub(crate) fn rules(&mut self, policy: &PolicyId) -> RuleNumbers<'_> {
        RuleNumbers { given: self.rules.entry(policy.clone()).or_default(), count: &mut self.rule_count }
    }

    /// Number of an endpoint.
    pub(crate) fn endpoint(&mut self, name: &ObjectName) -> u32 {
        self.endpoints.number(name, 1)
    }

    /// Number of one direction's rows.
    pub(crate) fn policy(&mut self, direction: Direction, rows: PolicyRows, by: Vec<PolicyId>) -> u32 {
        let content = PolicyContent { direction: direction as u8, rows, enforced_by: by };
        self.policies.number(&content, 1)
    }

    /// Forgets endpoints and policies that the newest state has no more: what comes back is a new one.
    ///
    /// Identities and rules stay, so that reports about the past keep their meaning.
    pub(crate) fn retain(&mut self, endpoint: impl Fn(&ObjectName) -> bool, policy: impl Fn(u32) -> bool) {
        self.endpoints.given.retain(|name, _| endpoint(name));
        self.policies.given.retain(|_, number| policy(*number));
    }
}

/// Hands out numbers for the rules of one policy.
pub(crate) struct RuleNumbers<'a> {
    given: &'a mut BTreeMap<String, u32>,
    count: &'a mut u32,
}

impl RuleNumbers<'_> {
    /// Number of the rule with this path.
    pub(crate) fn rule(&mut self, path: &str) -> u32 {
        if let Some(number) = self.given.get(path) {
            return *number;
        }
        let number = Number::FIRST_RULE.saturating_add(*self.count);
        *self.count = self.count.saturating_add(1);
        self.given.insert(path.to_string(), number);
        number
    }
}

/// Numbers for one kind of thing.
#[derive(Clone, Debug)]
struct Numbers<T> {
    given: BTreeMap<T, u32>,
    /// How many were ever given: the next number is this many after the first.
    count: u32,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { given: BTreeMap::new(), count: 0 }
    }
}

impl<T: Ord + Clone> Numbers<T> {
    fn number(&mut self, thing: &T, first: u32) -> u32 {
        if let Some(number) = self.given.get(thing) {
            return *number;
        }
        let number = first.saturating_add(self.count);
        self.count = self.count.saturating_add(1);
        self.given.insert(thing.clone(), number);
        number
    }
}
