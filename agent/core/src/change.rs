//! A change of one node's datapath state: only what is different, so that a small change is small.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Range;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::iter::Peekable;
use core::ops::Bound;

use egret_shared::{Identity, ServiceEntry, ServiceKey};
use ipnet::IpNet;

use crate::ObjectName;
use crate::identity::LabelSet;
use crate::state::{
    DatapathState, DnsFilter, DnsRule, EndpointState, Enforcers, PolicyRows, ProxyFilter, ProxyRule, RuleName,
};

/// Keys with their new values, `None` where a key goes. Ordered by key, each key once.
pub type Entries<K, V> = Vec<(K, Option<V>)>;

/// What is different in each part of a [`DatapathState`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// Of [`DatapathState::endpoints`].
    pub endpoints: Entries<Arc<ObjectName>, EndpointState>,
    /// Of [`DatapathState::ipcache`].
    pub ipcache: Entries<IpNet, Identity>,
    /// Of [`DatapathState::policies`]; the rows under a number never change.
    pub policies: Entries<u32, PolicyRows>,
    /// Of [`DatapathState::services`].
    pub services: Entries<ServiceKey, ServiceEntry>,
    /// [`DatapathState::host`], when it is different.
    pub host: Option<[u32; 2]>,
    /// Of [`DatapathState::dns_rules`].
    pub dns_rules: Entries<DnsFilter, Arc<[DnsRule]>>,
    /// Of [`DatapathState::proxy_rules`].
    pub proxy_rules: Entries<ProxyFilter, Arc<[ProxyRule]>>,
    /// Of [`DatapathState::rules`].
    pub rules: Entries<u32, RuleName>,
    /// Of [`DatapathState::enforced_by`].
    pub enforced_by: Entries<u32, Enforcers>,
    /// Of [`DatapathState::labels`].
    pub labels: Entries<Identity, LabelSet>,
}

impl Change {
    /// What leads from one state to another.
    #[must_use]
    pub fn between(old: &DatapathState, new: &DatapathState) -> Self {
        Self {
            endpoints: differences(&old.endpoints, &new.endpoints),
            ipcache: differences(&old.ipcache, &new.ipcache),
            policies: differences(&old.policies, &new.policies),
            services: differences(&old.services, &new.services),
            host: (old.host != new.host).then_some(new.host),
            dns_rules: differences(&old.dns_rules, &new.dns_rules),
            proxy_rules: differences(&old.proxy_rules, &new.proxy_rules),
            rules: differences(&old.rules, &new.rules),
            enforced_by: differences(&old.enforced_by, &new.enforced_by),
            labels: differences(&old.labels, &new.labels),
        }
    }

    /// Orders what was noted in any order; of what was noted of one key the last counts.
    pub(crate) fn order(&mut self) {
        let Self {
            endpoints,
            ipcache,
            policies,
            services,
            host: _,
            dns_rules,
            proxy_rules,
            rules,
            enforced_by,
            labels,
        } = self;
        order(endpoints);
        order(ipcache);
        order(policies);
        order(services);
        order(dns_rules);
        order(proxy_rules);
        order(rules);
        order(enforced_by);
        order(labels);
    }

    /// Brings a state to where the change leads.
    pub fn apply(self, state: &mut DatapathState) {
        let Self {
            endpoints,
            ipcache,
            policies,
            services,
            host,
            dns_rules,
            proxy_rules,
            rules,
            enforced_by,
            labels,
        } = self;
        apply(endpoints, &mut state.endpoints);
        apply(ipcache, &mut state.ipcache);
        apply(policies, &mut state.policies);
        apply(services, &mut state.services);
        state.host = host.unwrap_or(state.host);
        apply(dns_rules, &mut state.dns_rules);
        apply(proxy_rules, &mut state.proxy_rules);
        apply(rules, &mut state.rules);
        apply(enforced_by, &mut state.enforced_by);
        apply(labels, &mut state.labels);
    }
}

