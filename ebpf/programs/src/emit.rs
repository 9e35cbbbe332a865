//! Records of judged packets for the agent.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_get_hash_recalc, bpf_ktime_get_ns, bpf_skb_load_bytes};
use aya_ebpf::programs::TcContext;
use egret_shared::{
    Address, Author, Config, CtStatus, Direction, FlowRecord, Identity, MatchType, PACKET_BYTES, Verdict,
};

use crate::maps::{CONFIG, EVENTS, LOST};
use crate::service::Frontend;

/// `BPF_RB_NO_WAKEUP` and `BPF_RB_FORCE_WAKEUP`.
const NO_WAKEUP: u64 = 1;
const FORCE_WAKEUP: u64 = 2;
/// `BPF_RB_AVAIL_DATA`: the query for unread bytes.
const AVAILABLE: u64 = 0;
/// Unread bytes from which on the agent is woken even for a packet that nobody waits for.
const HIGH_WATER: u64 = 1 << 18;

/// What a hook has found out about its packet so far.
pub struct Report {
    /// The hook's direction.
    pub direction: Direction,
    /// Number of the endpoint, 0 if none.
    pub endpoint: u32,
    /// Bits of the record's `flags`.
    pub flags: u8,
    /// Identity of the source.
    pub source: Identity,
    /// Identity of the destination.
    pub destination: Identity,
    /// State of the connection.
    pub status: CtStatus,
    /// Who decided.
    pub rule: u32,
    /// How specific the deciding entry is.
    pub match_type: MatchType,
    /// Service address of the client.
    pub frontend: Option<Frontend>,
    /// The packet is of no interest to anybody: ARP.
    pub silent: bool,
}

impl Report {
    /// Nothing known yet.
    #[inline(always)]
    pub fn new(direction: Direction) -> Self {
        Self {
            direction,
            endpoint: 0,
            flags: 0,
            source: Identity(0),
            destination: Identity(0),
            status: CtStatus::New,
            rule: Author::NONE,
            match_type: MatchType::None,
            frontend: None,
            silent: false,
        }
    }
}

/// Writes the record of one packet, if somebody wants it: dropped and new ones always, all others when the
/// agent captures.
#[inline(always)]
pub fn record(ctx: &TcContext, report: &Report, verdict: Verdict) {
    let dropped = matches!(verdict, Verdict::Dropped(_));
    let decided = dropped || report.status as u8 == CtStatus::New as u8;
    let captures = || CONFIG.get(0).is_some_and(|config| config.flags & Config::CAPTURE != 0);
    if report.silent || !(decided || captures()) {
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<FlowRecord>(0) else {
        if let Some(lost) = LOST.get_ptr_mut(0) {
            // SAFETY: the value belongs to this CPU, which runs this program alone.
            unsafe { *lost += 1 };
        }
        return;
    };
    let (service, service_port) =
        report.frontend.map_or((Address([0; 16]), [0; 2]), |frontend| (frontend.address, frontend.port));
    let length = ctx.len();
    let record = entry.as_mut_ptr();
    // SAFETY: `record` points to the reserved record; every field is written before it is submitted, and the
    // packet bytes behind `captured` are never read.
    unsafe {
        (&raw mut (*record).time).write(bpf_ktime_get_ns());
        (&raw mut (*record).ifindex).write((*ctx.skb.skb).ifindex);
        (&raw mut (*record).endpoint).write(report.endpoint);
        (&raw mut (*record).verdict).write(verdict.to_number());
        (&raw mut (*record).rule).write(report.rule);
        (&raw mut (*record).source_identity).write(report.source.0);
        (&raw mut (*record).destination_identity).write(report.destination.0);
        (&raw mut (*record).hash).write(bpf_get_hash_recalc(ctx.skb.skb));
        (&raw mut (*record).length).write(length);
        (&raw mut (*record).direction).write(report.direction as u8);
        (&raw mut (*record).status).write(report.status as u8);
        (&raw mut (*record).match_type).write(report.match_type as u8);
        (&raw mut (*record).flags).write(report.flags);
        (&raw mut (*record).service).write(service);
        (&raw mut (*record).service_port).write(service_port);
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
