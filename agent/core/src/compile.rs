//! From the desired state of a cluster to what one node's datapath holds, all of it or what a change makes different.
//!
//! | step | from -> to | module |
//! | --- | --- | --- |
//! | numbers | things -> numbers that they keep | `allocate` |
//! | outside | prefixes, names, nodes -> identities | `outside` |
//! | pods | pods -> identities, addresses | `pods` |
//! | index | labels -> who has them, who looks for them | `index` |
//! | selectors | each selector, once -> the identities that it selects | `selectors` |
//! | sections | policies -> rules with their peers | `sections` |
//! | subjects | identities of local endpoints -> policies, once for all that the same rules apply to | `subjects` |
//! | services | services -> rows | `services` |
//!
//! A start is the change from nothing. What follows is only done for what a change reaches: identities that came or
//! went reach selectors, those reach rules, those reach subjects, and those reach endpoints.

mod allocate;
mod changed;
mod index;
mod outside;
mod pods;
mod reached;
mod sections;
mod selectors;
mod services;
mod subjects;

pub use allocate::Allocator;
pub use changed::Changed;

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::Identity;
use ipnet::IpNet;

use crate::author::PolicyId;
use crate::change::{Change, Entries, Walk, order};
use crate::diff::{MapWrite, writes};
use crate::fqdn::Names;
use crate::identity::reference::References;
use crate::identity::{Member, Members, NamedPorts, relevant};
use crate::rule::Policy;
use crate::state::{DatapathState, EndpointState};
use crate::{Desired, ObjectName};
use outside::Outside;

use index::Index;
use pods::{Naming, Pods, Replaced};
use reached::Reached;
use sections::Sections;
use selectors::Selectors;
use services::Services;
use subjects::{Filters, Policies, Subjects};

/// Compiles what a node's maps must hold.
///
/// `numbers` is the node's own and lives as long as its agent.
#[must_use]
pub fn compile(desired: &Desired, node: &str, names: &Names, numbers: &mut Allocator) -> DatapathState {
    let mut compiler = Compiler::new(desired, node, names, core::mem::take(numbers));
    *numbers = compiler.give_back();
    compiler.state
}

/// One node's compiled state, and what is needed to change it in proportion to a change. A new one has compiled
/// nothing, for no node.
#[derive(Clone, Debug, Default)]
pub struct Compiler {
    node: String,
    numbers: Allocator,
    references: References,
    outside: Outside,
    members: Members,
    index: Index,
    pods: Pods,
    selectors: Selectors,
    sections: Sections,
    subjects: Subjects,
    services: Services,
    state: DatapathState,
}

impl Compiler {
    /// What the maps must hold.
    #[must_use]
    pub const fn state(&self) -> &DatapathState {
        &self.state
    }

    /// Follows a change of what is desired or learned, and says what must be written for it, in order.
    ///
    /// `desired` and `names` are as they are now; `changed` names all that may be different from the last time.
    /// For another node than the last time, everything is.
    pub fn update(
        &mut self,
        desired: &Desired,
        node: &str,
        names: &Names,
        changed: &Changed,
    ) -> Vec<MapWrite> {
        let mut change = Change::default();
        let is_whole = changed.rest || self.node != node;
        if is_whole || !self.follow(desired, names, changed, &mut change) {
            // With the numbers that things have.
            let numbers = self.give_back();
            let new = Self::new(desired, node, names, numbers);
            let old = core::mem::replace(self, new);
            return writes(&old.state, &Change::between(&old.state, &self.state));
        }
        change.order();
        let writes = writes(&self.state, &change);
        for (number, _) in change.policies.iter().filter(|(_, rows)| rows.is_none()) {
            let DatapathState { policies, enforced_by, .. } = &self.state;
            if let (Some(rows), Some(by)) = (policies.get(number), enforced_by.get(number)) {
                self.numbers.forget_policy(*number, rows, by);
            }
        }
        change.apply(&mut self.state);
        writes
    }

    /// Compiles all of it.
    #[must_use]
    pub fn new(desired: &Desired, node: &str, names: &Names, numbers: Allocator) -> Self {
        let mut this = Self { node: node.to_string(), numbers, ..Self::default() };
        let mut change = Change::default();
        let (services, nothing) = (desired.world.services.keys(), BTreeSet::new());
        this.services.update(&desired.world, services, &nothing, &this.state, &mut change.services);
        let host = desired
            .world
            .nodes
            .get(node)
            .map(|own| Member { labels: relevant::of_node(&own.labels), ports: NamedPorts::new() });
        this.subjects = Subjects::new(host);
        this.pods.reserve(desired.world.pods.len());
        this.sections.reserve(desired.policies.len());
        this.run(desired, names, &Reached::everything(desired), true, &mut change);
        this.members.pack();
        this.subjects.pack();
        change.order();
        change.apply(&mut this.state);
        this.numbers.retain(&this.state);
        this
    }

