//! Every rule that gives a verdict: a row names one of them, and several documents may say the same.
//!
//! The row's rule has decided. Here the rules of the same subject are gone through for those that stand at the same
//! place in the order, do the same, and match the flow too.

use alloc::vec::Vec;

use egret_shared::{Direction, Proxy};

use super::cluster::Cluster;
use super::end::End;
use crate::author::PolicyId;
use crate::identity::{LabelSet, relevant};
use crate::policy::resolve::{is_selected, opens_namespace, service_selectors};
use crate::rule::{Dialect, Effect, Enforcement, Peers, PortMatch, PortRule, Ports, Rule, Section, Tier};
use crate::world::Pod;
use crate::{Author, ObjectName, Protocol};

/// The rules that apply to one party in one direction.
#[derive(Clone, Debug)]
pub struct Claims<'a> {
    direction: Direction,
    /// Name of the party, when it is a pod.
    pod: Option<ObjectName>,
    all: Vec<Claim<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Claim<'a> {
    policy: &'a PolicyId,
    tier: Tier,
    /// Its place among its section's rules of the direction.
    place: usize,
    rule: &'a Rule,
}

/// What must be the same of rules that decide together.
#[derive(PartialEq, Eq)]
struct Rank {
    tier: Tier,
    place: usize,
    effect: Effect,
    proxy: Option<Proxy>,
}

