//! The rows of one policy, laid out so that a lookup touches little memory.

use alloc::vec::Vec;
use core::cmp::Reverse;

use egret_shared::{Identity, PolicyEntry, PolicyKey};

use crate::state::PolicyRows;

/// Rows grouped by identity; inside a group the longest prefix first, so that the first that fits is the answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Identity and the index behind its last row, ordered by identity.
    groups: Vec<(u32, usize)>,
    rows: Vec<Row>,
}

/// One row without its identity.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Bits that must be zero in the difference to a packet's protocol and port, `protocol << 16 | port`.
    mask: u32,
    value: u32,
    entry: PolicyEntry,
}

impl Table {
    /// Lays out the rows of one policy.
    pub(crate) fn new(rows: &PolicyRows) -> Self {
        let mut sorted: Vec<_> = rows.iter().collect();
        sorted.sort_by_key(|((key, prefix), _)| (key.identity, Reverse(*prefix), key.protocol, key.port));
        let mut table = Self::default();
        for ((key, prefix), entry) in sorted {
            let open = PolicyKey::PREFIX_FULL.saturating_sub(*prefix).min(24);
            let mask = (0x00ff_ffff_u32 >> open) << open;
            table.rows.push(Row { mask, value: packed(key) & mask, entry: *entry });
            let end = table.rows.len();
            match table.groups.last_mut() {
                Some((identity, last)) if *identity == key.identity => *last = end,
                Some(_) | None => table.groups.push((key.identity, end)),
            }
        }
        table
    }

    /// The identities that have rows of their own, ordered, "any" among them.
    pub(crate) fn identities(&self) -> impl Iterator<Item = Identity> {
        self.groups.iter().map(|(identity, _)| Identity(*identity))
    }

    /// Longest-prefix lookup, as the kernel's map answers it; the key's policy is not looked at.
    pub(crate) fn lookup(&self, key: &PolicyKey) -> Option<PolicyEntry> {
        let group = self.groups.binary_search_by_key(&key.identity, |(identity, _)| *identity).ok()?;
        let (_, end) = self.groups.get(group)?;
        let start =
            group.checked_sub(1).and_then(|before| self.groups.get(before)).map_or(0, |(_, end)| *end);
        let wanted = packed(key);
        let mut rows = self.rows.get(start..*end)?.iter();
        rows.find(|row| (wanted ^ row.value) & row.mask == 0).map(|row| row.entry)
    }
}

fn packed(key: &PolicyKey) -> u32 {
    u32::from(key.protocol) << 16 | u32::from(u16::from_be_bytes(key.port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;
    use crate::policy::port::Block;
    use crate::policymap::build::{Rows, Traffic, Verdict, lookup};
    use crate::policymap::level;
    use proptest::prelude::*;

    fn traffic() -> impl Strategy<Value = Traffic> {
        let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
        let block = (0_u16..8, 13_u32..=16).prop_map(|(port, bits)| {
            let open = 16 - bits;
            Block { first: port >> open << open, bits }
        });
        prop_oneof![
            Just(Traffic::Any),
            protocol.clone().prop_map(Traffic::Protocol),
            (protocol, block).prop_map(|(protocol, block)| Traffic::Ports(protocol, block)),
        ]
    }

    proptest! {
        #[test]
        fn a_table_answers_as_the_map_does(
            given in proptest::collection::vec((0_u32..4, traffic(), 1_u32..9), 0..24),
        ) {
            let mut rows = Rows::default();
            for (identity, traffic, rule) in given {
                rows.add(Identity(identity), traffic, Verdict::allow(level::NORMAL, rule));
            }
            let rows = rows.finish();
            let table = Table::new(&rows);
            for identity in 0..5 {
                for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Icmp] {
                    for port in 0..9 {
                        let key = PolicyKey::exact(0, Identity(identity), protocol.number(), port);
                        prop_assert_eq!(table.lookup(&key), lookup(&rows, &key));
                    }
                }
            }
        }
    }
}
