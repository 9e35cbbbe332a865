//! The table of policy decisions as data: the host's tests and the kernel's run it over the same source.
//!
//! Included by `#[path]`, so it depends on `egret_shared` alone.

use egret_shared::{
    Action, Author, DropReason, Identity, MatchType, PolicyEntry, PolicyKey, Proxy, Verdict, protocol,
};

/// The policy under which all rows stand.
pub(crate) const POLICY: u32 = 7;
/// A peer that rows name.
pub(crate) const PEER: Identity = Identity(256);
/// A peer that no row names.
pub(crate) const STRANGER: Identity = Identity(257);
/// The level of ordinary policies in this table.
const NORMAL: u32 = 200 << 16;
/// The level that everything overrules.
const LAST: u32 = 255 << 16;

/// What a row of the policymap leaves open.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Traffic {
    /// Protocol and port.
    Any,
    /// The port.
    Protocol(u8),
    /// The low bits of the port, beyond this many leading ones.
    Ports(u8, u16, u32),
}

/// One row of the policymap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Peer, or [`Identity::ANY`].
    pub(crate) identity: Identity,
    /// What it matches.
    pub(crate) traffic: Traffic,
    /// What it does.
    pub(crate) action: Action,
    /// Level of precedence.
    pub(crate) level: u32,
    /// Rule number.
    pub(crate) rule: u32,
}

impl Row {
    /// Key and prefix length in bits.
    pub(crate) const fn key(&self) -> (PolicyKey, u32) {
        match self.traffic {
            Traffic::Any => (PolicyKey::exact(POLICY, self.identity, 0, 0), PolicyKey::PREFIX_ANY),
            Traffic::Protocol(protocol) => {
                (PolicyKey::exact(POLICY, self.identity, protocol, 0), PolicyKey::PREFIX_PROTOCOL)
            }
            Traffic::Ports(protocol, port, bits) => {
                (PolicyKey::exact(POLICY, self.identity, protocol, port), PolicyKey::PREFIX_PROTOCOL + bits)
            }
        }
    }

    /// Value.
    pub(crate) const fn entry(&self) -> PolicyEntry {
        let (low, proxy) = match self.action {
            Action::Allow => (PolicyEntry::ALLOW, 0),
            Action::Deny => (PolicyEntry::DENY, 0),
            Action::Redirect => (134, Proxy::Dns as u8),
        };
        PolicyEntry {
            precedence: PolicyEntry::precedence_of(self.level, low),
            rule: self.rule,
            action: self.action as u8,
            proxy,
            prefix: self.key().1 as u8,
            pad: 0,
        }
    }
}

/// One case: rows, a packet and the decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// The rule under test.
    pub(crate) name: &'static str,
    /// Policy of the endpoint.
    pub(crate) policy: u32,
    /// What the policymap holds.
    pub(crate) rows: &'static [Row],
    /// Peer of the packet.
    pub(crate) peer: Identity,
    /// IP protocol number.
    pub(crate) protocol: u8,
    /// Destination port, or ICMP type.
    pub(crate) port: u16,
    /// Expected verdict.
    pub(crate) verdict: Verdict,
    /// Expected rule.
    pub(crate) rule: u32,
    /// Expected match type.
    pub(crate) match_type: MatchType,
}

const fn row(identity: Identity, traffic: Traffic, action: Action, rule: u32) -> Row {
    Row { identity, traffic, action, level: NORMAL, rule }
}

const fn tcp(port: u16) -> Traffic {
    Traffic::Ports(protocol::TCP, port, 16)
}

/// A TCP packet to port 80 from the peer; cases change what differs.
const BASE: Case = Case {
    name: "",
    policy: POLICY,
    rows: &[],
    peer: PEER,
    protocol: protocol::TCP,
    port: 80,
    verdict: Verdict::Forwarded,
    rule: 0,
    match_type: MatchType::None,
};

const DENIED: Verdict = Verdict::Dropped(DropReason::PolicyDeny);
const DROPPED: Verdict = Verdict::Dropped(DropReason::PolicyDenied);
const TO_DNS: Verdict = Verdict::Redirected(Proxy::Dns);

