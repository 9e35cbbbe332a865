//! Numbers that stay what they are for the life of one node's agent.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::hash::{BuildHasher, Hash, Hasher};

use egret_shared::{Author as Number, Direction, Identity};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashSet, HashTable};

use crate::ObjectName;
use crate::author::PolicyId;
use crate::identity::Member;
use crate::state::{DatapathState, Enforcers, PolicyRows};

/// Hands out numbers; the same thing always gets the same number, and no number is used twice.
#[derive(Clone, Debug, Default)]
pub struct Allocator {
    pods: Numbers<Member>,
    locals: Numbers<Member>,
    /// Those of policies that no compiler has in force.
    rules: HashMap<Arc<PolicyId>, GivenRules>,
    /// Paths of rules: many policies have the same ones, and share them.
    paths: HashSet<Arc<str>>,
    /// How many numbers of rules were ever given.
    rule_count: u32,
    /// Those of the last state, while no compiler has it.
    endpoints: BTreeMap<Arc<ObjectName>, u32>,
    /// How many numbers of endpoints were ever given.
    endpoint_count: u32,
    policies: Numbers<PolicyContent>,
}

/// Numbers of one policy's rules.
// INVARIANT: ordered by path.
pub(super) type GivenRules = Box<[(Arc<str>, u32)]>;

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

    /// The numbers that a policy's rules had when it was last in force: none if it never was.
    pub(super) fn take_rules(&mut self, policy: &PolicyId) -> GivenRules {
        self.rules.remove(policy).unwrap_or_default()
    }

    /// Hands out numbers for the rules of one policy, which keeps them while it is in force.
    pub(super) fn rules<'a>(&'a mut self, given: &'a mut GivenRules) -> RuleNumbers<'a> {
        RuleNumbers { given, paths: &mut self.paths, count: &mut self.rule_count }
    }

    /// Keeps the numbers of a policy's rules, so that reports about the past keep their meaning.
    pub(super) fn keep_rules(&mut self, policy: Arc<PolicyId>, given: GivenRules) {
        self.rules.insert(policy, given);
    }

    /// Number of an endpoint that is not in a compiler's state yet.
    pub(crate) fn endpoint(&mut self, name: &ObjectName) -> u32 {
        self.endpoints.get(name).copied().unwrap_or_else(|| {
            self.endpoint_count = self.endpoint_count.saturating_add(1);
            self.endpoint_count
        })
    }

    /// Keeps the numbers of a state's endpoints, until [`Self::retain`].
    pub(super) fn keep_endpoints(&mut self, state: &DatapathState) {
        let endpoints = state.endpoints.iter();
        self.endpoints = endpoints.map(|(name, endpoint)| (Arc::clone(name), endpoint.id)).collect();
    }

    /// Number of one direction's rows.
    pub(crate) fn policy(&mut self, content: &PolicyContent) -> u32 {
        self.policies.number(content, 1)
    }

    /// Forgets a policy that the newest state has no more. Identities stay, so that reports about the past keep
    /// their meaning.
    pub(crate) fn forget_policy(&mut self, number: u32, rows: &PolicyRows, enforced_by: &Enforcers) {
        for direction in [Direction::Ingress, Direction::Egress] {
            let content = PolicyContent { direction, rows: rows.clone(), enforced_by: enforced_by.clone() };
            self.policies.forget(&content, number);
        }
    }

    /// Forgets the endpoints and policies that a state, whose own all have numbers, does not hold; those of its
    /// endpoints stand in it.
    pub(crate) fn retain(&mut self, state: &DatapathState) {
        self.endpoints.clear();
        if self.policies.given.len() > state.policies.len() {
            self.policies.given.retain(|given| state.policies.contains_key(&given.number));
        }
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
    given: HashTable<Given<T>>,
    hasher: DefaultHashBuilder,
    /// How many were ever given: the next number is this many after the first.
    count: u32,
}

/// A thing with its number, and its hash, so that a table that grows has not to look at all things again.
#[derive(Clone, Debug)]
struct Given<T> {
    hash: u64,
    number: u32,
    thing: T,
}

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self { given: HashTable::new(), hasher: DefaultHashBuilder::default(), count: 0 }
    }
}

impl<T: Hash + Eq + Clone> Numbers<T> {
    fn number(&mut self, thing: &T, first: u32) -> u32 {
        let hash = self.hasher.hash_one(thing);
        match self.given.entry(hash, |given| given.is(hash, thing), |given| given.hash) {
            Entry::Occupied(given) => given.get().number,
            Entry::Vacant(place) => {
                let number = first.saturating_add(self.count);
                self.count = self.count.saturating_add(1);
                place.insert(Given { hash, number, thing: thing.clone() });
                number
            }
        }
    }

    /// Forgets a thing if this is its number.
    fn forget(&mut self, thing: &T, number: u32) {
        let hash = self.hasher.hash_one(thing);
        let is = |given: &Given<T>| given.number == number && given.is(hash, thing);
        if let Ok(given) = self.given.find_entry(hash, is) {
            given.remove();
        }
    }
}

impl<T: Eq> Given<T> {
    fn is(&self, hash: u64, thing: &T) -> bool {
        self.hash == hash && self.thing == *thing
    }
}
