//! Collects rows of one policy, and takes out those that could hide a row that must win.

use alloc::collections::{BTreeMap, BTreeSet};

use egret_shared::{Action, Identity, PolicyEntry, PolicyKey, Proxy};

use crate::Protocol;
use crate::policy::port::Block;
use crate::state::PolicyRows;

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

/// Rows under policy number 0, before and after cleaning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    rows: PolicyRows,
}

impl From<PolicyRows> for Rows {
    fn from(rows: PolicyRows) -> Self {
        Self { rows }
    }
}

impl Rows {
    /// Adds a row. Of two for the same key the higher precedence stays, then the lower rule number.
    pub(crate) fn add(&mut self, identity: Identity, traffic: Traffic, verdict: Verdict) {
        let (protocol, port, prefix) = match traffic {
            Traffic::Any => (0, 0, PolicyKey::PREFIX_ANY),
            Traffic::Protocol(protocol) => (protocol.number(), 0, PolicyKey::PREFIX_PROTOCOL),
            Traffic::Ports(protocol, block) => {
                (protocol.number(), block.first, PolicyKey::PREFIX_PROTOCOL + block.bits)
            }
        };
        let entry = PolicyEntry {
            precedence: verdict.precedence,
            rule: verdict.rule,
            action: verdict.action as u8,
            proxy: verdict.proxy.map_or(0, |proxy| proxy as u8),
            prefix: u8::try_from(prefix).unwrap_or(u8::MAX),
            pad: 0,
        };
        self.insert((PolicyKey::exact(0, identity, protocol, port), prefix), entry);
    }

    /// Adds a finished row.
    pub(crate) fn insert(&mut self, key: (PolicyKey, u32), entry: PolicyEntry) {
        let strength = |entry: &PolicyEntry| (entry.precedence, core::cmp::Reverse(entry.rule));
        let slot = self.rows.entry(key).or_insert(entry);
        if strength(&entry) > strength(slot) {
            *slot = entry;
        }
    }

    /// The rows that count.
    ///
    /// A longest-prefix lookup finds the narrowest row, so a narrower row must not hide a broader one that
    /// has the higher precedence. Such rows go: those under a broader row of the same identity, and those
    /// that a row for any identity covers, which would lose the comparison anyway.
    /// Source of the rule: Cilium `pkg/policy/mapstate.go`.
    pub(crate) fn finish(self) -> PolicyRows {
        let lengths: BTreeSet<u32> = self.rows.keys().map(|(_, prefix)| *prefix).collect();
        let is_hidden = |key: &PolicyKey, prefix: u32, entry: &PolicyEntry| {
            lengths.range(..=prefix).any(|length| {
                let wider = |identity| {
                    let row = self.rows.get(&(masked(key, identity, *length), *length));
                    row.is_some_and(|row| row.precedence > entry.precedence)
                };
                wider(Identity(key.identity)) || wider(Identity::ANY)
            })
        };
        self.rows
            .iter()
            .filter(|((key, prefix), entry)| !is_hidden(key, *prefix, entry))
            .map(|(key, entry)| (*key, *entry))
            .collect()
    }
}

/// A key with only its first `prefix` bits, at least those of policy and identity.
pub(crate) fn masked(key: &PolicyKey, identity: Identity, prefix: u32) -> PolicyKey {
    let protocol = if prefix < PolicyKey::PREFIX_PROTOCOL { 0 } else { key.protocol };
    let open = PolicyKey::PREFIX_FULL.saturating_sub(prefix).min(16);
    let port = u32::from(u16::from_be_bytes(key.port)) >> open << open;
    PolicyKey::exact(key.policy, identity, protocol, u16::try_from(port).unwrap_or(u16::MAX))
}

/// Longest-prefix lookup in rows, as the kernel's map answers it.
pub(crate) fn lookup(rows: &PolicyRows, key: &PolicyKey) -> Option<PolicyEntry> {
    let identity = Identity(key.identity);
    (PolicyKey::PREFIX_PROTOCOL..=PolicyKey::PREFIX_FULL)
        .rev()
        .chain([PolicyKey::PREFIX_ANY])
        .find_map(|prefix| rows.get(&(masked(key, identity, prefix), prefix)).copied())
}

/// The same rows under a policy's number.
pub(crate) fn numbered(rows: &PolicyRows, policy: u32) -> PolicyRows {
    rows.iter()
        .map(|((key, prefix), entry)| ((PolicyKey { policy, ..*key }, *prefix), *entry))
        .collect::<BTreeMap<_, _>>()
}
