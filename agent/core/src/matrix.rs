//! Who can talk to whom: every pair of parties and every port of interest, with the rules that decide.
//!
//! A policy says the same of all peers that it does not name, so for each policy and port there is one decision
//! and a few exceptions. Nothing else is decided; a cell is two look-ups.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use egret_shared::decide::policy::{Decision, decide};
use egret_shared::{Author as Number, Direction, Identity, Verdict};
use ipnet::IpNet;

use crate::judge::{Cluster, SideVerdict};
use crate::rule::{PortMatch, Ports};
use crate::state::PolicyRows;
use crate::{Author, Desired, ObjectName, Protocol};

/// A protocol with a port, or with the type of an ICMP message.
pub type Traffic = (Protocol, u16);

/// One party of a matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Pods that behave alike: the same rules decide what they may do and what others may do to them. Ordered.
    Pods(Vec<ObjectName>),
    /// The node of the other side.
    Host,
    /// Any other node.
    RemoteNode,
    /// Addresses outside the cluster that no policy names.
    World,
    /// Addresses outside the cluster that some policy names.
    Prefix(IpNet),
}

/// One direction of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Side {
    /// What happens.
    pub verdict: SideVerdict,
    /// Number of the policy that was asked; 0: none.
    pub policy: u32,
    /// Number of the rule that decided.
    pub rule: u32,
}

/// Both directions of one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// At the party that opens the connection.
    pub egress: Side,
    /// At the party that it is for.
    pub ingress: Side,
}

/// Every pair of parties, for some traffic.
#[derive(Clone, Debug)]
pub struct Matrix {
    parties: Vec<Party>,
    traffic: Vec<Traffic>,
    /// By policy: one row for each traffic, one decision for each party as the peer.
    decisions: BTreeMap<u32, Vec<Side>>,
    authors: BTreeMap<(u32, u32), Author>,
}

/// A party with what decides about it.
#[derive(Clone, Debug)]
struct Party {
    who: Who,
    identity: Identity,
    /// Policy in force per direction; 0: none.
    policy: [u32; 2],
}

impl Matrix {
    /// Judges every pair of a cluster's parties.
    ///
    /// 1. Pods with one identity and one policy per direction are one party from the start.
    /// 2. For each policy and traffic, decide about any peer, then about each peer that has rows of its own.
    /// 3. Pods whose policies are the same, and about whom every policy decides the same, become one party.
    #[must_use]
    pub fn new(cluster: &Cluster, traffic: &[Traffic]) -> Self {
        let mut matrix = Self {
            parties: parties(cluster),
            traffic: traffic.to_vec(),
            decisions: BTreeMap::new(),
            authors: BTreeMap::new(),
        };
        let mut by_identity: BTreeMap<Identity, Vec<usize>> = BTreeMap::new();
        for (index, party) in matrix.parties.iter().enumerate() {
            by_identity.entry(party.identity).or_default().push(index);
        }
        for (policy, rows) in cluster.policies() {
            let row = matrix.decide(policy, rows, &by_identity);
            matrix.decisions.insert(policy, row);
        }
        matrix.merge();
        matrix.name_authors(cluster);
        matrix
    }

    /// The parties: pods by their first name, then nodes, the world and prefixes.
    pub fn parties(&self) -> impl ExactSizeIterator<Item = &Who> {
        self.parties.iter().map(|party| &party.who)
    }

    /// What was asked about.
    #[must_use]
    pub fn traffic(&self) -> &[Traffic] {
        &self.traffic
    }

    /// The verdicts on a flow, by the places of its parties and its traffic; `None` for places that are not
    /// there, between two parties without endpoint, and from a pod to itself, which policies never see.
    #[must_use]
    pub fn cell(&self, from: usize, to: usize, traffic: usize) -> Option<Cell> {
        let (source, target) = (self.parties.get(from)?, self.parties.get(to)?);
        let alone = |who: &Who| matches!(who, Who::Pods(pods) if pods.len() == 1);
        if (!source.is_pods() && !target.is_pods()) || (from == to && alone(&source.who)) {
            return None;
        }
        Some(Cell {
            egress: self.side(source.policy(Direction::Egress), to, traffic)?,
            ingress: self.side(target.policy(Direction::Ingress), from, traffic)?,
        })
    }

