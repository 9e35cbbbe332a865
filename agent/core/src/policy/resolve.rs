//! One direction of one endpoint: the rules that apply, as rows of a policymap and rules for the DNS proxy.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use egret_shared::{Action, Author as Number, Direction, Identity, PolicyEntry, Proxy};
use ipnet::IpNet;

use crate::author::PolicyId;
use crate::compile::Allocator;
use crate::identity::{LabelSet, Member};
use crate::policy::port::blocks;
use crate::policymap::build::{Rows, Traffic, Verdict};
use crate::policymap::level;
use crate::rule::{
    Dialect, Effect, Enforcement, Peers, PortMatch, PortRule, Ports, Rule, Section, ServiceReference,
};
use crate::selector::{Entity, LabelSelector, NamePattern, Selector};
use crate::state::{DnsRule, PeerSet, PolicyRows};
use crate::{Desired, Protocol, World};

/// A section with its rules' peers found.
pub(crate) struct ResolvedSection<'a> {
    policy: &'a PolicyId,
    section: &'a Section,
    rules: Vec<ResolvedRule<'a>>,
}

/// A rule with its peers found.
struct ResolvedRule<'a> {
    rule: &'a Rule,
    peers: PeerSet,
    ports: ResolvedPorts<'a>,
}

/// A rule's ports, each with the number under which it appears in rows.
enum ResolvedPorts<'a> {
    Any(u32),
    Listed(Vec<(u32, &'a PortRule)>),
}

/// One direction of one endpoint.
pub(crate) struct DirectionPolicy {
    /// Rows under policy number 0.
    pub(crate) rows: PolicyRows,
    /// Policies that switch default deny on, ordered.
    pub(crate) enforced_by: Vec<PolicyId>,
    /// What the DNS proxy lets pass, by port and protocol.
    pub(crate) dns: BTreeMap<(u16, Protocol), Vec<DnsRule>>,
}

/// Finds the peers of every rule and numbers what can appear in rows.
pub(crate) fn sections<'a>(
    desired: &'a Desired,
    members: &BTreeMap<Identity, Member>,
    numbers: &mut Allocator,
) -> Vec<ResolvedSection<'a>> {
    let mut selected: BTreeMap<&'a Selector, BTreeSet<Identity>> = BTreeMap::new();
    let mut resolved = Vec::new();
    for (id, policy) in &desired.policies {
        for section in &policy.sections {
            let mut rules = Vec::new();
            for rule in &section.rules {
                let peers = peers(rule, &desired.world, members, &mut selected);
                let ports = match &rule.ports {
                    Ports::Any => ResolvedPorts::Any(numbers.rule(id, &rule.path)),
                    Ports::Listed(listed) => ResolvedPorts::Listed(
                        listed.iter().map(|port| (numbers.rule(id, &port.path), port)).collect(),
                    ),
                };
                rules.push(ResolvedRule { rule, peers, ports });
            }
            resolved.push(ResolvedSection { policy: id, section, rules });
        }
    }
    resolved
}

/// The identities that a rule's peers stand for.
fn peers<'a>(
    rule: &'a Rule,
    world: &World,
    members: &BTreeMap<Identity, Member>,
    selected: &mut BTreeMap<&'a Selector, BTreeSet<Identity>>,
) -> PeerSet {
    let select = |selector: &Selector| -> BTreeSet<Identity> {
        let of = members.iter().filter(|(_, member)| selector.selects(&member.labels));
        of.map(|(identity, _)| *identity).collect()
    };
    match &rule.peers {
        Peers::Any => PeerSet::Any,
        Peers::Selected(selectors) if selectors.contains(&Selector::Entity(Entity::All)) => PeerSet::Any,
        Peers::Selected(selectors) => {
            let mut identities = BTreeSet::new();
            for selector in selectors {
                identities.extend(selected.entry(selector).or_insert_with(|| select(selector)).iter());
            }
            PeerSet::Listed(identities)
        }
        Peers::Services(references) => {
            let selectors = service_selectors(world, references);
            // Cilium fails open here: ports without a peer are open to anyone (policy semantics 15 row 11).
            if selectors.is_empty() && rule.ports != Ports::Any {
                return PeerSet::Any;
            }
            PeerSet::Listed(selectors.iter().flat_map(select).collect())
        }
    }
}

