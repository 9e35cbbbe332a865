//! The identities of local endpoints, with the policy of each: computed once, shared by all that have it.

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use egret_shared::{Direction, Identity};
use hashbrown::HashMap;

use super::Allocator;
use super::allocate::PolicyContent;
use super::index::Index;
use super::sections::Sections;
use crate::change::{Change, pack};
use crate::identity::{Member, Members, NamedPorts};
use crate::policy::resolve::{Applying, DirectionPolicy, direction};
use crate::rule::{Dialect, PortMatch, Rule, Subject as About};
use crate::state::{DatapathState, DnsFilter, DnsFilterRules, ProxyFilter, ProxyRule};
use crate::{ObjectName, Protocol};

/// Both directions, in the order of [`crate::state::EndpointState::policy`].
pub(super) const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Whoever has policies on the node.
#[derive(Clone, Debug, Default)]
pub(super) struct Subjects {
    known: BTreeMap<Identity, Subject>,
    /// The node itself, as policies for nodes see it.
    host: Option<(Member, Policies)>,
    in_force: InForce,
    /// Whose policies must be computed.
    dirty: BTreeSet<Identity>,
    host_is_dirty: bool,
}

/// Policies by number, each with how many subjects have it.
#[derive(Clone, Debug, Default)]
struct InForce {
    uses: BTreeMap<u32, u32>,
}

/// One identity of local endpoints.
#[derive(Clone, Debug, Default)]
struct Subject {
    // INVARIANT: ordered.
    endpoints: Vec<Arc<ObjectName>>,
    policies: Policies,
    /// It has been computed before; until then all of its endpoints are new.
    is_known: bool,
}

/// Both directions of one subject.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Policies {
    /// Their numbers; 0: not enforced.
    pub(super) numbers: [u32; 2],
    /// What proxies are told; `None`: nothing.
    pub(super) filters: Option<Arc<Filters>>,
}

/// What proxies are told of one subject.
#[derive(Debug, PartialEq)]
pub(super) struct Filters {
    dns: DnsFilterRules,
    proxied: [Arc<[ProxyRule]>; 2],
}

/// What policies are computed from.
pub(super) struct Around<'a> {
    pub(super) sections: &'a Sections,
    pub(super) index: &'a Index,
    pub(super) members: &'a Members,
    pub(super) dialect: Dialect,
}

/// What subjects have that the same sections are about: these differ in their own named ports only.
type Computed = HashMap<(Vec<u32>, NamedPorts), Alike>;

/// How many of them are kept.
const KEPT: usize = 256;

/// What is computed once for all of them.
struct Alike {
    directions: [Option<DirectionPolicy>; 2],
    filters: Option<Arc<Filters>>,
}

impl Subjects {
    /// Subjects of a node, which is itself one as soon as it exists.
    pub(super) fn new(host: Option<Member>) -> Self {
        let host_is_dirty = host.is_some();
        let host = host.map(|member| (member, Policies::default()));
        Self { host, host_is_dirty, ..Self::default() }
    }

    /// An endpoint came.
    pub(super) fn add(&mut self, identity: Identity, name: &Arc<ObjectName>) {
        let subject = self.known.entry(identity).or_default();
        if subject.endpoints.is_empty() {
            self.dirty.insert(identity);
        }
        match subject.endpoints.last() {
            Some(last) if last >= name => {
                if let Err(place) = subject.endpoints.binary_search(name) {
                    subject.endpoints.insert(place, Arc::clone(name));
                }
            }
            Some(_) | None => subject.endpoints.push(Arc::clone(name)),
        }
    }

    /// An endpoint went.
    pub(super) fn remove(&mut self, identity: Identity, name: &Arc<ObjectName>) {
        let Some(subject) = self.known.get_mut(&identity) else { return };
        if let Ok(place) = subject.endpoints.binary_search(name) {
            subject.endpoints.remove(place);
        }
        if subject.endpoints.is_empty() {
            self.dirty.insert(identity);
        }
    }

    /// The endpoints of an identity, ordered, and their policies.
    pub(super) fn endpoints(&self, identity: Identity) -> Option<(&[Arc<ObjectName>], &Policies)> {
        self.known.get(&identity).map(|subject| (subject.endpoints.as_slice(), &subject.policies))
    }

    /// After a start: takes no more memory than it needs.
    pub(super) fn pack(&mut self) {
        pack(&mut self.known);
        pack(&mut self.in_force.uses);
    }

    /// The policies of an identity.
    pub(super) fn policies(&self, identity: Identity) -> Option<&Policies> {
        self.known.get(&identity).map(|subject| &subject.policies)
    }

    /// The rules of a section are other ones, or about others.
    pub(super) fn note(&mut self, section: u32, around: &Around<'_>) {
        match around.sections.subject(section) {
            None => {}
            Some(About::Nodes(_)) => self.host_is_dirty |= self.host.is_some(),
            Some(subject @ About::Endpoints(selector)) => {
                let is_selected = |id: &Identity| {
                    around.members.get(*id).is_some_and(|member| subject.selects(&member.labels))
                };
                match around.index.identities(&selector.anchor()) {
                    Some(found) if found.len() < self.known.len() => {
                        let local =
                            found.iter().copied().filter(|identity| self.known.contains_key(identity));
                        self.dirty.extend(local.filter(is_selected));
                    }
                    Some(_) | None => self.dirty.extend(self.known.keys().copied().filter(is_selected)),
                }
            }
        }
    }

