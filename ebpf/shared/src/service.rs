//! Keys and values of the service map.

use crate::Address;

/// Key of the service map: a frontend, and which row of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Cluster address of the service.
    pub address: Address,
    /// Port in network order as two bytes.
    pub port: [u8; 2],
    /// IP protocol number.
    pub protocol: u8,
    /// Always 0.
    pub pad: u8,
    /// Row: 0 holds the number of backends, rows 1 to that number hold one backend each.
    pub slot: u32,
}

impl ServiceKey {
    /// One row of the frontend with this address, protocol number and port.
    #[must_use]
    pub const fn new(address: Address, protocol: u8, port: u16, slot: u32) -> Self {
        Self { address, port: port.to_be_bytes(), protocol, pad: 0, slot }
    }
}

/// Value of the service map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceEntry {
    /// Backend's address; all zero in row 0.
    pub address: Address,
    /// Backend's port in network order as two bytes.
    pub port: [u8; 2],
    /// Number of backends, in row 0; 0 elsewhere.
    pub count: u16,
}
