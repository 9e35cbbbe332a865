//! The connection table around the shared transition.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::programs::TcContext;
use egret_shared::decide::conntrack::{count, is_live};
use egret_shared::{ABI_VERSION, CtEntry, CtKey, DropReason, Side};

use crate::maps::{CONFIG, CONNTRACK};
use crate::packet::{Packet, parse_quoted};
use crate::work::Work;

/// The datapath's clock in nanoseconds: the kernel's monotonic clock and the configured offset.
///
/// # Errors
/// [`DropReason::NoConfiguration`] when no agent with the same layouts has written the configuration.
#[inline(always)]
pub fn now() -> Result<u64, DropReason> {
    let config =
        CONFIG.get(0).filter(|config| config.abi == ABI_VERSION).ok_or(DropReason::NoConfiguration)?;
    // SAFETY: the helper has no preconditions.
    let kernel = unsafe { bpf_ktime_get_ns() };
    Ok(kernel + config.clock_offset)
}

/// The key of a packet that its client sent.
#[inline(always)]
pub fn forward_key(packet: &Packet, side: Side) -> CtKey {
    CtKey {
        client: packet.source,
        server: packet.destination,
        client_port: packet.source_port,
        server_port: packet.destination_port,
        protocol: packet.protocol,
        side: side as u8,
        pad: 0,
    }
}

/// The key of a packet that its server sent.
#[inline(always)]
pub fn reply_key<const V6: bool>(packet: &Packet, side: Side) -> CtKey {
    // An echo identifier belongs to the client whoever sends it.
    let (client_port, server_port) = if packet.is_icmp::<V6>() {
        (packet.source_port, [0; 2])
    } else {
        (packet.destination_port, packet.source_port)
    };
    CtKey {
        client: packet.destination,
        server: packet.source,
        client_port,
        server_port,
        protocol: packet.protocol,
        side: side as u8,
        pad: 0,
    }
}

/// Whether a packet may belong to a connection as its answer; an echo request never does.
#[inline(always)]
pub fn may_reply<const V6: bool>(packet: &Packet) -> bool {
    !packet.is_icmp::<V6>() || packet.is_echo_reply::<V6>()
}

/// Whether a packet may open or continue a connection from the client's side.
#[inline(always)]
pub fn may_open<const V6: bool>(packet: &Packet) -> bool {
    !packet.is_icmp::<V6>() || packet.is_echo::<V6>()
}

/// Finds a live entry, counts the packet on it and returns a copy.
#[inline(always)]
pub fn touch(key: &CtKey, packet: &Packet, reply: bool, now: u64) -> Option<CtEntry> {
    let entry = find(key)?;
    if !is_live(entry, packet.protocol, packet.tcp_flags, now) {
        return None;
    }
    count(entry, packet.protocol, packet.tcp_flags, reply, now);
    Some(*entry)
}

/// As [`touch`] for a packet from the client, and notes who sent it: the client itself, or a proxy in its name.
///
/// A proxy picks ports of its own, among them some that the client has used: the answer belongs to whoever asked
/// last.
#[inline(always)]
pub fn touch_from(key: &CtKey, packet: &Packet, from_proxy: bool, now: u64) -> bool {
    let Some(entry) = find(key).filter(|entry| is_live(entry, packet.protocol, packet.tcp_flags, now)) else {
        return false;
    };
    count(entry, packet.protocol, packet.tcp_flags, false, now);
    entry.flags = (entry.flags & !CtEntry::FROM_PROXY) | if from_proxy { CtEntry::FROM_PROXY } else { 0 };
    true
}

/// Whether a packet is an ICMP error about a live connection of the endpoint.
///
/// `side` is the endpoint's side if it is the client of the packet that the error quotes, as seen at this
/// hook; the quoted packet may also have been a reply.
#[inline(always)]
pub fn is_related<const V6: bool>(
    ctx: &TcContext,
    work: &mut Work,
    forward: Side,
    reply: Side,
    now: u64,
) -> bool {
    let Work { packet, quoted, report: _ } = work;
    if !packet.is_icmp_error::<V6>() || parse_quoted::<V6>(ctx, packet, quoted).is_err() {
        return false;
    }
    work.settle();
    let quoted = &work.quoted;
    let live = |key: &CtKey| find(key).is_some_and(|entry| now < entry.deadline);
    live(&forward_key(quoted, forward)) || live(&reply_key::<V6>(quoted, reply))
}

/// Writes the entry of a new connection.
///
/// # Errors
/// [`DropReason::CtInsertFailed`] when the table does not take it.
#[inline(always)]
pub fn create(key: &CtKey, mut entry: CtEntry, packet: &Packet, now: u64) -> Result<(), DropReason> {
    count(&mut entry, packet.protocol, packet.tcp_flags, false, now);
    CONNTRACK.insert(key, entry, 0).map_err(|_| DropReason::CtInsertFailed)
}

#[inline(always)]
fn find(key: &CtKey) -> Option<&'static mut CtEntry> {
    // SAFETY: the kernel keeps the value's memory for the length of the program, and two CPUs that count at
    // once can only lose one of two equal updates.
    CONNTRACK.get_ptr_mut(key).map(|entry| unsafe { &mut *entry })
}
