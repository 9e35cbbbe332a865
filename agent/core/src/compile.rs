//! From the desired state of a cluster to what one node's datapath holds.

mod allocate;
mod service;

pub use allocate::Allocator;

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use egret_shared::{Direction, Identity};

use crate::policy::resolve::{self, DirectionPolicy};
use crate::policymap::build::numbered;
use crate::state::{DatapathState, DnsFilter, EndpointState};
use crate::{Author, Desired, fqdn, identity};

/// Compiles what a node's maps must hold.
///
/// `numbers` is the node's own and lives as long as its agent. Stages: identities, peers of every rule, one
/// policy for each distinct identity and direction, endpoints, services.
#[must_use]
pub fn compile(desired: &Desired, node: &str, names: &fqdn::Names, numbers: &mut Allocator) -> DatapathState {
    let identities = identity::of(desired, node, names, numbers);
    let sections = resolve::sections(desired, &identities.members, numbers);
    let mut state = DatapathState {
        services: service::table(&desired.world),
        labels: identities.members.iter().map(|(id, member)| (*id, member.labels.texts())).collect(),
        ..DatapathState::default()
    };
    for (id, policy) in &desired.policies {
        for path in policy.rule_paths() {
            let number = numbers.rule(id, &path);
            state.authors.insert(number, Author::Rule { policy: id.clone(), path });
        }
    }

    let mut compiled: BTreeMap<Identity, [Option<(u32, DirectionPolicy)>; 2]> = BTreeMap::new();
    for (name, pod) in desired.world.pods.iter().filter(|(_, pod)| pod.node == node && !pod.host_network) {
        let Some(identity) = identities.pods.get(name).copied() else { continue };
        let Some(member) = identities.members.get(&identity) else { continue };
        let policies = compiled.entry(identity).or_insert_with(|| {
            [Direction::Ingress, Direction::Egress].map(|direction| {
                let policy =
                    resolve::direction(&sections, member, direction, &identities.members, desired.dialect)?;
                let number = numbers.policy(direction, policy.rows.clone(), policy.enforced_by.clone());
                state.policies.entry(number).or_insert_with(|| numbered(&policy.rows, number));
                state.enforced_by.insert(number, policy.enforced_by.clone());
                Some((number, policy))
            })
        });
        let id = numbers.endpoint(name);
        for (_, policy) in policies.iter().flatten() {
            for ((port, protocol), rules) in &policy.dns {
                let filter = DnsFilter { endpoint: id, port: *port, protocol: *protocol };
                state.dns_rules.insert(filter, rules.clone());
            }
        }
        let endpoint = EndpointState {
            id,
            identity,
            policy: policies.each_ref().map(|policy| policy.as_ref().map_or(0, |(number, _)| *number)),
            ipv4: pod.addresses.iter().find_map(|address| match address {
                IpAddr::V4(v4) => Some(*v4),
                IpAddr::V6(_) => None,
            }),
            ipv6: pod.addresses.iter().find_map(|address| match address {
                IpAddr::V4(_) => None,
                IpAddr::V6(v6) => Some(*v6),
            }),
        };
        state.endpoints.insert(name.clone(), endpoint);
    }
    state.ipcache = identities.ipcache;
    numbers.retain(|name| state.endpoints.contains_key(name), |policy| state.policies.contains_key(&policy));
    state
}
