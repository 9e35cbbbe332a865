//! Packets to the sockets of the node's proxies, with their addresses unchanged.

use core::ffi::c_void;

use aya_ebpf::bindings::{
    bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1,
};
use aya_ebpf::helpers::{bpf_sk_assign, bpf_sk_lookup_udp, bpf_sk_release, bpf_skc_lookup_tcp};
use aya_ebpf::programs::TcContext;
use egret_shared::{DropReason, MARK_TO_PROXY, Proxy, protocol};

use crate::maps::PROXIES;
use crate::packet::Packet;

/// `BPF_F_CURRENT_NETNS`.
const CURRENT_NETNS: u64 = u64::MAX;
/// States of a TCP socket that take no packet for an open connection (`include/net/tcp_states.h`).
const TCP_TIME_WAIT: u32 = 6;
const TCP_LISTEN: u32 = 10;
/// Bytes of the IPv4 half of `struct bpf_sock_tuple`.
const IPV4_TUPLE: u32 = 12;

/// Gives a packet to a proxy: the mark makes the node deliver it locally, the assignment names the socket.
///
/// # Errors
/// The proxy has no port, its socket was not found, or it did not take the packet.
#[inline(always)]
pub fn to_proxy(ctx: &TcContext, packet: &Packet, proxy: Proxy) -> Result<(), DropReason> {
    let port = PROXIES.get(proxy as u32).copied().unwrap_or(0);
    if port == 0 {
        return Err(DropReason::SocketLookupFailed);
    }
    match packet.protocol {
        protocol::TCP => {
            if !assign_open_tcp(ctx, packet)? {
                assign_listener(ctx, packet, port as u16)?;
            }
        }
        protocol::UDP => assign_listener(ctx, packet, port as u16)?,
        _ => return Err(DropReason::NoProxyForProtocol),
    }
    deliver_locally(ctx);
    Ok(())
}

/// Makes the node deliver a packet to a local socket that has the packet's own addresses.
#[inline(always)]
pub fn deliver_locally(ctx: &TcContext) {
    ctx.set_mark(MARK_TO_PROXY);
}

/// Gives the packet to the socket of its own connection, if the proxy has accepted it before.
#[inline(always)]
fn assign_open_tcp(ctx: &TcContext, packet: &Packet) -> Result<bool, DropReason> {
    let mut tuple = tuple(
        packet.source.v4_octets(),
        packet.destination.v4_octets(),
        packet.source_port,
        packet.destination_port,
    );
    // SAFETY: the context is the program's, the tuple is initialised, and the verifier tracks the reference
    // until it is released below.
    unsafe {
        let socket = bpf_skc_lookup_tcp(context(ctx), &raw mut tuple, IPV4_TUPLE, CURRENT_NETNS, 0);
        if socket.is_null() {
            return Ok(false);
        }
        let state = (*socket).state;
        let open = state != TCP_LISTEN && state != TCP_TIME_WAIT;
        let code = if open { bpf_sk_assign(context(ctx), socket.cast::<c_void>(), 0) } else { 0 };
        bpf_sk_release(socket.cast::<c_void>());
        if code == 0 { Ok(open) } else { Err(DropReason::SocketAssignFailed) }
    }
}

/// Gives the packet to the socket on which the proxy waits, bound to loopback and this port.
#[inline(always)]
fn assign_listener(ctx: &TcContext, packet: &Packet, port: u16) -> Result<(), DropReason> {
    let mut tuple = tuple(packet.source.v4_octets(), [127, 0, 0, 1], packet.source_port, port.to_be_bytes());
    // SAFETY: as in `assign_open_tcp`.
    unsafe {
        let socket = if packet.protocol == protocol::TCP {
            bpf_skc_lookup_tcp(context(ctx), &raw mut tuple, IPV4_TUPLE, CURRENT_NETNS, 0)
        } else {
            bpf_sk_lookup_udp(context(ctx), &raw mut tuple, IPV4_TUPLE, CURRENT_NETNS, 0)
        };
        if socket.is_null() {
            return Err(DropReason::SocketLookupFailed);
        }
        let code = bpf_sk_assign(context(ctx), socket.cast::<c_void>(), 0);
        bpf_sk_release(socket.cast::<c_void>());
        if code == 0 { Ok(()) } else { Err(DropReason::SocketAssignFailed) }
    }
}

#[inline(always)]
fn context(ctx: &TcContext) -> *mut c_void {
    ctx.skb.skb.cast()
}

/// Addresses and ports in network order.
#[inline(always)]
fn tuple(
    source: [u8; 4],
    destination: [u8; 4],
    source_port: [u8; 2],
    destination_port: [u8; 2],
) -> bpf_sock_tuple {
    bpf_sock_tuple {
        __bindgen_anon_1: bpf_sock_tuple__bindgen_ty_1 {
            ipv4: bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 {
                saddr: u32::from_ne_bytes(source),
                daddr: u32::from_ne_bytes(destination),
                sport: u16::from_ne_bytes(source_port),
                dport: u16::from_ne_bytes(destination_port),
            },
        },
    }
}
