//! One direction of one subject: the rules that apply to it, with their peers found.

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

use egret_shared::{Direction, Proxy};
use ipnet::IpNet;

pub(crate) use super::build::ResolvedRule;
use super::build::{Around, Builder, Built, add_unwritten};
use crate::World;
use crate::author::PolicyId;
use crate::identity::{LabelSet, Member, Members, Source};
use crate::rule::{
    Dialect, Effect, Enforcement, Peers, PortRule, Ports, Rule, Section, ServiceMatch, ServiceReference, Tier,
};
use crate::selector::{Entity, LabelSelector, Selector};
use crate::state::{DnsFilterRules, Enforcers, PolicyRows, ProxyRule};

/// A section that selects the subject, with its rules' peers found.
#[derive(Clone, Copy)]
pub(crate) struct Applying<'a> {
    pub(crate) policy: &'a Arc<PolicyId>,
    pub(crate) section: &'a Section,
    /// One for each of the section's rules.
    pub(crate) rules: &'a [ResolvedRule],
}

/// One direction of one endpoint.
pub(crate) struct DirectionPolicy {
    pub(crate) rows: PolicyRows,
    /// Policies that switch default deny on, ordered.
    pub(crate) enforced_by: Enforcers,
    /// What the DNS proxy lets pass, by port and protocol.
    pub(crate) dns: DnsFilterRules,
    /// What the proxies for HTTP and TLS let pass; empty where nothing goes to them.
    pub(crate) proxied: Arc<[ProxyRule]>,
}

/// The selectors of a rule's peers; `None`: everyone.
pub(crate) fn peer_selectors<'a>(
    policy: &PolicyId,
    rule: &'a Rule,
    world: &World,
    dialect: Dialect,
) -> Option<Cow<'a, [Selector]>> {
    match &rule.peers {
        Peers::Any => None,
        Peers::Selected(selectors) if selectors.contains(&Selector::Entity(Entity::All)) => None,
        Peers::Selected(selectors) => {
            let mut selectors = Cow::Borrowed(selectors.as_slice());
            if opens_namespace(policy, rule, &selectors, dialect)
                && let Some(namespace) = &policy.namespace
            {
                let mut pods = LabelSelector::default();
                pods.require(LabelSet::NAMESPACE, namespace);
                selectors.to_mut().push(Selector::Labels(pods));
            }
            Some(selectors)
        }
        Peers::Services(references) => {
            // Cilium allows `toServices` in deny rules and looks services up in allow rules only (2.9).
            let selectors = match rule.effect {
                Effect::Allow => service_selectors(world, references),
                Effect::Deny | Effect::Pass => Vec::new(),
            };
            // Cilium fails open here: ports without a peer are open to anyone (policy semantics 15 row 11).
            (!selectors.is_empty() || rule.ports == Ports::Any).then_some(Cow::Owned(selectors))
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

/// What holds for a subject in a direction; `None`: no policy is enforced.
///
/// 1. Take the sections that enforce the direction, of those that select the subject, in order of their policies.
/// 2. Where one of them denies by default, the tier after the ordinary policies is never asked.
/// 3. Turn their rules into rows, and add the rows that no document holds.
pub(crate) fn direction(
    sections: &[Applying<'_>],
    subject: &Member,
    direction: Direction,
    members: &Members,
    dialect: Dialect,
) -> Option<DirectionPolicy> {
    let mut enforced_by: Vec<Arc<PolicyId>> = Vec::new();
    let mut applying: Vec<(Tier, &Rule, &ResolvedRule)> = Vec::new();
    for Applying { policy, section, rules } in sections {
        match section.enforcement(direction).under(dialect) {
            Enforcement::None => continue,
            Enforcement::DefaultDeny => enforced_by.push(Arc::clone(policy)),
            Enforcement::DefaultAllow => {}
            // `under` leaves none of these.
            Enforcement::Undeclared => continue,
        }
        let rules = section.rules.iter().zip(*rules).filter(|(rule, _)| rule.direction == direction);
        applying.extend(rules.map(|(rule, resolved)| (section.tier, rule, resolved)));
    }
    // Sections of one policy stand together, so this also orders.
    enforced_by.dedup();
    let default_deny = !enforced_by.is_empty();
    if !default_deny && applying.is_empty() {
        return None;
    }
    if default_deny {
        applying.retain(|(tier, ..)| !matches!(tier, Tier::Baseline { .. }));
    }
    let ports = applying.iter().flat_map(|(_, rule, _)| rule.listed_ports());
    let proxied = ports.filter_map(PortRule::proxy).any(|proxy| matches!(proxy, Proxy::Http | Proxy::Tls));
    let mut builder = Builder::new(Around { subject, members, dialect, default_deny, proxied });
    for (tier, rule, resolved) in applying {
        builder.add(tier, rule, resolved);
    }
    add_unwritten(&mut builder, direction);
    let Built { rows, dns, proxied } = builder.finish();
    Some(DirectionPolicy { rows, enforced_by: enforced_by.into(), dns, proxied })
}
