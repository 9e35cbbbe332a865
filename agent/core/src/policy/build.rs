//! Rules of one subject and direction to rows, and to what the proxies let pass.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use egret_shared::{Action, Author as Number, Direction, Identity, PolicyEntry, Proxy};

use super::port::blocks;
use super::tier::{Does, Draft, Drafts};
use crate::Protocol;
use crate::identity::{Member, Members};
use crate::policymap::build::{Traffic, Verdict};
use crate::policymap::level;
use crate::rule::{Dialect, Effect, Inspection, Peers, PortMatch, PortRule, Ports, Rule, Tier};
use crate::selector::NamePattern;
use crate::state::{DnsFilterRules, DnsRule, PeerSet, PolicyRows, ProxyRule};

/// What a rule comes to in a world.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedRule {
    /// Level of precedence.
    pub(crate) level: u32,
    pub(crate) peers: PeerSet,
    /// The numbers under which it appears in rows: one for each listed port, or its own.
    pub(crate) numbers: Box<[u32]>,
}

/// What holds around the rules of one subject and direction.
pub(super) struct Around<'a> {
    pub(super) subject: &'a Member,
    pub(super) members: &'a Members,
    pub(super) dialect: Dialect,
    pub(super) default_deny: bool,
    /// Some rule sends traffic to the proxy for HTTP or TLS.
    pub(super) proxied: bool,
}

/// Rows and rules for proxies while the rules are gone through.
pub(super) struct Builder<'a> {
    around: Around<'a>,
    drafts: Drafts,
    dns: BTreeMap<(u16, Protocol), Filter>,
    proxied: Vec<Proxied<'a>>,
}

/// A rule that is added.
struct Added<'a> {
    rule: &'a Rule,
    tier: Tier,
    level: u32,
    peers: &'a PeerSet,
}

/// What a proxy is told, and the peers as the rule writes them; `None` for what no document says.
struct Proxied<'a> {
    rule: ProxyRule,
    peers: Option<&'a Peers>,
}

/// Everything that is said of one port of one protocol by a rule for exactly that port.
#[derive(Default)]
struct Filter {
    /// Some rule has names, so the traffic goes to the proxy.
    inspected: bool,
    rules: Vec<DnsRule>,
}

/// What is built.
pub(super) struct Built {
    pub(super) rows: PolicyRows,
    pub(super) dns: DnsFilterRules,
    pub(super) proxied: Arc<[ProxyRule]>,
}

impl<'a> Builder<'a> {
    /// Nothing yet.
    pub(super) fn new(around: Around<'a>) -> Self {
        Self { around, drafts: Drafts::default(), dns: BTreeMap::new(), proxied: Vec::new() }
    }

    /// Adds a rule.
    pub(super) fn add(&mut self, tier: Tier, rule: &'a Rule, resolved: &'a ResolvedRule) {
        let mut numbers = resolved.numbers.iter();
        let rule = Added { rule, tier, level: resolved.level, peers: &resolved.peers };
        match &rule.rule.ports {
            Ports::Any => {
                for number in numbers {
                    self.add_rows(&rule, rule.peers, Traffic::Any, None, *number);
                    self.note_proxied(&rule, rule.peers, (0, u16::MAX), None, *number);
                }
            }
            Ports::Listed(ports) => {
                for (port, number) in ports.iter().zip(&mut numbers) {
                    self.add_port(&rule, *number, port);
                }
            }
        }
    }

    /// Adds what no document says and every document overrules: an allow of everything from some peer.
    pub(super) fn add_last(&mut self, peer: Identity, number: u32) {
        let does = Does::Decide(Verdict::allow(level::LAST, number));
        self.drafts.last.push(Draft { identity: peer, traffic: Traffic::Any, does });
        if self.around.proxied {
            let peers = match peer {
                Identity::ANY => PeerSet::Any,
                peer => PeerSet::Listed(Arc::from([peer])),
            };
            let rule = ProxyRule { peers, ports: (0, u16::MAX), inspect: None, rule: number };
            self.proxied.push(Proxied { rule, peers: None });
        }
    }

