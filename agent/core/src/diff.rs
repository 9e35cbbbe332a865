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
use alloc::sync::Arc;
use alloc::vec::Vec;

use egret_shared::{Author as Number, Direction, Identity, PolicyEntry, PolicyKey, ServiceEntry, ServiceKey};
use ipnet::IpNet;

use crate::ObjectName;
use crate::change::{Change, entry_of};
use crate::policymap::build::{Rows, Traffic, Verdict};
use crate::policymap::level;
use crate::policymap::rows::Row;
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
    PutEndpoint(Arc<ObjectName>, EndpointState),
    /// An endpoint goes.
    DeleteEndpoint(Arc<ObjectName>),
}

/// Numbers of bridges begin here; they live only between the first and the last write of one diff.
const FIRST_BRIDGE: u32 = 1 << 31;

/// The writes that lead from `old` to `new`, in order.
#[must_use]
pub fn diff(old: &DatapathState, new: &DatapathState) -> Vec<MapWrite> {
    writes(old, &Change::between(old, new))
}

/// The writes that a change of `old` comes to, in order.
#[must_use]
pub fn writes(old: &DatapathState, change: &Change) -> Vec<MapWrite> {
    let mut writes = Vec::new();
    for (number, rows) in &change.policies {
        rows.iter().for_each(|rows| put_policy(&mut writes, *number, rows));
    }
    let bridges = move_prefixes(&mut writes, old, change);
    put_services(&mut writes, change);
    for (name, endpoint) in &change.endpoints {
        writes.extend(endpoint.iter().map(|endpoint| MapWrite::PutEndpoint(name.clone(), endpoint.clone())));
    }
    let gone = change.endpoints.iter().filter(|(_, endpoint)| endpoint.is_none());
    writes.extend(gone.map(|(name, _)| MapWrite::DeleteEndpoint(name.clone())));
    for (number, rows) in &bridges {
        delete_policy(&mut writes, *number, rows);
    }
    for (number, _) in change.policies.iter().filter(|(_, rows)| rows.is_none()) {
        old.policies.get(number).into_iter().for_each(|rows| delete_policy(&mut writes, *number, rows));
    }
    writes
}

fn put_policy(writes: &mut Vec<MapWrite>, number: u32, rows: &PolicyRows) {
    let put = |((key, prefix), entry)| MapWrite::PutPolicy { key, prefix, entry };
    writes.extend(rows.numbered(number).map(put));
}

fn delete_policy(writes: &mut Vec<MapWrite>, number: u32, rows: &PolicyRows) {
    writes.extend(rows.numbered(number).map(|((key, prefix), _)| MapWrite::DeletePolicy { key, prefix }));
}

/// Backends, then the rows that count them; then counting rows that go, before the backends they count.
fn put_services(writes: &mut Vec<MapWrite>, change: &Change) {
    let mut changed: Vec<_> =
        change.services.iter().filter_map(|(key, entry)| Some((*key, (*entry)?))).collect();
    changed.sort_by_key(|(key, _)| key.slot == 0);
    writes.extend(changed.into_iter().map(|(key, entry)| MapWrite::PutService(key, entry)));
    let mut gone: Vec<_> = change.services.iter().filter(|(_, entry)| entry.is_none()).collect();
    gone.sort_by_key(|(key, _)| key.slot != 0);
    writes.extend(gone.into_iter().map(|(key, _)| MapWrite::DeleteService(*key)));
}

/// Step 2. Longer prefixes are written before shorter ones and deleted after them, so that every address
/// goes from its old identity to its new one at once. Returns the bridges with their numbers.
fn move_prefixes(writes: &mut Vec<MapWrite>, old: &DatapathState, change: &Change) -> Vec<(u32, PolicyRows)> {
    if change.ipcache.is_empty() {
        return Vec::new();
    }
    let mut puts: Vec<_> =
        change.ipcache.iter().filter_map(|(prefix, identity)| Some((*prefix, (*identity)?))).collect();
    puts.sort_by_key(|(prefix, _)| core::cmp::Reverse(prefix.prefix_len()));
    let deletes = change.ipcache.iter().filter(|(_, identity)| identity.is_none());
    let mut deletes: Vec<IpNet> = deletes.map(|(prefix, _)| *prefix).collect();
    deletes.sort_by_key(|prefix| prefix.prefix_len());

    let crossing = crossing(old, change);
    let left_by = |prefixes: &mut dyn Iterator<Item = &IpNet>| -> BTreeSet<Identity> {
        // Nobody else asks.
        let prefixes = prefixes.filter(|_| !crossing.is_empty());
        prefixes.map(|prefix| longest_prefix(&old.ipcache, *prefix).unwrap_or(Identity::WORLD)).collect()
    };
    let left_by_deletes = left_by(&mut deletes.iter());
    let mut left_by_puts = left_by(&mut puts.iter().map(|(prefix, _)| prefix));
    left_by_puts.extend(&left_by_deletes);

    let mut bridges = Vec::new();
    if !puts.is_empty() {
        cross(writes, &mut bridges, &crossing, old, change, &left_by_puts);
        writes.extend(puts.into_iter().map(|(prefix, id)| MapWrite::PutIpcache(prefix, id)));
    }
    if !deletes.is_empty() {
        cross(writes, &mut bridges, &crossing, old, change, &left_by_deletes);
        writes.extend(deletes.into_iter().map(MapWrite::DeleteIpcache));
    }
    bridges
}