    /// Ends the compiler, whose state remains; returns all numbers, for the next one.
    fn give_back(&mut self) -> Allocator {
        let mut numbers = core::mem::take(&mut self.numbers);
        numbers.keep_endpoints(&self.state);
        self.sections.give_back(&mut numbers);
        numbers
    }

    /// Follows a change by name; `false`: it reaches everything.
    fn follow(&mut self, desired: &Desired, names: &Names, changed: &Changed, change: &mut Change) -> bool {
        // What the policies in force refer to was found in services as they were.
        if !changed.services.is_empty() && self.sections.ask_for_services() {
            return false;
        }
        let (services, world) = (changed.services.iter(), &desired.world);
        self.services.update(world, services, &changed.pods, &self.state, &mut change.services);
        self.run(desired, names, &Reached::by(changed, desired), false, change)
    }

    /// Follows a change; `false`: it reaches everything, and what is noted so far is of no use.
    ///
    /// 1. Policies that go or change are taken out, and note whom they were about.
    /// 2. Identities: outside, then pods.
    /// 3. Selectors select those that came and no more those that went.
    /// 4. Policies that come or change are put in.
    /// 5. Policies of whoever is reached are computed.
    fn run(
        &mut self,
        desired: &Desired,
        names: &Names,
        reached: &Reached<'_>,
        is_start: bool,
        change: &mut Change,
    ) -> bool {
        let mut nets: Vec<IpNet> = Vec::new();
        let added = self.take_policies_out(desired, &reached.policies, change);

        if self.references.take_changed() || is_start {
            let identity = (self.node.as_str(), desired.dialect);
            let outside = Outside::new(&self.references, &desired.world, identity, names, &mut self.numbers);
            if is_start {
                self.members = Members::reserved(outside.host.clone());
            } else if outside.reaches_inside(&self.outside) {
                return false;
            }
            let old = core::mem::replace(&mut self.outside, outside);
            nets.extend(old.nets().chain(self.outside.nets()));
            self.outside.uses().for_each(|(id, member)| self.members.add(id, || member.clone()));
            old.uses().for_each(|(id, _)| self.members.remove(id));
        }
        for address in &reached.addresses {
            let old = self.outside.learned(*address).map(|(identity, _)| *identity);
            self.outside.learn(*address, names, &mut self.numbers);
            if let Some((identity, member)) = self.outside.learned(*address) {
                self.members.add(*identity, || member.clone());
            }
            old.into_iter().for_each(|identity| self.members.remove(identity));
            nets.push(IpNet::from(*address));
        }
        let endpoints = self.put_pods(desired, reached, &mut nets);

        let settled = self.members.settle();
        for (identity, member) in &settled.removed {
            self.index.remove_identity(*identity, &member.labels);
            change.labels.push((*identity, None));
        }
        for (identity, member) in &settled.added {
            self.index.add_identity(*identity, &member.labels);
            change.labels.push((*identity, Some(member.labels.clone())));
        }
        let mut sections = self.selectors.settle(&settled, &self.index, desired.dialect);
        sections.iter().for_each(|section| self.sections.refresh(*section, &self.selectors));
        let mut moved = settled.removed.iter().chain(&settled.added);
        if moved.any(|(_, member)| !member.ports.is_empty()) {
            sections.extend(self.sections.asking_everyone());
        }

        sections.extend(self.put_policies_in(desired, &added, change));
        let Self { subjects, sections: all, index, members, .. } = self;
        let around = subjects::Around { sections: all, index, members, dialect: desired.dialect };
        // At a start everybody is new.
        if !is_start {
            sections.iter().for_each(|section| subjects.note(*section, &around));
        }
        let changed = subjects.settle(&around, &mut self.numbers, change);
        changed.iter().for_each(|identity| self.change_policies(*identity, change));
        self.change_endpoints(endpoints, change);
        self.change_ipcache(nets, change);
        true
    }

    /// Takes out the policies that go or change; returns those that come or change.
    fn take_policies_out<'a>(
        &mut self,
        desired: &Desired,
        reached: &[(&PolicyId, Option<&'a Arc<Policy>>)],
        change: &mut Change,
    ) -> Vec<&'a Arc<Policy>> {
        let mut added = Vec::new();
        for (id, new) in reached {
            let old = self.sections.policy(id).cloned();
            if let (Some(old), Some(new)) = (&old, *new)
                && (Arc::ptr_eq(old, new) || old == new)
            {
                continue;
            }
            if let Some(old) = old {
                let Self { subjects, sections, index, members, .. } = self;
                let around = subjects::Around { sections, index, members, dialect: desired.dialect };
                sections.places(id).iter().for_each(|section| subjects.note(*section, &around));
                self.references.remove(&old, &desired.world);
                let table = (&mut self.index, &mut self.selectors);
                self.sections.remove(id, &mut self.numbers, table, &mut change.rules);
            }
            if let Some(new) = *new {
                self.references.add(new, &desired.world);
                added.push(new);
            }
        }
        added
    }