    /// What all of it comes to.
    pub(super) fn finish(self) -> Built {
        let dns = self.dns.into_iter().filter(|(_, filter)| filter.inspected);
        Built {
            rows: self.drafts.settle(self.around.default_deny).finish(),
            dns: dns.map(|(key, filter)| (key, filter.rules.into())).collect(),
            // Nearly every policy has none, and the default takes no memory.
            proxied: match without_opened_names(self.proxied) {
                none if none.is_empty() => Arc::default(),
                some => some.into(),
            },
        }
    }

    fn add_port(&mut self, rule: &Added<'a>, number: u32, port: &PortRule) {
        match &port.port {
            PortMatch::Every => {
                self.add_rows(rule, rule.peers, Traffic::Protocol(port.protocol), Some(port), number);
                self.note_proxied(rule, rule.peers, (0, u16::MAX), Some(port), number);
            }
            PortMatch::Range(first, last) => {
                self.add_range(rule, rule.peers, number, port, (*first, *last));
            }
            // The name belongs to whoever receives the traffic (policy semantics 1.4): at ingress the
            // subject, at egress each peer that has the name.
            PortMatch::Named(name) => match (rule.rule.direction, self.around.dialect) {
                (Direction::Ingress, _) => {
                    for found in named(self.around.subject, name, port.protocol) {
                        self.add_range(rule, rule.peers, number, port, (found, found));
                    }
                }
                (Direction::Egress, Dialect::Cilium | Dialect::Kubernetes) => {
                    // By port, so that the order does not depend on the numbers of identities.
                    let mut having: BTreeMap<u16, BTreeSet<Identity>> = BTreeMap::new();
                    for (identity, member) in self.around.members.of(rule.peers) {
                        for found in named(member, name, port.protocol) {
                            having.entry(found).or_default().insert(identity);
                        }
                    }
                    for (found, identities) in having {
                        let peers = PeerSet::Listed(identities.into_iter().collect());
                        self.add_range(rule, &peers, number, port, (found, found));
                    }
                }
                // One number for the whole cluster, whoever the peer is; where pods disagree, none
                // (policy semantics 15 row 3).
                (Direction::Egress, Dialect::Cilium119) => {
                    let all = self.around.members.iter();
                    let numbers: BTreeSet<u16> =
                        all.flat_map(|(_, member)| named(member, name, port.protocol)).collect();
                    if let (Some(found), 1) = (numbers.first(), numbers.len()) {
                        self.add_range(rule, rule.peers, number, port, (*found, *found));
                    }
                }
            },
        }
    }

    fn add_range(
        &mut self,
        rule: &Added<'a>,
        peers: &PeerSet,
        number: u32,
        port: &PortRule,
        (first, last): (u16, u16),
    ) {
        for block in blocks(first, last) {
            self.add_rows(rule, peers, Traffic::Ports(port.protocol, block), Some(port), number);
        }
        if first == last {
            self.note_dns(rule, peers, number, port, first);
        }
        self.note_proxied(rule, peers, (first, last), Some(port), number);
    }

    /// Notes what the DNS proxy needs to know of an allow for exactly one port.
    ///
    /// An allow without names for the same port lets every name pass, and so does every rule where nothing is
    /// denied by default (policy semantics 2.14 and 2.4).
    fn note_dns(&mut self, rule: &Added<'a>, peers: &PeerSet, number: u32, port: &PortRule, at: u16) {
        if !reaches_proxies(rule) {
            return;
        }
        let filter = self.dns.entry((at, port.protocol)).or_default();
        let mut names = match &port.inspect {
            Some(Inspection::Dns(names)) => {
                filter.inspected = true;
                names.clone()
            }
            Some(Inspection::Http(_) | Inspection::Tls(_)) => return,
            None => alloc::vec![NamePattern::every()],
        };
        if !self.around.default_deny {
            names.push(NamePattern::every());
        }
        filter.rules.push(DnsRule { peers: peers.clone(), names, rule: number });
    }

