//! A pod that is its own backend behind a service: its packets turn round at its own link.
//!
//! No kernel takes a packet from its own address off the wire, so to its server the pod's client has [`LOOPBACK_V4`]
//! or [`LOOPBACK_V6`] for an address, as in Cilium (`bpf/lib/lb.h`). Policy is not asked: a pod is not kept from itself.

use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::programs::TcContext;
use egret_shared::decide::conntrack::open;
use egret_shared::{
    Address, Author, CtEntry, CtKey, CtStatus, DropReason, LOOPBACK_V4, LOOPBACK_V6, MARK_LOOPBACK, Side,
    protocol,
};

use crate::conntrack;
use crate::packet::Packet;
use crate::service::{self, Frontend};
use crate::work::{Turn, Work};

/// Bytes of both hardware addresses at the start of a frame.
const HARDWARE: usize = 12;

/// Whether a packet, after service translation, is for its own sender.
#[inline(always)]
pub fn is_own(packet: &Packet) -> bool {
    packet.destination == packet.source
}

/// Decides a packet from the pod's client to the pod's server.
///
/// # Errors
/// The connection cannot be remembered, or its protocol has no translation.
#[inline(always)]
pub fn to_server<const V6: bool>(work: &mut Work, now: u64) -> Result<(), DropReason> {
    let Work { packet, report, quoted: _ } = work;
    if !matches!(packet.protocol, protocol::TCP | protocol::UDP) {
        return Err(DropReason::CtUnknownProtocol);
    }
    report.destination = report.source;
    report.turn = Turn::ToServer as u8;
    let key = key::<V6>(packet);
    if conntrack::touch(&key, packet, false, now).is_some() {
        report.status = CtStatus::Established as u8;
        return Ok(());
    }
    let mut entry = open(Author::NONE);
    entry.flags |= CtEntry::LOOPBACK;
    entry.nat_address = report.frontend;
    entry.nat_port = report.frontend_port;
    conntrack::create(&key, entry, packet, now)?;
    Ok(())
}

/// Notes that an answer of the pod's server is for the pod's client, which asked a service.
#[inline(always)]
pub fn to_client(work: &mut Work, entry: &CtEntry) {
    let report = &mut work.report;
    report.turn = Turn::ToClient as u8;
    report.frontend = entry.nat_address;
    report.frontend_port = entry.nat_port;
}

/// Notes what reaches the pod on such a way: it was decided when it left.
#[inline(always)]
pub fn arrive<const V6: bool>(work: &mut Work) {
    let Work { packet, report, quoted: _ } = work;
    report.source = report.destination;
    let is_client = packet.source == address::<V6>(packet);
    report.status = if is_client { CtStatus::Established } else { CtStatus::Reply } as u8;
}

/// The client's address to the server, of the packet's family.
#[inline(always)]
fn address<const V6: bool>(packet: &Packet) -> Address {
    if packet.is_v6::<V6>() { LOOPBACK_V6 } else { LOOPBACK_V4 }
}

/// The connection, as the packets of the server have it.
#[inline(always)]
fn key<const V6: bool>(packet: &Packet) -> CtKey {
    CtKey { client: address::<V6>(packet), ..conntrack::forward_key(packet, Side::Server) }
}

/// Gives a packet the addresses that the other end knows, and sends it back to the pod. What the kernel shall do
/// with it is the result.
///
/// # Errors
/// The packet could not be rewritten.
#[inline(always)]
pub fn turn_round<const V6: bool>(ctx: &TcContext, work: &Work) -> Result<i32, DropReason> {
    let Work { packet, report, quoted: _ } = work;
    let source = Frontend { address: packet.source, port: packet.source_port };
    if report.turn == Turn::ToServer as u8 {
        service::rewrite_source::<V6>(ctx, packet, &source, &address::<V6>(packet), packet.source_port)?;
    } else {
        service::rewrite_source::<V6>(ctx, packet, &source, &report.frontend, report.frontend_port)?;
        let client = Frontend { address: packet.destination, port: packet.destination_port };
        service::rewrite_destination::<V6>(ctx, packet, &client, &packet.source, packet.destination_port)?;
    }
    let swap = || -> Result<(), i64> {
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5]: [u8; HARDWARE] = ctx.load(0)?;
        ctx.store(0, &[s0, s1, s2, s3, s4, s5, d0, d1, d2, d3, d4, d5], 0)
    };
    swap().map_err(|_| DropReason::WriteError)?;
    ctx.set_mark(MARK_LOOPBACK);
    // SAFETY: the context is the program's own, and the helper has no other precondition.
    Ok(unsafe { bpf_redirect((*ctx.skb.skb).ifindex, 0) } as i32)
}
