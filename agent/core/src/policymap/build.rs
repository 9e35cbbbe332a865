//! Collects rows of one policy, and takes out those that could hide a row that must win.

use alloc::vec::Vec;
use core::cmp::Reverse;

use egret_shared::{Action, Identity, PolicyEntry, PolicyKey, Proxy};

use crate::Protocol;
use crate::policy::port::Block;
use crate::policymap::rows::{PolicyRows, Row};

/// What of a peer's traffic a row matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Traffic {
    /// All of it.
    Any,
    /// One protocol.
    Protocol(Protocol),
    /// One block of ports of one protocol.
    Ports(Protocol, Block),
}

/// What a row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// As in [`PolicyEntry`].
    pub(crate) precedence: u32,
    /// What happens.
    pub(crate) action: Action,
    /// To which proxy it goes.
    pub(crate) proxy: Option<Proxy>,
    /// By which rule.
    pub(crate) rule: u32,
}

impl Verdict {
    /// A plain allow.
    pub(crate) const fn allow(level: u32, rule: u32) -> Self {
        let precedence = PolicyEntry::precedence_of(level, PolicyEntry::ALLOW);
        Self { precedence, action: Action::Allow, proxy: None, rule }
    }
}

impl Traffic {
    /// The traffic that both match.
    pub(crate) fn meet(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Any, traffic) | (traffic, Self::Any) => Some(traffic),
            (Self::Protocol(one), Self::Protocol(other)) => (one == other).then_some(self),
            (Self::Protocol(one), ports @ Self::Ports(other, _))
            | (ports @ Self::Ports(other, _), Self::Protocol(one)) => (one == other).then_some(ports),
            (Self::Ports(one, first), Self::Ports(other, second)) => {
                let (wide, narrow) =
                    if first.bits <= second.bits { (first, second) } else { (second, first) };
                (one == other && wide.contains(narrow)).then_some(Self::Ports(one, narrow))
            }
        }
    }
}

/// Rows before and after cleaning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    rows: Vec<Row>,
}

impl Rows {
    /// Adds a row. Of two for the same key the higher precedence stays, then the one that was added first: rules are
    /// added in the order of their policies, so that who decides does not depend on what was in force before.
    pub(crate) fn add(&mut self, identity: Identity, traffic: Traffic, verdict: Verdict) {
        let (protocol, port, prefix) = match traffic {
            Traffic::Any => (0, 0, PolicyKey::PREFIX_ANY),
            Traffic::Protocol(protocol) => (protocol.number(), 0, PolicyKey::PREFIX_PROTOCOL),
            Traffic::Ports(protocol, block) => {
                (protocol.number(), block.first, PolicyKey::PREFIX_PROTOCOL + block.bits)
            }
        };
        let prefix = u8::try_from(prefix).unwrap_or(u8::MAX);
        let entry = PolicyEntry {
            precedence: verdict.precedence,
            rule: verdict.rule,
            action: verdict.action as u8,
            proxy: verdict.proxy.map_or(0, |proxy| proxy as u8),
            prefix,
            pad: 0,
        };
        self.rows.push(Row { identity: identity.0, prefix, protocol, port, entry });
    }

    /// Adds finished rows.
    pub(crate) fn extend(&mut self, rows: impl Iterator<Item = Row>) {
        self.rows.extend(rows);
    }

    /// The rows that count.
    ///
    /// A longest-prefix lookup finds the narrowest row, so a narrower row must not hide a broader one that
    /// has the higher precedence. Such rows go: those under a broader row of the same identity, and those
    /// that a row for any identity covers, which would lose the comparison anyway.
    /// Source of the rule: Cilium `pkg/policy/mapstate.go`.
    pub(crate) fn finish(mut self) -> PolicyRows {
        self.rows.sort_by_key(|row| (row.place(), Reverse(row.entry.precedence)));
        self.rows.dedup_by_key(|row| row.place());
        // Rows of different precedence are what hides.
        if self.rows.windows(2).all(|pair| precedences(pair).is_none_or(|(a, b)| a == b)) {
            return self.rows.into();
        }
        let mut lengths: Vec<u8> = self.rows.iter().map(|row| row.prefix).collect();
        lengths.sort_unstable();
        lengths.dedup();
        let all = PolicyRows::from(self.rows);
        let any = all.of(Identity::ANY);
        let mut kept = Vec::new();
        for own in all.rows().chunk_by(|a, b| a.identity == b.identity) {
            let is_hidden = |row: &Row| {
                let wider = lengths.iter().take_while(|length| **length <= row.prefix);
                wider
                    .flat_map(|length| [own, any].map(|rows| row.within(*length, rows)))
                    .any(|wide| wide.is_some_and(|wide| wide.entry.precedence > row.entry.precedence))
            };
            kept.extend(own.iter().filter(|row| !is_hidden(row)).copied());
        }
        kept.into()
    }
}

fn precedences(pair: &[Row]) -> Option<(u32, u32)> {
    Some((pair.first()?.entry.precedence, pair.get(1)?.entry.precedence))
}
