//! From one state of a node's datapath to the next, write by write, without a gap.
//!
//! After each single write, a flow that both states treat alike is treated that way. Two kinds of writes
//! decide a flow: which policy its endpoint has, and which identity its peer has. Neither can go first:
//! the old policy does not know the new identity, nor the new policy the old one. So endpoints whose policy
//! changes while identities change pass through a *bridge*: a policy that treats each identity that is being
//! left as the old policy does, and every other as the new policy does.
//!
//! 1. Write the new policies under their numbers, which no endpoint names yet.
//! 2. Twice, for prefixes that get an identity and then for prefixes that lose theirs: write the bridges, switch
//!    the endpoints to them, write the prefixes.
//! 3. Write services: backends before the row that counts them.
//! 4. Switch the endpoints to their new policies.
//! 5. Delete what is left over.
//!
//! One case has no such order: an address takes the identity that another address leaves in the same half of
//! step 2, while the policy on that identity changes too. The old policy then holds until step 4.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use egret_shared::{Author as Number, Direction, Identity, PolicyEntry, PolicyKey, ServiceEntry, ServiceKey};
use ipnet::IpNet;

use crate::ObjectName;
use crate::policymap::build::{Rows, Traffic, Verdict, numbered};
use crate::policymap::level;
use crate::state::{DatapathState, EndpointState, PolicyRows, longest_prefix};

/// One write to one map.
#[derive(Clone, Debug, PartialEq)]
pub enum MapWrite {
    /// A policymap row.
    PutPolicy {
        /// Its key.
        key: PolicyKey,
        /// Prefix length of the key in bits.
        prefix: u32,
        /// Its value.
        entry: PolicyEntry,
    },
    /// A policymap row goes.
    DeletePolicy {
        /// Its key.
        key: PolicyKey,
        /// Prefix length of the key in bits.
        prefix: u32,
    },
    /// A prefix's identity.
    PutIpcache(IpNet, Identity),
    /// A prefix has no identity of its own any more.
    DeleteIpcache(IpNet),
    /// A service row.
    PutService(ServiceKey, ServiceEntry),
    /// A service row goes.
    DeleteService(ServiceKey),
    /// An endpoint: new, or with another policy, identity or address.
    PutEndpoint(ObjectName, EndpointState),
    /// An endpoint goes.
    DeleteEndpoint(ObjectName),
}

/// Numbers of bridges begin here; they live only between the first and the last write of one diff.
const FIRST_BRIDGE: u32 = 1 << 31;

/// The writes that lead from `old` to `new`, in order.
#[must_use]
pub fn diff(old: &DatapathState, new: &DatapathState) -> Vec<MapWrite> {
    let mut writes = Vec::new();
    for (number, rows) in &new.policies {
        if !old.policies.contains_key(number) {
            put_policy(&mut writes, rows);
        }
    }
    let bridges = move_prefixes(&mut writes, old, new);
    put_services(&mut writes, old, new);
    for (name, endpoint) in &new.endpoints {
        if old.endpoints.get(name) != Some(endpoint) || bridges.endpoints.contains(name) {
            writes.push(MapWrite::PutEndpoint(name.clone(), endpoint.clone()));
        }
    }
    for name in old.endpoints.keys().filter(|name| !new.endpoints.contains_key(*name)) {
        writes.push(MapWrite::DeleteEndpoint(name.clone()));
    }
    for rows in &bridges.policies {
        delete_policy(&mut writes, rows);
    }
    for (number, rows) in &old.policies {
        if !new.policies.contains_key(number) {
            delete_policy(&mut writes, rows);
        }
    }
    writes
}

fn put_policy(writes: &mut Vec<MapWrite>, rows: &PolicyRows) {
    let put = |((key, prefix), entry): (&(PolicyKey, u32), &PolicyEntry)| MapWrite::PutPolicy {
        key: *key,
        prefix: *prefix,
        entry: *entry,
    };
    writes.extend(rows.iter().map(put));
}

fn delete_policy(writes: &mut Vec<MapWrite>, rows: &PolicyRows) {
    writes.extend(rows.keys().map(|(key, prefix)| MapWrite::DeletePolicy { key: *key, prefix: *prefix }));
}

/// Backends, then the rows that count them; then counting rows that go, before the backends they count.
fn put_services(writes: &mut Vec<MapWrite>, old: &DatapathState, new: &DatapathState) {
    let mut changed: Vec<_> =
        new.services.iter().filter(|(key, entry)| old.services.get(key) != Some(entry)).collect();
    changed.sort_by_key(|(key, _)| key.slot == 0);
    writes.extend(changed.into_iter().map(|(key, entry)| MapWrite::PutService(*key, *entry)));
    let mut gone: Vec<_> = old.services.keys().filter(|key| !new.services.contains_key(key)).collect();
    gone.sort_by_key(|key| key.slot != 0);
    writes.extend(gone.into_iter().map(|key| MapWrite::DeleteService(*key)));
}

/// The policies that exist only between two states, and who uses them.
#[derive(Default)]
struct Bridges {
    policies: Vec<PolicyRows>,
    endpoints: BTreeSet<ObjectName>,
}

