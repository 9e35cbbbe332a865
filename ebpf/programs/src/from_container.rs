//! Egress of a pod: what may leave, and where it goes.

use aya_ebpf::programs::TcContext;
use egret_shared::decide::conntrack::open;
use egret_shared::{
    Address, CtEntry, CtStatus, Direction, DropReason, Endpoint, FlowRecord, Identity, Side, Verdict,
};

use crate::packet::{Frame, Packet, parse};
use crate::work::Work;
use crate::{conntrack, ipcache, loopback, maps, policy, redirect, service};

/// Decides one packet that a pod sends.
///
/// 1. The interface has an endpoint, and the source is its own address.
/// 2. A packet on a connection that the pod opened asks policy again: a connection ends when the policy no
///    longer allows it. This is the common case, so it comes first.
/// 3. Answers, and errors about connections, pass without asking policy.
/// 4. For everything else a service address becomes a backend's, so that policy sees the backend; then policy
///    is asked, unless the pod itself is the backend.
///
/// # Errors
/// Why the packet is dropped before or by policy.
#[inline(always)]
pub fn judge(ctx: &TcContext, work: &mut Work) -> Result<Verdict, DropReason> {
    if parse(ctx, &mut work.packet)? == Frame::Arp {
        work.report.silent = 1;
        return Ok(Verdict::Forwarded);
    }
    work.settle();
    let endpoint = endpoint(ctx)?;
    work.report.endpoint = endpoint.id;
    work.report.source = endpoint.identity;
    if work.packet.source != endpoint.ipv4 || endpoint.ipv4 == Address::default() {
        return Err(DropReason::InvalidSourceIp);
    }
    let policy = endpoint.policy[Direction::Egress as usize];
    if policy != 0 {
        work.report.flags |= FlowRecord::ENFORCED;
    }
    let now = conntrack::now()?;
    let mut tracked = established(&work.packet, now);
    if !tracked {
        if answer(ctx, work, now) {
            return Ok(Verdict::Forwarded);
        }
        service::to_backend(ctx, work, now)?;
        work.settle();
        if loopback::is_own(&work.packet) {
            return loopback::to_server(work, now);
        }
        // Packets for a service are tracked by its backend.
        tracked = work.report.has_frontend() && established(&work.packet, now);
    }
    if tracked {
        work.report.status = CtStatus::Established as u8;
    }
    work.report.destination = ipcache::identity_of(&work.packet.destination).0;
    work.settle();
    ask(ctx, work, policy, now)
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

/// Step 3: whether the packet answers a connection that the pod accepted, or reports an error about one.
#[inline(always)]
fn answer(ctx: &TcContext, work: &mut Work, now: u64) -> bool {
    let Work { packet, report } = work;
    let reply = if conntrack::may_reply(packet) {
        conntrack::touch(&conntrack::reply_key(packet, Side::Server), packet, true, now)
    } else {
        None
    };
    if let Some(entry) = reply {
        report.status = CtStatus::Reply as u8;
        if entry.flags & CtEntry::FROM_PROXY != 0 {
            redirect::deliver_locally(ctx);
        }
        if entry.flags & CtEntry::LOOPBACK != 0 {
            report.destination = report.source;
            loopback::to_client(work, &entry);
            return true;
        }
    } else if conntrack::is_related(ctx, packet, Side::Server, Side::Client, now) {
        report.status = CtStatus::Related as u8;
    } else {
        return false;
    }
    report.destination = ipcache::identity_of(&packet.destination).0;
    true
}

/// Asks policy, and remembers a new connection.
#[inline(always)]
fn ask(ctx: &TcContext, work: &mut Work, policy: u32, now: u64) -> Result<Verdict, DropReason> {
    let Work { packet, report } = work;
    let decision = policy::judge(policy, Identity(report.destination), packet);
    report.rule = decision.rule;
    report.match_type = decision.match_type as u8;
    if let Verdict::Dropped(reason) = decision.verdict {
        return Err(reason);
    }
    if report.status == CtStatus::New as u8 && conntrack::may_open(packet) {
        let mut entry = open(decision.rule);
        entry.nat_address = report.frontend;
        entry.nat_port = report.frontend_port;
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
