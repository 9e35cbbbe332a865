//! Values of the endpoint, ipcache and configuration maps.

use crate::Address;

/// What the datapath knows of one pod, found by the index of the pod's interface on the node.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Number of the endpoint on its node, never 0.
    pub id: u32,
    /// [`crate::Identity`] of the pod's labels.
    pub identity: u32,
    /// Policy in force per [`crate::Direction`] (`0` ingress, `1` egress); `0`: not enforced.
    ///
    /// Replacing this value is the atomic switch from one policy to the next: a policy's entries are
    /// complete under their number before any endpoint names it.
    pub policy: [u32; 2],
    /// The pod's IPv4 address, mapped; all zero when it has none.
    pub ipv4: Address,
    /// The pod's IPv6 address; all zero when it has none.
    pub ipv6: Address,
}

/// Value of the ipcache: who has this prefix.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IpcacheEntry {
    /// [`crate::Identity`] of the prefix.
    pub identity: u32,
}

/// A proxy on the node; the number is its slot in the `PROXIES` map and in [`crate::PolicyEntry::proxy`].
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Proxy {
    /// The DNS proxy.
    Dns = 1,
    /// The HTTP proxy.
    Http = 2,
    /// The proxy that reads the server name of a TLS handshake.
    Tls = 3,
}

impl Proxy {
    /// Slots of the `PROXIES` map; slot 0 stays empty.
    pub const SLOTS: u32 = 4;

    /// The proxy with this number.
    #[inline(always)]
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Dns,
            2 => Self::Http,
            3 => Self::Tls,
            _ => return None,
        })
    }
}

/// The one row of the configuration map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// [`crate::ABI_VERSION`] of the agent.
    pub abi: u32,
    /// Bit 0 ([`Config::CAPTURE`]): every packet becomes a record, not only new and dropped ones.
    pub flags: u32,
    /// Nanoseconds that the datapath's clock runs ahead of the kernel's monotonic clock.
    pub clock_offset: u64,
}

impl Config {
    /// Flag: record every packet.
    pub const CAPTURE: u32 = 1;
}
