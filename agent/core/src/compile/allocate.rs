//! Numbers that stay what they are for the life of one node's agent.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::hash::{Hash, Hasher};

use egret_shared::{Author as Number, Direction, Identity};
use hashbrown::{HashMap, HashSet};

use crate::ObjectName;
use crate::author::PolicyId;
use crate::identity::Member;
use crate::state::{DatapathState, Enforcers, PolicyRows};

/// Hands out numbers; the same thing always gets the same number, and no number is used twice.
#[derive(Clone, Debug, Default)]
pub struct Allocator {
    pods: Numbers<Member>,
    locals: Numbers<Member>,
    rules: HashMap<Arc<PolicyId>, GivenRules>,
    /// Paths of rules: many policies have the same ones, and share them.
    paths: HashSet<Arc<str>>,
    /// How many numbers of rules were ever given.
    rule_count: u32,
    endpoints: Numbers<Arc<ObjectName>>,
    policies: Numbers<PolicyContent>,
}

/// Numbers of one policy's rules.
// INVARIANT: ordered by path.
type GivenRules = Box<[(Arc<str>, u32)]>;

/// What makes one policy number differ from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PolicyContent {
    pub(crate) direction: Direction,
    pub(crate) rows: PolicyRows,
    /// Policies behind default deny.
    pub(crate) enforced_by: Enforcers,
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
    pub(crate) fn rules(&mut self, policy: &Arc<PolicyId>) -> RuleNumbers<'_> {
        let given = self.rules.entry_ref(policy).or_default();
        RuleNumbers { given, paths: &mut self.paths, count: &mut self.rule_count }
    }

    /// Number of an endpoint.
    pub(crate) fn endpoint(&mut self, name: &Arc<ObjectName>) -> u32 {
        self.endpoints.number(name, 1)
    }

    /// Number of one direction's rows.
    pub(crate) fn policy(&mut self, content: &PolicyContent) -> u32 {
        self.policies.number(content, 1)
    }

    /// Forgets an endpoint that the newest state has no more: what comes back is a new one.
    ///
    /// Identities and rules stay, so that reports about the past keep their meaning.
    pub(crate) fn forget_endpoint(&mut self, name: &ObjectName) {
        self.endpoints.given.remove(name);
    }

    /// Forgets a policy that the newest state has no more.
    pub(crate) fn forget_policy(&mut self, number: u32, rows: &PolicyRows, enforced_by: &Enforcers) {
        for direction in [Direction::Ingress, Direction::Egress] {
            let content = PolicyContent { direction, rows: rows.clone(), enforced_by: enforced_by.clone() };
            if self.policies.given.get(&content) == Some(&number) {
                self.policies.given.remove(&content);
            }
        }
    }

    /// Forgets the endpoints and policies that a state, whose own all have numbers, does not hold.
    pub(crate) fn retain(&mut self, state: &DatapathState) {
        if self.endpoints.given.len() > state.endpoints.len() {
            self.endpoints.given.retain(|name, _| state.endpoints.contains_key(name));
        }
        if self.policies.given.len() > state.policies.len() {
            self.policies.given.retain(|_, number| state.policies.contains_key(number));
        }
    }

    /// Room for what is expected.
    pub(crate) fn reserve(&mut self, pods: usize, policies: usize) {
        self.endpoints.given.reserve(pods);
        self.rules.reserve(policies);
    }
}

/// By what tells policies apart in all but rare cases: rows name the rules that put them there.
impl Hash for PolicyContent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.direction, &self.rows).hash(state);
    }
}

/// Hands out numbers for the rules of one policy.
pub(crate) struct RuleNumbers<'a> {
    given: &'a mut GivenRules,
    paths: &'a mut HashSet<Arc<str>>,
    count: &'a mut u32,
}

impl RuleNumbers<'_> {
    /// Number of the rule with this path, and the path.
    pub(crate) fn rule(&mut self, path: &str) -> (u32, Arc<str>) {
        match self.given.binary_search_by(|(known, _)| (**known).cmp(path)) {
            Ok(place) => {
                let known = self.given.get(place);
                known.map_or((Number::NONE, Arc::default()), |(path, number)| (*number, Arc::clone(path)))
            }
            Err(place) => {
                let number = Number::FIRST_RULE.saturating_add(*self.count);
                *self.count = self.count.saturating_add(1);
                let path = Arc::clone(self.paths.get_or_insert_with(path, |path| Arc::from(path)));
                let mut given = core::mem::take(self.given).into_vec();
                given.reserve_exact(1);
                given.insert(place, (Arc::clone(&path), number));
                *self.given = given.into();
                (number, path)
            }
        }
    }
}

/// Numbers for one kind of thing.
#[derive(Clone, Debug)]
struct Numbers<T> {
    given: HashMap<T, u32>,
    /// How many were ever given: the next number is this many after the first.
    count: u32,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { given: HashMap::new(), count: 0 }
    }
}

impl<T: Hash + Eq + Clone> Numbers<T> {
    fn number(&mut self, thing: &T, first: u32) -> u32 {
        let new = first.saturating_add(self.count);
        let number = *self.given.entry_ref(thing).or_insert(new);
        if number == new {
            self.count = self.count.saturating_add(1);
        }
        number
    }
}
