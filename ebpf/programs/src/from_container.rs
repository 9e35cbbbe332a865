//! Egress of a pod: what may leave, and where it goes.

use aya_ebpf::programs::TcContext;
use egret_shared::decide::conntrack::open;
use egret_shared::{Address, CtEntry, CtStatus, Direction, DropReason, Endpoint, FlowRecord, Identity, Side};

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
    let endpoint = endpoint(ctx)?;
    work.report.endpoint = endpoint.id;
    work.report.source = endpoint.identity;
    let own = if work.packet.is_v6::<V6>() { endpoint.ipv6 } else { endpoint.ipv4 };
    if work.packet.source != own || own == Address::default() {
        return Err(DropReason::InvalidSourceIp);
    }
    let policy = endpoint.policy[Direction::Egress as usize];
    if policy != 0 {
        work.report.flags |= FlowRecord::ENFORCED;
    }
    let now = conntrack::now()?;
    let mut tracked = established::<V6>(&work.packet, now);
    if !tracked {
        if answer::<V6>(ctx, work, now) {
            return Ok(());
        }
        service::to_backend::<V6>(ctx, work, now)?;
        work.settle();
        if loopback::is_own(&work.packet) {
            return loopback::to_server::<V6>(work, now);
        }
        // Packets for a service are tracked by its backend.
        tracked = work.report.has_frontend() && established::<V6>(&work.packet, now);
    }
    if tracked {
        work.report.status = CtStatus::Established as u8;
    }
    work.report.destination = ipcache::identity_of(&work.packet.destination).0;
    work.settle();
    ask::<V6>(ctx, work, policy, now)
}

/// Whether a packet belongs to a connection that the pod opened.
#[inline(always)]
fn established<const V6: bool>(packet: &Packet, now: u64) -> bool {
    let key = conntrack::forward_key(packet, Side::Client);
    conntrack::may_open::<V6>(packet) && conntrack::touch(&key, packet, false, now).is_some()
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
fn answer<const V6: bool>(ctx: &TcContext, work: &mut Work, now: u64) -> bool {
    let packet = &work.packet;
    let reply = if conntrack::may_reply::<V6>(packet) {
        conntrack::touch(&conntrack::reply_key::<V6>(packet, Side::Server), packet, true, now)
    } else {
        None
    };
    if let Some(entry) = reply {
        work.report.status = CtStatus::Reply as u8;
        if entry.flags & CtEntry::FROM_PROXY != 0 {
            redirect::deliver_locally(ctx);
        }
        if entry.flags & CtEntry::LOOPBACK != 0 {
            work.report.destination = work.report.source;
            loopback::to_client(work, &entry);
            return true;
        }
    } else if conntrack::is_related::<V6>(ctx, work, Side::Server, Side::Client, now) {
        work.report.status = CtStatus::Related as u8;
    } else {
        return false;
    }
    work.report.destination = ipcache::identity_of(&work.packet.destination).0;
    true
}

/// Asks policy, and remembers a new connection.
#[inline(always)]
fn ask<const V6: bool>(ctx: &TcContext, work: &mut Work, policy: u32, now: u64) -> Result<(), DropReason> {
    policy::judge::<V6>(policy, Identity(work.report.destination), &work.packet, &mut work.report);
    work.settle();
    let Work { packet, report, quoted: _ } = work;
    if report.is_dropped() {
        return Ok(());
    }
    if report.status == CtStatus::New as u8 && conntrack::may_open::<V6>(packet) {
        let mut entry = open(report.rule);
        entry.nat_address = report.frontend;
        entry.nat_port = report.frontend_port;
        if report.proxy() != 0 {
            entry.flags |= CtEntry::PROXIED;
        }
        conntrack::create(&conntrack::forward_key(packet, Side::Client), entry, packet, now)?;
    }
    if report.proxy() != 0 {
        redirect::to_proxy::<V6>(ctx, packet, report.proxy())?;
    }
    Ok(())
}