/// Every case.
pub(crate) const CASES: &[Case] = &[
    Case { name: "policy 0 enforces nothing", policy: 0, rule: Author::NONE, ..BASE },
    Case { name: "no row: default deny", verdict: DROPPED, rule: Author::DEFAULT_DENY, ..BASE },
    Case {
        name: "a row of default deny, as it stands behind a rule that passes, is no deny rule",
        rows: &[row(PEER, Traffic::Any, Action::Deny, Author::DEFAULT_DENY)],
        verdict: DROPPED,
        rule: Author::DEFAULT_DENY,
        ..BASE
    },
    Case {
        name: "a row of another peer does not count",
        rows: &[row(STRANGER, Traffic::Any, Action::Allow, 16)],
        verdict: DROPPED,
        rule: Author::DEFAULT_DENY,
        ..BASE
    },
    Case {
        name: "peer alone",
        rows: &[row(PEER, Traffic::Any, Action::Allow, 16)],
        rule: 16,
        match_type: MatchType::L3Only,
        ..BASE
    },
    Case {
        name: "peer alone also matches ICMP",
        rows: &[row(PEER, Traffic::Any, Action::Allow, 16)],
        protocol: protocol::ICMP,
        port: 8,
        rule: 16,
        match_type: MatchType::L3Only,
        ..BASE
    },
    Case {
        name: "peer and protocol",
        rows: &[row(PEER, Traffic::Protocol(protocol::TCP), Action::Allow, 16)],
        rule: 16,
        match_type: MatchType::L3Protocol,
        ..BASE
    },
    Case {
        name: "peer and port",
        rows: &[row(PEER, tcp(80), Action::Allow, 16)],
        rule: 16,
        match_type: MatchType::L3L4,
        ..BASE
    },
    Case {
        name: "another port",
        rows: &[row(PEER, tcp(81), Action::Allow, 16)],
        verdict: DROPPED,
        rule: Author::DEFAULT_DENY,
        ..BASE
    },
    Case {
        name: "another protocol",
        rows: &[row(PEER, Traffic::Ports(protocol::UDP, 80, 16), Action::Allow, 16)],
        verdict: DROPPED,
        rule: Author::DEFAULT_DENY,
        ..BASE
    },
    Case {
        name: "port alone",
        rows: &[row(Identity::ANY, tcp(80), Action::Allow, 16)],
        peer: STRANGER,
        rule: 16,
        match_type: MatchType::L4Only,
        ..BASE
    },
    Case {
        name: "protocol alone",
        rows: &[row(Identity::ANY, Traffic::Protocol(protocol::TCP), Action::Allow, 16)],
        rule: 16,
        match_type: MatchType::ProtocolOnly,
        ..BASE
    },
    Case {
        name: "everything",
        rows: &[row(Identity::ANY, Traffic::Any, Action::Allow, 16)],
        rule: 16,
        match_type: MatchType::All,
        ..BASE
    },
    Case {
        name: "last port of a block",
        rows: &[row(PEER, Traffic::Ports(protocol::TCP, 80, 13), Action::Allow, 16)],
        port: 87,
        rule: 16,
        match_type: MatchType::L3L4,
        ..BASE
    },
    Case {
        name: "first port after a block",
        rows: &[row(PEER, Traffic::Ports(protocol::TCP, 80, 13), Action::Allow, 16)],
        port: 88,
        verdict: DROPPED,
        rule: Author::DEFAULT_DENY,
        ..BASE
    },
    Case {
        name: "port before the first of a block",
        rows: &[row(PEER, Traffic::Ports(protocol::TCP, 80, 13), Action::Allow, 16)],
        port: 79,
        verdict: DROPPED,
        rule: Author::DEFAULT_DENY,
        ..BASE
    },
    Case {
        name: "the type of an ICMP message stands in the place of the port",
        rows: &[row(PEER, Traffic::Ports(protocol::ICMP, 8, 16), Action::Allow, 16)],
        protocol: protocol::ICMP,
        port: 8,
        rule: 16,
        match_type: MatchType::L3L4,
        ..BASE
    },
    Case {
        name: "a deny of any peer beats an allow of the peer",
        rows: &[row(PEER, Traffic::Any, Action::Allow, 16), row(Identity::ANY, tcp(80), Action::Deny, 17)],
        verdict: DENIED,
        rule: 17,
        match_type: MatchType::L4Only,
        ..BASE
    },
    Case {
        name: "a broad deny of any peer beats a narrow allow of the peer",
        rows: &[row(PEER, tcp(80), Action::Allow, 16), row(Identity::ANY, Traffic::Any, Action::Deny, 17)],
        verdict: DENIED,
        rule: 17,
        match_type: MatchType::All,
        ..BASE
    },
    Case {
        name: "a deny of the peer beats an allow of any peer",
        rows: &[row(PEER, Traffic::Any, Action::Deny, 17), row(Identity::ANY, tcp(80), Action::Allow, 16)],
        verdict: DENIED,
        rule: 17,
        match_type: MatchType::L3Only,
        ..BASE
    },
    Case {
        name: "a deny beats a redirect",
        rows: &[row(PEER, tcp(80), Action::Redirect, 16), row(Identity::ANY, tcp(80), Action::Deny, 17)],
        verdict: DENIED,
        rule: 17,
        match_type: MatchType::L4Only,
        ..BASE
    },
    Case {
        name: "a redirect of any peer beats an allow of the peer",
        rows: &[row(PEER, tcp(80), Action::Allow, 16), row(Identity::ANY, tcp(80), Action::Redirect, 17)],
        verdict: TO_DNS,
        rule: 17,
        match_type: MatchType::L4Only,
        ..BASE
    },
    Case {
        name: "a narrow redirect under a broad allow",
        rows: &[row(PEER, Traffic::Any, Action::Allow, 16), row(PEER, tcp(80), Action::Redirect, 17)],
        verdict: TO_DNS,
        rule: 17,
        match_type: MatchType::L3L4,
        ..BASE
    },
    Case {
        name: "beside the narrow redirect the broad allow holds",
        rows: &[row(PEER, Traffic::Any, Action::Allow, 16), row(PEER, tcp(80), Action::Redirect, 17)],
        port: 81,
        rule: 16,
        match_type: MatchType::L3Only,
        ..BASE
    },
    Case {
        name: "of equal precedences the longer prefix wins: any peer",
        rows: &[row(PEER, Traffic::Any, Action::Allow, 16), row(Identity::ANY, tcp(80), Action::Allow, 17)],
        rule: 17,
        match_type: MatchType::L4Only,
        ..BASE
    },
    Case {
        name: "of equal precedences the longer prefix wins: the peer",
        rows: &[row(PEER, tcp(80), Action::Allow, 16), row(Identity::ANY, Traffic::Any, Action::Allow, 17)],
        rule: 16,
        match_type: MatchType::L3L4,
        ..BASE
    },
    Case {
        name: "of equal precedences and prefixes the peer's own row wins",
        rows: &[row(Identity::ANY, tcp(80), Action::Allow, 17), row(PEER, tcp(80), Action::Allow, 16)],
        rule: 16,
        match_type: MatchType::L3L4,
        ..BASE
    },
    Case {
        name: "a deny at a later level loses against an allow",
        rows: &[
            row(PEER, Traffic::Any, Action::Allow, 16),
            Row { level: LAST, ..row(Identity::ANY, tcp(80), Action::Deny, 17) },
        ],
        rule: 16,
        match_type: MatchType::L3Only,
        ..BASE
    },
    Case {
        name: "the node's own access gives way to a deny",
        rows: &[
            Row { level: LAST, ..row(Identity::HOST, Traffic::Any, Action::Allow, Author::KUBELET) },
            row(Identity::ANY, tcp(80), Action::Deny, 17),
        ],
        peer: Identity::HOST,
        verdict: DENIED,
        rule: 17,
        match_type: MatchType::L4Only,
        ..BASE
    },
    Case {
        name: "the node's own access",
        rows: &[Row { level: LAST, ..row(Identity::HOST, Traffic::Any, Action::Allow, Author::KUBELET) }],
        peer: Identity::HOST,
        rule: Author::KUBELET,
        match_type: MatchType::L3Only,
        ..BASE
    },
    Case {
        name: "port 65535 alone",
        rows: &[row(PEER, tcp(u16::MAX), Action::Allow, 16)],
        port: u16::MAX,
        rule: 16,
        match_type: MatchType::L3L4,
        ..BASE
    },
];
