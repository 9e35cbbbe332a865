//! What is different between two desired states, by name.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::net::IpAddr;

use crate::author::PolicyId;
use crate::{Desired, ObjectName};

/// Names of what may be different from the last time; whether it still exists, the desired state says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Pods.
    pub pods: BTreeSet<ObjectName>,
    /// Namespaces whose labels are different.
    pub namespaces: BTreeSet<String>,
    /// Policies and groups of prefixes.
    pub policies: BTreeSet<PolicyId>,
    /// Addresses under which a name was learned or forgotten.
    pub addresses: BTreeSet<IpAddr>,
    /// Services.
    pub services: BTreeSet<ObjectName>,
    /// Anything else: nodes, the dialect.
    pub rest: bool,
}

impl Changed {
    /// What is different; learned names stand in neither of the two.
    #[must_use]
    pub fn between(old: &Desired, new: &Desired) -> Self {
        let (before, after) = (&old.world, &new.world);
        Self {
            pods: keys(&before.pods, &after.pods, PartialEq::eq),
            namespaces: keys(&before.namespaces, &after.namespaces, PartialEq::eq),
            policies: keys(&old.policies, &new.policies, |a, b| Arc::ptr_eq(a, b) || a == b),
            addresses: BTreeSet::new(),
            services: keys(&before.services, &after.services, PartialEq::eq),
            rest: old.dialect != new.dialect || before.nodes != after.nodes,
        }
    }
}

/// The keys whose values are not the same.
fn keys<K: Borrow<N> + Ord, N: Ord + Clone, V>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    same: impl Fn(&V, &V) -> bool,
) -> BTreeSet<N> {
    let differs = |(key, value): &(&K, &V)| !new.get((*key).borrow()).is_some_and(|other| same(value, other));
    let gone = old.iter().filter(differs).map(|(key, _)| key);
    let come = new.keys().filter(|key| !old.contains_key((*key).borrow()));
    gone.chain(come).map(|key| key.borrow().clone()).collect()
}
