//! The record that the datapath writes for a packet it judged.

use crate::Address;

/// Bytes of each packet that a record carries at most, from the Ethernet header on.
pub const PACKET_BYTES: usize = 192;

/// One packet at one hook: what was decided, by which rule, and the packet's first bytes after translation.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// Nanoseconds of the kernel's monotonic clock.
    pub time: u64,
    /// Index of the endpoint's interface on the node.
    pub ifindex: u32,
    /// Number of the endpoint whose policy was asked, 0 if none is configured.
    pub endpoint: u32,
    /// [`crate::Verdict::to_number`].
    pub verdict: i32,
    /// Rule that decided ([`crate::Author`]).
    pub rule: u32,
    /// Identity of the packet's source.
    pub source_identity: u32,
    /// Identity of the packet's destination.
    pub destination_identity: u32,
    /// The kernel's flow hash, 0 when it has none.
    pub hash: u32,
    /// Length of the whole packet in bytes.
    pub length: u32,
    /// [`crate::Direction`] of the hook: egress for a packet from the pod.
    pub direction: u8,
    /// [`crate::CtStatus`] as a number.
    pub status: u8,
    /// [`crate::MatchType`] as a number.
    pub match_type: u8,
    /// Bits of [`FlowRecord::ENFORCED`] and [`FlowRecord::FROM_PROXY`].
    pub flags: u8,
    /// Bytes of `packet` that are filled.
    pub captured: u16,
    /// Service port that the client used, network order as two bytes; 0 without a service.
    pub service_port: [u8; 2],
    /// Service address that the client used; all zero without a service.
    pub service: Address,
    /// The packet from its Ethernet header on.
    pub packet: [u8; PACKET_BYTES],
}

impl FlowRecord {
    /// A policy is in force for this endpoint and direction.
    pub const ENFORCED: u8 = 1;
    /// The packet was sent by a proxy of the node.
    pub const FROM_PROXY: u8 = 2;
}
