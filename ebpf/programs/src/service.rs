//! Service addresses to backends, and back.

use aya_ebpf::helpers::{bpf_csum_diff, bpf_get_hash_recalc};
use aya_ebpf::programs::TcContext;
use egret_shared::{Address, CtEntry, CtKey, DropReason, ServiceEntry, ServiceKey, Side, protocol};

use crate::conntrack;
use crate::maps::SERVICES;
use crate::packet::{ETHERNET, Packet};
use crate::work::Work;

/// Length of an IPv4 address, as the checksum helpers want it.
const ADDRESS: u64 = 4;
/// `BPF_F_PSEUDO_HDR`: the changed bytes also stand in the pseudo header.
const PSEUDO_HEADER: u64 = 1 << 4;
/// `BPF_F_MARK_MANGLED_0`: a UDP checksum of zero means "none" and stays so.
const MANGLED_0: u64 = 1 << 5;
/// Offset of the checksum in an IPv4 header.
const IP_CHECKSUM: usize = 10;
/// The address and port that a translation replaces.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Source,
    Destination,
}

/// The service address and port that a client used.
#[derive(Clone, Copy)]
pub struct Frontend {
    /// Cluster address.
    pub address: Address,
    /// Port in network order.
    pub port: [u8; 2],
}

/// Sends a packet for a service address to one of its backends; other packets are left alone.
///
/// A connection keeps its backend for as long as it lives. The report notes what the client used.
///
/// # Errors
/// [`DropReason::NoBackend`], or the packet could not be rewritten.
#[inline(always)]
pub fn to_backend<const V6: bool>(ctx: &TcContext, work: &mut Work, now: u64) -> Result<(), DropReason> {
    let Work { packet, report, quoted: _ } = work;
    let Some(head) = SERVICES.get_ptr(key(packet, 0)) else { return Ok(()) };
    // SAFETY: a map value lives as long as the program runs.
    let count = unsafe { (*head).count } as u32;
    let tracked = conntrack::forward_key(packet, Side::Service);
    let (address, port) = match conntrack::touch(&tracked, packet, false, now) {
        Some(entry) => (entry.nat_address, entry.nat_port),
        None => {
            let backend = choose(ctx, packet, count)?;
            remember(&tracked, packet, &backend, now)?;
            (backend.address, backend.port)
        }
    };
    let frontend = Frontend { address: packet.destination, port: packet.destination_port };
    rewrite_destination::<V6>(ctx, packet, &frontend, &address, port)?;
    report.frontend = frontend.address;
    report.frontend_port = frontend.port;
    packet.destination = address;
    packet.destination_port = port;
    Ok(())
}

/// Gives a reply the service address that its client had used.
///
/// # Errors
/// The packet could not be rewritten.
#[inline(always)]
pub fn from_backend<const V6: bool>(
    ctx: &TcContext,
    packet: &mut Packet,
    entry: &CtEntry,
) -> Result<(), DropReason> {
    if entry.nat_port == [0; 2] {
        return Ok(());
    }
    let backend = Frontend { address: packet.source, port: packet.source_port };
    rewrite_source::<V6>(ctx, packet, &backend, &entry.nat_address, entry.nat_port)?;
    packet.source = entry.nat_address;
    packet.source_port = entry.nat_port;
    Ok(())
}

/// Replaces the source's address and port.
///
/// # Errors
/// The packet could not be rewritten.
#[inline(always)]
pub fn rewrite_source<const V6: bool>(
    ctx: &TcContext,
    packet: &Packet,
    old: &Frontend,
    address: &Address,
    port: [u8; 2],
) -> Result<(), DropReason> {
    rewrite::<V6>(ctx, packet, old, End::Source, address, port)
}

/// Replaces the destination's address and port.
///
/// # Errors
/// As for [`rewrite_source`].
#[inline(always)]
pub fn rewrite_destination<const V6: bool>(
    ctx: &TcContext,
    packet: &Packet,
    old: &Frontend,
    address: &Address,
    port: [u8; 2],
) -> Result<(), DropReason> {
    rewrite::<V6>(ctx, packet, old, End::Destination, address, port)
}