/// Selectors for the backends of services: by label where the service selects, by address where its
/// endpoints are given by hand (policy semantics 2.9).
fn service_selectors(world: &World, references: &[ServiceReference]) -> Vec<Selector> {
    let mut selectors = Vec::new();
    for reference in references {
        for (name, service) in &world.services {
            let namespace = reference.namespace.as_ref();
            if name.name != reference.name || namespace.is_some_and(|wanted| *wanted != name.namespace) {
                continue;
            }
            match &service.selector {
                Some(labels) => {
                    let mut selector = LabelSelector::default();
                    for (key, value) in labels {
                        selector.require(key, value);
                    }
                    selector.require(LabelSet::NAMESPACE, &name.namespace);
                    selectors.push(Selector::Labels(selector));
                }
                None => {
                    selectors.extend(service.endpoints.iter().map(|address| Selector::Prefix {
                        prefix: IpNet::from(*address),
                        except: Vec::new(),
                    }));
                }
            }
        }
    }
    selectors
}

/// The addresses of services without selector, as the prefixes that rules naming them refer to.
pub(crate) fn service_prefixes(world: &World, references: &[ServiceReference]) -> Vec<IpNet> {
    service_selectors(world, references)
        .into_iter()
        .filter_map(|selector| match selector {
            Selector::Prefix { prefix, .. } => Some(prefix),
            Selector::Labels(_) | Selector::Entity(_) | Selector::Name(_) => None,
        })
        .collect()
}

