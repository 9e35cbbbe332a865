//! Map layouts and the two datapath decisions, shared by the kernel programs, the agent and the model.
//!
//! | map | key | value | written by |
//! | --- | --- | --- | --- |
//! | `ENDPOINTS` | interface index, `u32` | [`Endpoint`] | agent |
//! | `IPCACHE` | [`Address`] with a prefix length | [`IpcacheEntry`] | agent |
//! | `POLICY` | [`PolicyKey`] with a prefix length | [`PolicyEntry`] | agent |
//! | `CONNTRACK` | [`CtKey`] | [`CtEntry`] | kernel |
//! | `SERVICES` | [`ServiceKey`] | [`ServiceEntry`] | agent |
//! | `PROXIES` | [`Proxy`] as `u32` | local port, `u32`, host order | agent |
//! | `CONFIG` | `0` | [`Config`] | agent |
//! | `EVENTS` | ring buffer | [`FlowRecord`] | kernel |
//! | `LOST` | `0` | records lost per CPU, `u64` | kernel |
//!
//! Nothing here allocates, panics or, without features, depends on another crate. Byte order stands in each
//! field's documentation; every layout is free of hidden padding and is pinned by `tests/layout.rs`.
#![no_std]
// A panic here would take a node's policy down or hide a verdict: what may fail returns an error. Tests may panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod address;
pub mod conntrack;
pub mod decide;
mod endpoint;
mod event;
mod identity;
mod policymap;
pub mod protocol;
mod service;
mod verdict;

pub use address::Address;
pub use conntrack::{CtEntry, CtKey, CtStatus, Side};
pub use endpoint::{Config, Endpoint, IpcacheEntry, Proxy};
pub use event::{FlowRecord, PACKET_BYTES};
pub use identity::Identity;
pub use policymap::{Action, Author, PolicyEntry, PolicyKey};
pub use service::{ServiceEntry, ServiceKey};
pub use verdict::{Direction, DropReason, MatchType, Verdict};

/// Version of every layout above; raised with each change, checked by the agent against the object it loads.
pub const ABI_VERSION: u32 = 1;

/// Packet mark that routes a packet to a proxy's socket on this node.
pub const MARK_TO_PROXY: u32 = 0x0200;
/// Packet mark of a proxy's own connection to the server its client asked for.
pub const MARK_FROM_PROXY: u32 = 0x0b00;
/// Packet mark of what a pod sends to itself through a service, on its way back to the pod.
pub const MARK_LOOPBACK: u32 = 0x0400;
/// The bits that the marks use.
pub const MARK_MASK: u32 = 0x0f00;

/// Address of a pod's client to the server in the same pod, behind a service (Cilium `IPV4_LOOPBACK`).
pub const LOOPBACK_V4: Address = Address::v4([169, 254, 42, 1]);
/// The same over IPv6, of those that are for whoever wants one (RFC 4193).
pub const LOOPBACK_V6: Address =
    Address([0xfd, 0x65, 0x67, 0x72, 0, 0, 0, 0, 0, 0, 0, 0, 0xa9, 0xfe, 0x2a, 1]);

#[cfg(feature = "user")]
mod user {
    //! Marker traits for the user side.
    #![expect(unsafe_code, reason = "aya::Pod is an unsafe marker trait")]

    macro_rules! pod {
        ($($name:ident),+) => {$(
            // SAFETY: `repr(C)`, `Copy`, integers only, and no padding (tests/layout.rs).
            unsafe impl aya::Pod for crate::$name {}
        )+};
    }
    pod!(
        Address,
        CtKey,
        CtEntry,
        Endpoint,
        IpcacheEntry,
        Config,
        PolicyKey,
        PolicyEntry,
        ServiceKey,
        ServiceEntry
    );
}
