//! A pod that is its own backend behind a service: its packets turn round at its own link.
//!
//! No kernel takes a packet from its own address off the wire, so to its server the pod's client has [`LOOPBACK`]
//! for an address, as in Cilium (`bpf/lib/lb.h`). Policy is not asked: a pod is not kept from itself.

use aya_ebpf::helpers::bpf_redirect;
use aya_ebpf::programs::TcContext;
use egret_shared::decide::conntrack::open;
use egret_shared::{
    Author, CtEntry, CtKey, CtStatus, DropReason, LOOPBACK, MARK_LOOPBACK, Side, Verdict, protocol,
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
pub fn to_server(work: &mut Work, now: u64) -> Result<Verdict, DropReason> {
    let Work { packet, report } = work;
    if !matches!(packet.protocol, protocol::TCP | protocol::UDP) {
        return Err(DropReason::CtUnknownProtocol);
    }
    report.destination = report.source;
    report.turn = Turn::ToServer as u8;
    let key = key(packet);
    if conntrack::touch(&key, packet, false, now).is_some() {
        report.status = CtStatus::Established as u8;
        return Ok(Verdict::Forwarded);
    }
    let mut entry = open(Author::NONE);
    entry.flags |= CtEntry::LOOPBACK;
    entry.nat_address = report.frontend;
    entry.nat_port = report.frontend_port;
    conntrack::create(&key, entry, packet, now)?;
    Ok(Verdict::Forwarded)
}

/// Notes that an answer of the pod's server is for the pod's client, which asked a service.
#[inline(always)]
pub fn to_client(work: &mut Work, entry: &CtEntry) {
    let Work { packet: _, report } = work;
    report.turn = Turn::ToClient as u8;
    report.frontend = entry.nat_address;
    report.frontend_port = entry.nat_port;
}

/// Notes what reaches the pod on such a way: it was decided when it left.
#[inline(always)]
pub fn arrive(work: &mut Work) -> Verdict {
    let Work { packet, report } = work;
    report.source = report.destination;
    let status = if packet.source == LOOPBACK { CtStatus::Established } else { CtStatus::Reply };
    report.status = status as u8;
    Verdict::Forwarded
}

/// The connection, as the packets of the server have it.
#[inline(always)]
fn key(packet: &Packet) -> CtKey {
    CtKey { client: LOOPBACK, ..conntrack::forward_key(packet, Side::Server) }
}

/// Gives a packet the addresses that the other end knows, and sends it back to the pod. What the kernel shall do
/// with it is the result.
///
/// # Errors
/// The packet could not be rewritten.
#[inline(always)]
pub fn turn_round(ctx: &TcContext, work: &Work) -> Result<i32, DropReason> {
    let Work { packet, report } = work;
    let source = Frontend { address: packet.source, port: packet.source_port };
    if report.turn == Turn::ToServer as u8 {
        service::rewrite_source(ctx, packet, &source, &LOOPBACK, packet.source_port)?;
    } else {
        service::rewrite_source(ctx, packet, &source, &report.frontend, report.frontend_port)?;
        let client = Frontend { address: packet.destination, port: packet.destination_port };
        service::rewrite_destination(ctx, packet, &client, &packet.source, packet.destination_port)?;
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
