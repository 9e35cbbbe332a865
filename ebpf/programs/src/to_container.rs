//! Ingress of a pod: what may reach it.

use aya_ebpf::programs::TcContext;
use egret_shared::decide::conntrack::open;
use egret_shared::{
    CtEntry, CtStatus, Direction, DropReason, FlowRecord, Identity, MARK_FROM_PROXY, MARK_LOOPBACK,
    MARK_MASK, Side, Verdict,
};

use crate::packet::{Frame, parse};
use crate::work::Work;
use crate::{conntrack, from_container, ipcache, loopback, policy, service};

/// Decides one packet that is for a pod.
///
/// 1. The interface has an endpoint. What it sent to itself through a service was decided then.
/// 2. Answers get the service's address back; they, and errors about connections, pass without asking policy.
/// 3. Everything else asks policy, packet by packet.
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
    let endpoint = from_container::endpoint(ctx)?;
    work.report.endpoint = endpoint.id;
    work.report.destination = endpoint.identity;
    work.report.source = ipcache::identity_of(&work.packet.source).0;
    let policy = endpoint.policy[Direction::Ingress as usize];
    if policy != 0 {
        work.report.flags |= FlowRecord::ENFORCED;
    }
    // SAFETY: the context is the program's own.
    let mark = unsafe { (*ctx.skb.skb).mark };
    if mark & MARK_MASK == MARK_FROM_PROXY {
        work.report.flags |= FlowRecord::FROM_PROXY;
    }
    if mark & MARK_MASK == MARK_LOOPBACK {
        return Ok(loopback::arrive(work));
    }
    work.settle();
    let now = conntrack::now()?;
    if answer(ctx, work, now)? {
        return Ok(Verdict::Forwarded);
    }
    work.settle();
    ask(work, policy, now)
}

/// Step 2: whether the packet answers a connection that the pod opened, or reports an error about one.
#[inline(always)]
fn answer(ctx: &TcContext, work: &mut Work, now: u64) -> Result<bool, DropReason> {
    let Work { packet, report } = work;
    let reply = if conntrack::may_reply(packet) {
        conntrack::touch(&conntrack::reply_key(packet, Side::Client), packet, true, now)
    } else {
        None
    };
    if let Some(entry) = reply {
        report.status = CtStatus::Reply as u8;
        service::from_backend(ctx, packet, &entry)?;
        return Ok(true);
    }
    let related = conntrack::is_related(ctx, packet, Side::Client, Side::Server, now);
    if related {
        report.status = CtStatus::Related as u8;
    }
    Ok(related)
}

/// Step 3.
#[inline(always)]
fn ask(work: &mut Work, policy: u32, now: u64) -> Result<Verdict, DropReason> {
    let Work { packet, report } = work;
    let key = conntrack::forward_key(packet, Side::Server);
    let from_proxy = report.flags & FlowRecord::FROM_PROXY != 0;
    let tracked = conntrack::may_open(packet) && conntrack::touch_from(&key, packet, from_proxy, now);
    if tracked {
        report.status = CtStatus::Established as u8;
    }
    let decision = policy::judge(policy, Identity(report.source), packet);
    report.rule = decision.rule;
    report.match_type = decision.match_type as u8;
    match decision.verdict {
        Verdict::Dropped(reason) => return Err(reason),
        // No proxy takes connections on their way in yet, and the core gives no such entry.
        Verdict::Redirected(_) => return Err(DropReason::NoProxyForProtocol),
        Verdict::Forwarded => {}
    }
    if !tracked && conntrack::may_open(packet) {
        let mut entry = open(decision.rule);
        if from_proxy {
            entry.flags |= CtEntry::FROM_PROXY;
        }
        conntrack::create(&key, entry, packet, now)?;
    }
    Ok(Verdict::Forwarded)
}