#[inline(always)]
fn key(packet: &Packet, slot: u32) -> ServiceKey {
    ServiceKey {
        address: packet.destination,
        port: packet.destination_port,
        protocol: packet.protocol,
        pad: 0,
        slot,
    }
}

#[inline(always)]
fn choose(ctx: &TcContext, packet: &Packet, count: u32) -> Result<ServiceEntry, DropReason> {
    if count == 0 {
        return Err(DropReason::NoBackend);
    }
    // SAFETY: the context is the one that the program was called with.
    let hash = unsafe { bpf_get_hash_recalc(ctx.skb.skb) };
    let backend = SERVICES.get_ptr(key(packet, 1 + hash % count)).ok_or(DropReason::NoBackend)?;
    // SAFETY: a map value lives as long as the program runs.
    Ok(unsafe { *backend })
}

#[inline(always)]
fn remember(key: &CtKey, packet: &Packet, backend: &ServiceEntry, now: u64) -> Result<(), DropReason> {
    let entry = CtEntry { nat_address: backend.address, nat_port: backend.port, ..CtEntry::default() };
    conntrack::create(key, entry, packet, now)
}

/// Replaces one address and one port and mends the checksums.
#[inline(always)]
fn rewrite<const V6: bool>(
    ctx: &TcContext,
    packet: &Packet,
    old: &Frontend,
    end: End,
    address: &Address,
    port: [u8; 2],
) -> Result<(), DropReason> {
    let (checksum, mangled) = match packet.protocol {
        protocol::TCP => (packet.transport() + 16, 0),
        protocol::UDP => (packet.transport() + 6, MANGLED_0),
        _ => return Err(DropReason::WriteError),
    };
    let write = || -> Result<(), i64> {
        replace::<V6>(ctx, packet, old, end, address, (checksum, mangled))?;
        let at = packet.transport() + if end == End::Source { 0 } else { 2 };
        let (from, to) = (u16::from_ne_bytes(old.port) as u64, u16::from_ne_bytes(port) as u64);
        ctx.l4_csum_replace(checksum, from, to, 2 | mangled)?;
        ctx.store(at, &port, 0)
    };
    write().map_err(|_| DropReason::WriteError)
}

/// Replaces an address. `checksum` is the place of the transport's checksum, and how to mend it.
#[inline(always)]
fn replace<const V6: bool>(
    ctx: &TcContext,
    packet: &Packet,
    old: &Frontend,
    end: End,
    address: &Address,
    checksum: (usize, u64),
) -> Result<(), i64> {
    if packet.is_v6::<V6>() {
        replace_v6(ctx, &old.address, address, end, checksum)
    } else {
        replace_v4(ctx, &old.address, address, end, checksum)
    }
}

/// Replaces an IPv4 address, which stands in two checksums.
#[inline(always)]
fn replace_v4(
    ctx: &TcContext,
    old: &Address,
    new: &Address,
    end: End,
    (checksum, mangled): (usize, u64),
) -> Result<(), i64> {
    let at = if end == End::Source { 12 } else { 16 };
    let new = new.v4_octets();
    let (from, to) = (u32::from_ne_bytes(old.v4_octets()) as u64, u32::from_ne_bytes(new) as u64);
    ctx.l4_csum_replace(checksum, from, to, ADDRESS | PSEUDO_HEADER | mangled)?;
    ctx.l3_csum_replace(ETHERNET + IP_CHECKSUM, from, to, ADDRESS)?;
    ctx.store(ETHERNET + at, &new, 0)
}

/// Replaces an IPv6 address; the header has no checksum of its own.
#[inline(always)]
fn replace_v6(
    ctx: &TcContext,
    old: &Address,
    new: &Address,
    end: End,
    (checksum, mangled): (usize, u64),
) -> Result<(), i64> {
    let at = if end == End::Source { 8 } else { 24 };
    let (mut from, mut to) = (old.words(), new.words());
    // SAFETY: both are sixteen bytes on the stack.
    let difference = unsafe { bpf_csum_diff(from.as_mut_ptr(), 16, to.as_mut_ptr(), 16, 0) };
    if difference < 0 {
        return Err(difference);
    }
    ctx.l4_csum_replace(checksum, 0, difference as u64, PSEUDO_HEADER | mangled)?;
    ctx.store(ETHERNET + at, &new.0, 0)
}
