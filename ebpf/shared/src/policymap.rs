//! Keys and values of the policymap.

use crate::Identity;

/// Key of a policymap row, matched by longest prefix over its bytes in this order.
///
/// `policy` and `identity` always match whole. What may be left open is the protocol together with the
/// port, or the low bits of the port: ranges are split into aligned blocks.
/// Follows Cilium's key (`pkg/maps/policymap/policymap.go`); the policy's number stands where Cilium has one
/// map for each endpoint, and includes the direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyKey {
    /// Number of the policy, host order; never 0.
    pub policy: u32,
    /// Identity of the peer, host order; [`Identity::ANY`] for any peer.
    pub identity: u32,
    /// IP protocol number.
    pub protocol: u8,
    /// Port in network order as two bytes; the ICMP type for ICMP and ICMPv6.
    pub port: [u8; 2],
    /// Always 0.
    pub pad: u8,
}

impl PolicyKey {
    /// Prefix length of a key that leaves protocol and port open.
    pub const PREFIX_ANY: u32 = 64;
    /// Prefix length of a key that leaves only the port open.
    pub const PREFIX_PROTOCOL: u32 = 72;
    /// Prefix length of a key with one port.
    pub const PREFIX_FULL: u32 = 88;

    /// The key to look up for one packet.
    #[inline(always)]
    #[must_use]
    pub const fn exact(policy: u32, identity: Identity, protocol: u8, port: u16) -> Self {
        Self { policy, identity: identity.0, protocol, port: port.to_be_bytes(), pad: 0 }
    }
}

/// What an entry does with the packets that it matches.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Let the packet pass.
    Allow = 0,
    /// Drop it (reason 181).
    Deny = 1,
    /// Hand it to the proxy that the entry names.
    Redirect = 2,
}

/// Value of a policymap row.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyEntry {
    /// Higher wins; see [`PolicyEntry::precedence_of`].
    pub precedence: u32,
    /// Number of the rule that put the entry here ([`Author`]).
    pub rule: u32,
    /// [`Action`] as a number.
    pub action: u8,
    /// [`crate::Proxy`] as a number, 0 unless the action is [`Action::Redirect`].
    pub proxy: u8,
    /// Prefix length of this entry's key, which a longest-prefix lookup does not tell.
    pub prefix: u8,
    /// Always 0.
    pub pad: u8,
}

impl PolicyEntry {
    /// Precedence low byte of a deny.
    pub const DENY: u8 = 255;
    /// Precedence low byte of a plain allow.
    pub const ALLOW: u8 = 1;
    /// Precedence low bytes of redirects end here: `255 - listener priority`, between 129 and 254.
    pub const REDIRECT_TOP: u8 = 254;

    /// Precedence of an action at a level; level 0 is decided first.
    ///
    /// 24 bits of inverted level, then 8 bits of action: inside one level deny stands above redirect, and
    /// redirect above allow. Source: Cilium `pkg/policy/types/entry.go`.
    #[inline(always)]
    #[must_use]
    pub const fn precedence_of(level: u32, action: u8) -> u32 {
        ((0x00ff_ffff - (level & 0x00ff_ffff)) << 8) | action as u32
    }
}

/// Rule numbers with a fixed meaning; all others lead to a document, a rule and a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author;

impl Author {
    /// No rule took part: policy is not enforced, or the packet is a reply.
    pub const NONE: u32 = 0;
    /// No entry matched and the direction is in default deny.
    pub const DEFAULT_DENY: u32 = 1;
    /// The synthetic rule that lets a pod's own node in (kubelet probes).
    pub const KUBELET: u32 = 2;
    /// First number of ordinary rules.
    pub const FIRST_RULE: u32 = 16;
}
