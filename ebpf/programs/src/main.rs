//! The kernel programs of the datapath: one for packets from a pod, one for packets to it.
//!
//! Both sit on the node's end of the pod's veth pair. An entry point calls its `judge`, records what was
//! decided and turns it into an action; everything that can fail is a drop with a reason.
#![no_std]
#![no_main]

mod conntrack;
mod emit;
mod from_container;
mod ipcache;
mod loopback;
mod maps;
mod packet;
mod policy;
mod redirect;
mod service;
mod to_container;
mod work;

use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_SHOT};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use egret_shared::{Direction, DropReason};

use work::{Turn, Work};

/// tc ingress of the node's end: packets that the pod sends.
#[classifier]
pub fn from_container(ctx: TcContext) -> i32 {
    sent::<false>(&ctx)
}

/// tc egress of the node's end: packets that the pod receives.
#[classifier]
pub fn to_container(ctx: TcContext) -> i32 {
    received::<false>(&ctx)
}

/// As [`from_container`], for a pod that also has IPv6. The kernel verifies it for half as long again, which a node
/// without IPv6 does not wait for.
#[classifier]
pub fn from_container6(ctx: TcContext) -> i32 {
    sent::<true>(&ctx)
}

/// As [`to_container`], for a pod that also has IPv6.
#[classifier]
pub fn to_container6(ctx: TcContext) -> i32 {
    received::<true>(&ctx)
}

#[inline(always)]
fn sent<const V6: bool>(ctx: &TcContext) -> i32 {
    let Some(work) = start(Direction::Egress) else { return TC_ACT_SHOT };
    let judged = from_container::judge::<V6>(ctx, work);
    // The record shows a packet that turns round as the pod has sent it.
    let action = finish(ctx, work, judged);
    if work.report.turn == Turn::None as u8 || action != TC_ACT_OK {
        return action;
    }
    // Its headers were read, so that it cannot be written happens to a broken kernel alone.
    loopback::turn_round::<V6>(ctx, work).unwrap_or(TC_ACT_SHOT)
}

#[inline(always)]
fn received<const V6: bool>(ctx: &TcContext) -> i32 {
    let Some(work) = start(Direction::Ingress) else { return TC_ACT_SHOT };
    let judged = to_container::judge::<V6>(ctx, work);
    finish(ctx, work, judged)
}

/// This CPU's working memory, with nothing known yet.
#[inline(always)]
fn start(direction: Direction) -> Option<&'static mut Work> {
    // SAFETY: the memory is this CPU's, and this program's until it ends.
    let work = unsafe { &mut *maps::WORK.get_ptr_mut(0)? };
    work.reset(direction);
    Some(work)
}

#[inline(always)]
fn finish(ctx: &TcContext, work: &mut Work, judged: Result<(), DropReason>) -> i32 {
    work.conclude(judged);
    emit::record(ctx, &work.report);
    if work.report.is_dropped() { TC_ACT_SHOT } else { TC_ACT_OK }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // The verifier refuses a program that can get here, so a panic that is left in the code fails the load.
    loop {}
}

/// GPL: the kernel lends socket lookup helpers to such programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