impl Cluster {
    /// The rules that apply to a party; `other` tells which node "the own node" is.
    #[must_use]
    pub fn claims(&self, own: &End, other: &End, direction: Direction) -> Claims<'_> {
        let mut claims = Claims { direction, pod: None, all: Vec::new() };
        let subject = match own {
            End::Endpoint { node, pod, state, .. } => {
                claims.pod = Some(pod.clone());
                self.labels(*node, state.identity)
            }
            End::Node { .. }
            | End::Reserved(_)
            | End::Outside { .. }
            | End::Frontend { .. }
            | End::Service(_) => {
                let node = self.enforcing(own, other).and_then(|(node, _)| self.node_name(node));
                let Some(node) = node.and_then(|name| self.desired.world.nodes.get(name)) else {
                    return claims;
                };
                relevant::of_node(&node.labels)
            }
        };
        for (policy, written) in &self.desired.policies {
            // A direction that a policy leaves alone has rules without effect.
            let is_enforced =
                |section: &&Section| match section.enforcement(direction).under(self.desired.dialect) {
                    Enforcement::None | Enforcement::Undeclared => false,
                    Enforcement::DefaultDeny | Enforcement::DefaultAllow => true,
                };
            let enforced = written.sections.iter().filter(is_enforced);
            let selecting = enforced.filter(|section| section.subject.selects(&subject));
            for section in selecting {
                let rules = section.rules.iter().filter(|rule| rule.direction == direction);
                claims.all.extend(rules.enumerate().map(|(place, rule)| {
                    // Ordinary policies have no order.
                    let place = if section.tier == Tier::Normal { 0 } else { place };
                    Claim { policy, tier: section.tier, place, rule }
                }));
            }
        }
        claims
    }

    /// The labels under which a node knows an identity.
    #[must_use]
    pub fn labels(&self, node: usize, identity: egret_shared::Identity) -> LabelSet {
        let state = self.state(node);
        state.and_then(|state| state.labels.get(&identity)).cloned().unwrap_or_default()
    }

    fn is_peer(&self, claim: &Claim<'_>, peer: &LabelSet) -> bool {
        let dialect = self.desired.dialect;
        match &claim.rule.peers {
            Peers::Any => true,
            Peers::Selected(selectors) => {
                selectors.iter().any(|selector| is_selected(selector, peer, dialect))
                    || (opens_namespace(claim.policy, claim.rule, selectors, dialect)
                        && peer.values(None, LabelSet::NAMESPACE).next() == claim.policy.namespace.as_deref())
            }
            Peers::Services(references) => {
                let selectors = match claim.rule.effect {
                    Effect::Allow => service_selectors(&self.desired.world, references),
                    Effect::Deny | Effect::Pass => Vec::new(),
                };
                selectors.iter().any(|selector| is_selected(selector, peer, dialect))
                    || (selectors.is_empty() && claim.rule.ports != Ports::Any)
            }
        }
    }

    fn is_port(
        &self,
        claims: &Claims<'_>,
        item: &PortRule,
        other: &End,
        (protocol, port): (Protocol, u16),
    ) -> bool {
        let is_named = |pod: &Pod, name: &str| {
            let mut serves = pod.serves.iter().filter(|serve| serve.name.as_deref() == Some(name));
            serves.any(|serve| (serve.protocol, serve.port) == (protocol, port))
        };
        let pods = &self.desired.world.pods;
        item.protocol == protocol
            && match (&item.port, claims.direction, self.desired.dialect) {
                (PortMatch::Every, _, _) => true,
                (PortMatch::Range(first, last), _, _) => (*first..=*last).contains(&port),
                (PortMatch::Named(name), Direction::Ingress, _) => {
                    claims.pod.as_ref().and_then(|pod| pods.get(pod)).is_some_and(|pod| is_named(pod, name))
                }
                // One number for everybody, on which all pods agree (policy semantics 15 row 3).
                (PortMatch::Named(name), Direction::Egress, Dialect::Cilium119) => {
                    let pods = pods.values().filter(|pod| !pod.host_network);
                    let mut named = pods
                        .flat_map(|pod| &pod.serves)
                        .filter(|serve| serve.name.as_deref() == Some(name) && serve.protocol == protocol);
                    named.next().is_some_and(|first| first.port == port)
                        && named.all(|serve| serve.port == port)
                }
                (PortMatch::Named(name), Direction::Egress, Dialect::Cilium | Dialect::Kubernetes) => {
                    match other {
                        End::Endpoint { pod, .. } => pods.get(pod).is_some_and(|pod| is_named(pod, name)),
                        End::Node { .. }
                        | End::Reserved(_)
                        | End::Outside { .. }
                        | End::Frontend { .. }
                        | End::Service(_) => false,
                    }
                }
            }
    }

    /// The parts of a rule that mean the traffic, by path.
    fn items<'a>(
        &self,
        claims: &Claims<'a>,
        claim: &Claim<'a>,
        other: &End,
        traffic: (Protocol, u16),
    ) -> Vec<(&'a str, Rank)> {
        let Claim { tier, place, rule, .. } = *claim;
        let rank = |proxy| Rank { tier, place, effect: rule.effect, proxy };
        match &rule.ports {
            Ports::Any => Vec::from([(rule.path.as_str(), rank(None))]),
            Ports::Listed(items) => {
                let meant = items.iter().filter(|item| self.is_port(claims, item, other, traffic));
                meant.map(|item| (item.path.as_str(), rank(item.proxy()))).collect()
            }
        }
    }

    /// Everybody who decided together with the rule that a row names, in the order of the policies; without other
    /// rules, and for what no document says, that one alone.
    #[must_use]
    pub fn deciding(
        &self,
        claims: &Claims<'_>,
        decided: Author,
        (other, peer): (&End, &LabelSet),
        traffic: (Protocol, u16),
    ) -> Vec<Author> {
        let Author::Rule { policy: named, path: named_path } = &decided else { return Vec::from([decided]) };
        let items_of = |claim| self.items(claims, claim, other, traffic);
        let own = claims.all.iter().filter(|claim| claim.policy == named);
        let rank = own.flat_map(items_of).find(|(path, _)| path == named_path);
        let Some((_, rank)) = rank else { return Vec::from([decided]) };
        let mut authors = Vec::new();
        for claim in &claims.all {
            let items: Vec<_> = items_of(claim).into_iter().filter(|(_, found)| *found == rank).collect();
            if items.is_empty() || !self.is_peer(claim, peer) {
                continue;
            }
            for (path, _) in items {
                let author = Author::Rule { policy: claim.policy.clone(), path: path.into() };
                if !authors.contains(&author) {
                    authors.push(author);
                }
            }
        }
        if authors.is_empty() { Vec::from([decided]) } else { authors }
    }
}
