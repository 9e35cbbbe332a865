//! Keys and values of the connection table.

use crate::Address;

/// Which end of the connection the tracking endpoint is.
///
/// A packet between two pods of one node passes two hooks, and each hook keeps an entry of its own, so that
/// one pod's egress and the other pod's ingress are allowed or ended independently.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The endpoint opened the connection (its egress policy decides).
    Client = 0,
    /// The endpoint was connected to (its ingress policy decides).
    Server = 1,
    /// Not a connection but the choice of a service's backend; `server` is the service's address.
    Service = 2,
}

/// Key of the connection table. Always written from the client's view, whatever the packet's direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CtKey {
    /// Address of the side that opened the connection.
    pub client: Address,
    /// Address of the other side, after service translation.
    pub server: Address,
    /// Client's port in network order as two bytes; the echo identifier for ICMP.
    pub client_port: [u8; 2],
    /// Server's port in network order as two bytes; 0 for ICMP.
    pub server_port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// [`Side`] as a number.
    pub side: u8,
    /// Always 0.
    pub pad: u16,
}

/// Value of the connection table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CtEntry {
    /// The entry is dead from here on; nanoseconds of the datapath's clock.
    pub deadline: u64,
    /// The service address that the client used; the backend for [`Side::Service`]; else all zero.
    pub nat_address: Address,
    /// The port that belongs to `nat_address`, network order as two bytes.
    pub nat_port: [u8; 2],
    /// Bits of [`CtEntry::SEEN_REPLY`] and its neighbours.
    pub flags: u16,
    /// Rule that allowed the connection ([`crate::Author`]).
    pub rule: u32,
}

impl CtEntry {
    /// The other side has answered.
    pub const SEEN_REPLY: u16 = 1;
    /// A FIN or RST was seen: the entry lives on briefly.
    pub const CLOSING: u16 = 2;
    /// The connection goes through a proxy on the node.
    pub const PROXIED: u16 = 4;
    /// The connection was opened by a proxy in the client's name: replies belong to the proxy.
    pub const FROM_PROXY: u16 = 8;
    /// The client is the server's own pod, which asked a service; its address is [`crate::LOOPBACK_V4`] or
    /// [`crate::LOOPBACK_V6`].
    pub const LOOPBACK: u16 = 16;
}

/// What a packet is to the connection table.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum CtStatus {
    /// First packet of a connection.
    New = 0,
    /// From the client, on a connection that exists.
    Established = 1,
    /// From the server.
    Reply = 2,
    /// An ICMP error about a connection that exists.
    Related = 3,
}

impl CtStatus {
    /// The status with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::New,
            1 => Self::Established,
            2 => Self::Reply,
            3 => Self::Related,
            _ => return None,
        })
    }

    /// The word in trace lines.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Established => "established",
            Self::Reply => "reply",
            Self::Related => "related",
        }
    }
}
