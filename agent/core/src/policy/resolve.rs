//! One direction of one subject: the rules that apply to it, with their peers found.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use egret_shared::{Direction, Identity, Proxy};
use ipnet::IpNet;

use super::build::{Around, Builder, Built, add_unwritten};
use super::tier::level_of;
use crate::author::PolicyId;
use crate::compile::Allocator;
use crate::identity::{LabelSet, Member, Source};
use crate::policy::scope::{Members, Sections};
use crate::rule::{
    Dialect, Effect, Enforcement, Peers, PortRule, Ports, Rule, Section, ServiceMatch, ServiceReference,
    Subject, Tier,
};
use crate::selector::{Entity, LabelSelector, Selector};
use crate::state::{DnsRule, PeerSet, PolicyRows, ProxyRule};
use crate::{Desired, Protocol, World};

/// A section with its rules' peers found.
pub(crate) struct ResolvedSection<'a> {
    policy: &'a PolicyId,
    section: &'a Section,
    rules: Vec<ResolvedRule<'a>>,
}

/// A rule with its peers found.
pub(super) struct ResolvedRule<'a> {
    pub(super) rule: &'a Rule,
    pub(super) tier: Tier,
    /// Level of precedence.
    pub(super) level: u32,
    pub(super) peers: PeerSet,
    pub(super) ports: ResolvedPorts<'a>,
}

/// A rule's ports, each with the number under which it appears in rows.
pub(super) enum ResolvedPorts<'a> {
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
    /// What the proxies for HTTP and TLS let pass; empty where nothing goes to them.
    pub(crate) proxied: Vec<ProxyRule>,
}

/// Finds the peers of every rule and numbers what can appear in rows.
pub(crate) fn sections<'a>(
    desired: &'a Desired,
    members: &BTreeMap<Identity, Member>,
    numbers: &mut Allocator,
) -> Sections<'a> {
    let members = Members::new(members);
    let mut selected: BTreeMap<&'a Selector, BTreeSet<Identity>> = BTreeMap::new();
    let mut resolved = Vec::new();
    for (id, policy) in &desired.policies {
        let mut numbers = numbers.rules(id);
        for section in &policy.sections {
            let mut rules = Vec::new();
            let mut places = [0, 0];
            for rule in &section.rules {
                let [ingress, egress] = &mut places;
                let place = match rule.direction {
                    Direction::Ingress => ingress,
                    Direction::Egress => egress,
                };
                let level = level_of(section.tier, *place);
                *place += 1;
                let peers = peers(id, rule, desired, &members, &mut selected);
                let ports = match &rule.ports {
                    Ports::Any => ResolvedPorts::Any(numbers.rule(&rule.path)),
                    Ports::Listed(listed) => ResolvedPorts::Listed(
                        listed.iter().map(|port| (numbers.rule(&port.path), port)).collect(),
                    ),
                };
                rules.push(ResolvedRule { rule, tier: section.tier, level, peers, ports });
            }
            resolved.push(ResolvedSection { policy: id, section, rules });
        }
    }
    Sections::new(resolved)
}

impl<'a> ResolvedSection<'a> {
    /// Whom the section is about.
    pub(crate) fn subject(&self) -> &'a Subject {
        &self.section.subject
    }
}

/// The identities that a rule's peers stand for.
fn peers<'a>(
    policy: &PolicyId,
    rule: &'a Rule,
    desired: &Desired,
    members: &Members<'_>,
    selected: &mut BTreeMap<&'a Selector, BTreeSet<Identity>>,
) -> PeerSet {
    let select = |selector: &Selector| -> BTreeSet<Identity> {
        let of = members.candidates(selector);
        let of = of.filter(|(_, member)| is_selected(selector, &member.labels, desired.dialect));
        of.map(|(identity, _)| identity).collect()
    };
    match &rule.peers {
        Peers::Any => PeerSet::Any,
        Peers::Selected(selectors) if selectors.contains(&Selector::Entity(Entity::All)) => PeerSet::Any,
        Peers::Selected(selectors) => {
            let mut identities = BTreeSet::new();
            for selector in selectors {
                if Members::is_scoped(selector) {
                    // Evaluated in less time than it would be found again.
                    identities.extend(select(selector));
                } else {
                    identities.extend(selected.entry(selector).or_insert_with(|| select(selector)).iter());
                }
            }
            if opens_namespace(policy, rule, selectors, desired.dialect)
                && let Some(namespace) = &policy.namespace
            {
                let mut pods = LabelSelector::default();
                pods.require(LabelSet::NAMESPACE, namespace);
                identities.extend(select(&Selector::Labels(pods)));
            }
            PeerSet::Listed(identities)
        }
        Peers::Services(references) => {
            // Cilium allows `toServices` in deny rules and looks services up in allow rules only (2.9).
            let selectors = match rule.effect {
                Effect::Allow => service_selectors(&desired.world, references),
                Effect::Deny | Effect::Pass => Vec::new(),
            };
            // Cilium fails open here: ports without a peer are open to anyone (policy semantics 15 row 11).
            if selectors.is_empty() && rule.ports != Ports::Any {
                return PeerSet::Any;
            }
            PeerSet::Listed(selectors.iter().flat_map(select).collect())
        }
    }
}