    /// Puts policies in; returns the places of their sections.
    fn put_policies_in(
        &mut self,
        desired: &Desired,
        added: &[&Arc<Policy>],
        change: &mut Change,
    ) -> Vec<u32> {
        let mut around = sections::Around {
            index: &mut self.index,
            selectors: &mut self.selectors,
            members: &self.members,
            world: &desired.world,
            dialect: desired.dialect,
        };
        let mut places = Vec::new();
        for policy in added {
            places.extend(self.sections.add(policy, &mut self.numbers, &mut around, &mut change.rules));
        }
        places
    }

    /// Gives pods their identities; returns the names that are reached, with the places of their pods.
    fn put_pods<'a>(
        &mut self,
        desired: &'a Desired,
        reached: &Reached<'a>,
        nets: &mut Vec<IpNet>,
    ) -> Entries<Arc<ObjectName>, u32> {
        let Self { pods, outside, members, numbers, subjects, node, .. } = self;
        let world = &desired.world;
        let mut naming = Naming::new(world, desired.dialect, outside, node);
        let mut endpoints = Entries::with_capacity(reached.pods.len());
        nets.reserve(reached.pods.len());
        let gone = reached.gone.iter().map(|name| (*name, None));
        for (name, pod) in gone.chain(reached.pods.iter().map(|(name, pod)| (&***name, Some((*name, *pod)))))
        {
            let replaced = match pod.filter(|(_, pod)| !pod.host_network) {
                Some((name, pod)) => Some(pods.put(name, pod, &mut naming, (numbers, members))),
                None => pods.remove(name, members),
            };
            let Some(Replaced { name, old, new }) = replaced else { continue };
            let (place, new) = new.unzip();
            for known in old.iter().chain(new) {
                nets.extend(known.addresses.iter().map(|(address, _)| IpNet::from(*address)));
            }
            if let Some(old) = old.as_ref().filter(|old| old.is_local) {
                subjects.remove(old.identity, &name);
            }
            if let Some(new) = new.filter(|new| new.is_local) {
                subjects.add(new.identity, &name);
            }
            endpoints.push((name, place));
        }
        endpoints
    }

    /// The policies of one subject are other ones. Of endpoints that are different themselves,
    /// [`Self::change_endpoints`] has the last word.
    fn change_policies(&self, identity: Identity, change: &mut Change) {
        let Some((endpoints, policies)) = self.subjects.endpoints(identity) else { return };
        let mut known = Walk::new(&self.state.endpoints);
        change.endpoints.reserve(endpoints.len());
        for name in endpoints {
            let Some(old) = known.get(name) else { continue };
            Filters::change(policies.filters.as_deref(), old.id, &self.state, change);
            if old.policy != policies.numbers {
                let new = EndpointState { policy: policies.numbers, ..old.clone() };
                change.endpoints.push((Arc::clone(name), Some(new)));
            }
        }
    }

    /// Endpoints of pods that came, went or are different, and what proxies are told of them.
    fn change_endpoints(&mut self, mut reached: Entries<Arc<ObjectName>, u32>, change: &mut Change) {
        order(&mut reached);
        let nothing = Policies::default();
        change.endpoints.reserve(reached.len());
        for (name, place) in reached {
            let old = self.state.endpoints.get(&name);
            let known = place.and_then(|place| self.pods.get(place)).filter(|known| known.is_local);
            let policies = known.map(|known| self.subjects.policies(known.identity).unwrap_or(&nothing));
            let new = known.zip(policies).map(|(known, policies)| EndpointState {
                id: old.map_or_else(|| self.numbers.endpoint(&name), |old| old.id),
                identity: known.identity,
                policy: policies.numbers,
                ipv4: known.addresses.iter().find_map(|(address, _)| match address {
                    IpAddr::V4(v4) => Some(*v4),
                    IpAddr::V6(_) => None,
                }),
                ipv6: known.addresses.iter().find_map(|(address, _)| match address {
                    IpAddr::V4(_) => None,
                    IpAddr::V6(v6) => Some(*v6),
                }),
            });
            if let Some(id) = old.or(new.as_ref()).map(|endpoint| endpoint.id) {
                let filters = policies.and_then(|policies| policies.filters.as_deref());
                Filters::change(filters, id, &self.state, change);
            }
            if old != new.as_ref() {
                change.endpoints.push((name, new));
            }
        }
    }

    /// Prefixes whose identity is different.
    fn change_ipcache(&self, mut nets: Vec<IpNet>, change: &mut Change) {
        nets.sort_unstable();
        nets.dedup();
        for net in nets {
            let pod = (net.prefix_len() == net.max_prefix_len()).then(|| self.pods.at(net.addr())).flatten();
            let new = pod.or_else(|| self.outside.identity_of(net));
            if new.as_ref() != self.state.ipcache.get(&net) {
                change.ipcache.push((net, new));
            }
        }
    }
}