/// An endpoint whose policy changes, before and after.
struct Crossing<'a> {
    name: &'a Arc<ObjectName>,
    before: &'a EndpointState,
    after: &'a EndpointState,
}

/// The endpoints that were there before and whose policy changes.
fn crossing<'a>(old: &'a DatapathState, change: &'a Change) -> Vec<Crossing<'a>> {
    let kept = change.endpoints.iter().filter_map(|(name, after)| {
        Some(Crossing { name, before: old.endpoints.get(name)?, after: after.as_ref()? })
    });
    kept.filter(|one| one.before.policy != one.after.policy).collect()
}

/// Writes bridges for the endpoints whose policy changes, and switches them over.
fn cross(
    writes: &mut Vec<MapWrite>,
    bridges: &mut Vec<(u32, PolicyRows)>,
    crossing: &[Crossing<'_>],
    old: &DatapathState,
    change: &Change,
    left: &BTreeSet<Identity>,
) {
    let mut built: BTreeMap<(u32, u32, u8), u32> = BTreeMap::new();
    let mut switched = Vec::new();
    for Crossing { name, before, after } in crossing {
        let policy = [Direction::Ingress, Direction::Egress].map(|direction| {
            let (from, to) = (before.policy(direction), after.policy(direction));
            if from == to {
                return to;
            }
            *built.entry((from, to, direction as u8)).or_insert_with(|| {
                let number = FIRST_BRIDGE.saturating_add(u32::try_from(bridges.len()).unwrap_or(0));
                let rows = bridge(old, change, (from, to), left);
                put_policy(writes, number, &rows);
                bridges.push((number, rows));
                number
            })
        });
        let bridged = EndpointState { policy, ..(*after).clone() };
        switched.push(MapWrite::PutEndpoint(Arc::clone(name), bridged));
    }
    writes.extend(switched);
}

/// The rows of a bridge: what the old policy says of identities that are being left, what the new one says of
/// all others. Rows for any identity stay only where both policies have the same; otherwise they are spelled
/// out for every identity that an address can have.
fn bridge(
    old: &DatapathState,
    change: &Change,
    (from, to): (u32, u32),
    left: &BTreeSet<Identity>,
) -> PolicyRows {
    let new = entry_of(&change.policies, &to).and_then(Option::as_ref);
    let (from, to) = (rows_of(from, old.policies.get(&from)), rows_of(to, new.or(old.policies.get(&to))));
    let any = [&from, &to].map(|rows| rows.of(Identity::ANY));
    let same_any = any.first() == any.last();
    let identities: BTreeSet<Identity> = if same_any {
        from.identities().chain(to.identities()).collect()
    } else {
        let known = old.labels.keys().chain(change.labels.iter().map(|(identity, _)| identity));
        known.copied().collect()
    };
    let mut rows = Rows::default();
    for identity in identities {
        let source = if left.contains(&identity) { &from } else { &to };
        let any = source.of(Identity::ANY).iter().filter(|_| !same_any);
        let spelled = any.map(|row| Row { identity: identity.0, ..*row });
        rows.extend(source.of(identity).iter().copied().chain(spelled));
    }
    rows.finish()
}

/// A policy's rows; policy 0 lets everything pass.
fn rows_of(policy: u32, rows: Option<&PolicyRows>) -> PolicyRows {
    match rows {
        None if policy == 0 => {
            let mut open = Rows::default();
            open.add(Identity::ANY, Traffic::Any, Verdict::allow(level::LAST, Number::NONE));
            open.finish()
        }
        rows => rows.cloned().unwrap_or_default(),
    }
}
