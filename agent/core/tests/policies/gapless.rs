//! After each single write of a diff, a flow that both states treat alike is treated that way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use egret_core::ObjectName;
use egret_core::compile::Allocator;
use egret_core::diff::{MapWrite, diff};
use egret_core::state::{DatapathState, EndpointState};
use egret_shared::{Direction, Identity, ServiceEntry, ServiceKey, Verdict};
use ipnet::IpNet;
use proptest::prelude::*;

use crate::generate::{Rows, TRAFFIC, decide_by_rows, peers, situation};

/// Maps as the kernel has them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Maps {
    rows: Rows,
    ipcache: BTreeMap<IpNet, Identity>,
    services: BTreeMap<ServiceKey, ServiceEntry>,
    endpoints: BTreeMap<ObjectName, EndpointState>,
}

impl Maps {
    fn of(state: &DatapathState) -> Self {
        Self {
            rows: state.policies.iter().flat_map(|(number, rows)| rows.numbered(*number)).collect(),
            ipcache: state.ipcache.clone(),
            services: state.services.clone(),
            endpoints: state
                .endpoints
                .iter()
                .map(|(name, state)| ((**name).clone(), state.clone()))
                .collect(),
        }
    }

    fn write(&mut self, write: &MapWrite) {
        let missing = match write {
            MapWrite::PutPolicy { key, prefix, entry } => {
                self.rows.insert((*key, *prefix), *entry);
                false
            }
            MapWrite::PutIpcache(prefix, identity) => {
                self.ipcache.insert(*prefix, *identity);
                false
            }
            MapWrite::PutService(key, entry) => {
                self.services.insert(*key, *entry);
                false
            }
            MapWrite::PutEndpoint(name, endpoint) => {
                self.endpoints.insert((**name).clone(), endpoint.clone());
                false
            }
            MapWrite::DeletePolicy { key, prefix } => self.rows.remove(&(*key, *prefix)).is_none(),
            MapWrite::DeleteIpcache(prefix) => self.ipcache.remove(prefix).is_none(),
            MapWrite::DeleteService(key) => self.services.remove(key).is_none(),
            MapWrite::DeleteEndpoint(name) => self.endpoints.remove(&**name).is_none(),
        };
        assert!(!missing, "{write:?} deletes what is not there");
    }

    /// Whether a write that was just made can matter to an endpoint's flows.
    fn can_change(&self, write: &MapWrite, name: &ObjectName) -> bool {
        let in_force = |policy| self.endpoints[name].policy.contains(&policy);
        match write {
            MapWrite::PutPolicy { key, .. } | MapWrite::DeletePolicy { key, .. } => in_force(key.policy),
            MapWrite::PutIpcache(..) | MapWrite::DeleteIpcache(_) => true,
            MapWrite::PutEndpoint(changed, _) | MapWrite::DeleteEndpoint(changed) => **changed == *name,
            MapWrite::PutService(..) | MapWrite::DeleteService(_) => false,
        }
    }

    fn identity_of(&self, peer: IpAddr) -> Identity {
        self.ipcache
            .iter()
            .filter(|(prefix, _)| prefix.contains(&peer))
            .max_by_key(|(prefix, _)| prefix.prefix_len())
            .map_or(Identity::WORLD, |(_, identity)| *identity)
    }

    /// The verdict on every flow of an endpoint.
    fn verdicts(&self, name: &ObjectName) -> Vec<Verdict> {
        let endpoint = &self.endpoints[name];
        let mut verdicts = Vec::new();
        for direction in [Direction::Ingress, Direction::Egress] {
            let policy = endpoint.policy(direction);
            let rows: Rows = self
                .rows
                .iter()
                .filter(|((key, _), _)| key.policy == policy)
                .map(|(k, e)| (*k, *e))
                .collect();
            for peer in peers() {
                let identity = self.identity_of(peer);
                verdicts
                    .extend(TRAFFIC.map(|traffic| decide_by_rows(&rows, policy, identity, traffic).verdict));
            }
        }
        verdicts
    }
}

/// Flows that no order of writes can keep: an identity of theirs is left by one address and taken by another
/// in this same diff. One entry for each verdict.
fn without_order(old: &Maps, new: &Maps) -> Vec<bool> {
    let changed = old.ipcache.keys().chain(new.ipcache.keys());
    let moves: BTreeSet<(Identity, Identity)> = changed
        .map(|prefix| (old.identity_of(prefix.addr()), new.identity_of(prefix.addr())))
        .filter(|(from, to)| from != to)
        .collect();
    let left: BTreeSet<Identity> = moves.iter().map(|(from, _)| *from).collect();
    let taken: BTreeSet<Identity> = moves.iter().map(|(_, to)| *to).collect();
    let both: BTreeSet<Identity> = left.intersection(&taken).copied().collect();
    let of_peer = |peer| [old.identity_of(peer), new.identity_of(peer)].iter().any(|id| both.contains(id));
    let one_direction = peers().into_iter().flat_map(|peer| [of_peer(peer); TRAFFIC.len()]);
    let one_direction: Vec<bool> = one_direction.collect();
    [one_direction.clone(), one_direction].concat()
}

/// Makes the writes that lead from one state to another, and asks every flow after each.
pub(crate) fn follow(
    old: &DatapathState,
    new: &DatapathState,
    writes: &[MapWrite],
) -> Result<(), TestCaseError> {
    let mut maps = Maps::of(old);
    let target = Maps::of(new);
    let excused = without_order(&maps, &target);
    let stays = |name: &&Arc<ObjectName>| new.endpoints.contains_key(&**name);
    let names: Vec<ObjectName> = old.endpoints.keys().filter(stays).map(|name| (**name).clone()).collect();
    let ends: Vec<_> = names.iter().map(|name| (maps.verdicts(name), target.verdicts(name))).collect();
    for write in writes {
        maps.write(write);
        for (name, (old, new)) in names.iter().zip(&ends).filter(|(name, _)| maps.can_change(write, name)) {
            let now = maps.verdicts(name);
            for (index, verdict) in now.iter().enumerate().filter(|(index, _)| !excused[*index]) {
                prop_assert!(
                    old[index] != new[index] || *verdict == old[index],
                    "{}, flow {} after {:?}: {:?}, before and after {:?}",
                    name,
                    index,
                    write,
                    verdict,
                    old[index]
                );
            }
        }
    }
    prop_assert_eq!(maps, target);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_write_opens_or_closes_what_both_states_treat_alike(before in situation(), after in situation()) {
        let mut numbers = Allocator::default();
        let old = before.compile(&mut numbers);
        let new = after.compile(&mut numbers);
        follow(&old, &new, &diff(&old, &new))?;
    }
}
