//! The compiled cluster, and both directions of one flow.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use egret_shared::decide::policy::decide;
use egret_shared::{Direction, Identity, Proxy};

use super::end::{End, Unanswerable};
use super::judged::{Judged, SideJudged};
use super::{Answer, Balanced, Layer7, Layer7Answer, Party, Question, SideAnswer, SideVerdict};
use crate::compile::{Allocator, compile};
use crate::fqdn::Names;
use crate::http::Request;
use crate::state::{DatapathState, PolicyRows, ProxyFilter};
use crate::{Author, Desired, ObjectName, Protocol};

/// A cluster that can be asked.
///
/// Every node is compiled once, with numbers that all of them share: an identity's number means the same on
/// each node, and endpoints with one identity share one policy.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(super) desired: Desired,
    pub(super) nodes: Vec<Node>,
    /// Pods that have an endpoint, by address.
    addresses: BTreeMap<IpAddr, ObjectName>,
    /// Indices of nodes by name.
    names: BTreeMap<String, usize>,
    /// Services by cluster address.
    frontends: BTreeMap<IpAddr, ObjectName>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) state: DatapathState,
}

impl Cluster {
    /// Compiles every node, also those that only pods name.
    #[must_use]
    pub fn new(desired: &Desired, learned: &Names) -> Self {
        let mut numbers = Allocator::default();
        let mut this = Self {
            desired: desired.clone(),
            nodes: Vec::new(),
            addresses: BTreeMap::new(),
            names: BTreeMap::new(),
            frontends: BTreeMap::new(),
        };
        let world = &desired.world;
        for name in world.nodes.keys().chain(world.pods.values().map(|pod| &pod.node)) {
            if this.names.contains_key(name) {
                continue;
            }
            let state = compile(desired, name, learned, &mut numbers);
            this.names.insert(name.clone(), this.nodes.len());
            this.nodes.push(Node { state });
        }
        for (name, pod) in world.pods.iter().filter(|(_, pod)| !pod.host_network) {
            this.addresses.extend(pod.addresses.iter().map(|address| (*address, (**name).clone())));
        }
        for (name, service) in &world.services {
            this.frontends.extend(service.cluster_ips.iter().map(|address| (*address, name.clone())));
        }
        this
    }

    /// What was compiled.
    #[must_use]
    pub const fn desired(&self) -> &Desired {
        &self.desired
    }

    /// The compiled state of a node, by [`End`]'s index.
    #[must_use]
    pub fn state(&self, node: usize) -> Option<&DatapathState> {
        self.nodes.get(node).map(|node| &node.state)
    }

    /// The compiled states of all nodes, by [`End`]'s index.
    pub fn states(&self) -> impl Iterator<Item = &DatapathState> {
        self.nodes.iter().map(|node| &node.state)
    }

    /// Every policy once, with its rows: one number means the same policy on each node.
    pub(crate) fn policies(&self) -> BTreeMap<u32, &PolicyRows> {
        let policies = self.nodes.iter().flat_map(|node| &node.state.policies);
        policies.map(|(policy, rows)| (*policy, rows)).collect()
    }

    /// Answers one question.
    ///
    /// # Errors
    /// A party is not in the world, or a service has no such port.
    pub fn ask(&self, question: &Question) -> Result<Answer, Unanswerable> {
        let (from, to) = (self.find(&question.from)?, self.find(&question.to)?);
        self.answer(&from, &to, question)
    }

    /// Looks a party up.
    ///
    /// # Errors
    /// It is not in the world.
    pub fn find(&self, party: &Party) -> Result<End, Unanswerable> {
        let world = &self.desired.world;
        match party {
            Party::Pod(name) => self.endpoint(name).ok_or_else(|| Unanswerable::NoPod(name.clone())),
            Party::Node(name) => {
                let node = self.names.get(name).filter(|_| world.nodes.contains_key(name));
                let node = *node.ok_or_else(|| Unanswerable::NoNode(name.clone()))?;
                Ok(self.node(node, self.first_address(name)))
            }
            Party::Service(name) if world.services.contains_key(name) => Ok(End::Service(name.clone())),
            Party::Service(name) => Err(Unanswerable::NoService(name.clone())),
            Party::World => Ok(End::Reserved(Identity::WORLD)),
            Party::Host => Ok(End::Reserved(Identity::HOST)),
            Party::RemoteNode => Ok(End::Reserved(Identity::REMOTE_NODE)),
            Party::KubeApiserver => Ok(End::Reserved(Identity::KUBE_APISERVER)),
            Party::Address(address) => Ok(self.at(*address)),
        }
    }

    /// Whoever has an address.
    pub(super) fn at(&self, address: IpAddr) -> End {
        if let Some(mut end) = self.addresses.get(&address).and_then(|name| self.endpoint(name)) {
            if let End::Endpoint { node, identities, .. } = &mut end {
                let own = self.nodes.get(*node).map(|node| node.state.identity_of(address));
                *identities = [own.filter(|_| address.is_ipv4()), own.filter(|_| address.is_ipv6())];
            }
            return end;
        }
        if let Some((name, _)) = self.desired.world.node_at(address)
            && let Some(node) = self.names.get(name)
        {
            return self.node(*node, Some(address));
        }
        let identity = self.nodes.first().map_or(Identity::WORLD, |node| node.state.identity_of(address));
        match self.frontends.get(&address) {
            Some(name) => End::Frontend { address, name: name.clone(), identity },
            None => End::Outside { address, identity },
        }
    }

