//! A change of one node's datapath state: only what is different, so that a small change is small.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;

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

fn order<K: Ord, V>(entries: &mut Entries<K, V>) {
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
    for (key, value) in entries {
        match value {
            Some(value) => drop(table.insert(key, value)),
            None => drop(table.remove(&key)),
        }
    }
}