/// Step 2. Longer prefixes are written before shorter ones and deleted after them, so that every address
/// goes from its old identity to its new one at once.
fn move_prefixes(writes: &mut Vec<MapWrite>, old: &DatapathState, new: &DatapathState) -> Bridges {
    let mut puts: Vec<_> =
        new.ipcache.iter().filter(|(prefix, identity)| old.ipcache.get(prefix) != Some(identity)).collect();
    puts.sort_by_key(|(prefix, _)| core::cmp::Reverse(prefix.prefix_len()));
    let mut deletes: Vec<_> = old.ipcache.keys().filter(|prefix| !new.ipcache.contains_key(prefix)).collect();
    deletes.sort_by_key(|prefix| prefix.prefix_len());

    let left_by = |prefix: &IpNet| longest_prefix(&old.ipcache, *prefix).unwrap_or(Identity::WORLD);
    let left_by_deletes: BTreeSet<Identity> = deletes.iter().map(|prefix| left_by(prefix)).collect();
    let mut left_by_puts: BTreeSet<Identity> = puts.iter().map(|(prefix, _)| left_by(prefix)).collect();
    left_by_puts.extend(&left_by_deletes);

    let mut bridges = Bridges::default();
    if !puts.is_empty() {
        cross(writes, &mut bridges, old, new, &left_by_puts);
        writes.extend(puts.into_iter().map(|(prefix, id)| MapWrite::PutIpcache(*prefix, *id)));
    }
    if !deletes.is_empty() {
        cross(writes, &mut bridges, old, new, &left_by_deletes);
        writes.extend(deletes.into_iter().map(|prefix| MapWrite::DeleteIpcache(*prefix)));
    }
    bridges
}

/// Writes bridges for the endpoints whose policy changes, and switches them over.
fn cross(
    writes: &mut Vec<MapWrite>,
    bridges: &mut Bridges,
    old: &DatapathState,
    new: &DatapathState,
    left: &BTreeSet<Identity>,
) {
    let mut built: BTreeMap<(u32, u32, u8), u32> = BTreeMap::new();
    let mut switched = Vec::new();
    for (name, after) in &new.endpoints {
        let Some(before) = old.endpoints.get(name).filter(|before| before.policy != after.policy) else {
            continue;
        };
        let policy = [Direction::Ingress, Direction::Egress].map(|direction| {
            let (from, to) = (before.policy(direction), after.policy(direction));
            if from == to {
                return to;
            }
            *built.entry((from, to, direction as u8)).or_insert_with(|| {
                let number = FIRST_BRIDGE.saturating_add(u32::try_from(bridges.policies.len()).unwrap_or(0));
                let rows = numbered(&bridge(old, new, (from, to), left), number);
                put_policy(writes, &rows);
                bridges.policies.push(rows);
                number
            })
        });
        switched.push(MapWrite::PutEndpoint(name.clone(), EndpointState { policy, ..after.clone() }));
        bridges.endpoints.insert(name.clone());
    }
    writes.extend(switched);
}

/// The rows of a bridge: what the old policy says of identities that are being left, what the new one says of
/// all others. Rows for any identity stay only where both policies have the same; otherwise they are spelled
/// out for every identity that an address can have.
fn bridge(
    old: &DatapathState,
    new: &DatapathState,
    (from, to): (u32, u32),
    left: &BTreeSet<Identity>,
) -> PolicyRows {
    let (from, to) = (by_identity(old, from), by_identity(new, to));
    let same_any = from.get(&Identity::ANY) == to.get(&Identity::ANY);
    let mut identities: BTreeSet<Identity> = old.labels.keys().chain(new.labels.keys()).copied().collect();
    identities.extend(old.ipcache.values().chain(new.ipcache.values()));
    if same_any {
        identities.insert(Identity::ANY);
    }
    let mut rows = PolicyRows::new();
    for identity in identities {
        let source = if left.contains(&identity) { &from } else { &to };
        let mut own = source.get(&identity).cloned().unwrap_or_default();
        if !same_any {
            own = merged(own, source.get(&Identity::ANY), identity);
        }
        rows.extend(own);
    }
    rows
}

/// One policy's rows under number 0, by identity; policy 0 lets everything pass.
fn by_identity(state: &DatapathState, policy: u32) -> BTreeMap<Identity, PolicyRows> {
    let mut by_identity: BTreeMap<Identity, PolicyRows> = BTreeMap::new();
    if policy == 0 {
        let mut open = Rows::default();
        open.add(Identity::ANY, Traffic::Any, Verdict::allow(level::LAST, Number::NONE));
        by_identity.insert(Identity::ANY, open.finish());
    }
    for ((key, prefix), entry) in state.policies.get(&policy).into_iter().flatten() {
        let rows = by_identity.entry(Identity(key.identity)).or_default();
        rows.insert((PolicyKey { policy: 0, ..*key }, *prefix), *entry);
    }
    by_identity
}

/// An identity's own rows together with those for any identity, as one set of rows for it.
fn merged(own: PolicyRows, any: Option<&PolicyRows>, identity: Identity) -> PolicyRows {
    let mut rows = Rows::from(own);
    for ((key, prefix), entry) in any.into_iter().flatten() {
        rows.insert((PolicyKey { identity: identity.0, ..*key }, *prefix), *entry);
    }
    rows.finish()
}
