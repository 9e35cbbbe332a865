//! Records of judged packets for the agent.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_hash_recalc, bpf_ktime_get_ns, bpf_skb_load_bytes};
use aya_ebpf::programs::TcContext;
use egret_shared::{Config, CtStatus, FlowRecord, PACKET_BYTES};

use crate::maps::{CONFIG, EVENTS, LOST};
use crate::work::Report;

/// `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP`.
const NO_WAKEUP: u64 = 1;
const FORCE_WAKEUP: u64 = 2;
/// `BPF_RB_AVAIL_DATA`: the query for unread bytes.
const AVAILABLE: u64 = 0;
/// Unread bytes from which on the agent is woken even for a packet that nobody waits for.
const HIGH_WATER: u64 = 1 << 18;

/// Writes the record of one packet, if somebody wants it: dropped and new ones always, all others when the
/// agent captures.
#[inline(always)]
pub fn record(ctx: &TcContext, report: &Report) {
    let decided = report.verdict < 0 || report.status == CtStatus::New as u8;
    let captures = || CONFIG.get(0).is_some_and(|config| config.flags & Config::CAPTURE != 0);
    if report.silent != 0 || !(decided || captures()) {
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<FlowRecord>(0) else {
        if let Some(lost) = LOST.get_ptr_mut(0) {
            // SAFETY: the value belongs to this CPU, which runs this program alone.
            unsafe { *lost += 1 };
        }
        return;
    };
    let length = ctx.len();
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points to the reserved record; every field is written before it is submitted, and the
    // packet bytes behind `captured` are never read.
    unsafe {
        (&raw mut (*record).time).write(bpf_ktime_get_ns());
        (&raw mut (*record).ifindex).write((*ctx.skb.skb).ifindex);
        (&raw mut (*record).endpoint).write(report.endpoint);
        (&raw mut (*record).verdict).write(report.verdict);
        (&raw mut (*record).rule).write(report.rule);
        (&raw mut (*record).source_identity).write(report.source);
        (&raw mut (*record).destination_identity).write(report.destination);
        (&raw mut (*record).hash).write(bpf_get_hash_recalc(ctx.skb.skb));
        (&raw mut (*record).length).write(length);
        (&raw mut (*record).direction).write(report.direction);
        (&raw mut (*record).status).write(report.status);
        (&raw mut (*record).match_type).write(report.match_type);
        (&raw mut (*record).flags).write(report.flags);
        (&raw mut (*record).service).write(report.frontend);
        (&raw mut (*record).service_port).write(report.frontend_port);
        let captured = copy(ctx, (&raw mut (*record).packet).cast(), length);
        (&raw mut (*record).captured).write(captured);
    }
    // SAFETY: the map is the one declared in `maps`.
    let full = || unsafe { aya_ebpf::helpers::bpf_ringbuf_query((&raw const EVENTS).cast_mut().cast(), AVAILABLE) } > HIGH_WATER;
    entry.submit(if decided || full() { FORCE_WAKEUP } else { NO_WAKEUP });
}

/// Copies the packet's first bytes and returns how many.
///
/// # Safety
/// `to` must point to [`PACKET_BYTES`] writable bytes.
#[inline(always)]
unsafe fn copy(ctx: &TcContext, to: *mut c_void, length: u32) -> u16 {
    let wanted = if length < PACKET_BYTES as u32 { length } else { PACKET_BYTES as u32 };
    if wanted == 0 || wanted > PACKET_BYTES as u32 {
        return 0;
    }
    // SAFETY: `wanted` is at most the size that the caller vouches for.
    let code = unsafe { bpf_skb_load_bytes(ctx.skb.skb.cast(), 0, to, wanted) };
    if code == 0 { wanted as u16 } else { 0 }
}
