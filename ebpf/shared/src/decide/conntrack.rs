//! What a packet does to its connection's entry.

use crate::{CtEntry, protocol};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Lifetime of an answered TCP connection (Cilium `bpf-ct-timeout-regular-tcp`).
pub const TCP_ESTABLISHED: u64 = 8000 * SECOND;
/// Lifetime of a TCP connection before its answer (`bpf-ct-timeout-regular-tcp-syn`).
pub const TCP_OPENING: u64 = 60 * SECOND;
/// Lifetime after FIN or RST (`bpf-ct-timeout-regular-tcp-fin`).
pub const TCP_CLOSING: u64 = 10 * SECOND;
/// Lifetime of everything else (`bpf-ct-timeout-regular-any`).
pub const OTHER: u64 = 60 * SECOND;

/// TCP flag bits as they stand in byte 13 of the header (RFC 9293 section 3.1).
pub mod tcp {
    /// No more data from the sender.
    pub const FIN: u8 = 1;
    /// Opens a connection.
    pub const SYN: u8 = 2;
    /// Ends a connection at once.
    pub const RST: u8 = 4;
    /// The acknowledgment field counts.
    pub const ACK: u8 = 16;
}

/// Whether an entry found in the table still stands for a connection at `now`.
///
/// A dead entry counts as absent, and so does a closing one when the client opens again with the same ports.
#[inline(always)]
#[must_use]
pub fn is_live(entry: &CtEntry, protocol: u8, tcp_flags: u8, now: u64) -> bool {
    if now >= entry.deadline {
        return false;
    }
    let opens = protocol == protocol::TCP && tcp_flags & (tcp::SYN | tcp::ACK) == tcp::SYN;
    !(opens && entry.flags & CtEntry::CLOSING != 0)
}

/// The entry of a new connection, before its first packet is counted.
#[inline(always)]
#[must_use]
pub fn open(rule: u32) -> CtEntry {
    CtEntry { rule, ..CtEntry::default() }
}

/// Counts one packet: flags seen so far, and the new deadline.
///
/// `reply` is true for a packet from the server. `tcp_flags` is ignored unless `protocol` is TCP; `now` is the
/// datapath's clock in nanoseconds.
#[inline(always)]
pub fn count(entry: &mut CtEntry, protocol: u8, tcp_flags: u8, reply: bool, now: u64) {
    if reply {
        entry.flags |= CtEntry::SEEN_REPLY;
    }
    let lifetime = if protocol == protocol::TCP {
        if tcp_flags & (tcp::FIN | tcp::RST) != 0 {
            entry.flags |= CtEntry::CLOSING;
        }
        if entry.flags & CtEntry::CLOSING != 0 {
            TCP_CLOSING
        } else if entry.flags & CtEntry::SEEN_REPLY != 0 {
            TCP_ESTABLISHED
        } else {
            TCP_OPENING
        }
    } else {
        OTHER
    };
    entry.deadline = now.saturating_add(lifetime);
}
