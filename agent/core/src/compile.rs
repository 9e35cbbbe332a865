//! From the desired state of a cluster to what one node's datapath holds.

mod allocate;
mod service;

pub use allocate::Allocator;

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

use egret_shared::{Direction, Identity};

use crate::identity::{Member, relevant};
use crate::policy::resolve::{self, DirectionPolicy};
use crate::policy::scope::Sections;
use crate::policymap::build::numbered;
use crate::rule::Dialect;
use crate::state::{DatapathState, DnsFilter, EndpointState, ProxyFilter};
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
        let mut numbers = numbers.rules(id);
        for path in policy.rule_paths() {
            let number = numbers.rule(&path);
            state.authors.insert(number, Author::Rule { policy: id.clone(), path });
        }
    }

    let rules = Rules { sections: &sections, members: &identities.members, dialect: desired.dialect };
    if let Some(own) = desired.world.nodes.get(node) {
        let host = Member { labels: relevant::of_node(&own.labels), ports: BTreeSet::new() };
        let policies = rules.of(&host, &mut state, numbers);
        state.host = policies.each_ref().map(number);
    }
    let mut compiled: BTreeMap<Identity, [Option<Numbered>; 2]> = BTreeMap::new();
    for (name, pod) in desired.world.pods.iter().filter(|(_, pod)| pod.node == node && !pod.host_network) {
        let Some(identity) = identities.pods.get(name).copied() else { continue };
        let Some(member) = identities.members.get(&identity) else { continue };
        let policies = compiled.entry(identity).or_insert_with(|| rules.of(member, &mut state, numbers));
        let id = numbers.endpoint(name);
        for (direction, policy) in DIRECTIONS.into_iter().zip(policies.iter()) {
            let Some(Numbered { policy, .. }) = policy else { continue };
            if !policy.proxied.is_empty() {
                state.proxy_rules.insert(ProxyFilter { endpoint: id, direction }, policy.proxied.clone());
            }
            for ((port, protocol), rules) in &policy.dns {
                let filter = DnsFilter { endpoint: id, port: *port, protocol: *protocol };
                state.dns_rules.insert(filter, rules.clone());
            }
        }
        let endpoint = EndpointState {
            id,
            identity,
            policy: policies.each_ref().map(number),
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

/// Both directions, in the order of [`EndpointState::policy`].
const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// The policy of one direction with its number.
struct Numbered {
    number: u32,
    policy: DirectionPolicy,
}

fn number(policy: &Option<Numbered>) -> u32 {
    policy.as_ref().map_or(0, |policy| policy.number)
}

/// The rules of all policies with their peers found.
struct Rules<'a> {
    sections: &'a Sections<'a>,
    members: &'a BTreeMap<Identity, Member>,
    dialect: Dialect,
}

impl Rules<'_> {
    /// A subject's policies, which go into the state.
    fn of(
        &self,
        subject: &Member,
        state: &mut DatapathState,
        numbers: &mut Allocator,
    ) -> [Option<Numbered>; 2] {
        DIRECTIONS.map(|direction| {
            let policy = resolve::direction(self.sections, subject, direction, self.members, self.dialect)?;
            let number = numbers.policy(direction, policy.rows.clone(), policy.enforced_by.clone());
            state.policies.entry(number).or_insert_with(|| numbered(&policy.rows, number));
            state.enforced_by.insert(number, policy.enforced_by.clone());
            Some(Numbered { number, policy })
        })
    }
}