    fn side(&self, policy: u32, peer: usize, traffic: usize) -> Option<Side> {
        if traffic >= self.traffic.len() {
            return None;
        }
        match self.decisions.get(&policy) {
            Some(decisions) => decisions.get(traffic * self.parties.len() + peer).copied(),
            None => Some(Side::UNENFORCED),
        }
    }

    /// Who decided; `None` where no rule took part.
    #[must_use]
    pub fn author(&self, side: Side) -> Option<&Author> {
        self.authors.get(&(side.policy, side.rule))
    }

    /// What one policy says of each traffic and peer.
    fn decide(
        &self,
        policy: u32,
        rows: &PolicyRows,
        by_identity: &BTreeMap<Identity, Vec<usize>>,
    ) -> Vec<Side> {
        let mut decisions = Vec::with_capacity(self.traffic.len() * self.parties.len());
        for (protocol, port) in &self.traffic {
            let about = |peer| {
                let decision = decide(policy, peer, protocol.number(), *port, |key| rows.lookup(key));
                Side::of(&decision, policy)
            };
            let start = decisions.len();
            decisions.resize(start + self.parties.len(), about(Identity::ANY));
            for identity in rows.identities() {
                let places = by_identity.get(&identity).into_iter().flatten();
                let side = about(identity);
                for place in places {
                    if let Some(slot) = decisions.get_mut(start + place) {
                        *slot = side;
                    }
                }
            }
        }
        decisions
    }

    /// Makes one party of those that nobody can tell apart.
    fn merge(&mut self) {
        let width = self.parties.len();
        let mut columns: Vec<Vec<Side>> = alloc::vec![Vec::new(); width];
        for row in self.decisions.values().flat_map(|decisions| decisions.chunks(width.max(1))) {
            for (column, side) in columns.iter_mut().zip(row) {
                column.push(*side);
            }
        }
        let mut kept: Vec<usize> = Vec::new();
        let mut seen: BTreeMap<([u32; 2], &[Side]), usize> = BTreeMap::new();
        let mut merged: Vec<Party> = Vec::new();
        for (place, (party, column)) in self.parties.iter().zip(&columns).enumerate() {
            if let Who::Pods(pods) = &party.who {
                let at = *seen.entry((party.policy, column)).or_insert(merged.len());
                if let Some(Party { who: Who::Pods(others), .. }) = merged.get_mut(at) {
                    others.extend(pods.iter().cloned());
                    others.sort();
                    continue;
                }
            }
            merged.push(party.clone());
            kept.push(place);
        }
        for decisions in self.decisions.values_mut() {
            let rows = decisions.chunks(width.max(1));
            *decisions =
                rows.flat_map(|row| kept.iter().filter_map(|place| row.get(*place).copied())).collect();
        }
        self.parties = merged;
    }

    fn name_authors(&mut self, cluster: &Cluster) {
        for side in self.decisions.values().flatten() {
            let key = (side.policy, side.rule);
            if self.authors.contains_key(&key) {
                continue;
            }
            let mut states = cluster.states().filter(|state| state.policies.contains_key(&side.policy));
            if let Some(author) = states.find_map(|state| state.author(side.policy, side.rule)) {
                self.authors.insert(key, author);
            }
        }
    }
}

impl Cell {
    /// Whether the flow passes both ends, perhaps through a proxy.
    #[must_use]
    pub const fn passes(&self) -> bool {
        self.egress.passes() && self.ingress.passes()
    }

    /// Whether some proxy has the last word.
    #[must_use]
    pub fn is_redirected(&self) -> bool {
        self.passes()
            && [self.egress, self.ingress].iter().any(|side| side.verdict == SideVerdict::Redirected)
    }
}

impl Side {
    const UNENFORCED: Self = Self { verdict: SideVerdict::Unenforced, policy: 0, rule: Number::NONE };

