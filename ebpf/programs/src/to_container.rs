//! Ingress of a pod: what may reach it.

use aya_ebpf::programs::TcContext;
use egret_shared::decide::conntrack::open;
use egret_shared::{
    CtEntry, CtStatus, Direction, DropReason, FlowRecord, MARK_FROM_PROXY, MARK_MASK, Side, Verdict,
};

use crate::emit::Report;
use crate::packet::{Frame, Packet, parse};
use crate::{conntrack, from_container, ipcache, policy, service};

/// Decides one packet that is for a pod.
///
/// 1. The interface has an endpoint.
/// 2. Answers get the service's address back; they, and errors about connections, pass without asking policy.
/// 3. Everything else asks policy, packet by packet.
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
    let endpoint = from_container::endpoint(ctx)?;
    report.endpoint = endpoint.id;
    report.destination.0 = endpoint.identity;
    report.source = ipcache::identity_of(&packet.source);
    let policy = endpoint.policy[Direction::Ingress as usize];
    if policy != 0 {
        report.flags |= FlowRecord::ENFORCED;
    }
    let now = conntrack::now()?;
    if answer(ctx, &mut packet, report, now)? {
        return Ok(Verdict::Forwarded);
    }
    ask(ctx, &packet, policy, report, now)
}

/// Step 2: whether the packet answers a connection that the pod opened, or reports an error about one.
#[inline(always)]
fn answer(ctx: &TcContext, packet: &mut Packet, report: &mut Report, now: u64) -> Result<bool, DropReason> {
    if conntrack::may_reply(packet) {
        let key = conntrack::reply_key(packet, Side::Client);
        if let Some(entry) = conntrack::touch(&key, packet, true, now) {
            report.status = CtStatus::Reply;
            service::from_backend(ctx, packet, &entry)?;
            return Ok(true);
        }
    }
    if conntrack::is_related(ctx, packet, Side::Client, Side::Server, now) {
        report.status = CtStatus::Related;
        return Ok(true);
    }
    Ok(false)
}

/// Step 3.
#[inline(always)]
fn ask(
    ctx: &TcContext,
    packet: &Packet,
    policy: u32,
    report: &mut Report,
    now: u64,
) -> Result<Verdict, DropReason> {
    // SAFETY: the context is the program's own.
    let mark = unsafe { (*ctx.skb.skb).mark };
    let from_proxy = mark & MARK_MASK == MARK_FROM_PROXY;
    if from_proxy {
        report.flags |= FlowRecord::FROM_PROXY;
    }
    let key = conntrack::forward_key(packet, Side::Server);
    let tracked = if conntrack::may_open(packet) { conntrack::touch(&key, packet, false, now) } else { None };
    if tracked.is_some() {
        report.status = CtStatus::Established;
    }
    let decision = policy::judge(policy, report.source, packet);
    report.rule = decision.rule;
    report.match_type = decision.match_type;
    match decision.verdict {
        Verdict::Dropped(reason) => return Err(reason),
        // No proxy takes connections on their way in yet, and the core gives no such entry.
        Verdict::Redirected(_) => return Err(DropReason::NoProxyForProtocol),
        Verdict::Forwarded => {}
    }
    if tracked.is_none() && conntrack::may_open(packet) {
        let mut entry = open(decision.rule);
        if from_proxy {
            entry.flags |= CtEntry::FROM_PROXY;
        }
        conntrack::create(&key, entry, packet, now)?;
    }
    Ok(Verdict::Forwarded)
}