/// Whether a selector selects an identity; in Cilium 1.19 groups of prefixes by label are not looked for outside
/// the cluster alone, so that `NotIn` also selects pods and nodes (policy semantics 15 row 4).
pub(crate) fn is_selected(selector: &Selector, labels: &LabelSet, dialect: Dialect) -> bool {
    match selector {
        Selector::Group { which, except } if dialect == Dialect::Cilium119 => {
            which.selects(labels) && !except.iter().any(|prefix| labels.has_prefix(prefix))
        }
        Selector::Labels(_)
        | Selector::Prefix { .. }
        | Selector::Group { .. }
        | Selector::Entity(_)
        | Selector::Name(_) => selector.selects(labels),
    }
}

/// Whether a rule for prefixes also lets in every pod of the policy's namespace, as a NetworkPolicy's `ipBlock`
/// does at ingress in Cilium 1.19 (policy semantics 15 row 1).
pub(crate) fn opens_namespace(
    policy: &PolicyId,
    rule: &Rule,
    selectors: &[Selector],
    dialect: Dialect,
) -> bool {
    dialect == Dialect::Cilium119
        && policy.kind == "NetworkPolicy"
        && rule.direction == Direction::Ingress
        && selectors.iter().any(|selector| matches!(selector, Selector::Prefix { .. }))
}

/// Selectors for the backends of services: by label where the service selects, by address where its
/// endpoints are given by hand (policy semantics 2.9).
pub(crate) fn service_selectors(world: &World, references: &[ServiceReference]) -> Vec<Selector> {
    let mut selectors = Vec::new();
    for reference in references {
        for (name, service) in &world.services {
            let is_meant = match &reference.which {
                ServiceMatch::Name(wanted) => *wanted == name.name,
                ServiceMatch::Labels(selector) => {
                    let mut labels = LabelSet::default();
                    for (key, value) in &service.labels {
                        labels.insert(Source::K8s, key, value);
                    }
                    selector.selects(&labels)
                }
            };
            let namespace = reference.namespace.as_ref();
            if !is_meant || namespace.is_some_and(|wanted| *wanted != name.namespace) {
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
            Selector::Labels(_) | Selector::Entity(_) | Selector::Group { .. } | Selector::Name(_) => None,
        })
        .collect()
}

/// What holds for a subject in a direction; `None`: no policy is enforced.
///
/// 1. Collect the sections that select the subject and enforce the direction.
/// 2. Where one of them denies by default, the tier after the ordinary policies is never asked.
/// 3. Turn their rules into rows, and add the rows that no document holds.
pub(crate) fn direction(
    sections: &Sections<'_>,
    subject: &Member,
    direction: Direction,
    members: &BTreeMap<Identity, Member>,
    dialect: Dialect,
) -> Option<DirectionPolicy> {
    let mut enforced_by = Vec::new();
    let mut applying: Vec<&ResolvedRule<'_>> = Vec::new();
    for section in sections.about(&subject.labels) {
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
    if default_deny {
        applying.retain(|rule| !matches!(rule.tier, Tier::Baseline { .. }));
    }
    let ports = applying.iter().flat_map(|rule| rule.rule.listed_ports());
    let proxied = ports.filter_map(PortRule::proxy).any(|proxy| matches!(proxy, Proxy::Http | Proxy::Tls));
    let mut builder = Builder::new(Around { subject, members, dialect, default_deny, proxied });
    for rule in applying {
        builder.add(rule);
    }
    add_unwritten(&mut builder, direction);
    let Built { rows, dns, proxied } = builder.finish();
    Some(DirectionPolicy { rows, enforced_by, dns, proxied })
}
