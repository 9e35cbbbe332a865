//! Directions, verdicts, drop reasons and match types with the numbers that Cilium gives them.

/// Direction of traffic as seen from the pod whose policy is asked.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Direction {
    /// Into the pod.
    Ingress = 0,
    /// Out of the pod.
    Egress = 1,
}

/// The datapath's decision on one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Verdict {
    /// The packet goes on.
    Forwarded,
    /// The packet goes to a proxy on the node.
    Redirected(crate::Proxy),
    /// The packet ends here.
    Dropped(DropReason),
}

impl Verdict {
    /// As one number: 0 forwarded, the proxy's number when redirected, minus the drop code when dropped.
    #[inline(always)]
    #[must_use]
    pub const fn to_number(self) -> i32 {
        match self {
            Self::Forwarded => 0,
            Self::Redirected(proxy) => proxy as i32,
            Self::Dropped(reason) => -(reason as i32),
        }
    }

    /// The inverse of [`Verdict::to_number`].
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        if number == 0 {
            return Some(Self::Forwarded);
        }
        if number > 0 {
            return Some(Self::Redirected(crate::Proxy::from_number(u8::try_from(number).ok()?)?));
        }
        DropReason::from_code(u8::try_from(number.checked_neg()?).ok()?).map(Self::Dropped)
    }
}

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal, $hubble:literal;)+) => {
        /// Why a packet was dropped: the subset of Cilium's codes that this datapath gives
        /// (`pkg/monitor/api/drop.go`, `api/v1/flow/flow.proto`).
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        pub enum DropReason {
            $($(#[$doc])* $name = $code,)+
        }

        impl DropReason {
            /// Every reason, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The reason with this code.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                Some(match code {
                    $($code => Self::$name,)+
                    _ => return None,
                })
            }

            /// The text of monitor lines, for example `Policy denied`.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }

            /// The name in Hubble's `drop_reason_desc`.
            #[must_use]
            pub const fn hubble(self) -> &'static str {
                match self {
                    $(Self::$name => $hubble,)+
                }
            }
        }
    };
}

drop_reasons! {
    /// The packet's source is not the pod's own address.
    InvalidSourceIp = 132, "Invalid source ip", "INVALID_SOURCE_IP";
    /// Default deny: nothing allows it.
    PolicyDenied = 133, "Policy denied", "POLICY_DENIED";
    /// The headers contradict each other.
    InvalidPacket = 134, "Invalid packet", "INVALID_PACKET_DROPPED";
    /// The transport header is cut off.
    CtTruncated = 135, "CT: Truncated or invalid header", "CT_TRUNCATED_OR_INVALID_HEADER";
    /// A transport protocol that connection tracking does not know.
    CtUnknownProtocol = 137, "CT: Unknown L4 protocol", "CT_UNKNOWN_L4_PROTOCOL";
    /// Neither IPv4, IPv6 nor ARP.
    UnsupportedL3 = 139, "Unsupported L3 protocol", "UNSUPPORTED_L3_PROTOCOL";
    /// The packet could not be rewritten.
    WriteError = 141, "Error writing to packet", "ERROR_WRITING_TO_PACKET";
    /// The connection table did not take the entry.
    CtInsertFailed = 155, "CT: Map insertion failed", "CT_MAP_INSERTION_FAILED";
    /// IPv6 extension headers that lead to no transport header, or too many of them.
    InvalidExtensionHeader = 156, "Invalid IPv6 extension header", "INVALID_IPV6_EXTENSION_HEADER";
    /// A fragment that carries no ports.
    Fragment = 157, "IP fragmentation not supported", "IP_FRAGMENTATION_NOT_SUPPORTED";
    /// The service has no backend.
    NoBackend = 158, "Service backend not found", "SERVICE_BACKEND_NOT_FOUND";
    /// No configuration for the packet's interface.
    NoConfiguration = 165, "No configuration available to perform policy decision",
        "NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION";
    /// An Ethernet type that the datapath does not know.
    UnsupportedL2 = 166, "Unsupported L2 protocol", "UNSUPPORTED_L2_PROTOCOL";
    /// The proxy's socket was not found.
    SocketLookupFailed = 178, "Socket lookup failed", "SOCKET_LOOKUP_FAILED";
    /// The packet could not be given to the proxy's socket.
    SocketAssignFailed = 179, "Socket assign failed", "SOCKET_ASSIGN_FAILED";
    /// A redirect of a protocol that no proxy takes.
    NoProxyForProtocol = 180, "Proxy redirection not supported for protocol",
        "PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL";
    /// A deny rule matched.
    PolicyDeny = 181, "Policy denied by denylist", "POLICY_DENY";
}

/// What of a packet an entry had to match; the numbers of Cilium's policy verdict events.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MatchType {
    /// No entry matched.
    None = 0,
    /// The peer.
    L3Only = 1,
    /// The peer, the protocol and the port.
    L3L4 = 2,
    /// The protocol and the port.
    L4Only = 3,
    /// Everything matches.
    All = 4,
    /// The peer and the protocol.
    L3Protocol = 5,
    /// The protocol.
    ProtocolOnly = 6,
}

impl MatchType {
    /// The type with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::L3Only,
            2 => Self::L3L4,
            3 => Self::L4Only,
            4 => Self::All,
            5 => Self::L3Protocol,
            6 => Self::ProtocolOnly,
            _ => return None,
        })
    }

    /// The word in policy verdict lines.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::L3Only => "L3-Only",
            Self::L3L4 => "L3-L4",
            Self::L4Only => "L4-Only",
            Self::All => "all",
            Self::L3Protocol => "L3-Proto",
            Self::ProtocolOnly => "Proto-Only",
        }
    }
}
