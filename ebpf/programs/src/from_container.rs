//! Egress of a pod: what may leave, and where it goes.

use aya_ebpf::programs::TcContext;
use egret_shared::decide::conntrack::open;
use egret_shared::{Address, CtEntry, CtStatus, Direction, DropReason, Endpoint, FlowRecord, Side, Verdict};

use crate::emit::Report;
use crate::packet::{Frame, Packet, parse};
use crate::{conntrack, ipcache, maps, policy, redirect, service};

/// Decides one packet that a pod sends.
///
/// 1. The interface has an endpoint, and the source is its own address.
/// 2. A packet on a connection that the pod opened asks policy again: a connection ends when the policy no
///    longer allows it. This is the common case, so it comes first.
/// 3. Answers, and errors about connections, pass without asking policy.
/// 4. For everything else a service address becomes a backend's, so that policy sees the backend; then policy
///    is asked.
///
/// # Errors
/// Why the packet is dropped before or by policy.
#[inline(always)]
pub fn judge(ctx: &TcContext, report: &mut Report) -> Result<Verdict, DropReason> {
    let mut packet = match parse(ctx)? {
        Frame::Ip(packet) => packet,
        Frame::Arp => {
            report.silent = true;
            return Ok(Verdict::Forwarded);
        }
    };
    let endpoint = endpoint(ctx)?;
    report.endpoint = endpoint.id;
    report.source.0 = endpoint.identity;
    if packet.source != endpoint.ipv4 || endpoint.ipv4 == Address::default() {
        return Err(DropReason::InvalidSourceIp);
    }
    let policy = endpoint.policy[Direction::Egress as usize];
    if policy != 0 {
        report.flags |= FlowRecord::ENFORCED;
    }
    let now = conntrack::now()?;
    let mut tracked = established(&packet, now);
    if !tracked {
        if let Some(verdict) = answer(ctx, &packet, report, now) {
            return Ok(verdict);
        }
        report.frontend = service::to_backend(ctx, &mut packet, now)?;
        // Packets for a service are tracked by its backend.
        tracked = report.frontend.is_some() && established(&packet, now);
    }
    report.destination = ipcache::identity_of(&packet.destination);
    ask(ctx, &packet, policy, tracked, report, now)
}

/// Whether a packet belongs to a connection that the pod opened.
#[inline(always)]
fn established(packet: &Packet, now: u64) -> bool {
    let key = conntrack::forward_key(packet, Side::Client);
    conntrack::may_open(packet) && conntrack::touch(&key, packet, false, now).is_some()
}

/// The endpoint of the packet's interface.
///
/// # Errors
/// [`DropReason::NoConfiguration`] when the agent has not written one.
#[inline(always)]
pub fn endpoint(ctx: &TcContext) -> Result<Endpoint, DropReason> {
    // SAFETY: the context is the program's own.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    // SAFETY: the value is copied at once; the agent replaces it as a whole.
    unsafe { maps::ENDPOINTS.get(ifindex) }.copied().ok_or(DropReason::NoConfiguration)
}

/// Step 3: the packet answers a connection that the pod accepted, or reports an error about one.
#[inline(always)]
fn answer(ctx: &TcContext, packet: &Packet, report: &mut Report, now: u64) -> Option<Verdict> {
    if conntrack::may_reply(packet) {
        let key = conntrack::reply_key(packet, Side::Server);
        if let Some(entry) = conntrack::touch(&key, packet, true, now) {
            report.status = CtStatus::Reply;
            report.destination = ipcache::identity_of(&packet.destination);
            if entry.flags & CtEntry::FROM_PROXY != 0 {
                redirect::deliver_locally(ctx);
            }
            return Some(Verdict::Forwarded);
        }
    }
    if conntrack::is_related(ctx, packet, Side::Server, Side::Client, now) {
        report.status = CtStatus::Related;
        report.destination = ipcache::identity_of(&packet.destination);
        return Some(Verdict::Forwarded);
    }
    None
}

/// Asks policy, and remembers a new connection.
#[inline(always)]
fn ask(
    ctx: &TcContext,
    packet: &Packet,
    policy: u32,
    tracked: bool,
    report: &mut Report,
    now: u64,
) -> Result<Verdict, DropReason> {
    if tracked {
        report.status = CtStatus::Established;
    }
    let decision = policy::judge(policy, report.destination, packet);
    report.rule = decision.rule;
    report.match_type = decision.match_type;
    if let Verdict::Dropped(reason) = decision.verdict {
        return Err(reason);
    }
    if !tracked && conntrack::may_open(packet) {
        let mut entry = open(decision.rule);
        if let Some(frontend) = report.frontend {
            entry.nat_address = frontend.address;
            entry.nat_port = frontend.port;
        }
        if matches!(decision.verdict, Verdict::Redirected(_)) {
            entry.flags |= CtEntry::PROXIED;
        }
        conntrack::create(&conntrack::forward_key(packet, Side::Client), entry, packet, now)?;
    }
    if let Verdict::Redirected(proxy) = decision.verdict {
        redirect::to_proxy(ctx, packet, proxy)?;
    }
    Ok(decision.verdict)
}