/// What holds for an endpoint in a direction; `None`: no policy is enforced.
///
/// 1. Collect the sections that select the endpoint and enforce the direction.
/// 2. Turn their rules into rows.
/// 3. Add the rows that no document holds: the node's own access, and what default allow lets pass.
pub(crate) fn direction(
    sections: &[ResolvedSection<'_>],
    subject: &Member,
    direction: Direction,
    members: &BTreeMap<Identity, Member>,
    dialect: Dialect,
) -> Option<DirectionPolicy> {
    let mut enforced_by = Vec::new();
    let mut applying = Vec::new();
    for section in sections.iter().filter(|section| section.section.subject.selects(&subject.labels)) {
        match section.section.enforcement(direction).under(dialect) {
            Enforcement::None => continue,
            Enforcement::DefaultDeny => enforced_by.push(section.policy.clone()),
            Enforcement::DefaultAllow => {}
            // `under` leaves none of these.
            Enforcement::Undeclared => continue,
        }
        applying.extend(section.rules.iter().filter(|rule| rule.rule.direction == direction));
    }
    // Sections of one policy stand together, so this also orders.
    enforced_by.dedup();
    let default_deny = !enforced_by.is_empty();
    if !default_deny && applying.is_empty() {
        return None;
    }

    let mut builder = Builder { rows: Rows::default(), dns: BTreeMap::new(), default_deny };
    for rule in applying {
        builder.add(rule, subject, members);
    }
    let (mut rows, dns) = (builder.rows, builder.dns);
    let from_node = direction == Direction::Ingress || dialect == Dialect::Kubernetes;
    if default_deny && from_node {
        rows.add(Identity::HOST, Traffic::Any, Verdict::allow(level::LAST, Number::KUBELET));
    }
    if !default_deny {
        rows.add(Identity::ANY, Traffic::Any, Verdict::allow(level::LAST, Number::NONE));
    }
    let dns = dns
        .into_iter()
        .filter(|(_, filter)| filter.inspected)
        .map(|(key, filter)| (key, filter.rules))
        .collect();
    Some(DirectionPolicy { rows: rows.finish(), enforced_by, dns })
}

/// Rows and DNS rules of one direction while its rules are gone through.
struct Builder {
    rows: Rows,
    dns: BTreeMap<(u16, Protocol), Filter>,
    default_deny: bool,
}

/// Everything that is said of one port of one protocol by a rule for exactly that port.
#[derive(Default)]
struct Filter {
    /// Some rule has names, so the traffic goes to the proxy.
    inspected: bool,
    rules: Vec<DnsRule>,
}

impl Builder {
    fn add(&mut self, rule: &ResolvedRule<'_>, subject: &Member, members: &BTreeMap<Identity, Member>) {
        let effect = rule.rule.effect;
        match &rule.ports {
            ResolvedPorts::Any(number) => {
                self.add_rows(&rule.peers, Traffic::Any, Verdict::of(effect, *number));
            }
            ResolvedPorts::Listed(ports) => {
                for (number, port) in ports {
                    self.add_port(rule, *number, port, subject, members);
                }
            }
        }
    }

    fn add_port(
        &mut self,
        rule: &ResolvedRule<'_>,
        number: u32,
        port: &PortRule,
        subject: &Member,
        members: &BTreeMap<Identity, Member>,
    ) {
        let effect = rule.rule.effect;
        match &port.port {
            PortMatch::Every => {
                self.add_rows(&rule.peers, Traffic::Protocol(port.protocol), Verdict::of(effect, number));
            }
            PortMatch::Range(first, last) => {
                self.add_range(&rule.peers, effect, number, port, (*first, *last));
            }
            // The name belongs to whoever receives the traffic (policy semantics 1.4): at ingress the
            // subject, at egress each peer that has the name.
            PortMatch::Named(name) => match rule.rule.direction {
                Direction::Ingress => {
                    for found in named(&subject.ports, name, port.protocol) {
                        self.add_range(&rule.peers, effect, number, port, (found, found));
                    }
                }
                Direction::Egress => {
                    for (identity, member) in members.iter().filter(|(id, _)| rule.peers.contains(**id)) {
                        let peer = PeerSet::Listed(BTreeSet::from([*identity]));
                        for found in named(&member.ports, name, port.protocol) {
                            self.add_range(&peer, effect, number, port, (found, found));
                        }
                    }
                }
            },
        }
    }

    fn add_range(
        &mut self,
        peers: &PeerSet,
        effect: Effect,
        number: u32,
        port: &PortRule,
        (first, last): (u16, u16),
    ) {
        let verdict = match (&port.dns, effect) {
            (Some(_), Effect::Allow) => Verdict::redirect(level::NORMAL, number, Proxy::Dns),
            (None, Effect::Allow) | (_, Effect::Deny) => Verdict::of(effect, number),
        };
        for block in blocks(first, last) {
            self.add_rows(peers, Traffic::Ports(port.protocol, block), verdict);
        }
        if effect == Effect::Allow && first == last {
            self.add_dns(peers, number, port, first);
        }
    }

    /// Notes what the DNS proxy needs to know of an allow for exactly one port.
    ///
    /// An allow without names for the same port lets every name pass, and so does every rule where nothing is
    /// denied by default (policy semantics 2.14 and 2.4).
    fn add_dns(&mut self, peers: &PeerSet, rule: u32, port: &PortRule, number: u16) {
        let filter = self.dns.entry((number, port.protocol)).or_default();
        filter.inspected |= port.dns.is_some();
        let mut names = port.dns.clone().unwrap_or_default();
        if port.dns.is_none() || !self.default_deny {
            names.push(NamePattern::every());
        }
        filter.rules.push(DnsRule { peers: peers.clone(), names, rule });
    }

    fn add_rows(&mut self, peers: &PeerSet, traffic: Traffic, verdict: Verdict) {
        match peers {
            PeerSet::Any => self.rows.add(Identity::ANY, traffic, verdict),
            PeerSet::Listed(identities) => {
                for identity in identities {
                    self.rows.add(*identity, traffic, verdict);
                }
            }
        }
    }
}

/// The ports that have a name and protocol.
fn named(
    ports: &BTreeSet<(alloc::string::String, Protocol, u16)>,
    name: &str,
    protocol: Protocol,
) -> Vec<u16> {
    ports.iter().filter(|(n, p, _)| n == name && *p == protocol).map(|(_, _, number)| *number).collect()
}

impl Verdict {
    /// A rule's plain effect at the level of ordinary policies.
    fn of(effect: Effect, rule: u32) -> Self {
        match effect {
            Effect::Allow => Self::allow(level::NORMAL, rule),
            Effect::Deny => Self {
                precedence: PolicyEntry::precedence_of(level::NORMAL, PolicyEntry::DENY),
                action: Action::Deny,
                proxy: None,
                rule,
            },
        }
    }
}