    fn endpoint(&self, name: &ObjectName) -> Option<End> {
        let pod = self.desired.world.pods.get(name)?;
        let node = *self.names.get(&pod.node)?;
        if pod.host_network {
            return Some(self.node(node, self.first_address(&pod.node)));
        }
        let place = &self.nodes.get(node)?.state;
        let state = place.endpoints.get(name)?.clone();
        let first = |is: fn(&IpAddr) -> bool| {
            pod.addresses.iter().find(|address| is(address)).map(|address| place.identity_of(*address))
        };
        let identities = [first(IpAddr::is_ipv4), first(IpAddr::is_ipv6)];
        Some(End::Endpoint { node, pod: name.clone(), state, identities })
    }

    fn first_address(&self, node: &str) -> Option<IpAddr> {
        self.desired.world.nodes.get(node)?.addresses.first().copied()
    }

    /// A node as it is seen at an address.
    fn node(&self, node: usize, address: Option<IpAddr>) -> End {
        let others = self.nodes.iter().enumerate().find(|(other, _)| *other != node);
        let identity = match (others, address) {
            (Some((_, other)), Some(address)) => other.state.identity_of(address),
            (None, _) | (_, None) => Identity::REMOTE_NODE,
        };
        End::Node { node, identity }
    }

    /// Answers for two parties that were looked up before; the question's own parties are not looked at. Where
    /// families of addresses are judged differently, the answer is about the first that is dropped.
    ///
    /// # Errors
    /// A service has no such port, or no pod that could ask.
    pub fn answer(&self, from: &End, to: &End, question: &Question) -> Result<Answer, Unanswerable> {
        let (protocol, port) = (question.protocol, question.port);
        let service = self.balanced(from, to, protocol, port)?;
        let targets = match &service {
            None => alloc::vec![(to.clone(), port)],
            Some(service) => service.backends.iter().map(|(at, port)| (self.at(*at), *port)).collect(),
        };
        let clients = match from {
            End::Service(name) => self.clients(name)?,
            End::Endpoint { .. }
            | End::Node { .. }
            | End::Reserved(_)
            | End::Outside { .. }
            | End::Frontend { .. } => alloc::vec![from.clone()],
        };
        let mut answers = Vec::new();
        for client in &clients {
            if targets.is_empty() {
                answers.push((self.without_backend(client), None));
            }
            for (index, (target, port)) in targets.iter().enumerate() {
                let backend = service.as_ref().and_then(|service| service.backends.get(index)).copied();
                for (client, target) in End::by_family(client, target) {
                    let judged = self.judge(&client, &target, protocol, *port);
                    answers.push((self.describe(&client, &target, &judged, question, *port), backend));
                }
            }
        }
        let first = answers.iter().position(|(answer, _)| answer.dropped().is_some()).unwrap_or(0);
        let differ = answers.iter().any(|(answer, _)| {
            answers.first().is_some_and(|(first, _)| {
                (first.egress.verdict, first.ingress.verdict)
                    != (answer.egress.verdict, answer.ingress.verdict)
                    || first.dropped() != answer.dropped()
            })
        });
        let (mut answer, chosen) = answers.swap_remove(first);
        answer.service = service.map(|service| Balanced { chosen, agree: !differ, ..service });
        Ok(answer)
    }

    /// The verdicts on one flow between parties that stand for themselves, after service translation.
    ///
    /// A pod always reaches itself: what it sends to its own address never leaves it.
    #[must_use]
    pub fn judge(&self, from: &End, to: &End, protocol: Protocol, port: u16) -> Judged {
        if let (End::Endpoint { pod: a, state, .. }, End::Endpoint { pod: b, .. }) = (from, to)
            && a == b
        {
            let itself = |direction| {
                let verdict =
                    if state.policy(direction) == 0 { SideVerdict::Unenforced } else { SideVerdict::Allowed };
                SideJudged { verdict, ..SideJudged::unasked(state.identity) }
            };
            return Judged { egress: itself(Direction::Egress), ingress: itself(Direction::Ingress) };
        }
        Judged {
            egress: self.side(from, to, Direction::Egress, protocol, port),
            ingress: self.side(to, from, Direction::Ingress, protocol, port),
        }
    }

