//! Numbers of IP protocols, of IPv6 extension headers and of ICMP messages (IANA).

/// ICMP for IPv4.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// SCTP.
pub const SCTP: u8 = 132;

/// IPv6 extension headers, which stand where other packets have their protocol (RFC 8200 section 4).
pub mod extension {
    /// Options for every router on the way.
    pub const HOP_BY_HOP: u8 = 0;
    /// A list of routers.
    pub const ROUTING: u8 = 43;
    /// A part of a larger packet.
    pub const FRAGMENT: u8 = 44;
    /// A signature (RFC 4302).
    pub const AUTHENTICATION: u8 = 51;
    /// Nothing follows.
    pub const NONE: u8 = 59;
    /// Options for the receiver.
    pub const DESTINATION: u8 = 60;
}

/// What a message of ICMP (RFC 792) or ICMPv6 (RFC 4443) is to a connection.
pub mod icmp {
    use super::ICMPV6;

    /// Whether this type is an echo request's; any `protocol` but [`ICMPV6`] is taken for [`super::ICMP`].
    #[inline(always)]
    #[must_use]
    pub const fn is_echo(protocol: u8, kind: u8) -> bool {
        kind == if protocol == ICMPV6 { 128 } else { 8 }
    }

    /// Whether this type is an echo reply's; `protocol` as for [`is_echo`].
    #[inline(always)]
    #[must_use]
    pub const fn is_echo_reply(protocol: u8, kind: u8) -> bool {
        kind == if protocol == ICMPV6 { 129 } else { 0 }
    }

    /// Whether a message of this type is about another packet: unreachable, too big, out of time, bad header;
    /// `protocol` as for [`is_echo`]. These are the types that Cilium takes for such (`bpf/lib/conntrack.h`).
    #[inline(always)]
    #[must_use]
    pub const fn is_error(protocol: u8, kind: u8) -> bool {
        if protocol == ICMPV6 { matches!(kind, 1..=4) } else { matches!(kind, 3 | 11 | 12) }
    }

    /// Whether a type of ICMPv6 is a neighbour solicitation's or advertisement's (RFC 4861 section 4).
    #[inline(always)]
    #[must_use]
    pub const fn is_neighbour_discovery(kind: u8) -> bool {
        matches!(kind, 135 | 136)
    }
}