    fn of(decision: &Decision, policy: u32) -> Self {
        let verdict = match decision.verdict {
            Verdict::Forwarded => SideVerdict::Allowed,
            Verdict::Redirected(_) => SideVerdict::Redirected,
            Verdict::Dropped(_) => SideVerdict::Denied,
        };
        Self { verdict, policy, rule: decision.rule }
    }

    const fn passes(&self) -> bool {
        match self.verdict {
            SideVerdict::Allowed | SideVerdict::Redirected | SideVerdict::Unenforced => true,
            SideVerdict::Denied => false,
        }
    }
}

impl Party {
    const fn is_pods(&self) -> bool {
        matches!(self.who, Who::Pods(_))
    }

    const fn policy(&self, direction: Direction) -> u32 {
        let [ingress, egress] = self.policy;
        match direction {
            Direction::Ingress => ingress,
            Direction::Egress => egress,
        }
    }
}

/// Pods with one identity and the same policies, then what has no endpoint.
fn parties(cluster: &Cluster) -> Vec<Party> {
    let mut alike: BTreeMap<(Identity, [u32; 2]), Vec<ObjectName>> = BTreeMap::new();
    let mut prefixes = BTreeMap::new();
    for state in cluster.states() {
        for (name, endpoint) in &state.endpoints {
            alike.entry((endpoint.identity, endpoint.policy)).or_default().push((**name).clone());
        }
        for (prefix, identity) in &state.ipcache {
            let nodes = cluster.desired().world.nodes.values();
            let is_node = || nodes.flat_map(|node| &node.addresses).any(|at| IpNet::from(*at) == *prefix);
            if identity.0 >= Identity::FIRST_LOCAL.0 && !is_node() {
                prefixes.insert(*prefix, *identity);
            }
        }
    }
    let pods = alike.into_iter().map(|((identity, policy), mut pods)| {
        pods.sort();
        Party { who: Who::Pods(pods), identity, policy }
    });
    let mut parties: Vec<Party> = pods.collect();
    parties.sort_by(|a, b| a.who.pods().cmp(b.who.pods()));
    let bare = |who, identity| Party { who, identity, policy: [0; 2] };
    parties.push(bare(Who::Host, Identity::HOST));
    parties.push(bare(Who::RemoteNode, Identity::REMOTE_NODE));
    parties.push(bare(Who::World, Identity::WORLD));
    parties.extend(prefixes.into_iter().map(|(prefix, identity)| bare(Who::Prefix(prefix), identity)));
    parties
}

impl Who {
    /// The pods that it stands for.
    #[must_use]
    pub fn pods(&self) -> &[ObjectName] {
        match self {
            Self::Pods(pods) => pods,
            Self::Host | Self::RemoteNode | Self::World | Self::Prefix(_) => &[],
        }
    }
}

/// As [`crate::judge::Party`] is written; pods by the first of them.
impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods(pods) => match pods.first() {
                Some(first) => write!(f, "{first}"),
                None => f.write_str("nobody"),
            },
            Self::Host => f.write_str("host"),
            Self::RemoteNode => f.write_str("remote-node"),
            Self::World => f.write_str("world"),
            Self::Prefix(prefix) => write!(f, "{prefix}"),
        }
    }
}

/// The traffic that a cluster's pods serve and its policies name, ordered; what a matrix is about when nothing
/// else is asked. Of a range its first port stands for all.
#[must_use]
pub fn traffic_of(desired: &Desired) -> Vec<Traffic> {
    let mut traffic = BTreeSet::new();
    for pod in desired.world.pods.values().filter(|pod| !pod.host_network) {
        traffic.extend(pod.serves.iter().map(|serve| (serve.protocol, serve.port)));
    }
    let sections = desired.policies.values().flat_map(|policy| &policy.sections);
    for rule in sections.flat_map(|section| &section.rules) {
        if let Ports::Listed(ports) = &rule.ports {
            // A named port is some pod's served one.
            traffic.extend(ports.iter().filter_map(|port| match port.port {
                PortMatch::Range(first, _) => Some((port.protocol, first)),
                PortMatch::Every | PortMatch::Named(_) => None,
            }));
        }
    }
    if traffic.is_empty() {
        traffic.insert((Protocol::Tcp, 80));
    }
    traffic.into_iter().collect()
}
