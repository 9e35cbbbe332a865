//! Transport protocols by name and number.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A transport protocol that a probe, a port or a rule can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP for IPv4.
    Icmp,
    /// ICMP for IPv6.
    Icmpv6,
    /// Any other, by its IP protocol number.
    Other(u8),
}

impl Protocol {
    /// Protocols without ports that policies can name (IANA, Protocol Numbers).
    const EXTENDED: [(&str, u8); 7] =
        [("IGMP", 2), ("IPIP", 4), ("IPV6", 41), ("GRE", 47), ("ESP", 50), ("AH", 51), ("VRRP", 112)];

    /// IP protocol number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => egret_shared::protocol::TCP,
            Self::Udp => egret_shared::protocol::UDP,
            Self::Sctp => egret_shared::protocol::SCTP,
            Self::Icmp => egret_shared::protocol::ICMP,
            Self::Icmpv6 => egret_shared::protocol::ICMPV6,
            Self::Other(number) => number,
        }
    }

    /// The protocol with this IP protocol number.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            egret_shared::protocol::TCP => Self::Tcp,
            egret_shared::protocol::UDP => Self::Udp,
            egret_shared::protocol::SCTP => Self::Sctp,
            egret_shared::protocol::ICMP => Self::Icmp,
            egret_shared::protocol::ICMPV6 => Self::Icmpv6,
            other => Self::Other(other),
        }
    }

    /// Reads the name of a protocol without ports, for example `GRE`.
    #[must_use]
    pub fn parse_extended(text: &str) -> Option<Self> {
        let found = Self::EXTENDED.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, number)| Self::Other(number))
    }

    /// Reads `TCP`, `UDP`, `SCTP`, `ICMP` or `ICMPv6`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "TCP" => Self::Tcp,
            "UDP" => Self::Udp,
            "SCTP" => Self::Sctp,
            "ICMP" => Self::Icmp,
            "ICMPv6" => Self::Icmpv6,
            _ => return None,
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("TCP"),
            Self::Udp => f.write_str("UDP"),
            Self::Sctp => f.write_str("SCTP"),
            Self::Icmp => f.write_str("ICMP"),
            Self::Icmpv6 => f.write_str("ICMPv6"),
            Self::Other(number) => match Self::EXTENDED.iter().find(|(_, known)| known == number) {
                Some((name, _)) => f.write_str(name),
                None => write!(f, "{number}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_read_back() {
        for (name, number) in Protocol::EXTENDED {
            let protocol = Protocol::parse_extended(name).unwrap();
            assert_eq!((protocol.number(), protocol.to_string().as_str()), (number, name));
        }
        assert_eq!(Protocol::Other(200).to_string(), "200");
        assert_eq!(Protocol::parse_extended("TCP"), None);
    }
}
