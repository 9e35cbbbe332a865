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
mod maps;
mod packet;
mod policy;
mod redirect;
mod service;
mod to_container;

use aya_ebpf::bindings::{TC_ACT_OK, TC_ACT_SHOT};
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use egret_shared::{Direction, Verdict};

/// tc ingress of the node's end: packets that the pod sends.
#[classifier]
pub fn from_container(ctx: TcContext) -> i32 {
    let mut report = emit::Report::new(Direction::Egress);
    let verdict = from_container::judge(&ctx, &mut report).unwrap_or_else(Verdict::Dropped);
    finish(&ctx, &report, verdict)
}

/// tc egress of the node's end: packets that the pod receives.
#[classifier]
pub fn to_container(ctx: TcContext) -> i32 {
    let mut report = emit::Report::new(Direction::Ingress);
    let verdict = to_container::judge(&ctx, &mut report).unwrap_or_else(Verdict::Dropped);
    finish(&ctx, &report, verdict)
}

#[inline(always)]
fn finish(ctx: &TcContext, report: &emit::Report, verdict: Verdict) -> i32 {
    emit::record(ctx, report, verdict);
    match verdict {
        Verdict::Dropped(_) => TC_ACT_SHOT,
        Verdict::Forwarded | Verdict::Redirected(_) => TC_ACT_OK,
    }
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