    /// Notes what the proxies for HTTP and TLS need to know of an allow.
    fn note_proxied(
        &mut self,
        rule: &Added<'a>,
        peers: &PeerSet,
        ports: (u16, u16),
        port: Option<&PortRule>,
        number: u32,
    ) {
        let is_tcp = port.is_none_or(|port| port.protocol == Protocol::Tcp);
        if self.around.proxied && is_tcp && reaches_proxies(rule) {
            let inspect = port.and_then(|port| port.inspect.clone()).filter(|_| self.around.default_deny);
            let told = ProxyRule { peers: peers.clone(), ports, inspect, rule: number };
            self.proxied.push(Proxied { rule: told, peers: Some(&rule.rule.peers) });
        }
    }

    fn add_rows(
        &mut self,
        rule: &Added<'a>,
        peers: &PeerSet,
        traffic: Traffic,
        port: Option<&PortRule>,
        number: u32,
    ) {
        let level = rule.level;
        let does = match (rule.rule.effect, port.and_then(PortRule::proxy)) {
            (Effect::Allow, None) => Does::Decide(Verdict::allow(level, number)),
            (Effect::Allow, Some(proxy)) => Does::Decide(Verdict::redirect(level, number, proxy)),
            (Effect::Deny, _) => Does::Decide(Verdict {
                precedence: PolicyEntry::precedence_of(level, PolicyEntry::DENY),
                action: Action::Deny,
                proxy: None,
                rule: number,
            }),
            (Effect::Pass, _) => Does::Pass(PolicyEntry::precedence_of(level, 0)),
        };
        let drafts = self.drafts.of(rule.tier);
        match peers {
            PeerSet::Any => drafts.push(Draft { identity: Identity::ANY, traffic, does }),
            PeerSet::Listed(identities) => {
                drafts.extend(identities.iter().map(|identity| Draft { identity: *identity, traffic, does }));
            }
        }
    }
}

/// Whether a proxy ever sees traffic that the rule allows: only ordinary policies inspect, what a tier before
/// them allows goes past the proxy, and a tier after them counts only where nothing is denied anyway.
fn reaches_proxies(rule: &Added<'_>) -> bool {
    rule.rule.effect == Effect::Allow && rule.tier == Tier::Normal
}

/// Takes out plain rules that stand beside server names for the same peers and ports: the two become one rule,
/// and then all traffic must be TLS (policy semantics 2.12). Peers are the same when they are written alike.
fn without_opened_names(proxied: Vec<Proxied<'_>>) -> Vec<ProxyRule> {
    let named: Vec<_> = proxied
        .iter()
        .filter(|one| matches!(one.rule.inspect, Some(Inspection::Tls(_))))
        .map(|one| (one.peers, one.rule.ports))
        .collect();
    let stays =
        |one: &Proxied<'_>| one.rule.inspect.is_some() || !named.contains(&(one.peers, one.rule.ports));
    proxied.into_iter().filter(stays).map(|one| one.rule).collect()
}

/// The ports of a member that have a name and protocol.
fn named(member: &Member, name: &str, protocol: Protocol) -> Vec<u16> {
    let ports = member.ports.iter().filter(|(n, p, _): &&(String, _, _)| n == name && *p == protocol);
    ports.map(|(_, _, number)| *number).collect()
}

/// The rules that no document holds, for a direction: the node's own access, and what default allow lets pass.
pub(super) fn add_unwritten(builder: &mut Builder<'_>, direction: Direction) {
    let Around { dialect, default_deny, .. } = builder.around;
    if !default_deny {
        builder.add_last(Identity::ANY, Number::NONE);
    } else if direction == Direction::Ingress || dialect == Dialect::Kubernetes {
        builder.add_last(Identity::HOST, Number::KUBELET);
    }
}

impl Verdict {
    /// A redirect. Of several for one connection the proxy of the lowest listener priority takes it
    /// (Cilium `pkg/policy/types/entry.go`).
    const fn redirect(level: u32, rule: u32, proxy: Proxy) -> Self {
        let priority = match proxy {
            Proxy::Http => 101,
            Proxy::Tls => 116,
            Proxy::Dns => 121,
        };
        let precedence = PolicyEntry::precedence_of(level, u8::MAX - priority);
        Self { precedence, action: Action::Redirect, proxy: Some(proxy), rule }
    }
}