    fn side(
        &self,
        own: &End,
        other: &End,
        direction: Direction,
        protocol: Protocol,
        port: u16,
    ) -> SideJudged {
        let Some((node, policies)) = self.enforcing(own, other) else {
            return SideJudged::unasked(other.identity(None, own));
        };
        let peer = other.identity(Some(node), own);
        let [ingress, egress] = policies;
        let policy = match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        };
        if policy == 0 {
            return SideJudged::unasked(peer);
        }
        let rows = self.nodes.get(node).and_then(|node| node.state.policies.get(&policy));
        let decision = decide(policy, peer, protocol.number(), port, |key| rows?.lookup(key));
        SideJudged::of(&decision, policy, peer)
    }

    /// The node whose maps are asked for an end, and the numbers of its policies: an endpoint's own, or those of
    /// its node for the node itself.
    pub(super) fn enforcing(&self, own: &End, other: &End) -> Option<(usize, [u32; 2])> {
        let node = match own {
            End::Endpoint { node, state, .. } => return Some((*node, state.policy)),
            End::Node { node, .. } => *node,
            End::Reserved(Identity::HOST) => other.node()?,
            End::Reserved(_) | End::Outside { .. } | End::Frontend { .. } | End::Service(_) => return None,
        };
        Some((node, self.nodes.get(node)?.state.host))
    }

    /// A verdict with authors in the place of numbers, and what a proxy says to the question's layer 7.
    #[must_use]
    pub fn describe(&self, from: &End, to: &End, judged: &Judged, question: &Question, port: u16) -> Answer {
        let layer7 = question.layer7.as_ref().and_then(|seen| {
            let at =
                |end, side, direction| self.proxied(end, side, direction, seen, (question.protocol, port));
            let egress = at(from, &judged.egress, Direction::Egress);
            // What the first proxy refuses never reaches the second.
            match egress {
                Some(answer) if !answer.allowed => Some(answer),
                Some(_) | None => at(to, &judged.ingress, Direction::Ingress).or(egress),
            }
        });
        let traffic = (question.protocol, port);
        let mut egress = self.side_answer(from, to, &judged.egress);
        let mut ingress = self.side_answer(to, from, &judged.ingress);
        for (side, own, other, direction) in
            [(&mut egress, from, to, Direction::Egress), (&mut ingress, to, from, Direction::Ingress)]
        {
            let [decided] = side.by.as_slice() else { continue };
            let Some((node, _)) = self.enforcing(own, other) else { continue };
            let peer = self.labels(node, side.peer);
            side.by =
                self.deciding(&self.claims(own, other, direction), decided.clone(), (other, &peer), traffic);
        }
        Answer { egress, ingress, layer7, service: None }
    }

    /// Who decided, by the number in a verdict.
    #[must_use]
    pub fn author(&self, own: &End, other: &End, side: &SideJudged) -> Option<Author> {
        let (node, _) = self.enforcing(own, other)?;
        self.nodes.get(node)?.state.author(side.policy, side.rule)
    }

    /// The node whose policies and identities count for a party; `other` tells which node "the own node" is.
    #[must_use]
    pub fn node_of(&self, own: &End, other: &End) -> Option<usize> {
        self.enforcing(own, other).map(|(node, _)| node)
    }

    /// Name of a node, by [`End`]'s index.
    #[must_use]
    pub fn node_name(&self, node: usize) -> Option<&str> {
        self.names.iter().find(|(_, index)| **index == node).map(|(name, _)| name.as_str())
    }

    pub(super) fn side_answer(&self, own: &End, other: &End, judged: &SideJudged) -> SideAnswer {
        let SideJudged { verdict, reason, proxy: _, policy: _, rule: _, match_type, peer } = *judged;
        let by = self.author(own, other, judged).into_iter().collect();
        let endpoint = match own {
            End::Endpoint { pod, .. } => Some(pod.clone()),
            End::Node { .. }
            | End::Reserved(_)
            | End::Outside { .. }
            | End::Frontend { .. }
            | End::Service(_) => None,
        };
        SideAnswer { verdict, reason, explicit: judged.is_explicit(), match_type, by, endpoint, peer }
    }

    /// What the proxy says to which one side sends the flow. What a proxy does not understand it refuses.
    fn proxied(
        &self,
        own: &End,
        side: &SideJudged,
        direction: Direction,
        seen: &Layer7,
        (protocol, port): (Protocol, u16),
    ) -> Option<Layer7Answer> {
        let End::Endpoint { node, state, .. } = own else { return None };
        let proxy = side.proxy?;
        let place = &self.nodes.get(*node)?.state;
        let filter = ProxyFilter { endpoint: state.id, direction };
        let passes = match (proxy, seen) {
            (Proxy::Dns, Layer7::Dns(name)) => place.dns_allows(state.id, port, protocol, side.peer, name),
            (Proxy::Http, Layer7::Http { method, path, host, headers }) => {
                let headers = headers.iter().cloned().collect();
                place.http_allows(filter, port, side.peer, &Request { method, path, host, headers: &headers })
            }
            (Proxy::Tls, Layer7::ServerName(name)) => place.tls_allows(filter, port, side.peer, Some(name)),
            (Proxy::Tls, Layer7::Http { .. }) => place.tls_allows(filter, port, side.peer, None),
            (Proxy::Dns, Layer7::Http { .. } | Layer7::ServerName(_))
            | (Proxy::Http, Layer7::Dns(_) | Layer7::ServerName(_))
            | (Proxy::Tls, Layer7::Dns(_)) => None,
        };
        let by = place.author(side.policy, passes.unwrap_or(side.rule)).into_iter().collect();
        Some(Layer7Answer { direction, allowed: passes.is_some(), by })
    }
}