/// The entry of a key among ordered ones; `None`: the key is not among them.
pub(crate) fn entry_of<'a, K: Ord, V>(entries: &'a Entries<K, V>, key: &K) -> Option<&'a Option<V>> {
    let place = entries.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
    entries.get(place).map(|(_, value)| value)
}

/// Walks both tables side by side.
fn differences<K: Ord + Clone, V: PartialEq + Clone>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> Entries<K, V> {
    let mut entries = Vec::new();
    let (mut before, mut after) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return entries,
        };
        let was = before.next_if(|_| order != Ordering::Greater);
        let is = after.next_if(|_| order != Ordering::Less);
        match (was, is) {
            (Some((_, was)), Some((key, is))) if was != is => entries.push((key.clone(), Some(is.clone()))),
            (None, Some((key, is))) => entries.push((key.clone(), Some(is.clone()))),
            (Some((key, _)), None) => entries.push((key.clone(), None)),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// Orders what was noted in any order; of what was noted of one key the last counts.
pub(crate) fn order<K: Ord, V>(entries: &mut Entries<K, V>) {
    if entries.is_sorted_by(|(a, _), (b, _)| a < b) {
        return;
    }
    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    entries.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            core::mem::swap(later, earlier);
        }
        same
    });
}

fn apply<K: Ord, V>(entries: Entries<K, V>, table: &mut BTreeMap<K, V>) {
    if table.is_empty() {
        // Built from ordered entries at once, which takes a fraction of the time.
        *table = entries.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        return;
    }
    let Some((first, _)) = entries.first() else { return };
    let mut ahead = table.range_mut::<K, _>(from(first)).peekable();
    let mut rest = Vec::new();
    for (key, value) in entries {
        let Some(value) = value else {
            rest.push((key, None));
            continue;
        };
        let is_before = |(other, _): &(&K, &mut V)| **other < key;
        if !(0..NEAR).any(|_| ahead.next_if(is_before).is_none()) {
            ahead = table.range_mut::<K, _>(from(&key)).peekable();
        }
        match ahead.next_if(|(other, _)| **other == key) {
            Some((_, slot)) => *slot = value,
            None => rest.push((key, Some(value))),
        }
    }
    for (key, value) in rest {
        match value {
            Some(value) => drop(table.insert(key, value)),
            None => drop(table.remove(&key)),
        }
    }
}

/// How many neighbours are looked at before a key is searched for from the root.
const NEAR: usize = 4;

/// A table that is asked for keys in their order, which finds neighbours without a search.
pub(crate) struct Walk<'a, K, V> {
    table: &'a BTreeMap<K, V>,
    ahead: Option<Peekable<Range<'a, K, V>>>,
}

impl<'a, K: Ord, V> Walk<'a, K, V> {
    pub(crate) const fn new(table: &'a BTreeMap<K, V>) -> Self {
        Self { table, ahead: None }
    }

    /// The value of a key, which must not stand before the last one.
    pub(crate) fn get(&mut self, key: &K) -> Option<&'a V> {
        let table = self.table;
        let ahead = self.ahead.get_or_insert_with(|| table.range::<K, _>(from(key)).peekable());
        let is_before = |(other, _): &(&K, &V)| **other < *key;
        if !(0..NEAR).any(|_| ahead.next_if(is_before).is_none()) {
            *ahead = table.range::<K, _>(from(key)).peekable();
        }
        ahead.next_if(|(other, _)| **other == *key).map(|(_, value)| value)
    }
}

const fn from<K>(key: &K) -> (Bound<&K>, Bound<&K>) {
    (Bound::Included(key), Bound::Unbounded)
}

/// Builds a table anew that grew in order, which leaves nodes half empty.
pub(crate) fn pack<K: Ord, V>(table: &mut BTreeMap<K, V>) {
    *table = core::mem::take(table).into_iter().collect();
}
