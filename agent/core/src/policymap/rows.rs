//! The rows of one policy, laid out so that a lookup touches little memory.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;

use egret_shared::{Identity, PolicyEntry, PolicyKey};

/// Rows of one policy, under whatever number it has. A copy shares them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyRows {
    // INVARIANT: ordered by `Row::place`, each place once.
    rows: Arc<[Row]>,
}

/// One row: a key without its policy, the key's prefix length in bits, and what the row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Row {
    pub(crate) identity: u32,
    pub(crate) prefix: u8,
    pub(crate) protocol: u8,
    pub(crate) port: u16,
    pub(crate) entry: PolicyEntry,
}

impl Row {
    /// Rows of one identity stand together, the longest prefix first: the first that fits is the answer.
    pub(crate) fn place(&self) -> (u32, Reverse<u8>, u8, u16) {
        (self.identity, Reverse(self.prefix), self.protocol, self.port)
    }

    /// The key under a policy's number, and its prefix length.
    fn key(&self, policy: u32) -> (PolicyKey, u32) {
        let key = PolicyKey::exact(policy, Identity(self.identity), self.protocol, self.port);
        (key, u32::from(self.prefix))
    }

    /// The row of this length among one identity's that covers all that this row does.
    pub(crate) fn within<'a>(&self, length: u8, rows: &'a [Self]) -> Option<&'a Self> {
        let open = PolicyKey::PREFIX_FULL.saturating_sub(u32::from(length)).min(24);
        let packed = (u32::from(self.protocol) << 16 | u32::from(self.port)) >> open << open;
        let [_, protocol, high, low] = packed.to_be_bytes();
        let wanted = (Reverse(length), protocol, u16::from_be_bytes([high, low]));
        let found = rows.binary_search_by_key(&wanted, |row| (Reverse(row.prefix), row.protocol, row.port));
        found.ok().and_then(|place| rows.get(place))
    }

    fn fits(&self, key: &PolicyKey) -> bool {
        let open = PolicyKey::PREFIX_FULL.saturating_sub(u32::from(self.prefix)).min(24);
        let packed = |protocol: u8, port: u16| u32::from(protocol) << 16 | u32::from(port);
        let wanted = packed(key.protocol, u16::from_be_bytes(key.port));
        (wanted ^ packed(self.protocol, self.port)) >> open == 0
    }
}

impl From<Vec<Row>> for PolicyRows {
    /// The rows must stand in order.
    fn from(rows: Vec<Row>) -> Self {
        Self { rows: rows.into() }
    }
}

impl PolicyRows {
    /// Longest-prefix lookup, as the kernel's map answers it; the key's policy is not looked at.
    #[must_use]
    pub fn lookup(&self, key: &PolicyKey) -> Option<PolicyEntry> {
        self.of(Identity(key.identity)).iter().find(|row| row.fits(key)).map(|row| row.entry)
    }

    /// The entry under exactly this key and prefix length; the key's policy is not looked at.
    #[must_use]
    pub fn get(&self, (key, prefix): &(PolicyKey, u32)) -> Option<&PolicyEntry> {
        let wanted = (PolicyKey { policy: 0, ..*key }, *prefix);
        self.of(Identity(key.identity)).iter().find(|row| row.key(0) == wanted).map(|row| &row.entry)
    }

    /// Keys under a policy's number, with their prefix lengths and entries.
    pub fn numbered(&self, policy: u32) -> impl Iterator<Item = ((PolicyKey, u32), PolicyEntry)> {
        self.rows.iter().map(move |row| (row.key(policy), row.entry))
    }

    /// The identities that have rows of their own, ordered, "any" among them.
    pub fn identities(&self) -> impl Iterator<Item = Identity> {
        self.rows
            .chunk_by(|a, b| a.identity == b.identity)
            .filter_map(|rows| Some(Identity(rows.first()?.identity)))
    }

    /// The rows of one identity.
    pub(crate) fn of(&self, identity: Identity) -> &[Row] {
        let start = self.rows.partition_point(|row| row.identity < identity.0);
        let behind = self.rows.get(start..).unwrap_or_default();
        let count = match behind.first() {
            Some(row) if row.identity == identity.0 => {
                behind.partition_point(|row| row.identity == identity.0)
            }
            Some(_) | None => 0,
        };
        behind.get(..count).unwrap_or_default()
    }

    /// All rows.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protocol;
    use crate::policy::port::Block;
    use crate::policymap::build::{Rows, Traffic, Verdict};
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

    /// A key with only its first bits.
    fn masked(key: &PolicyKey, length: u32) -> PolicyKey {
        let open = PolicyKey::PREFIX_FULL.saturating_sub(length).min(24);
        let packed =
            (u32::from(key.protocol) << 16 | u32::from(u16::from_be_bytes(key.port))) >> open << open;
        let port = u16::try_from(packed & 0xffff).unwrap();
        PolicyKey::exact(0, Identity(key.identity), u8::try_from(packed >> 16).unwrap(), port)
    }

    proptest! {
        #[test]
        fn rows_answer_as_the_map_does(
            given in proptest::collection::vec((0_u32..4, traffic(), 1_u32..9), 0..24),
        ) {
            let mut rows = Rows::default();
            for (identity, traffic, rule) in given {
                rows.add(Identity(identity), traffic, Verdict::allow(level::NORMAL, rule));
            }
            let rows = rows.finish();
            for identity in 0..5 {
                for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Icmp] {
                    for port in 0..9 {
                        let key = PolicyKey::exact(0, Identity(identity), protocol.number(), port);
                        let longest = (0..=PolicyKey::PREFIX_FULL).rev();
                        let found = longest.filter_map(|length| rows.get(&(masked(&key, length), length))).next();
                        prop_assert_eq!(rows.lookup(&key), found.copied());
                    }
                }
            }
        }
    }
}
