//! Ingress of a pod: what may reach it.

use aya_ebpf::programs::TcContext;
use egret_shared::decide::conntrack::open;
use egret_shared::{
    CtEntry, CtStatus, Direction, DropReason, FlowRecord, Identity, MARK_FROM_PROXY, MARK_LOOPBACK,
    MARK_MASK, Side,
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
/// What policy decides stands in the report.
///
/// # Errors
/// Why the packet is dropped other than by policy.
#[inline(always)]
pub fn judge<const V6: bool>(ctx: &TcContext, work: &mut Work) -> Result<(), DropReason> {
    if parse::<V6>(ctx, &mut work.packet)? == Frame::Link {
        work.report.silent = 1;
        return Ok(());
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
        loopback::arrive::<V6>(work);
        return Ok(());
    }
    work.settle();
    let now = conntrack::now()?;
    if answer::<V6>(ctx, work, now)? {
        return Ok(());
    }
    work.settle();
    ask::<V6>(work, policy, now)
}

/// Step 2: whether the packet answers a connection that the pod opened, or reports an error about one.
#[inline(always)]
fn answer<const V6: bool>(ctx: &TcContext, work: &mut Work, now: u64) -> Result<bool, DropReason> {
    let packet = &mut work.packet;
    let reply = if conntrack::may_reply::<V6>(packet) {
        conntrack::touch(&conntrack::reply_key::<V6>(packet, Side::Client), packet, true, now)
    } else {
        None
    };
    if let Some(entry) = reply {
        work.report.status = CtStatus::Reply as u8;
        service::from_backend::<V6>(ctx, packet, &entry)?;
        return Ok(true);
    }
    let related = conntrack::is_related::<V6>(ctx, work, Side::Client, Side::Server, now);
    if related {
        work.report.status = CtStatus::Related as u8;
    }
    Ok(related)
}

/// Step 3.
#[inline(always)]
fn ask<const V6: bool>(work: &mut Work, policy: u32, now: u64) -> Result<(), DropReason> {
    let Work { packet, report, quoted: _ } = work;
    let key = conntrack::forward_key(packet, Side::Server);
    let from_proxy = report.flags & FlowRecord::FROM_PROXY != 0;
    let tracked = conntrack::may_open::<V6>(packet) && conntrack::touch_from(&key, packet, from_proxy, now);
    if tracked {
        report.status = CtStatus::Established as u8;
    }
    policy::judge::<V6>(policy, Identity(report.source), packet, report);
    work.settle();
    let Work { packet, report, quoted: _ } = work;
    if report.is_dropped() {
        return Ok(());
    }
    // No proxy takes connections on their way in yet, and the core gives no such entry.
    if report.proxy() != 0 {
        return Err(DropReason::NoProxyForProtocol);
    }
    if report.status == CtStatus::New as u8 && conntrack::may_open::<V6>(packet) {
        let mut entry = open(report.rule);
        if from_proxy {
            entry.flags |= CtEntry::FROM_PROXY;
        }
        conntrack::create(&key, entry, packet, now)?;
    }
    Ok(())
}