    /// Computes what must be computed; returns the identities whose endpoints have other policies now.
    pub(super) fn settle(
        &mut self,
        around: &Around<'_>,
        numbers: &mut Allocator,
        change: &mut Change,
    ) -> Vec<Identity> {
        let Self { known, host, in_force, dirty, host_is_dirty } = self;
        let mut computed = Computed::new();
        let mut left: Vec<u32> = Vec::new();
        let mut changed = Vec::new();
        let mut compute = |member: &Member, change: &mut Change| {
            around.policies(member, &mut computed, |content| in_force.number(content, numbers, change))
        };
        if core::mem::take(host_is_dirty)
            && let Some((member, policies)) = host
        {
            let new = compute(member, change);
            let old = core::mem::replace(policies, new);
            change.host = (old.numbers != policies.numbers).then_some(policies.numbers);
            left.extend(old.numbers);
        }
        for identity in core::mem::take(dirty) {
            let Some(subject) = known.get_mut(&identity) else { continue };
            if subject.endpoints.is_empty() {
                left.extend(subject.policies.numbers);
                known.remove(&identity);
                continue;
            }
            let Some(member) = around.members.get(identity) else { continue };
            let new = compute(member, change);
            let old = core::mem::replace(&mut subject.policies, new);
            left.extend(old.numbers);
            if core::mem::replace(&mut subject.is_known, true) && old != subject.policies {
                changed.push(identity);
            }
        }
        left.into_iter().for_each(|number| in_force.leave(number, change));
        changed
    }
}

impl InForce {
    /// The number of a policy that one more subject has.
    fn number(&mut self, content: PolicyContent, numbers: &mut Allocator, change: &mut Change) -> u32 {
        let number = numbers.policy(&content);
        let uses = self.uses.entry(number).or_insert_with(|| {
            change.policies.push((number, Some(content.rows)));
            change.enforced_by.push((number, Some(content.enforced_by)));
            0
        });
        *uses = uses.saturating_add(1);
        number
    }

    /// A subject has a policy no more; 0 is none.
    fn leave(&mut self, number: u32, change: &mut Change) {
        let Entry::Occupied(mut entry) = self.uses.entry(number) else { return };
        let uses = entry.get_mut();
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            change.policies.push((number, None));
            change.enforced_by.push((number, None));
            entry.remove();
        }
    }
}

impl Around<'_> {
    /// The policies of a subject, each with a number that the subject now has.
    fn policies(
        &self,
        subject: &Member,
        computed: &mut Computed,
        mut number: impl FnMut(PolicyContent) -> u32,
    ) -> Policies {
        let places = self.sections.about(&subject.labels, self.index);
        if places.is_empty() {
            return Policies::default();
        }
        let applying = self.sections.applying(&places);
        // What many share comes again soon; what nobody shares is not kept for long.
        if computed.len() >= KEPT {
            computed.clear();
        }
        let ports = if names_own_ports(&applying) { subject.ports.clone() } else { NamedPorts::new() };
        let Alike { directions, filters } = computed.entry((places, ports)).or_insert_with(|| {
            let of = |towards| direction(&applying, subject, towards, self.members, self.dialect);
            let directions = DIRECTIONS.map(of);
            let filters = filters(&directions);
            Alike { directions, filters }
        });
        let numbers =
            DIRECTIONS.into_iter().zip(directions).map(|(direction, policy)| {
                let content = policy.as_ref().map(|DirectionPolicy { rows, enforced_by, .. }| {
                    PolicyContent { direction, rows: rows.clone(), enforced_by: Arc::clone(enforced_by) }
                });
                content.map_or(0, &mut number)
            });
        let mut given = [0, 0];
        given.iter_mut().zip(numbers).for_each(|(given, number)| *given = number);
        Policies { numbers: given, filters: filters.clone() }
    }
}

/// What proxies are told; `None`: nothing.
fn filters(directions: &[Option<DirectionPolicy>; 2]) -> Option<Arc<Filters>> {
    let dns = directions.iter().flatten().flat_map(|policy| policy.dns.iter().cloned()).collect();
    let proxied = directions
        .each_ref()
        .map(|policy| policy.as_ref().map(|policy| Arc::clone(&policy.proxied)).unwrap_or_default());
    let filters = Filters { dns, proxied };
    let is_empty = filters.dns.is_empty() && filters.proxied.iter().all(|rules| rules.is_empty());
    (!is_empty).then(|| Arc::new(filters))
}

/// Whether rows depend on the subject's own named ports.
fn names_own_ports(applying: &[Applying<'_>]) -> bool {
    let rules = applying.iter().flat_map(|applying| &applying.section.rules);
    rules
        .filter(|rule| rule.direction == Direction::Ingress)
        .flat_map(Rule::listed_ports)
        .any(|port| matches!(port.port, PortMatch::Named(_)))
}

impl Filters {
    /// What proxies are told of an endpoint, and were told before.
    pub(super) fn change(filters: Option<&Self>, endpoint: u32, old: &DatapathState, change: &mut Change) {
        let first = DnsFilter { endpoint, port: 0, protocol: Protocol::Tcp };
        let before = old.dns_rules.range(first..).take_while(|(filter, _)| filter.endpoint == endpoint);
        change.dns_rules.extend(before.map(|(filter, _)| (*filter, None)));
        for direction in DIRECTIONS {
            let filter = ProxyFilter { endpoint, direction };
            let before = old.proxy_rules.get_key_value(&filter);
            change.proxy_rules.extend(before.map(|(filter, _)| (*filter, None)));
        }
        let Some(Self { dns, proxied }) = filters else { return };
        for ((port, protocol), rules) in dns {
            let filter = DnsFilter { endpoint, port: *port, protocol: *protocol };
            change.dns_rules.push((filter, Some(Arc::clone(rules))));
        }
        for (direction, rules) in DIRECTIONS.into_iter().zip(proxied) {
            if !rules.is_empty() {
                change.proxy_rules.push((ProxyFilter { endpoint, direction }, Some(Arc::clone(rules))));
            }
        }
    }
}
